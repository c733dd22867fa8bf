"""OKX's trading account by account mode.

Recorded figures: two positions of accounts in futures mode (BTC-USDT-SWAP cross, in the documentation of ccxt's `parse_position`;
ETH-USDT-SWAP isolated, with its balance, of 2026), and a demo account in multi-currency mode (ccxt/ccxt at 02140ad,
ts/src/test/static/response/okx.json, `fetchBalance` of 2025-07-11).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from defi_risk_adapters.exchanges.okx.published import Discount, discounted

from defi_risk.health.normal import in_floats
from defi_risk.model import Contract, Role
from tests.exchanges.double import Fault
from tests.exchanges.near import accounts, found, unknown
from tests.exchanges.okx import (
    BTC_TIERS,
    OkxDouble,
    Place,
    Purse,
    changed,
    checked,
    close,
    coin_changed,
    figures,
    futures_book,
    multi_book,
    portfolio_requirement,
)

# futures mode


def test_each_coin_and_each_isolated_position_is_an_account() -> None:
    found = accounts(futures_book())
    assert set(found) == {"futures/USDT", "futures/BTC", "futures/ETH-USDT-SWAP/isolated"}
    usdt, btc, alone = found["futures/USDT"], found["futures/BTC"], found["futures/ETH-USDT-SWAP/isolated"]
    assert [checked(account) for account in found.values()] == [True] * 3
    assert usdt.id == "okx-main/futures/USDT"
    assert (usdt.mode, usdt.strict, usdt.rule.remainder) == ("cross", False, "refunded")
    assert (alone.mode, alone.strict, alone.rule.remainder) == ("isolated", False, "lost")
    # 20000 + 0.5 * 2000 + 12 * 20 over 30000 * 0.0045 + 29760 * 0.0045
    assert Decimal(usdt.stated["mgnRatio"]) == pytest.approx(Decimal(21_240) / Decimal("268.92"), rel=Decimal("1e-20"))
    assert usdt.stated["cashBal"] == "20000"
    worth, needed = figures(usdt)
    assert worth == pytest.approx(21_240 * 0.9998)
    assert needed == pytest.approx(268.92 * 0.9998)
    assert "liqPx:ETH-USDT-SWAP" in usdt.stated
    [_, dated] = btc.legs
    assert dated.position is not None
    assert dated.position.contract is Contract.INVERSE
    assert dated.position.size == 30_000
    assert dated.position.expires == 1_798_185_600
    assert (dated.position.quote, dated.position.funding_8h) == ("USD", None)
    [_, first, second] = usdt.legs
    assert first.position is not None
    assert second.position is not None
    assert first.position.funding_8h == Decimal("0.0001")
    assert second.position.funding_8h == Decimal("0.0002")  # paid every four hours
    assert (first.position.index, first.position.initial_rate) == (Decimal(60_000), Decimal("0.1"))


@pytest.mark.parametrize("symbol", ["BTC-USD-SWAP", "BTC-USDT-SWAP"])
@pytest.mark.parametrize("contracts", ["400", "-400"])
def test_liquidation_prices_follow(symbol: str, contracts: str) -> None:
    double = OkxDouble(purses={"USDT": Purse("30000"), "BTC": Purse("0.3", "60000")}, places=[Place(symbol, contracts, "59000", "60000")])
    account = accounts(double)[f"futures/{'BTC' if 'USD-' in symbol else 'USDT'}"]
    assert checked(account)
    told = double.row(double.places[0])["liqPx"]
    assert account.self_check is not None
    assert account.self_check.protocol.get(f"liqPx:{symbol}", "") == told
    if told:
        assert Decimal(account.stated[f"liqPx:{symbol}"]) == pytest.approx(Decimal(told), rel=Decimal("1e-12"))


def test_the_bracket_is_of_contracts_and_holds_for_all_of_them() -> None:
    for contracts, rate in (("1000", "0.004"), ("1001", "0.0065"), ("5001", "0.01")):
        double = OkxDouble(purses={"USDT": Purse("900000")}, places=[Place("BTC-USDT-SWAP", contracts, "60000", "60000")])
        account = accounts(double)["futures/USDT"]
        [_, leg] = account.legs
        assert leg.position is not None
        [tier] = leg.position.tiers
        assert (tier.floor, tier.rate, tier.deduction) == (Decimal(0), Decimal(rate), Decimal(0))
        assert checked(account)


def test_a_position_may_stand_in_the_bracket_of_its_family() -> None:
    """The exchange's own figure has the rate of a later bracket: it is believed. A rate that is none of the brackets' is not."""
    double = OkxDouble(purses={"USDT": Purse("50000")}, places=[Place("BTC-USDT-SWAP", "500", "60000", "60000")])
    later = double.row(double.places[0]) | {"mmr": str(300_000 * Decimal("0.0065")), "mgnRatio": str(Decimal(50_000) / 2_100), "liqPx": ""}
    place = replace(double, places=[], more_rows=[later])
    account = accounts(place)["futures/USDT"]
    assert account.legs[1].position is not None
    assert account.legs[1].position.tiers[0].rate == Decimal("0.0065")
    assert checked(account)
    other = accounts(replace(double, places=[], more_rows=[later | {"mmr": "2100"}]))["futures/USDT"]
    assert other.legs[1].position is not None
    assert other.legs[1].position.tiers[0].rate == Decimal("0.004")
    assert not checked(other)


def test_both_sides_of_a_hedge() -> None:
    places = [
        Place("BTC-USDT-SWAP", "100", "60000", "60000", side="long"),
        Place("BTC-USDT-SWAP", "-40", "61000", "60000", side="short"),
        Place("ETH-USDT-SWAP", "50", "2500", "2500", side="long", margin="1500"),
        Place("ETH-USDT-SWAP", "-50", "2500", "2500", side="short", margin="1500"),
    ]
    found = accounts(OkxDouble(mode="long_short_mode", purses={"USDT": Purse("5000")}, places=places))
    assert set(found) == {"futures/USDT", "futures/ETH-USDT-SWAP/isolated/long", "futures/ETH-USDT-SWAP/isolated/short"}
    cross = found["futures/USDT"]
    assert [leg.position.size for leg in cross.legs if leg.position] == [1, Decimal("-0.4")]
    assert all(map(checked, found.values()))
    # 5000 + (p - 60000) - 0.4 * (p - 61000) = 1.4 * p * 0.0045
    price = (Decimal(60_000) - 24_400 - 5_000) / (Decimal("0.6") - Decimal("0.0063"))
    for side in ("long", "short"):
        assert Decimal(cross.stated[f"liqPx:BTC-USDT-SWAP:{side}"]) == pytest.approx(price, rel=Decimal("1e-9"))


def test_both_sides_of_a_coin_margined_hedge() -> None:
    places = [Place("BTC-USD-SWAP", "400", "60000", "60000", side="long"), Place("BTC-USD-SWAP", "-100", "60000", "60000", side="short")]
    double = OkxDouble(mode="long_short_mode", purses={"BTC": Purse("0.2", "60000")}, places=places)
    account = accounts(double)["futures/BTC"]
    assert checked(account)
    # 0.2 + 30000 / 60000 - 30000 / p = 50000 * 0.0045 / p
    price = (30_000 + 50_000 * 0.0045) / (0.2 + 0.5)
    assert float(account.stated["liqPx:BTC-USD-SWAP:long"]) == pytest.approx(price)
    assert close(account, 12_000, 225)


def test_coins_that_nobody_prices() -> None:
    """Positions settle in a dollar coin of which there is none: it is taken at a dollar, which is said. Another is priced by its index."""
    places = [Place("BTC-USDT-SWAP", "5", "60000", "60000"), Place("ETH-USD-SWAP", "100", "2500", "2600", margin="0.2")]
    [pool, alone] = accounts(OkxDouble(level="3", purses={"BTC": Purse("1", "60000", BTC_TIERS)}, places=places)).values()
    assert checked(pool)
    assert [str(leg.amount) for leg in pool.legs if leg.asset.symbol == "USDT"] == ["0"]
    assert any("USDT is taken at a dollar" in text for text in pool.assumptions)
    assert checked(alone)
    assert alone.legs[0].price is not None
    assert str(alone.legs[0].price.value) == "2600"
    assert not alone.assumptions
    found = accounts(OkxDouble(places=[Place("BTC-USDT-SWAP", "5", "60000", "61000")]))["futures/USDT"]
    assert checked(found)
    assert close(found, 50, 3_050 * 0.0045)


def test_a_position_without_any_rate_is_unknown() -> None:
    double = futures_book()
    double.faults.append(Fault("500", where="position-tiers"))
    double.faults.append(Fault(where="account/positions", change=lambda answer: changed(answer, mmr="")))
    found = accounts(double)
    assert "neither position tiers" in found["futures/USDT"].reason
    assert checked(found["futures/BTC"])


def test_recorded_cross_position() -> None:
    """Of 2021. The record tells no cash and another mark: both follow from its mmr and ratio. Its liquidation price is a check."""
    mark = Decimal("1.3652874433435829") / Decimal("0.004") / Decimal("0.01")
    row = {
        "instType": "SWAP", "instId": "BTC-USDT-SWAP", "mgnMode": "cross", "posSide": "long", "pos": "1", "ccy": "USDT",
        "avgPx": "34131.1", "markPx": str(mark), "lever": "2", "imr": "170.66093041794787", "mmr": "1.3652874433435829",
        "mgnRatio": "140.49930117599155", "liqPx": "12608.959083877446", "upl": "0.0108608358957281", "margin": "",
        "notionalUsd": "341.5130010779638",
    }  # fmt: skip
    cash = Decimal("215.79967315589576") - Decimal("0.0108608358957281")
    double = OkxDouble(mode="long_short_mode", purses={"USDT": Purse(str(cash), "1.00056")}, more_rows=[row])
    account = accounts(double)["futures/USDT"]
    assert checked(account)
    assert account.stated["mmr:BTC-USDT-SWAP:long"] == "1.3652874433435829"
    assert Decimal(account.stated["mgnRatio"]) == pytest.approx(Decimal("140.49930117599155"), rel=Decimal("1e-15"))
    assert Decimal(account.stated["liqPx:BTC-USDT-SWAP:long"]) == pytest.approx(Decimal("12608.959083877446"), rel=Decimal("1e-15"))


ISOLATED_ROW = {
    "instType": "SWAP", "instId": "ETH-USDT-SWAP", "mgnMode": "isolated", "posSide": "long", "pos": "49.18", "ccy": "USDT",
    "avgPx": "1805.5767334669338683", "markPx": "2419.52", "idxPx": "2420.774", "liqPx": "1466.3929432660957", "lever": "5",
    "margin": "1700.6075811251431723", "mgnRatio": "88.14749114412055", "imr": "", "mmr": "47.59679744", "upl": "3019.3729848096195",
    "notionalUsd": "11896.5815361408", "usdPx": "0.99978",
}  # fmt: skip
ISOLATED_COIN = {
    "ccy": "USDT", "eq": "4720.3467606665545", "cashBal": "0.3661947317916033", "ordFrozen": "0", "isoEq": "4719.980565934763",
    "isoUpl": "3019.3729848096195", "upl": "3019.3729848096195", "eqUsd": "4719.308284379208", "disEq": "4718.942170210257",
    "mgnRatio": "", "liab": "", "interest": "", "imr": "0", "mmr": "0",
}  # fmt: skip


def test_recorded_isolated_position() -> None:
    top = {"totalEq": "95926.4782843792", "adjEq": "", "imr": "", "mmr": "", "mgnRatio": "", "notionalUsd": "", "ordFroz": "", "upl": ""}
    double = OkxDouble(mode="long_short_mode", more_rows=[ISOLATED_ROW], recorded_balance=top | {"details": [ISOLATED_COIN]})
    found = accounts(double)
    account = found["futures/ETH-USDT-SWAP/isolated/long"]
    assert checked(account)
    assert account.stated["margin"] == "1700.6075811251431723"
    assert account.stated["mgnRatio"] == "88.14749114412056"  # the last of the exchange's digits is binary noise
    assert account.stated["mmr:ETH-USDT-SWAP:long"] == "47.59679744"
    assert abs(Decimal(account.stated["liqPx:ETH-USDT-SWAP:long"]) - Decimal("1466.3829")) < Decimal("0.0001")  # the record says .3929
    assert account.legs[0].price is not None
    assert float(account.legs[0].price.value) == pytest.approx(0.99978)
    assert [str(leg.amount) for leg in found["futures/USDT"].legs] == ["0.3661947317916033"]


@pytest.mark.parametrize(("fee", "own"), [("0.0005", "0.0003"), ("0.0003", "0.0003")])
def test_the_fee_is_the_one_the_ratio_follows_from(fee: str, own: str) -> None:
    for account in accounts(replace(futures_book(), fee=fee, own_fee=own)).values():
        assert checked(account)
        assert {leg.position.close_fee for leg in account.legs if leg.position} == {Decimal(fee)}


def test_open_orders_require_something() -> None:
    double = OkxDouble(purses={"USDT": Purse("5000", ordered="700")}, places=[Place("BTC-USDT-SWAP", "50", "60000", "60000")])
    double.faults.append(Fault(where="positions", change=lambda answer: changed(answer, mgnRatio="25", liqPx="")))
    account = accounts(double)["futures/USDT"]
    assert checked(account)
    assert close(account, 5_000, 200)
    assert any("open orders require USDT 65.00" in text for text in account.assumptions)


# all coins in one


def test_multi_currency_is_one_account() -> None:
    double = multi_book()
    found = accounts(double)
    [account] = found.values()
    assert account.id == "okx-main/multi-currency"
    assert (account.mode, account.strict) == ("multi-asset", False)
    assert checked(account), (account.stated, account.self_check)
    worth, needed = figures(account)
    assert worth == pytest.approx(float(double.adjusted()), rel=1e-9)
    assert needed == pytest.approx(float(double.required()), rel=1e-9)
    assert account.stated["disEq:TUSD"].startswith("0")
    by_coin = {(leg.role, leg.asset.symbol): leg for leg in account.legs}
    assert not by_coin[Role.MARGIN, "TUSD"].enabled  # 43.5 million of equity that counts for nothing
    assert by_coin[Role.MARGIN, "BTC"].weight == Decimal("0.98")
    owed = by_coin[Role.DEBT, "SOL"]
    assert str(owed.amount) == "40"
    assert float(owed.maintenance_rate) == pytest.approx(0.021)
    inverse = by_coin[Role.POSITION, "BTC-USD-SWAP"].position
    assert inverse is not None
    assert inverse.pnl_weight == Decimal("0.98")
    assert any(text.startswith("debts require 126.00 USD") for text in account.assumptions)


def test_a_haircut_and_a_debt_in_one_coin() -> None:
    """What is owed is taken off in full, what is left counts for its tier: 0.98 of 0.5 BTC."""
    double = multi_book(purses={"BTC": Purse("1.2", "60000", BTC_TIERS, owed="0.7"), "USDT": Purse("100")}, places=[])
    [account] = accounts(double).values()
    assert checked(account)
    assert figures(account)[0] == pytest.approx(0.98 * 0.5 * 60_000 + 100)
    assert figures(account)[1] == pytest.approx(0.7 * 60_000 * 0.021)


def test_isolated_positions_and_bots_stand_apart() -> None:
    double = multi_book()
    double.places.append(Place("BTC-USDT-SWAP", "10", "60000", "60500", margin="700"))
    double.purses["USDT"] = Purse("8000", "0.9995", strategies="250")
    found = accounts(double)
    assert set(found) == {"multi-currency", "multi-currency/BTC-USDT-SWAP/isolated"}
    assert all(map(checked, found.values())), found["multi-currency"].self_check
    assert figures(found["multi-currency"])[0] == pytest.approx(float(double.adjusted()), rel=1e-9)


def test_what_counts_may_be_told_without_isolated_positions_and_bots() -> None:
    """Whether disEq holds them is not documented: its figure tells, and either way the cross equity counts for what it does."""
    double = multi_book(apart=True)
    double.places.append(Place("BTC-USDT-SWAP", "10", "60000", "60500", margin="700"))
    double.purses["USDT"] = Purse("8000", "0.9995", strategies="250")
    account = accounts(double)["multi-currency"]
    assert checked(account), (account.stated, account.self_check)
    assert figures(account)[0] == pytest.approx(float(double.adjusted()), rel=1e-9)


def test_what_bots_hold_is_said() -> None:
    double = OkxDouble(purses={"USDT": Purse("8000", strategies="250")})
    [report] = found(double).reports
    assert "USDT 250 of bots is left out: it is no margin" in report.notes


def test_isolated_margin_without_a_position() -> None:
    """Who transfers isolated margin by hand has it in a position of nothing first (OKX, "Get positions"): it is in isoEq."""
    double = OkxDouble(purses={"USDT": Purse("8000")}, places=[Place("BTC-USDT-SWAP", "10", "60000", "60500", margin="700")])
    empty = double.row(double.places[0]) | {"instId": "ETH-USDT-SWAP", "pos": "0", "avgPx": "", "upl": "0", "margin": "100", "mmr": ""}
    double.more_rows = [empty | {"mgnRatio": "", "liqPx": "", "notionalUsd": "", "imr": ""}]
    double.faults.append(Fault(where="balance", change=lambda answer: coin_changed(answer, isoEq="850", eq="8850")))
    scan = found(double)
    assert [account.market for account in scan.accounts] == ["futures/USDT", "futures/BTC-USDT-SWAP/isolated"]
    assert all(account.known for account in scan.accounts)
    assert "USDT 100 of isolated margin is left out: there is no position that it backs" in scan.reports[0].notes


@pytest.mark.parametrize("level", ["2", "3"])
def test_usd_margined_contracts(level: str) -> None:
    """Listed as settled in USD (OKX, "FAQ on USD-margined futures", October 2025): profit and requirement are in the chosen coin."""
    places = [Place("BTC-USD_UM-SWAP", "10", "60000", "61000"), Place("BTC-USD_UM-SWAP", "-5", "60000", "61000", margin="3200")]
    double = OkxDouble(level=level, purses={"USDC": Purse("3000", "0.9998")}, places=places)
    cross, alone = accounts(double).values()
    assert cross.market == ("futures/USDC" if level == "2" else "multi-currency")
    assert checked(cross), (cross.stated, cross.self_check)
    assert checked(alone), (alone.stated, alone.self_check)
    assert figures(cross) == pytest.approx((3_100 * 0.9998, 6_100 * 0.0045 * 0.9998))
    assert figures(alone) == pytest.approx((3_150 * 0.9998, 3_050 * 0.0045 * 0.9998))
    [leg] = [leg for leg in cross.legs if leg.position]
    assert leg.position is not None
    assert (leg.factor, leg.position.contract, leg.position.quote, leg.position.size) == ("BTC", Contract.LINEAR, "USDC", Decimal("0.1"))
    if level == "2":
        assert Decimal(cross.stated["liqPx:BTC-USD_UM-SWAP"]) == pytest.approx(Decimal(3_000) / Decimal("0.09955"), rel=Decimal("1e-9"))


def test_discount_tiers() -> None:
    """OKX's own example."""
    tiers = [
        Discount(Decimal(0), Decimal(1)),
        Discount(Decimal(5_000_000), Decimal("0.975")),
        Discount(Decimal(10_000_000), Decimal("0.95")),
    ]
    assert discounted(Decimal(11_000_000), tiers) == 10_825_000
    assert discounted(Decimal(-5), tiers) == -5
    assert discounted(Decimal(5_000_000), tiers) == 5_000_000


