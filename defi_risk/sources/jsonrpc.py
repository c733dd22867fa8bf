"""JSON-RPC text: strict in, strict out. What is not exactly an answer to what was asked is `BadAnswer`."""

from __future__ import annotations

import json
from binascii import Error as HexError
from binascii import unhexlify
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, cast

from defi_risk.errors import BadAnswer, Incapable
from defi_risk.exact_json import instead
from defi_risk.sources.faults import Fault, fault_of
from defi_risk.text import check_depth

_QUANTITY_DIGITS: Final = 64
_MOST_OPENINGS: Final = 50_000  # arrays and objects in all; a batch of a hundred answers has some hundreds


def encode(number: int, method: str, params: object) -> bytes:
    """One request."""
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(request, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def parse(body: bytes, source: str) -> object:
    """JSON of an answer. Numbers that are no numbers, deep nesting and text that is not UTF-8 are `BadAnswer`."""
    try:
        check_depth(body, _MOST_OPENINGS)
        return cast("object", json.loads(body.decode(), parse_constant=_refuse))
    except (ValueError, RecursionError):
        said = f"{source} answered with {instead(body)}"
        raise BadAnswer(said, source=source, hint="is this the address of a JSON-RPC node?") from None


def parse_or_none(body: bytes) -> object:
    """JSON of a body that may as well be anything else."""
    try:
        return parse(body, "")
    except BadAnswer:
        return None


def is_answer(parsed: object) -> bool:
    """Whether this looks like a JSON-RPC answer, single or batch, that holds an error or a result."""
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    return isinstance(first, dict) and (isinstance(first.get("error"), dict) or "result" in first)


def only(parsed: object, number: int, source: str) -> Mapping[str, Any]:
    """The answer to a single request."""
    if isinstance(parsed, list) and len(parsed) == 1:
        parsed = parsed[0]
    answer = _envelope(parsed, source)
    if answer.get("id") != number and not ("error" in answer and answer.get("id") is None):
        raise BadAnswer(f"{source} answered another request than the one sent", source=source)
    return answer


def several(parsed: object, numbers: Sequence[int], source: str) -> list[Mapping[str, Any]] | Mapping[str, Any]:
    """The answers to a batch in the order of `numbers`, or the one error by which a node refuses batches.

    Raises `Incapable` for answers to other requests than those sent: single requests may still work.
    """
    if not isinstance(parsed, list):
        answer = _envelope(parsed, source)
        if "error" in answer:
            return answer
        raise Incapable(f"{source} answered a batch with a single result", source=source)
    found: dict[int, Mapping[str, Any]] = {}
    for item in cast("list[object]", parsed):
        answer = _envelope(item, source)
        number = answer.get("id")
        if number is None and "error" in answer and len(cast("list[object]", parsed)) == 1:
            return answer
        if not isinstance(number, int) or isinstance(number, bool) or number in found:
            raise Incapable(f"{source} answered a batch with a wrong or repeated id", source=source)
        found[number] = answer
    if set(found) != set(numbers):
        raise Incapable(f"{source} answered {len(found)} of {len(numbers)} requests of a batch, or others", source=source)
    return [found[number] for number in numbers]


def outcome(answer: Mapping[str, Any]) -> object | Fault:
    """Result of a well-formed answer, or its fault."""
    if "error" not in answer:
        return cast("object", answer["result"])
    error = cast("Mapping[str, object]", answer["error"])
    code, message = error.get("code"), error.get("message")
    return fault_of(
        code if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 10**9 else 0,
        message if isinstance(message, str) else "no reason",
        _revert_data(error.get("data")),
    )


def data_of(value: object, source: str) -> bytes:
    """Bytes of `0x` and an even number of hex digits."""
    if isinstance(value, str) and value[:2] == "0x":
        try:
            return unhexlify(value[2:])
        except (HexError, ValueError):
            pass
    raise BadAnswer(f"{source} answered {_kind(value)} where hex data was expected", source=source)


def quantity_of(value: object, source: str) -> int:
    """Number of `0x` and 1 to 64 hex digits."""
    if isinstance(value, str) and value[:2] == "0x" and 0 < len(value) - 2 <= _QUANTITY_DIGITS:
        digits = value[2:]
        if all(digit in "0123456789abcdefABCDEF" for digit in digits):
            return int(digits, 16)
    raise BadAnswer(f"{source} answered {_kind(value)} where a hex number was expected", source=source)


def _envelope(item: object, source: str) -> Mapping[str, Any]:
    if isinstance(item, dict):
        answer = cast("dict[str, Any]", item)
        # "error": null beside a result is common and harmless
        if answer.get("error") is None and "result" in answer:
            answer.pop("error", None)
            return answer
        if isinstance(answer.get("error"), dict):
            return answer
    raise BadAnswer(f"{source} answered JSON that is not JSON-RPC", source=source, hint="is this the address of a JSON-RPC node?")


def _revert_data(value: object) -> bytes:
    """Revert data where the node gives it: as hex, inside an object, or behind a word ("Reverted 0x...")."""
    if isinstance(value, Mapping):
        value = cast("Mapping[str, object]", value).get("data")
    if isinstance(value, str) and len(value) < 100_000 and "0x" in value:
        try:
            return unhexlify(value[value.index("0x") + 2 :].strip())
        except (HexError, ValueError):
            return b""
    return b""


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "an empty string" if not value else f"text of {len(value)} characters"
    return f"a {type(value).__name__}"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
