"""Figures of positions as the venue's own library has them (`fixtures/chain/gmx_judge.mjs`), and where it says that parameters lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from defi_risk_adapters.gmx_v2.exact import GmxExact

from tests.localchain import node, paths
from tests.localchain.process import run
from tests.localchain.toolchain import ensure

SDK: Final = ("@gmx-io", "sdk", "build", "cjs", "src")
KEYS: Final = ("hashedMarketConfigKeys", "hashedMarketValuesKeys", "hashedKinkModelMarketRatesKeys")


def case(exact: GmxExact, decimals: Mapping[str, int], referral: tuple[int, int]) -> dict[str, Any]:
    """What the library is given about a position whose prices have no spread; `decimals` of the tokens, `referral` the share of the fee
    that is given back and the share of that which is the trader's (1e30).
    """
    state, position, prices = exact.state, exact.position, exact.prices
    listing, curve = state.listing, state.impact
    price = (prices.long if position.collateral == listing.long else prices.short).low
    tokens = {
        "index": (listing.index, prices.index.low),
        "long": (listing.long, prices.long.low),
        "short": (listing.short, prices.short.low),
        "collateral": (position.collateral, price),
    }
    market = {
        "longInterestUsd": state.open_interest(True),
        "shortInterestUsd": state.open_interest(False),
        "longInterestInTokens": state.open_tokens(True),
        "shortInterestInTokens": state.open_tokens(False),
        "longPoolAmount": state.pool.long,
        "shortPoolAmount": state.pool.short,
        "maxPnlFactorForTradersLong": state.max_pnl.long,
        "maxPnlFactorForTradersShort": state.max_pnl.short,
        "minCollateralFactorForLiquidation": state.liquidation_factor,
        "positionFeeFactorForBalanceWasImproved": state.fee_improved,
        "positionFeeFactorForBalanceWasNotImproved": state.fee_worse,
        "positionImpactFactorPositive": curve.factor_improved,
        "positionImpactFactorNegative": curve.factor_worse,
        "positionImpactExponentFactorPositive": curve.exponent_improved,
        "positionImpactExponentFactorNegative": curve.exponent_worse,
        "maxPositionImpactFactorPositive": curve.positive_cap,
        "maxPositionImpactFactorNegative": curve.positive_cap,
        "maxPositionImpactFactorForLiquidations": curve.liquidation_cap,
        "virtualInventoryForPositions": state.virtual or 0,
    }
    held = {
        "sizeInUsd": position.size_usd,
        "sizeInTokens": position.size_tokens,
        "collateralAmount": position.amount,
        "pendingImpactAmount": position.pending_impact,
        "pendingBorrowingFeesUsd": exact.due.borrowing_usd,
        "pendingFundingFeesUsd": exact.due.funding * price,
    }
    return {
        "market": _texts(market),
        "position": {**_texts(held), "isLong": position.is_long},
        "tokens": {name: {"address": token, "decimals": decimals[token], "price": str(each)} for name, (token, each) in tokens.items()},
        "referral": _texts(dict(zip(("totalRebateFactor", "discountFactor"), referral, strict=True))),
        "leastUsd": str(state.min_collateral_usd),
    }


def figures(cases: Sequence[dict[str, Any]], folder: Path) -> list[dict[str, int | bool | None]]:
    """What the library says of each; `folder` is for a file."""
    file = folder / "cases.json"
    file.write_text(json.dumps(cases), "utf-8")
    told = json.loads(run("gmx judge", [*_program(), paths.SOURCES / "gmx_judge.mjs", ensure().node_modules, file]))
    return [{name: int(value) if isinstance(value, str) else value for name, value in each.items()} for each in told]


def markets() -> dict[str, dict[str, dict[str, str]]]:
    """The markets that the library lists, by chain and market token."""
    config = ensure().node_modules.joinpath(*SDK, "configs", "markets.js")
    return dict(json.loads(run("gmx markets", [*_program(), "-p", "JSON.stringify(require(process.argv[1]).MARKETS)", config])))


def keys() -> dict[str, dict[str, dict[str, str]]]:
    """The keys of market parameters that the library was built with, by chain, market token and the library's names."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for name in KEYS:
        for chain, listed in json.loads(ensure().node_modules.joinpath(*SDK, "prebuilt", f"{name}.json").read_text()).items():
            for market, kept in listed.items():
                found.setdefault(chain, {}).setdefault(market, {}).update(kept)
    return found


def _program() -> tuple[str, ...]:
    return node.find(paths.cache()).node


def _texts(numbers: Mapping[str, int]) -> dict[str, str]:
    return {name: str(number) for name, number in numbers.items()}
