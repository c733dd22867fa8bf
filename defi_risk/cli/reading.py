"""What the commands that read a book share: from wallets and options to what was gathered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from defi_risk.cli import Session
from defi_risk.cli.options import READING, cache_dir, load_book, market_settings
from defi_risk.cli.progress import Progress
from defi_risk.cli.wallets import read_wallets
from defi_risk.errors import UsageError

if TYPE_CHECKING:
    from defi_risk.gathering import Gathered
    from defi_risk.secrets import Secret

F = TypeVar("F", bound=Callable[..., Any])


class Reading(TypedDict):
    """The options of `READING`, as click hands them over."""

    book: Path | None
    rpc: dict[str, tuple[Secret, ...]]
    block: str
    wallet_file: Path | None
    market_texts: tuple[dict[str, str], ...]
    deadline: float
    state: Path | None


def reading(function: F) -> F:
    """The options that say what to read, and where."""
    return READING(function)


def gathered(session: Session, wallets: tuple[str, ...], command: str, options: Reading) -> Gathered:
    """What the sources gave: those of a book and of wallets, or for the word `demo` the recorded ones. Raises `UsageError`."""
    if "demo" in wallets:
        if len(wallets) > 1 or options["book"] or options["wallet_file"]:
            raise UsageError("'demo' is a book of its own and goes with no other wallet", hint=f"defi-risk {command} demo")
        from defi_risk import demo

        return demo.gathered()
    from defi_risk.gathering import gather

    rpc, file = options["rpc"], options["wallet_file"]
    holdings = load_book(options["book"], rpc)
    asked = [*wallets, *(read_wallets(file) if file else ())]
    extra = market_settings(options["market_texts"], holdings)
    with Progress(session) as progress:
        return gather(
            asked,
            book=holdings,
            rpc=rpc,
            block=options["block"],
            market_settings=extra,
            deadline=options["deadline"],
            cache_dir=cache_dir(options["state"]),
            progress=progress,
        )
