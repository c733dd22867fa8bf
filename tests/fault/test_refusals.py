"""What exchanges say when they refuse, in their own statuses and codes, as one line with a remedy: real ccxt, over loopback."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from defi_risk.errors import RateLimited, Refused, SourceError, Unreachable, WrongClock
from defi_risk.sources import refusals
from defi_risk.sources.ccxt_line import CcxtLine
from defi_risk.sources.clock import Deadline
from tests.exchanges.double import Double, Reply, Request, serving

PRIVATE = {
    "binance": "fapiPrivateV3GetAccount",
    "bingx": "swapV3PrivateGetUserBalance",
    "bitget": "privateMixGetV2MixAccountAccounts",
    "bybit": "privateGetV5AccountInfo",
    "deribit": "privateGetGetAccountSummaries",
    "gate": "privateFuturesGetSettleAccounts",
    "kucoinfutures": "futuresPrivateGetAccountOverview",
    "mexc": "contractPrivateGetAccountAssets",
    "okx": "privateGetAccountConfig",
    "weex": "contractPrivateGetCapiV3AccountBalance",
}
KEY, ADDRESS, RIGHTS, TIME = "does not accept the key", "from this address", "does not let this key read that", "the time of our requests"
SAID: list[tuple[str, int, dict[str, Any], type[SourceError], str]] = [
    ("binance", 401, {"code": -2014, "msg": "LEAK"}, Refused, KEY),
    ("binance", 400, {"code": -1022, "msg": "LEAK"}, Refused, KEY),
    ("binance", 401, {"code": -2015, "msg": "LEAK"}, Refused, "its rights or this address, and does not say which"),
    ("binance", 400, {"code": -1021, "msg": "LEAK"}, WrongClock, TIME),
    ("binance", 429, {"code": -1003, "msg": "LEAK"}, RateLimited, "fewer requests"),
    ("binance", 418, {"code": -1003, "msg": "LEAK"}, RateLimited, "has banned this address"),
    ("binance", 451, {"code": 0, "msg": "LEAK"}, Refused, "may not serve your region"),
    ("binance", 403, {}, Refused, "it may not serve this address or region, or was asked too often"),
    ("binance", 503, {"code": -1000, "msg": "LEAK"}, Unreachable, "out of order"),
    ("bybit", 200, {"retCode": 10003, "retMsg": "LEAK"}, Refused, KEY),
    ("bybit", 200, {"retCode": 10004, "retMsg": "LEAK"}, Refused, KEY),
    ("bybit", 200, {"retCode": 33004, "retMsg": "LEAK"}, Refused, KEY),
    ("bybit", 200, {"retCode": 10010, "retMsg": "LEAK"}, Refused, ADDRESS),
    ("bybit", 200, {"retCode": 10005, "retMsg": "LEAK"}, Refused, RIGHTS),
    ("bybit", 200, {"retCode": 10002, "retMsg": "LEAK"}, WrongClock, TIME),
    ("bybit", 200, {"retCode": 10006, "retMsg": "LEAK"}, RateLimited, "fewer requests"),
    ("bybit", 200, {"retCode": 10008, "retMsg": "LEAK"}, Refused, "has suspended this account"),
    ("bybit", 200, {"retCode": 10009, "retMsg": "LEAK"}, RateLimited, "has banned this address"),
    ("bybit", 200, {"retCode": 10024, "retMsg": "LEAK"}, Refused, "may not serve your region"),
    ("bybit", 403, {}, Refused, "or was asked too often"),
    ("okx", 401, {"code": "50111", "msg": "LEAK"}, Refused, KEY),
    ("okx", 401, {"code": "50113", "msg": "LEAK"}, Refused, KEY),
    ("okx", 401, {"code": "50105", "msg": "LEAK"}, Refused, KEY),
    ("okx", 401, {"code": "50101", "msg": "LEAK"}, Refused, "of another environment"),
    ("okx", 401, {"code": "50110", "msg": "LEAK"}, Refused, ADDRESS),
    ("okx", 401, {"code": "50120", "msg": "LEAK"}, Refused, RIGHTS),
    ("okx", 401, {"code": "50102", "msg": "LEAK"}, WrongClock, TIME),
    ("okx", 401, {"code": "50112", "msg": "LEAK"}, WrongClock, TIME),
    ("okx", 429, {"code": "50011", "msg": "LEAK"}, RateLimited, "fewer requests"),
    ("okx", 503, {"code": "50001", "msg": "LEAK"}, Unreachable, "is in maintenance"),
    ("okx", 200, {"code": "50100", "msg": "LEAK"}, Refused, "has suspended"),
    ("bingx", 200, {"code": 100413, "msg": "LEAK"}, Refused, KEY),
    ("bingx", 200, {"code": 100001, "msg": "LEAK"}, Refused, KEY),
    ("bingx", 200, {"code": 100419, "msg": "LEAK"}, Refused, ADDRESS),
    ("bingx", 200, {"code": 100004, "msg": "LEAK"}, Refused, RIGHTS),
    ("bingx", 200, {"code": 100414, "msg": "LEAK"}, Refused, "has suspended"),
    ("bingx", 200, {"code": 100410, "msg": "LEAK"}, RateLimited, "fewer requests"),
    ("weex", 400, {"code": -1044, "msg": "LEAK"}, Refused, KEY),
    ("weex", 400, {"code": -1056, "msg": "LEAK"}, Refused, ADDRESS),
    ("weex", 400, {"code": -1052, "msg": "LEAK"}, Refused, RIGHTS),
    ("weex", 400, {"code": -1046, "msg": "LEAK"}, WrongClock, TIME),
    ("mexc", 200, {"success": False, "code": 602, "message": "LEAK"}, Refused, KEY),
    ("mexc", 200, {"success": False, "code": 406, "message": "LEAK"}, Refused, ADDRESS),
    ("mexc", 200, {"success": False, "code": 701, "message": "LEAK"}, Refused, RIGHTS),
    ("mexc", 200, {"success": False, "code": 510, "message": "LEAK"}, RateLimited, "fewer requests"),
    ("mexc", 200, {"success": False, "code": 801, "message": "LEAK"}, Unreachable, "is in maintenance"),
    ("gate", 401, {"label": "INVALID_KEY", "message": "LEAK"}, Refused, KEY),
    ("gate", 403, {"label": "IP_FORBIDDEN", "message": "LEAK"}, Refused, ADDRESS),
    ("gate", 403, {"label": "FORBIDDEN", "message": "LEAK"}, Refused, RIGHTS),
    ("gate", 401, {"label": "REQUEST_EXPIRED", "message": "LEAK"}, WrongClock, TIME),
    ("gate", 429, {"label": "TOO_MANY_REQUESTS", "message": "LEAK"}, RateLimited, "fewer requests"),
    ("bitget", 400, {"code": "40006", "msg": "LEAK"}, Refused, KEY),
    ("bitget", 400, {"code": "40018", "msg": "LEAK"}, Refused, ADDRESS),
    ("bitget", 400, {"code": "40014", "msg": "LEAK"}, Refused, RIGHTS),
    ("bitget", 400, {"code": "40008", "msg": "LEAK"}, WrongClock, TIME),
    ("kucoinfutures", 401, {"code": "400003", "msg": "LEAK"}, Refused, KEY),
    ("kucoinfutures", 401, {"code": "400006", "msg": "LEAK"}, Refused, ADDRESS),
    ("kucoinfutures", 401, {"code": "400007", "msg": "LEAK"}, Refused, RIGHTS),
    ("kucoinfutures", 401, {"code": "400002", "msg": "LEAK"}, WrongClock, TIME),
    ("deribit", 400, {"error": {"code": 13004, "message": "LEAK"}}, Refused, KEY),
    ("deribit", 400, {"error": {"code": 13021, "message": "LEAK"}}, Refused, RIGHTS),
    ("deribit", 429, {"error": {"code": 10028, "message": "LEAK"}}, RateLimited, "fewer requests"),
    # codes that are on no list: ccxt's classes and statuses decide, and the code is not shown
    ("okx", 401, {"code": "50104", "msg": "LEAK"}, Refused, KEY),
    ("bitget", 400, {"code": "40301", "msg": "LEAK"}, Refused, "does not let this key read that, or not from this address"),
    ("gate", 401, {"label": "4711", "message": "LEAK"}, Refused, KEY),
]


NOTHING = Reply(200, {})


@dataclass
class Refusing(Double):
    """A server that says one thing to everybody."""

    id: ClassVar[str] = "none"
    said: Reply = NOTHING

    def reply(self, request: Request) -> Reply:
        return self.said


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status", "body", "error", "says"), SAID, ids=lambda value: value if isinstance(value, str) else None)
def test_one_line_with_a_remedy(name: str, status: int, body: dict[str, Any], error: type[SourceError], says: str) -> None:
    with serving(Refusing(said=Reply(status, body))) as url:
        keys = {"apiKey": "k" * 32, "secret": "s" * 32, "password": "p"}
        line = CcxtLine(name, Deadline(3), url, keys, "Venue", exact=True)
        method = getattr(line.exchange, PRIVATE[name])
        with pytest.raises(error) as fault:
            line.call(lambda: method({"settle": "usdt"}) if name == "gate" else method())
        line.close()
    text = str(fault.value)
    assert says in text
    assert fault.value.hint
    for word in ("LEAK", "http://", "\n", "kkkk", "ssss", "4711"):
        assert word not in text
    assert text.startswith("Venue ")
    assert len(text) < 230
    code = str(next(iter(body.values()), ""))
    if code in {known for _, known in vars(refusals)["_BY_CODE"]}:
        assert f"code {code}" in text


def asked(name: str, reply: Reply) -> str:
    """What is said of an answer of that exchange to a private question."""
    with serving(Refusing(said=reply)) as url:
        line = CcxtLine(name, Deadline(3), url, {"apiKey": "k" * 32, "secret": "s" * 32}, "Venue", exact=True)
        with pytest.raises(SourceError) as fault:
            line.call(getattr(line.exchange, PRIVATE[name]))
        line.close()
    return str(fault.value)


def test_a_code_that_is_on_no_list_is_shown_where_it_is_short_and_a_number() -> None:
    assert "cannot be used (HTTP 200, BadRequest, code 100400)" in asked("bingx", Reply(200, {"code": 100400, "msg": "LEAK"}))
    for code in ("SECRET-7", "4711471147114711"):
        assert "cannot be used (HTTP 200, ExchangeError)" in asked("bingx", Reply(200, {"code": code, "msg": "LEAK"}))


def test_a_bare_403_is_no_rate_limit() -> None:
    assert "may not serve this address or region" in asked("bybit", Reply(403, b"<html>403 Forbidden</html>"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", ""), (b"[]", ""), (b"{", ""), (b"[" * 9_000, ""), (b'{"code": true}', ""), (b'{"code": {"a": 1}}', ""),
        (b'{"code": 1e9}', ""),
        (b'{"code": "a b"}', ""), (b'{"code": "\\u001b[2J"}', ""), (b'{"code": "' + b"9" * 50 + b'"}', ""), (b'{"code": -1}', "-1"),
        (b'{"error": {"code": 5}, "code": 1}', "5"), (b'{"label": "X_Y"}', "X_Y"), (b'{"retCode": 0}', "0"),
        (b'{"a":"' + b"x" * 20_000, ""),
    ],
)  # fmt: skip
def test_codes_in_bodies(body: bytes, code: str) -> None:
    assert refusals.code_of(body) == code


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, {}, None), ({"Retry-After": "7"}, {"msg": "until 1700000600000"}, 7), ({}, {"msg": "IP banned until 1700000600000."}, 600),
        ({}, {"msg": "until 99"}, None), ({"gw-ratelimit-reset": "2500"}, {}, 2.5), ({"gw-ratelimit-reset": "x"}, {}, None),
        ({"x-bapi-limit-reset-timestamp": "1700000060000"}, {}, 60), ({"x-gate-ratelimit-reset-timestamp": "1700000009"}, {}, 9),
        ({"x-bapi-limit-reset-timestamp": "9" * 30}, {}, None), ({}, {"msg": "until 1600000000000"}, 0),
    ],
)  # fmt: skip
def test_how_long_to_wait(headers: dict[str, str], body: dict[str, str], seconds: float | None) -> None:
    assert refusals.wait_of(headers, json.dumps(body).encode(), 1_700_000_000.0) == seconds
