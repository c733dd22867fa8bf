"""Cases whose answers are known in closed form: ETH 3,000, liquidation threshold 0.83, perp maintenance 2 %."""

from __future__ import annotations

import pytest

from defi_risk import health
from defi_risk.health import AccountFigures, Figures
from defi_risk.health.distance import Surplus, alone, crossings
from defi_risk.health.normal import in_floats
from defi_risk.ids import AccountId
from defi_risk.model import Account, Basis, Leg
from tests.accounts import BTC, ETH, SETTINGS, USD, USDC, USDT, Number, collateral, debt, loan, margin, perp, position


def one(account: Account) -> AccountFigures:
    return health.run([account], SETTINGS).accounts[account.id]


def of(figures: Figures, name: str) -> AccountFigures:
    return figures.accounts[AccountId(f"manual:{name}")]


def price(figures: AccountFigures, factor: str, direction: str) -> float:
    return next(move.price for move in figures.moves if (move.factor, move.direction, move.peg) == (factor, direction, None))


def hedge(eth: Number = 3000, borrowed: Number = 12_000, pnl: Number = 0) -> list[Account]:
    """Case A: a loan whose proceeds are all margin of a short that hedges its collateral."""
    return [
        loan(collateral(ETH, 10, eth, "0.83"), debt(USDC, borrowed)),
        perp(margin(USDC, borrowed), position(ETH, -10, eth, pnl=pnl)),
    ]


def test_case_a_a_hedged_book_dies_upward() -> None:
    figures = health.run(hedge(), SETTINGS)
    lent, short, book = of(figures, "loan"), of(figures, "perp"), figures.book
    assert (lent.health, short.health) == (2.075, 20.0)
    assert (lent.surplus_usd, short.surplus_usd) == (12_900, 11_400)
    assert price(lent, ETH, "down") == pytest.approx(1445.7831, abs=1e-4)
    assert price(short, ETH, "up") == pytest.approx(4117.6471, abs=1e-4)
    assert lent.hf == pytest.approx(2.075, rel=1e-15)
    assert lent.up is None
    assert short.down is None
    assert book.uhf == pytest.approx(4117.6471 / 3000, abs=1e-7)
    assert (book.first_account, book.first_side) == ("manual:perp", "up")
    assert book.corridor == pytest.approx((1445.78313 / 3000 - 1, 0.3725490), abs=1e-7)
    assert book.netted_health == pytest.approx(2.929, abs=5e-4)
    assert book.netted_uhf == pytest.approx(15_789.4737 / 3000, abs=1e-7)
    assert book.net_equity_usd == 30_000 - 12_000 + 12_000
    assert book.true_leverage == pytest.approx(2.0)
    assert book.mur == pytest.approx(600 / 12_000)
    assert book.stranded_usd == pytest.approx(10 * 4117.6471 * 0.83 - 12_000, abs=1e-3)
    assert book.fragmentation == pytest.approx(1 - 0.316669 / 1.660731, abs=1e-5)
    assert book.nearest_factor is not None
    assert (book.nearest_factor.factor, book.nearest_factor.direction) == (ETH, "up")
    assert book.bound == "exact"


def test_case_a_at_its_boundary() -> None:
    figures = health.run(hedge(eth="4117.6470588", pnl="-11176.470588"), SETTINGS)
    assert of(figures, "loan").health == pytest.approx(2.848, abs=5e-4)
    assert figures.book.net_equity_usd == pytest.approx(30_000)
    assert of(figures, "perp").equity_usd == pytest.approx(823.53, abs=5e-3)
    assert of(figures, "perp").requirement_usd == pytest.approx(823.53, abs=5e-3)


def test_case_a_survives_a_fall_but_not_a_rise_of_40_percent() -> None:
    down, up = health.run(hedge(), SETTINGS).book.corridor
    assert down is not None
    assert down < -0.4
    assert up is not None
    assert up < 0.4


def test_case_a_more_borrowed_into_the_short() -> None:
    equal = health.run(hedge(borrowed="13997.84"), SETTINGS).book.corridor
    assert equal == pytest.approx((-0.4378, 0.4378), abs=5e-5)
    best = health.run(hedge(borrowed="16415.60"), SETTINGS).book.uhf
    assert best == pytest.approx(1.5168, abs=5e-5)


def stacked(repaid: Number = 0, added: Number = 0) -> list[Account]:
    """Case B: a loan against ETH, and a long on ETH with what it lent; 9,000 lie idle."""
    return [
        loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 15_000 - float(repaid))),
        perp(margin(USDC, 6_000 + float(added)), position(ETH, 10, 3000)),
        loan(collateral(USDC, 9_000 - float(repaid) - float(added), weight=0, enabled=False), name="idle"),
    ]


