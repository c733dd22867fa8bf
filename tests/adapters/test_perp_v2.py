"""Perpetual Protocol V2: the arithmetic with numbers worked out by hand, and readings of scripted answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from defi_risk_adapters.perp_v2 import PerpV2
from defi_risk_adapters.perp_v2.exact import AccountExact, Collateral, Position, Terms, mul_div
from defi_risk_adapters.perp_v2.funding import X96, rate_8h

from defi_risk.abi import load
from defi_risk.errors import CallReverted, DefiRiskError, MissingPrice, OutOfRange, Unsupported
from defi_risk.ids import USD, ZERO_ADDRESS, AssetId, ChainId, Factor, address_of
from defi_risk.model import Asset, Chain, FactorRef, Owner, Role
from defi_risk.spi import Ask, Call, Context, Interface, Market
from defi_risk.units import WAD, Quantity
from tests.adapters.scripted import NOTHING_THERE, Drive, drive

MICRO: Final = 10**12  # a millionth of a dollar
CHAIN: Final = Chain(ChainId(10), "optimism")
OWNER: Final = Owner(address_of(bytes.fromhex("aa" * 20)))
HOUSE, VAULT, USDC, WETH, VETH = (address_of(number.to_bytes(20, "big")) for number in range(0x1001, 0x1006))
MARKET: Final = Market("perp_v2", CHAIN, "perp-v2", (("clearing_house", HOUSE),))
AT: Final = Context(
    CHAIN,
    1,
    1_767_225_600,
    {AssetId(f"eip155:10/erc20:{USDC}"): FactorRef(Factor("USDC")), AssetId(f"eip155:10/perp_v2:{VETH}"): FactorRef(Factor("ETH"))},
)

SELECTORS: Final = {
    "perp_v2/vault": {
        "getFreeCollateral": "c3999444",
        "getBalance": "f8b2cb4f",
        "getBalanceByToken": "2e40a51b",
        "getCollateralTokens": "ed903f7a",
        "getSettlementTokenValue": "c3b66b31",
        "isLiquidatable": "042e02cf",
    },
    "perp_v2/clearing_house": {"getAccountValue": "5ae80951"},
    "perp_v2/account_balance": {
        "getBaseTokens": "af74e736",
        "getTotalPositionSize": "68f12e12",
        "getTotalPositionValue": "3f935107",
        "getTotalOpenNotional": "b3945690",
        "getTotalAbsPositionValue": "6ccdc82e",
        "getPnlAndPendingFee": "bba85bcf",
        "getMarginRequirementForLiquidation": "f75c266d",
        "getLiquidatablePositionSize": "10485bec",
        "getMarkPrice": "5d6f9c14",
    },
    "perp_v2/exchange": {"getPendingFundingPayment": "cb379aa2"},
    "perp_v2/config": {"getMmRatio": "a8549402", "getImRatio": "543ce73a"},
}


def test_functions_have_the_selectors_that_the_venue_answers_to() -> None:
    for path, selectors in SELECTORS.items():
        functions = load(Interface("defi_risk_abis", path))
        assert {name: functions[name].selector.hex() for name in selectors} == selectors


# the arithmetic

TERMS: Final = Terms(6, 62_500, 100_000, 5_000, 750_000, 10_000 * 10**6)


def position(size: int, price: int, notional: int, key: str = "eth", funding: int = 0, *, live: bool = True) -> Position:
    asset = Asset(AssetId(f"eip155:10/perp_v2:{key}"), key, 18)
    return Position(key, asset, size, notional, size, notional, funding, price, live)


def account(balance: int, *positions: Position, owed: int = 0, collaterals: tuple[Collateral, ...] = ()) -> AccountExact:
    return AccountExact(TERMS, "usdc", balance, owed, 0, positions, collaterals)


def test_products_are_cut_towards_zero() -> None:
    assert (mul_div(7, 3, 2), mul_div(-7, 3, 2), mul_div(7, -3, 2), mul_div(-7, -3, 2)) == (10, -10, -10, 10)


def test_the_account_value_is_floored_to_a_millionth_before_it_is_compared() -> None:
    """10 coins bought at 100 with 61.6 dollars of margin: the line is where 61.6 + 10 * (p - 100) = 0.0625 * 10 * p, at p = 100.096."""
    line = 100_096 * 10**15
    exact = account(61_600_000, position(10 * WAD, line, -1_000 * WAD))
    assert exact.native()["getAccountValue"] == exact.native()["getMarginRequirementForLiquidation"] == 62_560_000 * MICRO
    assert not exact.liquidatable()
    assert exact.liquidatable({"eth": line - 1})  # the value falls short of a whole millionth and loses all of it
    assert not exact.liquidatable({"eth": line + 10**11})
    assert exact.liquidatable({"eth": line + 10**11 - 1})


def test_a_negative_account_value_is_floored_too() -> None:
    assert account(0, owed=-1).native()["getAccountValue"] == -MICRO


def test_between_two_whole_millionths_the_verdict_turns_back() -> None:
    """Going down, the floored value waits while the requirement still falls: dead, alive again, dead."""
    exact = account(61_600_000, position(10 * WAD, 101 * WAD, -1_000 * WAD))
    line = 100_096 * 10**15
    verdicts = [exact.liquidatable({"eth": line - part * 10**10}) for part in (-1, 0, 1, 9)]
    assert verdicts == [True, False, True, True]
    assert not exact.safe_throughout("eth", line, line + 10**10)
    assert exact.safe_throughout("eth", line, line)
    assert exact.safe_throughout("eth", line + 10**12, line + 10**18)


@pytest.mark.parametrize(
    ("balance", "taken"),
    [(62_500_001, 0), (62_499_999, 5), (31_250_000, 5), (31_249_999, 10), (-1_000_000, 10)],
)
def test_half_is_taken_down_to_half_of_the_requirement_and_all_below(balance: int, taken: int) -> None:
    """10 coins at 100, bought at 100: the requirement is 62.5."""
    exact = account(balance, position(10 * WAD, 100 * WAD, -1_000 * WAD))
    assert exact.native()["getLiquidatablePositionSize(eth)"] == taken * WAD


def test_a_position_of_up_to_a_hundred_dollars_is_taken_whole() -> None:
    small, larger = (account(6_000_000, position(-size, 100 * WAD, 100 * size)) for size in (WAD, WAD + 10**16))
    assert small.native()["getLiquidatablePositionSize(eth)"] == -WAD
    assert larger.native()["getLiquidatablePositionSize(eth)"] == -(WAD + 10**16) // 2


def test_half_of_all_notional_may_come_out_of_one_market() -> None:
    """300 and 700 dollars: all of the first, five sevenths of the second, cut to a millionth."""
    exact = account(60_000_000, position(3 * WAD, 100 * WAD, -300 * WAD), position(-7 * WAD, 100 * WAD, 700 * WAD, "btc"))
    native = exact.native()
    assert native["getLiquidatablePositionSize(eth)"] == 3 * WAD
    assert native["getLiquidatablePositionSize(btc)"] == -7 * WAD * 714_285 // 10**6


def test_initial_margin_is_counted_on_debt() -> None:
    """A long owes what it was bought for, a short its base at the mark; quote is added up over all markets before it counts."""
    long, short = position(10 * WAD, 110 * WAD, -1_000 * WAD), position(-4 * WAD, 120 * WAD, 400 * WAD, "btc")
    native = account(500_000_000, long, short).native()
    assert native["getTotalDebtValue"] == (1_000 - 400 + 480) * WAD
    assert native["unrealizedPnl"] == (100 - 80) * WAD
    assert native["getFreeCollateral"] == (500 - 108) * 10**6


def test_profit_is_no_free_collateral_and_a_loss_is_one_less() -> None:
    gained, lost = (account(500_000_000, position(10 * WAD, price * WAD, -1_000 * WAD)) for price in (120, 80))
    assert gained.native()["getFreeCollateral"] == 400 * 10**6
    assert lost.native()["getFreeCollateral"] == 200 * 10**6


@pytest.mark.parametrize(("decimals", "balance"), [(8, 2 * 10**8 + 1), (18, 2 * WAD + 1), (24, 2 * 10**24 + 1)])
def test_collateral_of_any_decimals_counts_at_its_ratio(decimals: int, balance: int) -> None:
    asset = Asset(AssetId("eip155:10/erc20:x"), "X", decimals)
    counted = Collateral("x", asset, balance, 700_000, 2_500 * 10**8, 8).weighted(2_500 * 10**8)
    assert 0 <= counted - 3_500 * WAD < 10**14
    assert counted == balance * 10 ** max(18 - decimals, 0) * 2_500 // 10 ** max(decimals - 18, 0) * 700_000 // 10**6


def test_collateral_is_sold_at_a_buffer_above_the_requirement_or_for_debt_alone() -> None:
    ether = Collateral("weth", Asset(AssetId("eip155:10/erc20:weth"), "WETH", 18), WAD, 700_000, 1_000 * 10**8, 8)
    assert not account(-67_499_999).sellable()  # nothing to sell
    for balance, sold in ((-25_000_000, False), (-25_000_001, True)):
        assert account(balance, position(100 * WAD, 100 * WAD, -10_000 * WAD), collaterals=(ether,)).sellable() is sold
    for balance, sold in ((-525_000_000, False), (-525_000_001, True)):
        assert account(balance, collaterals=(ether,)).sellable() is sold
    much = Collateral("weth", ether.asset, 100 * WAD, 700_000, 1_000 * 10**8, 8)
    for balance, sold in ((-10_000_000_000, False), (-10_000_000_001, True)):
        assert account(balance, collaterals=(much,)).sellable() is sold


def test_a_market_that_is_not_open_is_no_feed() -> None:
    exact = account(10**9, position(WAD, 100 * WAD, -100 * WAD), position(WAD, 50 * WAD, -50 * WAD, "crv", live=False))
    assert [feed.key for feed in exact.feeds()] == ["eth"]
    assert not exact.liquidatable({"crv": 1})


@pytest.mark.parametrize(
    ("pool", "most", "rate"), [(2_510, 100_000, "10"), (2_490, 100_000, "-10"), (2_800, 100_000, "250"), (2_000, 20_000, "-50")]
)
def test_longs_pay_a_third_of_the_premium_in_eight_hours_up_to_a_share_of_the_index(pool: int, most: int, rate: str) -> None:
    root = int((Decimal(pool) * X96 * X96).sqrt())
    told = rate_8h(root, 2_500 * WAD, most, 2_505 * WAD)
    assert abs(told - Decimal(rate) / 3 / 2_505) < Decimal("1e-12")


# readings

PNL: Final = (-5 * WAD, -WAD, 2 * WAD)
ANSWERS: Final[dict[str, Any]] = {
    "getVault": VAULT,
    **dict.fromkeys(("getAccountBalance", "getExchange", "getOrderBook", "getClearingHouseConfig"), VAULT),
    "getAccountValue": 1_495 * WAD,
    "paused": False,
    "getBaseTokens": (VETH,),
    "getPnlAndPendingFee": PNL,
    "getCollateralTokens": (),
    "getCollateralManager": VAULT,
    "getSettlementToken": USDC,
    "getBalance": 1_500 * 10**6,
    "getMmRatio": 62_500,
    "getImRatio": 100_000,
    "getLiquidationPenaltyRatio": 25_000,
    "getMaxFundingRate": 100_000,
    "getTwapInterval": 900,
    "getMmRatioBuffer": 5_000,
    "getDebtNonSettlementTokenValueRatio": 750_000,
    "getDebtThresholdByTrader": 10_000 * 10**6,
    "isOpen": True,
    "isPaused": False,
    "isClosed": False,
    "getPausedIndexPrice": 0,
    "getClosedPrice": NOTHING_THERE,
    "getMarkPrice": 2_499 * WAD,
    "getOpenOrderIds": (),
    **dict.fromkeys(("getTotalPositionSize", "getBase"), WAD),
    **dict.fromkeys(("getTotalOpenNotional", "getQuote"), -2_500 * WAD),
    "getPendingFundingPayment": WAD,
    "getSqrtMarketTwapX96": 50 * X96,
    "getBalanceByToken": WAD,
    "getCollateralConfig": (VAULT, 700_000, 100_000, WAD),
    "getPrice": 2_500 * 10**8,
    "getPriceFeedDecimals": 8,
    "symbol": NOTHING_THERE,
}


def read(**changes: Any) -> Drive:
    """A long of one coin, bought at 2,500 and now at 2,499, with the answers that a test changes. The venue's sums fail where they are not
    given, so that nothing is compared.
    """
    answers = {**ANSWERS, **changes}

    def script(ask: Ask) -> Any:
        assert isinstance(ask, Call)
        if ask.function == "getIndexPrice":
            index = answers.get("index", (2_490 * WAD, 2_480 * WAD))
            return index[0] if ask.args == (0,) else index[1]
        if ask.function == "decimals":
            return answers.get("decimals", 6 if ask.to in (VAULT, USDC) else 18)
        return answers.get(ask.function, NOTHING_THERE)

    return drive(PerpV2().read(OWNER, MARKET, AT), script)


def test_an_account_is_read_whole_in_three_rounds() -> None:
    done = read()
    margin, held = done.account.legs
    assert len(done.rounds) == 3
    assert (margin.role, margin.amount, margin.factor) == (Role.MARGIN, Quantity(1_497 * WAD, 18), Factor("USDC"))
    assert (held.role, held.factor, held.asset.id) == (Role.POSITION, Factor("ETH"), f"eip155:10/perp_v2:{VETH}")
    assert held.position is not None
    assert [held.position.size, held.position.entry, held.position.mark] == [*map(Decimal, (1, 2_500, 2_499))]
    assert [held.position.unrealized_pnl, held.position.accrued_funding] == [Decimal(-1), Decimal(-1)]
    assert held.position.quote == USD
    assert held.position.liquidation_fee == Decimal("0.025")
    assert [tier.rate for tier in held.position.tiers] == [Decimal("0.0625")]
    assert done.account.native["getAccountValue"] == 1_495 * WAD
    assert done.account.self_check is not None
    assert done.account.self_check.match
    assert done.account.liquidatable is False


def test_who_holds_nothing_has_no_account_and_is_asked_two_rounds() -> None:
    done = read(getBaseTokens=(), getBalance=0, getPnlAndPendingFee=(0, 0, 0))
    assert (done.items, len(done.rounds)) == ([], 2)
    assert read(getBaseTokens=(), getBalance=0, getPnlAndPendingFee=(-1, 0, 0)).account.native["getAccountValue"] == -MICRO


def test_a_market_with_no_position_left_counts_as_margin() -> None:
    done = read(getTotalPositionSize=0, getBase=0, getMarkPrice=NOTHING_THERE, index=(NOTHING_THERE, NOTHING_THERE))
    [margin] = done.account.legs
    assert margin.amount == Quantity((1_500 - 5 + 2 - 2_500 - 1) * WAD, 18)


def test_liquidity_in_a_paused_market_that_holds_what_it_owes_is_debt_and_no_position() -> None:
    paused = {"isOpen": False, "isPaused": True, "getPausedIndexPrice": 2_400 * WAD}
    done = read(
        **paused, getTotalPositionSize=0, getBase=-2 * WAD, getTotalOpenNotional=0, getQuote=-3 * WAD, getOpenOrderIds=(b"\x07" * 32,)
    )
    assert [leg.role for leg in done.account.legs] == [Role.MARGIN]
    assert done.account.native["getTotalDebtValue"] == (3 + 4_800) * WAD


def test_a_venue_without_other_collateral_is_read() -> None:
    assert len(read(getCollateralManager=ZERO_ADDRESS).account.legs) == 2


def test_a_paused_position_follows_the_dollar_at_the_price_of_the_pause() -> None:
    done = read(isOpen=False, isPaused=True, getPausedIndexPrice=2_400 * WAD, getMarkPrice=NOTHING_THERE, index=(NOTHING_THERE, 0))
    held = done.account.legs[-1]
    assert held.position is not None
    assert held.factor == USD
    assert [held.position.mark, held.position.funding_8h] == [Decimal(2_400), Decimal(0)]
    assert "paused or closed" in done.account.blocked
    assert read(isOpen=False, isClosed=True, getClosedPrice=2_300 * WAD).account.native["unrealizedPnl"] == -200 * WAD


FAILING: Final = NOTHING_THERE


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"getOpenOrderIds": (b"\x07" * 32,)}, Unsupported, "open liquidity"),
        ({"isOpen": False}, Unsupported, "neither open, paused nor closed"),
        ({"isPaused": True}, Unsupported, "open and paused"),
        ({"getMarkPrice": FAILING, "getPnlAndPendingFee": FAILING}, MissingPrice, "no mark price"),
        ({"getMarkPrice": 0}, MissingPrice, "prices 0x0000…1005"),
        ({"index": (FAILING, FAILING)}, MissingPrice, "no index price"),
        ({"index": (0, 0)}, MissingPrice, "is 0"),
        ({"index": (2_490 * WAD, 2_490 * WAD)}, MissingPrice, "is stale: it has not moved for 25 hours"),
        ({"isOpen": False, "isClosed": True}, MissingPrice, "no mark price"),
        ({"getPendingFundingPayment": FAILING}, CallReverted, "funding due in"),
        ({"getPnlAndPendingFee": FAILING}, CallReverted, "getPnlAndPendingFee"),
        ({"getCollateralTokens": (WETH,), "getPrice": FAILING}, MissingPrice, "no price for"),
        ({"getCollateralTokens": (WETH,), "getPrice": 0}, MissingPrice, "at 0"),
        ({"getCollateralTokens": (WETH,), "getPriceFeedDecimals": FAILING}, MissingPrice, "decimals cannot be read"),
        ({"getCollateralTokens": (WETH,), "getBalanceByToken": -1}, OutOfRange, "is -1"),
        ({"getCollateralTokens": (WETH,), "getCollateralConfig": (VAULT, 10**6 + 1, 0, 0)}, OutOfRange, "more than it is worth"),
        ({"getCollateralTokens": (USDC,)}, OutOfRange, "settlement token twice"),
        ({"getBaseTokens": (VETH, VETH)}, OutOfRange, "twice"),
        ({"getBaseTokens": tuple(address_of(n.to_bytes(20, "big")) for n in range(1, 300))}, OutOfRange, "299 markets"),
        ({"getMmRatio": 0}, OutOfRange, "ratio that cannot be"),
        ({"getImRatio": 10**6 + 1}, OutOfRange, "ratio that cannot be"),
        ({"getVault": ZERO_ADDRESS}, OutOfRange, "lacks a contract"),
        ({"decimals": 19}, OutOfRange, "19 decimals"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(changes: dict[str, Any], error: type[DefiRiskError], says: str) -> None:
    with pytest.raises(error, match="(?i)" + says.replace("(", r"\(")):
        read(**changes)


def test_a_difference_to_the_venues_own_sums_is_shown() -> None:
    done = read(getTotalAbsPositionValue=2_499 * WAD, getFreeCollateral=1)
    assert done.account.self_check is not None
    assert not done.account.self_check.match
    assert done.account.native["getFreeCollateral"] == (1_495 - 250) * 10**6
