"""`whatif` at the command line: every change, both forms, files, exit codes, and one line for everything that cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.books import PARTIAL, UNPRICED, written
from tests.cli.desks import aave, held, perp, position
from tests.cli.runner import Ended, run

Considered = dict[str, Any]
KEYS = {"what_if", "before", "after", "accounts_before", "accounts_after", "grid"}
STANDING = {"id", "equity_usd", "surplus_usd", "health", "hf", "down", "up"}
CROSS = perp(
    "cross",
    held("USDC", 10_000),
    position("ETH", 10, 3000, initial="0.1", funding_8h="0.0001"),
    position("BTC", "-0.5", 60_000, initial="0.05", funding_8h="0.0002"),
)


def asked(folder: Path, book: str, *options: str) -> Ended:
    """`whatif` for a book, or for tables without a `[book]`."""
    text = book if "[book]" in book else '[book]\nname = "case"\n' + book
    return run("whatif", "--book", written(folder, text), *options, env={"COLUMNS": "160"})


def considered(folder: Path, book: str, *options: str, code: int = 0) -> Considered:
    """The what-if as JSON."""
    ended = asked(folder, book, "--format", "json", *options)
    assert ended.code == code, ended.err
    found: Considered = json.loads(ended.out)
    assert found.keys() == KEYS
    assert all(one.keys() == STANDING for one in (*found["accounts_before"], *found["accounts_after"]))
    return found


def by_id(accounts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in accounts}


def test_the_demo_with_its_funding_left_in() -> None:
    ended = run("whatif", "demo", "--sweep", "Hyperliquid=30", env={"COLUMNS": "160"})
    assert (ended.code, ended.err) == (0, "")
    rows = [line.split() for line in ended.out.splitlines() if "/hyperliquid/" in line]
    assert [[row[0], *row[2:]] for row in rows] == [
        ["before", "$12,000", "20.0", "$11,400", "-", "+37.3", "%"],
        ["after", "$12,270", "20.4", "$11,670", "-", "+38.1", "%"],
    ]


def test_every_position_on_its_own(tmp_path: Path) -> None:
    found = considered(tmp_path, CROSS + aave(12_000), "--isolate", "cross")
    assert found["what_if"] == "isolate"
    assert found["grid"] is None
    assert [one["id"] for one in found["accounts_before"]] == ["manual:cross"]
    after = by_id(found["accounts_after"])
    assert list(after) == ["manual:cross/isolated-1:ETH", "manual:cross/isolated-2:BTC", "manual:cross/rest"]
    assert [one["equity_usd"] for one in after.values()] == [pytest.approx(usd) for usd in (3_000, 1_500, 5_500)]
    assert found["after"]["net_equity_usd"] == pytest.approx(found["before"]["net_equity_usd"])
    # 3,000 under 30,000 at 2 %: dead at (1 - 0.1) / (1 - 0.02)
    assert found["after"]["corridor"][0] == pytest.approx(0.9 / 0.98 - 1)


def test_the_full_id_names_an_account_too(tmp_path: Path) -> None:
    assert considered(tmp_path, CROSS, "--isolate", "manual:cross") == considered(tmp_path, CROSS, "--isolate", "cross")


def test_funding_is_received_and_paid(tmp_path: Path) -> None:
    found = considered(tmp_path, CROSS, "--sweep", "cross=10")
    [before], [after] = found["accounts_before"], found["accounts_after"]
    # the long pays 30,000 x 0.01 % x 30, the short gets 30,000 x 0.02 % x 30
    assert after["equity_usd"] - before["equity_usd"] == pytest.approx(-90 + 180)
    assert found["what_if"] == "sweep"
    none = considered(tmp_path, CROSS, "--sweep", "cross=0")
    assert none["before"] == none["after"]


def test_a_grid_beside_the_sum(tmp_path: Path) -> None:
    found = considered(tmp_path, CROSS, "--grid", "cross=10%")
    assert found["what_if"] == "grid"
    assert found["before"] == found["after"]
    grid = found["grid"]
    assert (grid["account"], grid["grid_usd"], grid["summed_usd"]) == ("manual:cross", pytest.approx(6_000), pytest.approx(1_200))
    assert grid["difference_usd"] == pytest.approx(1_200 - 6_000)
    assert [(one["factor"], one["move"]) for one in grid["scenarios"]] == [("BTC", pytest.approx(0.1)), ("ETH", pytest.approx(-0.1))]
    assert considered(tmp_path, CROSS, "--grid", "cross") == considered(tmp_path, CROSS, "--grid", "cross=15%")
    table = asked(tmp_path, CROSS, "--grid", "cross=10%").out
    assert "$6,000 by the worst of a grid of prices, $1,200 position by position" in table


def test_accounts_of_two_venues_do_not_share_margin(tmp_path: Path) -> None:
    other = perp("other", held("USDC", 1_000), position("ETH", -1, 3000))
    ended = asked(tmp_path, CROSS + other, "--merge", "cross", "--merge", "other")
    assert (ended.code, ended.out) == (2, "")
    assert "these accounts cannot share margin" in ended.err


def test_an_account_cannot_be_merged_with_itself(tmp_path: Path) -> None:
    for names in (("cross", "cross"), ("cross", "manual:cross")):
        ended = asked(tmp_path, CROSS, *(part for name in names for part in ("--merge", name)))
        assert (ended.code, ended.out) == (2, "")
        assert "manual:cross cannot share margin with itself - name two or more accounts, each once" in ended.err


def test_a_failed_source_makes_bounds_a_warning_and_exit_3(tmp_path: Path) -> None:
    for options in (("--isolate", "short"), ("--grid", "short")):
        found = considered(tmp_path, PARTIAL, *options, code=3)
        assert (found["before"]["bound"], found["after"]["bound"]) == ("at_most", "at_most")
    ended = asked(tmp_path, PARTIAL, "--isolate", "short", "--quiet")
    assert ended.out.startswith("unified health  at most 1.37 → at most ")
    source, warning = ended.err.splitlines()
    assert source.startswith("error: plain-main: ")
    assert warning == "warning: a source failed or an account is unknown: the what-if knows nothing of it"


def test_an_unknown_account_is_no_zero(tmp_path: Path) -> None:
    found = considered(tmp_path, UNPRICED, "--isolate", "short", code=3)
    assert found["after"]["bound"] == "at_most"
    ended = asked(tmp_path, UNPRICED, "--isolate", "odd")
    assert ended.code == 2
    assert "could not be read" in ended.err.splitlines()[-1]


@pytest.mark.parametrize(("name", "form"), [("whatif.json", "json"), ("whatif.txt", "table"), ("whatif", "table")])
def test_files(tmp_path: Path, name: str, form: str) -> None:
    ended = run("whatif", "demo", "--grid", "Hyperliquid", "-o", str(tmp_path / name))
    assert (ended.code, ended.out) == (0, "")
    content = (tmp_path / name).read_text("utf-8")
    assert content == run("whatif", "demo", "--grid", "Hyperliquid", "--format", form).out


ONE = "ask for one change at a time - one of --isolate ACCOUNT, --merge ACCOUNT --merge ACCOUNT, --sweep ACCOUNT=30, --grid ACCOUNT"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], ONE),
        (["--isolate", "Hyperliquid", "--grid", "Hyperliquid"], ONE),
        (["--isolate", ""], ONE),
        (["--isolate", "Hyperliquids"], "unknown account 'Hyperliquids' - did you mean 'Hyperliquid'?"),
        (["--isolate", "Hyperliquid=30"], "unknown account 'Hyperliquid=30'"),
        (["--merge", "Hyperliquid"], "cannot share margin - name two or more derivatives accounts of one owner at one venue"),
        (["--merge", "Hyperliquid", "--merge", "nobody"], "unknown account 'nobody'"),
        (["--sweep", "Hyperliquid"], "--sweep 'Hyperliquid' is not ACCOUNT=DAYS - --sweep Hyperliquid=30"),
        (["--sweep", "=30"], "--sweep '=30' is not ACCOUNT=DAYS"),
        (["--sweep", "Hyperliquid=-1"], "--sweep 'Hyperliquid=-1' is not ACCOUNT=DAYS"),
        (["--sweep", "Hyperliquid=1e9"], "--sweep 'Hyperliquid=1e9' is not ACCOUNT=DAYS"),
        (["--sweep", "Hyperliquid=nan"], "--sweep 'Hyperliquid=nan' is not ACCOUNT=DAYS"),
        (["--sweep", "Hyperliquid=999999"], "--sweep 'Hyperliquid=999999' is not ACCOUNT=DAYS"),
        (["--grid", "Hyperliquid=15"], "--grid 'Hyperliquid=15' is not ACCOUNT=RANGE - --grid Hyperliquid=15%"),
        (["--grid", "Hyperliquid=-15%"], "--grid 'Hyperliquid=-15%' is not ACCOUNT=RANGE"),
        (["--grid", "=15%"], "--grid '=15%' is not ACCOUNT=RANGE"),
        (["--grid", "Hyperliquid=0%"], "a price range of 0.0 cannot be - price times volatility from 0 to 0.5"),
        (["--grid", "Hyperliquid=51%"], "a price range of 0.51 cannot be"),
        (["--grid", "nobody"], "unknown account 'nobody'"),
        (["--grid", "Hyperliquid", "--format", "csv"], "'csv' is not one of 'table', 'json'"),
        (["--grid", "Hyperliquid", "-o", "grid.csv"], "-o 'grid.csv' is neither a text nor a JSON file"),
        (["--grid", "Hyperliquid", "-o", "no/such/grid.json"], "cannot write 'no/such/grid.json'"),
        (["--grid", "Hyperliquid", "another"], "'demo' is a book of its own"),
    ],
)
def test_what_cannot_be_asked_is_one_line(options: list[str], said: str) -> None:
    ended = run("whatif", "demo", *options)
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    assert said in line


def test_only_derivatives_with_margin_and_known_funding(tmp_path: Path) -> None:
    for book, options, said in (
        (aave(12_000), ("--isolate", "aave"), "manual:aave is a loan"),
        (aave(12_000), ("--grid", "aave"), "manual:aave is a loan"),
        (perp("bare", held("USDC", 100)), ("--isolate", "bare"), "manual:bare has no positions"),
        (perp("thin", held("USDC", -100), position("ETH", 1, 3000)), ("--isolate", "thin"), "manual:thin has no margin to split"),
        (perp("p", held("USDC", 100), position("ETH", 1, 3000)), ("--sweep", "p=1"), "the funding rate of ETH in manual:p is not known"),
    ):
        ended = asked(tmp_path, book, *options)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
