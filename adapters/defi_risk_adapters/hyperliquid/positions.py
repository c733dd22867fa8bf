"""The positions of one dex: listed by the service, read from the chain.

There is no list of positions on chain, so the service's is taken and checked: every size must be the chain's, and the notionals must
add up to the chain's sum of the dex. A position that does not fit or cannot be valued costs the margin account that it is in, and
no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from defi_risk.errors import BadAnswer
from defi_risk.ids import Address
from defi_risk.model import Asset
from defi_risk.spi import Call, Context, Failed, Steps
from defi_risk.text import clean
from defi_risk.units import EXACT, exact_ratio, plain
from defi_risk_adapters.hyperliquid.exact import Book, Perp
from defi_risk_adapters.hyperliquid.info import NAME, Clearing, Held, Meta
from defi_risk_adapters.hyperliquid.precompiles import PERP_PLACES, core, perp_id

LAGS: Final = "the info service lags the chain"
MOST_LEVERAGE: Final = 1_000
MICRO: Final = 10**PERP_PLACES
CLOSE: Final = 1_000
"""The share of its cash by which the service may differ from the chain, where that must tell whether both are of one moment."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A position that is not known, and why. `cash` is its `isolatedRawUsd` (0: cross margin), None where the chain did not tell it; `size`
    and `mark` are the chain's, a mark of 0 is none.
    """

    number: int
    coin: str
    isolated: bool
    reason: str
    cash: int | None = None
    size: int = 0
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Dex:
    """One dex as the account's owner uses it. `summary` is the chain's, `collateral` the token that it settles in, `funding` the rate
    for 8 hours by coin. `fault` says why its cross margin is not known; isolated positions may be known all the same.
    """

    number: int
    name: str
    collateral: int
    summary: Any
    state: Clearing
    funding: Mapping[str, Decimal]
    perps: tuple[Perp, ...]
    lost: tuple[Lost, ...]

    @property
    def cross(self) -> tuple[Perp, ...]:
        """Positions that share the dex's margin."""
        return tuple(perp for perp in self.perps if not perp.isolated)

    @property
    def isolated(self) -> tuple[Perp, ...]:
        """Positions with margin of their own."""
        return tuple(perp for perp in self.perps if perp.isolated)

    @property
    def book(self) -> Book | None:
        """What is compared with the chain's summary; None where not all positions are known."""
        return None if self.lost else Book(self.name, self.summary.rawUsd, self._counted)

    @property
    def cash(self) -> int:
        """Cash of cross margin: not what isolated positions have, nor what is set aside for orders that will be isolated."""
        if not self._whole:
            return int(self.summary.rawUsd)
        return int(self.summary.rawUsd) - self.isolated_cash - self.reserved

    @property
    def ledger(self) -> int:
        """All cash of the dex, that of isolated positions too: what it holds less what its positions are worth."""
        return self.cash + self.reserved + self.isolated_cash

    @property
    def isolated_cash(self) -> int:
        """Cash of isolated positions, also of those that are not known otherwise."""
        return sum(perp.cash for perp in self.isolated) + sum(one.cash or 0 for one in self.lost)

    @property
    def fault(self) -> str:
        """Why the cross margin is not known; empty where it is."""
        for one in self.lost:
            if not one.isolated or one.cash is None:
                return one.reason
        blind = [one for one in self.lost if not one.mark]
        if blind and not self._whole:
            # whether the summary counts isolated positions, and so their cash, cannot be told
            return blind[0].reason
        values = [perp.value for perp in self._counted] + [one.size * one.mark for one in self.lost if self._whole]
        missing = self.summary.ntlPos - sum(map(abs, values))
        if not _fits(missing, self.summary.accountValue - self.summary.rawUsd - sum(values), blind):
            return f"{LAGS}: positions there and on chain differ by a notional of {exact_ratio(missing, MICRO):.6f}"
        if self.reserved < 0:
            return f"{LAGS}: it sets less aside than isolated positions have"
        # nothing else tells of a position on the side of one without a mark, nor that what is set aside is of the chain's cash
        if (blind or self.reserved) and abs(self.cash - self._told_cash) > max(MICRO, abs(self._told_cash) // CLOSE):
            return f"{LAGS}: the cash of cross margin there and on chain differ by {exact_ratio(self.cash - self._told_cash, MICRO):.6f}"
        return ""

    @property
    def _told_cash(self) -> int:
        return int(EXACT.scaleb(self.state.cross_raw, PERP_PLACES).to_integral_value())

    @property
    def _whole(self) -> bool:
        """Whether the chain's summary counts isolated positions. The documentation does not say: its notional tells."""
        return not (self.isolated or self.lost) or self.summary.ntlPos != sum(abs(perp.value) for perp in self.cross)

    @property
    def _counted(self) -> tuple[Perp, ...]:
        return self.perps if self._whole else self.cross

    @property
    def reserved(self) -> int:
        """Cash that is set aside for orders that will be isolated, as the service says."""
        return int(EXACT.scaleb(self.state.reserved, PERP_PLACES).to_integral_value())


def _fits(missing: int, signed: int, blind: Sequence[Lost]) -> bool:
    """Whether the notional that is `missing`, `signed` by sides, can be that of positions without a mark."""
    if not blind:
        return not missing
    longs, shorts = (any(one.size * side > 0 for one in blind) for side in (1, -1))
    return abs(signed) <= missing and (longs or signed == -missing) and (shorts or signed == missing)


@dataclass(frozen=True, slots=True)
class Unread:
    """A dex in which the owner has something that could not be read, and why. `collateral` is None where that is not known either."""

    number: int
    name: str
    collateral: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Listed:
    """What the service and the chain's summary tell of a dex before its positions are read."""

    number: int
    name: str
    summary: Any
    state: Clearing
    meta: Meta
    funding: Mapping[str, Decimal]


def read(at: Context, user: Address, dex: Listed) -> Steps[Dex]:
    """The positions of a dex, in one round."""
    listed = [(held, dex.meta.places.get(held.coin)) for held in dex.state.held]
    numbers = [perp_id(dex.number, place) for _, place in listed if place is not None]
    answers: Sequence[Any] = (yield [ask for number in numbers for ask in _asks(user, number)]) if numbers else ()
    parts = iter(zip(answers[::3], answers[1::3], answers[2::3], strict=True))
    perps: list[Perp] = []
    lost: list[Lost] = []
    for held, place in listed:
        if place is None:
            lost.append(Lost(-1, held.coin, held.isolated, f"the info service lists no perpetual {held.coin}"))
            continue
        found = _position(at, held, perp_id(dex.number, place), next(parts), dex.meta)
        if isinstance(found, Perp):
            perps.append(found)
        else:
            lost.append(found)
    return Dex(dex.number, dex.name, dex.meta.collateral, dex.summary, dex.state, dex.funding, tuple(perps), tuple(lost))


def _asks(user: Address, number: int) -> tuple[Call, Call, Call]:
    return (
        core("position2", user, number, optional=True),
        core("markPx", number, optional=True),
        core("perpAssetInfo", number, optional=True),
    )


def _position(at: Context, held: Held, number: int, answers: Sequence[Any], meta: Meta) -> Perp | Lost:
    position, mark, info = answers
    if isinstance(position, Failed):
        return Lost(number, held.coin, held.isolated, f"the chain does not tell the position in {held.coin}: {position.reason}")
    cash = position.isolatedRawUsd if position.isIsolated else 0
    fault = _fault(held, position, mark, info)
    lost = Lost(number, held.coin, position.isIsolated, fault, cash, position.szi, _known(mark))
    if fault:
        return lost
    try:
        tiers = meta.tiers(info.marginTableId)
    except BadAnswer as error:
        return replace(lost, reason=error.message)
    return Perp(
        number=number,
        key=f"markPx:{number}",
        asset=Asset(at.listed_id("hyperliquid", held.coin), held.coin, info.szDecimals),
        size=position.szi,
        mark=mark,
        entry=position.entryNtl,
        leverage=position.leverage,
        isolated=position.isIsolated,
        cash=cash,
        tiers=tiers,
        price_places=PERP_PLACES - info.szDecimals,
    )


def _known(mark: Any) -> int:
    """A mark, 0 where there is none."""
    return 0 if isinstance(mark, Failed) else int(mark)


def _fault(held: Held, position: Any, mark: Any, info: Any) -> str:
    """Why a position cannot be used; empty where it can."""
    if isinstance(info, Failed):
        return f"the chain does not know the perpetual {held.coin}: {info.reason}"
    if info.szDecimals > PERP_PLACES or clean(info.coin, NAME) != held.coin:
        return f"the chain calls {held.coin} {clean(info.coin, 24)!r} and counts its size to {info.szDecimals} places"
    if EXACT.scaleb(held.size, info.szDecimals).to_integral_value() != position.szi or held.isolated != position.isIsolated:
        size = EXACT.scaleb(Decimal(position.szi), -info.szDecimals)
        return f"{LAGS}: its position in {held.coin} is {_told(held.size, held.isolated)}, on chain {_told(size, position.isIsolated)}"
    if isinstance(mark, Failed) or mark <= 0:
        return f"{held.coin} has no mark price"
    if not 0 < position.leverage <= MOST_LEVERAGE:
        return f"{held.coin} has the leverage {position.leverage}"
    return ""


def _told(size: Decimal, isolated: bool) -> str:
    return f"{plain(size)} ({'isolated' if isolated else 'cross'})"
