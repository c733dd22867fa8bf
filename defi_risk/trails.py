"""How far transfers on chain tell which loan funds which margin: asked after everything else, and never at the cost of a scan.

Logs are asked for only where a token that a loan owes can have become margin of the book (`defi_risk.linking.scope`): mostly that is one
more round trip on one chain. A node without logs, or one that is slow, is a note, and links are what they are without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from defi_risk import linking, markets
from defi_risk.book import Book
from defi_risk.errors import SourceError
from defi_risk.ids import Address, ChainId
from defi_risk.linking import Link, Search, Seen
from defi_risk.model import Account
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Crew, Deadline
from defi_risk.sources.logs import MOST_WALLETS

DAY: Final = 86_400
SECONDS: Final = 3.0
"""What asking for logs may take; a round under way at the end of it gets as long again."""
LEAST: Final = 1.0
"""Seconds below which asking is not begun."""


def follow(
    book: Book, accounts: Sequence[Account], wallets: Iterable[Address], sources: Mapping[ChainId, ChainSource], limit: Deadline
) -> tuple[Link, ...]:
    """The links that transfers prove; sources get a note of what could not be told."""
    own = tuple(dict.fromkeys(wallets))
    tagged = linking.tagged(accounts, [(link.loan, link.margin) for link in book.links])
    wanted = [search for search in linking.searches(accounts, own, tagged) if search.chain in sources] if book.model.follow_days else []
    patience = min(SECONDS, limit.left() / 4)
    able: list[Search] = []
    for search in wanted:
        if len(own) > MOST_WALLETS or patience < LEAST:
            why = f"between more than {MOST_WALLETS} wallets" if len(own) > MOST_WALLETS else "for want of time"
            sources[search.chain].note(f"transfers were not followed {why}")
        else:
            able.append(search)
    seen = _read(book, able, sources, Deadline(patience, limit.clock))
    return linking.traced(accounts, own, seen) if seen else ()


def _read(book: Book, searches: Sequence[Search], sources: Mapping[ChainId, ChainSource], limit: Deadline) -> list[Seen]:
    """What each chain's logs tell, all chains side by side."""
    seen: list[Seen] = []
    late = set(range(len(searches)))
    hard = Deadline(2 * limit.seconds, limit.clock)
    work = [partial(sources[search.chain].transfers, search, _blocks(book, search.chain), limit) for search in searches]
    with Crew(work, most=len(work)) as crew:
        while late:
            end = crew.take_within(hard.left())
            if end is None:
                break
            index, result = end
            late.remove(index)
            if isinstance(result, SourceError):
                sources[searches[index].chain].note(f"transfers could not be looked for: {result}")
            elif isinstance(result, BaseException):
                raise result
            else:
                seen.append(result)
    for index in late:
        sources[searches[index].chain].note(f"transfers could not be looked for within {hard.seconds:g} s")
    return seen


def _blocks(book: Book, chain: ChainId) -> int:
    """The look-back as blocks of a chain."""
    return max(1, int(float(book.model.follow_days) * DAY / markets.block_seconds(chain)))
