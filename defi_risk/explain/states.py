"""An account in each of the 16 states between two snapshots: every cause either as before or as after.

- price: USD prices, marks and quote prices, and what a market takes for the way out of a position;
- carry: interest and funding;
- flow: all other changes of amounts, sizes and entries, legs that came or went, collateral switched on or off;
- parameters: weights, tiers, rates, the mode, the ratio that the venue liquidates at, and what factor a token is mapped to.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from defi_risk import model
from defi_risk.explain.pairing import NOISE, Pair, Recorded, State, pairs
from defi_risk.explain.shapley import ALL, COUNT
from defi_risk.health.normal import profit
from defi_risk.ids import Factor
from defi_risk.model import Role
from defi_risk.units import EXACT, Quantity

PRICE: Final = 1
CARRY: Final = 2
FLOW: Final = 4
PARAMETERS: Final = 8
NONE: Final = Decimal(0)


class Corner(NamedTuple):
    """An account in one state, with USD per coin for positions without margin in theirs."""

    account: model.Account
    quotes: dict[Factor, float]


class Between:
    """One account between two snapshots; None where one of them does not have it. `seconds` from the one before to the one after."""

    def __init__(self, before: State | None, after: State | None, seconds: float) -> None:
        self._before = before
        self._after = after
        self.pairs: tuple[Pair, ...] = pairs(before, after, seconds) if before and after else ()
        self.active = self._active(before, after) if before and after else FLOW
        """The causes that change anything, as a mask."""
        ends = [state or after or before for state in (before, after)]
        self.lines: tuple[float, ...] = tuple(float(end.account.line) for end in ends if end is not None)
        """The ratio to the maintenance margin that the venue liquidates at, before and after."""

    def at(self, state: int) -> Corner | None:
        """The account in a state; None where it does not exist there."""
        if self._before is None or self._after is None:
            there = self._after if state & FLOW else self._before
            return None if there is None else self._whole(there)
        if state & self.active in (0, self.active):
            return self._whole(self._after if state & self.active else self._before)
        return self._mixed(self._before, self._after, state)

    def last(self) -> Corner | None:
        """The account as it is after; None where it does not exist there."""
        return None if self._after is None else self._whole(self._after)

    def _mixed(self, before: State, after: State, state: int) -> Corner:
        legs = [leg for pair in self.pairs if (leg := self._leg(pair, state)) is not None]
        return self._corner((after if state & PARAMETERS else before).account, legs)

    def _whole(self, state: State) -> Corner:
        return self._corner(state.account, [(_lean(side.leg), side.quote_usd) for side in state.sides])

    def _corner(self, base: model.Account, legs: list[tuple[model.Leg, float]]) -> Corner:
        """No venue's verdict and nothing but what the surplus rests on: states in between were never judged."""
        account = model.Account(
            id=base.id,
            owner=base.owner,
            side=base.side,
            venue=base.venue,
            market=base.market,
            chain=base.chain,
            mode=base.mode,
            strict=base.strict,
            line=base.line,
            legs=tuple(leg for leg, _ in legs),
        )
        coins = {(leg.factor, leg.peg) for leg in account.legs if leg.role is Role.MARGIN}
        positions = [(leg.position, usd) for leg, usd in legs if leg.position]
        return Corner(account, {one.quote: usd for one, usd in positions if (one.quote, one.quote_peg) not in coins})

    def _active(self, before: State, after: State) -> int:
        """What a cause changes, it changes at one of the two ends at least."""
        ends = [(end, self._mixed(before, after, end)) for end in (0, ALL)]
        causes = [1 << index for index in range(COUNT)]
        return sum(cause for cause in causes if any(self._mixed(before, after, end ^ cause) != there for end, there in ends))

    def _leg(self, pair: Pair, state: int) -> tuple[model.Leg, float] | None:
        before, after = pair.before, pair.after
        if before is None or after is None:
            there = after if state & FLOW else before
            return None if there is None else self._alone(there, state)
        rules, prices, flows = (after if state & cause else before for cause in (PARAMETERS, PRICE, FLOW))
        if rules.leg.position and prices.leg.position and flows.leg.position:
            position = _position(
                rules.leg.position, prices.leg.position, flows.leg.position, _blend(before.extra, after.extra, pair, state)
            )
            return replace(_lean(rules.leg), amount=flows.leg.amount, position=position), prices.quote_usd
        leg = replace(
            _lean(rules.leg),
            amount=_amount(before.leg, after.leg, pair, state),
            price=_bare(prices.leg.price),
            enabled=flows.leg.enabled,
        )
        # venues write a weight of nothing for what is switched off: that is no change of a parameter
        weigh = rules.leg if rules.leg.enabled else before.leg if before.leg.enabled else after.leg
        return replace(leg, weight=weigh.weight), 1.0

    def _alone(self, there: Recorded, state: int) -> tuple[model.Leg, float]:
        """A leg that came or went, at the price of that state where the account holds the token there in another role."""
        leg = _lean(there.leg)
        if leg.position is None and self._before and self._after:
            sides = (self._after if state & PRICE else self._before).sides
            prices = [side.leg.price for side in sides if side.leg.asset.id == leg.asset.id and side.leg.price]
            leg = replace(leg, price=_bare(prices[0])) if prices else leg
        return leg, there.quote_usd


