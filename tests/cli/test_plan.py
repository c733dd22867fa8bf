"""`plan` at the command line: both sides and budgets, both forms, files, exit codes, and one line for everything that cannot be asked."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.books import DEAD, DEAF, PARTIAL, SAFE, UNPRICED, written
from tests.cli.desks import hedge, held, loan, owed, perp, position, stacked
from tests.cli.runner import Ended, run

Plan = dict[str, Any]
KEYS = {"target", "feasible", "outside_capital_usd", "moved_usd", "actions", "before", "after", "limits_hit", "reached"}
ACTION = {"kind", "account", "to", "token", "symbol", "factor", "amount", "value_usd", "latency_seconds", "text"}
WIDE = {"COLUMNS": "160"}


def asked(folder: Path, book: str, *options: str) -> Ended:
    """`plan` for a book, or for tables without a `[book]`."""
    text = book if "[book]" in book else '[book]\nname = "case"\n' + book
    return run("plan", "--book", written(folder, text), *options, env=dict(WIDE))


def planned(folder: Path, book: str, *options: str, code: int = 0) -> Plan:
    """The plan as JSON."""
    ended = asked(folder, book, "--format", "json", *options)
    assert ended.code == code, ended.err
    plan: Plan = json.loads(ended.out)
    assert plan.keys() == KEYS
    assert all(action.keys() == ACTION and float(action["amount"]) > 0 for action in plan["actions"])
    return plan


def test_the_demo_in_the_venues_words() -> None:
    ended = run("plan", "demo", "--survive", "+40%", env=dict(WIDE))
    assert (ended.code, ended.err) == (0, "")
    first, corridor, cost, *_ = ended.out.splitlines()
    assert first == "unified health  1.27 → 1.40   survives +40.0 %"
    assert corridor == "corridor        -51.8 % … +27.3 % → -51.8 % … +40.0 %"
    assert cost == "cost            $0.00 from outside, $4,829 moved"
    assert "  1.  withdraw 4,828.90 USDC from Wallet                     $4,829  30.0 minutes" in ended.out
    assert "  2.  deposit 1,380.48 USDC as margin at Binance usdm/USDC   $1,380  30.0 minutes" in ended.out
    assert "  3.  deposit 2,608.42 USDC as margin at GMX V2 double       $2,608    60 seconds" in ended.out
    assert "  4.  deposit 840 USDC as margin at Hyperliquid             $840.00    60 seconds" in ended.out
    assert ended.out.splitlines()[-1] == "next: act yourself at the venues; nothing here can move money"


def test_the_demo_as_json() -> None:
    ended = run("plan", "demo", "--survive", "+40%", "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    plan: Plan = json.loads(ended.out)
    assert plan.keys() == KEYS
    assert (plan["target"], plan["feasible"], plan["reached"]) == (0.4, True, [0.0, 0.4])
    assert [action["kind"] for action in plan["actions"]] == ["withdraw", "deposit", "deposit", "deposit"]
    withdraw, *deposits = plan["actions"]
    assert isinstance(withdraw["amount"], str)
    assert Decimal(withdraw["amount"]) == sum(Decimal(deposit["amount"]) for deposit in deposits)
    assert [deposit["account"].split("/")[1].partition(":")[0] for deposit in deposits] == ["usdm", "gmx_v2", "hyperliquid"]
    assert (plan["before"]["bound"], plan["after"]["bound"]) == ("exact", "exact")
    assert plan["after"]["corridor"][1] == pytest.approx(0.4, abs=1e-6)
    assert plan["limits_hit"] == []


def test_a_book_that_survives_as_it_is(tmp_path: Path) -> None:
    ended = asked(tmp_path, SAFE, "--survive", "-30%")
    assert "survives -30.0 % as it is" in ended.out
    assert "nothing to do" in ended.out
    plan = planned(tmp_path, SAFE, "--survive", "-30%")
    assert (plan["feasible"], plan["actions"], plan["before"]) == (True, [], plan["after"])


def test_both_sides_are_a_list(tmp_path: Path) -> None:
    plan = planned(tmp_path, hedge(), "--survive", "-30%", "--survive", "+60%")
    assert (plan["target"], plan["reached"], plan["feasible"]) == ([-0.3, 0.6], [-0.3, 0.6], True)
    assert plan["after"]["corridor"] == [pytest.approx(-0.3, abs=1e-6), pytest.approx(0.6, abs=1e-6)]
    assert "survives -30.0 % and +60.0 %" in asked(tmp_path, hedge(), "--survive", "-30%", "--survive", "+60%").out


def test_a_budget_alone_names_the_ends_that_it_reaches(tmp_path: Path) -> None:
    plan = planned(tmp_path, stacked(), "--budget", "0")
    assert plan["target"] == plan["reached"] == [pytest.approx(-0.4475, abs=5e-5), pytest.approx(1 / (1 - 0.4475) - 1, abs=5e-4)]
    more = planned(tmp_path, stacked(), "--budget", "$1,000")
    assert more["outside_capital_usd"] == pytest.approx(1_000, abs=0.01)
    assert more["after"]["uhf"] > plan["after"]["uhf"]
    assert "budget of 1,000.00 USD used up" in more["limits_hit"]


def test_what_cannot_be_survived_says_how_much_can(tmp_path: Path) -> None:
    book = loan("loan", held("ETH", 10, 3000, weight="0.83"), owed("USDC", 20_000))
    plan = planned(tmp_path, book, "--survive", "-50%", "--budget", "5000")
    assert plan["feasible"] is False
    assert plan["reached"][0] == pytest.approx(15_000 / 24_900 - 1, abs=1e-6)
    assert plan["after"]["corridor"][0] == pytest.approx(plan["reached"][0], abs=1e-6)
    assert "-50.0 % CANNOT be survived, -39.8 % … +0.00 % can" in asked(tmp_path, book, "--survive", "-50%", "--budget", "5000").out
    none = planned(
        tmp_path, DEAD.replace('"12000"\nprice = "1"\n[[manual.position]]', '"600"\nprice = "1"\n[[manual.position]]'), "--budget", "0"
    )
    assert (none["feasible"], none["actions"], none["target"], none["reached"]) == (False, [], [], None)


def test_a_plan_for_one_side_says_what_it_costs_the_other(tmp_path: Path) -> None:
    plan = planned(tmp_path, hedge(), "--survive", "-60%")
    assert plan["after"]["uhf"] < plan["before"]["uhf"]
    [note] = plan["limits_hit"]
    assert note == ("OTHER_SIDE: a market move of +30.6% then liquidates perp, before it took +37.3%: ask for both sides to keep it")
    assert planned(tmp_path, hedge(), "--survive", "+43.78%")["limits_hit"] == []  # the other side gives, but is not the nearer one


def test_what_is_liquidatable_now_is_cured_if_there_is_time(tmp_path: Path) -> None:
    plan = planned(tmp_path, DEAD, "--survive", "-10%")
    assert (plan["feasible"], plan["before"]["corridor"]) == (True, [0.0, 0.0])
    assert "TOO_SLOW: money for loan arrives after 60 min, it is liquidatable now" in plan["limits_hit"]
    assert "\n  TOO_SLOW: money" in asked(tmp_path, DEAD, "--survive", "-10%").out


def test_negative_equity_needs_money_from_outside(tmp_path: Path) -> None:
    book = perp("under", held("USDC", -500), position("ETH", 1, 3000))
    plan = planned(tmp_path, book, "--survive", "-10%")
    assert plan["before"]["net_equity_usd"] == -500
    assert plan["outside_capital_usd"] == pytest.approx(500, abs=0.01)
    assert [action["account"] for action in plan["actions"] if action["kind"] == "add"] == [None]
    assert planned(tmp_path, book, "--survive", "-10%", "--budget", "0")["feasible"] is False


@pytest.mark.parametrize("book", [loan("zero", held("ETH", 0, 3000), owed("USDC", 0)), loan("idle", held("USDC", 9_000))])
def test_nothing_owed_is_nothing_to_do(tmp_path: Path, book: str) -> None:
    for options in (("--survive", "-99%"), ("--budget", "0"), ("--budget", "100")):
        plan = planned(tmp_path, book, *options)
        assert (plan["feasible"], plan["actions"], plan["after"]["uhf"]) == (True, [], None)


def test_a_debt_without_collateral_is_paid_back(tmp_path: Path) -> None:
    plan = planned(tmp_path, loan("bare", owed("USDC", 100)), "--survive", "-10%")
    assert [(action["kind"], action["amount"]) for action in plan["actions"]] == [("add", "100"), ("repay", "100")]


def test_huge_and_tiny_amounts_are_neither_lost_nor_infinite(tmp_path: Path) -> None:
    huge = planned(tmp_path, loan("huge", held("ETH", "1e26", 3000, weight="0.8"), owed("USDC", "2.2e29")), "--survive", "-30%")
    assert huge["outside_capital_usd"] == pytest.approx(5.2e28, rel=1e-6)
    tiny = planned(tmp_path, loan("tiny", held("ETH", "1e-15", 3000, weight="0.8"), owed("USDC", "2.2e-12")), "--survive", "-30%")
    assert (tiny["feasible"], tiny["actions"][0]["amount"]) == (True, "0.0000000000022")


def test_a_failed_source_makes_bounds_a_warning_and_exit_3(tmp_path: Path) -> None:
    ended = asked(tmp_path, PARTIAL, "--survive", "+45%", "--quiet")
    assert ended.code == 3
    assert ended.out.startswith("unified health  at most 1.37 → at most 1.45   survives +45.0 %, as far as the book is known")
    source, warning = ended.err.splitlines()
    assert source.startswith("error: plain-main: no connection to Plain")
    assert warning == "warning: a source failed or an account is unknown: the plan knows nothing of it"
    plan = planned(tmp_path, PARTIAL, "--survive", "+45%", code=3)
    assert (plan["before"]["bound"], plan["after"]["bound"]) == ("at_most", "at_most")
    assert plan["limits_hit"][-1] == "1 account could not be read and takes no part"


def test_an_unknown_account_is_named(tmp_path: Path) -> None:
    ended = asked(tmp_path, UNPRICED, "--survive", "+45%")
    assert ended.code == 3
    assert "warning: manual:odd is unknown: XYZ" in ended.err
    plan = planned(tmp_path, UNPRICED, "--survive", "+45%", code=3)
    assert plan["after"]["bound"] == "at_most"
    assert "1 account could not be read and takes no part" in plan["limits_hit"]


@pytest.mark.parametrize(
    "book",
    [
        DEAF,
        '[[manual]]\nname = "odd"\nside = "lending"\n[[manual.debt]]\nfactor = "XYZ"\namount = 1\n',
    ],
)
def test_nothing_that_could_be_read_is_exit_3(tmp_path: Path, book: str) -> None:
    ended = asked(tmp_path, book, "--survive", "-10%")
    assert (ended.code, ended.out) == (3, "")
    assert "nothing of the book could be read" in ended.err.splitlines()[-1]
    assert len(ended.err.splitlines()) == 3


def test_a_node_that_is_down_is_not_an_empty_wallet(tmp_path: Path) -> None:
    ended = run("plan", "0x" + "11" * 20, "--rpc", "ethereum=http://127.0.0.1:1", "--survive", "-10%", "--state", str(tmp_path))
    assert (ended.code, ended.out) == (3, "")
    assert "connection refused" in ended.err


@pytest.mark.parametrize(("name", "form"), [("plan.json", "json"), ("plan.txt", "table"), ("plan", "table")])
def test_files(tmp_path: Path, name: str, form: str) -> None:
    ended = run("plan", "demo", "--survive", "+40%", "-o", str(tmp_path / name))
    assert (ended.code, ended.out) == (0, "")
    content = (tmp_path / name).read_text("utf-8")
    assert content == run("plan", "demo", "--survive", "+40%", "--format", form).out
    assert json.loads(content)["feasible"] if form == "json" else content.startswith("unified health  1.27 → 1.40")


def test_a_form_beats_a_suffix(tmp_path: Path) -> None:
    run("plan", "demo", "--survive", "+40%", "-o", str(tmp_path / "plan.txt"), "--format", "json")
    assert json.loads((tmp_path / "plan.txt").read_text("utf-8"))["feasible"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing is asked of the plan - --survive -30%, --survive +40% or --budget 5000"),
        (["--survive", "30%"], "--survive '30%' has no sign - a fall is -30%, a rise +30%"),
        (["--survive", "0.3"], "--survive '0.3' has no sign - a fall is -0.3%, a rise +0.3%"),
        (["--survive", "+40"], "--survive '+40' is a move by +4,000% - write +40% if per cent are meant"),
        (["--survive", "-30"], "--survive '-30' is a move by -3,000% - write -30% if per cent are meant"),
        (["--survive", "-100%"], "--survive '-100%' is out of range - a fall above -100%"),
        (["--survive", "-250%"], "--survive '-250%' is out of range"),
        (["--survive", "+1000001%"], "--survive '+1000001%' is out of range"),
        (["--survive", "+0%"], "--survive '+0%' is out of range"),
        (["--survive", "down"], "--survive 'down' is not a market move - -30% for a fall, +40% for a rise"),
        (["--survive", ""], "is not a market move"),
        (["--survive", "-nan%"], "--survive '-nan%' is not a market move"),
        (["--survive", "-1e1%"], "--survive '-1e1%' is not a market move"),
        (["--survive", "-٣٠%"], "is not a market move"),
        (["--survive", "-" + "9" * 500 + "%"], "is not a market move"),
        (["--survive"], "option '--survive' requires an argument"),
        (["--survive", "-30%", "--survive", "30%"], "--survive '30%' has no sign"),
        (["--budget", "-5"], "--budget '-5' is not a sum in USD - --budget 10000, or 0 for transfers only"),
        (["--budget", "much"], "--budget 'much' is not a sum in USD"),
        (["--budget", "inf"], "--budget 'inf' is not a sum in USD"),
        (["--budget", "1e400"], "--budget '1e400' is not a sum in USD"),
        (["--budget", ""], "is not a sum in USD"),
        (["--survive", "-30%", "--budget", "5 k"], "--budget '5 k' is not a sum in USD"),
        (["--survive", "-30%", "--format", "csv"], "'csv' is not one of 'table', 'json'"),
        (["--survive", "-30%", "-o", "plan.csv"], "-o 'plan.csv' is neither a text nor a JSON file - -o plan.json, or -o plan.txt"),
        (["--survive", "-30%", "-o", ""], "-o needs the name of a file"),
        (["--survive", "-30%", "-o", "no/such/plan.json"], "cannot write 'no/such/plan.json'"),
        (["--survive", "-30%", "--book", "nowhere.toml"], "'demo' is a book of its own"),
        (["--survive", "-30%", "another"], "'demo' is a book of its own"),
        (["--survive", "-30%", "--fail-on", "warning"], "no such option '--fail-on'"),
    ],
)
def test_what_cannot_be_asked_is_one_line(options: list[str], said: str) -> None:
    ended = run("plan", "demo", *options)
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    assert said in line
    assert len(line) < 400


def test_a_folder_is_no_file_for_a_plan(tmp_path: Path) -> None:
    ended = run("plan", "demo", "--survive", "+40%", "-o", str(tmp_path))
    assert ended.code == 2
    assert "is neither a text nor a JSON file" in ended.err


def test_no_wallet_and_no_book() -> None:
    ended = run("plan", "--survive", "-30%")
    assert ended.code == 2
    assert "no wallet to scan" in ended.err


def test_the_flag_and_the_plan_agree(tmp_path: Path) -> None:
    """RESCUE_INFEASIBLE: raised where no transfer within the book survives both stresses, whether or not closing would."""
    for book in (hedge(), stacked(), hedge(20_000), SAFE):
        text = book if "[book]" in book else '[book]\nname = "case"\n' + book
        snapshot = json.loads(run("scan", "--book", written(tmp_path, text), "--format", "json").out)
        raised = [flag for flag in snapshot["flags"] if flag["code"] == "RESCUE_INFEASIBLE"]
        plan = planned(tmp_path, book, "--survive", "-40%", "--survive", "+40%", "--budget", "0")
        transfers = plan["feasible"] and all(action["kind"] != "close" for action in plan["actions"])
        assert bool(raised) != transfers


def test_hundreds_of_limits_are_cut_in_the_table_only(tmp_path: Path) -> None:
    idle = "".join(loan(f"idle-{number}", held("USDC", 10)) for number in range(40))
    book = loan("loan", held("ETH", 10, 3000, weight="0.83"), owed("USDC", 20_000)) + idle
    plan = planned(tmp_path, book, "--survive", "-30%")
    assert len(plan["limits_hit"]) >= 40
    table = asked(tmp_path, book, "--survive", "-30%").out
    assert table.count("limit: ") == 13
    assert f"limit: and {len(plan['limits_hit']) - 12} more, all of them in --format json" in table
