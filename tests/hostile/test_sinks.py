"""Text that attacks terminals, spreadsheets, pages and parsers arrives in every field, and is inert in every sink."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import jsonschema
import pyarrow.parquet
import pytest

from defi_risk.cli import warn
from defi_risk.export.csv import write_csv
from defi_risk.export.parquet import write_parquet
from defi_risk.export.table import as_text, show
from defi_risk.ids import AccountId, Factor
from defi_risk.model import Account, SourceReport
from defi_risk.snapshot import Snapshot, from_json
from defi_risk.snapshot.html import notebook
from defi_risk.snapshot.schema import shipped
from tests.accounts import ETH, USDC, collateral, debt, loan, margin, perp, position
from tests.pictures import READ, named, picture

STRINGS: dict[str, str] = json.loads((Path(__file__).parents[2] / "fixtures" / "hostile" / "strings.json").read_text("utf-8"))
STRINGS["megabyte"] = "A" * 1_000_000
VALIDATOR = jsonschema.Draft202012Validator(shipped())
SGR = re.compile(r"\x1b\[[0-9;]*m")
PLAIN_TAGS = {"p", "b", "table", "thead", "tbody", "tr", "th", "td"}


def infested(text: str) -> Snapshot:
    """A book in which everybody else's text is the hostile one."""
    eth = replace(collateral(ETH, 10, 3000, "0.83"), asset=named(text))
    lending = loan(eth, debt(ETH, 8, 3000), venue=text, owner=text, chain="ethereum")
    short = perp(margin(ETH, 1, 3000), replace(position(ETH, -5, 3000), asset=named(text)), venue=text)
    foreign = loan(replace(eth, factor=Factor(text or "?")), debt(USDC, 9_000), name="foreign", venue=text)
    lost = loan(name="lost", status="unknown", reason=text, venue=text)
    accounts = [in_market(lending, text), in_market(short, text), foreign, lost]
    failed = SourceReport(id=text, kind="exchange", status="failed", error=text, notes=(text, text))
    return picture(accounts, [READ, failed], name=text)


def in_market(account: Account, text: str) -> Account:
    return replace(account, market=text, mode=text, id=AccountId(account.id))


@pytest.fixture(scope="module", params=sorted(STRINGS))
def case(request: pytest.FixtureRequest) -> Snapshot:
    return infested(STRINGS[request.param])


def assert_inert(text: str) -> None:
    """Nothing but printable characters and line ends."""
    bad = {char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")}
    assert not bad


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 80, 120])
def test_plain_terminal(case: Snapshot, width: int) -> None:
    text = as_text(case, width)
    assert_inert(text)
    assert text.startswith("unified health")
    assert sum(line.startswith("unified health") for line in text.splitlines()) == 1
    assert len(text) < 20_000


def test_colour_terminal_gets_colours_and_nothing_else(case: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    show(case, screen)
    assert SGR.search(screen.getvalue())
    assert_inert(SGR.sub("", screen.getvalue()))


def test_json(case: Snapshot) -> None:
    text = case.to_json()
    VALIDATOR.validate(json.loads(text))
    assert from_json(text) == case
    assert_inert(text)
    assert json.loads(text)["accounts"][0]["hf"] == pytest.approx(case.accounts[0].hf)


@pytest.mark.parametrize("table", ["accounts", "legs", "flags", "stress"])
def test_csv(case: Snapshot, table: str) -> None:
    stream = io.BytesIO()
    write_csv(case, table, stream)
    rows = list(csv.reader(io.StringIO(stream.getvalue().decode("utf-8"), newline="")))
    assert {len(row) for row in rows} == {len(rows[0])}
    legs = [leg for one in case.accounts for leg in one.legs]
    assert len(rows) == 1 + len({"accounts": case.accounts, "legs": legs, "flags": case.flags, "stress": case.stress}[table])
    for row in rows[1:]:
        for cell in row:
            assert_inert(cell)
            assert not cell.startswith(("=", "+", "@", "\t", "\r"))
            assert not cell.startswith("-") or re.fullmatch(r"-[0-9.]+(e[+-]?[0-9]+)?", cell)


def test_parquet(case: Snapshot) -> None:
    for table in ("accounts", "legs", "flags", "stress"):
        stream = io.BytesIO()
        write_parquet(case, table, stream)
        stream.seek(0)
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(stream).to_pylist()
        assert {row["snapshot_id"] for row in rows} == {case.id}
        for row in rows:
            for value in row.values():
                assert_inert(value if isinstance(value, str) else "")


class Tags(HTMLParser):
    """All that a page would do more than show text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def test_notebook(case: Snapshot) -> None:
    page = notebook(case)
    tags = Tags()
    tags.feed(page)
    assert {tag for tag, _ in tags.found} <= PLAIN_TAGS
    assert {name for _, attributes in tags.found for name, _ in attributes} <= {"colspan"}
    assert_inert(page)
    assert "<!" not in page


def test_standard_error(case: Snapshot, capsys: pytest.CaptureFixture[str]) -> None:
    for text in strings(case):
        warn(text)
    lines = capsys.readouterr().err
    assert_inert(lines)
    assert lines.count("\n") == len(list(strings(case)))


def strings(case: Snapshot) -> Iterator[str]:
    for account in case.accounts:
        yield from (account.venue, account.market, account.owner, account.reason or "-")
    for source in case.sources:
        yield from (source.id, source.error or "-", *source.notes)


@pytest.mark.parametrize("name", sorted(STRINGS))
def test_an_error_line_is_one_line_whatever_it_quotes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from defi_risk.cli import main

    with pytest.raises(SystemExit) as end:
        main(["scan", STRINGS[name][:200].replace("\0", "") or "x", "--quiet"])
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert_inert(captured.err)
    assert click.unstyle(captured.err) == captured.err