def test_discount_tiers_of_an_account() -> None:
    purse = Purse("11000000", "1", (("0", "5000000", "1"), ("5000000", "10000000", "0.975"), ("10000000", "20000000", "0.95")))
    double = OkxDouble(level="3", purses={"USDT": purse}, places=[Place("BTC-USDT-SWAP", "50", "60000", "60000")])
    [account] = accounts(double).values()
    assert checked(account)
    assert Decimal(account.stated["adjEq"]) == Decimal(account.stated["disEq:USDT"])
    assert Decimal(account.stated["adjEq"]) == 10_825_000
    # where the exchange does not say what the coin counts for, its tiers do
    double.faults.append(Fault(where="balance", change=lambda answer: coin_changed(answer, disEq="")))
    [again] = accounts(double).values()
    assert figures(again)[0] == pytest.approx(10_825_000)


RECORDED = [
    # coin, equity, in USD, what counts, rate, whether it is collateral, frozen for orders
    ("TUSD", "3000", "43505220", "0", "", False, "0"),
    ("BTC", "1.06126645222", "125092.85636955927", "122590.9992421681", "0.98", True, "0.4"),
    ("JFI", "100", "80983.8", "0", "", False, "0"),
    ("ETH", "5", "14965.25", "14665.945000000002", "0.98", True, "0"),
    ("OKB", "100", "4981.6", "4483.4400000000005", "0.9", True, "0"),
    ("UNI", "500", "4441.5", "3775.2749999999996", "0.85", True, "0"),
    ("PAX", "3000", "3000.3", "0", "", False, "0"),
    ("USDK", "3000", "3000", "0", "", False, "0"),
    ("USDC", "2973.521", "2973.2236479000003", "2913.7591749420003", "0.98", True, "0"),
    ("TRX", "10000", "2970", "2524.5", "0.85", True, "0"),
    ("LTC", "10.29979", "996.2986867000001", "946.483752365", "0.95", True, "0.1"),
    ("ADA", "1000", "747.6800000000001", "672.912", "0.9", True, "0"),
    ("USDT", "0.000258796", "0.0002588348194", "0.0002588348194", "1", True, "454.3333333333333"),
]
RECORDED_TOP = {
    "adjEq": "152550.80919105993", "borrowFroz": "88.21717883303612", "imr": "101.55251216636945", "mmr": "9.073149592403611",
    "mgnRatio": "15986.632239614408", "notionalUsd": "441.0858941651806", "ordFroz": "13.335333333333333",
    "totalEq": "43749372.50896299", "upl": "0", "uTime": "1752243339082",
}  # fmt: skip