def test_case_b_the_better_ratio_dies_first() -> None:
    figures = health.run(stacked(), SETTINGS)
    assert (of(figures, "loan").health, of(figures, "perp").health) == (1.66, 10.0)
    assert price(of(figures, "loan"), ETH, "down") == pytest.approx(1807.2289, abs=1e-4)
    assert price(of(figures, "perp"), ETH, "down") == pytest.approx(2448.9796, abs=1e-4)
    assert (figures.book.first_account, figures.book.first_side) == ("manual:perp", "down")
    assert of(figures, "idle").withdrawable_usd == 9_000


def test_case_b_the_best_use_of_idle_money() -> None:
    figures = health.run(stacked(repaid="1243.09", added="7756.91"), SETTINGS)
    for name in ("loan", "perp"):
        assert price(of(figures, name), ETH, "down") == pytest.approx(1657.46, abs=0.01)
        assert of(figures, name).down == pytest.approx(-0.4475, abs=5e-5)


def test_case_c_haircut_margin() -> None:
    exchange = perp(margin(BTC, "0.1", 100_000, "0.95"), margin(USDT, 10_000), position(ETH, 20, 3000, quote=USDT, maintenance="0.01"))
    figures = one(exchange)
    assert figures.surplus_usd == pytest.approx(18_900)
    assert figures.equity_usd == 20_000
    assert figures.weighted_collateral_usd == 19_500


def test_case_d_the_other_position_s_requirement_counts() -> None:
    exchange = perp(
        margin(USDC, 5),
        position(ETH, 1, 100, maintenance="0.004"),
        position(BTC, 1, 400, maintenance="0.01"),
    )
    figures = one(exchange)
    assert figures.requirement_usd == pytest.approx(4.4)
    assert price(figures, ETH, "down") == pytest.approx(99.40, abs=5e-3)


@pytest.mark.parametrize(("posted", "dies"), [(margin(USDC, 6_000), 2417.10), (margin(ETH, 2, 3000), 2514.25)])
def test_case_e_requirement_on_the_size_at_entry(posted: Leg, dies: float) -> None:
    gmx = perp(posted, position(ETH, 10, 3000, quote=USD, maintenance="0.005", fee="0.0007", basis=Basis.ENTRY))
    figures = one(gmx)
    assert figures.requirement_usd == pytest.approx(171)
    assert price(figures, ETH, "down") == pytest.approx(dies, abs=1e-9)


def test_case_f_a_short_loses_when_its_quote_loses_its_peg() -> None:
    short = in_floats(perp(margin(USDT, 5_000), position(ETH, -10, 3000, quote=USDT, maintenance=0)), {})
    surplus = Surplus.of(short, strict=True)
    depeg = alone(surplus.coordinates(), USDT, peg=False)
    loss_usd = surplus.at(depeg, 0.9) - 5_000 * 0.9
    assert loss_usd / 0.9 == pytest.approx(-3333.3333, abs=1e-4)
    assert crossings(surplus, depeg).down == pytest.approx(30_000 / 35_000)


def futures(pnl: Number, *, strict: bool = False) -> Account:
    """Case G: initial margins 200 and 300, maintenance 150 and 225, of notionals 10,000 and 15,000."""
    return perp(
        margin(USDT, 1_000),
        position(ETH, 4, 2500, quote=USDT, maintenance="0.015", initial="0.02", pnl=100),
        position(BTC, "0.15", 100_000, quote=USDT, maintenance="0.015", initial="0.02", pnl=pnl),
        strict=strict,
    )


@pytest.mark.parametrize(
    ("pnl", "equity", "ratio", "alive"),
    [(-400, 700, 1.8667, True), (-700, 400, 1.0667, True), (-725, 375, 1.0, False), (-726, 374, 0.9973, False)],
)
def test_case_g_a_futures_wallet(pnl: int, equity: float, ratio: float, alive: bool) -> None:
    figures = one(futures(pnl))
    assert figures.equity_usd == equity
    assert figures.requirement_usd == pytest.approx(375)
    assert figures.health == pytest.approx(ratio, abs=5e-5)
    assert figures.liquidatable is not alive


def test_case_g_on_its_line_a_strict_venue_lets_it_live() -> None:
    figures = one(futures(-725, strict=True))
    assert not figures.liquidatable
    assert figures.hf == 1.0
    assert figures.down == 0.0


def test_case_g_initial_margin_in_use() -> None:
    wallet = futures(-400)
    figures = one(wallet)
    assert figures.health == pytest.approx(1.8667, abs=5e-5)
    assert figures.initial_requirement_usd == pytest.approx(500)
    assert figures.free_margin_usd == pytest.approx(200)
    assert figures.mur == pytest.approx(0.7143, abs=5e-5)
    assert health.run([wallet], SETTINGS).book.mur == figures.mur
    assert figures.withdrawable_usd == pytest.approx(200)
