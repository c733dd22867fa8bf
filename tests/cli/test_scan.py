"""`scan` of books that need no node: forms, files, exit codes, and the table for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jsonschema
import pyarrow.parquet
import pytest

from defi_risk.snapshot import load
from defi_risk.snapshot.schema import shipped
from tests.cli.books import DEAD, NEAR, PARTIAL, SAFE, UNPRICED, written
from tests.cli.runner import run


def test_the_first_line_is_the_answer(tmp_path: Path) -> None:
    ended = run("scan", "--book", written(tmp_path, SAFE))
    first = ended.out.splitlines()[0]
    assert (ended.code, ended.err) == (0, "")
    assert first.startswith("unified health  1.37 ")
    assert "if the market RISES 37.3 % (ETH at $4,117.65)" in first
    for part in ("-51.8 % … +37.3 %", "upper bound, not a safety number", "desk: 2 margin accounts", "next: "):
        assert part in ended.out


def test_json_is_the_snapshot_and_nothing_else(tmp_path: Path) -> None:
    ended = run("scan", "--book", written(tmp_path, SAFE), "--format", "json")
    found = json.loads(ended.out)
    jsonschema.validate(found, shipped(), cls=jsonschema.Draft202012Validator)
    assert (ended.code, ended.err, found["book"]) == (0, "", "desk")
    assert found["book_health"]["uhf"] == pytest.approx(1.372549, abs=1e-6)


def test_csv_prints_the_accounts(tmp_path: Path) -> None:
    ended = run("scan", "--book", written(tmp_path, SAFE), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(ended.out, newline="")))
    assert ended.code == 0
    assert [row["id"] for row in rows] == ["manual:loan", "manual:short"]
    assert float(rows[0]["health"]) == pytest.approx(2.075)
    assert (rows[0]["market_move_up"], rows[0]["liquidatable"]) == ("", "false")


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [
        (SAFE, None, 0),
        (SAFE, "warning", 10),
        (SAFE, "critical", 0),
        (NEAR, None, 0),
        (NEAR, "warning", 10),
        (NEAR, "critical", 0),
        (DEAD, None, 0),
        (DEAD, "warning", 10),
        (DEAD, "critical", 10),
        (PARTIAL, None, 3),
        (PARTIAL, "critical", 3),
        (PARTIAL, "warning", 10),
        (UNPRICED, None, 3),
    ],
)
def test_exit_codes(tmp_path: Path, text: str, fail_on: str | None, code: int) -> None:
    options = ["--fail-on", fail_on] if fail_on else []
    ended = run("scan", "--book", written(tmp_path, text), "--format", "json", *options)
    assert ended.code == code
    assert json.loads(ended.out)["partial"] is (text in (PARTIAL, UNPRICED))


def test_what_is_missing_is_said_in_the_table_and_on_standard_error(tmp_path: Path) -> None:
    partial = run("scan", "--book", written(tmp_path, PARTIAL))
    assert "unified health  at most 1.37" in partial.out
    assert "plain-main FAILED" in partial.out
    assert partial.err.startswith("error: plain-main: no connection to Plain: connection refused - ")
    quoted = run("scan", "--book", written(tmp_path, PARTIAL), "--format", "json")
    assert quoted.err == partial.err  # a source that failed is told once, not again for the account that stands for it
    assert quoted.err.count("\n") == 1
    unpriced = run("scan", "--book", written(tmp_path, UNPRICED))
    assert "? unknown  odd" in unpriced.out
    assert "XYZ" in unpriced.out
    assert unpriced.err == ""
    as_json = run("scan", "--book", written(tmp_path, UNPRICED), "--format", "json")
    assert as_json.err.startswith("warning: manual:odd is unknown: ")


def test_the_dead_are_named_first(tmp_path: Path) -> None:
    ended = run("scan", "--book", written(tmp_path, DEAD))
    assert ended.out.splitlines()[0].startswith("unified health  0.96 ")
    assert "can be LIQUIDATED NOW" in ended.out.splitlines()[0]
    assert "✖ critical  LIQUIDATABLE" in ended.out
    assert "→ repay or add collateral now" in ended.out


@pytest.mark.parametrize(("name", "form"), [("a.json", None), ("a.out", "json")])
def test_a_file_for_json(tmp_path: Path, name: str, form: str | None) -> None:
    path = tmp_path / name
    ended = run("scan", "--book", written(tmp_path, SAFE), "-o", str(path), *(["--format", form] if form else []))
    assert (ended.code, ended.out, ended.err) == (0, "", f"wrote {path}\n")
    assert load(path).book == "desk"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted((name, "desk.toml"))


def test_files_by_their_suffix(tmp_path: Path) -> None:
    book = written(tmp_path, SAFE)
    for name in ("a.csv", "a.parquet", "a.txt"):
        assert run("scan", "--book", book, "-o", str(tmp_path / name), "--quiet") == (0, "", "")
    assert (tmp_path / "a.csv").read_text().startswith("snapshot_id,taken_at,id,")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").column("hf").to_pylist()[0] == pytest.approx(2.075)
    assert (tmp_path / "a.txt").read_text().startswith("unified health  1.37")
    assert "\x1b" not in (tmp_path / "a.txt").read_text()


@pytest.mark.parametrize("form", [None, "csv", "parquet"])
def test_a_folder_gets_one_file_a_table(tmp_path: Path, form: str | None) -> None:
    folder = tmp_path / "out"
    options = ["--format", form] if form else []
    assert run("scan", "--book", written(tmp_path, NEAR), "-o", f"{folder}/", "-q", *options).code == 0
    suffix = form or "csv"
    assert {file.name for file in folder.iterdir()} == {f"{name}.{suffix}" for name in ("accounts", "legs", "flags", "stress")}
    # an existing folder needs no slash
    assert run("scan", "--book", written(tmp_path, NEAR), "-o", str(folder), "-q", "--format", "json").code == 0
    assert load(folder / "snapshot.json").book == "desk"


def test_an_old_file_is_replaced_whole_and_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "real.json", tmp_path / "link.json"
    target.write_text("x" * 1_000_000)
    link.symlink_to(target)
    assert run("scan", "--book", written(tmp_path, SAFE), "-o", str(link), "-q").code == 0
    assert link.is_symlink()
    assert load(target).book == "desk"
    assert run("scan", "--book", written(tmp_path, SAFE), "-o", "/dev/null", "-q", "--format", "json").code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "no wallet to scan"),
        (["0x12"], "address '0x12' has 2 hex digits"),
        (["0x71c7656EC7ab88b098defB751B7401B5f6d8976F"], "wrong checksum"),
        (["vitalik"], "not an address: 'vitalik'"),
        (["demo", "0x71C7656EC7ab88b098defB751B7401B5f6d8976F"], "'demo' is a book of its own"),
        (["--book", "/nowhere.toml"], "/nowhere.toml: cannot be read: No such file"),
        (["--book", "/"], "Is a directory"),
        (["--wallets", "/nowhere.txt"], "/nowhere.txt: cannot be read: No such file"),
        (["--rpc", "ethereum"], "must be CHAIN=URL"),
        (["--rpc", "=http://x"], "must be CHAIN=URL"),
        (["--rpc", "ethereum="], "--rpc ethereum: literal is empty"),
        (["--rpc", "ethereum=env:NOT_SET_ANYWHERE"], "--rpc ethereum: environment variable NOT_SET_ANYWHERE is not set"),
        (["--rpc", "ethereum=CANARY"], "--rpc ethereum: the value is not the URL of a node"),
        (["--rpc", "ethereum=wss://u:CANARY@h/CANARY"], "is not the URL of a node"),
        (["0x" + "1" * 40, "--rpc", "etherum=http://127.0.0.1:9/CANARY"], "unknown chain 'etherum' - did you mean 'ethereum'?"),
        (["0x" + "1" * 40, "ethereum=http://127.0.0.1:9/CANARY"], "not an address: 'ethereum=http://127.0.0.1:9"),
        (["--block", "newest"], "'newest' is not a block; write a number, latest, safe or finalized"),
        (["--block", "-1"], "is not a block"),
        (["--block", "pending"], "is not a block"),
        (["--block", ""], "is not a block"),
        (["--deadline", "soon"], "'soon' is not a time"),
        (["--deadline", "0"], "'0' is not a time"),
        (["--deadline", "-5s"], "'-5s' is not a time"),
        (["--deadline", "25h"], "is not a time of up to a day"),
        (["--market", "aave"], "'aave' is not KEY=VALUE"),
        (["--market", "adapter=aave_v3,adapter=aave_v3"], "'adapter' stands twice"),
        (["--market", "adapter=aave3,chain=ethereum"], "unknown adapter 'aave3' - did you mean 'aave_v3'?"),
        (["--market", "name=aave-v3-etherum"], "unknown market 'aave-v3-etherum' - did you mean 'aave-v3-ethereum'?"),
        (["--market", "adapter=aave_v3,chain=etherum,pool_addresses_provider=0x" + "1" * 40], "unknown chain 'etherum'"),
        (["--market", "adapter=aave_v3,chain=ethereum"], "pool_addresses_provider"),
        (["--market", "adapter=aave_v3,chain=ethereum,pool_address_provider=0x1"], "did you mean 'pool_addresses_provider'?"),
        (["--market", "adapter=aave_v3,chain=ethereum,pool_addresses_provider=0x1"], "has 1 hex digits"),
        (["--format", "xml"], "'xml' is not one of"),
        (["--format", "parquet"], "Parquet is not for a terminal - add -o"),
        (["-o", "/nowhere/a.json"], "cannot write '/nowhere/a.json': the folder '/nowhere' does not exist"),
        (["-o", ""], "-o needs the name"),
        (["-o", "a.xlsx"], "-o 'a.xlsx' does not tell what to write - end it in .json, .csv, .parquet or .txt, or add --format"),
        (["--fail-on", "info"], "'info' is not one of 'warning', 'critical'"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], says: str) -> None:
    ended = run("scan", *args)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert "CANARY" not in ended.err


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run("scan", "--book", written(tmp_path, SAFE), "-o", f"{tmp_path}/file/")
    assert (ended.code, ended.out) == (2, "")
    assert "cannot make the folder" in ended.err


def test_a_missing_extra_is_named_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    ended = run("scan", "--book", "/nowhere.toml", "-o", str(tmp_path / "a.parquet"))
    assert (ended.code, ended.err) == (2, "error: Parquet needs an extra - pip install 'defi-risk[parquet]'\n")


def test_environment_and_option_stand_before_the_book(tmp_path: Path) -> None:
    unset = '[chains.ethereum]\nrpc = "${NOT_SET_ANYWHERE}"\n' + SAFE
    assert run("scan", "--book", written(tmp_path, unset)).code == 2
    assert run("scan", "--book", written(tmp_path, unset), env={"DEFI_RISK_RPC_ETHEREUM": "http://127.0.0.1:9"}).code == 0
    assert run("scan", "--book", written(tmp_path, unset), "--rpc", "ethereum=http://127.0.0.1:9").code == 0


def test_verbose_tells_how_the_sources_went(tmp_path: Path) -> None:
    ended = run("scan", "--book", written(tmp_path, SAFE), "--verbose", "--format", "json")
    assert "manual: ok, 0 reads in 0 round trips" in ended.err
    assert json.loads(ended.out)["book"] == "desk"


def test_the_demo_is_a_book_like_any_other() -> None:
    shown, scanned = run("demo", "--format", "json"), run("scan", "demo", "--format", "json")
    assert (shown.code, shown.err) == (0, "")
    first, second = json.loads(shown.out), json.loads(scanned.out)
    assert (first["book"], first["partial"]) == ("demo", False)
    assert first["accounts"] == second["accounts"]
    assert run("demo").out.startswith("unified health  ")
    assert "next: defi-risk stress demo" in run("demo").out


def test_a_name_that_cannot_be_resolved_leaves_the_rest_of_the_book(tmp_path: Path) -> None:
    """The Ethereum node is down: the manual accounts are still there, and the snapshot says what is missing."""
    ended = run("scan", "vitalik.eth", "--book", written(tmp_path, SAFE), "--rpc", "ethereum=http://127.0.0.1:9", "--format", "json")
    assert ended.code == 3
    found = json.loads(ended.out)
    assert found["partial"]
    assert found["book_health"]["bound"] == "at_most"
    assert len(found["accounts"]) == 2
    [failed] = [source for source in found["sources"] if source["status"] == "failed"]
    assert "nothing was read for vitalik.eth" in failed["error"]
