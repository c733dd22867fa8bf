"""Basis trades: a dated future at an exchange against the coin itself, wherever in the book that is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from defi_risk.ids import Factor
from defi_risk.model import Account, Contract, Leg, SourceReport
from tests.cli.desks import aave, held, loan
from tests.exchanges.mixed import (
    DAY,
    NAME,
    PERP,
    TIME,
    Number,
    at_exchange,
    coin,
    flags,
    judged,
    open_position,
    perp,
    short,
)


def future(size: Number, mark: Number, *, days: float = 73, index: Number | None = 3000, margin: Leg | None = None, **more: Any) -> Account:
    """A dated future of so many days on stable margin, unless told."""
    told = None if index is None else Decimal(index)
    position = open_position(size, mark, expires=int(TIME + days * DAY), index=told, **more)
    return at_exchange(margin or coin("USDC", 12_000), perp("ETHUSDC_270101", "ETH", position))


def owed(code: str, amount: Number, price: Number = 1) -> str:
    """A debt of the loan before it in the book."""
    return f'[[manual.debt]]\nfactor = "{code}"\namount = "{amount}"\nprice = "{price}"\n'


class TestBasisTrade:
    def test_a_short_future_against_collateral(self) -> None:
        """3,060 over 3,000 in 73 days is 10 % a year. On 12,000 stable: dies where 12,000 - 30,600 (m - 1) = 612 m."""
        [flag] = flags(judged(aave(12_000), future(-10, 3_060)), "BASIS_TRADE")
        assert (flag.severity, set(flag.accounts)) == ("info", {PERP, "manual:aave"})
        assert flag.evidence["basis"] == pytest.approx(0.02)
        assert flag.evidence["basis_per_year"] == pytest.approx(0.10)
        assert (flag.evidence["days"], flag.evidence["index_source"], flag.evidence["margin"]) == (73, "venue", "stable")
        assert flag.evidence["hedged_usd"] == pytest.approx(30_600)
        ratio = 42_600 / (30_600 * 1.02)
        assert flag.evidence["liquidation_move"] == pytest.approx(ratio - 1)
        assert flag.evidence["liquidation_price"] == pytest.approx(3_060 * ratio)
        # with 4 ETH as margin of an inverse short, in coins: 4 + 30,600 / (3,060 m) - 10 = 0.02 * 30,600 / (3,060 m)
        assert flag.evidence["other_margin"] == "coin"
        assert flag.evidence["other_liquidation_move"] == pytest.approx(10 * 0.98 / 6 - 1)
        assert "10.0 % a year for 73.0 days" in flag.message

    def test_coin_margin_carries_its_own_hedge(self) -> None:
        """10 ETH under an inverse short of as many dollars: no price liquidates it, but the same dollars in stables would die upward."""
        account = future(-30_000, 3_000, margin=coin("ETH", 10, 3_000), quote=Factor("USD"), contract=Contract.INVERSE)
        found = judged("", account)
        [flag] = flags(found, "BASIS_TRADE")
        assert flag.accounts == (PERP,)
        assert (flag.evidence["margin"], flag.evidence["liquidation_price"], flag.evidence["liquidation_now"]) == ("coin", None, False)
        assert "no price liquidates its account" in flag.message
        assert flag.evidence["other_margin"] == "stable"
        assert flag.evidence["other_liquidation_price"] == pytest.approx(60_000 / (10 * 1.02))

    def test_a_long_future_against_a_debt(self) -> None:
        owing = loan("loan", held("USDC", 60_000, weight="0.8"), owed("ETH", 5, 3_000))
        [flag] = flags(judged(owing, future(10, 2_970)), "BASIS_TRADE")
        assert flag.evidence["basis_per_year"] == pytest.approx(-0.05)
        assert flag.evidence["hedged_usd"] == pytest.approx(14_850)
        assert "owes" in flag.message

    def test_the_book_s_price_where_the_venue_tells_none(self) -> None:
        [flag] = flags(judged(aave(12_000), future(-10, 3_060, index=None)), "BASIS_TRADE")
        assert flag.evidence["index_source"] == "book"
        assert flag.evidence["basis_per_year"] == pytest.approx(0.10)

    def test_what_is_not_known_is_said(self) -> None:
        staked = loan(
            "loan", held("ETH", 10, 3_300, peg="wstETH/ETH", weight="0.8"), '[[manual.debt]]\nfactor = "USDC"\namount = "1"\nprice = "1"\n'
        )
        [flag] = flags(judged(staked, future(-10, 3_060, index=None)), "BASIS_TRADE")
        assert (flag.evidence["basis_per_year"], flag.evidence["index"]) == (None, None)
        assert "no basis to tell, for neither its venue nor the book says what the coin itself costs" in flag.message
        [flag] = flags(judged(aave(12_000), future(-10, 3_060, days=-1)), "BASIS_TRADE")
        assert (flag.evidence["basis_per_year"], flag.evidence["no_basis"]) == (None, "it has expired")
        timeless = judged(aave(12_000), future(-10, 3_060), reports=[SourceReport(id=NAME, kind="exchange")])
        assert flags(timeless, "BASIS_TRADE")[0].evidence["no_basis"] == "the time of the reading is not known"

    def test_what_is_no_basis_trade(self) -> None:
        assert flags(judged(aave(12_000), short()), "BASIS_TRADE") == []  # a perpetual
        assert flags(judged(aave(12_000), future(10, 3_060)), "BASIS_TRADE") == []  # both long
        assert flags(judged(loan("idle", held("USDC", 5)), future(-10, 3_060)), "BASIS_TRADE") == []

    def test_a_dead_account_is_not_called_safe(self) -> None:
        [flag] = flags(judged(aave(12_000), future(-10, 3_060, margin=coin("USDC", 600))), "BASIS_TRADE")
        assert (flag.evidence["liquidation_now"], flag.evidence["liquidation_price"]) == (True, None)
        assert "its account can be liquidated now" in flag.message
