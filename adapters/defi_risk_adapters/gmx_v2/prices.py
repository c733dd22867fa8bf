"""Where prices of GMX's tokens come from, and what the tokens are: the venue's price service, or the chain's own feeds.

The service (`prices = "https://..."`) answers `/prices/tickers` with min and max of every token as the venue's contracts take them, USD
(1e30) for one base unit, and `/tokens` with their decimals. It is not pinned to a block, so answers that lie too far from the anchor are
refused. The signed reports that keepers execute with come from the same place and hold the same figures.

With `prices = "oracle"` the DataStore names a Chainlink feed for a token: price = answer * PRICE_FEED_MULTIPLIER // 1e30, min = max, but a
token with a STABLE_PRICE spans from one to the other. Tokens that trade on signed reports alone have no feed there.

An index token may be synthetic: an address without a contract. Then the service tells its decimals, or the multiplier of its feed does,
which is 10 ** (60 - decimals of the token - decimals of the feed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.answers import Answer
from defi_risk.errors import AddressError, BadAnswer, MissingPrice, OutOfRange
from defi_risk.ids import ZERO_ADDRESS, Address, parse_address, short
from defi_risk.model import Asset
from defi_risk.spi import Ask, Call, Context, Failed, InfoCall, Interface, Steps
from defi_risk.text import shown
from defi_risk_adapters.gmx_v2.fixed import ONE, PRICE_DECIMALS
from defi_risk_adapters.gmx_v2.keys import key
from defi_risk_adapters.gmx_v2.state import Band
from defi_risk_adapters.oracles import CHAINLINK
from defi_risk_adapters.tokens import ERC20, MOST_DECIMALS, asset

STORE: Final = Interface("defi_risk_abis", "gmx_v2/data_store")
ORACLE: Final = "oracle"
TICKERS: Final = "/prices/tickers"
TOKENS: Final = "/tokens"
MOST_TOKENS: Final = 5_000
APART: Final = 900
"""Seconds that the service's prices may lie before or after the block: an order of magnitude above what venue and chain take."""
HIGHEST: Final = 10**60
_MILLISECONDS: Final = 1_000
_MULTIPLIER_DIGITS: Final = 2 * PRICE_DECIMALS


@dataclass(frozen=True, slots=True)
class Quoted:
    """A token with its price: when it was given (unix seconds) and after how many seconds it counts as stale; None where nothing tells."""

    asset: Asset
    band: Band
    updated_at: int | None
    heartbeat: int | None


@dataclass(frozen=True, slots=True)
class _Told:
    """What a source says of one token."""

    band: Band
    updated_at: int | None
    heartbeat: int | None
    decimals: int | None = None
    symbol: str = ""


Quotes = Mapping[Address, Quoted | str]
"""By token; a text says why there is no price."""


def quotes(at: Context, store: Address, source: str, tokens: Sequence[Address]) -> Steps[Quotes]:
    """Prices and metadata of tokens, in two rounds."""
    told: Mapping[Address, _Told | str]
    metadata = _metadata_asks(tokens)
    if source == ORACLE:
        settings = yield [call for token in tokens for call in _feed_asks(store, token)]
        feeds = settings[0::4]
        answers = yield [*metadata, *(call for feed in feeds for call in _round_asks(feed))]
        rounds = answers[len(metadata) :]
        rows = zip(tokens, feeds, settings[1::4], settings[2::4], settings[3::4], strict=True)
        parts = zip(rows, rounds[0::3], rounds[1::3], rounds[2::3], strict=True)
        told = {row[0]: _fed(*row, *rest, now=at.timestamp) for row, *rest in parts}
    else:
        tickers, listed, age = yield [
            InfoCall(source, path=TICKERS, optional=True),
            InfoCall(source, path=TOKENS, optional=True),
            STORE(store, "getUint", key("MAX_ORACLE_PRICE_AGE")),
        ]
        answers = yield metadata
        told = _served(tickers, listed, age or None, tokens, at)
    found = zip(tokens, answers[0 : len(metadata) : 2], answers[1 : len(metadata) : 2], strict=True)
    return {token: _quoted(at, token, told[token], decimals, symbol) for token, decimals, symbol in found}


def _metadata_asks(tokens: Sequence[Address]) -> list[Ask]:
    return [ERC20(token, name, optional=True, forever=True) for token in tokens for name in ("decimals", "symbol")]


def _feed_asks(store: Address, token: Address) -> tuple[Call, ...]:
    uints = ("PRICE_FEED_MULTIPLIER", "PRICE_FEED_HEARTBEAT_DURATION", "STABLE_PRICE")
    return STORE(store, "getAddress", key("PRICE_FEED", token)), *(STORE(store, "getUint", key(name, token)) for name in uints)


def _round_asks(feed: Address) -> tuple[Call, ...]:
    names = ("latestRoundData", "decimals", "description")
    return tuple(CHAINLINK(feed, name, optional=True, forever=name != names[0]) for name in names)


