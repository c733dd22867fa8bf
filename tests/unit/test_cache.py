"""The cache on disk: whatever is in it, it gives back what was put in, or nothing."""

from __future__ import annotations

import os
import pickle
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from defi_risk.errors import StoreError
from defi_risk.sources.cache import Cache


def database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "cache.db", isolation_level=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_what_was_put_comes_back(folder: Path) -> None:
    cache = Cache.open(folder)
    cache.put({"a": b"1", "b": b"", "c": bytes(range(256)) * 1_000})
    assert [cache.get(key) for key in "abcd"] == [b"1", b"", bytes(range(256)) * 1_000, None]
    cache.close()
    again = Cache.open(folder)
    assert again.get("a") == b"1"
    again.close()


def test_the_folder_is_ours_alone(folder: Path) -> None:
    Cache.open(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_change_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(StoreError, match="can be changed by others - chmod 700"):
        Cache.open(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12_345, -1)
    with pytest.raises(StoreError, match="belongs to another user"):
        Cache.open(folder)


def test_a_file_in_place_of_the_folder(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Cache.open(folder)


def test_a_database_that_is_none(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "cache.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"cannot be used .* - delete that folder"):
        Cache.open(folder)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("PWNED",)


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_a_pickle_in_the_database_is_not_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    monkeypatch.chdir(tmp_path)
    cache = Cache.open(folder)
    cache.put({"key": b"value"})
    poison = database(folder)
    poison.execute("UPDATE Cache SET mode = ?, value = ?", (mode, pickle.dumps(Bomb())))
    poison.close()
    assert cache.get("key") is None
    assert not (tmp_path / "PWNED").exists()
    cache.close()


def test_a_pickled_key_is_not_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = Cache.open(folder, size_limit=1)
    poison = database(folder)
    insert = "INSERT INTO Cache(key, raw, store_time, access_time, mode, value, filename) VALUES (?, 0, 0, 0, 4, ?, 'bomb.val')"
    poison.execute(insert, (pickle.dumps(Bomb()), pickle.dumps(Bomb())))
    poison.close()
    for number in range(30):  # each write drops old entries, the forged one among them
        cache.put({f"key {number}": bytes(1_000)})
    assert cache.get("key") is None
    assert not (tmp_path / "PWNED").exists()
    cache.close()


def test_a_forged_file_name_neither_reads_nor_removes_that_file(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep me")
    cache = Cache.open(folder)
    cache.put({"key": b"value"})
    poison = database(folder)
    poison.execute("UPDATE Cache SET filename = '../precious', mode = 2, value = NULL")
    poison.close()
    assert cache.get("key") is None
    cache.put({"key": b"other"})
    assert cache.get("key") == b"other"
    assert precious.read_bytes() == b"keep me"
    cache.close()


@pytest.mark.parametrize("change", ["substr(value, 2)", "value || x'00'", "x''", "NULL", "7", "'text'", "zeroblob(40)"])
def test_a_damaged_value_is_a_miss(folder: Path, change: str) -> None:
    cache = Cache.open(folder)
    cache.put({"key": b"some value"})
    damage = database(folder)
    damage.execute(f"UPDATE Cache SET value = {change}")  # noqa: S608  # the changes stand above
    damage.close()
    assert cache.get("key") is None
    cache.close()


def test_every_flipped_bit_is_a_miss(folder: Path) -> None:
    cache = Cache.open(folder)
    cache.put({"key": b"v"})
    damage = database(folder)
    (value,) = damage.execute("SELECT value FROM Cache").fetchone()
    for bit in range(8 * len(value)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        damage.execute("UPDATE Cache SET value = ?", (bytes(flipped),))
        assert cache.get("key") is None
    damage.close()
    cache.close()


def test_a_value_under_another_key_is_a_miss(folder: Path) -> None:
    cache = Cache.open(folder)
    cache.put({"mine": b"1"})
    swap = database(folder)
    swap.execute("UPDATE Cache SET key = 'yours'")
    swap.close()
    assert cache.get("yours") is None
    cache.close()


def test_entries_expire(folder: Path) -> None:
    cache = Cache.open(folder)
    cache.put({"key": b"1"}, seconds=3_600)
    assert cache.get("key") == b"1"
    age = database(folder)
    age.execute("UPDATE Cache SET expire_time = expire_time - 3601")
    age.close()
    assert cache.get("key") is None
    cache.close()


def test_the_size_is_bounded(folder: Path) -> None:
    cache = Cache.open(folder, size_limit=500_000)
    for number in range(60):
        cache.put({str(number): bytes(50_000)})
    cache.close()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000


def test_a_busy_or_lost_database_is_a_miss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defi_risk.sources.cache._PATIENCE", 0)
    cache = Cache.open(folder)
    cache.put({"key": b"1"})
    other = database(folder)
    other.execute("BEGIN EXCLUSIVE")
    cache.put({"late": b"2"})
    other.execute("COMMIT")
    assert cache.get("late") is None
    other.execute("DROP TABLE Cache")
    other.close()
    assert cache.get("key") is None
    cache.put({"key": b"1"})
    cache.close()


def test_two_threads_share_it(folder: Path) -> None:
    cache = Cache.open(folder)

    def write() -> None:
        cache.put({"from": b"thread"})
        cache.close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert cache.get("from") == b"thread"
    cache.close()


class AgainstADict(RuleBasedStateMachine):
    """Whatever is done to it, the cache gives what a dict would, or a miss after damage."""

    keys = Bundle("keys")

    @initialize()
    def start(self) -> None:
        import tempfile

        self.folder = Path(tempfile.mkdtemp()) / "cache"
        self.cache = Cache.open(self.folder)
        self.truth: dict[str, bytes] = {}

    @rule(target=keys, key=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
    def name(self, key: str) -> str:
        return key

    @rule(key=keys, value=st.binary(max_size=50))
    def put(self, key: str, value: bytes) -> None:
        self.cache.put({key: value})
        self.truth[key] = value

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert self.cache.get(key) == self.truth.get(key)

    @rule()
    def reopen(self) -> None:
        self.cache.close()
        self.cache = Cache.open(self.folder)

    @rule(key=keys)
    def damage(self, key: str) -> None:
        connection = database(self.folder)
        connection.execute("UPDATE Cache SET value = x'00' WHERE key = ?", (key,))
        connection.close()
        self.truth.pop(key, None)

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.cache.close()


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
