"""A deployment as it stands on another node: a fork of the one that it was made on."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract

T = TypeVar("T")


def on(anvil: Anvil, deployment: T) -> T:
    """The same market, tokens or kit, with every contract in it on the other node."""
    return cast("T", _moved(anvil, deployment))


def _moved(anvil: Anvil, part: Any) -> Any:
    if isinstance(part, Anvil):
        return anvil
    if isinstance(part, Contract):
        return part.on(anvil)
    if isinstance(part, dict):
        contracts: dict[Any, Any] = part
        return {key: _moved(anvil, value) for key, value in contracts.items()}
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{field.name: _moved(anvil, getattr(part, field.name)) for field in fields(part)})
    return part
