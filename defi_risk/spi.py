"""All that an adapter sees. An adapter is a generator: it yields lists of reads, is sent their answers, and returns accounts.

    class Mine:
        name = "mine"
        api = 1
        venue = "Mine"
        roots = ("vault",)

        def read(self, owner: Owner, market: Market, at: Context) -> Reading:
            [shares] = yield [VAULT(market["vault"], "balanceOf", owner.address)]
            ...
            return [Account(...)]

It does no input or output: nodes, keys, retries, the pinned block and the cache belong to the engine, which advances all adapters
in lock-step so that the k-th reads of every wallet in every market share round trips. A read that must work and does not is
raised at the `yield` (let it pass: the account becomes unknown); a read made with `optional=True` that fails arrives as `Failed`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeVar

from defi_risk.ids import AccountId, Address, AssetId, Factor, account_id, erc20_id
from defi_risk.model import Account, Chain, FactorRef, Owner, Quote

API: Final = 1
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Call:
    """One read of a view function. Equal calls of one round are asked once.

    The answer is the decoded value; several return values, or a struct, arrive as a named tuple with the ABI's names.
    `forever` marks what cannot change while the contract stands (a token's decimals): it is cached across blocks.
    """

    to: Address
    interface: Interface
    function: str
    args: tuple[Any, ...] = ()
    optional: bool = False
    forever: bool = False


@dataclass(frozen=True, slots=True)
class NativeBalance:
    """The balance of the chain's own coin, in wei."""

    owner: Address
    optional: bool = False


Ask = Call | NativeBalance


@dataclass(frozen=True, slots=True)
class Interface:
    """An ABI file shipped as package data: `Interface("defi_risk_abis", "aave_v3/pool")` is `aave_v3/pool.json` of that package.

    Calling it makes a `Call`: `POOL(address, "getReserveData", asset)`. Only view and pure functions can be asked.
    """

    package: str
    path: str

    def __call__(self, to: Address, function: str, *args: Any, optional: bool = False, forever: bool = False) -> Call:
        return Call(to, self, function, args, optional, forever)


@dataclass(frozen=True, slots=True)
class Failed:
    """Stands in place of the answer to an optional read that failed; false in a condition."""

    reason: str

    def __bool__(self) -> bool:
        return False


Reading = Generator[Sequence[Ask], Sequence[Any], "list[Account | Quote]"]
"""What `Adapter.read` returns: accounts, and prices that other accounts may need."""
Steps = Generator[Sequence[Ask], Sequence[Any], _R]
"""A part of a reading that ends in a value; use it with `yield from`, several at a time with `together`."""


@dataclass(frozen=True, slots=True)
class Market:
    """One deployment of a venue. `params` holds its root addresses (and settings) by the names that books use."""

    adapter: str
    chain: Chain
    name: str
    params: tuple[tuple[str, str], ...] = ()
    venue: str = ""
    source: str = ""
    confidence: str = "verified"

    def __getitem__(self, key: str) -> Address:
        """The address given under `key`; raises `KeyError`."""
        for name, value in self.params:
            if name == key:
                return Address(value)
        raise KeyError(key)

    def get(self, key: str, default: str = "") -> str:
        """A setting as text."""
        return next((value for name, value in self.params if name == key), default)

    @property
    def root(self) -> str:
        """The first root address; it names the market inside account ids. Empty for a market without one."""
        return self.params[0][1] if self.params else ""

    def account_id(self, owner: Owner) -> AccountId:
        """Id of the account that `owner` has here."""
        return account_id(self.chain.id, self.adapter, self.root, owner.address)


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when a reading takes place.

    `timestamp` is the anchor's, in unix seconds: interest is computed up to it. `number` is there only for venues that accrue per
    block. `factors` maps asset ids to factors; `heartbeats` maps oracle addresses to seconds, `default_heartbeat` holds for the
    others; `markets` are all markets read on this chain.
    """

    chain: Chain
    number: int
    timestamp: int
    factors: Mapping[AssetId, FactorRef] = field(default_factory=dict)
    heartbeats: Mapping[str, int] = field(default_factory=dict)
    markets: tuple[Market, ...] = ()
    default_heartbeat: int = 90_000

    def token_id(self, token: Address) -> AssetId:
        """Asset id of a token on this chain."""
        return erc20_id(self.chain.id, token)

    def heartbeat_of(self, source: str) -> int:
        """Seconds after which an oracle's answer counts as stale."""
        return self.heartbeats.get(source, self.default_heartbeat)

    def factor_of(self, asset: AssetId) -> FactorRef:
        """Factor and peg of an asset; an asset in no table is a factor of its own, named by its id."""
        return self.factors.get(asset) or FactorRef(Factor(asset))


class Adapter(Protocol):
    """One venue's way of being read.

    `name` is the adapter's name in books and ids, `api` the version of this module it was written for, `roots` the parameter names
    of a market, addresses all, the first being the one that identifies it, and `venue` the name shown. An adapter may name optional
    settings of its markets in a class attribute `settings`.
    """

    name: ClassVar[str]
    api: ClassVar[int]
    venue: ClassVar[str]
    roots: ClassVar[tuple[str, ...]]

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read what one owner holds in one market; empty where there is nothing."""
        ...


def settings_of(adapter: Adapter) -> tuple[str, ...]:
    """Names of the optional settings that an adapter's markets may have beside their root addresses."""
    settings: tuple[str, ...] = getattr(adapter, "settings", ())
    return settings


def together(parts: Sequence[Steps[_R]]) -> Steps[list[_R]]:
    """Run several steps side by side: their k-th reads go out as one list. Results keep the order of `parts`."""
    results: dict[int, _R] = {}
    asks: dict[int, Sequence[Ask]] = {}
    for index, part in enumerate(parts):
        try:
            asks[index] = next(part)
        except StopIteration as end:
            results[index] = end.value
    while asks:
        answers = yield [ask for batch in asks.values() for ask in batch]
        position = 0
        following: dict[int, Sequence[Ask]] = {}
        for index, batch in asks.items():
            share = answers[position : position + len(batch)]
            position += len(batch)
            try:
                following[index] = parts[index].send(share)
            except StopIteration as end:
                results[index] = end.value
        asks = following
    return [results[index] for index in range(len(parts))]
