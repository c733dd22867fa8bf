"""ABI encoding and decoding by function name, over eth_abi. On purpose it shares nothing with the package under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_utils.address import is_hex_address, to_checksum_address
from eth_utils.crypto import keccak

_ERROR: Final = keccak(text="Error(string)")[:4]
_PANIC: Final = keccak(text="Panic(uint256)")[:4]
Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its selector and the types of what goes in and comes out."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def selector(self) -> bytes:
        return keccak(text=f"{self.name}({','.join(self.inputs)})")[:4]


class Abi:
    """The functions and errors of one contract. Overloads are told apart by the number of arguments."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._functions: dict[tuple[str, int], Function] = {}
        self._errors: dict[bytes, Function] = {}
        self._constructor: tuple[str, ...] = ()
        for entry in entries:
            inputs = tuple(_type(item) for item in entry.get("inputs", ()))
            if entry["type"] == "constructor":
                self._constructor = inputs
            elif entry["type"] == "function":
                outputs = tuple(_type(item) for item in entry.get("outputs", ()))
                self._functions[entry["name"], len(inputs)] = Function(entry["name"], inputs, outputs)
            elif entry["type"] == "error":
                error = Function(entry["name"], inputs, ())
                self._errors[error.selector] = error

    def function(self, name: str, arguments: int) -> Function:
        """The function of that name and number of arguments; `KeyError` where there is none."""
        return self._functions[name, arguments]

    def encode(self, name: str, arguments: Sequence[object]) -> bytes:
        """Calldata of a call."""
        function = self.function(name, len(arguments))
        return function.selector + encode(function.inputs, arguments)

    def encode_constructor(self, arguments: Sequence[object]) -> bytes:
        """What follows the creation code."""
        return encode(self._constructor, arguments)

    def decode(self, name: str, arguments: int, data: bytes) -> Any:
        """What a call returned: the value where there is one, a tuple where there are several."""
        values = tuple(_checksummed(value) for value in decode(self.function(name, arguments).outputs, data))
        return values[0] if len(values) == 1 else values

    def reason(self, data: bytes) -> str:
        """Revert data in words: the message, the panic code, the name of a custom error, or the data in hexadecimal."""
        selector, body = data[:4], data[4:]
        if selector == _ERROR:
            return str(decode(["string"], body)[0])
        if selector == _PANIC:
            return f"panic 0x{decode(['uint256'], body)[0]:02x}"
        known = self._errors.get(selector)
        return known.name if known else "0x" + data.hex()


def _type(item: Entry) -> str:
    """The type as signatures write it: tuples spelled out."""
    name: str = item["type"]
    if not name.startswith("tuple"):
        return name
    return f"({','.join(_type(part) for part in item['components'])}){name.removeprefix('tuple')}"


def _checksummed(value: object) -> object:
    if isinstance(value, str):
        return to_checksum_address(value) if is_hex_address(value) else value
    if isinstance(value, tuple | list):
        return tuple(_checksummed(part) for part in value)
    return value
