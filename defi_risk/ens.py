"""ENS names of wallets, resolved on Ethereum at the block that a scan is pinned to.

Two rounds of reads: the registry tells the resolver of a name, the resolver its address (ERC-137). Nothing is fetched from outside:
a resolver that would send the reader to a server (ERC-3668, "CCIP read") or that answers for all names below its own (ENSIP-10) is
not followed, and the name is refused with that reason. Names are normalised by ENSIP-15, so that what is shown is what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from defi_risk.errors import UsageError
from defi_risk.ids import ZERO_ADDRESS, Address, keccak256
from defi_risk.spi import Ask, Failed, Interface, Steps, together
from defi_risk.text import shown

REGISTRY: Final = Address("0x00000000000C2E074eC69A0dFb2997BA6C7d2e1e")
REGISTRY_ABI: Final = Interface("defi_risk_abis", "ens/registry")
RESOLVER_ABI: Final = Interface("defi_risk_abis", "ens/resolver")
WILDCARD: Final = bytes.fromhex("9061b923")  # interface id of ENSIP-10's `resolve(bytes,bytes)`
LONGEST: Final = 255
_NAME: Final = re.compile(r"[^\s.:/\\]+(\.[^\s.:/\\]+)+")
_ADVICE: Final = "give the address instead"


def is_name(text: str) -> bool:
    """Whether a text has the form of a name such as `vitalik.eth`, rather than that of an address."""
    return len(text) <= LONGEST and _NAME.fullmatch(text) is not None


def normalise(name: str) -> str:
    """The name in the one form that ENS knows it by. Raises `UsageError` for a name that cannot exist or that may deceive."""
    from ens_normalize import DisallowedSequence, ens_normalize

    if not is_name(name):
        raise UsageError(f"{shown(name, 60)!r} is not a name", hint="such as vitalik.eth")
    try:
        normal: str = ens_normalize(name)
    except DisallowedSequence as error:
        raise UsageError(f"{shown(name, 60)!r} is not an ENS name: {shown(str(error), 120)}", hint=_ADVICE) from None
    return normal


def namehash(name: str) -> bytes:
    """The node of a normalised name (ERC-137): labels hashed from the last to the first. The empty name is the root, 32 zero bytes."""
    node = bytes(32)
    for label in reversed(name.split(".") if name else []):
        node = keccak256(node + keccak256(label.encode()))
    return node


def resolve(names: Sequence[str]) -> Steps[dict[str, Address]]:
    """The addresses that names have at this block, by the names as given; two rounds for all of them.

    Raises `UsageError` with the reason for the first name that has none that can be read on chain.
    """
    wanted = list(dict.fromkeys(names))
    found = yield from together([_resolve(name) for name in wanted])
    return dict(zip(wanted, found, strict=True))


def _resolve(name: str) -> Steps[Address]:
    normal = normalise(name)
    labels = normal.split(".")
    suffixes = [".".join(labels[index:]) for index in range(len(labels))]
    resolvers: Sequence[Address] = yield [REGISTRY_ABI(REGISTRY, "resolver", namehash(suffix)) for suffix in suffixes]
    own, parents = resolvers[0], resolvers[1:]
    if own == ZERO_ADDRESS:
        parent = next((resolver for resolver in parents if resolver != ZERO_ADDRESS), None)
        if parent is None:
            raise UsageError(f"there is no ENS name {normal!r}", hint="check its spelling, or " + _ADVICE)
        [wildcard] = yield [_asks_wildcard(parent)]
        raise _refusal(normal, wildcard, "there is no ENS name")
    address, wildcard = yield [RESOLVER_ABI(own, "addr", namehash(normal), optional=True), _asks_wildcard(own)]
    if isinstance(address, Failed):
        raise _refusal(normal, wildcard, "the resolver gives no address for the ENS name")
    if address == ZERO_ADDRESS:
        raise UsageError(f"the ENS name {normal!r} has no address on Ethereum", hint=_ADVICE)
    return Address(address)


def _asks_wildcard(resolver: Address) -> Ask:
    return RESOLVER_ABI(resolver, "supportsInterface", WILDCARD, optional=True)


def _refusal(name: str, wildcard: bool | Failed, otherwise: str) -> UsageError:
    """Why a name is refused whose resolver does not answer for it directly."""
    if wildcard:
        fault = f"the ENS name {name!r} is kept by a resolver that answers by rule or off chain (ENSIP-10), which is not followed"
        return UsageError(fault, hint=_ADVICE)
    return UsageError(f"{otherwise} {name!r}", hint="check its spelling, or " + _ADVICE)
