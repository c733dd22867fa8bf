"""defi_risk: on-chain lending and derivatives positions of one owner in one health model.

    from defi_risk import scan
    snapshot = scan(["0x..."], rpc={"ethereum": "https://..."})

`scan` is `gather`, which reads, and `judge`, which computes; `rescue` plans for what was gathered.

The names below are the public ones. They are loaded on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from defi_risk.book import Book
    from defi_risk.book import load as load_book
    from defi_risk.errors import DefiRiskError
    from defi_risk.gathering import gather
    from defi_risk.judging import judge, rescue
    from defi_risk.scanning import scan
    from defi_risk.snapshot import Snapshot

__version__ = "0.1.0"
__all__ = ["Book", "DefiRiskError", "Snapshot", "__version__", "gather", "judge", "load_book", "rescue", "scan"]

_HOMES = {
    "Book": ("defi_risk.book", "Book"),
    "DefiRiskError": ("defi_risk.errors", "DefiRiskError"),
    "Snapshot": ("defi_risk.snapshot", "Snapshot"),
    "gather": ("defi_risk.gathering", "gather"),
    "judge": ("defi_risk.judging", "judge"),
    "load_book": ("defi_risk.book", "load"),
    "rescue": ("defi_risk.judging", "rescue"),
    "scan": ("defi_risk.scanning", "scan"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home, attribute = _HOMES[name]
    return getattr(import_module(home), attribute)
