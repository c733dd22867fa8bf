"""ENS on a local chain: the real registry at its one address, and a resolver for names under .eth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import ens
from tests.localchain.contract import DEPLOYER, Contract, deploy

REGISTRY: Final = "0x00000000000C2E074eC69A0dFb2997BA6C7d2e1e"
ROOT: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Names:
    """The registry and a resolver; the deployer owns the root."""

    registry: Contract
    resolver: Contract

    def register(self, label: str, *, resolved: bool = True) -> bytes:
        """Make `label.eth` exist, with a resolver or without, and return its node."""
        eth = keccak(ROOT + keccak(text="eth"))
        self.registry.send("setSubnodeOwner", ROOT, keccak(text="eth"), DEPLOYER)
        self.registry.send("setSubnodeOwner", eth, keccak(text=label), DEPLOYER)
        node = keccak(eth + keccak(text=label))
        if resolved:
            self.registry.send("setResolver", node, self.resolver.address)
        return node

    def point(self, label: str, address: str) -> None:
        """Let `label.eth` name an address."""
        self.resolver.send("setAddr", self.register(label), address)


def deploy_names(anvil: Anvil) -> Names:
    """Deploy the registry, move its code to the address that the world knows, and give the root to the deployer."""
    built = deploy(anvil, ens("ENSRegistry"))
    anvil.set_code(REGISTRY, anvil.rpc("eth_getCode", built.address, "latest"))
    # the records are a mapping in slot 0, and the owner is the first field of the root's record
    anvil.set_storage(REGISTRY, int.from_bytes(keccak(ROOT + bytes(32)), "big"), int(DEPLOYER, 16))
    registry = built.sees(REGISTRY)
    return Names(registry, deploy(anvil, ens("PublicResolver"), REGISTRY))
