"""The kit on an adapter that asks a service: a good one passes, and defects planted in how it takes answers are caught."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from defi_risk import exact_json
from defi_risk.errors import ServiceFailed, StoreError
from defi_risk.model import Anchor, Owner
from defi_risk.replay import Read, Recording, Replay, Reverted, dumps, load, loads
from defi_risk.spi import Ask, Call, Context, Failed, InfoCall, Market
from defi_risk.testing import AdapterConformance, NotConformantError, json_damage
from defi_risk.testing.record import Recorder, record
from tests import kiosk, pawn
from tests.fault.world import ETHEREUM, NOW, owner

SOURCE = Path(kiosk.__file__).read_text("utf-8")
MARKET = Market("kiosk", ETHEREUM, "corner", (("api", "https://kiosk.example/v1?key=k3y"), ("prices", "oracle")))
CONTEXT = Context(ETHEREUM, 1_000, NOW, {}, {}, (MARKET,))
EMPTY = {"time": NOW * 1_000, "mode": "cross", "coins": []}
TESTS = [name for name in dir(AdapterConformance) if name.startswith("test_")]


class Mall:
    """Shares on the chain and answers of the service; wallet 2 has nothing."""

    def __init__(self, told: Callable[[InfoCall], Any] | None = None) -> None:
        self.anchor = Anchor(ETHEREUM, 1_000, "0x" + "ab" * 32, NOW)
        self.told = told or self._told

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        return [self._one(ask) for ask in asks]

    def _told(self, ask: InfoCall) -> Any:
        return EMPTY if owner(2) in ask.body else next(value for key, value in kiosk.answers().items() if key in ask.path + ask.body)

    def _one(self, ask: Ask) -> Any:
        if isinstance(ask, InfoCall):
            return self.told(ask)
        assert isinstance(ask, Call)
        return 18 if ask.function == "decimals" else 0 if ask.args == (owner(2),) else 10**18


def recorded(adapter: Any) -> Recording:
    return record("mall", Mall(), adapter, [(Owner(owner(number)), MARKET) for number in (1, 2)], CONTEXT)


def kit(folder: Path, adapter_: Any, recording: Recording) -> AdapterConformance:
    (folder / "mall.json").write_text(dumps(recording), "utf-8")

    class Kit(AdapterConformance):
        adapter = adapter_
        replays = folder
        unknown_modes = ({"info:state": {**EMPTY, "mode": "quantum"}},)

    return Kit()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> AdapterConformance:
    return kit(tmp_path_factory.mktemp("good"), kiosk.Kiosk(), recorded(kiosk.Kiosk()))


@pytest.mark.parametrize("name", TESTS)
def test_a_good_adapter_conforms(good: AdapterConformance, name: str) -> None:
    getattr(good, name)()


DEFECTS = {
    "numbers unchecked": ('entry["amount"].decimal(0)', 'Decimal(str(entry["amount"].value))', "test_damaged_answers_end_in_our_errors"),
    "fields unchecked": ('told["mode"].text(longest=24)', 'told.value["mode"]', "test_damaged_answers_end_in_our_errors"),
    "a list unchecked": (
        'told["coins"].listing(most=100)',
        'map(lambda e: Answer(e, "e"), told.value["coins"])',
        "test_damaged_answers_end_in_our_errors",
    ),
    "bounds unchecked": ("integer(0, LATEST)", "value", "test_damaged_answers_end_in_our_errors"),
    "a coin's name as it is": ('entry["coin"].text(longest=80)', 'entry["coin"].value', "test_texts_of_strangers_are_cleaned"),
    "any mode will do": ("if mode not in MODES:", "if mode in ():", "test_unknown_modes_are_unsupported"),
    "another question": ('{"type": "prices"}', '{"type": "price"}', "test_only_recorded_reads_are_asked_in_few_rounds"),
}


@pytest.mark.parametrize(("old", "new", "caught"), DEFECTS.values(), ids=DEFECTS)
def test_a_planted_defect_is_caught(tmp_path: Path, old: str, new: str, caught: str) -> None:
    assert SOURCE.count(old) == 1
    file = tmp_path / "broken_kiosk.py"
    file.write_text(SOURCE.replace(old, new), "utf-8")
    broken = pawn.module(file, f"broken_{abs(hash(new))}").Kiosk()
    with pytest.raises(NotConformantError, match=f"^{caught}: "):
        getattr(kit(tmp_path, broken, recorded(kiosk.Kiosk())), caught)()


# -- recordings of a service ------------------------------------------------------------


def test_a_recording_of_a_service_survives_the_way_through_text() -> None:
    before = recorded(kiosk.Kiosk())
    text = dumps(before)
    assert loads(text, "mall") == before
    assert "k3y" not in text
    assert {read.to for read in before.answers if read.of_service} == {"https://kiosk.example"}
    assert '"amount": "0.500"' in text  # a text stays a text, and a number keeps its digits
    assert '"xyz:GOLD": 3999.10,' in text


def test_each_question_is_recorded_once_and_its_first_answer_holds() -> None:
    mall = Mall()
    recorder = Recorder(mall)
    ask = InfoCall("https://kiosk.example/v1", '{"type": "prices"}')
    first = recorder.answer([ask])

    def later(_: InfoCall) -> Any:
        return {"BTC": "1"}

    mall.told = later  # the service goes on, the recording does not
    assert recorder.answer([ask, replace(ask, optional=True)]) == first * 2
    assert recorder.answer([replace(ask, path="other")]) == [{"BTC": "1"}]


def test_a_failed_question_is_recorded_as_one(tmp_path: Path) -> None:
    ask, said = InfoCall("${KIOSK}", path="x"), "https://kiosk.example answered HTTP 500"
    recorder = Recorder(Mall(lambda ask: Failed(said) if ask.optional else ServiceFailed(said)))
    live = recorder.answer([replace(ask, optional=True)])
    recording = replace(recorded(kiosk.Kiosk()), answers=recorder.answers, cases=())
    (tmp_path / "x.json").write_text(dumps(recording), "utf-8")
    replayed = Replay(load(tmp_path / "x.json"))
    assert replayed.answer([replace(ask, optional=True)]) == live == [Failed(said)]
    [error] = replayed.answer([ask])
    assert isinstance(error, ServiceFailed)
    assert recording.answers == {Read("${KIOSK}", b"", "x"): Reverted(said)}


@pytest.mark.parametrize(
    "entry",
    [
        {"service": "0x" + "11" * 20, "path": "", "body": "", "answer": 1},
        {"service": "https://x", "path": "", "answer": 1},
        {"service": "https://x", "path": 5, "body": "", "answer": 1},
        {"service": "https://x", "path": "", "body": ""},
    ],
)
def test_a_damaged_entry_is_one_clear_error(entry: dict[str, Any]) -> None:
    text = dumps(recorded(kiosk.Kiosk()))
    head, mark, _ = text.partition('"answers": [')
    with pytest.raises(StoreError, match="mall is not a recording"):
        loads(f"{head}{mark}{json.dumps(entry)}]}}", "mall")


def test_damage_is_repeatable_and_reaches_every_part() -> None:
    body = exact_json.dump(kiosk.answers()['"state"']).encode()
    variants = list(json_damage.variants(body))
    assert variants == list(json_damage.variants(body))
    names = " ".join(name for name, _ in variants)
    for part in ("time", "mode", "coins", "coins.0.amount", "coins.1.coin", "coins.1.note"):
        assert f" {part} in the" in names
    assert len({other if isinstance(other, bytes) else other.reason for _, other in variants}) > 50
