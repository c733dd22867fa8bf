"""The kit is worth what it catches: each defect planted into the tutorial's adapter must fail the test that is named for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from defi_risk.replay import loads
from defi_risk.testing import AdapterConformance, NotConformantError
from tests import pawn

SOURCE = "pawn_adapter/__init__.py"


@dataclass(frozen=True)
class Defect:
    """One edit of the adapter's text, and the test that must fail. `recorded` True: the recording was made with the defect."""

    name: str
    old: str
    new: str
    caught: str
    recorded: bool = True


DEFECTS = [
    Defect("debt halved", "Quantity(exact.debt, exact", "Quantity(exact.debt // 2, exact", "test_normal_form_agrees_with_exact"),
    Defect(
        "a wrong weight",
        "weight=exact_ratio(exact.threshold, BPS)",
        "weight=exact_ratio(exact.threshold - 1, BPS)",
        "test_normal_form_agrees_with_exact",
    ),
    Defect(
        "price in another unit",
        "Price(Quantity(exact.price, PRICE_DECIMALS)",
        "Price(Quantity(exact.price, 6)",
        "test_normal_form_agrees_with_exact",
    ),
    Defect(
        "a weight below zero",
        "weight=exact_ratio(exact.threshold, BPS)",
        "weight=exact_ratio(-exact.threshold, BPS)",
        "test_more_collateral_never_lowers_health",
    ),
    Defect("always safe", "return not self.liquidatable({key: low})", "return True", "test_liquidatable_exactly_beyond_the_tick"),
    Defect(
        "the wrong end",
        "return not self.liquidatable({key: low})",
        "return not self.liquidatable({key: high})",
        "test_liquidatable_exactly_beyond_the_tick",
    ),
    Defect("deaf to answers", 'answers.get("price", self.price)', "self.price", "test_normal_form_agrees_with_exact"),
    Defect("native is wrong", '"debtOf": self.debt,', '"debtOf": self.debt + 1,', "test_native_numbers_equal_the_venues_verdict"),
    Defect(
        "nothing is compared",
        'self_check=SelfCheck.compare(native, {"debtOf": debt, "isSafe": safe}),',
        "self_check=None,",
        "test_native_numbers_equal_the_venues_verdict",
    ),
    Defect("no exact verdict", "exact=exact,", "exact=None,", "test_native_numbers_equal_the_venues_verdict"),
    Defect("any version will do", "if version != 1:", "if version < 1:", "test_unknown_modes_are_unsupported"),
    Defect("an account for nothing", "if not collateral and not debt:", "if collateral < 0:", "test_an_empty_wallet_gives_no_account"),
    Defect(
        "a division by a zero price",
        "exact = PawnExact(",
        "_ = 1 // threshold\n        exact = PawnExact(",
        "test_damaged_answers_end_in_our_errors",
    ),
    Defect("an unguarded index", 'label or "cross"', '(label or "cross").split(" of ")[1]', "test_damaged_answers_end_in_our_errors"),
    Defect(
        "a memory between readings",
        'roots = ("pawn",)',
        'roots = ("pawn",)\n    seen: list[str] = []',
        "test_reading_twice_gives_equal_results",
    ),
    Defect(
        "one more read",
        'PAWN(pawn, "version"),',
        'PAWN(pawn, "version"),\n            PAWN(who, "price", optional=True),',
        "test_only_recorded_reads_are_asked_in_few_rounds",
        recorded=False,
    ),
    Defect("one read less", 'PAWN(pawn, "label", optional=True),', "", "test_only_recorded_reads_are_asked_in_few_rounds", recorded=False),
    Defect(
        "too many rounds",
        "        exact = PawnExact(",
        '        for _ in range(3):\n            yield [PAWN(pawn, "price")]\n        exact = PawnExact(',
        "test_only_recorded_reads_are_asked_in_few_rounds",
    ),
    Defect("a stranger's text", 'clean(label or "cross", 24)', 'label or "cross"', "test_texts_of_strangers_are_cleaned"),
    Defect(
        "slow", "        exact = PawnExact(", '        __import__("time").sleep(0.02)\n        exact = PawnExact(', "test_a_reading_is_fast"
    ),
    Defect(
        "a changed result",
        "venue=market.venue or self.venue,",
        'venue="Other",',
        "test_replays_reproduce_what_was_recorded",
        recorded=False,
    ),
    Defect(
        "a foreign object",
        "return [\n            Account(",
        "return [object(),\n            Account(",
        "test_replays_reproduce_what_was_recorded",
        recorded=False,
    ),
    Defect("another owner", "id=market.account_id(owner),", "id=market.account_id(Owner(pawn)),", "test_account_ids_name_market_and_owner"),
    Defect("another API", "api = 1", "api = 2", "test_it_declares_itself"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("kit")
    pawn.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


def variant(place: Path, name: str, text: str) -> Any:
    """The adapter of a changed text."""
    file = place / f"{name.replace(' ', '_')}.py"
    file.write_text(text, "utf-8")
    return pawn.module(file, f"kit_{file.stem.replace(chr(39), '')}").Pawn()


def kit_for(place: Path, defect: Defect) -> AdapterConformance:
    good = (place / SOURCE).read_text("utf-8")
    assert good.count(defect.old) == 1, f"the tutorial changed: {defect.old!r} is in it {good.count(defect.old)} times"
    text = good.replace(defect.old, defect.new)
    if defect.name == "one read less":
        text = text.replace("version, label, token", "version, token").replace('label or "cross"', '"cross"')
    if defect.name == "a memory between readings":
        text = text.replace("mode=clean(", "mode=self.seen.append(who) or str(len(self.seen)) + clean(")
    broken = variant(place, defect.name, text)
    folder = place / "recordings" / defect.name
    pawn.write_recording(folder, broken if defect.recorded else variant(place, f"good {defect.name}", good))

    class Kit(AdapterConformance):
        adapter = broken
        replays = folder
        unknown_modes = ({"version": 2},)
        seconds = 0.015

    return Kit()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_every_planted_defect_is_caught_by_the_test_named_for_it(place: Path, defect: Defect) -> None:
    kit = kit_for(place, defect)
    with pytest.raises(NotConformantError, match=f"^{defect.caught}: ") as caught:
        getattr(kit, defect.caught)()
    assert caught.value.check == defect.caught


def test_every_test_of_the_kit_is_failed_by_some_defect() -> None:
    assert {defect.caught for defect in DEFECTS} == {name for name in dir(AdapterConformance) if name.startswith("test_")}


def test_a_folder_without_a_wallet_that_holds_nothing_is_refused(place: Path) -> None:
    good = variant(place, "without empty", (place / SOURCE).read_text("utf-8"))
    pawn.write_recording(place / "recordings" / "full", good, owners=[pawn.NEAR])

    class Kit(AdapterConformance):
        adapter = good
        replays = place / "recordings" / "full"

    with pytest.raises(NotConformantError, match="record one"):
        Kit().test_an_empty_wallet_gives_no_account()


def test_a_missing_folder_says_how_to_make_one(place: Path) -> None:
    class Kit(AdapterConformance):
        replays = place / "nowhere"

    with pytest.raises(FileNotFoundError, match="testing record"):
        _ = Kit().recordings


def test_the_finding_says_where(place: Path) -> None:
    kit = kit_for(place, next(defect for defect in DEFECTS if defect.name == "a changed result"))
    with pytest.raises(NotConformantError, match=r"replays: \[0\]\.venue is 'Other', not 'Pawn'"):
        kit.test_replays_reproduce_what_was_recorded()


def test_a_recording_survives_the_way_through_text(place: Path) -> None:
    good = variant(place, "round trip", (place / SOURCE).read_text("utf-8"))
    pawn.write_recording(place / "recordings" / "trip", good)
    text = (place / "recordings" / "trip" / "replays.json").read_text("utf-8")
    recording = loads(text, "replays")
    assert len(recording.cases) == 4
    assert len(recording.answers) == len(json.loads(text)["answers"])
    assert all("\n" not in line for line in text.splitlines())
