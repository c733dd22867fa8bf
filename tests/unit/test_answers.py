"""Parts of a service's answer: taken as what they must be, or refused with their name."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from defi_risk import exact_json
from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, OutOfRange, Undecodable

STATE = Answer(
    exact_json.parse(
        b'{"marginSummary": {"accountValue": "13109.482328"}, "time": 1700000000123, "rate": -0.000012500, "cross": true, "limit": null,'
        b' "assetPositions": [{"coin": "ETH"}, {"coin": "xyz:GOLD\\u202e"}], "prices": {"BTC": "65000.0"}, "dex": ""}'
    ),
    "state",
)


def test_parts_are_what_they_must_be() -> None:
    assert STATE["marginSummary"]["accountValue"].decimal(low=0) == Decimal("13109.482328")
    assert STATE["time"].integer() == 1_700_000_000_123
    assert str(STATE["rate"].decimal(low=-1, high=1)) == "-0.000012500"
    assert STATE["cross"].flag() is True
    assert [entry["coin"].text() for entry in STATE["assetPositions"].listing()] == ["ETH", "xyz:GOLD"]
    assert {name: price.decimal() for name, price in STATE["prices"].record().items()} == {"BTC": Decimal(65_000)}
    assert STATE["dex"].text() == ""
    assert [entry.path for entry in STATE["assetPositions"].exactly(2)] == ["state.assetPositions[0]", "state.assetPositions[1]"]


def test_what_may_be_missing_is_none_when_it_is_missing_or_null() -> None:
    assert STATE.get("limit") is None
    assert STATE.get("nothing") is None
    assert (cross := STATE.get("cross")) is not None
    assert cross.flag()


@pytest.mark.parametrize(
    "text", ["0", "-1.5", "1e3", "1E-3", "007", "115792089237316195423570985008687907853269984665640564039457584007913129639935"]
)
def test_decimal_text_is_a_number(text: str) -> None:
    assert Answer(text, "x").decimal() == Decimal(text)


WRONG: list[Any] = [
    None, True, "", "NaN", "Infinity", "-inf", "1_000", " 1", "1 ", "0x10", "+1", "1.", ".5", "1,5", "٣", "１", [], {},
    Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), 1.5, "9" * 101,
]  # fmt: skip


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(Undecodable, match=r"^a\.b is .*, not a number$"):
        Answer(value, "a.b").decimal()


@pytest.mark.parametrize("value", ["1e81", "1e-81", "1e999", Decimal("1e999999"), Decimal("-1e-999999"), 10**120])
def test_a_number_beyond_all_bounds_is_refused_before_anybody_computes_with_it(value: Any) -> None:
    with pytest.raises(OutOfRange, match="beyond all bounds"):
        Answer(value, "a").decimal()


def test_bounds_are_the_least_and_the_greatest_that_can_be() -> None:
    assert Answer("5", "a").decimal(low=5, high=5) == 5
    for value in ("4", "6"):
        with pytest.raises(OutOfRange, match="which cannot be"):
            Answer(value, "a").decimal(low=5, high=Decimal(5))


def test_a_whole_number_has_no_fraction() -> None:
    assert Answer("100", "a").integer() == Answer(Decimal("1.00e2"), "a").integer() == 100
    with pytest.raises(Undecodable, match="not a whole number"):
        Answer("1.5", "a").integer()


def refused(answer: Answer) -> str:
    """The message with which every kind of part refuses a value of another kind."""
    for ask in (answer.record, answer.listing, answer.text, answer.flag, answer.decimal, lambda: answer["x"], lambda: answer.exactly(1)):
        with pytest.raises(BadAnswer) as caught:
            ask()
    return str(caught.value)


def test_parts_of_another_kind_are_refused() -> None:
    assert refused(Answer(None, "a")) == "a is null, not an array"
    for value in (Decimal("NaN"), b"bytes", object()):
        refused(Answer(value, "a"))


def test_sizes_are_bounded() -> None:
    for ask in (Answer([1, 2], "a").listing, Answer({"x": 1, "y": 2}, "a").record):
        with pytest.raises(OutOfRange, match="has 2 items, more than 1"):
            ask(most=1)
    with pytest.raises(OutOfRange, match="a text of 5 characters"):
        Answer("12345", "a").text(longest=4)
    with pytest.raises(Undecodable, match="has 2 items, not 3"):
        Answer([1, 2], "a").exactly(3)


def test_messages_name_the_part_and_hold_nothing_that_is_not_clean() -> None:
    with pytest.raises(Undecodable, match=r"^state\.assetPositions\[1\]\.position is missing$"):
        _ = STATE["assetPositions"].listing()[1]["position"]
    nasty = Answer({"\x1b[31m\u202e" + "x" * 100: "\x1b[31m" + "y" * 100}, "a")
    [part] = nasty.record().values()
    with pytest.raises(Undecodable) as caught:
        part.decimal()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 120
