"""ERC-20 metadata as steps that any adapter can take: one round, and cached for good.

`symbol` may be a string, a bytes32 (MKR, SAI) or absent: what a token calls itself is for eyes only, so a token without a
readable symbol is shown by its short address. `decimals` is never guessed: a token that does not tell makes the account unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    answers = yield [ERC20(token, "decimals", forever=True) for token in wanted] + _symbol_asks(wanted)
    names = _symbols(wanted, answers[len(wanted) :])
    return {token: asset(at, token, names[token], places) for token, places in zip(wanted, answers, strict=False)}


def symbols(tokens: Sequence[Address]) -> Steps[dict[Address, str]]:
    """Symbols alone, in one round: for venues that keep the decimals of their assets themselves."""
    wanted = tuple(dict.fromkeys(tokens))
    answers = yield _symbol_asks(wanted)
    return _symbols(wanted, answers)


def asset(at: Context, token: Address, symbol: str, decimals: int) -> Asset:
    """The asset that a token of this chain is. Raises `OutOfRange` for decimals above 36."""
    if not 0 <= decimals <= MOST_DECIMALS:
        raise OutOfRange(f"token {token} says it has {decimals} decimals", hint=f"0 to {MOST_DECIMALS} can be")
    return Asset(at.token_id(token), symbol, decimals)


def _symbol_asks(tokens: Iterable[Address]) -> list[Ask]:
    return [kind(token, "symbol", optional=True, forever=True) for token in tokens for kind in (ERC20, ERC20_BYTES32)]


def _symbols(tokens: Sequence[Address], answers: Sequence[Any]) -> dict[Address, str]:
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return {token: _symbol(token, text, word) for token, (text, word) in zip(tokens, pairs, strict=True)}


def _symbol(token: Address, text: str | Failed, word: bytes | Failed) -> str:
    """The first readable of the two kinds; a string that is empty counts as none."""
    if not isinstance(text, Failed) and text:
        return text
    if not isinstance(word, Failed):
        try:
            return word.rstrip(b"\0").decode("ascii") or short(token)
        except UnicodeDecodeError:
            pass
    return short(token)
