"""What the README shows is what happens."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from defi_risk import desks, markets
from defi_risk.book import parse
from tests.cli.runner import run
from tests.readme import PARTS, made

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_made_parts_are_what_the_program_says() -> None:
    """`python -m tests.readme` writes them anew."""
    assert set(re.findall(r"<!-- made: (\w+) -->", README)) == set(PARTS)
    assert made(README) == README


def test_the_book_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_RPC_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("BINANCE_KEY", "a-key-that-is-none")
    monkeypatch.setenv("BINANCE_SECRET", "a-secret-that-is-none")
    exchange, text = blocks("toml")
    book = parse(exchange + text, "desk.toml")
    assert (book.name, [one.name for one in book.manual], [one.name for one in book.markets]) == ("desk", ["perp"], ["my-fork"])
    desks.check(book)
    assert [(one.name, one.id) for one in book.exchanges] == [("binance-main", "binance")]


def test_the_library_example_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the manual part of the README's book, with a price history: the rest would need a node."""
    _, text = blocks("toml")
    manual = text[text.index("[[manual]]") :]
    days = "".join(f"2024-{1 + day // 28:02}-{1 + day % 28:02},{2000 + 50 * (day % 3)}\n" for day in range(28 * 2))
    (tmp_path / "prices.csv").write_text("time,ETH\n" + days)
    (tmp_path / "desk.toml").write_text('[book]\nname = "desk"\n' + manual)
    monkeypatch.chdir(tmp_path)
    [code] = blocks("python")
    assert len(code.strip().splitlines()) <= 10
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102  # our own README
    assert capsys.readouterr().out.startswith("1.37")


def test_every_command_named_exists() -> None:
    for line in "\n".join(blocks("sh")).splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["make"]:
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        elif words:
            assert run(words[1], "--help").code == 0, line


def test_the_numbers_of_markets_are_true() -> None:
    known = markets.built_in()
    assert f"{len(known)} markets on {len({market.chain.id for market in known})} chains are built in" in README


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_version_is_told_once() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]
