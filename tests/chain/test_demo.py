"""The demo that ships is what the chain says: recorded anew, it is the same to the byte."""

from __future__ import annotations

import pytest

from defi_risk.replay import dumps
from tests.localchain.demo import FILE, record

pytestmark = pytest.mark.chain


def test_recorded_anew_the_demo_is_the_same() -> None:
    assert dumps(record()) == FILE.read_text("utf-8")
