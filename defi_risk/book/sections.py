"""The sections of a book, one function each, as the README lists them."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final

from defi_risk.book.manual import ACCOUNT, read_manual
from defi_risk.book.model import (
    Book,
    ChainSettings,
    ExchangeSettings,
    Link,
    ManualSettings,
    MarketSettings,
    ModelSettings,
    PlanSettings,
)
from defi_risk.book.table import Source, Table, nearest
from defi_risk.book.thresholds import read_thresholds
from defi_risk.errors import AddressError, SettingError, UnknownName
from defi_risk.ids import ChainId, Factor, Peg, parse_address
from defi_risk.model import FactorRef, Side
from defi_risk.secrets import Secret, anchored, is_loopback, is_reference, meant, public_url
from defi_risk.settings import check
from defi_risk.spi import settings_of
from defi_risk.text import shown

SECTIONS: Final = (
    "book", "chains", "markets", "exchanges", "manual", "model", "plan", "factors", "betas", "thresholds", "links", "alerts",
)  # fmt: skip
CREDENTIALS: Final = {"api_key": "apiKey", "secret": "secret", "password": "password", "uid": "uid", "private_key": "privateKey"}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENS: Final = re.compile(r"[^\s.:/\\]+(\.[^\s.:/\\]+)+")
_ASSET: Final = re.compile(r"eip155:([1-9]\d{0,17})/(?:erc20:(0x[0-9a-fA-F]*)|(slip44:60|(?!erc20:|slip44:)[a-z][a-z0-9_]*:[!-~]+))")
"""A token, the chain's own coin, or what a venue lists by name (`eip155:999/hyperliquid:ETH`)."""
_PAIR: Final = re.compile(r".+/.+")


def read_book(source: Source, document: dict[str, Any], overridden: Container[str]) -> Book:
    """The whole document as a `Book`. Raises `BookError`."""
    root = Table(source, (), document, SECTIONS)
    head = root.table("book", ("name", "wallets"))
    chains = _chains(root.table("chains", None), overridden)
    exchanges = _exchanges(root)
    manual = tuple(read_manual(table) for table in _named(root, "manual", ACCOUNT))
    return Book(
        name=head.text("name", PurePath(source.file).stem or "book"),
        file=source.file,
        wallets=_wallets(head),
        chains=chains,
        markets=_markets(root, chains),
        exchanges=exchanges,
        manual=manual,
        model=_model(root.table("model", ("horizon_days", "volatility", "correlation", "prices", "turn", "follow_days"))),
        plan=_plan(root.table("plan", ("buffer", "latency"))),
        factors=_factors(root.table("factors", None)),
        betas=_numbers(root.table("betas", None), -100, 100),
        thresholds=read_thresholds(root.table("thresholds", None)),
        links=_links(root, manual, exchanges),
        alerts=root.table("alerts", ("urls",)).secrets("urls"),
    )


def is_name(text: str) -> bool:
    """Whether a text has the form of a name such as `vitalik.eth`; whether it leads anywhere is the chain's to say."""
    return len(text) <= 255 and _ENS.fullmatch(text) is not None


def _named(root: Table, section: str, known: tuple[str, ...]) -> list[Table]:
    """The tables of a section, each with a `name` of its own."""
    tables = root.tables(section, known)
    seen: set[str] = set()
    for table in tables:
        name = table.text("name")
        if not _NAME.fullmatch(name):
            table.fail("name", f"{shown(name)!r} is not a name", "letters, digits, '.', '_' and '-', at most 64")
        if name in seen:
            table.fail("name", f"{name!r} is already taken")
        seen.add(name)
    return tables


def _wallets(head: Table) -> tuple[str, ...]:
    wallets: list[str] = []
    for index, text in enumerate(head.texts("wallets")):
        try:
            wallets.append(text if is_name(text) else parse_address(text))
        except AddressError as error:
            raise head.source.fault((*head.where, "wallets", index), error.message, error.hint) from None
    return tuple(dict.fromkeys(wallets))


