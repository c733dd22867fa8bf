"""Exchange accounts by command: what `scan` and `doctor` say of reading them, of their clocks and of what their keys may do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.books import SAFE
from tests.cli.runner import Ended, run
from tests.exchanges import plain
from tests.exchanges.binance import BinanceExchange
from tests.exchanges.bybit import BybitDouble, Holding
from tests.exchanges.double import Double, Fault, Reply, serving
from tests.exchanges.okx import OkxDouble, Purse
from tests.exchanges.plain import ACCOUNT, FEES, RIGHTS, TIME, PlainExchange


def asked(folder: Path, command: str, double: Double, *options: str, more: str = "", head: str = "") -> Ended:
    """How a command on a book with this account ends."""
    with serving(double) as url:
        path = folder / "desk.toml"
        path.write_text(head + double.book(url, "plain-main", more))
        return run(command, "--book", str(path), "--state", str(folder / "state"), *options)


def scanned(folder: Path, double: Double, code: int = 0, **more: str) -> dict[str, Any]:
    ended = asked(folder, "scan", double, "--format", "json", **more)
    assert ended.code == code, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def examined(folder: Path, double: Double, code: int = 0, **more: str) -> dict[str, tuple[str, str, str]]:
    ended = asked(folder, "doctor", double, "--format", "json", **more)
    assert ended.code == code, ended.out
    found: list[dict[str, str]] = json.loads(ended.out)
    return {one["subject"]: (one["status"], one["finding"], one["remedy"]) for one in found}


def paths(double: PlainExchange) -> list[str]:
    return [request.path for request in double.log]


def test_an_account_is_one_of_the_books(tmp_path: Path) -> None:
    found = scanned(tmp_path, PlainExchange(), head=SAFE)
    [account] = [one for one in found["accounts"] if one["side"] == "derivatives" and one["venue"] == "Plain"]
    assert (account["id"], account["owner"], account["status"], account["market"]) == ("plain-main/spot", "plain-main", "ok", "spot")
    assert account["equity_usd"] == 1250.1
    [source] = [one for one in found["sources"] if one["kind"] == "exchange"]
    assert (source["id"], source["status"], source["calls"]) == ("plain-main", "ok", 4)
    assert source["as_of"]
    assert found["partial"] is False


@pytest.mark.parametrize("skew", [-90, -6, 2, 90])
def test_the_time_of_an_account_is_the_exchanges(tmp_path: Path, skew: int) -> None:
    from datetime import datetime

    double = PlainExchange(skew=skew)
    [source] = scanned(tmp_path, double)["sources"]
    told = datetime.fromisoformat(source["as_of"]).timestamp()
    assert abs(told * 1_000 - double.now()) < 3_000
    where = "ahead of" if skew > 0 else "behind"
    notes = [] if skew == 2 else [f"the exchange's clock is {abs(skew)}.0 s {where} this machine's"]
    assert [note.replace(".1 s", ".0 s").replace("89.9", "90.0").replace("5.9", "6.0") for note in source["notes"]] == notes
    status, finding, _ = examined(tmp_path, double)["exchange plain-main clock"]
    assert (status, where in finding) == (("ok", False) if skew == 2 else ("warn", True))


KEYS = [
    ({"trade": False, "withdraw": False, "bound": True}, "ok", "reads only, bound to addresses"),
    ({"trade": False, "withdraw": False}, "ok", "reads only"),
    ({"trade": True, "withdraw": False, "bound": False}, "warn", "can trade, bound to no address"),
    ({"trade": True, "withdraw": True, "bound": True}, "warn", "can trade and withdraw or transfer funds, bound to addresses"),
    ({"withdraw": True}, "warn", "can withdraw or transfer funds"),
    ({"trade": False}, "warn", "the exchange does not say whether it can withdraw"),
    ({}, "warn", "the exchange does not say whether it can trade or withdraw"),
]


@pytest.mark.parametrize(("rights", "status", "says"), KEYS)
def test_what_the_key_may_do(tmp_path: Path, rights: dict[str, bool], status: str, says: str) -> None:
    double = PlainExchange(rights=rights)
    line = examined(tmp_path, double)["exchange plain-main key"]
    assert line[:2] == (status, says)
    assert bool(line[2]) == (status == "warn")
    found = scanned(tmp_path, double)
    [source] = found["sources"]
    assert source["key"] == {name: rights.get(name) for name in ("trade", "withdraw", "bound")}
    strong = bool(rights.get("trade") or rights.get("withdraw"))
    assert ("KEY_TOO_STRONG" in {flag["code"] for flag in found["flags"]}) is strong


def binance(**rights: bool | None) -> Double:
    double = BinanceExchange(wallets={"USDT": "100"})
    double.rights |= rights
    return double


def bybit(read_only: int, *faults: Fault, **permissions: list[str]) -> Double:
    return BybitDouble(coins={"USDT": Holding("100")}, read_only=read_only, permissions=permissions, faults=list(faults))


def okx(perm: str) -> Double:
    return OkxDouble(purses={"USDT": Purse("100", "1")}, perm=perm)


def _no_word_of_writing(told: Any) -> Any:
    return told | {"result": {name: part for name, part in told["result"].items() if name != "readOnly"}}


NAMED = {
    "reads": [binance(), bybit(1, ContractTrade=["Order"]), okx("read_only")],
    "trades": [binance(enableFutures=True), bybit(0, ContractTrade=["Order"]), okx("read_only,trade")],
    "withdraws": [binance(enableWithdrawals=True), bybit(0, Wallet=["Withdraw"]), okx("read_only,withdraw")],
    "unknown": [
        binance(enableFutures=None, enableWithdrawals=None, ipRestrict=None),
        bybit(1, Fault(where="query-api", change=_no_word_of_writing)),
        okx("read_only,magic"),
    ],
}
UNTOLD = ("the exchange does not say whether it can trade or withdraw", "what the key may do could not be read: rights.result.readOnly is")
SAID: dict[str, tuple[str, str | tuple[str, ...], tuple[bool | None, bool | None]]] = {
    "reads": ("ok", "reads only", (False, False)),
    "trades": ("warn", "can trade", (True, False)),
    "withdraws": ("warn", "can withdraw or transfer funds", (False, True)),
    "unknown": ("warn", UNTOLD, (None, None)),
}


@pytest.mark.parametrize(
    ("kind", "double"),
    [(kind, double) for kind, doubles in NAMED.items() for double in doubles],
    ids=lambda part: getattr(part, "id", part),
)
def test_what_the_key_of_a_real_exchange_may_do(tmp_path: Path, kind: str, double: Double) -> None:
    status, says, (trade, withdraw) = SAID[kind]
    line = examined(tmp_path, double)["exchange plain-main key"]
    assert line[0] == status
    assert line[1].startswith(says)
    found = scanned(tmp_path, double)
    [source] = found["sources"]
    assert (source["key"]["trade"], source["key"]["withdraw"]) == (trade, withdraw)
    assert ("KEY_TOO_STRONG" in {flag["code"] for flag in found["flags"]}) is bool(trade or withdraw)
    assert [account["status"] for account in found["accounts"]] == ["ok"]


def test_a_key_is_asked_for_its_rights_once_a_day_a_changed_one_anew_and_doctor_always(tmp_path: Path) -> None:
    double = PlainExchange()
    scanned(tmp_path, double)
    assert paths(double).count(RIGHTS) == 1
    double.log.clear()
    # another port is another exchange to the cache, so one server stays up
    with serving(double) as url:
        book = tmp_path / "desk.toml"
        for keys, times in ((double.credentials, 1), (double.credentials, 1), ({"api_key": "key-two-99", "secret": "s2"}, 2)):
            double.credentials = keys  # type: ignore[misc]
            book.write_text(double.book(url, "plain-main"))
            found = json.loads(run("scan", "--book", str(book), "--state", str(tmp_path / "state"), "--format", "json").out)
            assert found["sources"][0]["key"] == {"trade": False, "withdraw": False, "bound": True}
            assert paths(double).count(RIGHTS) == times
        run("doctor", "--book", str(book), "--state", str(tmp_path / "state"))
        assert paths(double).count(RIGHTS) == 3


def test_rights_that_cannot_be_read_cost_a_note_and_no_account(tmp_path: Path) -> None:
    double = PlainExchange(faults=[Fault("permission", where=RIGHTS)])
    found = scanned(tmp_path, double)
    [source] = found["sources"]
    assert (source["status"], source["key"]) == ("ok", {"trade": None, "withdraw": None, "bound": None})
    assert source["notes"][0].startswith("what the key may do could not be read: Plain does not accept the key")
    assert found["accounts"][0]["status"] == "ok"
    assert examined(tmp_path, double)["exchange plain-main key"][0] == "warn"
    double = PlainExchange(faults=[Fault(where=RIGHTS, change=lambda _: {"trade": "yes"})])
    assert "trade is" in scanned(tmp_path, double)["sources"][0]["notes"][0]


def test_doctor_names_hosts_clock_accounts_and_key(tmp_path: Path) -> None:
    double = PlainExchange()
    found = examined(tmp_path, double)
    lines = {subject: line for subject, line in found.items() if subject.startswith("exchange ")}
    assert set(lines) == {f"exchange plain-main {part}" for part in ("hosts", "clock", "accounts", "key")}
    assert {status for status, _, _ in lines.values()} == {"ok"}
    assert lines["exchange plain-main accounts"][1] == "1 at Plain: spot (cross)"
    assert "answers in 0." in lines["exchange plain-main clock"][1]
    assert found["hosts"][1].endswith(lines["exchange plain-main hosts"][1])
    assert "nodes" not in found
    assert "extra exchanges" in found
    assert set(paths(double)) == {TIME, ACCOUNT, RIGHTS, plain.FEES}


@pytest.mark.parametrize(
    ("fault", "code", "status", "says"),
    [
        (Fault("bad key"), 3, "fail", "does not accept the key (HTTP 401, code -2014)"),
        (Fault("maintenance"), 3, "fail", "is out of order (HTTP 503)"),
        (Fault("rate"), 3, "fail", "asks for fewer requests (HTTP 429, code -1003)"),
        (Fault("html"), 3, "fail", "no JSON"),
        (Fault(where=ACCOUNT, change=lambda told: {**told, "accountType": "OTHER"}), 0, "warn", "unknown: account type OTHER"),
        (Fault(where=ACCOUNT, change=lambda told: {**told, "balances": None}), 3, "fail", "account.balances is missing"),
    ],
)
def test_doctor_says_what_is_wrong(tmp_path: Path, fault: Fault, code: int, status: str, says: str) -> None:
    fault.where = fault.where or ACCOUNT
    line = examined(tmp_path, PlainExchange(faults=[fault]), code)["exchange plain-main"]
    assert line[0] == status
    assert says in line[1]
    assert line[2] or status == "fail"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('id = "nowhere"\nname = "x"', "unknown exchange 'nowhere'"),
        ('id = "bybitt"\nname = "x"', "did you mean 'bybit'?"),
        ('id = "binanceus"\nname = "x"\nurl = "http://127.0.0.1:9"\napi_key = "k"', "exchange x needs secret"),
        ('id = "binanceus"\nname = "x"\napi_key = "k"\nsecret = "s"', "must be a reference, not the key itself"),
        (
            'id = "binanceus"\nname = "x"\nurl = "http://127.0.0.1:9/path"\napi_key = "k"\nsecret = "s"',
            "must be scheme, host and port alone",
        ),
        ('id = "binanceus"\nname = "x"\napi_key = "${UNSET_KEY}"\nsecret = "s"', "environment variable UNSET_KEY is not set"),
    ],
)
def test_a_book_that_cannot_be_read_is_exit_code_2(tmp_path: Path, table: str, says: str) -> None:
    book = tmp_path / "desk.toml"
    book.write_text(f"[[exchanges]]\n{table}\n")
    ended = run("scan", "--book", str(book))
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    ended = run("doctor", "--book", str(book))
    assert ended.code == 2
    assert says in ended.out


def test_one_account_twice_is_refused(tmp_path: Path) -> None:
    double = PlainExchange()
    with serving(double) as url:
        (tmp_path / "desk.toml").write_text(double.book(url, "one") + double.book(url, "two"))
        ended = run("scan", "--book", str(tmp_path / "desk.toml"))
        assert (ended.code, double.log) == (2, [])
        assert "exchanges one and two are one account - it would be counted twice" in ended.err
        # other options may make another account of it; where they do not, it is still not counted twice
        (tmp_path / "desk.toml").write_text(double.book(url, "one") + double.book(url, "two", 'options = { by = "balance" }'))
        found = json.loads(run("scan", "--book", str(tmp_path / "desk.toml"), "--format", "json").out)
    assert [(one["id"], one["status"]) for one in found["accounts"]] == [("one/spot", "ok"), ("two/spot", "unknown")]
    assert "exchange one reads this account too" in found["accounts"][1]["reason"]
    assert found["book_health"]["bound"] == "at_most"


def test_accounts_fail_alone(tmp_path: Path) -> None:
    good, bad = PlainExchange(), PlainExchange(faults=[Fault("500", where=ACCOUNT)])
    with serving(good) as url, serving(bad) as other:
        (tmp_path / "desk.toml").write_text(SAFE + good.book(url, "good") + bad.book(other, "bad"))
        ended = run("scan", "--book", str(tmp_path / "desk.toml"), "--format", "json", "--state", str(tmp_path / "s"))
    found = json.loads(ended.out)
    assert ended.code == 3
    assert {one["id"]: one["status"] for one in found["accounts"]} == {
        "good/spot": "ok", "bad": "unknown", "manual:loan": "ok", "manual:short": "ok",
    }  # fmt: skip
    assert {one["id"]: one["status"] for one in found["sources"]} == {"good": "ok", "bad": "failed", "manual": "ok"}
    assert found["book_health"]["bound"] == "at_most"


@pytest.mark.parametrize("kind", ["silence", "drip"])
def test_an_exchange_that_hangs_costs_the_deadline_and_no_more(tmp_path: Path, kind: str) -> None:
    import time

    began = time.monotonic()
    ended = asked(tmp_path, "scan", PlainExchange(faults=[Fault(kind, where=ACCOUNT)]), "--deadline", "1s", "--format", "json", head=SAFE)
    assert time.monotonic() - began < 10  # seconds, on a busy machine
    found = json.loads(ended.out)
    assert ended.code == 3
    assert [one["status"] for one in found["sources"]] == ["failed", "ok"]
    assert "Plain gave no full answer within" in found["sources"][0]["error"]
    assert "all that was left of 1 s - allow more time" in found["sources"][0]["error"]


def test_what_a_reader_asks_after_it_was_given_up_does_not_hide_why(tmp_path: Path) -> None:
    """Binance's reader asks for the account by its other version where one gives none."""

    double = BinanceExchange(wallets={"USDT": "1000"}, faults=[Fault("silence", where="/account")])
    ended = asked(tmp_path, "scan", double, "--deadline", "1s", "--format", "json")
    assert ended.code == 3
    assert "Binance gave no full answer within" in json.loads(ended.out)["sources"][0]["error"]


