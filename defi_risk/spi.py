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
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol, TypeVar

from defi_risk.errors import Unsupported
from defi_risk.ids import AccountId, Address, AssetId, Factor, account_id, erc20_id
from defi_risk.model import Account, Asset, Chain, FactorRef, KeyRights, Owner, Quote, Side, SourceReport, Tier

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


@dataclass(frozen=True, slots=True)
class InfoCall:
    """One read-only question to a venue's public information service, over HTTP.

    `service` is the URL as the market's settings have it (a literal or a reference such as `${NAME}`; the engine resolves it and shows
    no more than its host), `body` the JSON text that is posted, empty for a GET; `path` is what follows below the service in either case.
    The answer is parsed JSON with `int` and `Decimal` for numbers, which `defi_risk.answers` takes apart. It is not pinned to a block: the
    adapter compares the time in it with the anchor's. A service that gives none makes the account unknown (`ServiceFailed`), and its
    report "failed"; where the ask is optional, that is a note, and the adapter returns a `SourceReport` of its own that says what is lost.
    """

    service: str
    body: str = ""
    path: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ExchangeCall:
    """One named read of an exchange account: `read` is a key of its reader's `reads`, `params` what the read takes.

    The answer is the exchange's own JSON, in which every number is the decimal text that it was written with (of a read of ccxt's own, its
    unified structure, with decimal texts too). The engine holds keys, signatures and clock; a reader never sees them.
    """

    read: str
    params: tuple[tuple[str, str], ...] = ()
    optional: bool = False


Ask = Call | NativeBalance | InfoCall


@dataclass(frozen=True, slots=True)
class Interface:
    """An ABI file shipped as package data: `Interface("defi_risk_abis", "aave_v3/pool")` is `aave_v3/pool.json` of that package.

    Calling it makes a `Call`: `POOL(address, "getReserveData", asset)`. Only view and pure functions can be asked. `raw`: what is asked
    takes the bare arguments without a selector, as HyperEVM's read precompiles do.
    """

    package: str
    path: str
    raw: bool = False

    def __call__(self, to: Address, function: str, *args: Any, optional: bool = False, forever: bool = False) -> Call:
        return Call(to, self, function, args, optional, forever)


@dataclass(frozen=True, slots=True)
class Failed:
    """Stands in place of the answer to an optional read that failed; false in a condition."""

    reason: str

    def __bool__(self) -> bool:
        return False


Found = Account | Quote | SourceReport
Reading = Generator[Sequence[Ask], Sequence[Any], "list[Found]"]
"""What `Adapter.read` returns: accounts, prices that other accounts may need, and how the venue's own service was.

Of a `SourceReport` count `status` ("failed": accounts may be missing, the scan is partial; "stale": old data), `error`, `as_of` and
`notes`; the engine names it after the adapter and unites the reports of all wallets.
"""
Steps = Generator[Sequence[Ask], Sequence[Any], _R]
"""A part of a reading that ends in a value; use it with `yield from`, several at a time with `together`."""
Requests = Generator[Sequence[ExchangeCall], Sequence[Any], _R]
"""The same of an exchange account: it yields `ExchangeCall`s, which are answered in their order."""


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
        first = self.params[0][1] if self.params else ""
        return first if first.startswith("0x") else ""

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

    def listed_id(self, adapter: str, name: str) -> AssetId:
        """Id of what a venue itself lists by name (a perpetual's underlying): `eip155:999/hyperliquid:ETH`. `perps.toml` knows factors."""
        return AssetId(f"eip155:{self.chain.id}/{adapter}:{name}")


