"""Flags: when each is raised, with what numbers, in what order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from defi_risk import flags, health
from defi_risk.flags import ALL, Flag, Limits, Severity
from defi_risk.health import HealthSettings
from defi_risk.ids import ChainId, Peg
from defi_risk.model import Account, Anchor, Chain, Leg, Price, SelfCheck, SourceReport
from defi_risk.units import Quantity
from tests.accounts import BTC, ETH, SETTINGS, USDC, USDT, Number, asset, collateral, debt, loan, margin, perp, position

MAINNET = Chain(ChainId(1), "ethereum")
NOW = 1_700_000_000
READ = SourceReport(id="ethereum", anchor=Anchor(MAINNET, 18_000_000, "0x" + "ab" * 32, NOW))


SHARES = ("COLLATERAL_MIX", "LEVERAGE_ZONE", "MUR_HIGH", "VENUE_CONCENTRATION")
"""Raised by nearly every book as small as those here."""


def raised(*accounts: Account, sources: tuple[SourceReport, ...] = (READ,), settings: HealthSettings = SETTINGS) -> tuple[Flag, ...]:
    found = flags.run(accounts, health.run(accounts, settings), sources, settings)
    return tuple(flag for flag in found if flag.code not in SHARES)


def lent(owed: Number, name: str = "loan") -> Account:
    """1 ETH at 1,000 with threshold 0.8."""
    return loan(collateral(ETH, 1, 1000, "0.8"), debt(USDC, owed), name=name)


def test_every_rule_is_listed_by_its_code_with_a_description() -> None:
    assert list(ALL) == sorted(ALL)
    for code, rule in ALL.items():
        assert rule.code == code == code.upper()
        assert rule.description.endswith(".")
        assert isinstance(rule.severity, Severity)


def test_the_codes_are_those_of_the_model() -> None:
    assert set(ALL) == {
        *("LIQUIDATABLE", "NEAR_LIQUIDATION", "MARGIN_LOW", "MUR_HIGH", "STRESS_BREACH", "COLLATERAL_MIX", "LEVERAGE_ZONE"),
        *("RISK_CONTRIBUTION", "UPNL_DRAIN", "COLLATERAL_HEDGE", "HEDGE_FRAGILE", "HEDGE_STRANDED", "BORROWED_MARGIN"),
        *("WRONG_WAY_COLLATERAL", "LIQUIDATION_CLUSTER", "CASCADE", "RESCUE_INFEASIBLE", "VENUE_BASIS", "STALE_PRICE", "DEPEG"),
        *("NEGATIVE_CARRY", "FUNDING_SPIKE", "PRICE_MOVE", "CORRELATION_SHIFT", "VOLATILITY_SHIFT", "VENUE_CONCENTRATION"),
        *("PREFER_ISOLATED", "PARAMETER_CHANGE", "SELF_CHECK_FAILED", "SOURCE_STALE", "SOURCE_FAILED", "ACCOUNT_UNKNOWN"),
        *("VIEW_LAGS", "VOLATILITY_MISSING", "KEY_TOO_STRONG", "ASSUMED_RULE", "BASIS_TRADE"),
    }


def test_severities() -> None:
    graver = {code: rule.severity for code, rule in ALL.items() if rule.severity is not Severity.WARNING}
    assert graver == {
        **dict.fromkeys(("LIQUIDATABLE", "SELF_CHECK_FAILED", "NEAR_LIQUIDATION", "MARGIN_LOW"), Severity.CRITICAL),
        **dict.fromkeys(("COLLATERAL_MIX", "COLLATERAL_HEDGE", "VOLATILITY_SHIFT", "PREFER_ISOLATED"), Severity.INFO),
        **dict.fromkeys(("VENUE_CONCENTRATION", "PARAMETER_CHANGE", "VIEW_LAGS", "VOLATILITY_MISSING"), Severity.INFO),
        **dict.fromkeys(("ASSUMED_RULE", "BASIS_TRADE"), Severity.INFO),
    }


def test_a_healthy_book_raises_nothing() -> None:
    mixed = collateral(USDC, 1200, weight="0.8"), collateral(ETH, "0.8", 1000, "0.8")
    book = loan(*mixed, debt(USDC, 400)), loan(collateral(USDC, 1600, weight="0.8"), name="other")
    assert flags.run(book, health.run(book, SETTINGS), (READ,), SETTINGS) == ()


class TestLiquidatable:
    def test_with_the_numbers(self) -> None:
        [flag] = raised(lent(1000))
        assert (flag.code, flag.severity, flag.accounts) == ("LIQUIDATABLE", Severity.CRITICAL, ("manual:loan",))
        assert flag.evidence["surplus_usd"] == -200
        assert flag.message.endswith("it lacks $200.00, for collateral counts for $800.00 against a requirement of $1,000")

    def test_says_what_stands_in_the_way(self) -> None:
        account = loan(collateral(ETH, 1, 1000, "0.8"), debt(USDC, 1000), blocked="the pool\nis paused")
        [flag] = raised(account)
        assert flag.message.endswith("refused at present: the pool is paused")


class TestNear:
    @pytest.mark.parametrize(
        ("owed", "severity", "threshold"), [(700, Severity.WARNING, 1.25), (750, Severity.CRITICAL, 1.10), (640, None, None)]
    )
    def test_by_the_market(self, owed: int, severity: Severity | None, threshold: float | None) -> None:
        found = raised(lent(owed))
        assert [(flag.code, flag.severity, flag.threshold) for flag in found] == (
            [] if severity is None else [("NEAR_LIQUIDATION", severity, threshold)]
        )
        if found:
            assert found[0].evidence["hf"] == pytest.approx(800 / owed)

    def test_by_one_factor_that_the_market_does_not_move(self) -> None:
        [flag] = raised(loan(collateral(USDC, 1000, 1, "0.8"), debt(USDT, 760)))
        assert flag.severity is Severity.CRITICAL
        assert flag.evidence["hf"] is None
        assert flag.evidence["nearest"] in (USDC, USDT)
        assert flag.evidence["ratio"] == pytest.approx(800 / 760)
        assert "alone" in flag.message

    def test_on_the_line_is_not_below_it(self) -> None:
        account = perp(margin(USDC, 700, "0.985"), position(ETH, "0.1", 60_000, entry=61_000, maintenance="0.01"))
        [flag] = [flag for flag in raised(account) if flag.code == "NEAR_LIQUIDATION"]
        assert flag.evidence["hf"] == pytest.approx(1.1, abs=1e-12)
        assert flag.severity is Severity.WARNING

    def test_a_price_says_what_it_is_the_price_of(self) -> None:
        [flag] = raised(loan(collateral(ETH, 10, 3600, "0.9", peg=Peg("stETH/ETH")), debt(USDC, 31_000)))
        assert "ETH alone by -4.3 %, stETH to 3,444.44, liquidates it" in flag.message
        [flag] = raised(lent(700))
        assert "ETH alone by -12.5 %, to 875.00, liquidates it" in flag.message

    def test_by_a_rise(self) -> None:
        [flag] = raised(perp(margin(USDC, 110), position(ETH, -1, 1000, maintenance="0.01")))
        assert flag.evidence["market_up"] == pytest.approx(1110 / 1010 - 1)

    def test_the_lines_are_settings(self) -> None:
        figures = health.run([lent(400)], SETTINGS)
        found = flags.run([lent(400)], figures, (), SETTINGS, limits=Limits(near_warning=3.0, near_critical=2.0))
        [flag] = [flag for flag in found if flag.code == "NEAR_LIQUIDATION"]
        assert (flag.severity, flag.threshold) == (Severity.WARNING, 3.0)
        assert "NEAR_LIQUIDATION" not in {flag.code for flag in flags.run([lent(400)], figures, (), SETTINGS)}

    @pytest.mark.parametrize(
        ("sigma", "days", "severity", "threshold"),
        [
            (2.99, 1, Severity.CRITICAL, 3),
            (3.0, 1, Severity.WARNING, 5),
            (4.99, 1, Severity.WARNING, 5),
            (5.0, 1, None, None),
            (1.5, 4, Severity.WARNING, 5),  # 1.5 over four days are 3 of one
            (2.5, 4, None, None),
        ],
    )
    def test_by_standard_deviations_of_a_day(self, sigma: float, days: float, severity: Severity | None, threshold: float | None) -> None:
        account, settings = lent(400), replace(SETTINGS, horizon_days=days)
        figures = health.run([account], settings)
        own = replace(figures.accounts[account.id], sigma=sigma)
        told = replace(figures, accounts={account.id: own})
        found = [flag for flag in flags.run([account], told, (), settings) if flag.code == "NEAR_LIQUIDATION"]
        assert [(flag.severity, flag.threshold) for flag in found] == ([] if severity is None else [(severity, threshold)])
        for flag in found:
            assert flag.evidence["sigmas_of_a_day"] == sigma * days**0.5
            assert "standard deviations of a day" in flag.message
            assert "price ratio" not in flag.message

    def test_names_both_lines_where_both_are_crossed(self) -> None:
        account = lent(750)
        figures = health.run([account], SETTINGS)
        told = replace(figures, accounts={account.id: replace(figures.accounts[account.id], sigma=2.0)})
        [flag] = [flag for flag in flags.run([account], told, (), SETTINGS) if flag.code == "NEAR_LIQUIDATION"]
        assert "price ratio of 1.0667" in flag.message
        assert "2.00 standard deviations" in flag.message
        assert flag.threshold == 1.10


class TestVolatilityMissing:
    def told(self, settings: HealthSettings, missing: tuple[str, ...]) -> list[Flag]:
        account = lent(400)
        figures = health.run([account], settings)
        own = replace(figures.accounts[account.id], sigma=None, sigma_missing=missing)
        found = flags.run([account], replace(figures, accounts={account.id: own}), (), settings)
        return [flag for flag in found if flag.code == "VOLATILITY_MISSING"]

    def test_names_the_factors(self) -> None:
        [flag] = self.told(replace(SETTINGS, volatility={BTC: 0.03}), ("ETH", "SOL"))
        assert (flag.severity, flag.accounts) == (Severity.INFO, ("manual:loan",))
        assert "ETH, SOL" in flag.message

    def test_is_silent_where_nothing_is_missing_or_nothing_was_given_at_all(self) -> None:
        assert self.told(replace(SETTINGS, volatility={ETH: 0.04}), ()) == []
        assert self.told(SETTINGS, ("ETH",)) == []


class TestViewLags:
    @pytest.mark.parametrize(
        ("native", "verdict", "lags"),
        [
            ({"isLiquidatable": False}, True, True),
            ({"isLiquidatable": True}, True, False),
            ({"liquidity": 0, "shortfall": 0}, True, True),
            ({"liquidity": 0, "shortfall": 1}, True, False),
            ({"healthFactor": 10**18}, False, False),
            ({"healthFactor": 10**18 - 1}, False, True),
            ({"healthFactor": 10**18 - 1}, None, False),
            ({"something": 1}, True, False),
        ],
    )
    def test_a_verdict_on_older_state(self, native: dict[str, int | bool], verdict: bool | None, lags: bool) -> None:
        account = loan(collateral(ETH, 1, 1000, "0.8"), debt(USDC, 790), native=native, liquidatable=verdict)
        found = [flag for flag in raised(account) if flag.code == "VIEW_LAGS"]
        assert [flag.severity for flag in found] == ([Severity.INFO] if lags else [])


class TestSelfCheck:
    def test_names_what_differs(self) -> None:
        check = SelfCheck.compare({"healthFactor": 2, "ltv": 8000, "borrowed": True}, {"healthFactor": 3, "ltv": 8000, "borrowed": False})
        account = loan(collateral(ETH, 1, 9), native={"healthFactor": 2, "ltv": 8000, "borrowed": True}, self_check=check)
        [flag] = raised(account)
        assert (flag.code, flag.severity) == ("SELF_CHECK_FAILED", Severity.CRITICAL)
        assert flag.evidence == {
            "healthFactor computed": "2",
            "healthFactor protocol": "3",
            "borrowed computed": "true",
            "borrowed protocol": "false",
        }
        assert "borrowed, healthFactor" in flag.message

    def test_a_match_is_silent(self) -> None:
        same = SelfCheck.compare({"healthFactor": 2}, {"healthFactor": 2})
        assert raised(loan(collateral(ETH, 1, 9), native={"healthFactor": 2}, self_check=same)) == ()

    def test_an_unknown_account_may_fail_it_too(self) -> None:
        check = SelfCheck.compare({}, {"healthFactor": 3})
        found = raised(loan(self_check=check, status="unknown", reason="no price"))
        assert [flag.code for flag in found] == ["SELF_CHECK_FAILED", "ACCOUNT_UNKNOWN"]


def priced(age: int | None, heartbeat: int | None, name: str = "a", chain: str | None = "ethereum") -> Account:
    """A wallet whose only token was priced so many seconds before the block."""
    price = Price(Quantity(3000, 0), source="0xfeed", updated_at=None if age is None else NOW - age, heartbeat=heartbeat)
    token = collateral(ETH, 1, 3000)
    return loan(Leg(role=token.role, asset=asset(ETH), factor=ETH, amount=token.amount, price=price), name=name, chain=chain)


class TestStalePrice:
    def test_older_than_its_heartbeat_at_the_block(self) -> None:
        [flag] = raised(priced(3601, 3600))
        assert (flag.code, flag.severity, flag.threshold) == ("STALE_PRICE", Severity.WARNING, 3600)
        assert flag.evidence["age_seconds"] == 3601
        assert flag.evidence["oracle"] == "0xfeed"

    @pytest.mark.parametrize("account", [priced(3600, 3600), priced(None, 3600), priced(10**6, None), priced(9999, 1, chain=None)])
    def test_in_time_or_unknown(self, account: Account) -> None:
        assert raised(account) == ()

    def test_without_a_block_time_there_is_no_age(self) -> None:
        assert raised(priced(9999, 1), sources=()) == ()

    def test_one_flag_an_oracle(self) -> None:
        [flag] = raised(priced(9999, 3600, "b"), priced(9999, 3600, "a"))
        assert flag.accounts == ("manual:a", "manual:b")


class TestSources:
    def test_failed_and_stale(self) -> None:
        failed = SourceReport(id="base", status="failed", error="no answer\x1b[31m in time")
        stale = SourceReport(id="ethereum", status="stale")
        found = raised(lent(400), sources=(stale, failed))
        assert [(flag.code, flag.severity, flag.accounts) for flag in found] == [
            ("SOURCE_FAILED", Severity.WARNING, ()),
            ("SOURCE_STALE", Severity.WARNING, ()),
        ]
        assert "\x1b" not in found[0].message
        assert "no answer" in found[0].message

    def test_unknown_accounts_say_why(self) -> None:
        [flag] = raised(loan(name="x", status="unknown", reason="CallReverted: paused"))
        assert (flag.code, flag.severity, flag.accounts) == ("ACCOUNT_UNKNOWN", Severity.WARNING, ("manual:x",))
        assert flag.evidence["reason"] == "CallReverted: paused"


def test_gravest_first_then_by_code_and_account() -> None:
    accounts = (lent(700, "w"), lent(1000, "b"), lent(1000, "a"), loan(name="u", status="unknown"), lent(780, "c"))
    expected = [
        ("LIQUIDATABLE", "manual:a"),
        ("LIQUIDATABLE", "manual:b"),
        ("NEAR_LIQUIDATION", "manual:c"),
        ("ACCOUNT_UNKNOWN", "manual:u"),
        ("NEAR_LIQUIDATION", "manual:w"),
    ]
    assert [(flag.code, flag.accounts[0]) for flag in raised(*accounts)] == expected
    assert raised(*reversed(accounts)) == raised(*accounts)


def test_a_sequencer_that_is_down_makes_the_prices_of_its_chain_stale() -> None:
    told = replace(READ, sequencer="the sequencer has been down for 700 s")
    [flag] = [flag for flag in raised(lent(500), sources=(told,)) if flag.code == "STALE_PRICE"]
    assert flag.severity is Severity.WARNING
    assert "down for 700 s" in flag.message
    assert not [flag for flag in raised(lent(500)) if flag.code == "STALE_PRICE"]
