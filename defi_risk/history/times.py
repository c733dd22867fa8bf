"""Times as people write them in files, as unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import floor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from defi_risk.history.convert import EARLIEST, LATEST

if TYPE_CHECKING:
    import pandas

TIME_HINT: Final = "write 2024-01-31, 2024-01-31T12:00:00Z or unix seconds (not milliseconds)"
_UNIX: Final = re.compile(r"(\d{1,18})(?:\.\d*)?", re.ASCII)
_ISO: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](?:[.][0-9]{1,9})?(?:Z|[+-][01][0-9]:[0-5][0-9])?)?"
"""Times that pandas and `seconds_of` read alike; pandas alone would take 2024/01/02, 23:59:60 and `now` as well."""


def seconds_of(text: str) -> int:
    """Unix seconds of a time as text. Raises `ValueError` for anything else, and for times before 2001 or after 2286."""
    text = text.strip().upper()
    unix = _UNIX.fullmatch(text)
    if unix:
        seconds = int(unix[1])
    else:
        moment = datetime.fromisoformat(text)
        try:
            seconds = floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except OverflowError:
            raise ValueError("beyond the calendar") from None
    if not EARLIEST <= seconds <= LATEST:
        raise ValueError("out of range")
    return seconds


def times_of(texts: pandas.Series[str]) -> NDArray[np.int64]:
    """What `seconds_of` makes of each text; 0 for the first that is no time, after which others may be 0 too."""
    import pandas

    found = np.zeros(len(texts), dtype=np.int64)
    iso = texts.str.fullmatch(_ISO, na=False).to_numpy(dtype=np.bool_)
    moments: Any = pandas.to_datetime(texts[iso], format="ISO8601", utc=True, errors="coerce")
    found[iso] = moments.dt.tz_localize(None).to_numpy("datetime64[s]").astype(np.int64)
    unix = texts.str.fullmatch("[0-9]{1,18}", na=False).to_numpy(dtype=np.bool_)
    found[unix] = pandas.to_numeric(texts[unix]).to_numpy(dtype=np.int64)
    found[(found < EARLIEST) | (found > LATEST)] = 0
    for place in np.flatnonzero(found == 0):
        try:
            found[place] = seconds_of(str(texts.iloc[place]))
        except ValueError:
            break
    return found
