"""ERC-20 metadata as steps that any adapter can take: one round, and cached for good.

`symbol` may be a string, a bytes32 (MKR, SAI) or absent: what a token calls itself is for eyes only, so a token without a
readable symbol is shown by its short address. `decimals` is never guessed: a token that does not tell makes the account unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from defi_risk.errors import OutOfRange
from defi_risk.ids import Address, short
from defi_risk.model import Asset
from defi_risk.spi import Ask, Context, Failed, Interface, Steps

ERC20: Final = Interface("defi_risk_abis", "erc20")
ERC20_BYTES32: Final = Interface("defi_risk_abis", "erc20_bytes32")
MOST_DECIMALS: Final = 36


def metadata(at: Context, tokens: Sequence[Address]) -> Steps[dict[Address, Asset]]:
    """Symbol and decimals of tokens, in one round. Raises `OutOfRange` for decimals above 36; a token without decimals reverts."""
    wanted = tuple(dict.fromkeys(tokens))
    asks: list[Ask] = [ERC20(token, "decimals", forever=True) for token in wanted]
    answers = yield asks + list(_symbol_asks(wanted))
    names = _symbols(wanted, answers[len(wanted) :])
    return {token: asset(at, token, names[token], decimals) for token, decimals in zip(wanted, answers, strict=False)}


def symbols(tokens: Sequence[Address]) -> Steps[dict[Address, str]]:
    """Symbols alone, in one round: for venues that keep the decimals of their assets themselves."""
    wanted = tuple(dict.fromkeys(tokens))
    answers = yield _symbol_asks(wanted)
    return _symbols(wanted, answers)


def asset(at: Context, token: Address, symbol: str, decimals: int) -> Asset:
    """The asset that a token of this chain is. Raises `OutOfRange` for decimals above 36."""
    if not 0 <= decimals <= MOST_DECIMALS:
        raise OutOfRange(f"token {token} has {decimals} decimals", hint=f"0 to {MOST_DECIMALS} are possible")
    return Asset(at.token_id(token), symbol, decimals)


@lru_cache(maxsize=64)
def _symbol_asks(tokens: tuple[Address, ...]) -> tuple[Ask, ...]:
    """The same asks for every owner of a market, made once."""
    return tuple(kind(token, "symbol", optional=True, forever=True) for token in tokens for kind in (ERC20, ERC20_BYTES32))


def _symbols(tokens: Sequence[Address], answers: Sequence[Any]) -> dict[Address, str]:
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return {token: _symbol(token, text, word) for token, (text, word) in zip(tokens, pairs, strict=True)}


def _symbol(token: Address, text: str | Failed, word: bytes | Failed) -> str:
    """The first of the two kinds that is readable and not empty, or the short address."""
    if not isinstance(text, Failed) and text.strip():
        return text
    if not isinstance(word, Failed):
        ascii_ = word.rstrip(b"\0")
        if ascii_.strip() and ascii_.isascii():
            return ascii_.decode("ascii")
    return short(token)
