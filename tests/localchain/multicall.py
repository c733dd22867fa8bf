"""Multicall3 where every chain has it."""

from __future__ import annotations

from typing import Final

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import multicall3_creation_code

MULTICALL3: Final = "0xcA11bde05977b3631167028862bE2a173976CA11"


def put_multicall3(anvil: Anvil) -> str:
    """Put Multicall3 at its well-known address and return that. A call that creates a contract answers with the runtime code."""
    anvil.set_code(MULTICALL3, anvil.rpc("eth_call", {"data": multicall3_creation_code()}, "latest"))
    return MULTICALL3
