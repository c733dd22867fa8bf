"""`prices = "oracle:CHAIN"`: past answers of the known feeds, read from nodes on loopback by the code that reads everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from eth_abi.abi import encode

from defi_risk.book import parse
from defi_risk.errors import UsageError
from defi_risk.gathering import Gathered, gather
from tests.fault.chaos import ChaosNode, nodes
from tests.fault.world import HEAD, NOW, Reverted, World, selector

ETH_USD = "0x5f4ec3df9cbd43714fe2740f5e3616155c5b8419"
BTC_USD = "0xf4030086522a5beea4988f8ca5b36dbc97bee88c"
PHASE = 6 << 64
BOOK = """
[model]
prices = "oracle:ethereum"
[[manual]]
name = "loan"
side = "lending"
[[manual.collateral]]
factor = "ETH"
amount = "10"
price = "3000"
[[manual.collateral]]
factor = "BTC"
amount = "1"
price = "60000"
[[manual.collateral]]
factor = "SOL"
amount = "1"
price = "150"
[[manual.debt]]
factor = "USDC"
amount = "12000"
price = "1"
"""


@dataclass
class FeedWorld(World):
    """A chain with two of Chainlink's feeds at their addresses, which answered once an hour."""

    names: Mapping[str, str] = field(default_factory=lambda: {ETH_USD: "ETH / USD", BTC_USD: "BTC / USD"})
    last: int = 800

    def _run(self, to: str, data: bytes, number: int, gas: object) -> bytes:
        if to.lower() not in self.names:
            return super()._run(to, data, number, gas)  # type: ignore[arg-type]  # passed on
        match data[:4].hex():
            case head if head == selector("description()"):
                return encode(["string"], [self.names[to.lower()]])
            case head if head == selector("decimals()"):
                return (8).to_bytes(32, "big")
            case head if head == selector("latestRoundData()"):
                return self._round(to, self.last)
            case head if head == selector("getRoundData(uint80)"):
                return self._round(to, int.from_bytes(data[4:], "big") - PHASE)
            case _:
                raise Reverted

    def _round(self, to: str, number: int) -> bytes:
        if not 0 < number <= self.last:
            raise Reverted
        at, value = answer(to, number, self.last)
        return encode(["uint80", "int256", "uint256", "uint256", "uint80"], [PHASE + number, value, at, at, PHASE + number])


def answer(to: str, number: int, last: int = 800) -> tuple[int, int]:
    """Time and integer of a round."""
    return NOW - 30 - 3_600 * (last - number), (3_000 if to.lower() == ETH_USD else 60_000) * 10**8 + number


def gathered(*endpoints: ChaosNode, folder: Path | None = None, seconds: float = 30) -> Gathered:
    book = parse(BOOK, "desk.toml")
    return gather(book=book, rpc={"ethereum": [node.url for node in endpoints]}, deadline=seconds, cache_dir=folder)


def test_a_book_gets_the_answers_of_thirty_days(tmp_path: Path) -> None:
    with nodes(FeedWorld()) as [node]:
        first = gathered(node, folder=tmp_path / "cache")
        history, report = first.history, first.reports[-1]
        assert history is not None
        assert (history.names, history.source) == (("BTC", "ETH"), "feeds on ethereum")
        times, prices = history.observations("ETH")
        assert list(zip(times, prices, strict=True)) == [(at, value / 1e8) for at, value in (answer(ETH_USD, n) for n in range(81, 801))]
        assert (report.id, report.kind, report.status) == ("prices:ethereum", "chain", "ok")
        assert report.notes[-1] == "there is no known feed in USD on ethereum for SOL"
        assert report.anchor is not None
        assert report.anchor.number == HEAD
        node.world.head += 1
        again = gathered(node, folder=tmp_path / "cache")
    assert again.history is not None
    assert (again.history.prices == history.prices).all()
    assert again.reports[-1].calls < report.calls / 10


def test_nodes_that_fail_lose_the_prices_and_nothing_else() -> None:
    with nodes(FeedWorld(calls_work=False)) as [node]:
        found = gathered(node)
    assert (found.history, found.reports[-1].id, found.reports[-1].status) == (None, "prices:ethereum", "failed")
    assert found.reports[-1].error
    assert [account.status for account in found.accounts] == ["ok"]


def test_a_chain_without_the_feeds() -> None:
    with nodes(FeedWorld(names={})) as [node]:
        found = gathered(node)
    assert (found.history, found.reports[-1].status) == (None, "ok")
    assert found.reports[-1].notes[-1] == "there is no known feed in USD on ethereum for BTC, ETH, SOL"


def test_the_chain_must_have_a_node() -> None:
    with pytest.raises(UsageError, match=r"no node for that chain - add \[chains.ethereum\] .* --rpc ethereum=URL"):
        gather(book=parse(BOOK, "desk.toml"))
