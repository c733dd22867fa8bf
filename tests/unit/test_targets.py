"""What a scan is to read: nobody and nothing twice, and every chain with a node."""

from __future__ import annotations

import pytest

from defi_risk import markets, targets
from defi_risk.book import parse
from defi_risk.errors import UsageError
from defi_risk.secrets import Secret

SPARK = markets.by_name("spark-ethereum")
NODE = {"ethereum": [Secret("http://127.0.0.1:1")]}


@pytest.fixture(autouse=True)
def no_nodes_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in markets.chains():
        monkeypatch.delenv(f"DEFI_RISK_RPC_{name.upper()}", raising=False)


@pytest.mark.parametrize("adapter", ["aave_v3", "spark"])
def test_a_root_is_one_market_whichever_adapter_reads_it(adapter: str) -> None:
    text = f'[[markets]]\nadapter = "{adapter}"\nchain = "ethereum"\nname = "mine"\npool_addresses_provider = "{SPARK.root}"\n'
    [target] = targets.chains(parse(text), NODE, ())
    [same] = [market for market in target.markets if market.root == SPARK.root]
    assert (same.adapter, same.name) == (adapter, "mine")


def test_a_chain_under_two_names_is_refused() -> None:
    book = parse("[chains.ethereum]\nchain_id = 31337\nrpc = ['http://127.0.0.1:1']\n")
    with pytest.raises(UsageError, match="'ethereum' and 'local' both have id 31337"):
        targets.chains(book, {"local": [Secret("http://127.0.0.1:2")]}, ())


def test_third_party_markets_are_off_until_named() -> None:
    nodes = {"hyperevm": [Secret("http://127.0.0.1:1")]}
    [target] = targets.chains(parse(""), nodes, ())
    assert [market.adapter for market in target.markets] == ["hyperliquid", "wallet"]
    [target] = targets.chains(parse('[[markets]]\nname = "hyperlend"\n'), nodes, ())
    assert [market.name for market in target.markets] == ["hyperliquid", "hyperlend", "wallet"]


def test_a_chain_needs_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    book = parse("[chains.base]\nconfirmations = 2\n")
    with pytest.raises(UsageError, match="chain 'base' has no node"):
        targets.chains(book, {}, ())
    monkeypatch.setenv("DEFI_RISK_RPC_BASE", "http://127.0.0.1:1/k3y")
    [target] = targets.chains(book, {}, ())
    assert (target.chain.name, target.settings.confirmations) == ("base", 2)
    assert target.settings.rpc[0].origin == "env DEFI_RISK_RPC_BASE"


def test_the_environment_adds_no_chain_to_a_book_that_names_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFI_RISK_RPC_BASE", "http://127.0.0.1:1")
    book = parse("[chains.ethereum]\nrpc = ['http://127.0.0.1:2']\n")
    assert [target.chain.name for target in targets.chains(book, {}, ())] == ["ethereum"]
    assert [target.chain.name for target in targets.chains(parse(""), {}, ())] == ["base"]