def recorded() -> OkxDouble:
    rows = [
        {
            "ccy": code, "cashBal": equity, "eq": equity, "eqUsd": usd, "disEq": counts, "liab": "0", "upl": "0", "isoUpl": "0",
            "isoEq": "0",
            "ordFrozen": ordered, "stgyEq": "0", "spotIsoBal": "0", "collateralEnabled": enabled,
            "borrowFroz": "88.21717883303612" if code == "USDT" else "0",
        }
        for code, equity, usd, counts, _, enabled, ordered in RECORDED
    ]  # fmt: skip
    purses = {code: Purse("0", "1", (("0", "", rate),)) for code, *_, rate, _, _ in RECORDED if rate}
    return OkxDouble(level="3", purses=purses, recorded_balance=RECORDED_TOP | {"details": rows})


def test_recorded_multi_currency_account() -> None:
    """Orders that would borrow 441 USDT have a requirement, and take 22.51 USD off; 43.6 million in other coins do not count."""
    gathered = found(recorded())
    [account] = gathered.accounts
    assert checked(account), (account.stated, account.self_check)
    assert account.self_check is not None
    assert account.self_check.protocol["adjEq"] == "152550.80919105993"
    assert account.stated["adjEq"] == "152550.80919105993"
    assert account.stated["mgnRatio"][:16] == "15986.6322396144"
    for code, _, _, counts, rate, *_ in RECORDED:
        if rate:
            assert Decimal(account.stated[f"disEq:{code}"]) == pytest.approx(Decimal(counts), rel=Decimal("1e-12"))
    worth, needed = figures(account)
    assert worth == pytest.approx(152550.80919105993, rel=1e-12)
    assert needed == pytest.approx(9.542398083, rel=1e-6)  # mmr 9.0731 and 0.4692 of fees: 0.106 % of what would be borrowed
    said = " ".join(account.assumptions)
    assert "22.51 USD off" in said
    assert "would borrow 441.09 USD" in said
    normal = in_floats(account, {})
    assert normal.equity == pytest.approx(sum(float(row[2]) for row in RECORDED))
    assert gathered.reports[0].as_of == 1_752_243_339


