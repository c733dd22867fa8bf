"""What every adapter must do, as a test class to inherit. It needs recordings, and neither a network nor mocks.

Each test names one promise of `defi_risk.spi`; a broken one raises `NotConformantError` with the recording and the finding.
"""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

from defi_risk import replay
from defi_risk.errors import AdapterError, BadAnswer, DefiRiskError, StoreError, Unsupported
from defi_risk.model import Account, Role
from defi_risk.replay import Case, Recording, Replay
from defi_risk.spi import API, Adapter
from defi_risk.testing import damage, moves, runs
from defi_risk.text import clean

TRIES: Final = 5


class NotConformantError(AssertionError):
    """An adapter breaks a promise. `check` is the name of the test."""

    def __init__(self, check: str, finding: str) -> None:
        super().__init__(f"{check}: {finding}")
        self.check = check


class AdapterConformance:
    """Inherit, name the adapter and the folder of its recordings, and let pytest collect it.

    `replays`: a folder, absolute, or looked for beside the test file and in `fixtures/replays` of the folders above it.
    `tolerance`: relative difference that the venue's own roundings may make between its health and the exact ratio (Aave up to 3.4
    floors an average of thresholds: 2e-4), `rounding_usd`: what its roundings of one leg can be worth in USD (Perpetual Protocol V2
    floors account values to a millionth). `unknown_modes`: answers, by function (`info:` and a part of the question, of a service),
    that a future version might give and that the adapter must refuse with `Unsupported`. `seconds` and `rounds`: what one reading may take.
    """

    adapter: ClassVar[Adapter]
    replays: ClassVar[str | Path]
    tolerance: ClassVar[float] = 1e-9
    rounding_usd: ClassVar[float] = moves.ROUNDING_USD
    unknown_modes: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    seconds: ClassVar[float] = 0.05
    rounds: ClassVar[int] = 4
    vectors: ClassVar[int] = 200

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """All recordings of the folder. Raises `FileNotFoundError` where there is none."""
        return _recordings(_folder(type(self), Path(self.replays)))

    def test_it_declares_itself(self) -> None:
        adapter = self.adapter
        if adapter.api != API:
            self._fail(f"it speaks API {adapter.api}, this version {API}")
        for recording, case in self._cases():
            if case.market.adapter != adapter.name or [key for key, _ in case.market.params][: len(adapter.roots)] != [*adapter.roots]:
                self._fail(f"{recording.name} was recorded from {case.market.adapter} {dict(case.market.params)}")

    def test_replays_reproduce_what_was_recorded(self) -> None:
        for recording, case in self._cases():
            try:
                found = replay.written(self._read(recording, case))
            except TypeError as error:
                self._fail(f"{recording.name}: {error}")
            if found != [*case.found]:
                self._fail(f"{recording.name}: {_difference(found, [*case.found])}")

    def test_account_ids_name_market_and_owner(self) -> None:
        for recording, case, account in self._accounts():
            if not account.id.startswith(case.market.account_id(case.owner)) or account.owner != case.owner.address:
                self._fail(f"{recording.name}: {account.id} of {account.owner} is not in {case.market.account_id(case.owner)}")

    def test_native_numbers_equal_the_venues_verdict(self) -> None:
        for recording, _, account in self._accounts():
            if account.exact is None:
                if any(leg.role in (Role.DEBT, Role.POSITION) for leg in account.legs):
                    self._fail(f"{recording.name}: {account.id} can be liquidated and has no exact verdict")
                continue
            if dict(account.native) != dict(account.exact.native()):
                self._fail(f"{recording.name}: native is not what exact.native() says")
            if account.self_check is None or not account.self_check.protocol:
                self._fail(f"{recording.name}: nothing of the venue's own is compared")
            elif not account.self_check.match:
                self._fail(f"{recording.name}: {_difference(dict(account.native), dict(account.self_check.protocol))}")
            if account.liquidatable is not account.exact.liquidatable():
                self._fail(f"{recording.name}: liquidatable is {account.liquidatable}, exact says otherwise")

    def test_normal_form_agrees_with_exact(self) -> None:
        for recording, one in self._subjects():
            self._refuse(recording, moves.disagreements(one, self.vectors, seed=1))

    def test_liquidatable_exactly_beyond_the_tick(self) -> None:
        for recording, one in self._subjects():
            self._refuse(recording, moves.tick_faults(one, seed=2))

    def test_more_collateral_never_lowers_health(self) -> None:
        for recording, one in self._subjects():
            self._refuse(recording, moves.worse_with_more(one, seed=3))

    def test_unknown_modes_are_unsupported(self) -> None:
        for mode in self.unknown_modes:
            recording, case = next((recording, case) for recording, case in self._cases() if case.found)
            try:
                runs.read(self.adapter, runs.Changed(recording, runs.instead(mode)), recording, case)
            except Unsupported:
                continue
            self._fail(f"{recording.name}: it reads on where {dict(mode)} is answered")

    def test_an_empty_wallet_gives_no_account(self) -> None:
        empty = [(recording, case) for recording, case in self._cases() if not any("owner" in item for item in case.found)]
        if not empty:
            self._fail("no recording of a wallet that holds nothing: record one")
        for recording, case in empty:
            if runs.accounts(self._read(recording, case)):
                self._fail(f"{recording.name}: an account for a wallet that holds nothing")

    def test_damaged_answers_end_in_our_errors(self) -> None:
        done: Counter[bytes] = Counter()
        for recording, case in self._cases():
            whole = Replay(recording)
            runs.read(self.adapter, whole, recording, case)
            for name, damaged in damage.damaged(recording, whole.asked, done):
                try:
                    runs.read(self.adapter, Replay(damaged, missing=runs.NOTHING_THERE), damaged, case)
                except DefiRiskError:
                    continue
                except Exception as error:  # noqa: BLE001  # whatever else comes out is the finding
                    self._fail(f"{recording.name}: {name} ends in {type(error).__name__}: {error}")

    def test_reading_twice_gives_equal_results(self) -> None:
        for recording, case in self._cases():
            first, second = self._read(recording, case), self._read(recording, case)
            if replay.written(first) != replay.written(second):
                self._fail(f"{recording.name}: {_difference(replay.written(first), replay.written(second))}")

    def test_only_recorded_reads_are_asked_in_few_rounds(self) -> None:
        for recording in self.recordings:
            asked: set[replay.Read] = set()
            for case in recording.cases:
                source = Replay(recording)
                try:
                    runs.read(self.adapter, source, recording, case)
                except StoreError as error:
                    self._fail(str(error))
                asked |= source.asked
                if source.round_trips > self.rounds:
                    self._fail(f"{recording.name}: {source.round_trips} rounds, {self.rounds} are allowed")
            if stale := recording.answers.keys() - asked:
                self._fail(f"{recording.name}: {len(stale)} recorded reads are no longer asked: record it again")

    def test_texts_of_strangers_are_cleaned(self) -> None:
        for recording, case in self._cases():
            whole = Replay(recording)
            known = runs.read(self.adapter, whole, recording, case)
            for change in (runs.hostile, *runs.renamings(recording, whole.asked, known)):
                try:
                    found = runs.read(self.adapter, runs.Changed(recording, change), recording, case)
                except (AdapterError, BadAnswer):
                    continue
                for text in runs.texts(found):
                    if text and text != clean(text):
                        self._fail(f"{recording.name}: {text!r} reaches the account as a stranger wrote it")

    def test_a_reading_is_fast(self) -> None:
        for recording, case in self._cases():
            best = min(self._timed(recording, case) for _ in range(TRIES))
            if best > self.seconds:
                self._fail(f"{recording.name}: {best:.3f} s, {self.seconds:g} s are allowed")

    def _timed(self, recording: Recording, case: Case) -> float:
        began = time.perf_counter()
        self._read(recording, case)
        return time.perf_counter() - began

    def _read(self, recording: Recording, case: Case) -> runs.Found:
        return runs.read(self.adapter, Replay(recording), recording, case)

    def _cases(self) -> Iterator[tuple[Recording, Case]]:
        for recording in self.recordings:
            for case in recording.cases:
                yield recording, case

    def _accounts(self) -> Iterator[tuple[Recording, Case, Account]]:
        for recording, case in self._cases():
            for account in runs.accounts(self._read(recording, case)):
                yield recording, case, account

    def _subjects(self) -> Iterator[tuple[Recording, moves.Subject]]:
        for recording, _, account in self._accounts():
            one = moves.subject(account, self.tolerance, self.rounding_usd)
            if one is not None:
                yield recording, one
            elif account.exact is not None and any(leg.role is Role.POSITION and leg.price is None for leg in account.legs):
                self._fail(f"{recording.name}: a position of {account.id} has no price that names its feed")

    def _refuse(self, recording: Recording, findings: Iterable[str]) -> None:
        for finding in findings:
            self._fail(f"{recording.name}: {finding}")

    def _fail(self, finding: str) -> NoReturn:
        caller = next(frame.function for frame in inspect.stack() if frame.function.startswith("test_"))
        raise NotConformantError(caller, finding)


@lru_cache(maxsize=16)
def _recordings(folder: Path) -> tuple[Recording, ...]:
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"no recordings in {folder}: make one with `python -m defi_risk.testing record`")
    return tuple(replay.load(file) for file in files)


def _folder(test: type, wanted: Path) -> Path:
    if wanted.is_absolute():
        return wanted
    above = Path(inspect.getfile(test)).resolve().parents
    places = [folder / base / wanted for folder in above for base in ("", "fixtures/replays")]
    return next((place for place in places if place.is_dir()), places[0])


def _difference(ours: Any, theirs: Any, where: str = "") -> str:
    """The first place where two plain values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}, key=str):
            if ours.get(key) != theirs.get(key):
                return _difference(ours.get(key), theirs.get(key), f"{where}.{key}")
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            if mine != other:
                return _difference(mine, other, f"{where}[{index}]")
    return f"{where or 'it'} is {_short(ours)}, not {_short(theirs)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