@dataclass(frozen=True, slots=True)
class ExchangeRead:
    """A read that a reader may ask for: the only thing that can reach an exchange.

    `method` is ccxt's name of it: an implicit one, which is one request (`fapiPrivateV3GetAccount`), or a unified one (`fetch_positions`).
    `requests` are all requests that it may send, as "GET /fapi/v3/account"; `{}` stands for one part of a path. Whatever else ccxt would
    send is refused before it leaves. Answers of a read that is `kept` are cached for so many seconds, and shared by all accounts at the
    exchange unless it is `private`. `takes` are parameters that the read must be given in order, as ccxt's unified methods want them;
    all others are its `params`.
    """

    method: str
    requests: tuple[str, ...]
    kept: int = 0
    private: bool = True
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatedTiers:
    """Maintenance brackets of one contract as they were published on a day, for want of the exchange's own now."""

    as_of: date
    tiers: tuple[Tier, ...]
    initial_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an exchange account is read. `name` is the owner's for it, `exchange` ccxt's.

    `milliseconds` is the time by the exchange's clock at which the reading began. `options` are those of the book, `address` the account's
    on-chain address where the exchange knows it by one. `numbers` are the rule parameters in force on that day, by name (`rule`), `tiers`
    the bundled brackets by the exchange's own symbol; `factors` maps coin codes to factors.
    """

    name: str
    exchange: str
    milliseconds: int
    options: Mapping[str, object] = field(default_factory=dict)
    address: str = ""
    numbers: Mapping[str, Decimal] = field(default_factory=dict)
    tiers: Mapping[str, DatedTiers] = field(default_factory=dict)
    factors: Mapping[str, FactorRef] = field(default_factory=dict)

    def rule(self, name: str) -> Decimal:
        """A rule parameter in force. Raises `Unsupported` where the configuration has none: a guess would be worse."""
        found = self.numbers.get(name)
        if found is None:
            raise Unsupported(f"no rule {name!r} of {self.exchange} is in force on this day", hint=f"set rules = {{ {name} = ... }}")
        return found

    def factor_of(self, coin: str) -> FactorRef:
        """Factor and peg of a coin by its code; a code in no table is a factor of its own, the same at every exchange."""
        return self.factors.get(coin) or FactorRef(Factor(coin))

    def asset(self, coin: str, decimals: int = 18) -> Asset:
        """A coin as this exchange lists it: `exchange:binance/USDT`."""
        return Asset(AssetId(f"exchange:{self.exchange}/{coin}"), coin, decimals)

    def account_id(self, *parts: str) -> AccountId:
        """Id of one margin account: the owner's name of the key, and where it is: `binance-main/usdm/USDT`."""
        return AccountId("/".join((self.name, *parts)))


class ExchangeReader(Protocol):
    """One exchange's way of being read: its accounts are margin accounts like any other.

    `names` are ccxt's ids that it reads, the first of them that of its rules, `venue` the name shown, `needs` the credentials by ccxt's
    names (`apiKey`, `secret`, `password`, `privateKey`, `walletAddress`), `reads` everything that it may ask. `read` yields lists of
    `ExchangeCall`s, which are answered one after the other, in order, and returns accounts (and reports with notes); what it raises makes
    the account unknown. `rights` asks what the key may do. A reader of several ids or wallets may have `selects(at)`, which names the one
    that id and options of the book mean: two entries of a book with one key and one such name are one account.
    """

    names: ClassVar[tuple[str, ...]]
    api: ClassVar[int]
    venue: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    reads: ClassVar[Mapping[str, ExchangeRead]]

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Read every margin account that the key sees. All or nothing: positions with balances of the same moment."""
        ...

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """What the key may do; None where the exchange needs no key."""
        ...


class Adapter(Protocol):
    """One venue's way of being read.

    `name` is the adapter's name in books and ids, `api` the version of this module it was written for, `roots` the parameter names
    of a market, addresses all, the first being the one that identifies it, and `venue` the name shown. An adapter may name optional
    settings of its markets in a class attribute `settings`, and `side = Side.DERIVATIVES` where its accounts are not loans. The public
    services that it asks where a setting names no other stand in a class attribute `services`, by setting: people are told of them.
    A method `check(given)` refuses settings before anything is read (see `defi_risk.settings`).
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


def services_of(adapter: Adapter, market: Market) -> tuple[str, ...]:
    """What a market's settings say, and where they say nothing the services that its adapter asks: addresses, references and words."""
    usual: Mapping[str, str] = getattr(adapter, "services", {})
    return tuple(filter(None, (market.get(name) or usual.get(name, "") for name in settings_of(adapter))))


def side_of(adapter: Adapter) -> Side:
    """What an adapter's accounts are, for one that could not be read."""
    side: Side = getattr(adapter, "side", Side.LENDING)
    return side


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
