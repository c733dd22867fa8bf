"""Recorded answers of an exchange account: recorded from a real one, replayed, damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk import desks
from defi_risk.book import ExchangeSettings
from defi_risk.desk_replay import DeskRecorder, DeskRecording, DeskReplay, dumps, load, loads
from defi_risk.errors import ServiceFailed, StoreError
from defi_risk.secrets import Secret
from defi_risk.sources.clock import Deadline
from defi_risk.sources.exchange import Exchange
from defi_risk.spi import ExchangeCall, Failed
from tests.exchanges.double import Fault, serving
from tests.exchanges.plain import ID, Plain, PlainExchange
from tests.localchain.demo import EXCHANGE, record_exchange

NAME = "plain"
FEES = ExchangeCall("fees", (("symbol", "BTCUSDT"),), optional=True)


def settings(url: str | None = None) -> ExchangeSettings:
    keys = {field: Secret(PlainExchange.credentials[name], name) for field, name in (("apiKey", "api_key"), ("secret", "secret"))}
    return ExchangeSettings(id=ID, name=NAME, credentials=keys, url=url)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain reader, whatever exchange is asked for."""

    def reader(_: str) -> Plain:
        return Plain()

    monkeypatch.setattr("defi_risk.registry.exchange", reader)


def recorded(*faults: Fault) -> tuple[DeskRecording, desks.Found]:
    """A recording of the plain account, and what its reader found in the live one."""
    exchange = PlainExchange()
    exchange.faults += faults
    with serving(exchange) as url, Exchange(settings(url), Plain(), Deadline(20)) as source:
        source.open()
        recorder = DeskRecorder(source, [secret.reveal() for secret in settings().credentials.values()])
        found = desks.judge(settings(url), Plain(), recorder)
        return recorder.recording(NAME, ID), found


@pytest.mark.usefixtures("plain")
def test_what_was_recorded_is_read_again() -> None:
    recording, live = recorded()
    text = dumps(recording)
    again = loads(text, NAME)
    assert again == recording
    assert dumps(again) == text
    replay = DeskReplay(again)
    assert desks.judge(settings(), Plain(), replay) == live
    assert replay.calls == 2
    assert [leg.asset.symbol for leg in live.accounts[0].legs] == ["USDT", "USDC"]
    assert "dummy" not in text
    assert "127.0.0.1" not in text


@pytest.mark.usefixtures("plain")
def test_an_optional_read_that_failed_is_part_of_it() -> None:
    recording, live = recorded(Fault("500", where="commission"))
    again = loads(dumps(recording), NAME)
    assert again == recording
    assert desks.judge(settings(), Plain(), DeskReplay(again)) == live
    assert live.reports[0].notes
    [answer] = DeskReplay(again).answer([FEES])
    assert isinstance(answer, Failed)
    [error] = DeskReplay(again).answer([ExchangeCall("fees", FEES.params)])
    assert isinstance(error, ServiceFailed)


class Moving:
    """A source whose balance moves."""

    def __init__(self, *told: Any) -> None:
        self.told = list(told)

    def answer(self, asks: Any) -> list[Any]:
        return [self.told.pop(0) for _ in asks]

    def milliseconds(self) -> int:
        return 1_769_817_762_000


def test_answers_come_in_their_order_and_the_last_one_holds() -> None:
    ask = ExchangeCall("account")
    recorder = DeskRecorder(Moving({"a": "1"}, {"a": "2"}, {"a": "2"}, {"a": "2"}))
    for _ in range(4):
        recorder.answer([ask])
    recording = recorder.recording(NAME, ID)
    assert recording.answers == {("account", ()): ({"a": "1"}, {"a": "2"})}
    replay = DeskReplay(loads(dumps(recording), NAME))
    assert [replay.answer([ask])[0]["a"] for _ in range(5)] == ["1", "2", "2", "2", "2"]
    assert replay.milliseconds() == 1_769_817_762_000


@pytest.mark.parametrize("answer", [0.5, {"a": [1, 0.25]}, {1: "a"}, {"key": "dummy-secret-4711"}, {"dummy-secret-4711": "x"}])
def test_what_cannot_be_recorded(answer: Any) -> None:
    with pytest.raises(StoreError, match="the answer to account cannot be recorded"):
        DeskRecorder(Moving(answer), ["dummy-secret-4711"]).answer([ExchangeCall("account")])


