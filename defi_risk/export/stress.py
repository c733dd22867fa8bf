"""Stresses, cascades and chances for a terminal: what fails first, then everything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from defi_risk.snapshot import Snapshot
from defi_risk.snapshot.results import Chance, Event, Outlook, Stress
from defi_risk.snapshot.words import NONE, Names, dollars, percent, price, ratio
from defi_risk.text import clean, shown

MOST_EVENTS: Final = 8
MOST_NAMED: Final = 3
PATHS: Final = {
    "down": "market falls",
    "up": "market rises",
    "down_up": "falls, then rises",
    "up_down": "rises, then falls",
    "venue_diverges": "one venue diverges",
    "hedge_lost": "hedge lost to ADL",
}
_DIM: Final = "dim"


def parts(snapshot: Snapshot, names: Names) -> Iterator[RenderableType]:
    """The stress table, then the cascade, each under its title."""
    yield Text()
    yield Text("stress", style="bold").append(f"   {_passed(snapshot.stress)}", _DIM)
    yield Padding(_stresses(snapshot.stress, names), (0, 0, 0, 2))
    yield Text()
    yield Text("cascade", style="bold").append("   what is liquidated on the way, in order", _DIM)
    yield Padding(_cascade(snapshot.cascade, names), (0, 0, 0, 2))


def chance_line(chance: Chance, names: Names) -> Text:
    """`4.2 % ± 0.2 % within 1 d of a liquidation (0.3 % of several), worst: perp 4.1 %; value at risk 99 % $5,400, shortfall $6,800`."""
    text = Text()
    for index, one in enumerate((chance, *chance.horizons)):
        text.append("; " if index else "").append(_outlook(one, chance.level, names))
    return text.append(f"   {chance.paths:,} paths, {chance.method}, seed {chance.seed}", _DIM)


def _outlook(one: Outlook, level: float, names: Names) -> str:
    worst = max(one.accounts.items(), key=lambda item: (item[1], item[0]), default=None)
    most = f", most likely {names.by_id(worst[0])}" if worst and worst[1] > 0 else ""
    error = one.standard_errors.get("probability", 0.0)
    risk = f"value at risk {level:.0%} {dollars(one.value_at_risk_usd)}, expected shortfall {dollars(one.expected_shortfall_usd)}"
    return (
        f"{one.probability:.2%} ± {error:.2%} within {one.horizon_days:g} d of a liquidation, "
        f"{one.probability_several:.2%} of several{most}; {risk}"
    )


def _passed(stresses: tuple[Stress, ...]) -> str:
    failed = sum(not one.passed for one in stresses)
    return f"all {len(stresses)} pass" if not failed else f"{failed} of {len(stresses)} fail"


def _stresses(stresses: tuple[Stress, ...], names: Names) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=_DIM, pad_edge=False)
    for title, justify in ((" ", "left"), ("scenario", "left"), ("equity", "right"), ("worst health", "right"), ("liquidated", "left")):
        table.add_column(title, justify="right" if justify == "right" else "left", overflow="fold", no_wrap=title != "liquidated")
    for one in stresses:
        verdict = Text("✔ pass", style="green") if one.passed else Text("✖ fail", style="bold red")
        table.add_row(
            verdict,
            Text(shown(one.scenario, 40)).append(f"  {_shocks(one)}", _DIM),
            Text(dollars(one.equity_usd)),
            Text(ratio(one.min_health)),
            Text(_liquidated(one, names)),
        )
    return table


def _shocks(one: Stress) -> str:
    """The largest moves of a scenario, and how many more there are."""
    moves = sorted(one.shocks.items(), key=lambda item: (-abs(item[1]), item[0]))
    text = ", ".join(f"{shown(name, 24)} {percent(move)}" for name, move in moves[:2])
    return f"{text} +{len(moves) - 2}" if len(moves) > 2 else text


def _liquidated(one: Stress, names: Names) -> str:
    found = list(dict.fromkeys(event.account for event in one.liquidations))
    if not found:
        return NONE
    rest = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    penalty = f" (penalty {dollars(one.penalty_usd)})" if one.penalty_usd >= 0.01 else ""
    return ", ".join(names.by_id(account) for account in found[:MOST_NAMED]) + rest + penalty


def _cascade(cascade: dict[str, tuple[Event, ...]], names: Names) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    order = [*(path for path in PATHS if path in cascade), *sorted(set(cascade) - set(PATHS))]
    for path in order:
        events = cascade[path]
        title = Text(PATHS.get(path, clean(path, 40)))
        if not events:
            grid.add_row(title, Text("nothing is liquidated", style=_DIM))
        for index, event in enumerate(events[:MOST_EVENTS]):
            grid.add_row(Text() if index else title, _event(event, names))
        if len(events) > MOST_EVENTS:
            grid.add_row(Text(), Text(f"and {len(events) - MOST_EVENTS} more: --format json has them all", style=_DIM))
    return grid


def _event(event: Event, names: Names) -> Text:
    text = Text(f"{percent(event.move)}  {names.by_id(event.account)}").append(_prices(event), _DIM)
    if event.seized_usd or event.repaid_usd:
        text.append(f"  seized {dollars(event.seized_usd)}, repaid {dollars(event.repaid_usd)}")
    if event.penalty_usd >= 0.01:
        text.append(f"  penalty {dollars(event.penalty_usd)}")
    if event.bad_debt_usd >= 0.01:
        text.append(f"  bad debt {dollars(event.bad_debt_usd)}")
    text.append(f"  equity {dollars(event.equity_after_usd)}")
    if event.hedge_break:
        text.append("  HEDGE BREAK", "bold red")
    if event.spiral:
        text.append("  SPIRAL", "bold red")
    return text


def _prices(event: Event) -> str:
    """The prices of at most two factors there, the dearest first."""
    moved = sorted(event.prices.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"  {shown(name, 16)} {price(usd)}" for name, usd in moved[:2])
