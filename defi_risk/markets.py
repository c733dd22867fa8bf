"""What the package knows by heart: chains, markets, tokens and price feeds, from the TOML files in `defi_risk/data`.

Every file is read when it is first asked for, checked whole and kept. Root addresses, and which token follows which factor, are all
that is written down; everything else is found on chain. A symbol never identifies anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Protocol

from defi_risk.errors import AddressError, StoreError, UnknownName, UsageError
from defi_risk.ids import Address, AssetId, ChainId, Factor, Peg, erc20_id, native_id, parse_address
from defi_risk.model import Chain, FactorRef
from defi_risk.spi import Adapter, Market, settings_of

VERIFIED: Final = "verified"
UNNAMED: Final = "custom"
OWN: Final = "settings"  # where a market comes from that its user described
LOCAL: Final = "local"
LOCAL_CHAIN: Final = ChainId(31_337)  # what local test nodes call themselves
USUAL_BLOCK: Final = 2.0  # seconds
CONFIDENCES: Final = (VERIFIED, "third_party", "unverified")


@dataclass(frozen=True, slots=True)
class FactorTable:
    """Factors of known tokens and coins. `stables` do not move with the market; `betas` are other factors' shares of its moves."""

    refs: Mapping[AssetId, FactorRef]
    stables: frozenset[Factor]
    betas: Mapping[Factor, Decimal]

    def of(self, asset: AssetId) -> FactorRef | None:
        """Factor and peg of a known token; None for any other."""
        return self.refs.get(asset)


def chains() -> Mapping[str, Chain]:
    """The built-in chains by the name that books use."""
    return _chain_data().chains


def chain(name: str, chain_id: ChainId | None = None) -> Chain:
    """The chain of a book: a built-in one by name, or one of another name or id that the book describes.

    `local` without an id is what local nodes are by default; nothing of it is built in. An unknown id gets a coin like Ethereum's.
    Raises `UnknownName` for an unknown name without an id.
    """
    known = chains().get(name)
    if chain_id is None and name == LOCAL:
        chain_id = LOCAL_CHAIN
    if chain_id is None:
        if known is None:
            raise UnknownName("chain", name, tuple(chains()))
        return known
    like = next((one for one in chains().values() if one.id == chain_id), None)
    return Chain(chain_id, name, like.coin, like.coin_factor) if like else Chain(chain_id, name)


def sequencer_feed(chain_id: ChainId) -> Address | None:
    """Chainlink's uptime feed of a rollup's sequencer (answer 0: up), where there is one."""
    return _chain_data().sequencers.get(chain_id)


def block_seconds(chain_id: ChainId) -> float:
    """About how many seconds lie between two blocks; a guess for chains that are not built in. Only look-backs depend on it."""
    return _chain_data().seconds.get(chain_id, USUAL_BLOCK)


def heartbeats(chain_id: ChainId) -> Mapping[str, int]:
    """Seconds after which the known price feeds of a chain count as stale, by address; `default_heartbeat` for the others."""
    return _feed_data().get(chain_id, MappingProxyType({}))


@cache
def default_heartbeat() -> int:
    """Seconds after which a price feed counts as stale when its own heartbeat is not known."""
    return _whole(_document("feeds.toml").get("default"), "feeds.toml: default")


@cache
def built_in() -> tuple[Market, ...]:
    """All built-in markets; see `on_by_default`."""
    known = chains()
    found: dict[str, Market] = {}
    for group in _document("markets.toml")["group"]:
        adapter, confidence = str(group["adapter"]), str(group["confidence"])
        if confidence not in CONFIDENCES:
            raise StoreError(f"markets.toml: unknown confidence {confidence!r}")
        for name, entry in group["markets"].items():
            where = f"markets.toml: {name}"
            if name in found or entry.get("chain") not in known:
                raise StoreError(f"{where}: " + ("a second market of this name" if name in found else "unknown chain"))
            params = tuple((key, _param(value, where)) for key, value in entry.items() if key != "chain")
            found[name] = Market(adapter, known[entry["chain"]], name, params, str(group["venue"]), str(group["source"]), confidence)
    return tuple(found.values())


