"""The users of a double of HyperCore: what each of them has. Sizes and amounts are made up."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from tests.localchain.hyper.market import HyperMarket
from tests.localchain.hyper.state import HyperCore, Position, User
from tests.localchain.people import Case, person

D: Final = Decimal
VAULT: Final = "0xdfc24b077bc1425AD1DEA75bCB6f8158E10Df303"
Make = Callable[[HyperCore], User]


def entered(size: str, price: str, leverage: int, cash: str | None = None) -> Position:
    """A position opened at a price; `cash` where its margin is isolated."""
    return Position(D(size), (abs(D(size)) * D(price)).quantize(D("0.000001")), leverage, None if cash is None else D(cash))


def cross(balance: str, mode: str = "default", *, dex: str = "", **positions: Position) -> User:
    """Cross margin in one dex: the account's value while all positions are at their entry."""
    found = {name.replace("__", ":"): one for name, one in positions.items()}
    return User(mode, {dex: D(balance) - opened(found)}, positions=found)


def unified(usdc: str, **positions: Position) -> User:
    """A unified account whose balance, perpetuals counted in, is `usdc` while all positions are at their entry."""
    found = {name.replace("__", ":"): one for name, one in positions.items()}
    return User("unifiedAccount", {"": -opened(found)}, positions=found, spot={0: D(usdc)})


def opened(positions: dict[str, Position]) -> Decimal:
    """What cross positions took out of the cash when they were opened."""
    return sum((one.entry.copy_sign(one.size) for one in positions.values() if one.cash is None), D(0))


def portfolio(usdc: str, spot: dict[int, str], borrowed: str = "0", **positions: Position) -> User:
    """An account under portfolio margin."""
    user = unified(usdc, **positions)
    user.mode, user.borrowed = "portfolioMargin", D(borrowed)
    user.spot |= {number: D(amount) for number, amount in spot.items()}
    return user


def plain() -> dict[str, User]:
    """Users in standard mode."""
    mixed = cross("12345.67", "disabled", BTC=entered("0.5", "97000.5", 10), SOL=entered("-300.25", "190.12", 5))
    mixed.positions |= {"ETH": entered("12.5", "3050.1", 3, "-24000"), "HYPE": entered("-1000", "40.2", 4, "52000")}
    apart = cross("5000", ETH=entered("-2.5", "3222.22", 10))
    apart.reserved[""] = D("70.4475")
    rich = User("default", {"": D(0)}, spot={0: D("14.625485"), 150: D("816.67225318"), 1: D("12345"), 734: D("68598.161692")})
    rich.vaults, rich.staked = {VAULT: D("25000.123456")}, D("1234.5")
    all_over = cross("40000", ETH=entered("-20", "3000", 10))
    all_over.positions |= {"xyz:NVDA": entered("20", "175", 10), "xyz:GOLD": entered("-2", "4000", 5, "9000")}
    all_over.cash |= {"xyz": D("-2000.5"), "flx": D("55.25")}
    all_over.spot |= {0: D("250"), 360: D("1000.5")}
    return {
        "cash": cross("1000.5"),
        "dust": cross("12.345678", ETH=entered("0.0123", "3100.11", 20)),
        "long": cross("20000", BTC=entered("0.75", "95123.4", 20)),
        "short": cross("30000", BTC=entered("-1.5", "100234.5", 20)),
        "several": cross(
            "60000", "disabled", BTC=entered("-1.25", "97111.1", 10), ETH=entered("40", "3001.5", 8), SOL=entered("500", "201", 5)
        ),
        "thousands": cross("9000", kPEPE=entered("-2500000", "0.0119", 5), HYPE=entered("250", "39.5", 3)),
        "second-tier": cross("12000000", BTC=entered("2000", "97000", 25), ETH=entered("-40000", "3150", 15)),
        "mixed": mixed,
        "isolated-long": cross("0", MEGA=entered("75000", "0.063913", 3, "-1305.264414")),
        "isolated-short": cross("0", HYPE=entered("-15", "40.1", 10, "690.123456")),
        "near": cross("1500", BTC=entered("0.75", "99500", 40)),
        "dead": cross("1450", BTC=entered("0.75", "99500", 40)),
        "set-aside": apart,
        "spot": rich,
        "other-dex": cross("4000", dex="xyz", xyz__NVDA=entered("-55.5", "190.5", 10), xyz__GOLD=entered("3.25", "4001.5", 20)),
        "other-coin": cross("300000", dex="flx", flx__TSLA=entered("2500.5", "401.5", 5)),
        "all-over": all_over,
    }


def pooled() -> dict[str, User]:
    """Users in unified mode and under portfolio margin."""
    dexs = unified("1039.5", BTC=entered("0.2", "99000", 10))
    dexs.positions |= {"xyz:NVDA": entered("-30", "180", 10)}
    dexs.cash |= {"xyz": D("5400")}
    apart = unified("2296.35783828", MEGA=entered("75000", "0.063913", 3, "-1305.264414"), ETH=entered("0.5", "3000", 5))
    coins = unified("500.25")
    coins.spot |= {150: D("2.10613124"), 360: D("9000.5"), 734: D("1")}
    coins.cash["flx"] = D("-80000")
    coins.positions["flx:TSLA"] = entered("200", "400", 5)
    kept = portfolio("2500", {150: "100.5", 197: "0.25", 1: "5000"}, BTC=entered("-0.2", "98000", 10))
    kept.kept = {150: D("0.5")}
    return {
        "unified": unified("25000", BTC=entered("1", "98000", 20), ETH=entered("-5.5", "3200", 10)),
        "unified-idle": unified("777.77"),
        "unified-isolated": apart,
        "unified-dexs": dexs,
        "unified-coins": coins,
        "unified-near": unified("2040", BTC=entered("1", "99500", 40)),
        "unified-dead": unified("1980", BTC=entered("1", "99500", 40)),
        "portfolio": portfolio("60000", {}, ETH=entered("100", "3100", 25), SOL=entered("-400", "180", 10)),
        "portfolio-debt": portfolio("4000", {150: "1000"}, "15000", HYPE=entered("-900", "41", 5), ETH=entered("3", "3000", 5, "-6500")),
        "portfolio-coins": kept,
    }


def populate(market: HyperMarket) -> list[Case]:
    """Let all users be there; the accounts in the order in which they came."""
    cases = [Case(label, person(f"hyperliquid/{label}")) for label in (*plain(), *pooled())]
    market.core.users |= dict(zip((case.address for case in cases), (*plain().values(), *pooled().values()), strict=True))
    market.tell()
    return cases
