"""The same figures from any thread and any process: no ambient decimal context, no order of hashes, no shared state."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from defi_risk.model import Account
from tests.pictures import hedge, picture
from tests.strategies import books, examples

ROOT = Path(__file__).parents[2]
DIGEST = "from tests.pictures import hedge, picture; print(picture(hedge()).digest)"


def digest(book: list[Account]) -> str:
    return picture(book).digest


@examples(5)
@given(st.lists(books(), min_size=4, max_size=8))
def test_eight_threads_say_what_one_says(several: list[list[Account]]) -> None:
    alone = [digest(book) for book in several]
    with ThreadPoolExecutor(8) as crew:
        together = list(crew.map(digest, several * 2))
    assert together == alone * 2


def test_another_process_says_the_same() -> None:
    path = os.pathsep.join(str(ROOT / part) for part in ("", "adapters", "abis"))
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed}
        ended = subprocess.run([sys.executable, "-c", DIGEST], check=True, capture_output=True, text=True, env=environment)  # noqa: S603
        assert ended.stdout.strip() == picture(hedge()).digest
