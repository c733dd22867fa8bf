"""The table for people: the answer first, every account once, flags with a remedy, at any width."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from defi_risk import flags
from defi_risk.export.remedies import REMEDIES
from defi_risk.export.table import MOST_ACCOUNTS, MOST_ALIKE, MOST_FLAGS, MOST_UNKNOWN, as_text
from defi_risk.ids import AccountId, short
from tests.accounts import ETH, USDC, collateral, debt, loan, margin, perp, position
from tests.pictures import BROKEN, READ, WALLET, hedge, picture, unknown

HEDGE = """\
unified health  1.37   first to go: Hyperliquid · main, if the market RISES 37.3 % (ETH at $4,117.65)
corridor        -51.8 % … +37.3 %   the market moves that liquidate nothing
nearest factor  ETH +37.3 %   alone: Hyperliquid · main
netted          5.26   upper bound, not a safety number
stranded        $22,176   surplus that cannot help the account that goes first
net equity      $30,000   true leverage 2.00
book            desk: 2 margin accounts at 2 venues, ethereum at block 21,400,000 (2024-12-14 07:59:59 UTC)

  account              equity  health  surplus  falls to  rises to  at price
  Hyperliquid · main  $12,000    20.0  $11,400         -   +37.3 %  ETH 4,117.65  ← first
  Aave V3 · main      $18,000    2.08  $12,900   -51.8 %         -  ETH 1,445.78
"""
NEXT = "next: --format json for every figure, --fail-on critical to be told by exit code\n"


def test_the_whole_table_of_the_hedged_loan() -> None:
    answer, accounts, flagged, next_ = as_text(picture(hedge()), 110).split("\n\n")
    assert f"{answer}\n\n{accounts}\n" == HEDGE
    assert re.findall(r"^  (. \w+) +([A-Z_]+)  ", flagged, re.MULTILINE)[:3] == [
        ("▲ warning", "BORROWED_MARGIN"),
        ("▲ warning", "HEDGE_FRAGILE"),
        ("▲ warning", "HEDGE_STRANDED"),
    ]
    assert next_ == NEXT


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = as_text(picture([*hedge(), unknown()], [READ, BROKEN]), width)
    assert text.startswith("unified health")
    assert max(len(line) for line in text.splitlines()) <= max(width, 30)
    assert "%" in text


@pytest.mark.parametrize("width", [80, 100, 120])
def test_figures_are_never_cut_at_usual_widths(width: int) -> None:
    text = as_text(picture(hedge()), width)
    for part in ("1.37", "37.3 %", "-51.8 %", "← first", "5.26", "4,117.65", "$30,000"):
        assert part in text
    assert "…" not in text.replace("-51.8 % … +37.3 %", "").replace(short(WALLET), "")


def test_a_partial_picture_says_so_everywhere() -> None:
    text = as_text(picture([*hedge(), unknown()], [READ, BROKEN]), 200)
    assert text.startswith("unified health  at most 1.37")
    assert "arbitrum FAILED (http://127.0.0.1:1 refused the connection)" in text
    assert "? unknown  Compound V2 · main   execution reverted: nothing here" in text
    assert "next: defi-risk doctor" in text


def test_flags_come_with_sign_word_and_remedy_gravest_first() -> None:
    near = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2100), name="near")
    dead = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2600), name="dead")
    text = as_text(picture([near, dead]), 120)
    assert text.index("✖ critical  LIQUIDATABLE") < text.index("▲ warning   NEAR_LIQUIDATION")
    assert f"→ {REMEDIES['LIQUIDATABLE']}" in text
    assert "LIQUIDATABLE\n" in text  # the row of the account says so too


def test_long_books_are_cut_with_a_word_about_the_rest() -> None:
    near = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2100))
    many = [replace(near, id=AccountId(f"manual:{number}"), market=f"m{number}") for number in range(MOST_ACCOUNTS + 7)]
    lost = [replace(unknown(), id=AccountId(f"manual:lost{number}")) for number in range(MOST_UNKNOWN + 3)]
    text = as_text(picture([*many, *lost]), 100)
    assert "and 7 more accounts: --format csv has them all" in text
    assert "and 3 more accounts" in text
    flagged = picture([*many, *lost]).flags
    assert text.count("  NEAR_LIQUIDATION  ") == text.count("  STRESS_BREACH  ") == MOST_ALIKE
    assert f"and {len(many) - MOST_ALIKE} more NEAR_LIQUIDATION" in text
    told = sum(text.count(f"  {code}  ") for code in flags.ALL)
    counted = sum(int(number) for number in re.findall(r"and (\d+) more (?:[A-Z_]{5,}|flags)", text))
    assert told <= MOST_FLAGS
    assert told + counted == len(flagged)
    assert len(text.splitlines()) < 150


def test_one_cause_does_not_hide_the_others() -> None:
    dead = loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2600), venue="dead")
    side = perp(margin(USDC, 500), position(ETH, "0.1", 3000), venue="side")
    text = as_text(picture([dead, side]), 120)
    assert text.count("STRESS_BREACH  stress") == MOST_ALIKE
    assert text.count(REMEDIES["STRESS_BREACH"]) == 1
    assert "WRONG_WAY_COLLATERAL" in text
    assert "COLLATERAL_MIX" in text


def test_a_book_without_accounts() -> None:
    text = as_text(picture([]), 80)
    assert text.startswith("unified health  ∞   no margin accounts found")
    assert "0 margin accounts at 0 venues" in text


def test_every_flag_has_a_remedy() -> None:
    assert set(flags.ALL) <= set(REMEDIES)
    assert all(0 < len(remedy) < 120 for remedy in REMEDIES.values())