@pytest.mark.usefixtures("plain")
def test_a_read_that_was_not_recorded() -> None:
    replay = DeskReplay(recorded()[0])
    with pytest.raises(StoreError, match=r"plain holds no answer to fees symbol=ETHUSDT"):
        replay.answer([ExchangeCall("fees", (("symbol", "ETHUSDT"),))])


GOOD: dict[str, Any] = {
    "schema": "defi-risk/exchange/1",
    "exchange": ID,
    "milliseconds": 1_769_817_762_000,
    "reads": [{"read": "account", "params": {}, "answers": [{"told": {"a": ["1.50", None, True, 3]}}]}],
}


def changed(**parts: Any) -> dict[str, Any]:
    return GOOD | parts


def read(**parts: Any) -> dict[str, Any]:
    return changed(reads=[GOOD["reads"][0] | parts])


DAMAGED: dict[str, Any] = {
    "a list": [],
    "no parts": {},
    "another schema": changed(schema="defi-risk/exchange/2"),
    "a part more": changed(url="http://127.0.0.1"),
    "a part less": {key: value for key, value in GOOD.items() if key != "reads"},
    "a time in words": changed(milliseconds="1769817762000"),
    "a true time": changed(milliseconds=True),
    "a time before all": changed(milliseconds=-1),
    "a time after all": changed(milliseconds=10**18),
    "no exchange": changed(exchange=""),
    "reads by name": changed(reads={}),
    "a read twice": changed(reads=GOOD["reads"] * 2),
    "a read without name": read(read=7),
    "parameters in a list": read(params=[]),
    "a parameter that is a number": read(params={"symbol": 1}),
    "no answers": read(answers=[]),
    "an answer of nothing": read(answers=[{}]),
    "an answer of two kinds": read(answers=[{"told": 1, "failed": "so"}]),
    "a failure without reason": read(answers=[{"failed": ""}]),
    "a fraction": read(answers=[{"told": {"a": 1.5}}]),
}


def test_the_right_one_is_taken() -> None:
    assert loads(json.dumps(GOOD), NAME).answers == {("account", ()): ({"a": ["1.50", None, True, 3]},)}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_recording_is_one_error(name: str) -> None:
    with pytest.raises(StoreError, match=f"^{NAME} is not a recording"):
        loads(json.dumps(DAMAGED[name]), NAME)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": 1, "a": 1}', '{"a": NaN}', '{"a": 1e999999999}', "\ud800"])
def test_what_is_no_json_is_one_error(text: str) -> None:
    with pytest.raises(StoreError):
        loads(text, NAME)


@given(
    st.integers(0, len(json.dumps(GOOD)) - 1), st.sampled_from(['"', "{", "}", "[", "]", ",", ":", "1", ".5", "", "null", "\\", "\ud800"])
)
def test_damage_anywhere_is_one_error_or_another_recording(place: int, put: str) -> None:
    text = json.dumps(GOOD)
    damaged = text[:place] + put + text[place + 1 :]
    try:
        found = loads(damaged, NAME)
    except StoreError:
        return
    assert loads(dumps(found), NAME) == found


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "binance.json"
    file.write_text(json.dumps(GOOD))
    assert load(file).name == "binance.json"
    for damage in (b"\xff\xfe", b"[]", b'"' + b"x" * (16 << 20) + b'"'):
        file.write_bytes(damage)
        with pytest.raises(StoreError, match=r"binance\.json"):
            load(file)
    with pytest.raises(StoreError, match=r"cannot read the recording nowhere\.json"):
        load(tmp_path / "nowhere.json")


def test_the_demos_exchange_recorded_anew_is_the_same() -> None:
    there = load(EXCHANGE)
    again = dumps(record_exchange(there.milliseconds // 1_000))
    assert again == EXCHANGE.read_text("utf-8")
    for word in ("dummy", "signature", "127.0.0.1", "apiKey"):
        assert word not in again


@pytest.mark.slow
def test_the_demo_needs_no_ccxt() -> None:
    program = "import sys; sys.modules['ccxt'] = None; from defi_risk import demo; print(demo.snapshot().book_health.first_account)"
    # S603: the command is this interpreter with a text made here
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    assert told.stdout.strip() == "binance/usdm/USDC"
