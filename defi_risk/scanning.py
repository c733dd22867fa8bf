"""`scan`: from wallets and a book to a snapshot. The library's entry; the command line calls its two halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from defi_risk.book import Book, MarketSettings
from defi_risk.engine import Progress
from defi_risk.gathering import gather
from defi_risk.health import ChanceAsked
from defi_risk.judging import judge
from defi_risk.secrets import Secret

if TYPE_CHECKING:
    from defi_risk.snapshot import Snapshot


def scan(
    wallets: Sequence[str] = (),
    *,
    book: Book | str | Path | None = None,
    rpc: Mapping[str, str | Secret | Sequence[str | Secret]] | None = None,
    block: str | int = "latest",
    market_settings: Sequence[MarketSettings] = (),
    deadline: float = 30.0,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    boundary: tuple[str, str] | None = None,
    chance: ChanceAsked | None = None,
) -> Snapshot:
    """Read wallets and a book, at one block a chain, into a snapshot with all figures and flags.

    The arguments of reading are those of `defi_risk.gathering.gather`; `boundary` are the two factors to draw the joint boundary over
    (None: those that matter most); `chance` a simulation to run. Raises `UsageError` for what cannot be done as asked; what fails while it
    is read makes the snapshot partial instead.
    """
    found = gather(
        wallets,
        book=book,
        rpc=rpc,
        block=block,
        market_settings=market_settings,
        deadline=deadline,
        cache_dir=cache_dir,
        progress=progress,
    )
    return judge(found, boundary=boundary, chance=chance).snapshot
