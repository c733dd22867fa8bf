"""`explain` at the command line: the demo's story offline, files of any kind, and one line for everything that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from defi_risk import demo
from defi_risk.demo import after
from defi_risk.judging import judge
from defi_risk.snapshot import Snapshot
from tests.accounts import ETH, SETTINGS, USDC, collateral, debt, loan, margin, perp, position
from tests.cli.books import SAFE, written
from tests.cli.runner import run
from tests.taken import WEEK, taken

LOAN = loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000))
LATER = loan(collateral(ETH, 10, 2700, "0.83"), debt(USDC, 12_000))
PERP = perp(margin(USDC, 12_000), position(ETH, -10, 3000))
LOST = loan(name="perp", status="unknown", reason="no answer")


def stored(folder: Path, name: str, snapshot: Snapshot) -> str:
    path = folder / name
    path.write_text(snapshot.to_json(), "utf-8")
    return str(path)


def test_the_demo_tells_a_whole_story_without_network() -> None:
    ended = run("explain", "demo", "demo:after", env={"COLUMNS": "140"})
    assert (ended.code, ended.err) == (0, "")
    first, second, *lines = ended.out.splitlines()
    assert first.startswith("unified health 1.27 → 1.18 (price -0.09, carry +0.00, flow +0.00, parameters +0.00)")
    assert second.startswith("demo (")
    assert "→ demo:after (" in second
    rows = {line.split("  ")[1].strip(): line for line in lines if "$" in line}
    assert rows["Hyperliquid"].split()[-6:] == ["$11,400", "$13,853", "-$2,454", "+$63.00", "+$5,000", "-$156.00"]
    assert rows["Binance · usdm/USDC"].split()[-6:] == ["$2,957", "$2,112", "-$867.46", "+$22.68", "-", "-"]
    assert rows["GMX V2 · double · WBTC short"].split()[-6:] == ["$11,792", "$10,350", "-$1,440", "-$1.49", "-", "-"]
    assert "no effect: collateral of USDC 8,000.00 → 3,000.00" in ended.out


def test_the_demo_after_a_week_is_what_its_module_says() -> None:
    found = demo.gathered()
    before = judge(found).snapshot
    later = after.snapshot(found, before)
    accounts = {account.venue: account for account in later.accounts}
    [weth] = [leg for leg in accounts["Aave V3"].legs if leg.role == "collateral"]
    assert (weth.weight, weth.price_usd, weth.amount) == (0.8, 3240.0, "10")
    margin, short = accounts["Hyperliquid"].legs
    assert (margin.amount, short.size, short.unrealized_pnl_usd) == ("17063", "-10", -2400.0)
    assert short.terms is not None
    assert short.terms.tiers[0][1] == 0.025
    earlier = next(account for account in before.accounts if account.venue == "GMX V2")
    (_, claimed, closing), (_, earned, opened) = accounts["GMX V2"].legs, earlier.legs
    assert not claimed.enabled
    assert float(claimed.amount or 0) - float(earned.amount or 0) == pytest.approx(36_000 * 0.00028919330289 * 21, abs=0.01)
    assert (closing.accrued_fees_usd or 0) - (opened.accrued_fees_usd or 0) == pytest.approx(36_000 * 0.00216 * 7 / 365, abs=0.01)
    margin, short = accounts["Binance"].legs  # 10,800 x 0.01 % x 21 of funding
    assert (margin.amount, short.size, short.unrealized_pnl_usd) == ("3022.68", "-3.6", -864.0)
    assert short.terms is not None
    assert (short.terms.mark, short.terms.index) == (3240.0, 3240.0)
    assert [leg.amount for leg in accounts["Wallet"].legs] == ["3000"]
    assert all(not account.native and account.self_check is None for account in later.accounts)
    assert later.taken_at[:10] > before.taken_at[:10]
    assert later.sources[0].block_hash is None
    assert {source.id: (source.as_of or "")[:10] for source in later.sources[1:]} == {"hyperliquid": "2026-02-07", "binance": "2026-02-07"}


def test_json_to_standard_output_and_into_a_file(tmp_path: Path) -> None:
    files = stored(tmp_path, "a.json", taken([LOAN])), stored(tmp_path, "b.json", taken([LATER], WEEK))
    ended = run("explain", *files, "--format", "json")
    found: dict[str, Any] = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert [found["from"]["file"], found["to"]["file"]] == list(files)
    assert found["accounts"][0]["surplus_usd"]["parts"] == {"price": -2490.0, "carry": 0.0, "flow": 0.0, "parameters": 0.0, "residual": 0.0}
    target = tmp_path / "why.json"
    assert run("explain", *files, "-o", str(target)).err == f"wrote {target}\n"
    assert json.loads(target.read_text("utf-8")) == found
    text = tmp_path / "why.txt"
    assert run("explain", *files, "-o", str(text), "--quiet") == (0, "", "")
    assert text.read_text("utf-8").startswith("unified health 2.08 → 1.87")


def test_the_same_file_twice_is_no_change(tmp_path: Path) -> None:
    file = stored(tmp_path, "a.json", taken([LOAN, PERP]))
    ended = run("explain", file, file)
    assert ended.code == 0
    assert "2 accounts did not change" in ended.out
    assert "price +0.0000" in ended.out


def test_an_account_that_is_not_known_in_both_is_exit_code_3(tmp_path: Path) -> None:
    ended = run("explain", stored(tmp_path, "a.json", taken([LOAN, PERP])), stored(tmp_path, "b.json", taken([LOAN, LOST])))
    assert (ended.code, ended.err) == (3, "")
    assert "? unknown" in ended.out
    assert "unknown after: no answer" in ended.out


def test_betas_come_from_the_book(tmp_path: Path) -> None:
    book = written(tmp_path, SAFE + "[betas]\nETH = 0.8\n")
    settings = type(SETTINGS)(stables=SETTINGS.stables, betas={ETH: 0.8})
    files = [stored(tmp_path, f"{index}.json", taken([one], settings=settings)) for index, one in enumerate((LOAN, LATER))]
    assert "not split" in run("explain", *files).out
    ended = run("explain", *files, "--book", book)
    assert ended.code == 0
    assert "not split" not in ended.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["{a}"], "missing argument 'B.json'"),
        (["{a}", "nowhere.json"], "nowhere.json: cannot be read: No such file or directory"),
        (["{a}", "{other}"], "have no account in common - give two snapshots of one book"),
        (["{a}", "{text}"], "not JSON"),
        (["{a}", "{a}", "-o", "why.csv"], "is neither a text nor a JSON file"),
        (["{a}", "{a}", "-o", "{folder}/"], "is neither a text nor a JSON file"),
        (["{a}", "{a}", "--format", "csv"], "'csv' is not one of 'table', 'json'"),
        (["{a}", "{old}"], "manual:perp: the position ETH has no terms: the snapshot was written by an older version"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(tmp_path: Path, args: list[str], says: str) -> None:
    old = json.loads(taken([PERP]).to_json())
    old["accounts"][0]["legs"][1]["terms"] = None
    names = {
        "a": stored(tmp_path, "a.json", taken([LOAN, PERP])),
        "other": stored(tmp_path, "other.json", taken([loan(collateral(ETH, 1), name="other")])),
        "text": str(tmp_path / "text.json"),
        "old": str(tmp_path / "old.json"),
        "folder": str(tmp_path),
    }
    (tmp_path / "text.json").write_text("unified health 1.37", "utf-8")
    (tmp_path / "old.json").write_text(json.dumps(old), "utf-8")
    ended = run("explain", *(arg.format(**names) for arg in args))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert says in ended.err
    assert ended.err.count("\n") == 1