def test_emptiness_after_something_is_asked_for_twice(tmp_path: Path) -> None:
    """A fault that empties one answer is not taken for an account that was closed; one that stays empty is, and the scan says so."""

    double = PlainExchange()
    with serving(double) as url:
        (tmp_path / "desk.toml").write_text(double.book(url, "plain-main", "options = { hide = true }"))

        def again() -> dict[str, Any]:
            ended = run("scan", "--book", str(tmp_path / "desk.toml"), "--format", "json", "--state", str(tmp_path / "s"))
            found: dict[str, Any] = json.loads(ended.out)
            return found

        assert [one["id"] for one in again()["accounts"]] == ["plain-main/spot"]
        double.faults = [Fault(where=ACCOUNT, times=1, change=lambda told: {**told, "balances": []})]
        found = again()
        assert [one["id"] for one in found["accounts"]] == ["plain-main/spot"]
        assert "asked twice" in found["sources"][0]["notes"][0]
        double.faults = [Fault(where=ACCOUNT, change=lambda told: {**told, "balances": []})]
        found = again()
        assert (found["accounts"], len(found["sources"][0]["notes"])) == ([], 1)
        found = again()
        assert (found["accounts"], found["sources"][0]["notes"]) == ([], [])


def test_a_rate_limit_is_kept_to_by_the_next_scan(tmp_path: Path) -> None:
    double = PlainExchange()
    double.answers = {ACCOUNT: Reply(418, {"code": -1003, "msg": "banned"}, {"Retry-After": "900"})}
    with serving(double) as url:
        (tmp_path / "desk.toml").write_text(double.book(url, "plain-main"))
        for asked_for in ([TIME, ACCOUNT], [TIME, ACCOUNT]):
            ended = run("scan", "--book", str(tmp_path / "desk.toml"), "--state", str(tmp_path / "s"))
            assert ended.code == 3
            assert paths(double) == asked_for
    assert "Plain asked to be left alone for another" in ended.err


def test_a_mistyped_rule_is_told_and_never_ignored(tmp_path: Path) -> None:
    book = tmp_path / "desk.toml"
    book.write_text(
        '[[exchanges]]\nid = "binance"\nname = "main"\nurl = "http://127.0.0.1:9"\napi_key = "dummy"\nsecret = "dummy"\n'
        "rules = { portfolio_liquidtion = 1.1 }\n"
    )
    ended = run("scan", "--book", str(book))
    assert ended.code == 2
    assert "unknown rule of exchange main 'portfolio_liquidtion' - did you mean 'portfolio_liquidation'?" in ended.err


def test_tables_are_kept_only_once_an_account_was_found_sound(tmp_path: Path) -> None:
    double = PlainExchange(faults=[Fault(where=ACCOUNT, times=1, change=lambda answer: {**answer, "accountType": "MARGIN"})])
    asked: list[int] = []
    with serving(double) as url:
        (tmp_path / "desk.toml").write_text(double.book(url))
        for code in (3, 0, 0):
            assert run("scan", "--book", str(tmp_path / "desk.toml"), "--state", str(tmp_path / "state")).code == code
            asked.append(sum(request.path == FEES for request in double.log))
    assert asked == [1, 2, 2]
