"""What a notebook shows for a snapshot: one sentence and one table, escaped, without script or style of its own."""

from __future__ import annotations

from html import escape
from typing import Final

from defi_risk.snapshot.model import Account, Snapshot
from defi_risk.snapshot.words import Names, dollars, headline, percent, ratio
from defi_risk.text import clean

HEAD: Final = ("account", "side", "health", "HF", "surplus", "falls to", "rises to")
MOST: Final = 100


def notebook(snapshot: Snapshot) -> str:
    """HTML for `_repr_html_`."""
    names = Names(snapshot.accounts)
    head = "".join(f"<th>{escape(title)}</th>" for title in HEAD)
    rows = "".join(_row(account, names.of(account)) for account in snapshot.accounts[:MOST])
    rest = len(snapshot.accounts) - MOST
    more = f"<p>and {rest:,} more accounts</p>" if rest > 0 else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<p><b>{escape(clean(snapshot.book))}</b>: {escape(headline(snapshot))}</p>{table}{more}"


def _row(account: Account, name: str) -> str:
    start = f"<tr><td>{escape(name)}</td><td>{account.side}</td>"
    if account.status == "unknown":
        return f"{start}<td colspan=5>unknown: {escape(clean(account.reason or ''))}</td></tr>"
    moves = account.market_moves
    numbers = (ratio(account.health), ratio(account.hf), dollars(account.surplus_usd), percent(moves.down), percent(moves.up))
    return start + "".join(f"<td>{escape(number)}</td>" for number in numbers) + "</tr>"
