"""GMX V2 against the venue's own library: liquidation prices and what they are made of, and the keys that parameters lie under.

The library takes less into account: it holds impact and fees in USD to what they are today, so that only markets that weigh balance in
USD are compared, without impact left from opening and without funding owed in the token that moves; and it always takes the fee of a
close that does not improve the balance. Its line knows no cap on profits; that of its profits is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import pytest
from defi_risk_adapters.gmx_v2 import impact, rule
from defi_risk_adapters.gmx_v2.accrual import Accrued
from defi_risk_adapters.gmx_v2.exact import GmxExact
from defi_risk_adapters.gmx_v2.keys import key, named
from defi_risk_adapters.gmx_v2.rule import Discounts
from defi_risk_adapters.gmx_v2.state import ImpactCurve, Listing, Pair, Prices

from defi_risk.ids import parse_address
from tests.adapters.gmx_world import INDEX, LONG, MARKET, ONE, SHORT, flat, made, plain_position, plain_state, unit_price, usd
from tests.localchain.gmx import judge

pytestmark = pytest.mark.chain
CASES: Final = 1_000
KINDS: Final = 11
NEAR: Final = 1e-9
FARTHEST: Final = 2**20
"""Up to how many times today's price a short's line is looked for."""


def drawn(random: Random) -> tuple[GmxExact, Mapping[str, int], tuple[int, int]]:
    """A random position in a random market, the decimals of its tokens, and the owner's referral terms (1e30)."""
    index_decimals = random.choice((8, 9, 18))
    listing = Listing(MARKET, INDEX, *random.choice(((LONG, SHORT), (INDEX, SHORT), (SHORT, SHORT))))
    if listing.long == INDEX:
        index_decimals = 18  # a whole unit of a coarser collateral is worth more than what is compared
    index = random.randint(unit_price(1, index_decimals), unit_price(100_000, index_decimals))
    prices = {INDEX: index, LONG: random.randint(unit_price(1, 18), unit_price(9_000, 18)), SHORT: unit_price("0.9998", 6)}
    collateral, size = random.choice((listing.long, listing.short)), usd(random.randint(10**5, 10**7))
    interest = [usd(random.randint(10**7, 10**9)) for _ in range(2)]
    fee, most = random.randint(0, ONE // 1_000), ONE // 100
    exponents = sorted(random.randint(ONE, 22 * ONE // 10) for _ in range(2))
    # an imbalance of a thousand million stands for no more than five million
    factors = sorted(int(random.random() * 5e6 / 1e9 ** (exponents[1] / ONE) * ONE) for _ in range(2))
    rebate, share = random.choice((0, 1_000, 2_000)), random.choice((0, 5_000, 10_000))
    state = plain_state(
        listing=listing,
        liquidation_factor=random.randint(ONE // 400, ONE // 50),
        min_collateral_usd=random.choice((ONE, usd(20_000))),
        fee_improved=fee,
        fee_worse=fee,
        impact=ImpactCurve(factors[0], factors[1], exponents[0], exponents[1], random.randint(0, most), random.randint(0, most)),
        max_pnl=Pair(random.randint(1, ONE), random.randint(1, ONE)),
        pool=Pair(*(usd(random.randint(10**6, 10**9)) // prices[token] for token in (listing.long, listing.short))),
        interest=Pair(*(Pair(each, 0) for each in interest)),
        interest_tokens=Pair(*(Pair(int(each * random.uniform(0.8, 1.2)) // index, 0) for each in interest)),
        virtual=random.choice((None, usd(random.randint(-(10**9), 10**9)))),
    )
    backed = random.uniform(1.6, 3) if random.random() < 0.05 else random.uniform(0.004, 0.5)
    amount = int(size * backed) // prices[collateral]
    position = plain_position(
        is_long=random.random() < 0.5,
        collateral=collateral,
        size_usd=size,
        size_tokens=int(size * random.uniform(0.7, 1.4)) // index,
        amount=amount,
    )
    due = Accrued(random.randint(0, size // 100), 0 if collateral == INDEX else random.randint(0, amount // 20), Pair(0, 0))
    tokens: dict[str, int] = {INDEX: index_decimals, LONG: 18, SHORT: 6}
    exact = made(
        position,
        state,
        Prices(*(flat(prices[token]) for token in (INDEX, listing.long, listing.short))),
        discounts=Discounts(referral=rebate * share // 10_000 * ONE // 10_000),
        due=due,
        decimals=(index_decimals, tokens[collateral]),
    )
    return exact, tokens, (rebate * ONE // 10_000, share * ONE // 10_000)


def line(exact: GmxExact) -> int | None:
    """The price of the index token next to the living ones that kills, found by the verdict alone; None where none kills."""
    now = exact.prices.index.low
    dead, alive = (1, now * FARTHEST) if exact.position.is_long else (now * FARTHEST, 1)
    assert not exact.liquidatable({INDEX: alive})
    if not exact.liquidatable({INDEX: dead}):
        return None
    while abs(dead - alive) > 1:
        middle = (dead + alive) // 2
        dead, alive = (middle, alive) if exact.liquidatable({INDEX: middle}) else (dead, middle)
    return dead


def kinds(exact: GmxExact, ours: int | None) -> list[str]:
    """What a position is an example of."""
    state, position, index = exact.state, exact.position, exact.prices.index
    side, token = "long" if position.is_long else "short", "same" if position.collateral == INDEX else "other"
    found = [f"{side}, {token} token", "never" if ours is None else "line", "dead" if exact.liquidatable() else "alive"]
    more = {
        "improving": impact.closing(state, position, index).improved,
        "floored": exact.judged_impact(index) == exact.lowest_impact,
        "capped": rule.capped_pnl(state, position, exact.prices) != rule.pnl(position, index.low),
    }
    return found + [name for name, so in more.items() if so]


def test_lines_and_their_parts_are_those_of_the_venues_own_library(tmp_path: Path) -> None:
    """1,000 random positions: the line to a part in a thousand million, though the library cuts it to a whole unit of the price and counts
    fees in USD where the contracts take whole units of the collateral; impact and profit to the digits of its floats.
    """
    random = Random(2_026)  # noqa: S311  # repeatable, no secret
    drawns = [drawn(random) for _ in range(CASES)]
    theirs = judge.figures([judge.case(*each) for each in drawns], tmp_path)
    seen: Counter[str] = Counter()
    for (exact, *_), figures in zip(drawns, theirs, strict=True):
        state, position, index = exact.state, exact.position, exact.prices.index
        size, closing = position.size_usd, impact.closing(exact.state, exact.position, exact.prices.index)
        alone = impact.closing(replace(state, virtual=None), position, index)
        assert alone.improved is figures["improved"]  # also where a shared inventory decides: there the contracts ask about that one
        assert closing.usd == pytest.approx(figures["impact"], rel=0, abs=1e-12 * size)
        costs = exact.costs(exact.prices, exact.due)
        fee = (costs.position_fee - costs.discount) * rule.collateral_price(state, position, exact.prices)
        assert fee == pytest.approx(figures["fee"], rel=0, abs=2e-11 * size)
        assert rule.capped_pnl(state, position, exact.prices) == pytest.approx(figures["pnl"], rel=NEAR, abs=1e-12 * size)
        ours = line(replace(exact, state=replace(state, max_pnl=Pair(0, 0))))
        if ours is None:
            assert figures["line"] is None
        else:
            assert ours == pytest.approx(figures["line"], rel=NEAR)
        seen.update(kinds(exact, ours))
    assert seen["line"] >= CASES * 9 // 10, seen
    assert len(seen) == KINDS, seen
    assert min(seen.values()) >= 10, seen


# keys


PARAMETERS: Final = {
    "isDisabled": "IS_MARKET_DISABLED",
    "minCollateralFactor": "MIN_COLLATERAL_FACTOR",
    "minCollateralFactorForLiquidation": "MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION",
    "maxPositionImpactFactorForLiquidations": "MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS",
    "fundingFactor": "FUNDING_FACTOR",
    "fundingExponentFactor": "FUNDING_EXPONENT_FACTOR",
    "fundingIncreaseFactorPerSecond": "FUNDING_INCREASE_FACTOR_PER_SECOND",
    "fundingDecreaseFactorPerSecond": "FUNDING_DECREASE_FACTOR_PER_SECOND",
    "minFundingFactorPerSecond": "MIN_FUNDING_FACTOR_PER_SECOND",
    "maxFundingFactorPerSecond": "MAX_FUNDING_FACTOR_PER_SECOND",
    "thresholdForStableFunding": "THRESHOLD_FOR_STABLE_FUNDING",
    "thresholdForDecreaseFunding": "THRESHOLD_FOR_DECREASE_FUNDING",
}
BY_SIDE: Final = {
    "borrowingFactor": "BORROWING_FACTOR",
    "borrowingExponentFactor": "BORROWING_EXPONENT_FACTOR",
    "openInterestReserveFactor": "OPEN_INTEREST_RESERVE_FACTOR",
    "minCollateralFactorForOpenInterest": "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER",
    "optimalUsageFactor": "OPTIMAL_USAGE_FACTOR",
    "baseBorrowingFactor": "BASE_BORROWING_FACTOR",
    "aboveOptimalUsageBorrowingFactor": "ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR",
}
BY_SIGN: Final = {
    "positionImpactFactor": "POSITION_IMPACT_FACTOR",
    "positionImpactExponentFactor": "POSITION_IMPACT_EXPONENT_FACTOR",
    "maxPositionImpactFactor": "MAX_POSITION_IMPACT_FACTOR",
}


def test_parameters_lie_where_the_venues_own_library_says() -> None:
    """Every market of three chains: fifty keys each, by the library's names."""
    listed, compared = judge.markets(), 0
    for chain, markets in judge.keys().items():
        for market, theirs in markets.items():
            tokens = {side.capitalize(): parse_address(listed[chain][market][f"{side}TokenAddress"]) for side in ("long", "short")}
            token = parse_address(market)
            ours = {name: key(own, token) for name, own in PARAMETERS.items()}
            for word, side in (("Long", True), ("Short", False)):
                ours |= {f"{name}{word}": key(own, token, side) for name, own in BY_SIDE.items()}
                ours[f"maxPnlFactorForTraders{word}"] = key("MAX_PNL_FACTOR", named("MAX_PNL_FACTOR_FOR_TRADERS"), token, side)
                ours[f"{word.lower()}PoolAmount"] = key("POOL_AMOUNT", token, tokens[word])
                for backing, address in tokens.items():
                    ours[f"{word.lower()}InterestUsing{backing}Token"] = key("OPEN_INTEREST", token, address, side)
                    ours[f"{word.lower()}InterestInTokensUsing{backing}Token"] = key("OPEN_INTEREST_IN_TOKENS", token, address, side)
            for word, fee, better in (("Positive", "Improved", True), ("Negative", "NotImproved", False)):
                ours |= {f"{name}{word}": key(own, token, better) for name, own in BY_SIGN.items()}
                ours[f"positionFeeFactorForBalanceWas{fee}"] = key("POSITION_FEE_FACTOR", token, better)
            assert {name: "0x" + own.hex() for name, own in ours.items()} == {name: theirs[name] for name in ours}, (chain, market)
            compared += len(ours)
    assert compared >= 5_000
