"""Mixed books: loans written by hand beside exchange accounts as readers build them, judged as a scan judges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from defi_risk_adapters.exchanges import common

from defi_risk import desks, gathering, judging
from defi_risk.book import parse
from defi_risk.engine import Findings
from defi_risk.exchange_rules import coins
from defi_risk.gathering import Gathered
from defi_risk.ids import Factor
from defi_risk.judging import Judged
from defi_risk.model import Account, Leg, LiquidationRule, Position, Side, SourceReport, Tier
from defi_risk.snapshot.model import Flag
from defi_risk.spi import Desk

TIME = 1_800_000_000
DAY = 86_400
NAME = "binance-main"
MODEL = "[model]\nvolatility = { ETH = 0.04, BTC = 0.03 }\n"
DESK = f'[[exchanges]]\nid = "binance"\nname = "{NAME}"\n'
AT = Desk(NAME, "binance", TIME * 1_000, factors=coins())
USDT = Factor("USDT")
Number = str | int


def open_position(size: Number, mark: Number, rate: Number = "0.02", **more: Any) -> Position:
    """A linear position quoted in USDC at its entry price, with one bracket."""
    terms: dict[str, Any] = {"quote": Factor("USDC"), "initial_rate": Decimal(rate), "entry": Decimal(mark), **more}
    return Position(size=Decimal(size), mark=Decimal(mark), tiers=(Tier(Decimal(0), Decimal(rate), Decimal(0)),), **terms)


def at_exchange(*legs: Leg, market: str = "usdm/USDC", name: str = NAME, **more: Any) -> Account:
    """An account as a reader of Binance builds it, and as `desks` hands it on."""
    told: dict[str, Any] = {"strict": False, "rule": LiquidationRule(kind="close"), **more}
    return Account(
        id=replace(AT, name=name).account_id(*market.split("/")),
        owner=name,
        side=Side.DERIVATIVES,
        venue="Binance",
        market=market,
        legs=legs,
        source=name,
        **told,
    )


def coin(code: str, amount: Number, price: Number = 1, weight: Number = 1) -> Leg:
    return common.margin(AT, code, Decimal(amount), Decimal(price), weight=Decimal(weight))


def perp(symbol: str, code: str, position: Position) -> Leg:
    return common.derivative(AT, code, symbol, position)


def short(margin: Number = 12_000) -> Account:
    """Case A's side at the exchange: a short of 10 ETH on the loan's dollars."""
    return at_exchange(coin("USDC", margin), perp("ETHUSDC", "ETH", open_position(-10, 3000)))


def tethered(margin: Number = 10_000, price: Number = 1) -> Account:
    """The same short on Tether's dollars."""
    return at_exchange(coin("USDT", margin, price), perp("ETHUSDT", "ETH", open_position(-10, 3000, quote=USDT)), market="usdm/USDT")


def judged(book: str, *accounts: Account, reports: Sequence[SourceReport] = (), model: str = MODEL) -> Judged:
    """What a scan says of a book whose exchange gave these accounts."""
    return judging.judge(gathered(book, *accounts, reports=reports, model=model))


def gathered(book: str, *accounts: Account, reports: Sequence[SourceReport] = (), model: str = MODEL) -> Gathered:
    known = {account.source for account in accounts}
    told = reports or [SourceReport(id=name, kind="exchange", as_of=TIME) for name in sorted(known)]
    read = desks.Found(list(accounts), list(told))
    return gathering.assemble(parse('[book]\nname = "case"\n' + model + book + DESK), Findings(), (), read)


def flags(found: Judged, code: str) -> list[Flag]:
    return [flag for flag in found.snapshot.flags if flag.code == code]


def codes(found: Judged) -> set[str]:
    return {flag.code for flag in found.snapshot.flags}


def figures(found: Judged, name: str) -> Any:
    [one] = [account for account in found.snapshot.accounts if account.id == name]
    return one


PERP = f"{NAME}/usdm/USDC"
