"""Where the local chain's sources and its cache lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = REPOSITORY / "fixtures" / "chain"


def cache() -> Path:
    """The folder of everything installed and compiled: `$DEFI_RISK_LOCALCHAIN`, else `.cache/localchain` of the repository."""
    given = os.environ.get("DEFI_RISK_LOCALCHAIN")
    return Path(given).expanduser().resolve() if given else REPOSITORY / ".cache" / "localchain"
