"""Options that commands share, and how their texts become values. All of them stand after the command."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from defi_risk.cli import Session
from defi_risk.errors import SecretMissing, UsageError

if TYPE_CHECKING:
    from defi_risk.book import Book, MarketSettings
    from defi_risk.secrets import Secret

F = TypeVar("F", bound=Callable[..., Any])
FORMATS: Final = ("table", "json", "csv", "parquet")
_DURATION: Final = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)(ms|s|m|h)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_LONGEST: Final = 86_400
_TAGS: Final = ("latest", "safe", "finalized")
_CHAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def combined(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order in which help shows them."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).quiet = value


def _verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).verbose = value


def _deadline(_: click.Context, __: click.Parameter, text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= _LONGEST:
        raise click.BadParameter(f"{text!r} is not a time of up to a day; write 30s, 500ms or 2m")
    return seconds


def _block(_: click.Context, __: click.Parameter, text: str) -> str:
    tag = text.strip().lower()
    if tag in _TAGS:
        return tag
    digits = tag.replace("_", "").replace(",", "")
    if re.fullmatch(r"\d{1,15}", digits):
        return str(int(digits))
    if re.fullmatch(r"0x[0-9a-f]{1,12}", tag):
        return str(int(tag, 16))
    raise click.BadParameter(f"{text!r} is not a block; write a number, latest, safe or finalized")


def _rpc(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, tuple[Secret, ...]]:
    """Nodes by chain. What stands behind the `=` may hold a key and is never shown."""
    from defi_risk.secrets import resolve

    nodes: dict[str, tuple[Secret, ...]] = {}
    for text in texts:
        chain, equals, reference = text.partition("=")
        if not equals or not _CHAIN.fullmatch(chain):
            raise click.BadParameter("must be CHAIN=URL, such as ethereum=https://... or ethereum=env:NAME")
        try:
            node = resolve(reference)
        except SecretMissing as error:
            raise UsageError(f"--rpc {chain}: {error.message}", hint=error.hint) from None
        if not node.reveal().startswith(("http://", "https://")):
            raise UsageError(f"--rpc {chain}: the value is not the URL of a node", hint="http://..., https://..., or env:NAME")
        nodes[chain] = (*nodes.get(chain, ()), node)
    return nodes


def _markets(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[dict[str, str], ...]:
    found: list[dict[str, str]] = []
    for text in texts:
        pairs: dict[str, str] = {}
        for part in text.split(","):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not key or not value:
                raise click.BadParameter(f"{part!r} is not KEY=VALUE; write adapter=aave_v3,chain=local,pool_addresses_provider=0x...")
            if key in pairs:
                raise click.BadParameter(f"{key!r} stands twice in one market")
            pairs[key] = value
        found.append(pairs)
    return tuple(found)


def _chains(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from defi_risk import markets

    return [f"{name}=" for name in markets.chains() if name.startswith(incomplete)]


VERBOSITY: Final = combined(
    click.option(
        "-q", "--quiet", is_flag=True, is_eager=True, expose_value=False, callback=_quiet, help="No progress and no notes on stderr."
    ),
    click.option(
        "-v", "--verbose", is_flag=True, is_eager=True, expose_value=False, callback=_verbose, help="More notes; the traceback of a bug."
    ),
)
RESULT: Final = combined(
    click.option("--format", "form", type=click.Choice(FORMATS), help="Form of the result; default table, or what -o ends with."),
    click.option("-o", "--output", metavar="PATH", help="Write to a file, or one file a table into DIR/."),
    click.option("--fail-on", type=click.Choice(("warning", "critical")), help="Exit 10 if a flag of that severity or above was raised."),
)
BOOK: Final = click.option("--book", type=click.Path(path_type=Path), metavar="FILE.toml", help="What you hold and where to read it.")
RPC: Final = click.option(
    "--rpc",
    multiple=True,
    callback=_rpc,
    metavar="CHAIN=URL",
    shell_complete=_chains,
    help="A node; again for more. env:NAME keeps a key off the command line. Also $DEFI_RISK_RPC_<CHAIN>.",
)
DEADLINE: Final = click.option("--deadline", default="30s", callback=_deadline, show_default=True, help="Time for the whole scan.")
STATE: Final = click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="Where cache and state are kept.")
READING: Final = combined(
    BOOK,
    RPC,
    click.option("--block", default="latest", callback=_block, show_default=True, help="N, latest, safe or finalized."),
    click.option("--wallets", "wallet_file", type=click.Path(path_type=Path), help="Wallets from a text, CSV or Parquet file."),
    click.option("--market", "market_texts", multiple=True, callback=_markets, metavar="KEY=VALUE,...", help="One more market."),
    DEADLINE,
    STATE,
)


class _Replaced(Container[str]):
    """Chains whose nodes are given by option or environment: the book's own may then lead nowhere."""

    def __init__(self, given: Iterable[str]) -> None:
        self._given = frozenset(given)

    def __contains__(self, name: object) -> bool:
        import os

        from defi_risk.targets import RPC_VARIABLE

        variable = RPC_VARIABLE + str(name).upper().replace("-", "_")
        return name in self._given or bool(os.environ.get(variable, "").strip())


def load_book(path: Path | None, chains_given: Iterable[str]) -> Book | None:
    """The book, if there is one. Raises `BookError`."""
    if path is None:
        return None
    from defi_risk.book import load

    return load(path, overridden=_Replaced(chains_given))


def market_settings(texts: Iterable[dict[str, str]], book: Book | None) -> tuple[MarketSettings, ...]:
    """What `--market` describes, each checked against its adapter. Raises `UsageError`."""
    from defi_risk import markets, registry
    from defi_risk.book import MarketSettings

    known = {name: markets.chain(name, settings.chain_id) for name, settings in (book.chains if book else {}).items()}
    found = (markets.from_options(text, registry.get, known) for text in texts)
    return tuple(MarketSettings(adapter=one.adapter, chain=one.chain.name, name=one.name, params=one.params) for one in found)


def cache_dir(state: Path | None) -> Path:
    """Where answers that cannot change are kept."""
    if state is not None:
        return state / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("defi-risk", appauthor=False)
