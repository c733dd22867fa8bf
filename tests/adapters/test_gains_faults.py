"""gTrade where a price service, a feed or the diamond itself answers what cannot be."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from defi_risk_adapters.gains.prices import named_feeds, scaled

from defi_risk.errors import CallReverted, OutOfRange, SettingError, Unsupported
from defi_risk.spi import Call, InfoCall
from tests.adapters.gains_world import DIAMOND, FEED, LINE, NOW, P10, TERMS, GainsWorld, Trade, only, read
from tests.adapters.scripted import NOTHING_THERE


def reason(world: GainsWorld) -> str:
    """Why the only account is unknown."""
    account = only(world)
    assert (account.status, account.side, account.legs, account.liquidatable) == ("unknown", "derivatives", (), None)
    assert account.reason
    return account.reason


# the price service


@pytest.mark.parametrize(
    ("charts", "said"),
    [
        (NOTHING_THERE, "reverted"),
        ({}, "time"),
        ([], "object"),
        ({"time": "soon", "indexPrices": [1, 2]}, "time"),
        ({"time": -1, "indexPrices": [1, 2]}, "time"),
        ({"time": (NOW + 7_200) * 1_000, "indexPrices": [1, 2_000]}, "7,200 s later"),
        ({"time": (NOW - 901) * 1_000, "indexPrices": [1, 2_000]}, "901 s earlier"),
        ({"time": NOW * 1_000, "closes": [65_000, 2_000]}, "indexPrices"),
        ({"time": NOW * 1_000, "indexPrices": [65_000]}, "no index price of ETH/USD"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, None]}, "no index price of ETH/USD"),
        ({"time": NOW * 1_000, "indexPrices": {"0": 65_000}}, "no index price of ETH/USD"),
        ({"time": NOW * 1_000, "indexPrices": "65000,2000"}, "indexPrices"),
        ({"time": NOW * 1_000, "indexPrices": [1] * 10_001}, "10001"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, 0]}, "worth nothing"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, Decimal("1e-11")]}, "worth nothing"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, -2_000]}, "cannot be"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, Decimal("1e30")]}, "cannot be"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, "NaN"]}, "number"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, True]}, "number"),
        ({"time": NOW * 1_000, "indexPrices": [65_000, [2_000]]}, "number"),
    ],
)
def test_without_a_price_a_trade_is_unknown_and_says_where_its_line_is(charts: Any, said: str) -> None:
    told = reason(GainsWorld(charts=charts))
    assert "liquidated at 1821.6 ETH/USD or below" in told
    assert said in told


def test_how_the_service_was_is_told() -> None:
    def report(**charts: Any) -> tuple[str, str, int | None]:
        [only_one] = read(GainsWorld(charts=charts)).reports
        return only_one.status, only_one.error, only_one.as_of

    prices = [65_000, 2_000]
    assert report(time=NOW * 1_000 + 999, indexPrices=prices) == ("ok", "", NOW)
    assert report(time=NOW + 30, indexPrices=prices) == ("ok", "", NOW + 30)
    assert report(time=NOW - 3_600, indexPrices=prices) == ("stale", "prices are 3,600 s older than the block", NOW - 3_600)
    status, error, _ = report(indexPrices=prices)
    assert status == "failed"
    assert "time" in error
    [failed] = read(GainsWorld(charts=NOTHING_THERE)).reports
    assert (failed.status, failed.kind) == ("failed", "exchange")


def test_a_price_that_is_minutes_old_counts_and_its_age_is_told() -> None:
    account = only(GainsWorld(charts={"time": NOW - 900, "indexPrices": [65_000, 2_000]}))
    assert account.status == "ok"
    assert account.legs[1].price is not None
    assert account.legs[1].price.updated_at == NOW - 900
    ahead = only(GainsWorld(charts={"time": NOW + 30, "indexPrices": [65_000, 2_000]}))
    assert ahead.legs[1].price is not None
    assert ahead.legs[1].price.updated_at == NOW  # never later than the block


def test_the_index_price_decides_not_the_mark() -> None:
    account = only(GainsWorld(charts={"time": NOW, "closes": [1, 1], "highs": [1, 1], "indexPrices": [65_000, "1999.99999999999"]}))
    assert account.legs[1].price is not None
    assert account.legs[1].price.value.raw == 1_999 * P10 + 9_999_999_999


def test_prices_are_rounded_down_to_the_venues_digits() -> None:
    assert scaled(Decimal("1.00000000009")) == P10
    assert scaled(Decimal("0.00000000019")) == 1


# feeds


def fed(**more: Any) -> GainsWorld:
    return GainsWorld(settings={"prices": "oracle", "feeds": f"ETH/USD:{FEED}"}, said=more)


def test_feeds_price_the_pairs_that_settings_name() -> None:
    world = fed()
    account = only(world)
    assert account.status == "ok"
    assert account.legs[1].price is not None
    assert (account.legs[1].price.source, account.legs[1].price.updated_at, account.legs[1].price.heartbeat) == (FEED, NOW - 60, 3_600)
    assert not any(isinstance(ask, InfoCall) for ask in world.asked)
    world.trades = [Trade(pair=2)]
    assert "no feed" in reason(world)
    assert "DOGE/USD or below" in reason(world)


@pytest.mark.parametrize(
    "bad",
    [
        {"latestRoundData": NOTHING_THERE},
        {"decimals": NOTHING_THERE},
        {"decimals": 77},
        *({"latestRoundData": (1, answer, NOW, NOW, 1)} for answer in (0, -1, 10**30)),
    ],
)
def test_a_feed_that_fails_costs_its_pair(bad: dict[str, Any]) -> None:
    assert FEED in reason(fed(**bad))


def test_a_feeds_time_that_cannot_be_is_not_known() -> None:
    price = only(fed(latestRoundData=(1, 2_000 * 10**8, NOW, NOW + 9_999, 1))).legs[1].price
    assert price is not None
    assert (price.updated_at, price.heartbeat) == (None, None)


@pytest.mark.parametrize(
    "text", ["", "ETH/USD", "ETH/USD:0x12", f":{FEED}", f"ETH/USD:{FEED} ETH/USD:{DIAMOND}", f"{FEED}", "ETH/USD:0x" + "zz" * 20]
)
def test_feeds_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match="'feeds' of a market") as raised:
        named_feeds(text)
    assert raised.value.hint
    with pytest.raises(Unsupported):
        read(GainsWorld(settings={"prices": "oracle", "feeds": text}))


# the diamond


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"getCurrentContractsVersion": 3}, Unsupported),
        ({"getTradeInfos": []}, OutOfRange),
        ({"getTradesLiquidationParams": [TERMS, TERMS]}, OutOfRange),
        ({"getTrades": [Trade().listed] * 2, "getTradeInfos": [(0,) * 9] * 2, "getTradesLiquidationParams": [TERMS] * 2}, OutOfRange),
        ({"getTrades": [Trade(user=DIAMOND).listed]}, OutOfRange),
        ({"getCollaterals": [(DIAMOND, True, 0, 10**6, 10**12)] * 256}, OutOfRange),
        ({"getTrades": NOTHING_THERE}, CallReverted),
    ],
)
def test_a_list_that_cannot_be_is_refused(said: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        read(GainsWorld(said=said))


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (Trade(version=3), "version 3"),
        (Trade(kind=3), "type 3"),
        (Trade(leverage=0), "size"),
        (Trade(leverage=10_000_001), "size"),
        (Trade(amount=0), "size"),
        (Trade(entry=0), "price"),
        (Trade(terms=(1, 0, 0, 0, 0)), "loss of 0"),
        (Trade(terms=(1, 101 * P10, 0, 25_000, 150_000)), "loss of"),
        (Trade(terms=(1, 70 * P10, 80 * P10, 25_000, 150_000)), "rises"),
        (Trade(collateral=3), "collateral 3"),
        (Trade(collateral=0), "collateral 0"),
    ],
)
def test_a_trade_that_cannot_be_is_unknown_and_the_others_are_not(spoilt: Trade, said: str) -> None:
    accounts = read(GainsWorld([replace(spoilt, index=7), Trade(8)])).accounts
    assert [one.status for one in accounts] == ["unknown", "ok"]
    assert said in str(accounts[0].reason)


NAMES = ("", "E" * 17, "<b>", "E\u202eTH", "\u0415TH", "E\nTH", " ETH")


@pytest.mark.parametrize(
    ("view", "answer", "said"),
    [
        *(("pairs", (name, "USD", (FEED, FEED, 0, 0), 0, 0, 0), "name") for name in NAMES if name != "<b>"),
        ("pairTotalPositionSizeFeeP", 101 * P10, "charges"),
        ("pairMaxLeverage", 0, "allows"),
        ("getCollateralPriceUsd", 0, "prices collateral 1 at 0"),
        ("getCollateralPriceUsd", 1 << 200, "prices collateral 1"),
        ("getPairFundingFeeData", [], "0 entries"),
        ("getPairFundingFeeParams", [(0, 0, 0, 0, False, False, 0)] * 2, "2 entries"),
        ("getPairBorrowingFeeData", [(0, NOW + 1, 0)], "after the block"),
        ("getPairBorrowingFeeParams", [], "0 entries"),
        *((view, NOTHING_THERE, view) for view in ("pairSpreadP", "pairMinPositionSizeUsd", "getPairOiAfterV10Token")),
        *(
            (view, NOTHING_THERE, view)
            for view in ("getTradeFeesData", "getTradePendingHoldingFeesCollateral", "getCollateralPriceUsd", "pairs")
        ),
        ("getTradeFeesData", (0, 0, 0, 0, 0, 0, 0, 1), "below"),
        ("getCollaterals", [(DIAMOND, True, 0, 10**6 + 1, 10**12)], "precision"),
        ("getCollaterals", [(DIAMOND, True, 0, 10**6, 10**11)], "precision"),
        ("getCollaterals", [(DIAMOND, True, 0, 0, 10**12)], "precision"),
    ],
)
def test_an_answer_that_cannot_be_makes_the_trade_unknown(view: str, answer: Any, said: str) -> None:
    told = reason(GainsWorld(said={view: answer}))
    assert said in told
    assert "\u202e" not in told


def test_a_view_that_fails_for_one_trade_costs_no_other() -> None:
    def fees(call: Call) -> Any:
        return NOTHING_THERE if call.args[1] == 3 else (0, 0, 0, 0)

    accounts = read(GainsWorld([Trade(3), Trade(4)], said={"getTradePendingHoldingFeesCollateral": fees})).accounts
    assert [one.status for one in accounts] == ["unknown", "ok"]
    assert "getTradePendingHoldingFeesCollateral" in str(accounts[0].reason)


@pytest.mark.parametrize("view", ["getTradeLiquidationPrice", "validateTriggerCloseOrderCallback"])
def test_what_only_checks_may_be_missing(view: str) -> None:
    account = only(GainsWorld(said={view: NOTHING_THERE}))
    assert account.status == "ok"
    assert account.self_check is not None
    assert account.self_check.match
    assert view not in account.self_check.protocol


def test_a_line_that_is_off_by_one_is_found_out() -> None:
    check = only(GainsWorld(said={"getTradeLiquidationPrice": LINE + 1})).self_check
    assert check is not None
    assert check.match is False


def test_what_a_pair_is_called_is_shown_harmlessly() -> None:
    account = only(GainsWorld(said={"pairs": ("<b>", "USD", (FEED, FEED, 0, 0), 0, 0, 0)}))
    assert account.status == "ok"
    assert account.legs[1].asset.symbol == "<b>/USD"


def test_the_smallest_fee_and_that_of_counter_trades_reach_the_line() -> None:
    """0.9 of 10 USDC for closing what is smaller than 1,500; half the fee for a counter trade."""
    assert only(GainsWorld([Trade(amount=10 * 10**6)])).native["getTradeLiquidationPrice"] == Decimal("1838.4") * P10
    assert only(GainsWorld([Trade(counter=True)])).native["getTradeLiquidationPrice"] == LINE - Decimal("0.6") * P10