def _chains(section: Table, overridden: Container[str]) -> dict[str, ChainSettings]:
    from defi_risk.markets import chains as built_in

    known = built_in()
    found: dict[str, ChainSettings] = {}
    by_id: dict[int, str] = {}
    for name in section:
        table = section.table(name, ("chain_id", "rpc", "confirmations", "multicall3"))
        if not _NAME.fullmatch(name):
            table.fail("", "is not a name", "letters, digits, '.', '_' and '-', at most 64")
        if "chain_id" not in table and name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}? " if near else ""
            table.fail("", "unknown chain", hint + "a chain that is not built in needs its chain_id")
        chain_id = ChainId(table.integer("chain_id", 1, 2**63 - 1)) if "chain_id" in table else None
        effective = chain_id or known[name].id
        if effective in by_id:
            table.fail("", f"has chain id {effective}, as has chains.{by_id[effective]}")
        by_id[effective] = name
        found[name] = ChainSettings(
            name=name,
            chain_id=chain_id,
            rpc=() if name in overridden else _nodes(table),
            confirmations=table.integer("confirmations", 0, 100_000) if "confirmations" in table else 0,
            multicall3=table.address("multicall3") if "multicall3" in table else None,
        )
    return found


def _nodes(table: Table) -> tuple[Any, ...]:
    nodes = table.secrets("rpc")
    for index, node in enumerate(nodes):
        if not node.reveal().startswith(("http://", "https://")):
            raise table.source.fault((*table.where, "rpc", index), f"is not a URL of a node ({node.origin})", "http://... or https://...")
    return nodes


def _markets(root: Table, chains: Mapping[str, ChainSettings]) -> tuple[MarketSettings, ...]:
    found: dict[tuple[str, str, str], MarketSettings] = {}
    for table in root.tables("markets", None):
        settings = _built_in_market(table) if tuple(table) == ("name",) else _market(table, chains)
        first = settings.params[0][1] if settings.params else ""
        identity = (settings.adapter, settings.chain, first if first.startswith("0x") else "")
        if identity in found:
            table.fail("", "is the same market as one above")
        found[identity] = settings
    return tuple(found.values())


def _built_in_market(table: Table) -> MarketSettings:
    """A market that is built in but not read unless asked for, named by its name alone."""
    from defi_risk.markets import by_name

    try:
        market = by_name(table.text("name"))
    except UnknownName as error:
        table.fail("name", error.message, error.hint)
    return MarketSettings(adapter=market.adapter, chain=market.chain.name, name=market.name, params=market.params)


def _market(loose: Table, chains: Mapping[str, ChainSettings]) -> MarketSettings:
    from defi_risk import registry
    from defi_risk.markets import UNNAMED
    from defi_risk.markets import chains as built_in

    loose.need("adapter")
    try:
        adapter = registry.get(loose.text("adapter"))
    except UnknownName as error:
        loose.fail("adapter", error.message, error.hint)
    settings = settings_of(adapter)
    table = loose.strict(("adapter", "chain", "name", *adapter.roots, *settings))
    table.need("chain", *adapter.roots)
    roots = [(key, table.address(key)) for key in adapter.roots]
    params = (*roots, *((key, _setting(table, key)) for key in settings if key in table))
    try:
        check(adapter, {key: meant(text) for key, text in params})
    except SettingError as error:
        table.fail(error.setting, error.what, error.hint)
    return MarketSettings(
        adapter=table.text("adapter"),
        chain=table.choice("chain", tuple(dict.fromkeys((*chains, *built_in())))),
        name=table.text("name", UNNAMED),
        params=params,
    )


def _setting(table: Table, key: str) -> str:
    """A word, a URL or a reference to one. A reference stays one: its value is looked up here only to say where it is missing."""
    text = table.text(key, longest=2_000)
    if not is_reference(text):
        return text
    table.secret(key)
    return anchored(text, table.source.folder)


def _credential(table: Table, key: str, url: str | None) -> Secret:
    """A key by reference: a book is a file that is shared and kept. Only what is sent to this machine, to a simulator, may stand in it."""
    if table.literal(key) and not (url and is_loopback(url)):
        table.fail(
            key, "must be a reference, not the key itself", f'{key} = "${{NAME}}", "keyring:service/name" or "file:path" (mode 0600)'
        )
    return table.secret(key)


