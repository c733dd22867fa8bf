"""The parts of the README that are made: `python -m tests.readme` writes them anew, a test holds them to what the program says.

A made part stands between `<!-- made: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.cli.desks import SIGMAS, hedge, taken
from tests.cli.runner import run

ROOT: Final = Path(__file__).parents[1]
FILE: Final = ROOT / "README.md"
PART: Final = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def picture() -> str:
    """The demo's headline and accounts."""
    head, accounts, *_ = run("demo").out.split("\n\n")
    return f"```text\n$ defi-risk demo\n{head}\n\n{accounts}\n…\n```\n"


def stress() -> str:
    """The demo under stress: the table of scenarios."""
    table = next(part for part in run("stress", "demo").out.split("\n\n") if part.startswith("stress"))
    return f"```text\n$ defi-risk stress demo\n…\n{table}\n…\n```\n"


def rescue() -> str:
    """What saves the demo from a rise by 40 %."""
    told = run("plan", "demo", "--survive", "+40%").out.rpartition("next:")[0].rstrip()
    return f"```text\n$ defi-risk plan demo --survive +40%\n{told}\n```\n"


def why() -> str:
    """What changed in a week of the demo."""
    told = [line for line in run("explain", "demo", "demo:after").out.rstrip().splitlines() if not line.startswith("demo (")]
    return "```text\n$ defi-risk explain demo demo:after\n" + "\n".join(told) + "\n```\n"


def netting() -> str:
    """Case A in numbers: a loan whose dollars are the margin of the short that hedges it."""
    with TemporaryDirectory() as folder:
        snapshot, accounts = taken(Path(folder), hedge(), SIGMAS)
    book, aave, perp = snapshot["book_health"], accounts["aave"], accounts["perp"]
    first = snapshot["cascade"]["up"][0]
    down, up = _price(aave, "down"), _price(perp, "up")
    rows = [
        ("", "the loan", "the short", "netted"),
        ("health today", f"{aave['health']:.2f}", f"{perp['health']:.1f}", f"{book['netted_health']:.2f}"),
        ("to spare", f"{aave['surplus_usd']:,.0f} USD", f"{perp['surplus_usd']:,.0f} USD", f"{_sum(aave, perp):,.0f} USD"),
        ("dies at", f"ETH {down:,.0f} ({_move(aave, 'down')})", f"**ETH {up:,.0f} ({_move(perp, 'up')})**", _netted(book)),
        ("distance", f"{aave['sigma']:.1f} standard deviations", f"**{perp['sigma']:.1f}**", "-"),
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| --- | --- | --- | --- |")
    after = 10 * first["prices"]["ETH"] * 0.83 / 12_000
    told = (
        f"At ETH {first['prices']['ETH']:,.2f} the loan's health has *risen* to {after:.2f}, net equity is still "
        f"{first['equity_after_usd']:,.0f} USD, and the short is liquidated: what is left is {first['exposure_after']['ETH']:,.0f} USD of "
        f"ETH without a hedge. The netted figure promised {_netted(book)}."
    )
    return "\n".join(lines) + "\n\n" + told + "\n"


PARTS: Final[Mapping[str, Callable[[], str]]] = {"picture": picture, "netting": netting, "stress": stress, "rescue": rescue, "why": why}


def made(text: str) -> str:
    """The README's text with every made part as it must be."""
    return PART.sub(lambda found: found[1] + PARTS[found[2]]() + found[4], text)


def _price(account: dict[str, Any], direction: str) -> float:
    return next(float(one["price"]) for one in account["liquidation"] if one["direction"] == direction and one["factor"] == "ETH")


def _move(account: dict[str, Any], direction: str) -> str:
    return f"{account['market_moves'][direction]:+.1%}"


def _netted(book: dict[str, Any]) -> str:
    return f"{book['netted_uhf'] - 1:+,.0%}"


def _sum(*accounts: dict[str, Any]) -> float:
    return float(sum(account["surplus_usd"] for account in accounts))


if __name__ == "__main__":
    FILE.write_text(made(FILE.read_text("utf-8")), "utf-8")
