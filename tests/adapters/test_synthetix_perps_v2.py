"""Synthetix PerpsV2: its arithmetic by hand, its legs, and whole readings of a scripted venue that goes wrong."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from defi_risk_adapters.synthetix_perps_v2 import SynthetixPerpsV2
from defi_risk_adapters.synthetix_perps_v2.exact import Funding, PerpExact, Rules, divided, over, times

from defi_risk.errors import OutOfRange
from defi_risk.health.account import assess
from defi_risk.health.normal import in_floats
from defi_risk.health.plan.moves import survey
from defi_risk.ids import USD, AssetId, Factor
from defi_risk.model import Account, Asset, Role
from defi_risk.units import Quantity
from tests.accounts import SETTINGS
from tests.adapters.perps_v2_world import COIN, DAY, E18, NOW, OWNER, RATES, PerpWorld, VenueWorld, word
from tests.adapters.scripted import NOTHING_THERE, Drive, drive

RULES = Rules(
    skew_scale=1_000_000 * E18,
    premium_multiplier=E18,
    buffer_ratio=E18 // 100,
    max_leverage=25 * E18,
    max_funding_velocity=3 * E18,
    fee_ratio=35 * E18 // 10_000,
    min_fee=2 * E18,
    max_fee=1_000 * E18,
    keeper_fee=2 * E18,
    min_margin=40 * E18,
)
STILL = Funding(0, 0, 0)
ETH = Asset(AssetId("eip155:10/synthetix_perps_v2:sETH"), "sETH", 18)


def perp(size: int, margin: int, **more: Any) -> PerpExact:
    """A position opened at 2,000 and looked at there."""
    fields: dict[str, Any] = {"last_price": 2_000 * E18, "funding_start": 0, "funding": STILL, "rules": RULES, **more}
    return PerpExact("rate", ETH, 2_000 * E18, margin, size=size, **fields)


def read(world: VenueWorld) -> Drive:
    return drive(SynthetixPerpsV2().read(OWNER, world.market(), world.context()), world.answer)


def only(world: VenueWorld) -> Account:
    return read(world).account


@pytest.mark.parametrize(("a", "b", "quotient"), [(7, 2, 3), (-7, 2, -3), (7, -2, -3), (-7, -2, 3), (0, -2, 0), (-1, 3, 0)])
def test_quotients_are_cut_towards_zero(a: int, b: int, quotient: int) -> None:
    assert divided(a, b) == quotient


def test_products_and_quotients_are_in_1e18() -> None:
    assert times(-3 * E18 // 2, E18 + 1) == -1_500_000_000_000_000_001
    assert over(E18, -3 * E18) == -333_333_333_333_333_333


def test_the_line_of_a_long_by_hand() -> None:
    """10 ETH at 2,000: buffer 1 % and fee 0.35 % of 20,000, 2 for the keeper, and a premium of 10 / 1,000,000 of the notional."""
    long = perp(10 * E18, 2_500 * E18)
    assert long.line(2_000 * E18) == (200 + 70 + 2) * E18
    assert long.premium(2_000 * E18) == E18 // 5
    # 2,500 + 10 (p - 2,000) = 0.0135 * 10 p + 2 + 0.00001 * 10 p
    line = 17_502 * E18 * 10_000 // 98_649
    assert not long.liquidatable({"rate": line + 10})
    assert long.liquidatable({"rate": line - 10})
    assert long.liquidation_price(2_000 * E18) == 2_000 * E18 - (2_500 * E18 - 272 * E18 - E18 // 5) // 10
    assert long.accessible(2_000 * E18) == 2_500 * E18 - 20_000 * E18 * 1000 // 24_999 - E18 // 1000


def test_the_line_of_a_short_by_hand() -> None:
    short = perp(-10 * E18, 2_500 * E18)
    # 2,500 - 10 (p - 2,000) = 0.0135 * 10 p + 2 + 0.00001 * 10 p
    line = 22_498 * E18 * 10_000 // 101_351
    assert not short.liquidatable({"rate": line - 10})
    assert short.liquidatable({"rate": line + 10})
    assert short.profit(1_900 * E18) == 1_000 * E18


def test_on_the_line_is_dead() -> None:
    line = 272 * E18 + E18 // 5
    assert perp(10 * E18, line).liquidatable()
    assert not perp(10 * E18, line + 1).liquidatable()


def test_the_flaggers_fee_has_two_bounds() -> None:
    assert RULES.fee(0) == RULES.fee(571 * E18) == 2 * E18
    assert RULES.fee(572 * E18) == 2_002_000_000_000_000_000
    assert RULES.fee(285_715 * E18) == RULES.fee(10**9 * E18) == 1_000 * E18
    assert replace(RULES, min_fee=1_001 * E18).fee(0) == 1_001 * E18


def test_funding_drifts_with_the_skew() -> None:
    """A skew of 0.1 % drifts the rate by 0.3 % a day, every day: after two days from 0.1 % it is 0.7 %, 0.4 % on average."""
    funding = Funding.at(NOW, written=NOW - 2 * DAY, rate=E18 // 1000, recorded=-5 * E18, skew=1_000 * E18, rules=RULES)
    assert funding == Funding(7 * E18 // 1000, -5 * E18, -8 * E18 // 1000)
    assert funding.entry(2_000 * E18) == -21 * E18
    long = perp(10 * E18, 2_500 * E18, funding=funding, funding_start=-2 * E18)
    assert long.accrued(2_000 * E18) == -190 * E18
    assert replace(long, size=-10 * E18).accrued(2_000 * E18) == 190 * E18
    assert replace(long, funding_start=None).accrued(2_000 * E18) == 0


def test_the_skew_counts_no_more_than_whole() -> None:
    for skew in (10**9 * E18, -(10**9) * E18):
        funding = Funding.at(NOW, written=NOW - DAY, rate=0, recorded=0, skew=skew, rules=RULES)
        assert abs(funding.rate) == 3 * E18


def test_no_rate_liquidates_where_the_venue_takes_none() -> None:
    drowned = perp(10 * E18, 0)
    assert drowned.liquidatable({"rate": 1})
    assert not drowned.liquidatable({"rate": 0})
    assert not perp(0, 5 * E18).liquidatable()
    assert perp(0, 5 * E18).feeds() == ()


def test_what_is_called_safe_is_safe() -> None:
    """Long and short, small and large, with funding that runs either way: no answer in a safe interval liquidates."""
    random, claims = Random(7), 0  # noqa: S311  # a repeatable walk, nothing secret
    for _ in range(60):
        size = random.choice((-1, 1)) * random.choice((1, 10**12, 10**16, E18, 321 * E18))
        margin = max(abs(size) * 2_000 // random.randint(2, 30), random.randint(1, 50 * E18))
        one = perp(size, margin, funding=Funding(0, random.randint(-E18, E18), random.randint(-E18 // 50, E18 // 50)))
        for _ in range(60):
            low = int(2_000 * E18 * random.uniform(0.5, 1.5))
            high = low + int(low * random.random() ** 6)
            if one.safe_throughout("rate", low, high):
                claims += low < high
                assert not any(one.liquidatable({"rate": random.randint(low, high)}) for _ in range(6))
            assert one.safe_throughout("rate", low, low) is not one.liquidatable({"rate": low})
    assert claims > 1_000


def test_legs_of_a_position() -> None:
    world = VenueWorld([PerpWorld(said={"fundingSequence": 3 * E18, "maxFundingVelocity": 100 * E18})])
    account = only(world)
    margin, position, running = account.legs
    assert (margin.role, margin.asset.id, margin.factor) == (Role.MARGIN, f"eip155:10/erc20:{COIN}", Factor("sUSD"))
    assert margin.amount.decimal() == 2_500
    assert margin.price is not None
    assert margin.price.value.decimal() == 1
    terms = position.position
    assert terms is not None
    assert (position.factor, terms.quote) == (Factor("ETH"), USD)
    assert [terms.size, terms.entry, terms.mark] == [10, 2_000, 2_000]
    assert position.price is not None
    assert (position.price.source, position.price.updated_at) == (RATES, NOW - 60)
    # a skew of 0.0001 and a velocity of 100: 1 % a day now, half of it on average over the day since the funding was written
    assert terms.funding_8h is not None
    assert abs(terms.funding_8h * 3 - Decimal("0.01")) < Decimal("1e-18")
    assert terms.accrued_funding == 0
    assert (running.role, running.amount.decimal()) == (Role.MARGIN, Decimal("-0.05"))
    assert account.native["accruedFunding"] == -100 * E18
    assert account.id.endswith("/sETHPERP")
    assert (account.strict, account.mode, account.rule.kind, account.rule.remainder) == (False, "isolated", "close", "lost")
    assert in_floats(account, {}).equity == pytest.approx(2_400)
    assert in_floats(account, {}).requirement() == pytest.approx(272.2)


def test_no_plan_moves_funding_that_is_not_written_down() -> None:
    """It is margin in ETH, but nobody can pay ETH in or take it out."""
    account = only(VenueWorld([PerpWorld(said={"maxFundingVelocity": 100 * E18})]))
    assert [(leg.role, leg.movable) for leg in account.legs] == [(Role.MARGIN, True), (Role.POSITION, True), (Role.MARGIN, False)]
    problem = survey([assess(account, SETTINGS, {})], SETTINGS, {}, closing=True)
    assert {move.leg for move in problem.movements if move.leg is not None} == {0, 1}
    assert {problem.tokens[move.token].key.factor for move in problem.movements if move.token is not None} == {Factor("sUSD")}


@pytest.mark.parametrize(
    ("settings", "size", "requirement"),
    [
        ({}, E18 // 10, 2 + 2 + 2 + 2e-5),
        ({}, 10 * E18, 200 + 70 + 2 + 0.2),
        ({}, 500 * E18, 10_000 + 1_000 + 2 + 500),
        ({"minKeeperFee": 0}, E18 // 10, 2 + 0.7 + 2 + 2e-5),
        ({"liquidationFeeRatio": 0}, 10 * E18, 200 + 2 + 2 + 0.2),
        ({"maxKeeperFee": 2 * E18}, 10 * E18, 200 + 2 + 2 + 0.2),
    ],
)
def test_the_requirement_is_the_venues(settings: dict[str, int], size: int, requirement: float) -> None:
    account = only(VenueWorld([PerpWorld(size=size)], settings))
    assert in_floats(account, {}).requirement() == pytest.approx(requirement, rel=1e-12)
    exact = account.exact
    assert isinstance(exact, PerpExact)
    assert (exact.line(exact.price) + exact.premium(exact.price)) / 1e18 == pytest.approx(requirement, rel=1e-12)


def test_four_rounds_and_no_more_than_the_markets_that_hold_something() -> None:
    empty = PerpWorld(word("sBTCPERP"), word("sBTC"), 0, 0, number=0xE1)
    done = read(VenueWorld([PerpWorld(), empty]))
    assert len(done.rounds) == 4
    assert len(done.accounts) == 1
    assert [len(done.calls(name)) for name in ("positions", "assetPrice", "skewScale")] == [2, 1, 1]
    assert len(read(VenueWorld([empty])).rounds) == 2


def test_margin_alone_needs_nothing() -> None:
    account = only(VenueWorld([PerpWorld(size=0)]))
    assert [leg.role for leg in account.legs] == [Role.MARGIN]
    assert account.liquidatable is False
    assert account.native["accessibleMargin"] == account.native["remainingMargin"] == 2_500 * E18


def free_of(margin: int) -> int:
    """What `accessibleMargin` says of 10 ETH at 2,000."""
    return margin * E18 - 20_000 * E18 * 1000 // 24_999 - E18 // 1000


def test_no_more_can_be_taken_out_than_the_market_lets_go() -> None:
    """With the whole initial margin, more than the least one, and above the line with the premium, which the view leaves out."""
    assert perp(10 * E18, 2_500 * E18).withdrawable() == free_of(2_500)
    assert perp(E18 // 100, 50 * E18).withdrawable() == 10 * E18 - E18 // 1000
    assert perp(0, 50 * E18).withdrawable() == 50 * E18
    heavy = perp(10 * E18, 2_500 * E18, rules=replace(RULES, premium_multiplier=10_000 * E18))
    assert heavy.accessible(2_000 * E18) == free_of(2_500)
    assert heavy.withdrawable() == 2_500 * E18 - 272 * E18 - 2_000 * E18 - 1
    assert perp(10 * E18, 100 * E18).withdrawable() == 0


def test_a_pending_order_is_told_and_changes_nothing() -> None:
    order = (True, -3 * E18, 0, 0, 0, 2 * E18, 0, 0, bytes(32))
    account = only(VenueWorld([PerpWorld(said={"delayedOrders": order})]))
    assert account.known
    assert account.native["sizeDelta"] == -3 * E18
    waiting, free = account.legs, only(VenueWorld()).legs
    assert [leg.amount for leg in waiting] == [leg.amount for leg in free]
    assert waiting[1:] == free[1:]
    # the market takes no transfer of margin before the order is executed
    assert (waiting[0].available, free[0].available) == (Quantity(0, 18), Quantity(free_of(2_500), 18))


def test_a_lost_view_is_left_out_of_the_comparison() -> None:
    check = only(VenueWorld([PerpWorld(said={"accruedFunding": (0, False)})])).self_check
    assert check is not None
    assert set(check.protocol) == {"accruedFunding", "currentFundingRate", "sizeDelta"}
    assert check.match


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "flagged": ({"isFlagged": True}, "flagged"),
    "invalid rate": ({"assetPrice": (2_000 * E18, True)}, "invalid"),
    "no rate": ({"assetPrice": (0, False)}, "0 and"),
    "key of a stranger": ({"marketKey": b"\x1b[31m" + bytes(27)}, "no name"),
    "key of slashes": ({"marketKey": word("a/b")}, "no name"),
    "no key": ({"marketKey": bytes(32)}, "no name"),
    "asset of a stranger": ({"baseAsset": b"\xff" * 32}, "no name"),
    "no skew scale": ({"skewScale": 0}, "skew scale"),
    "no leverage": ({"maxLeverage": 0}, "leverage"),
    "no funding": ({"fundingSequenceLength": 0}, "fundingSequenceLength"),
    "funding of tomorrow": ({"fundingLastRecomputed": NOW + 1}, "after the block's time"),
    **{f"no {name}": ({name: NOTHING_THERE}, name) for name in ("positions", "marketKey", "marketSkew", "fundingSequence", "isFlagged")},
    **{f"no {name}": ({name: NOTHING_THERE}, name) for name in ("liquidationBufferRatio", "futuresMarketSuspension", "delayedOrders")},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_one_market_stays_there(fault: str) -> None:
    said, reason = FAULTS[fault]
    other = PerpWorld(word("sBTCPERP"), word("sBTC"), number=0xE1)
    bad, good = read(VenueWorld([PerpWorld(said=said), other])).accounts
    assert (bad.status, bad.liquidatable, bad.legs) == ("unknown", None, ())
    assert reason in bad.reason
    assert bad.side == "derivatives"
    assert good.known
    assert good.id != bad.id


@pytest.mark.parametrize(
    ("world", "fault"),
    [
        (VenueWorld(said={"decimals": 6}), "6 decimals"),
        (VenueWorld(said={"allMarkets": [COIN] * 513}), "513 markets"),
        (VenueWorld(registered={}), "does not know PerpsV2MarketSettings"),
    ],
)
def test_what_is_wrong_with_the_venue_is_said(world: VenueWorld, fault: str) -> None:
    with pytest.raises(OutOfRange, match=fault):
        read(world)


@pytest.mark.parametrize(
    ("said", "mine", "why"),
    [
        ({"exchangeSuspension": (True, 1)}, {}, "exchanging is suspended"),
        ({"futuresSuspension": (True, 1)}, {}, "the perps markets are suspended"),
        ({}, {"futuresMarketSuspension": (True, 1)}, "the market"),
    ],
)
def test_a_suspension_blocks_liquidations(said: dict[str, Any], mine: dict[str, Any], why: str) -> None:
    account = only(VenueWorld([PerpWorld(margin=0, said=mine)], said))
    assert account.liquidatable
    assert account.blocked.startswith(why)
    assert not only(VenueWorld([PerpWorld(size=0, said=mine)], said)).blocked


def test_a_rate_of_another_time_has_no_age() -> None:
    for told in ((1_999 * E18, NOW - 60), (2_000 * E18, NOW + 1), (2_000 * E18, 0)):
        price = only(VenueWorld([PerpWorld(said={"rateAndUpdatedTime": told})])).legs[1].price
        assert price is not None
        assert price.updated_at is None
