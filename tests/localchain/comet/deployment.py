"""Deploy the doubles: a market that lends USDC and is priced in USD, and one that lends WETH and is priced in ETH."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import double
from tests.localchain.assets import Assets
from tests.localchain.comet.market import CometAsset, CometMarket
from tests.localchain.contract import deploy

Curve = tuple[int, int, int, int]
"""Kink, slope below and above it, and base rate, per year; 1e18 = 100 %."""
PERCENT: Final = 10**16


@dataclass(frozen=True, slots=True)
class Posting:
    """A collateral: factors in per cent (may be borrowed against, liquidated at, credited when absorbed), cap in whole tokens."""

    symbol: str
    borrow: int
    liquidate: int
    credit: int
    cap: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A market as governance sets it up. `borrow_min` and `target_reserves` in units of base."""

    name: str
    base: str
    unit: str
    supply_curve: Curve
    borrow_curve: Curve
    borrow_min: int
    target_reserves: int
    postings: tuple[Posting, ...]


USDC: Final = Setting(
    name="comet-usdc",
    base="USDC",
    unit="USD",
    supply_curve=(90 * PERCENT, 39 * PERCENT // 10, 240 * PERCENT, 0),
    borrow_curve=(90 * PERCENT, 35 * PERCENT // 10, 360 * PERCENT, 15 * PERCENT // 10),
    borrow_min=100 * 10**6,
    target_reserves=5_000_000 * 10**6,
    postings=(
        Posting("WETH", 83, 90, 95, 2_000_000),
        Posting("wstETH", 82, 87, 92, 2_000_000),
        Posting("WBTC", 80, 85, 95, 10_000),
        Posting("LINK", 73, 79, 93, 50_000),
    ),
)
WETH: Final = Setting(
    name="comet-weth",
    base="WETH",
    unit="ETH",
    supply_curve=(85 * PERCENT, 20 * PERCENT // 10, 100 * PERCENT, 0),
    borrow_curve=(85 * PERCENT, 16 * PERCENT // 10, 120 * PERCENT, 1 * PERCENT),
    borrow_min=10**17,
    target_reserves=5_000 * 10**18,
    postings=(
        Posting("wstETH", 90, 93, 97, 500_000),
        Posting("WBTC", 80, 85, 95, 10_000),
    ),
)
STORE_FRONT_FACTOR: Final = 60 * PERCENT


def deploy_comet_usdc(anvil: Anvil, assets: Assets | None = None) -> CometMarket:
    """A double that lends USDC, on tokens that stand already where given."""
    return _deploy(assets or Assets(anvil), USDC)


def deploy_comet_weth(anvil: Anvil, assets: Assets | None = None) -> CometMarket:
    """A double that lends WETH: its prices are in ETH, the base asset's is 1."""
    return _deploy(assets or Assets(anvil), WETH)


def _deploy(assets: Assets, setting: Setting) -> CometMarket:
    base = CometAsset(assets.token(setting.base), assets.feed(setting.base, setting.unit))
    collateral = {
        posting.symbol: CometAsset(assets.token(posting.symbol), assets.feed(posting.symbol, setting.unit)) for posting in setting.postings
    }
    comet = deploy(
        assets.anvil,
        double("comet_double"),
        f"Double {setting.base}",
        f"c{setting.base}v3",
        base.token.address,
        base.feed.address,
        base.token.decimals,
        setting.supply_curve,
        setting.borrow_curve,
        STORE_FRONT_FACTOR,
        setting.borrow_min,
        setting.target_reserves,
        [_asset_info(posting, collateral[posting.symbol]) for posting in setting.postings],
    )
    return CometMarket(setting.name, assets.anvil, comet, base, collateral)


def _asset_info(posting: Posting, asset: CometAsset) -> tuple[object, ...]:
    scale = 10**asset.token.decimals
    factors = (posting.borrow * PERCENT, posting.liquidate * PERCENT, posting.credit * PERCENT)
    return (0, asset.token.address, asset.feed.address, scale, *factors, posting.cap * scale)
