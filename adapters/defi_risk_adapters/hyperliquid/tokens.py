"""Spot tokens of HyperCore: what the account has of them on chain, and what they cost in USDC on the venue's own order book."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.ids import Address
from defi_risk.model import Asset, FactorRef, Price
from defi_risk.spi import Call, Context, Failed, Steps
from defi_risk.text import clean
from defi_risk.units import Quantity
from defi_risk_adapters.hyperliquid.precompiles import SPOT_PLACES, core

USDC: Final = 0
USDC_PLACES: Final = 8
HYPE: Final = 150
MAINNET: Final = 999
MOST_PAIRS: Final = 4
MOST_PLACES: Final = 30


@dataclass(frozen=True, slots=True)
class Token:
    """A token by its number. `total` is the balance in 10 ** -decimals of the asset, None where the chain does not tell it; `price` in
    USDC, which the venue counts at one US dollar, None where no pair against USDC has one. `reason` says what is missing.
    """

    number: int
    asset: Asset
    ref: FactorRef
    total: int | None
    price: Price | None
    reason: str = ""


def usdc(at: Context, total: int | None, reason: str = "") -> Token:
    """USDC, in which the main dex settles."""
    asset, ref = _known(at, USDC, "USDC", USDC_PLACES)
    return Token(USDC, asset, ref, total, Price(Quantity(1, 0), source="hyperliquid"), reason)


def read(at: Context, user: Address, numbers: Collection[int]) -> Steps[dict[int, Token]]:
    """Balances and prices of tokens, in two rounds. A token of which the chain tells nothing at all is not among them."""
    wanted = sorted({*numbers, USDC})
    others = [number for number in wanted if number != USDC]
    asks = [core("spotBalance", user, number, optional=True) for number in wanted]
    answers = yield [*asks, *(core("tokenInfo", number, optional=True) for number in others)]
    totals = dict(zip(wanted, answers, strict=False))
    infos = {number: info for number, info in zip(others, answers[len(wanted) :], strict=True) if _sane(info)}
    prices = yield from _prices({number: tuple(info.spots[:MOST_PAIRS]) for number, info in infos.items()})
    found = {USDC: usdc(at, *_total(totals[USDC]))}
    for number, info in infos.items():
        asset, ref = _known(at, number, clean(info.name, 24), info.weiDecimals)
        price = _price(prices.get(number), info.szDecimals)
        found[number] = Token(number, asset, ref, _total(totals[number])[0], price, _total(totals[number])[1])
    return found


def _sane(info: Any) -> bool:
    return not isinstance(info, Failed) and info.weiDecimals <= MOST_PLACES and info.szDecimals <= SPOT_PLACES


def _prices(pairs: Mapping[int, Sequence[int]]) -> Steps[dict[int, tuple[int, int]]]:
    """Pair and raw price against USDC by token, of those that have one."""
    places = [(number, pair) for number, listed in pairs.items() for pair in listed]
    asks: list[Call] = []
    for _, pair in places:
        asks += [core("spotInfo", pair, optional=True), core("spotPx", pair, optional=True)]
    answers = (yield asks) if asks else ()
    found: dict[int, tuple[int, int]] = {}
    for (number, pair), info, price in zip(places, answers[::2], answers[1::2], strict=True):
        if not isinstance(info, Failed) and not isinstance(price, Failed) and tuple(info.tokens) == (number, USDC) and price > 0:
            found.setdefault(number, (pair, price))
    return found


def _price(found: tuple[int, int] | None, places: int) -> Price | None:
    return None if found is None else Price(Quantity(found[1], SPOT_PLACES - places), source=f"spotPx:{found[0]}")


def _total(balance: Any) -> tuple[int | None, str]:
    return (None, balance.reason) if isinstance(balance, Failed) else (balance.total, "")


def _known(at: Context, number: int, symbol: str, places: int) -> tuple[Asset, FactorRef]:
    """The asset of a token, by its number: what a token calls itself is for eyes only."""
    asset = Asset(at.listed_id("hyperliquid", f"token:{number}"), symbol, places)
    return asset, at.factor_of(asset.id)