def on_by_default() -> tuple[Market, ...]:
    """The built-in markets that are read unasked: those whose root address comes from the venue's own team."""
    return tuple(market for market in built_in() if market.confidence == VERIFIED)


def by_name(name: str) -> Market:
    """The built-in market of that name, whatever its confidence. Raises `UnknownName`."""
    for market in built_in():
        if market.name == name:
            return market
    raise UnknownName("market", name, tuple(market.name for market in built_in()))


class Described(Protocol):
    """A market as a book or an option describes it: parameters are addresses and settings, in the adapter's order."""

    @property
    def adapter(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def params(self) -> Sequence[tuple[str, str]]: ...


def from_settings(settings: Described, place: Chain) -> Market:
    """The market that settings describe. One that is built in keeps its venue and source, and its name where none was given.

    Raises `AddressError` for a bad address.
    """
    params = tuple((key, _setting(value)) for key, value in settings.params)
    described = Market(settings.adapter, place, settings.name or UNNAMED, params, source=OWN)
    for known in built_in():
        if (known.adapter, known.chain.id, known.root) == (settings.adapter, place.id, described.root):
            return replace(known, chain=place, params=params, name=known.name if settings.name in ("", UNNAMED) else settings.name)
    return described


def from_options(
    options: Mapping[str, str],
    adapter_of: Callable[[str], Adapter],
    known: Mapping[str, Chain] | None = None,
) -> Market:
    """The market of `--market KEY=VALUE,...`: `name` alone for a built-in one, whatever its confidence, or a whole description.

    Keys of a description: `adapter`, `chain`, `name` (optional) and the adapter's parameters, all of them. `adapter_of` finds adapters
    (`defi_risk.registry.get`), `known` adds the chains of the book. Raises `UnknownName` for what nobody knows, `AddressError` for a bad
    address and `UsageError` for what is missing.
    """
    if set(options) == {"name"}:
        return by_name(options["name"])
    for key in ("adapter", "chain"):
        if not options.get(key):
            raise UsageError(f"a market needs {key}=...", hint="or name=... alone for a built-in market")
    adapter = adapter_of(options["adapter"])
    settings = settings_of(adapter)
    keys = ("adapter", "chain", "name", *adapter.roots, *settings)
    for key in options:
        if key not in keys:
            raise UnknownName(f"key of a market of {adapter.name}", key, keys)
    for key in adapter.roots:
        if not options.get(key):
            raise UsageError(f"a market of {adapter.name} needs {key}=...")
    places = {**chains(), LOCAL: chain(LOCAL), **(known or {})}
    if options["chain"] not in places:
        raise UnknownName("chain", options["chain"], tuple(places))
    roots = tuple((key, parse_address(options[key])) for key in adapter.roots)
    params = (*roots, *((key, options[key]) for key in settings if options.get(key)))
    return from_settings(_Options(adapter.name, options.get("name", ""), params), places[options["chain"]])


@dataclass(frozen=True, slots=True)
class _Options:
    adapter: str
    name: str
    params: tuple[tuple[str, str], ...]


@cache
def factor_table() -> FactorTable:
    """Factors of all known tokens and coins."""
    document = _document("tokens.toml")
    data = _chain_data()
    refs: dict[AssetId, FactorRef] = {native_id(one.id): data.coins[one.id] for one in data.chains.values()}
    for name, tokens in document["tokens"].items():
        if name not in data.chains:
            raise StoreError(f"tokens.toml: unknown chain {name!r}")
        for address, entry in tokens.items():
            refs[erc20_id(data.chains[name].id, _address(address, f"tokens.toml: {name}"))] = _ref(entry)
    betas = {Factor(name): Decimal(value) for name, value in document["betas"].items()}
    return FactorTable(MappingProxyType(refs), frozenset(map(Factor, document["stables"])), MappingProxyType(betas))


def context_factors(chain_id: ChainId, overrides: Mapping[str, FactorRef] | None = None) -> Mapping[AssetId, FactorRef]:
    """Factors of the tokens and the coin of one chain, as a reading's context holds them.

    What venues list by name is the same on every chain (`perps.toml`). `overrides` are those of a book: by asset id, or by plain
    address, which then holds on every chain. They win. On a chain that is not built in no token is known, not even its coin.
    """
    prefix = f"eip155:{chain_id}/"
    found = {AssetId(prefix + listed): ref for listed, ref in _listed().items()}
    found |= {asset: ref for asset, ref in factor_table().refs.items() if asset.startswith(prefix)}
    for key, ref in (overrides or {}).items():
        if key.startswith(prefix):
            found[AssetId(key)] = ref
        elif key.startswith("0x"):
            found[erc20_id(chain_id, parse_address(key))] = ref
    return found


@cache
def _listed() -> Mapping[str, FactorRef]:
    """Factors of what venues list by name, as the ends of asset ids (`Context.listed_id`): `hyperliquid:ETH`."""
    return {f"{adapter}:{name}": _ref(entry) for adapter, entries in _document("perps.toml").items() for name, entry in entries.items()}


@dataclass(frozen=True, slots=True)
class _Chains:
    chains: Mapping[str, Chain]
    coins: Mapping[ChainId, FactorRef]
    sequencers: Mapping[ChainId, Address]
    seconds: Mapping[ChainId, float]


@cache
def _chain_data() -> _Chains:
    found: dict[str, Chain] = {}
    coins: dict[ChainId, FactorRef] = {}
    sequencers: dict[ChainId, Address] = {}
    seconds: dict[ChainId, float] = {}
    for name, entry in _document("chains.toml").items():
        number = ChainId(_whole(entry.get("id"), f"chains.toml: {name}"))
        if number in coins:
            raise StoreError(f"chains.toml: {name}: a second chain with id {number}")
        coins[number] = _ref({"factor": entry["coin"], **entry})
        found[name] = Chain(number, name, str(entry["coin"]), coins[number].factor)
        seconds[number] = float(entry.get("seconds", USUAL_BLOCK))
        if "sequencer" in entry:
            sequencers[number] = _address(entry["sequencer"], f"chains.toml: {name}")
    return _Chains(MappingProxyType(found), MappingProxyType(coins), MappingProxyType(sequencers), MappingProxyType(seconds))


@cache
def _feed_data() -> Mapping[ChainId, Mapping[str, int]]:
    return {
        chains()[name].id: MappingProxyType(dict(_feeds(name, feeds)))
        for name, feeds in _document("feeds.toml").items()
        if name != "default"
    }


def _feeds(name: str, feeds: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    where = f"feeds.toml: {name}"
    for address, seconds in feeds.items():
        yield _address(address, where), _whole(seconds, f"{where}: {address}")


def _document(name: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads((files("defi_risk") / "data" / name).read_text("utf-8"))


def _ref(entry: Mapping[str, Any]) -> FactorRef:
    return FactorRef(Factor(entry["factor"]), Peg(entry["peg"]) if "peg" in entry else None)


def _setting(text: str) -> str:
    """A parameter of a market: an address in its checksum form, or any other setting as it is."""
    return parse_address(text) if text[:2].lower() == "0x" else text


def _param(text: str, where: str) -> str:
    return _address(text, where) if text.startswith("0x") else text


def _address(text: str, where: str) -> Address:
    """An address of our own files, which must be written in its checksum form. Raises `StoreError`."""
    try:
        address = parse_address(text)
    except AddressError as error:
        raise StoreError(f"{where}: {error.message}") from None
    if address != text:
        raise StoreError(f"{where}: {text} is not written in its checksum form {address}")
    return address


def _whole(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise StoreError(f"{where}: {value!r} is not a positive whole number")
    return value
