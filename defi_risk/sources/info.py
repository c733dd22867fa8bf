"""Venues' public information services: questions in JSON over HTTP, asked beside the reads of a chain and answered once a round.

A service that fails costs the accounts that need its answer, never the chain: each question ends in a value or in an error in its
place. A round's questions take at most half of the scan's remaining time, and a service that did not answer in the end is not asked
again in the same scan, so that a slow one cannot use up the time of the others. Nothing is kept for another scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from defi_risk import exact_json
from defi_risk.errors import BadAnswer, DefiRiskError, RateLimited, ServiceFailed, SourceError, TimedOut, Unreachable, UsageError
from defi_risk.secrets import public_url, resolve
from defi_risk.sources.clock import Crew, Deadline
from defi_risk.sources.faults import http_error
from defi_risk.spi import InfoCall

if TYPE_CHECKING:
    from defi_risk.sources.line import Limits, Line

AT_ONCE: Final = 4
"""Questions to one host that are under way side by side."""
SHARE: Final = 0.5
"""Part of the scan's remaining time that the questions of one round may take."""
SECONDS: Final = 10.0
LARGEST_ANSWER: Final = 16 * 1024 * 1024
LONGEST_QUESTION: Final = 65_536
_PAUSE: Final = 0.3
_LONG_PAUSE: Final = 1.0
_LASTING: Final = (Unreachable, TimedOut, RateLimited)


class Question(NamedTuple):
    """What is asked: two `InfoCall`s that differ in whether they are optional are one question."""

    service: str
    body: str
    path: str


def question_of(ask: InfoCall) -> Question | ServiceFailed:
    """The question of an ask, or the error of one that cannot be sent."""
    if not all(map(_is_text, (ask.service, ask.body, ask.path))):
        return ServiceFailed("a service was asked with something that is no text, or is far too long")
    if not (ask.path.isascii() and ask.path.isprintable()) or any(char in ask.path for char in " #\\"):
        return ServiceFailed("a service was asked with a path that is none")
    return Question(ask.service, ask.body, ask.path)


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_QUESTION:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Services:
    """All services of one scan of a chain. `deadline` is the scan's."""

    def __init__(self, deadline: Deadline, limits: Limits | None = None) -> None:
        self._deadline: Final = deadline
        self._limits: Final = limits
        self._services: Final[dict[str, _Service | ServiceFailed]] = {}

    def ask(self, questions: Iterable[Question]) -> Round:
        """Begin to ask distinct questions; their answers are waited for in `Round.answers`."""
        until = Deadline(self._deadline.left() * SHARE, self._deadline.clock)
        failed: dict[Question, Any] = {}
        by_host: dict[str, dict[Question, Callable[[], Any]]] = {}
        for question in questions:
            service = self._service(question.service)
            if isinstance(service, ServiceFailed):
                failed[question] = service
            else:
                by_host.setdefault(service.origin, {})[question] = partial(service.answer, question, until)
        return Round(failed, list(by_host.values()))

    def close(self) -> None:
        """Close idle connections."""
        for service in self._services.values():
            if isinstance(service, _Service):
                service.close()

    def _service(self, text: str) -> _Service | ServiceFailed:
        """The service that a market's setting names: a URL, or a reference to one, which is resolved here alone."""
        if text not in self._services:
            try:
                self._services[text] = _Service(text, self._deadline, self._limits)
            except UsageError as error:
                self._services[text] = ServiceFailed(error.message, hint=error.hint)
        return self._services[text]


class Round:
    """Questions under way. Leaving the `with` block begins no further one."""

    def __init__(self, answers: Mapping[Question, Any], hosts: Iterable[Mapping[Question, Callable[[], Any]]]) -> None:
        self._answers: Final = dict(answers)
        self._crews: Final = [(list(work), Crew(list(work.values()), most=AT_ONCE)) for work in hosts]

    def answers(self) -> dict[Question, Any]:
        """The value of each answer, or the error in its place, once all are there: every question ends by itself."""
        for questions, crew in self._crews:
            for _ in questions:
                index, end = crew.take()
                if isinstance(end, BaseException) and not isinstance(end, DefiRiskError):
                    raise end
                self._answers[questions[index]] = end
        return self._answers

    def __enter__(self) -> Round:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for _, crew in self._crews:
            crew.__exit__(kind, error, trace)


class _Service:
    """One service: where it is, and whether it is still worth asking. Raises `UsageError` for what is no URL."""

    def __init__(self, text: str, deadline: Deadline, limits: Limits | None) -> None:
        from defi_risk.sources.line import Door, Limits, Line

        if not text.strip():
            raise UsageError("no address is set for a service that is needed", hint="give it in the market's settings")
        url = resolve(text)
        self.origin: Final = public_url(url.reveal().strip())
        if not self.origin.startswith(("http://", "https://")):
            raise UsageError(f"the address of a service ({url.origin}) is not an http(s) URL", hint="write it as https://host/path")
        self._clock: Final = deadline.clock
        self._line: Final[Line] = Line(Door(url), limits or Limits(SECONDS, LARGEST_ANSWER))
        self._down = ""

    def answer(self, question: Question, until: Deadline) -> Any:
        """The answer's value. Raises `BadAnswer` for one that cannot be used, `ServiceFailed` where there is none in the end."""
        if self._down:
            raise ServiceFailed(self._down)
        try:
            return self._patiently(question, until)
        except BadAnswer:
            raise
        except SourceError as error:
            if isinstance(error, _LASTING):
                self._down = error.message
            raise ServiceFailed(error.message) from None

    def close(self) -> None:
        self._line.close()

    def _patiently(self, question: Question, until: Deadline) -> Any:
        """Ask, and once more where the service was out of order, or asked to wait and there is time to."""
        try:
            return self._once(question, until)
        except Unreachable:
            pause = _PAUSE
        except RateLimited as error:
            pause = _LONG_PAUSE if error.retry_after is None else error.retry_after
            if pause >= until.left():
                raise
        self._clock.sleep(min(pause, until.left()))
        return self._once(question, until)

    def _once(self, question: Question, until: Deadline) -> Any:
        path = "/" + question.path.lstrip("/")
        status, retry_after, body = self._line.exchange(question.body.encode(), until.left(), path)
        if 200 <= status < 300:
            return exact_json.answer(body, self.origin)
        raise http_error(status, retry_after, self.origin, self._clock.wall())
