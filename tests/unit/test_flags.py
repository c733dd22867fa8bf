"""Flags: when each is raised, with what numbers, in what order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from defi_risk import flags, health
from defi_risk.flags import ALL, Flag, Severity
from defi_risk.health import HealthSettings
from defi_risk.ids import ChainId
from defi_risk.model import Account, Anchor, Chain, Leg, Price, SelfCheck, SourceReport
from defi_risk.units import Quantity
from tests.accounts import ETH, SETTINGS, USDC, USDT, Number, asset, collateral, debt, loan, margin, perp, position

MAINNET = Chain(ChainId(1), "ethereum")
NOW = 1_700_000_000
READ = SourceReport(id="ethereum", anchor=Anchor(MAINNET, 18_000_000, "0x" + "ab" * 32, NOW))


def raised(*accounts: Account, sources: tuple[SourceReport, ...] = (READ,), settings: HealthSettings = SETTINGS) -> tuple[Flag, ...]:
    return flags.run(accounts, health.run(accounts, settings), sources, settings)


def lent(owed: Number, name: str = "loan") -> Account:
    """1 ETH at 1,000 with threshold 0.8."""
    return loan(collateral(ETH, 1, 1000, "0.8"), debt(USDC, owed), name=name)


def test_every_rule_is_listed_by_its_code_with_a_description() -> None:
    assert list(ALL) == sorted(ALL)
    for code, rule in ALL.items():
        assert rule.code == code == code.upper()
        assert rule.description.endswith(".")
        assert isinstance(rule.severity, Severity)


def test_a_healthy_book_raises_nothing() -> None:
    assert raised(lent(400)) == ()


class TestLiquidatable:
    def test_with_the_numbers(self) -> None:
        [flag] = raised(lent(1000))
        assert (flag.code, flag.severity, flag.accounts) == ("LIQUIDATABLE", Severity.CRITICAL, ("manual:loan",))
        assert flag.evidence["surplus_usd"] == -200
        assert "800.00 USD" in flag.message
        assert "1,000.00 USD" in flag.message

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

    def test_by_a_rise(self) -> None:
        [flag] = raised(perp(margin(USDC, 100), position(ETH, -1, 1000, maintenance="0.01")))
        assert flag.evidence["market_up"] == pytest.approx(1100 / 1010 - 1)

    def test_the_lines_are_settings(self) -> None:
        wide = HealthSettings(stables=SETTINGS.stables, near_warning=3.0, near_critical=2.0)
        [flag] = raised(lent(400), settings=wide)
        assert (flag.severity, flag.threshold) == (Severity.WARNING, 3.0)


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
