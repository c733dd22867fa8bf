"""What a scan is to read: nodes, wallets and markets, gathered from options, environment and book.

Precedence: option, then environment (`DEFI_RISK_RPC_<CHAIN>`), then book, then what is built in. A book that names chains is read on
those chains; the environment then only replaces their nodes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from defi_risk import ens, markets, registry
from defi_risk.book import Book, ChainSettings, MarketSettings
from defi_risk.errors import DefiRiskError, SettingError, UsageError
from defi_risk.ids import ChainId, parse_address
from defi_risk.model import Chain, Owner
from defi_risk.secrets import Secret, is_reference, meant, public_url, resolve
from defi_risk.settings import check
from defi_risk.spi import Market, services_of

RPC_VARIABLE: Final = "DEFI_RISK_RPC_"


@dataclass(frozen=True, slots=True)
class ChainTarget:
    """One chain to read: its nodes in the order they are tried, and the markets to read on it."""

    chain: Chain
    settings: ChainSettings
    markets: tuple[Market, ...]


@dataclass(frozen=True, slots=True)
class Wallets:
    """Wallets to read: addresses, and names that have yet to be resolved."""

    owners: tuple[Owner, ...]
    names: tuple[str, ...]


def wallets(given: Iterable[str]) -> Wallets:
    """Wallets as people write them, each once. Raises `AddressError` for text that is neither."""
    owners: dict[Owner, None] = {}
    names: dict[str, None] = {}
    for text in given:
        written = text.strip()
        if ens.is_name(written):
            names[written] = None
        else:
            owners[Owner(parse_address(written))] = None
    return Wallets(tuple(owners), tuple(names))


def chains(book: Book, rpc: Mapping[str, Sequence[Secret]], extra: Sequence[MarketSettings]) -> tuple[ChainTarget, ...]:
    """The chains to read with their markets, by name. Raises `UsageError` for an unknown chain, one without a node, or a setting of a
    market that leads nowhere.
    """
    settings = _nodes(book, rpc)
    known = {name: markets.chain(name, chosen.chain_id) for name, chosen in settings.items()}
    _check_ids(known)
    wanted = _markets(known, (*book.markets, *extra))
    return tuple(ChainTarget(known[name], settings[name], (*wanted.get(name, ()), _wallet(known[name]))) for name in sorted(settings))


def services(places: Iterable[ChainTarget]) -> tuple[str, ...]:
    """Scheme, host and port of every venue's service that reading these chains may ask. Raises `SecretMissing`."""
    found = [text for place in places for market in place.markets for text in _services(market)]
    return tuple(dict.fromkeys(public_url(resolve(text).reveal()) for text in found))


def _services(market: Market) -> list[str]:
    """The URLs among a market's settings, and references to them; an adapter that cannot be loaded asks nobody."""
    try:
        texts = services_of(registry.get(market.adapter), market)
    except DefiRiskError:
        return []
    return [text for text in texts if "://" in text or is_reference(text)]


def _nodes(book: Book, rpc: Mapping[str, Sequence[Secret]]) -> dict[str, ChainSettings]:
    """Settings of every chain to read; each has at least one node."""
    found = dict(book.chains)
    for name in sorted({*markets.chains(), *found}):
        value = os.environ.get(_variable(name), "").strip()
        if value and (name in found or not book.chains):
            found[name] = replace(found.get(name) or ChainSettings(name=name), rpc=(Secret(value, f"env {_variable(name)}"),))
    for name, nodes in rpc.items():
        found[name] = replace(found.get(name) or ChainSettings(name=name), rpc=tuple(nodes))
    for name, settings in found.items():
        if not settings.rpc:
            raise UsageError(
                f"chain {name!r} has no node",
                hint=f"give rpc in [chains.{name}], set {_variable(name)}, or use --rpc {name}=URL",
            )
    return found


def _variable(chain: str) -> str:
    """The environment variable that holds a chain's node."""
    return RPC_VARIABLE + chain.upper().replace("-", "_")


def _check_ids(known: Mapping[str, Chain]) -> None:
    """One chain under two names would be counted twice. Raises `UsageError`."""
    names: dict[ChainId, str] = {}
    for name, chain in known.items():
        other = names.setdefault(chain.id, name)
        if other != name:
            raise UsageError(f"chains {other!r} and {name!r} both have id {chain.id}", hint="leave one of them out")


def _markets(known: Mapping[str, Chain], extra: Sequence[MarketSettings]) -> dict[str, list[Market]]:
    """Built-in markets that are on, and those asked for, of the chains to read.

    A root address is one market, whatever it is called and whichever adapter reads it: the last one that names it wins.
    """
    found: dict[str, dict[str, Market]] = {name: {} for name in known}
    by_id = {chain.id: name for name, chain in known.items()}
    for market in markets.on_by_default():
        name = by_id.get(market.chain.id)
        if name is not None:
            found[name][_key(market)] = replace(market, chain=known[name])
    for settings in extra:
        if settings.chain not in known:
            raise UsageError(
                f"market {settings.name!r} is on chain {settings.chain!r}, which has no node",
                hint=f"use --rpc {settings.chain}=URL or a [chains.{settings.chain}] table",
            )
        market = markets.from_settings(settings, known[settings.chain])
        try:
            check(registry.get(market.adapter), {key: meant(text) for key, text in market.params})
        except SettingError as error:
            raise UsageError(f"market {market.name!r}: {error.setting} {error.what}", hint=error.hint) from None
        found[settings.chain][_key(market)] = market
    return {name: list(items.values()) for name, items in found.items()}


def _key(market: Market) -> str:
    """What makes a market one: its root address, or, without one, the venue itself."""
    return market.root or market.adapter


def _wallet(chain: Chain) -> Market:
    """The market of what lies idle in the wallet itself."""
    return Market(adapter="wallet", chain=chain, name="wallet", venue="Wallet")
