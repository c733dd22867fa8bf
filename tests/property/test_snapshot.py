"""Any book makes a valid snapshot that comes back byte for byte; anything else is refused in one line."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.errors import StoreError
from defi_risk.export.table import as_text
from defi_risk.model import Account
from defi_risk.snapshot import Snapshot, from_json
from defi_risk.snapshot.html import notebook
from defi_risk.snapshot.schema import shipped
from tests.pictures import READ, hedge, picture, unknown
from tests.strategies import books, examples

VALIDATOR = jsonschema.Draft202012Validator(shipped())
GOOD: dict[str, Any] = json.loads(picture([*hedge(), unknown()]).to_json())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(books())
@examples(70)
def test_round_trip(book: list[Account]) -> None:
    taken = picture(book)
    text = taken.to_json()
    VALIDATOR.validate(json.loads(text))
    again = from_json(text)
    assert again == taken
    assert again.to_json() == text
    assert again.digest == picture(book, [READ]).digest
    assert as_text(taken).startswith("unified health")
    assert "nan" not in notebook(taken).lower().replace("finance", "")


def said(text: str | bytes) -> str:
    """What is said about a text; empty where it is a snapshot."""
    try:
        assert isinstance(from_json(text, "x.json"), Snapshot)
    except StoreError as error:
        return str(error)
    return ""


@given(st.one_of(JSON.map(json.dumps), st.text(max_size=200), st.binary(max_size=200)))
@examples(200)
def test_anything_else_is_refused_in_one_line(text: str | bytes) -> None:
    fault = said(text)
    assert fault.startswith("x.json: ")
    assert "\n" not in fault


@given(st.data())
@examples(200)
def test_a_changed_snapshot_is_one_or_is_refused(data: st.DataObject) -> None:
    content: dict[str, Any] = json.loads(json.dumps(GOOD))
    place: Any = content
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        if data.draw(st.booleans()):
            place[key] = data.draw(JSON)
        else:
            del place[key]
        break
    fault = said(json.dumps(content))
    assert "\n" not in fault
    if not fault:
        # what is accepted can be written and shown
        taken = from_json(json.dumps(content))
        assert from_json(taken.to_json()) == taken
        assert VALIDATOR.is_valid(json.loads(taken.to_json()))
        assert as_text(taken, 80)
