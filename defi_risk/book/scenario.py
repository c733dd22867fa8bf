"""Stress scenarios of the user's own, from a TOML file or from options such as `--shock ETH=-30%`.

    [[scenario]]
    id = "eth-crash"                                    # what the result is called; letters, digits, '.', '_' and '-'
    title = "ETH falls by 30 %, stETH trades below it"  # in plain words; optional
    shocks = { ETH = "-30%", "stETH/ETH" = -0.07 }      # moves of factors, of pegs, and of one venue's prices ("binance:ETH")
    then = [{ ETH = "+10%" }]                           # further steps, each counted from today's prices, not from the step before
    margin_rates = 2                                    # maintenance and initial rates of derivatives are multiplied
    funding_8h = "0.3%"                                 # adverse to every position, for one day (three payments)
    hedge_lost = true                                   # hedging derivatives are first closed at today's mark

A move is relative to today's price: text with a sign, "-30%" or "-0.3", or a TOML number, -0.3. What a later step does not name is back
at today's price. A scenario needs an `id` and does something; all else is optional.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from defi_risk.book.document import read_document, read_text
from defi_risk.book.lines import Lines
from defi_risk.book.table import Source, Table
from defi_risk.errors import UsageError
from defi_risk.text import shown
from defi_risk.units import EXACT

BUILT_IN: Final = (
    "majors_down_40", "majors_up_40", "usdt_090", "usdt_090_one_venue", "usdc_088", "steth_093", "volatility_3x", "eth_down_up_25",
    "eth_up_down_25", "venue_off_10", "hedge_lost",
)  # fmt: skip
"""Ids of the built-in stresses, in their order; `replay:DATE` come behind them."""
FROM_OPTIONS: Final = "shock"
"""The id of the scenario that options make."""
KEYS: Final = ("id", "title", "shocks", "then", "margin_rates", "funding_8h", "hedge_lost")
MOST_SCENARIOS: Final = 100
MOST_STEPS: Final = 100
MOST_MOVES: Final = 200
LOWEST: Final = Decimal(-1)
HIGHEST_PLAIN: Final = Decimal(10)
"""A rise of more than this must be written in per cent: 30 for 30 % is the likelier meaning."""
HIGHEST: Final = Decimal(1_000_000)
_HUNDRED: Final = Decimal(100)
_MOVE: Final = re.compile(r"([+-])(\d{1,9}(?:\.\d{1,18})?) ?(%?)", re.ASCII)
_SHARE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,18})?) ?(%?)", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOW: Final = "write -30% or -0.3, a rise +10%"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSettings:
    """A scenario as it was written. `steps` are relative moves by name, each from today's prices; the names are not yet known to exist.

    `tables` are where the steps stand in their file, for faults that only the book tells; empty for a scenario made by options.
    """

    id: str
    title: str
    steps: tuple[Mapping[str, Decimal], ...]
    margin_rates: Decimal = Decimal(1)
    funding_8h: Decimal = Decimal(0)
    hedge_lost: bool = False
    tables: tuple[Table, ...] = field(default=(), repr=False, compare=False)

    def fault(self, step: int, name: str, what: str, hint: str = "") -> UsageError:
        """The error for a name in one of the steps: `BookError` with file, line and key, or `UsageError` that names the option."""
        if not self.tables:
            return UsageError(f"--shock {shown(name, 60)}: {what}", hint=hint)
        table = self.tables[step]
        return table.source.fault((*table.where, name), what, hint)


def load_scenarios(path: str | Path) -> tuple[ScenarioSettings, ...]:
    """The scenarios of a TOML file, in their order. Raises `BookError`."""
    return parse_scenarios(read_text(path, "scenario file"), str(path))


def parse_scenarios(text: str, file: str = "") -> tuple[ScenarioSettings, ...]:
    """The scenarios of a TOML text; `file` stands in messages. Raises `BookError`."""
    text, document = read_document(text, file)
    source = Source(file, Lines(text))
    root = Table(source, (), document, ("scenario",))
    tables = root.tables("scenario", KEYS)
    if not tables:
        raise source.fault((), "holds no scenario", "a scenario starts with [[scenario]]")
    if len(tables) > MOST_SCENARIOS:
        raise source.fault(("scenario", MOST_SCENARIOS), f"one scenario more than {MOST_SCENARIOS}")
    found: dict[str, ScenarioSettings] = {}
    for table, raw in zip(tables, document["scenario"], strict=True):
        scenario = _scenario(table, raw)
        if scenario.id in found:
            table.fail("id", f"{scenario.id!r} is already taken")
        found[scenario.id] = scenario
    return tuple(found.values())


def from_options(shocks: Sequence[str]) -> ScenarioSettings | None:
    """The one scenario that all `--shock NAME=MOVE` options make together; None where there is none. Raises `UsageError`."""
    if not shocks:
        return None
    if len(shocks) > MOST_MOVES:
        raise UsageError(f"{len(shocks)} shocks", hint=f"at most {MOST_MOVES}; a file can hold several scenarios")
    moves: dict[str, Decimal] = {}
    for text in shocks:
        name, move = parse_shock(text)
        if name in moves:
            raise UsageError(f"--shock {shown(text, 60)}: {shown(name)} is moved twice")
        moves[name] = move
    return ScenarioSettings(id=FROM_OPTIONS, title=in_words(moves), steps=(moves,))


def parse_shock(text: str) -> tuple[str, Decimal]:
    """Name and relative move of `ETH=-30%`, `stETH/ETH=-0.07` or `binance:ETH=+10%`. Raises `UsageError`."""
    name, equals, move = (part.strip() for part in text.rpartition("="))
    if not equals or not name:
        raise UsageError(f"--shock {shown(text, 60)!r} is not NAME=MOVE", hint="such as ETH=-30%, stETH/ETH=-7% or binance:ETH=+10%")
    value, fault, hint = _move(move)
    if fault:
        raise UsageError(f"--shock {shown(text, 60)!r}: {fault}", hint=hint)
    return name, value


def in_words(moves: Mapping[str, Decimal]) -> str:
    """`ETH -30 %, USDT -10 %`, cut to what a line holds."""
    named = [f"{shown(name)} {100 * float(move):+.6g} %" for name, move in moves.items()]
    return ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")


def known_names() -> tuple[str, ...]:
    """Factors and pegs of the built-in tables: a scenario may move them though the book holds none of them."""
    from defi_risk.markets import factor_table

    refs = factor_table().refs.values()
    return tuple(sorted({str(ref.factor) for ref in refs} | {str(ref.peg) for ref in refs if ref.peg is not None}))


def _scenario(table: Table, raw: Mapping[str, Any]) -> ScenarioSettings:
    table.need("id")
    name = _id(table)
    parts = [(table.table("shocks", None), raw["shocks"])] if "shocks" in table else []
    later = list(zip(table.tables("then", None), raw.get("then", ()), strict=True))
    if later and not parts:
        table.fail("then", "comes without shocks", "the first step stands under shocks")
    if len(later) > MOST_STEPS:
        table.fail("then", f"has {len(later)} steps", f"at most {MOST_STEPS}")
    steps = tuple(_moves(part, values) for part, values in (*parts, *later))
    scenario = ScenarioSettings(
        id=name,
        title=table.text("title", "; then ".join(in_words(step) or "as today" for step in steps) or name),
        steps=steps,
        margin_rates=table.number("margin_rates", high=100, above=0) if "margin_rates" in table else Decimal(1),
        funding_8h=_funding(table, raw),
        hedge_lost=_truth(table, raw, "hedge_lost"),
        tables=tuple(part for part, _ in (*parts, *later)),
    )
    if not any(steps) and scenario.margin_rates == 1 and not scenario.funding_8h and not scenario.hedge_lost:
        table.fail("", "does nothing", 'give it shocks, such as { ETH = "-30%" }')
    return scenario


def _id(table: Table) -> str:
    name = table.text("id")
    if name in BUILT_IN or name == FROM_OPTIONS or name.startswith("replay:"):
        table.fail("id", f"{shown(name)!r} is the id of a built-in stress", f"another name, such as my-{shown(name)}".replace(":", "-"))
    if not _ID.fullmatch(name):
        table.fail("id", f"{shown(name)!r} is not an id", "letters, digits, '.', '_' and '-', at most 64")
    return name


def _moves(table: Table, raw: Mapping[str, Any]) -> Mapping[str, Decimal]:
    if len(raw) > MOST_MOVES:
        table.fail("", f"moves {len(raw)} names", f"at most {MOST_MOVES}")
    found: dict[str, Decimal] = {}
    for name in table:
        if isinstance(raw[name], str):
            value, fault, hint = _move(table.text(name))
        else:
            value = table.number(name)
            fault, hint = _out_of_range(value, HIGHEST_PLAIN)
        if fault:
            table.fail(name, fault, hint)
        found[name] = value
    return found


def _move(text: str) -> tuple[Decimal, str, str]:
    """The relative move that a text writes, or what is wrong with it and what would be right."""
    match = _MOVE.fullmatch(text)
    if match is None:
        unsigned = _SHARE.fullmatch(text)
        if unsigned is not None:
            fault = f"{shown(text, 40)!r} has no sign: it could be a price or a move"
            return LOWEST, fault, f"a fall is -{unsigned[1]}{unsigned[2]}, a rise +{unsigned[1]}{unsigned[2]}"
        return LOWEST, f"{shown(text, 40)!r} is not a move", _HOW
    number = Decimal(match[1] + match[2])
    value = EXACT.scaleb(number, -2) if match[3] else number
    fault, hint = _out_of_range(value, HIGHEST if match[3] else HIGHEST_PLAIN)
    return value, fault, hint


def _out_of_range(value: Decimal, highest: Decimal) -> tuple[str, str]:
    if value < LOWEST:
        meant = f"; is {value:f}% meant?" if value >= -_HUNDRED else ""
        return f"a fall by {-value:.0%} cannot be", f"a price loses at most 100 %{meant}"
    if value > highest:
        meant = (
            f"write +{value:f}% or, if that is meant, +{value:.0%}"
            if highest == HIGHEST_PLAIN and value <= HIGHEST
            else "at most +100000000%"
        )
        return f"a rise by {value:.0%} cannot be right", meant
    return "", ""


def _funding(table: Table, raw: Mapping[str, Any]) -> Decimal:
    """A rate per eight hours, 0 ... 1: a number, or text that may be in per cent. It is adverse, so it has no sign."""
    if "funding_8h" not in table:
        return Decimal(0)
    text = raw["funding_8h"]
    match = _SHARE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not match[2]:
        return table.number("funding_8h", 0, 1)
    rate = EXACT.scaleb(Decimal(match[1]), -2)
    if rate > 1:
        table.fail("funding_8h", f"{shown(match[0], 40)!r} is out of range", "0% ... 100%")
    return rate


def _truth(table: Table, raw: Mapping[str, Any], key: str) -> bool:
    value = raw.get(key, False)
    if not isinstance(value, bool):
        table.fail(key, "must be true or false")
    return value
