"""Liquidation prices as the venue's own library has them (`fixtures/chain/gains_judge.mjs`), for what the views of a diamond answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.localchain import node, paths
from tests.localchain.process import run
from tests.localchain.toolchain import ensure

Ask = Callable[..., Any]
"""A view of the diamond by its name and arguments; structs come as named tuples."""


def case(ask: Ask, trade: Any, info: Any, terms: Any, price: int, time: int, decimals: int) -> dict[str, Any]:
    """What the library is given about one trade, at a price of its pair (1e10) and a unix time."""
    pair, collateral = trade.pairIndex, trade.collateralIndex
    both = ([collateral], [pair])
    structs = {
        "trade": trade,
        "info": info,
        "terms": terms,
        "fees": ask("getTradeFeesData", trade.user, trade.index),
        "fundingParams": ask("getPairFundingFeeParams", *both)[0],
        "fundingData": ask("getPairFundingFeeData", *both)[0],
        "borrowingParams": ask("getPairBorrowingFeeParams", *both)[0],
        "borrowingData": ask("getPairBorrowingFeeData", *both)[0],
        "interest": ask("getPairOiAfterV10Token", collateral, pair),
    }
    numbers = {
        "spreadP": ask("pairSpreadP", trade.user, pair),
        "feeP": ask("pairTotalPositionSizeFeeP", pair),
        "minUsd": ask("pairMinPositionSizeUsd", pair),
        "counterRate": ask("getPairCounterTradeFeeRateMultiplier", pair),
        "usd": ask("getCollateralPriceUsd", collateral),
        "price": price,
        "time": time,
    }
    named = {name: {field: _plain(value) for field, value in struct._asdict().items()} for name, struct in structs.items()}
    return {**named, **{name: str(number) for name, number in numbers.items()}, "decimals": decimals}


def lines(cases: Sequence[dict[str, Any]], folder: Path) -> list[float]:
    """The price in USD at which each trade is liquidated, 0 where none does; `folder` is for a file."""
    file = folder / "cases.json"
    file.write_text(json.dumps(cases), "utf-8")
    program = node.find(paths.cache()).node
    return list(json.loads(run("gains judge", [*program, paths.SOURCES / "gains_judge.mjs", ensure().node_modules, file])))


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | str) else str(value)
