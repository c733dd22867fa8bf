"""Flags about exchange accounts: what a key may do beside reading, and what figures rest on that no venue told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Known, Rule, Scene, listed
from defi_risk.text import clean, shown

MOST_SAID: Final = 3
MOST_TOLD: Final = 24
LONGEST: Final = 200


def _key_too_strong(scene: Scene) -> Iterator[Flag]:
    for report in scene.sources:
        key = report.key
        if key is None or not key.strong:
            continue
        able = " and ".join(name for name, can in (("trade", key.trade), ("withdraw", key.withdraw)) if can)
        bound = {True: "", False: ", from any address", None: ""}[key.bound]
        yield Flag(
            code="KEY_TOO_STRONG",
            severity=Severity.WARNING,
            accounts=tuple(sorted(account.id for account in scene.accounts if account.source == report.id)),
            message=f"the key of {shown(report.id, 60)} can {able}{bound}: to read is all that is needed",
            evidence={"source": clean(report.id), "trade": key.trade, "withdraw": key.withdraw, "bound": key.bound},
        )


def _assumed_rule(scene: Scene) -> Iterator[Flag]:
    """One flag for all accounts with the same assumptions."""
    found: dict[tuple[str, ...], list[Known]] = {}
    for known in scene.known():
        if known.account.assumptions:
            found.setdefault(tuple(clean(one, LONGEST) for one in known.account.assumptions if one), []).append(known)
    for assumed, accounts in sorted(found.items()):
        more = f"; and {len(assumed) - MOST_SAID} more" if len(assumed) > MOST_SAID else ""
        said = "; ".join(one.rstrip(".") for one in assumed[:MOST_SAID])
        yield Flag(
            code="ASSUMED_RULE",
            severity=Severity.INFO,
            accounts=tuple(sorted(known.account.id for known in accounts)),
            message=f"{listed([known.name for known in accounts])}: {said}{more}",
            evidence={f"assumption_{number}": one for number, one in enumerate(assumed[:MOST_TOLD], start=1)},
        )


RULES = (
    Rule(
        "ASSUMED_RULE",
        Severity.INFO,
        "A figure rests on something that the venue did not tell now: a dated table of brackets, a price at par, a portfolio rule held "
        "constant.",
        _assumed_rule,
    ),
    Rule(
        "KEY_TOO_STRONG",
        Severity.WARNING,
        "The key of an exchange account can trade or withdraw, as the exchange itself says.",
        _key_too_strong,
    ),
)
