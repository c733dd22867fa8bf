"""Time as the sources see it: a clock that tests can replace, the deadline of a scan, and work done side by side within it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Generic, Protocol, TypeVar

from defi_risk.errors import TimedOut

_R = TypeVar("_R")


class Clock(Protocol):
    """`now` is monotonic, `wall` is unix time, both in seconds."""

    def now(self) -> float: ...

    def wall(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM: Final = SystemClock()


class Deadline:
    """The end of the time, in seconds from now, that a scan may take. Everything below asks it how much is left."""

    def __init__(self, seconds: float, clock: Clock = SYSTEM) -> None:
        self.clock: Final = clock
        self.seconds: Final = seconds
        self._end = clock.now() + seconds

    def left(self) -> float:
        """Seconds that remain, never negative."""
        return max(0.0, self._end - self.clock.now())

    def check(self, source: str) -> None:
        """Raise `TimedOut` once no time is left."""
        if self.left() <= 0:
            raise self.missed(source)

    def missed(self, source: str) -> TimedOut:
        """The error of what was not ready in time."""
        return TimedOut(f"{source} was not read within {self.seconds:g} s", source=source, hint="allow more time, or use a faster node")


class Crew(Generic[_R]):
    """Functions run side by side, at most `most` at once, whose ends are taken one by one with `take`.

    The threads are daemons and only the caller waits: an interrupt, or a caller that has heard enough, never hangs on a node that
    does. So the functions must end by themselves. Leaving the `with` block starts no further function.
    """

    def __init__(self, work: Sequence[Callable[[], _R]], most: int) -> None:
        self._ends: SimpleQueue[tuple[int, _R | BaseException]] = SimpleQueue()
        self._todo: SimpleQueue[tuple[int, Callable[[], _R]]] = SimpleQueue()
        for item in enumerate(work):
            self._todo.put(item)
        for _ in range(min(most, len(work))):
            threading.Thread(target=self._labour, daemon=True).start()

    def take(self) -> tuple[int, _R | BaseException]:
        """The next function that ends: its index, and its result or exception."""
        return self._ends.get()

    def take_within(self, seconds: float) -> tuple[int, _R | BaseException] | None:
        """The same, or None where none ends in that time."""
        try:
            return self._ends.get(timeout=seconds)
        except Empty:
            return None

    def __enter__(self) -> Crew[_R]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._next() is not None:
            pass

    def _next(self) -> tuple[int, Callable[[], _R]] | None:
        try:
            return self._todo.get_nowait()
        except Empty:
            return None

    def _labour(self) -> None:
        while (item := self._next()) is not None:
            index, function = item
            try:
                end: _R | BaseException = function()
            except BaseException as error:  # noqa: BLE001  # carried to the thread that waits, which raises it
                end = error
            self._ends.put((index, end))