def test_ratio_without_fees_is_another() -> None:
    """The excerpt of the same account: adjusted equity over maintenance margin alone is not what OKX calls its ratio."""
    adjusted, maintenance, ratio = map(Decimal, ("152648.60323464675", "9.073098173527129", "15996.96577491501"))
    assert adjusted / maintenance > Decimal("16824")
    assert Decimal("0.46") < adjusted / ratio - maintenance < Decimal("0.48")


def test_spot_mode() -> None:
    double = OkxDouble(level="1", purses={"BTC": Purse("2", "60000", BTC_TIERS)})
    gathered = found(double)
    assert not gathered.accounts
    assert any("no margin account" in note for note in gathered.reports[0].notes)
    double.purses["USDT"] = Purse("0", owed="50000")
    [account] = accounts(double).values()
    assert (account.mode, account.market) == ("spot", "spot")
    assert checked(account)
    assert close(account, 0.98 * 120_000 - 50_000, 50_000 * 0.021)
    double.places.append(Place("BTC-USDT-SWAP", "1", "60000", "60000"))
    account, _ = unknown(double)
    assert "spot mode" in account.reason


def test_portfolio_margin() -> None:
    """OKX's example: a raw requirement of 40,000, of which 30,000 in MR7, which tiers make 50,000."""
    double = multi_book(level="4", risk=(Decimal(40_000), Decimal(30_000)))
    del double.purses["TUSD"]
    [account] = accounts(double).values()
    assert account.mode == "portfolio"
    assert checked(account)
    assert account.stated["mmr"] == "50000"
    assert close(account, float(double.adjusted()), 50_000)
    assert any("50000.00 USD of maintenance margin" in text for text in account.assumptions)
    assert portfolio_requirement(Decimal(60_000), Decimal(30_000)) == 60_000


