"""`defi-risk stress` as users type it: scenarios of their own, replays, forms, and every way to get it wrong."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from defi_risk.snapshot.schema import shipped
from tests.cli.desks import hedge, held, loan, owed, perp, position, stacked, stressed, taken, written
from tests.cli.runner import run

MINE = """
[[scenario]]
id = "crash"
title = "ETH halves"
shocks = { ETH = "-50%" }

[[scenario]]
id = "squeeze"
shocks = { "perp:ETH" = "+50%" }
"""


def test_the_table_says_what_fails_and_in_which_order(tmp_path: Path) -> None:
    ended = run("stress", "--book", str(written(tmp_path, hedge())))
    assert ended.code == 0
    assert ended.out.startswith("unified health  1.37 ")
    assert "✖ fail  majors_up_40" in ended.out
    assert "✔ pass  majors_down_40" in ended.out
    lines = ended.out.splitlines()
    rises = next(line for line in lines if "market rises" in line)
    assert "+37.3 %  perp" in rises
    assert "HEDGE BREAK" in ended.out


def test_json_is_a_whole_snapshot(tmp_path: Path) -> None:
    found, _ = taken(tmp_path, hedge(), command="stress", options=("--shock", "ETH=-30%"))
    jsonschema.validate(found, shipped(), cls=jsonschema.Draft202012Validator)
    assert set(found["cascade"]) == {"down", "up", "down_up", "up_down", "venue_diverges", "hedge_lost"}
    assert {key for row in found["stress"] for key in row} == {
        "scenario", "title", "shocks", "equity_usd", "min_health", "account", "liquidations", "penalty_usd", "pass",
    }  # fmt: skip
    [mine] = [row for row in found["stress"] if row["scenario"] == "shock"]
    assert mine["shocks"] == {"ETH": -0.3}


def test_a_scan_holds_the_built_in_stresses_too(tmp_path: Path) -> None:
    found, _ = taken(tmp_path, hedge())
    assert [row["scenario"] for row in found["stress"]][:2] == ["majors_down_40", "majors_up_40"]
    assert [event["account"] for event in found["cascade"]["up"]] == ["manual:perp"]


def test_scenarios_of_one_s_own(tmp_path: Path) -> None:
    rows = stressed(tmp_path, hedge(), scenario=MINE)
    assert rows["crash"]["title"] == "ETH halves"
    assert rows["crash"]["pass"] is True
    assert rows["crash"]["min_health"] == pytest.approx(24_900 / 2 / 12_000)
    assert rows["squeeze"]["shocks"] == {"perp:ETH": 0.5}
    assert [event["account"] for event in rows["squeeze"]["liquidations"]] == ["manual:perp"]


def test_several_shocks_make_one_scenario(tmp_path: Path) -> None:
    row = stressed(tmp_path, stacked(), shocks=("ETH=-30%", "USDC=-0.1"))["shock"]
    assert row["shocks"] == {"ETH": -0.3, "USDC": -0.1}
    assert row["liquidations"][0]["account"] == "manual:perp"


def test_a_recorded_day_is_lived_through_again(tmp_path: Path) -> None:
    prices = ["2900", "2950", "2980", "3000", "2700", "2300"]
    hours = "".join(f"2022-05-{8 + (hour + 20) // 24:02}T{(hour + 20) % 24:02}:00:00Z,{price}\n" for hour, price in enumerate(prices * 4))
    (tmp_path / "prices.csv").write_text("time,ETH\n" + hours)
    model = '[model]\nprices = "prices.csv"\n'
    snapshot, _ = taken(tmp_path, stacked(), model, command="stress", options=("--replay", "2022-05-09"))
    [row] = [row for row in snapshot["stress"] if row["scenario"] == "replay:2022-05-09"]
    assert row["pass"] is False
    assert row["liquidations"][0]["account"] == "manual:perp"
    missing = run("stress", "--book", str(written(tmp_path, stacked(), model)), "--replay", "2020-03-12")
    assert (missing.code, missing.out) == (2, "")
    assert "2022-05-0" in missing.err


def test_a_stress_table_as_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    assert run("stress", "--book", str(written(tmp_path, hedge())), "-o", f"{folder}/", "--format", "csv").code == 0
    rows = list(csv.DictReader(io.StringIO((folder / "stress.csv").read_text(), newline="")))
    assert {row["scenario"]: row["pass"] for row in rows}["majors_up_40"] == "false"
    assert all(json.loads(row["shocks"]) is not None for row in rows)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--shock", "ETH"), "is not NAME=MOVE"),
        (("--shock", "ETH=30%"), "has no sign"),
        (("--shock", "ETH=-300%"), "cannot be"),
        (("--shock", "ETH=nan"), "is not a move"),
        (("--shock", "ETH=-1e400%"), "is not a move"),
        (("--shock", "EHT=-30%"), "did you mean 'ETH'?"),
        (("--shock", "ETH=-30%", "--shock", "ETH=+30%"), "moved twice"),
        (("--shock", "USD=-30%"), "USD"),
        (("--replay", "yesterday"), "is not a date"),
        (("--replay", "2022-05-09"), "no price history"),
        (("--scenario", "nowhere.toml"), "cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    ended = run("stress", "--book", str(written(tmp_path, hedge())), *options)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert len(ended.err.splitlines()) == 1


def test_one_id_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(MINE)
    files = ("--scenario", str(tmp_path / "a.toml"), "--scenario", str(tmp_path / "b.toml"))
    ended = run("stress", "--book", str(written(tmp_path, hedge())), *files)
    assert ended.code == 2
    assert "two scenario files have a scenario 'crash'" in ended.err


def rows_of(ended_out: str) -> dict[str, Any]:
    return {row["scenario"]: row for row in json.loads(ended_out)["stress"]}


def test_a_book_with_only_unknown_accounts_says_so(tmp_path: Path) -> None:
    nobody = loan("otc", '[[manual.collateral]]\nfactor = "NEVERHEARD"\namount = "1"\n')
    ended = run("stress", "--book", str(written(tmp_path, nobody)), "--format", "json")
    found = json.loads(ended.out)
    assert (ended.code, found["book_health"]["bound"], found["book_health"]["uhf"]) == (3, "unknown", None)
    assert all(row["min_health"] is None for row in found["stress"])
    assert found["cascade"]["down"] == []


def test_nothing_owed_and_less_than_nothing(tmp_path: Path) -> None:
    debtless = run("stress", "--book", str(written(tmp_path, loan("spot", held("ETH", 1, 3000)))), "--format", "json")
    assert all(row["pass"] and row["min_health"] is None for row in rows_of(debtless.out).values())
    under = loan("dead", held("ETH", 1, 3000, weight="0.8"), owed("USDC", 5_000)) + perp(
        "deep", held("USDC", 100), position("ETH", 1, 3000, unrealized_pnl="-500")
    )
    ended = run("stress", "--book", str(written(tmp_path, under)), "--format", "json")
    assert ended.code == 0
    rows = rows_of(ended.out)
    assert not any(row["pass"] for row in rows.values())
    assert {event["account"] for event in rows["usdc_088"]["liquidations"]} == {"manual:dead", "manual:deep"}
    assert "NaN" not in ended.out
    assert "Infinity" not in ended.out


def test_the_move_of_a_liquidation_is_one_of_prices(tmp_path: Path) -> None:
    """Not how far along the scenario it is: case A's short goes at +37.25 %, on the way to +40 % as on the way back up from a fall."""
    rows = stressed(tmp_path, hedge(), scenario='[[scenario]]\nid = "turn"\nshocks = { ETH = "-25%" }\nthen = [{ ETH = "+50%" }]\n')
    for name in ("majors_up_40", "turn"):
        [event] = rows[name]["liquidations"]
        assert event["move"] == pytest.approx(0.372549, abs=1e-6)
        assert event["prices"]["ETH"] == pytest.approx(4_117.65, abs=5e-3)