def _fed(
    token: Address, feed: Address, multiplier: int, heartbeat: int, stable: int, answer: Any, decimals: Any, text: Any, *, now: int
) -> _Told | str:
    """What a Chainlink feed says of a token. The venue takes no answer older than the heartbeat that it has set for it."""
    if feed == ZERO_ADDRESS:
        return f"the venue names no feed on chain for {short(token)}, which trades on signed prices"
    if isinstance(answer, Failed) or answer.answer <= 0 or answer.updatedAt <= 0:
        return f"the feed {short(feed)} gives no price for {short(token)}"
    if heartbeat and now - answer.updatedAt > heartbeat:
        return f"the feed {short(feed)} last priced {short(token)} {now - answer.updatedAt} s before the block; {heartbeat} s are allowed"
    price = answer.answer * multiplier // ONE
    if not 0 < price < HIGHEST:
        return f"the feed {short(feed)} gives a price for {short(token)} that cannot be"
    band = Band(min(price, stable), max(price, stable)) if stable else Band(price, price)
    symbol = "" if isinstance(text, Failed) else text.partition("/")[0]
    return _Told(band, answer.updatedAt, heartbeat or None, _token_decimals(multiplier, decimals), symbol)


def _token_decimals(multiplier: int, feed_decimals: Any) -> int | None:
    """Decimals of a token as the multiplier of its feed implies them; None where it is no power of ten."""
    digits = len(str(multiplier)) - 1
    if isinstance(feed_decimals, Failed) or multiplier != 10**digits:
        return None
    decimals = _MULTIPLIER_DIGITS - digits - int(feed_decimals)
    return decimals if 0 <= decimals <= MOST_DECIMALS else None


def _served(tickers: Any, listed: Any, age: int | None, tokens: Sequence[Address], at: Context) -> dict[Address, _Told | str]:
    """What the price service says. One entry that cannot be read costs its own token only."""
    if isinstance(tickers, Failed):
        return dict.fromkeys(tokens, f"the venue's price service: {tickers.reason}")
    decimals = {} if isinstance(listed, Failed) else _listed(listed)
    found: dict[Address, _Told | str] = {token: f"the venue's price service has no price for {short(token)}" for token in tokens}
    for entry in Answer(tickers, "tickers").listing(MOST_TOKENS):
        token = _address(entry, "tokenAddress")
        if token is None or token not in found:
            continue
        try:
            found[token] = _ticker(entry, decimals.get(token), age, at)
        except BadAnswer as error:
            found[token] = error.message
    return found


def _ticker(entry: Answer, decimals: int | None, age: int | None, at: Context) -> _Told:
    """One token's entry. Raises `BadAnswer`."""
    band = Band(entry["minPrice"].integer(1, HIGHEST), entry["maxPrice"].integer(1, HIGHEST))
    if band.low > band.high:
        raise OutOfRange(f"{entry.path} has a minPrice above its maxPrice")
    symbol = entry.get("tokenSymbol")
    updated_at = entry["updatedAt"].integer(1) // _MILLISECONDS
    apart = updated_at - at.timestamp
    if abs(apart) > APART:
        raise OutOfRange(f"prices of the venue's service lie {abs(apart)} s {'after' if apart > 0 else 'before'} the block")
    return _Told(band, min(updated_at, at.timestamp), age, decimals, symbol.text() if symbol else "")


def _listed(answer: Any) -> dict[Address, int]:
    """Decimals of the tokens that the service lists; what it lists badly is left out."""
    found: dict[Address, int] = {}
    try:
        entries = Answer(answer, "tokens")["tokens"].listing(MOST_TOKENS)
    except BadAnswer:
        return found
    for entry in entries:
        token = _address(entry, "address")
        try:
            if token is not None:
                found[token] = entry["decimals"].integer(0, MOST_DECIMALS)
        except BadAnswer:
            continue
    return found


def _address(entry: Answer, field: str) -> Address | None:
    try:
        return parse_address(entry[field].text(42))
    except (BadAnswer, AddressError):
        return None


def _quoted(at: Context, token: Address, told: _Told | str, decimals: Any, symbol: Any) -> Quoted | str:
    """A token whole: its contract tells what it is, else what prices it does."""
    if isinstance(told, str):
        return told
    known = told.decimals if isinstance(decimals, Failed) else decimals
    if known is None or not 0 <= known <= MOST_DECIMALS:
        return f"nothing tells the decimals of {short(token)}"
    name = symbol if not isinstance(symbol, Failed) and symbol.strip() else told.symbol.strip() or short(token)
    return Quoted(asset(at, token, name, known), told.band, told.updated_at, told.heartbeat)


def priced(found: Quotes, token: Address) -> Quoted:
    """The quote of a token. Raises `MissingPrice` with the reason where there is none."""
    quote = found[token]
    if isinstance(quote, str):
        raise MissingPrice(shown(quote, 160))
    return quote