def _exchanges(root: Table) -> tuple[ExchangeSettings, ...]:
    found: list[ExchangeSettings] = []
    for table in _named(root, "exchanges", ("id", "name", *CREDENTIALS, "options", "url", "wallet", "rules")):
        url = table.text("url") if "url" in table else None
        if url is not None and not url.startswith(("http://", "https://")):
            table.fail("url", "is not a URL", "http://... or https://...")
        credentials = {ours: _credential(table, key, url) for key, ours in CREDENTIALS.items() if key in table}
        if url is not None and public_url(url) != url.rstrip("/").lower():
            table.fail("url", "must be scheme, host and port alone", "such as http://127.0.0.1:8080")
        options = table.raw("options")
        rules = table.table("rules", None)
        found.append(
            ExchangeSettings(
                id=table.text("id"),
                name=table.text("name"),
                credentials=credentials,
                options=options,
                url=url,
                wallet=table.text("wallet") if "wallet" in table else "",
                rules={key: rules.number(key, 0, 10**12) for key in rules},
            )
        )
    return tuple(found)


def _model(table: Table) -> ModelSettings:
    correlation = table.table("correlation", None)
    for key in correlation:
        if not _PAIR.fullmatch(key):
            correlation.fail(key, "must name two factors", 'such as "BTC/ETH"')
    return ModelSettings(
        horizon_days=table.number("horizon_days", high=3650, above=0) if "horizon_days" in table else Decimal(1),
        volatility=_numbers(table.table("volatility", None), 0, 100),
        correlation={key: correlation.number(key, -1, 1) for key in correlation},
        prices=table.text("prices", longest=1000) if "prices" in table else None,
        turn=table.number("turn", high=Decimal("0.9"), above=0) if "turn" in table else ModelSettings().turn,
        follow_days=table.number("follow_days", 0, 366) if "follow_days" in table else ModelSettings().follow_days,
    )


def _plan(table: Table) -> PlanSettings:
    latency = table.table("latency", None)
    return PlanSettings(
        buffer=table.number("buffer", 0, 10) if "buffer" in table else PlanSettings().buffer,
        latency={venue: latency.number(venue, 0, 31_536_000) for venue in latency},
    )


def _numbers(table: Table, low: int, high: int) -> dict[Factor, Decimal]:
    return {Factor(key): table.number(key, low, high) for key in table}


def _factors(section: Table) -> dict[str, FactorRef]:
    found: dict[str, FactorRef] = {}
    for key in section:
        table = section.table(key, ("factor", "peg"))
        asset = _asset(section, key)
        if asset in found:
            section.fail(key, "this token is mapped twice")
        found[asset] = FactorRef(Factor(table.text("factor")), Peg(table.text("peg")) if "peg" in table else None)
    return found


def _asset(section: Table, key: str) -> str:
    match = _ASSET.fullmatch(key)
    if match and match[3]:
        return key
    try:
        return f"eip155:{match[1]}/erc20:{parse_address(match[2])}" if match else parse_address(key)
    except AddressError as error:
        section.fail(key, error.message, 'a token is written "0x..." or "eip155:1/erc20:0x..."')


def _links(root: Table, manual: tuple[ManualSettings, ...], exchanges: tuple[ExchangeSettings, ...]) -> tuple[Link, ...]:
    sides = {f"manual:{settings.name}": settings.side for settings in manual}
    keys = [settings.name for settings in exchanges]
    known = [*sides, *keys]
    found: list[Link] = []
    for table in root.tables("links", ("loan", "margin")):
        for key, side in (("loan", Side.LENDING), ("margin", Side.DERIVATIVES)):
            name = table.text(key)
            # an exchange's name stands for all its accounts, its name and what follows a slash in an id for one of them
            if name not in known and name.partition("/")[0] not in keys and not name.startswith("eip155:"):
                near = nearest(name, known)
                hint = f"did you mean {near!r}?" if near else "an account id, manual:NAME or the name of an exchange"
                table.fail(key, f"unknown account {shown(name, 80)!r}", hint)
            if sides.get(name, side) is not side:
                table.fail(key, f"{shown(name, 80)!r} is a {sides[name].value} account", "did loan and margin change places?")
        found.append(Link(table.text("loan"), table.text("margin")))
    return tuple(found)