def _position(rules: model.Position, prices: model.Position, flows: model.Position, extra: float) -> model.Position:
    moved = replace(
        _lean_position(rules),
        size=flows.size,
        entry=flows.entry,
        mark=prices.mark,
        unrealized_pnl=None,
        accrued_funding=NONE,
        accrued_fees=NONE,
        exit_cost=_exit_cost(prices, flows),
    )
    return replace(moved, unrealized_pnl=Decimal(repr(profit(moved, float) + extra)))


def _exit_cost(prices: model.Position, flows: model.Position) -> Decimal:
    """What leaving a position takes off: of the size of one state in the market of the other, where both have changed."""
    here, there = (EXACT.multiply(one.exit_cost, abs(other.size)) for one, other in ((prices, flows), (flows, prices)))
    if prices.size == flows.size or not prices.size:
        return prices.exit_cost
    if abs(here - there) <= Decimal(NOISE) * max(abs(here), abs(there)):  # so much for each unit before and after
        return flows.exit_cost
    return EXACT.divide(here, abs(prices.size))


def _amount(before: model.Leg, after: model.Leg, pair: Pair, state: int) -> Quantity:
    """The amount of a token; as it was written where nothing is mixed."""
    if bool(state & CARRY) == bool(state & FLOW) or not pair.carry:
        return after.amount if state & FLOW else before.amount
    return Quantity.of(Decimal(repr(_blend(float(before.amount), float(after.amount), pair, state))))


def _blend(before: float, after: float, pair: Pair, state: int) -> float:
    """before + carry + flow, where flow is what carry leaves of the change."""
    if state & FLOW:
        return after if state & CARRY else after - pair.carry
    return before + pair.carry if state & CARRY else before


def _lean(leg: model.Leg) -> model.Leg:
    """The leg without what no surplus depends on, so that such changes cost nothing."""
    position = _lean_position(leg.position) if leg.position else None
    return replace(
        leg,
        asset=model.Asset(leg.asset.id, leg.asset.symbol, 0),  # a restored amount has the decimals that it is written with
        price=_bare(leg.price),
        initial_weight=None,
        bonus=None,
        apr=None,
        compounding="",
        available=None,
        position=position,
    )


def _lean_position(position: model.Position) -> model.Position:
    told = replace(position, initial_rate=NONE, liquidation_fee=NONE, funding_8h=None, funding_apart=False, borrow_apr=None)
    return replace(told, expires=None, index=None)


def _bare(price: model.Price | None) -> model.Price | None:
    return model.Price(price.value) if price else None
