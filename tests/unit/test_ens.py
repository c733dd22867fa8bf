"""ENS names: hashes and forms against the standards' own examples, resolution against a registry kept in a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from defi_risk import abi, ens
from defi_risk.engine import run
from defi_risk.errors import UsageError
from defi_risk.ids import ZERO_ADDRESS, Address, ChainId, checksum
from defi_risk.model import Anchor, Chain
from defi_risk.spi import Ask, Call, Failed

ALICE, RESOLVER, PARENT = (checksum(byte * 20) for byte in ("aa", "bb", "cc"))


@dataclass
class Names:
    """A source that answers for a registry and resolvers from dictionaries, through the real ABI codec."""

    resolvers: Mapping[str, Address] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    wildcards: frozenset[Address] = frozenset()
    rounds: int = 0

    @property
    def anchor(self) -> Anchor:
        return Anchor(Chain(ChainId(1), "ethereum"), 1, "0x" + "00" * 32, 1)

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        self.rounds += 1
        return [self._one(ask) for ask in asks]

    def _one(self, ask: Ask) -> Any:
        assert isinstance(ask, Call)
        abi.encode(ask)
        if ask.function == "resolver":
            assert ask.to == ens.REGISTRY
            return next((to for name, to in self.resolvers.items() if ens.namehash(name) == ask.args[0]), ZERO_ADDRESS)
        if ask.function == "supportsInterface":
            return ask.to in self.wildcards
        found = [to for name, to in self.addresses.items() if ens.namehash(name) == ask.args[0]]
        return found[0] if found else Failed("reverted")


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("eth", "93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae"),
        ("foo.eth", "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"),
    ],
)
def test_namehash_gives_the_values_of_erc_137(name: str, node: str) -> None:
    assert ens.namehash(name).hex() == node


def test_a_name_is_resolved_in_two_rounds_under_its_normal_form() -> None:
    names = Names({"alice.eth": RESOLVER}, {"alice.eth": ALICE})
    assert run(names, ens.resolve(["Alice.ETH"])) == {"Alice.ETH": ALICE}
    assert names.rounds == 2


def test_many_names_share_their_rounds() -> None:
    names = Names({"alice.eth": RESOLVER, "bob.eth": RESOLVER}, {"alice.eth": ALICE, "bob.eth": PARENT})
    assert run(names, ens.resolve(["bob.eth", "alice.eth", "bob.eth"])) == {"bob.eth": PARENT, "alice.eth": ALICE}
    assert names.rounds == 2


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("alice", "is not a name"),
        ("a..eth", "is not a name"),
        ("https://alice.eth", "is not a name"),
        ("alice.eth\nbob", "is not a name"),
        ("x" * 300 + ".eth", "is not a name"),
        ("vit\u200dalik.eth", "invisible"),
        ("аpple.eth", "confusing"),
        ("a_b\u202ec.eth", "not an ENS name"),
    ],
)
def test_what_is_no_name_or_deceives_is_refused_in_one_clean_line(name: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as caught:
        run(Names(), ens.resolve([name]))
    assert "\n" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_name_nobody_registered_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no ENS name 'nobody.eth'"):
        run(Names(), ens.resolve(["nobody.eth"]))


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(UsageError, match="has no address on Ethereum"):
        run(Names({"alice.eth": RESOLVER}, {"alice.eth": ZERO_ADDRESS}), ens.resolve(["alice.eth"]))


@pytest.mark.parametrize(
    "resolvers",
    [{"alice.id.eth": RESOLVER}, {"id.eth": RESOLVER}, {"eth": PARENT, "id.eth": RESOLVER}],
    ids=["its own resolver", "its parent's", "the nearest parent's"],
)
def test_a_resolver_that_answers_off_chain_is_not_followed(resolvers: dict[str, Address]) -> None:
    names = Names(resolvers, wildcards=frozenset({RESOLVER}))
    with pytest.raises(UsageError, match=r"off chain .* not followed - give the address"):
        run(names, ens.resolve(["alice.id.eth"]))


def test_a_resolver_that_does_not_answer_is_told_apart() -> None:
    with pytest.raises(UsageError, match=r"resolver gives no address for the ENS name 'alice.eth'"):
        run(Names({"alice.eth": RESOLVER}), ens.resolve(["alice.eth"]))
    with pytest.raises(UsageError, match=r"no ENS name 'alice.id.eth'"):
        run(Names({"eth": PARENT}), ens.resolve(["alice.id.eth"]))


@pytest.mark.parametrize(
    ("text", "whether"), [("vitalik.eth", True), ("a.b.c", True), ("eth", False), ("0x" + "a" * 40, False), ("eth:0x1.2", False)]
)
def test_names_are_told_from_addresses(text: str, whether: bool) -> None:
    assert ens.is_name(text) is whether