@pytest.mark.parametrize(("kind", "symbol"), [("OPTION", "BTC-USD-261225-60000-C"), ("MARGIN", "BTC-USDT")])
@pytest.mark.parametrize("level", ["2", "3", "4"])
def test_what_is_not_modelled_makes_its_account_unknown(kind: str, symbol: str, level: str) -> None:
    row = {"instType": kind, "instId": symbol, "mgnMode": "cross", "posSide": "net", "pos": "1", "ccy": "BTC", "mgnRatio": "", "upl": ""}
    double = multi_book(level=level, risk=(Decimal(1), Decimal(0)), more_rows=[row])
    double.places = [Place("BTC-USDT-SWAP", "10", "60000", "60500", margin="700")]
    found = accounts(double)
    name = {"2": "futures", "3": "multi-currency", "4": "portfolio"}[level]
    assert found[f"{name}/BTC-USDT-SWAP/isolated"].known
    other = found["futures/BTC" if level == "2" else name]
    assert other.status == "unknown"
    assert symbol in other.reason
    assert not other.legs


def test_an_isolated_margin_position_leaves_the_rest_known() -> None:
    row = {"instType": "MARGIN", "instId": "BTC-USDT", "mgnMode": "isolated", "posSide": "net", "pos": "1", "ccy": "BTC", "liab": "-99.9"}
    found = accounts(replace(futures_book(), more_rows=[row]))
    assert found["futures/BTC-USDT/isolated"].status == "unknown"
    assert checked(found["futures/BTC"])


def test_contracts_that_are_not_listed_or_not_understood() -> None:
    double = futures_book()
    listed = double.row(double.places[3])
    double.more_rows = [listed | {"instId": "NEW-USDT-SWAP"}]
    found = accounts(double)
    assert "does not list" in found["futures/NEW-USDT-SWAP/isolated"].reason
    assert checked(found["futures/USDT"])
    double.more_rows = [listed | {"instId": "ODD-USD-SWAP", "ccy": "BTC"}]
    assert "not modelled" in accounts(double)["futures/ODD-USD-SWAP/isolated"].reason
