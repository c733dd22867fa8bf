"""A made-up venue that keeps shares on the chain and tells the rest through a service: the smallest adapter that asks both."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import Unsupported
from defi_risk.ids import Factor
from defi_risk.model import Account, Asset, Leg, Owner, Price, Quote, Role, Side, SourceReport
from defi_risk.spi import Context, Failed, InfoCall, Market, Reading
from defi_risk.units import Quantity
from tests.fault.world import CONTRACT, NOW, VAULT

OLD: Final = 60
"""Seconds by which the service may be behind the block."""
LATEST: Final = 10**13
"""Milliseconds: the year 2286."""
MODES: Final = ("cross", "isolated")


class Kiosk:
    """Shares from the contract, coins and their prices from the service, which answers three questions over two rounds."""

    name: ClassVar[str] = "kiosk"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Kiosk"
    roots: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[tuple[str, ...]] = ("api", "prices")
    side: ClassVar[Side] = Side.DERIVATIVES

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        api = market.get("api")
        shares, state, version = yield [
            VAULT(CONTRACT, "shares", owner.address),
            InfoCall(api, json.dumps({"type": "state", "user": owner.address})),
            InfoCall(api, path="version?full=1", optional=True),
        ]
        told = Answer(state, "state")
        mode = told["mode"].text(longest=24)
        if mode not in MODES:
            raise Unsupported(f"mode {mode} of {self.venue} is not modelled")
        coins = [(entry["coin"].text(longest=80), entry["amount"].decimal(0)) for entry in told["coins"].listing(most=100)]
        report = _report(told["time"].integer(0, LATEST) // 1_000, at, version)
        if not coins and not shares:
            return [report]
        decimals, prices = yield [VAULT(CONTRACT, "decimals"), InfoCall(api, '{"type": "prices"}')]
        known = Answer(prices, "prices").record(most=1_000)
        legs = [_leg(at, market, coin, amount, known[coin].decimal(0)) for coin, amount in coins if coin in known]
        legs.append(_leg(at, market, "shares", Quantity(shares, decimals).decimal(), Decimal(1)))
        return [
            Account(
                id=market.account_id(owner),
                owner=owner.address,
                side=self.side,
                venue=self.venue,
                market=market.name,
                chain=at.chain.name,
                mode=mode,
                legs=tuple(legs),
                liquidatable=False,
            ),
            Quote(Factor("ETH"), Price(Quantity(2_000, 0))),
            report,
        ]


def _leg(at: Context, market: Market, coin: str, amount: Decimal, price: Decimal) -> Leg:
    asset = Asset(at.listed_id(market.adapter, coin), coin, 18)
    value = Price(Quantity.of(price), source="kiosk")
    return Leg(role=Role.MARGIN, asset=asset, factor=Factor(coin), amount=Quantity.of(amount), price=value)


def _report(told: int, at: Context, version: Any) -> SourceReport:
    behind = at.timestamp - told
    notes = () if isinstance(version, Failed) else (f"version {Answer(version, 'version')['number'].integer()}",)
    return SourceReport(
        id="", status="stale" if behind > OLD else "ok", error=f"{behind} s behind" if behind > OLD else "", as_of=told, notes=notes
    )


def answers(told: int = NOW) -> dict[str, Any]:
    """What a good service answers, by a part of the question."""
    return {
        '"state"': {
            "time": told * 1_000 + 999,
            "mode": "cross",
            "coins": [{"coin": "BTC", "amount": "0.500"}, {"coin": "xyz:GOLD", "amount": "12", "note": None}],
        },
        "version": {"number": 3},
        '"prices"': {"BTC": "65000.5", "xyz:GOLD": Decimal("3999.10"), "DOGE": 0},
    }


def install(folder: Path) -> None:
    """Write what an installed distribution leaves, so that the adapter is found by its name once the folder is on `sys.path`."""
    place = folder / "kiosk-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: kiosk\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text("[defi_risk.adapters]\nkiosk = tests.kiosk:Kiosk\n")
