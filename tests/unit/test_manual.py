"""Accounts written down by hand are accounts like any other, with the defaults that the interface promises."""

from __future__ import annotations

from decimal import Decimal

import pytest

from defi_risk import health, manual
from defi_risk.book import parse
from defi_risk.health.figures import Figures
from defi_risk.ids import AccountId
from defi_risk.model import Account, Role, Side
from defi_risk.pricing import PriceBook, resolve
from tests.accounts import SETTINGS
from tests.cli.books import SAFE


def read(text: str) -> list[Account]:
    return manual.accounts(parse(text).manual)


def judged(text: str) -> Figures:
    accounts = read(text)
    prices = PriceBook((), accounts)
    return health.run(resolve(accounts, prices), SETTINGS, quotes=prices.as_floats())


def perp(position: str, margin: str = 'factor="USDC"\namount=1000\nprice=1', head: str = "") -> str:
    return f'[[manual]]\nname="p"\nside="derivatives"\n{head}\n[[manual.collateral]]\n{margin}\n[[manual.position]]\n{position}'


def test_a_loan() -> None:
    loan, _ = read(SAFE)
    held, owed = loan.legs
    assert (loan.id, loan.side, loan.venue, loan.market, loan.chain) == ("manual:loan", Side.LENDING, "loan", "manual", None)
    assert (loan.strict, loan.liquidatable, loan.status, loan.exact) == (True, None, "ok", None)
    assert (held.role, str(held.amount), held.weight, held.initial_weight, held.asset.id) == (
        Role.COLLATERAL, "10", Decimal("0.83"), Decimal("0.83"), "factor:ETH",
    )  # fmt: skip
    assert (owed.role, str(owed.amount)) == (Role.DEBT, "12000")
    assert (loan.rule.kind, loan.rule.close_factor) == ("repay", Decimal(1))


def test_the_documented_case() -> None:
    found = judged(SAFE)
    assert found.accounts[AccountId("manual:loan")].health == pytest.approx(2.075)
    assert found.accounts[AccountId("manual:short")].hf == pytest.approx(1.372549, abs=1e-6)
    assert found.book.uhf == pytest.approx(1.372549, abs=1e-6)
    assert found.book.netted_uhf == pytest.approx(5.263, abs=1e-3)


def test_what_is_not_said_has_the_documented_default() -> None:
    [account] = read(perp('factor="ETH"\nquote="USDC"\nsize=-2\nentry=3000\nmark=3100\nmaintenance="0.02"'))
    margin, leg = account.legs
    position = leg.position
    assert position is not None
    assert (margin.role, margin.weight, margin.bonus, margin.apr) == (Role.MARGIN, Decimal(1), Decimal(0), None)
    assert (position.initial_rate, position.close_fee, position.funding_8h) == (Decimal("0.02"), Decimal(0), None)
    assert (position.unrealized_pnl, position.quote_peg) == (None, None)
    assert (leg.price, str(leg.amount), account.rule.kind, account.rule.remainder) == (None, "2", "close", "refunded")


def test_the_initial_rate_of_tiers_is_that_of_the_present_bracket() -> None:
    tiers = "tiers=[[0,0.01,0],[5000,0.02,50],[50000,0.05,1550]]"
    for size, mark, rate in ((1, 3000, "0.01"), (2, 3000, "0.02"), (-20, 3000, "0.05")):
        [account] = read(perp(f'factor="ETH"\nquote="USDC"\nsize={size}\nentry=3000\nmark={mark}\n{tiers}'))
        position = account.legs[1].position
        assert position is not None
        assert position.initial_rate == Decimal(rate)


def test_dead_on_the_line_or_only_below_it() -> None:
    # 1,000 of margin against 1,000 of maintenance: exactly on the line
    exact = 'factor="ETH"\nquote="USDC"\nsize=1\nentry=2000\nmark=2000\nmaintenance="0.5"'
    assert not judged(perp(exact)).accounts[AccountId("manual:p")].liquidatable
    assert judged(perp(exact, head='liquidation="<="')).accounts[AccountId("manual:p")].liquidatable


def test_the_quote_coin_is_worth_what_the_margin_says_else_the_book_else_one() -> None:
    position = 'factor="ETH"\nquote="USDT"\nsize=1\nentry=1000\nmark=1100\nmaintenance="0.01"'
    depegged = judged(perp(position, 'factor="USDT"\namount=1000\nprice="0.9"'))
    assert depegged.accounts[AccountId("manual:p")].equity_usd == pytest.approx(0.9 * 1100)
    elsewhere = '[[manual]]\nname="x"\nside="lending"\n[[manual.collateral]]\nfactor="USDT"\namount=1\nprice="0.8"\n'
    by_book = judged(elsewhere + perp(position))
    assert by_book.accounts[AccountId("manual:p")].equity_usd == pytest.approx(1000 + 0.8 * 100)
    assert judged(perp(position)).accounts[AccountId("manual:p")].equity_usd == pytest.approx(1100)


def test_an_inverse_contract_is_sized_in_usd_and_settles_in_the_coin() -> None:
    text = perp(
        'factor="BTC"\ncontract="inverse"\nsize=30000\nentry=50000\nmark=60000\nmaintenance="0.01"', 'factor="BTC"\namount=1\nprice=60000'
    )
    figures = judged(text).accounts[AccountId("manual:p")]
    assert figures.equity_usd == pytest.approx(60_000 + (30_000 / 50_000 - 30_000 / 60_000) * 60_000)
    assert figures.requirement_usd == pytest.approx(300)


def test_unrealised_profit_can_be_given() -> None:
    given = perp('factor="ETH"\nquote="USDC"\nsize=1\nentry=1000\nmark=1100\nmaintenance="0.01"\nunrealized_pnl="-5"')
    assert judged(given).accounts[AccountId("manual:p")].equity_usd == pytest.approx(995)


def test_a_price_left_out_comes_from_the_rest_of_the_book_or_makes_the_account_unknown() -> None:
    text = SAFE + '[[manual]]\nname="c"\nside="lending"\n[[manual.collateral]]\nfactor="{}"\namount=2\n'
    assert judged(text.format("ETH")).accounts[AccountId("manual:c")].equity_usd == pytest.approx(6000)
    accounts = read(text.format("XYZ"))
    [odd] = [account for account in resolve(accounts, PriceBook((), accounts)) if account.id == "manual:c"]
    assert (odd.status, "XYZ" in odd.reason) == ("unknown", True)


def test_a_debt_in_a_derivatives_account_is_taken_off_its_collateral() -> None:
    text = '[[manual]]\nname="p"\nside="derivatives"\n[[manual.collateral]]\nfactor="USDC"\namount=1000\nprice=1\nweight="0.9"\n'
    text += '[[manual.debt]]\nfactor="USDC"\namount=300\nprice=1\n'
    figures = judged(text).accounts[AccountId("manual:p")]
    assert figures.weighted_collateral_usd == pytest.approx(600)
    assert figures.equity_usd == pytest.approx(700)
    assert figures.health is None


def test_a_pegged_holding_names_its_own_token() -> None:
    [account] = read('[[manual]]\nname="a"\nside="lending"\n[[manual.collateral]]\nfactor="ETH"\npeg="stETH/ETH"\namount="1.5"\nprice=1')
    leg = account.legs[0]
    assert (leg.asset.symbol, leg.asset.id, leg.peg, leg.amount.decimals) == ("stETH", "peg:stETH/ETH", "stETH/ETH", 1)
