"""Flags about how close an account is to its liquidation."""

from __future__ import annotations

from collections.abc import Iterator

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.rule import Rule, Scene, label
from defi_risk.health.figures import AccountFigures, Move
from defi_risk.model import Account
from defi_risk.text import clean


def _liquidatable(scene: Scene) -> Iterator[Flag]:
    for account, figures in scene.known():
        if figures.liquidatable:
            blocked = clean(account.blocked) if account.blocked else ""
            refused = f"; a liquidation is refused at present: {blocked}" if blocked else ""
            yield Flag(
                code="LIQUIDATABLE",
                severity=Severity.CRITICAL,
                accounts=(account.id,),
                message=(
                    f"{label(account)} can be liquidated now: collateral counts for {figures.weighted_collateral_usd:,.2f} USD "
                    f"against a requirement of {figures.requirement_usd:,.2f} USD{refused}"
                ),
                evidence={
                    "weighted_collateral_usd": figures.weighted_collateral_usd,
                    "requirement_usd": figures.requirement_usd,
                    "surplus_usd": figures.surplus_usd,
                    "health": figures.health,
                    "blocked": blocked or None,
                },
                threshold=0.0,
            )


def _near(scene: Scene) -> Iterator[Flag]:
    for account, figures in scene.known():
        nearest = min(figures.moves, key=_price_ratio, default=None)
        ratios = [figures.hf] if figures.hf is not None else []
        ratios += [_price_ratio(nearest)] if nearest is not None else []
        if not figures.liquidatable and ratios and min(ratios) < scene.settings.near_warning:
            yield _near_flag(scene, account, figures, nearest, min(ratios))


def _near_flag(scene: Scene, account: Account, figures: AccountFigures, nearest: Move | None, ratio: float) -> Flag:
    critical = ratio < scene.settings.near_critical
    threshold = scene.settings.near_critical if critical else scene.settings.near_warning
    if nearest is not None and _price_ratio(nearest) <= ratio:
        way = f"{nearest.peg or nearest.factor} alone moving {nearest.move:+.2%} liquidates it"
    else:
        move = figures.down if figures.up is None or (figures.down is not None and 1 / (1 + figures.down) <= ratio) else figures.up
        way = f"a market move of {0.0 if move is None else move:+.2%} liquidates it"
    return Flag(
        code="NEAR_LIQUIDATION",
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        accounts=(account.id,),
        message=f"{label(account)} is a price ratio of {ratio:.4f} from liquidation, below {threshold:g}: {way}",
        evidence={
            "ratio": ratio,
            "hf": figures.hf,
            "market_down": figures.down,
            "market_up": figures.up,
            "nearest": None if nearest is None else str(nearest.peg or nearest.factor),
            "nearest_move": None if nearest is None else nearest.move,
            "nearest_price": None if nearest is None else nearest.price,
        },
        threshold=threshold,
    )


def _price_ratio(move: Move) -> float:
    return max(1.0 + move.move, 1.0 / (1.0 + move.move))


RULES = (
    Rule("LIQUIDATABLE", Severity.CRITICAL, "The account's surplus is below its line: its venue would liquidate it now.", _liquidatable),
    Rule(
        "NEAR_LIQUIDATION",
        Severity.CRITICAL,
        "A small move of the market, or of one factor or peg alone, liquidates the account: a price ratio below 1.10 is critical, "
        "below 1.25 a warning, unless set otherwise.",
        _near,
    ),
)
