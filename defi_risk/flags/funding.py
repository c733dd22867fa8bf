"""Margin that a loan of the same book paid for: said by a tag, shown by transfers, likely for its amount, or possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from defi_risk.flags.model import Flag, Severity
from defi_risk.flags.parts import MATERIAL, owed, posted
from defi_risk.flags.rule import Known, Rule, Scene, listed
from defi_risk.ids import AccountId, Address, Factor, short
from defi_risk.linking import Hop, How, Link, tagged
from defi_risk.model import Role, Side
from defi_risk.text import shown
from defi_risk.units import Quantity
from defi_risk.words import dollars

MOST_HOPS: Final = 24


class _Claim(NamedTuple):
    """What is said of some margin: `borrowed_usd` of it at most, from these loans with what each owes; `links` are what proves it."""

    how: str
    words: str
    sides: Sequence[Known]
    loans: Sequence[tuple[Known, float]]
    borrowed_usd: float | None = None
    links: Sequence[Link] = ()


def _borrowed_margin(scene: Scene) -> Iterator[Flag]:
    """Every margin by the surest that is known of it; those of which nothing is known may be funded by any loan."""
    loans = {known.account.id: known for known in scene.known(Side.LENDING)}
    named = tagged(scene.accounts, scene.settings.links)
    open_: list[Known] = []
    for side in scene.known(Side.DERIVATIVES):
        margin = _stable(scene, posted(side))
        if margin <= 0 or side.figures.requirement_usd <= 0:
            continue
        links = [link for link in scene.links if link.margin == side.account.id and link.loan in loans]
        if side.account.id in named:
            told = [(loans[link.loan], loans[link.loan].figures.debt_usd) for link in links]
            yield from _flag(scene, _Claim(How.TAGGED, "is borrowed money", [side], told))
        elif claim := _traced(scene, side, links, loans) or _alike(scene, side, links, loans):
            yield from _flag(scene, claim)
        else:
            open_.append(side)
    if open_:
        lent = [(known, _lent_on_volatile(scene, known)) for known in loans.values()]
        yield from _flag(scene, _Claim("possible", "can be borrowed money", open_, lent))


def _traced(scene: Scene, side: Known, links: Sequence[Link], loans: Mapping[AccountId, Known]) -> _Claim | None:
    """What transfers show, where it is more than dust of the margin."""
    proven = [(link, usd) for link in links if link.how is How.TRACED and (usd := _usd(scene, link, loans[link.loan]))]
    borrowed = sum(usd for _, usd in proven)
    if borrowed < MATERIAL * _stable(scene, posted(side)) or not proven:
        return None
    steps = len({hop.transaction for link, _ in proven for hop in link.hops}) + sum(link.left_out for link, _ in proven)
    told = {link.loan: _stable(scene, owed(loans[link.loan])) for link, _ in proven}
    words = f"is borrowed money, followed through {'1 transaction' if steps == 1 else f'{steps:,} transactions'}"
    return _Claim(How.TRACED, words, [side], [(loans[loan], usd) for loan, usd in told.items()], borrowed, [link for link, _ in proven])


def _alike(scene: Scene, side: Known, links: Sequence[Link], loans: Mapping[AccountId, Known]) -> _Claim | None:
    """What amounts suggest, of loans that volatile collateral carries."""
    alike = dict.fromkeys(link.loan for link in links if link.how is How.AMOUNTS and _usd(scene, link, loans[link.loan]))
    found = [(loans[loan], usd) for loan in alike if (usd := _lent_on_volatile(scene, loans[loan])) > 0]
    return _Claim(How.AMOUNTS, "is likely borrowed money, for the amounts are alike", [side], found) if found else None


def _usd(scene: Scene, link: Link, loan: Known) -> float:
    """A link's amount at the loan's price; 0 for a coin that is not stable."""
    if link.asset is None or link.amount is None:
        return 0.0
    for holding in loan.normal.holdings:
        if holding.leg.role is Role.DEBT and holding.leg.asset.id == link.asset.id and scene.settings.stable(holding.leg.factor):
            return float(link.amount) * holding.price
    return 0.0


def _stable(scene: Scene, amounts: Mapping[Factor, float]) -> float:
    return sum(usd for factor, usd in amounts.items() if scene.settings.stable(factor))


def _lent_on_volatile(scene: Scene, known: Known) -> float:
    """Stable debt that the account's stable collateral does not cover: volatile collateral carries it."""
    held = posted(known)
    volatile = sum(held.values()) - _stable(scene, held)
    return max(0.0, _stable(scene, owed(known)) - _stable(scene, held)) if volatile > 0 else 0.0


def _flag(scene: Scene, claim: _Claim) -> Iterator[Flag]:
    owing = [(known, usd) for known, usd in claim.loans if usd > 0]
    debt, margin = sum(usd for _, usd in owing), sum(_stable(scene, posted(side)) for side in claim.sides)
    if not owing:
        return
    borrowed = min(debt, margin, *([] if claim.borrowed_usd is None else [claim.borrowed_usd]))
    times = scene.figures.book.true_leverage
    leverage = "not to be told, for its net equity is not positive" if times is None else f"{times:.2f}"
    owe = f"{listed([known.name for known, _ in owing])} {'owes' if len(owing) == 1 else 'owe'} {dollars(debt)}"
    where = listed([side.name for side in claim.sides])
    yield Flag(
        code="BORROWED_MARGIN",
        severity=Severity.WARNING,
        accounts=tuple(sorted(known.account.id for known in (*claim.sides, *(known for known, _ in owing)))),
        message=(
            f"{dollars(borrowed)} of the {dollars(margin)} of stable margin in {where} {claim.words}: {owe}; "
            f"the book's true leverage is {leverage}"
        ),
        evidence={
            "stable_debt_usd": debt,
            "stable_margin_usd": margin,
            "borrowed_margin_usd": borrowed,
            "true_leverage": times,
            "net_equity_usd": scene.figures.book.net_equity_usd,
            "how": str(claim.how),
            **_hops(claim, [*claim.sides, *(known for known, _ in owing)]),
        },
    )


def _hops(claim: _Claim, parties: Sequence[Known]) -> dict[str, str | int]:
    """The transactions of traced links, one text each: hash, block, amount, and from where to where."""
    venues = {row.holder: known.account.venue for known in parties for row in known.account.custody}
    texts = list(chain.from_iterable((_told(link, hop, venues) for hop in link.hops) for link in claim.links))
    left_out = sum(link.left_out for link in claim.links) + max(0, len(texts) - MOST_HOPS)
    told: dict[str, str | int] = {f"hop_{number}": text for number, text in enumerate(texts[:MOST_HOPS], start=1)}
    return told | {"hops_left_out": left_out} if left_out else told


def _told(link: Link, hop: Hop, venues: Mapping[Address, str]) -> str:
    asset = link.asset
    amount = f"{Quantity(hop.amount, asset.decimals)} {shown(asset.symbol)}" if asset else ""
    source, target = (shown(venues[end]) if end in venues else short(end) for end in (hop.source, hop.target))
    return f"{hop.transaction} in block {hop.block}: {amount} from {source} to {target}"


RULES = (
    Rule(
        "BORROWED_MARGIN",
        Severity.WARNING,
        "Stable coins are borrowed while stable margin carries derivatives: margin funded by a loan, as `[[links]]` of the book say, as "
        "transfers on chain show, or, for loans on volatile collateral, as amounts that are alike suggest; else it only can be.",
        _borrowed_margin,
        "any amount; transfers: 5% of the margin",
        spans=True,
    ),
)
