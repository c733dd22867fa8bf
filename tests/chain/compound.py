"""Reading with the product, and asking the contracts of a local node what they would do at the very same block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from defi_risk import engine
from defi_risk.ids import Address, AssetId, ChainId, Factor
from defi_risk.model import Account, Anchor, Chain, Exact, FactorRef, Owner, Quote
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.spi import Adapter, Context, Market
from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract
from tests.localchain.rpc import RpcError

CHAIN = Chain(ChainId(31337), "local", "COIN", Factor("COIN"))


@dataclass(frozen=True, slots=True)
class Scan:
    """What one scan read: its block, the accounts by owner, and quotes."""

    anchor: Anchor
    accounts: Mapping[str, Account]
    quotes: Sequence[Quote]


def scan(
    anvil: Anvil,
    adapter: Adapter,
    market: Market,
    owners: Sequence[str],
    factors: Mapping[AssetId, FactorRef] | None = None,
    *others: Market,
) -> Scan:
    """Read some owners at the newest block, through the product's own sources and engine."""
    with ChainSource.open(CHAIN, [anvil.url], deadline=Deadline(60)) as source:
        at = Context(CHAIN, source.anchor.number, source.anchor.timestamp, factors or {}, markets=(market, *others))
        jobs = [engine.Job(adapter, Owner(Address(owner)), market) for owner in owners]
        found = engine.read(source, jobs, at)
        source.finish()
    return Scan(source.anchor, {account.owner: account for account in found.accounts}, found.quotes)


def ask(
    contract: Contract,
    anchor: Anchor,
    function: str,
    *arguments: object,
    sender: str,
    value: int = 0,
    state: Mapping[str, Any] | None = None,
) -> bytes | None:
    """What a transaction would return in the anchor's own block and time, with some storage changed; None where it reverts."""
    call = {"from": sender, "to": contract.address, "data": "0x" + contract.calldata(function, *arguments).hex(), "value": hex(value)}
    block = {"number": hex(anchor.number), "time": hex(anchor.timestamp)}
    try:
        return bytes.fromhex(contract.anvil.rpc("eth_call", call, hex(anchor.number), dict(state or {}), block)[2:])
    except RpcError:
        return None


def vyper_slot(place: int, key: str) -> str:
    """Storage slot of a key in a Vyper HashMap."""
    return "0x" + keccak(place.to_bytes(32, "big") + bytes(12) + bytes.fromhex(key[2:])).hex()


def first_dead(exact: Exact, key: str, now: int, step: int) -> int | None:
    """The first answer on one side of `now` that liquidates, going outward by steps of doubling size; None where there is none.

    A search of this test's own, for accounts that change their state once on that side.
    """
    if exact.liquidatable():
        return None
    reach, alive = 1, now
    while True:
        far = now + step * reach
        if far < 1 or reach > 2**90:
            far = 1 if step < 0 else 0
        if far < 1 or (not exact.liquidatable({key: far}) and far == 1):
            return None
        if exact.liquidatable({key: far}):
            break
        alive, reach = far, reach * 2
    dead = far
    while abs(dead - alive) > 1:
        middle = (dead + alive) // 2
        if exact.liquidatable({key: middle}):
            dead = middle
        else:
            alive = middle
    return dead
