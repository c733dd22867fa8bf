"""A snapshot says what was found, exactly, in the words of the interface, and comes back from its file as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from defi_risk import health, snapshot
from defi_risk.errors import StoreError, UnknownName
from defi_risk.ids import AccountId
from defi_risk.model import Contract, LiquidationRule, Price, SourceReport
from defi_risk.snapshot import SCHEMA, Snapshot, from_json, load, venue
from defi_risk.snapshot.html import notebook
from defi_risk.snapshot.schema import FILE, generate, shipped
from defi_risk.units import Quantity
from tests.accounts import BTC, ETH, SETTINGS, USD, USDC, collateral, debt, loan, margin, perp, position
from tests.pictures import BROKEN, READ, TIME, WALLET, hedge, picture, unknown

TOP = {
    "schema", "version", "book", "taken_at", "partial", "sources", "accounts", "book_health", "exposures", "flags", "boundary", "stress",
    "cascade", "notes", "links", "skew_seconds",
}  # fmt: skip
ACCOUNT = {
    "id", "owner", "side", "venue", "market", "chain", "mode", "status", "reason", "equity_usd", "collateral_usd", "debt_usd",
    "weighted_collateral_usd", "requirement_usd", "initial_requirement_usd", "surplus_usd", "mur", "free_margin_usd", "withdrawable_usd",
    "health", "hf", "liquidatable", "native", "self_check", "legs", "liquidation", "ticks", "market_moves",
    "owner_name", "blocked", "liquidation_rule", "strict", "sigma", "sigma_missing", "time_to_liquidation_days", "line",
    "assumptions",
}  # fmt: skip
LEG = {
    "role", "token", "symbol", "factor", "peg", "amount", "price_usd", "value_usd", "weight", "size", "entry_price", "notional_usd",
    "unrealized_pnl_usd", "maintenance_usd", "apr", "funding_rate", "enabled",
    "initial_weight", "bonus", "available", "oracle", "compounding", "terms", "initial_usd", "accrued_funding_usd", "accrued_fees_usd",
    "maintenance_rate",
}  # fmt: skip
BOOK = {
    "uhf", "first_account", "first_side", "corridor", "netted_uhf", "netted_health", "stranded_usd", "fragmentation", "mur",
    "net_equity_usd", "true_leverage", "nearest_factor", "bound", "sigma", "time_to_liquidation_days",
}  # fmt: skip


def content(taken: Snapshot) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(taken.to_json())
    return found


def test_the_keys_are_those_of_the_interface() -> None:
    found = content(picture(hedge()))
    assert set(found) == TOP
    assert set(found["accounts"][0]) == ACCOUNT
    assert set(found["accounts"][0]["legs"][0]) == LEG
    assert set(found["book_health"]) == BOOK
    assert set(found["exposures"][0]) == {"factor", "long_usd", "short_usd", "net_usd", "by_venue", "corridor", "hedge_ratio"}
    assert set(found["accounts"][0]["liquidation"][0]) == {"factor", "direction", "move", "price"}
    assert set(found["sources"][0]) == {
        "id", "kind", "status", "error", "chain_id", "block", "block_hash", "block_time", "as_of", "calls", "round_trips", "seconds",
        "notes", "key",
    }  # fmt: skip


def test_the_figures_of_the_hedged_loan() -> None:
    found = content(picture(hedge()))
    lending, short = found["accounts"]
    assert found["schema"] == "defi-risk/snapshot/1"
    assert (found["book"], found["taken_at"], found["partial"]) == ("desk", "2024-12-14T08:00:11Z", False)
    assert lending["health"] == pytest.approx(2.075)
    assert lending["native"] == {"healthFactor": "2075000000000000000", "isolated": "false"}
    assert lending["self_check"] == {"protocol": {"healthFactor": "2075000000000000000", "isolated": "false"}, "match": True}
    assert lending["owner"] == WALLET
    assert short["market_moves"] == {"down": None, "up": pytest.approx(0.372549, abs=1e-6)}
    assert found["book_health"]["uhf"] == pytest.approx(1.372549, abs=1e-6)
    assert (found["book_health"]["first_account"], found["book_health"]["first_side"]) == ("manual:perp", "up")
    assert found["book_health"]["corridor"] == [pytest.approx(-0.518072, abs=1e-6), pytest.approx(0.372549, abs=1e-6)]
    assert found["book_health"]["nearest_factor"]["factor"] == "ETH"


def test_legs_hold_exact_amounts_as_text_and_usd_as_numbers() -> None:
    held = collateral(ETH, "10.000000000000000001", 3000, "0.83")
    [loaned] = content(picture([loan(held, debt(USDC, 12_000))]))["accounts"]
    eth, usdc = loaned["legs"]
    assert eth["amount"] == "10.000000000000000001"
    assert (eth["role"], eth["price_usd"], eth["value_usd"], eth["weight"]) == ("collateral", 3000.0, 30000.0, 0.83)
    assert (usdc["role"], usdc["amount"], usdc["value_usd"], usdc["weight"]) == ("debt", "12000", 12000.0, None)
    assert (eth["size"], eth["notional_usd"], eth["maintenance_usd"]) == (None, None, None)


def test_positions_are_valued_alone_and_in_their_quote_coin() -> None:
    legs = (
        margin(USDC, 1000, "0.9"),
        position(ETH, -2, 3000, entry=3100, maintenance=[(0, "0.01", 0), (5000, "0.02", 50)], fee="0.001"),
        position(BTC, 30_000, 60_000, entry=50_000, contract=Contract.INVERSE, quote=USD, maintenance="0.01"),
    )
    _, short, inverse = content(picture([perp(*legs)]))["accounts"][0]["legs"]
    assert (short["size"], short["amount"], short["entry_price"]) == ("-2", None, 3100.0)
    assert short["price_usd"] == pytest.approx(2700)
    assert short["notional_usd"] == pytest.approx(5400)
    assert short["unrealized_pnl_usd"] == pytest.approx(180)
    # 6,000 USDC of notional: 2 % less the deduction of 50, and the closing fee
    assert short["maintenance_usd"] == pytest.approx((6000 * 0.02 - 50 + 6000 * 0.001) * 0.9)
    assert inverse["notional_usd"] == pytest.approx(30_000)
    assert inverse["unrealized_pnl_usd"] == pytest.approx(30_000 * (1 / 50_000 - 1 / 60_000) * 60_000)
    assert inverse["maintenance_usd"] == pytest.approx(300)


def test_prices_of_the_book_price_quotes_that_the_account_holds_none_of() -> None:
    account = perp(margin(ETH, 1, 3000), position(ETH, 1, 3000, quote=USDC))
    figures = health.run([account], SETTINGS, quotes={USDC: 0.9})
    taken = snapshot.build("desk", [account], figures, (), (), TIME, prices={USDC: 0.9})
    assert taken.accounts[0].legs[1].notional_usd == pytest.approx(2700)


def test_an_unknown_account_has_a_reason_and_no_figure() -> None:
    taken = picture([*hedge(), unknown()])
    found = content(taken)["accounts"][2]
    assert (found["status"], found["reason"]) == ("unknown", "execution reverted: nothing here")
    figures = ACCOUNT - {
        "id",
        "owner",
        "side",
        "venue",
        "market",
        "chain",
        "mode",
        "status",
        "reason",
        "strict",
        "native",
        "legs",
        "liquidation_rule",
        "line",
    }
    assert {key for key in figures if found[key] not in (None, [], {"down": None, "up": None})} == set()
    assert taken.partial
    assert taken.book_health.bound == "at_most"


def test_a_failed_source_makes_the_snapshot_partial() -> None:
    taken = picture(hedge(), [READ, BROKEN])
    assert taken.partial
    assert content(taken)["sources"][1]["error"] == BROKEN.error
    assert content(taken)["sources"][1]["block"] is None
    read = content(taken)["sources"][0]
    assert (read["chain_id"], read["block"], read["block_time"], read["seconds"]) == (1, 21_400_000, "2024-12-14T07:59:59Z", 0.512)


def test_an_account_without_figures_is_never_passed_off_as_known() -> None:
    [account, _] = hedge()
    taken = snapshot.build("desk", [account], health.run([], SETTINGS), (), (), TIME)
    assert (taken.accounts[0].status, taken.accounts[0].reason) == ("unknown", "no figures")
    assert taken.accounts[0].liquidatable is None


@pytest.mark.parametrize("accounts", [[], hedge(), [*hedge(), unknown()], [unknown()], [loan(collateral(ETH, 1, 3000))]], ids=range(5))
def test_every_snapshot_is_valid_and_comes_back_the_same(accounts: list[Any]) -> None:
    taken = picture(accounts)
    jsonschema.validate(content(taken), shipped(), cls=jsonschema.Draft202012Validator)
    again = from_json(taken.to_json())
    assert again == taken
    assert again.to_json() == taken.to_json() == from_json(taken.to_json(2)).to_json()
    assert (again.digest, again.id) == (taken.digest, taken.id)


def test_the_shipped_schema_is_the_generated_one() -> None:
    assert json.loads(generate()) == shipped()
    assert (Path(snapshot.__file__).parent.parent / FILE).read_text() == generate()


def test_the_schema_refuses_what_is_no_snapshot_and_admits_what_comes_later() -> None:
    validator = jsonschema.Draft202012Validator(shipped())
    jsonschema.Draft202012Validator.check_schema(shipped())
    found = content(picture(hedge()))
    assert validator.is_valid(found | {"boundary": None, "stress": [], "cascade": {"down": []}})
    account = found["accounts"][0] | {"sigma": 9.5, "time_to_liquidation_days": 3.5}
    assert validator.is_valid(found | {"accounts": [account]})
    for broken in (
        {"schema": "defi-risk/snapshot/2"},
        {"surprise": 1},
        {"taken_at": "yesterday"},
        {"stress": [{"scenario": "usdt_090"}]},
        {"chance": {"seed": 1}},
        {"accounts": [found["accounts"][0] | {"hf": "2.0"}]},
        {"accounts": [{key: value for key, value in found["accounts"][0].items() if key != "hf"}]},
    ):
        assert not validator.is_valid(found | broken), broken


def test_the_digest_is_that_of_the_content() -> None:
    first = picture(hedge())
    slower = picture(hedge(), [replace(READ, seconds=9.0, calls=50, round_trips=9, notes=())])
    assert snapshot.build("desk", [], health.run([], SETTINGS), (), (), TIME).digest != first.digest
    assert slower.digest == first.digest
    assert slower.to_json() != first.to_json()
    service = SourceReport(id="hyperliquid", kind="exchange", as_of=TIME)
    once, again = (picture(hedge(), [READ, replace(service, as_of=TIME + seconds)]) for seconds in (0, 9))
    assert once.digest == again.digest != picture(hedge(), [READ, replace(service, status="stale")]).digest
    assert first.id.startswith("20241214T080011Z-")
    assert first.id.endswith(first.digest[:12])
    changed = hedge()
    changed[0] = replace(changed[0], rule=LiquidationRule(kind="absorb"), mode="emode:1")
    assert picture(changed).digest != first.digest


def test_nan_and_infinity_cannot_be_written() -> None:
    taken = picture(hedge())
    for number in (float("nan"), float("inf"), float("-inf")):
        wrong = msgspec.structs.replace(taken, book_health=msgspec.structs.replace(taken.book_health, uhf=number))
        with pytest.raises(ValueError, match="not JSON compliant"):
            wrong.to_json()


def test_times_know_their_zone() -> None:
    there = datetime(2024, 12, 14, 10, 0, 11, tzinfo=timezone(timedelta(hours=2)))
    taken = snapshot.build("desk", [], health.run([], SETTINGS), (), (), there)
    assert taken.taken_at == "2024-12-14T08:00:11Z"
    with pytest.raises(ValueError, match="without time zone"):
        snapshot.build("desk", [], health.run([], SETTINGS), (), (), there.replace(tzinfo=None))
    far = SourceReport(id="x", anchor=replace(READ.anchor, timestamp=2**63)) if READ.anchor else READ
    assert picture([], [far]).sources[0].block_time is None
    assert datetime.fromtimestamp(TIME, UTC).year == 2024


def test_frames_have_typed_columns_with_units() -> None:
    taken = picture([*hedge(), unknown()])
    accounts, legs, flags = (taken.to_frame(name) for name in ("accounts", "legs", "flags"))
    assert list(accounts["id"]) == ["manual:loan", "manual:perp", "manual:lost"]
    assert set(accounts["snapshot_id"]) == {taken.id}
    assert str(accounts["taken_at"].dtype).startswith("datetime64")
    assert str(accounts["hf"].dtype) == "float64"
    assert accounts["hf"].isna().tolist() == [False, False, True]
    assert accounts["liquidatable"].isna().tolist() == [False, False, True]
    assert accounts["market_move_up"].iloc[1] == pytest.approx(0.372549, abs=1e-6)
    assert list(legs["role"]) == ["collateral", "debt", "margin", "position"]
    assert legs["amount"].iloc[0] == "10"
    assert legs["size_float"].iloc[3] == -10.0
    assert "ACCOUNT_UNKNOWN" in set(flags["code"])
    assert taken.to_frame().equals(accounts)
    empty = picture([]).to_frame("legs")
    assert (len(empty), str(empty["value_usd"].dtype)) == (0, "float64")
    with pytest.raises(UnknownName, match="unknown table 'leg' - did you mean 'legs'"):
        taken.to_frame("leg")


def test_a_notebook_shows_the_answer_escaped() -> None:
    page = notebook(picture([*hedge(), unknown("<script>alert(1)</script>")], name="<b>desk</b>"))
    assert hasattr(Snapshot, "_repr_html_")
    assert "unified health at most 1.37" in page
    assert "<script>" not in page
    assert "&lt;b&gt;desk" in page


GOOD = picture([*hedge(), unknown()], [READ, BROKEN]).to_json()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[]", "not a snapshot of defi-risk"),
        ("null", "not a snapshot"),
        ("{}", "not a snapshot"),
        ('{"schema":1}', "not a snapshot"),
        (
            '{"schema":"defi-risk/snapshot/2"}',
            "has schema defi-risk/snapshot/2, this version reads defi-risk/snapshot/1 - pip install --upgrade",
        ),
        ('{"schema":"defi-risk/snapshot/x\\u001b"}', "unknown schema"),
        ('{"schema":"defi-risk/snapshot/1"}', "not a whole snapshot: Object missing required field"),
        ('{"a":1,"a":2}', "the key 'a' stands twice"),
        ('{"a":NaN}', "holds NaN"),
        ('{"a":-Infinity}', "holds -Infinity"),
        ('{"a":1e400}', "holds 1e400"),
        ('{"a":' + "1" * 5000 + "}", "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a":"\\ud800"}', "half of a surrogate pair"),
        (b"\xff\xfe{}", "not UTF-8"),
        (GOOD + "x", "not JSON: Extra data"),
        (GOOD[:-1] + ',"surprise":1}', "unknown field `surprise`"),
        (GOOD.replace('"hf":', '"hff":', 1), "accounts[0]: "),
        (GOOD.replace('"side":"lending"', '"side":"left"', 1), "accounts[0].side: Invalid enum value 'left'"),
        (GOOD.replace('"amount":"10"', '"amount":"ten"', 1), "accounts[0].legs[0].amount"),
        (GOOD.replace('"amount":"10"', '"amount":10', 1), "accounts[0].legs[0].amount: Expected"),
        (GOOD.replace('"taken_at":"2024', '"taken_at":"24', 1), "taken_at"),
        (GOOD.replace('"taken_at":"2024-12', '"taken_at":"2024-13', 1), "holds 2024-13-14T08:00:11Z, which is not a time"),
        (GOOD.replace('"block_time":"2024-12-14T07', '"block_time":"2024-12-14T27', 1), "holds 2024-12-14T27:59:59Z, which is not"),
        (GOOD.replace('"version":"0', '"version":"99', 1).replace('"partial":true', '"partial":3'), "it was written by version 99"),
    ],
    ids=range(27),
)
def test_what_is_no_snapshot_is_told_in_one_line(text: str | bytes, says: str) -> None:
    with pytest.raises(StoreError) as fault:
        from_json(text, "old.json")
    message = str(fault.value)
    assert message.startswith("old.json: ")
    assert says.replace("`", "") in message.replace("`", "")
    assert "\n" not in message
    assert len(message) < 400
    assert fault.value.exit_code == 2


def test_a_truncated_file_is_never_half_a_snapshot() -> None:
    for length in range(0, len(GOOD), 64):
        with pytest.raises(StoreError, match=r"not JSON"):
            from_json(GOOD[:length])
    with pytest.raises(StoreError, match=r"truncated\?"):
        from_json(GOOD[:100])


def fault_of(text: bytes) -> str:
    """What is said about a text; empty where it is a snapshot."""
    try:
        assert isinstance(from_json(text), Snapshot)
    except StoreError as error:
        return str(error)
    return ""


def test_a_flipped_bit_is_an_error_or_another_snapshot_but_never_a_crash() -> None:
    data = GOOD.encode()
    for place in range(0, len(data), 37):
        flipped = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        assert "\n" not in fault_of(flipped)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    taken = picture(hedge())
    path.write_text(taken.to_json(2))
    assert load(path) == taken
    path.write_bytes(b"\xef\xbb\xbf" + taken.to_json().encode())
    assert load(path) == taken
    for wrong, says in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(StoreError, match=says):
            load(wrong)


def test_ids_and_schema_name() -> None:
    assert shipped()["$id"] == SCHEMA
    assert AccountId("manual:perp") in {account.id for account in picture(hedge()).accounts}


def test_an_oracle_is_as_old_as_it_was_at_the_block() -> None:
    told = Price(Quantity(3000, 0), source="0xFEED", updated_at=1_700_000_000, heartbeat=3_600, capped=True)
    found = venue.oracle(told, 1_700_000_090)
    assert found is not None
    assert (found.source, found.updated_at, found.age_seconds) == ("0xFEED", "2023-11-14T22:13:20Z", 90)
    assert (found.heartbeat_seconds, found.capped) == (3_600, True)
    silent = venue.oracle(replace(told, updated_at=None), 1_700_000_090)
    assert silent is not None
    assert (silent.updated_at, silent.age_seconds) == (None, None)
    assert venue.oracle(Price(Quantity(1, 0)), 1) is None


def test_how_far_apart_the_times_of_the_sources_lie() -> None:
    assert picture(hedge()).skew_seconds is None
    desk = SourceReport(id="binance-main", kind="exchange", as_of=(READ.anchor.timestamp if READ.anchor else 0) + 17)
    candles = SourceReport(id="prices:binance", kind="file", as_of=1)
    assert picture(hedge(), [READ, desk, candles]).skew_seconds == 17
