"""`doctor` and `markets`: every line says ok, warn or fail, with a remedy; nothing but the hosts listed is contacted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.books import PARTIAL, SAFE, written
from tests.cli.node import Node, running
from tests.cli.runner import run


def lines(*args: str, env: dict[str, str | None] | None = None) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """Exit code, and (status, finding, remedy) by subject."""
    ended = run("doctor", "--format", "json", *args, env=env)
    found: list[dict[str, Any]] = json.loads(ended.out)
    return ended.code, {one["subject"]: (one["status"], one["finding"], one["remedy"]) for one in found}


@pytest.fixture
def state(tmp_path: Path) -> list[str]:
    return ["--state", str(tmp_path / "state")]


def test_a_machine_without_configuration(state: list[str]) -> None:
    code, found = lines(*state)
    assert code == 0
    assert found["python"][0] == "ok"
    assert "web3 " in found["packages"][1]
    assert "aave_v3" in found["adapters"][1]
    assert found["cache"][1].endswith("(made when first needed)")
    assert found["nodes"] == ("warn", "none is configured", "give --rpc ethereum=URL, set DEFI_RISK_RPC_ETHEREUM, or use --book")
    assert {status for status, _, _ in found.values()} == {"ok", "warn"}


def test_a_good_node(state: list[str]) -> None:
    with running(Node()) as node:
        code, found = lines("--rpc", f"ethereum={node.url}/v3/CANARY?key=CANARY", *state)
    assert code == 0
    status, finding, _ = found[f"node ethereum {node.url}"]
    assert status == "ok"
    for part in ("chain 1", "block 21,400,000", "multicall3 yes", "batches yes", "reads by hash yes", "archive yes"):
        assert part in finding
    assert found["clock ethereum"][0] == "ok"
    assert found["hosts"][1] == f"a scan contacts these and no others: {node.url}"
    assert "CANARY" not in str(found)
    assert set(node.paths) == {"/v3/CANARY?key=CANARY"}
    assert set(node.asked) == {"eth_chainId", "eth_getBlockByNumber", "eth_getCode", "eth_getBalance"}


def test_a_poor_node_is_told_apart_from_a_broken_one(state: list[str]) -> None:
    with running(Node(archive=False, batches=False, by_hash=False, code="0x", age=500)) as node:
        code, found = lines("--rpc", f"ethereum={node.url}", *state)
    assert code == 0
    for part in ("multicall3 no", "batches no", "reads by hash no", "archive no"):
        assert part in found[f"node ethereum {node.url}"][1]
    assert found["clock ethereum"][0] == "warn"
    assert "s behind this machine's clock" in found["clock ethereum"][1]
    with running(Node(head=5, age=-500)) as node:
        code, found = lines("--rpc", f"ethereum={node.url}", *state)
    assert "archive not needed yet" in found[f"node ethereum {node.url}"][1]
    assert "s ahead of this machine's clock" in found["clock ethereum"][1]


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (Node(chain_id=137), "serves chain id 137, not 1"),
        (Node(broken="eth_getBlockByNumber"), "missing trie node"),
        (Node(broken="eth_chainId"), "missing trie node"),
    ],
)
def test_a_failing_node_is_exit_code_3(node: Node, says: str, state: list[str]) -> None:
    with running(node):
        code, found = lines("--rpc", f"ethereum={node.url}", *state)
    assert code == 3
    [(status, finding, remedy)] = [found[subject] for subject in found if subject.startswith("node ethereum")]
    assert (status, says in finding, bool(remedy)) == ("fail", True, True)


def test_a_node_that_is_not_there_and_one_that_is(state: list[str]) -> None:
    with running(Node()) as node:
        ended = run("doctor", "--rpc", "ethereum=http://127.0.0.1:9/CANARY", "--rpc", f"ethereum={node.url}", *state)
    assert ended.code == 3
    assert "fail node ethereum: http://127.0.0.1:9: connection refused" in ended.out
    assert f"ok node ethereum {node.url}: chain 1" in ended.out
    assert "CANARY" not in ended.out + ended.err


def test_books_and_what_they_cannot_do_yet(tmp_path: Path, state: list[str]) -> None:
    code, found = lines("--book", written(tmp_path, PARTIAL), *state)
    assert code == 3
    assert "desk, 0 wallets, 0 chains, 0 markets, 1 exchanges, 2 manual" in found["book"][1]
    assert found["exchange plain-main"] == (
        "fail",
        "no connection to Plain: connection refused",
        "is it running, and the url in the book right?",
    )
    assert found["hosts"][1] == "a scan contacts these and no others: http://127.0.0.1:9"
    code, found = lines("--book", written(tmp_path, SAFE.replace("[book]", "[bok]")), *state)
    assert (code, found["book"][0]) == (2, "fail")
    assert "did you mean 'book'?" in str(found["book"])
    # configuration is mended before nodes are
    with running(Node(chain_id=5)) as node:
        book = written(tmp_path, f'[chains.ethereum]\nrpc = "{node.url}"\n[chains.base]\nchain_id = 8453\n')
        assert lines("--book", book, *state)[0] == 2


def test_the_environment_counts(state: list[str]) -> None:
    with running(Node(chain_id=8453)) as node:
        code, found = lines(*state, env={"DEFI_RISK_RPC_BASE": node.url})
    assert code == 0
    assert f"node base {node.url}" in found


def test_an_adapter_that_is_not_there(state: list[str]) -> None:
    code, found = lines(*state, env={"DEFI_RISK_ADAPTERS": "aave3"})
    assert (code, found["adapters"][0]) == (2, "fail")
    assert "did you mean 'aave_v3'?" in found["adapters"][2]
    code, found = lines(*state, env={"DEFI_RISK_ADAPTERS": ""})
    assert (code, found["adapters"][0]) == (2, "fail")


def test_cache_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert lines("--state", str(tmp_path / "file"))[0] == 2
    (tmp_path / "open" / "cache").mkdir(parents=True)
    (tmp_path / "open" / "cache").chmod(0o777)
    code, found = lines("--state", str(tmp_path / "open"))
    assert (code, found["cache"][0]) == (2, "fail")
    assert found["cache"][2].startswith("chmod 700 ")
    (tmp_path / "open" / "cache").chmod(0o700)
    assert lines("--state", str(tmp_path / "open"))[1]["cache"][0] == "ok"


def test_markets_by_chain_as_table_and_json() -> None:
    table = run("markets", "--chain", "ethereum")
    rows = table.out.splitlines()
    assert (table.code, table.err) == (0, "")
    assert rows[0].split() == ["chain", "market", "venue", "adapter", "read", "root"]
    assert all(row.startswith("ethereum") for row in rows[1:])
    assert any("aave-v3-ethereum " in row and "yes" in row for row in rows)
    assert any("iron-bank-ethereum" in row and "asked" in row for row in rows)
    found = json.loads(run("markets", "--format", "json").out)
    assert set(found) == {"adapters", "markets"}
    assert {"name", "adapter", "venue", "chain", "chain_id", "params", "source", "confidence", "on"} == set(found["markets"][0])
    assert {market["chain"] for market in found["markets"]} > {"ethereum", "base"}


def test_adapters_with_the_package_that_brings_them() -> None:
    table = run("markets", "--adapters")
    assert "aave_v3" in table.out
    assert "defi-risk" in table.out
    found = json.loads(run("markets", "--adapters", "--format", "json").out)
    assert set(found) == {"adapters"}
    assert {"aave_v3", "compound_v2", "compound_v3", "wallet"} <= {adapter["name"] for adapter in found["adapters"]}
    assert run("markets", "--adapters", env={"DEFI_RISK_ADAPTERS": "wallet"}).out.count("\n") == 2
