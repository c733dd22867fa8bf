"""Real accounts of Hyperliquid: liquidation prices, ratios and free margin as the venue itself gave them.

The fixture tells where its figures come from. Each account is put into the double of HyperCore and read by the adapter; the double shows
the service's own answers for it too, so that the recordings hold both to the same figures.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from defi_risk_adapters.hyperliquid.exact import Perp, PerpExact
from defi_risk_adapters.hyperliquid.margin import plain
from defi_risk_adapters.hyperliquid.portfolio import ratio

from defi_risk.ids import AssetId
from defi_risk.model import Account, Asset
from tests.adapters.hyper_venue import OWNER, Venue
from tests.localchain.hyper.market import universe
from tests.localchain.hyper.state import Coin, Dex, HyperCore, Position, User, whole

FIXTURE: Final = Path(__file__).parents[2] / "fixtures" / "accounts" / "hyperliquid_real.toml"
DOCUMENT: Final[dict[str, Any]] = tomllib.loads(FIXTURE.read_text("utf-8"))
REAL: Final[dict[str, dict[str, Any]]] = {entry["name"]: entry for entry in DOCUMENT["account"]}
D: Final = Decimal
ROUNDED_ENTRY: Final = D("4e-5")
"""How far the bot's entry prices, which the venue rounds, let a liquidation price be off."""
PRICE: Final = D("2e-9")
"""The price that is lent against is rounded too."""
PLACES: Final = {"BTC": 5, "ETH": 4, "SOL": 2}


def venue(entry: dict[str, Any]) -> Venue:
    """The account in a HyperCore of its own."""
    coins = [Coin(one["coin"], one["places"], one["most"], D(one["mark"]), leverage=one["most"]) for one in entry["positions"]]
    positions = {one["coin"]: position(one) for one in entry["positions"]}
    core = HyperCore([Dex("", coins)], universe().tokens)
    for token in core.tokens.values():
        terms = entry.get("collateral", {}).get(str(token.number), {"price": "0", "ltv": "0"})
        token.ltv, token.price = D(terms["ltv"]), D(terms["price"]) or token.price
    user = User(
        entry["mode"],
        {"": D(entry["cash"])},
        {"": D(entry.get("reserved", "0"))},
        positions,
        {int(token): D(amount) for token, amount in entry["spot"].items()},
        kept={int(token): D(amount) for token, amount in entry.get("kept", {}).items()},
        borrowed=D(entry.get("borrowed", "0")),
    )
    return Venue(user, core)


def position(one: dict[str, Any]) -> Position:
    """What was paid for it is what it is worth less its profit."""
    value = D(one["size"]) * D(one["mark"])
    return Position(D(one["size"]), abs(value - D(one["pnl"])), one["leverage"], D(one["raw"]) if "raw" in one else None)


def read(entry: dict[str, Any]) -> dict[str, Account]:
    return {account.id.partition(OWNER.address)[2]: account for account in venue(entry).read().accounts}


@pytest.mark.parametrize("row", DOCUMENT["isolated"]["positions"])
def test_isolated_positions_of_a_bot(row: dict[str, Any]) -> None:
    """Read while their profit was about 0: then the cash is the margin less what the position cost."""
    size, price, margin = D(row["size"]), D(row["entry"]), D(row["margin"])
    places = PLACES[row["coin"]]
    mark, cash = whole(price, 6 - places), margin - size * price
    entry = whole(abs(size) * price, 6)
    asset = Asset(AssetId("eip155:999/hyperliquid:x"), row["coin"], places)
    perp = Perp(0, "x", asset, whole(size, places), mark, entry, 1, True, whole(cash, 6), plain(row["most"]), 6 - places)
    exact = PerpExact(Fraction(perp.cash), (perp,))
    found = exact.native()[f"liquidationPx:{row['coin']}"]
    assert abs(D(found).scaleb(-10) / D(row["liquidation"]) - 1) <= ROUNDED_ENTRY


@pytest.mark.parametrize("name", REAL)
def test_isolated_positions_have_the_venues_liquidation_price(name: str) -> None:
    """To the last digit that it shows; no other account has anything to do with them."""
    entry = REAL[name]
    found = read(entry)
    isolated = {account.mode: account for account in found.values() if account.mode.startswith("isolated")}
    expected = [one for one in entry["positions"] if "raw" in one]
    assert len(isolated) == len(expected)
    for one in expected:
        account = isolated[f"isolated {one['coin']}"]
        assert abs(D(int(account.native[f"liquidationPx:{one['coin']}"])) - D(one["liquidation"]).scaleb(10)) <= 1
        assert account.self_check is not None
        assert account.self_check.match


def test_cross_positions_under_portfolio_margin_have_the_venues_liquidation_price() -> None:
    """All that is left after maintenance stands behind each; where no price would use it up, there is none."""
    entry = REAL["portfolio-in-debt"]
    account = read(entry)[""]
    for one in entry["positions"]:
        if "raw" not in one:
            found = account.native.get(f"liquidationPx:{one['coin']}")
            assert (found is None) == ("liquidation" not in one), one["coin"]
            assert found is None or abs(D(int(found)).scaleb(-10) / D(one["liquidation"]) - 1) <= PRICE
    assert sum("liquidation" in one and "raw" not in one for one in entry["positions"]) == 2


@pytest.mark.parametrize("name", REAL)
def test_what_is_left_after_maintenance_is_the_venues(name: str) -> None:
    """Value, profit counted in, less maintenance margin; collateral beside it counts with half of 1 + LTV."""
    entry = REAL[name]
    place = venue(entry)
    account = {one.id.partition(OWNER.address)[2]: one for one in place.read().accounts}[""]
    assert isinstance(account.exact, PerpExact)
    left = (account.exact.behind() - account.exact.requirement()) / 10**6
    assert abs(left - Fraction(D(entry["available"]))) <= Fraction(D(entry["slack"]))
    if not entry.get("collateral"):
        said = place.says.say({"type": "spotClearinghouseState", "user": OWNER.address.lower()})
        [(_, number)] = said["tokenToAvailableAfterMaintenance"]
        assert abs(D(number) - D(entry["available"])) <= D(entry["slack"])


@pytest.mark.parametrize(("name", "close"), [("portfolio-in-debt", D("1e-9")), ("portfolio", D("2e-5"))])
def test_the_ratio_of_portfolio_margin_is_the_venues(name: str, close: Decimal) -> None:
    """One account owes, and tokens count as collateral; the other has more than it needs, and its answers are seconds apart."""
    found = read(REAL[name])[""].native["portfolioMarginRatio"]
    assert abs(D(int(found)).scaleb(-9) - D(REAL[name]["ratio"])) <= close


def test_the_ratio_follows_from_what_was_told_at_the_same_moment() -> None:
    """Balance and free margin are of one answer: their difference is the maintenance margin that the ratio is made of. Its 0.003 HYPE is
    not supplied, and does not count.
    """
    entry = REAL["portfolio"]
    total = Fraction(D("7678466.9041772699"))
    found = ratio(total, total - Fraction(D(entry["available"])), Fraction(0))
    assert found is not None
    assert abs(found - Fraction(D(entry["ratio"]))) <= Fraction(1, 10**9)
