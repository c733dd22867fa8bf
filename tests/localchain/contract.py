"""Deploy contracts and talk to them by function name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from eth_utils.address import to_checksum_address

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import Artifact
from tests.localchain.codec import Abi
from tests.localchain.rpc import RpcError

GAS: Final = 29_000_000  # of a transaction: just below the node's block limit
DEPLOYER: Final = to_checksum_address("0x" + "de" * 20)
"""Who deploys and governs every market."""


class Reverted(RuntimeError):
    """A call or transaction was refused by a contract; `reason` says why in the contract's words."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason or 'no reason given'}")
        self.what = what
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract at an address of a chain."""

    anvil: Anvil
    address: str
    abi: Abi

    def calldata(self, function: str, *arguments: object) -> bytes:
        """What a call of `function` sends."""
        return self.abi.encode(function, arguments)

    def call(self, function: str, *arguments: object, sender: str = DEPLOYER, block: int | str = "latest") -> Any:
        """What `function` returns, without changing anything. Raises `Reverted`."""
        request = {"from": sender, "to": self.address, "data": "0x" + self.calldata(function, *arguments).hex()}
        try:
            data = self.anvil.rpc("eth_call", request, hex(block) if isinstance(block, int) else block)
        except RpcError as error:
            raise self._reverted(function, error) from None
        return self.abi.decode(function, len(arguments), bytes.fromhex(data[2:]))

    def send(self, function: str, *arguments: object, sender: str = DEPLOYER, value: int = 0) -> None:
        """Call `function` in a transaction of `sender`. Raises `Reverted`."""
        request = self.transaction(function, *arguments, sender=sender, value=value)
        receipt = self.anvil.receipt(request)
        if receipt["status"] == "0x1":
            return
        before = hex(int(receipt["blockNumber"], 16) - 1)
        try:
            self.anvil.rpc("eth_call", request, before)
        except RpcError as error:
            raise self._reverted(function, error) from None
        raise Reverted(function, "failed for want of gas")

    def transaction(self, function: str, *arguments: object, sender: str = DEPLOYER, value: int = 0, gas: int = GAS) -> dict[str, Any]:
        """A transaction that calls `function`, for the node to send."""
        data = "0x" + self.calldata(function, *arguments).hex()
        return {"from": sender, "to": self.address, "data": data, "value": hex(value), "gas": hex(gas)}

    def sees(self, address: str) -> Contract:
        """The same interface at another address."""
        return Contract(self.anvil, to_checksum_address(address), self.abi)

    def on(self, anvil: Anvil) -> Contract:
        """The same contract on another node: a fork."""
        return Contract(anvil, self.address, self.abi)

    def _reverted(self, function: str, error: RpcError) -> Reverted:
        data = bytes.fromhex(error.data.removeprefix("0x"))
        return Reverted(function, self.abi.reason(data) if data else str(error))


def deploy(anvil: Anvil, artifact: Artifact, *arguments: object, libraries: Mapping[str, str] | None = None) -> Contract:
    """Deploy a contract. Raises `Reverted`."""
    code = artifact.linked(libraries or {}) + artifact.abi.encode_constructor(arguments)
    receipt = anvil.receipt({"from": DEPLOYER, "data": "0x" + code.hex(), "gas": hex(GAS)})
    if receipt["status"] != "0x1":
        raise Reverted(artifact.name, "deployment failed")
    return Contract(anvil, to_checksum_address(receipt["contractAddress"]), artifact.abi)


def at(anvil: Anvil, artifact: Artifact, address: str) -> Contract:
    """A contract that stands already, with the interface of `artifact`."""
    return Contract(anvil, to_checksum_address(address), artifact.abi)
