"""What an exchange means when it refuses: its own codes where each stands for one thing, ccxt's classes of errors for the rest.

Codes are from the exchanges' published error lists. A code that an exchange uses for several causes says all of them: it is better than
a wrong one. No sentence here holds anything that the exchange said but such a code, which is on the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, cast

from defi_risk.errors import RateLimited, Refused, SourceError, Unreachable, WrongClock
from defi_risk.sources.faults import seconds_of

BAN: Final = 120.0
"""Seconds to leave an exchange alone that has banned this address and does not say for how long."""
LULL: Final = 10.0
"""The same of one that asks for fewer requests."""

LARGEST_ERROR: Final = 16_384
"""Bytes of an answer that may be an error: larger ones are not looked into."""
_CODE: Final = re.compile(r"-?[A-Za-z0-9_]{1,40}")
_UNTIL: Final = re.compile(rb"until\D{0,3}(1[0-9]{12})\b")
_RESETS: Final = {"x-bapi-limit-reset-timestamp": 1_000.0, "x-gate-ratelimit-reset-timestamp": 1.0}
_LEFT: Final = "gw-ratelimit-reset"  # of KuCoin: the milliseconds that remain


class Refusal(Enum):
    """Why an exchange does not answer."""

    KEY = "key"
    ADDRESS = "address"
    RIGHTS = "rights"
    DENIED = "address or rights"
    ANY = "key, address or rights"
    ENVIRONMENT = "another environment's key"
    SUSPENDED = "suspended"
    REGION = "region"
    CLOCK = "clock"
    RATE = "rate"
    BANNED = "banned"
    MAINTENANCE = "maintenance"
    DISORDER = "out of order"


_BINANCE: Final = {
    Refusal.KEY: ("-2014", "-2008", "-1022"),
    Refusal.ANY: ("-2015",),
    Refusal.CLOCK: ("-1021",),
    Refusal.RATE: ("-1003", "-1008", "-1015"),
}
_KINDS: Final[dict[str, Mapping[Refusal, tuple[str, ...]]]] = {
    "binance": _BINANCE,
    "aster": {**_BINANCE, Refusal.ADDRESS: ("-1011",), Refusal.SUSPENDED: ("-2023",)},
    "bybit": {
        Refusal.KEY: ("10003", "10004", "10007", "33004"),
        Refusal.ADDRESS: ("10010",),
        Refusal.RIGHTS: ("10005", "10028", "100028"),
        Refusal.SUSPENDED: ("10008", "10027"),
        Refusal.REGION: ("10024",),
        Refusal.CLOCK: ("10002",),
        Refusal.RATE: ("10006", "10018"),
        Refusal.BANNED: ("10009",),
        Refusal.DISORDER: ("10000", "10016"),
    },
    "okx": {
        Refusal.KEY: ("50103", "50104", "50105", "50106", "50107", "50111", "50113", "50114", "50119"),
        Refusal.ADDRESS: ("50110",),
        Refusal.RIGHTS: ("50030", "50120"),
        Refusal.ENVIRONMENT: ("50101",),
        Refusal.SUSPENDED: ("50007", "50009", "50100"),
        Refusal.CLOCK: ("50102", "50112"),
        Refusal.RATE: ("50011", "50061"),
        Refusal.MAINTENANCE: ("50001",),
    },
    "bingx": {
        Refusal.KEY: ("100001", "100412", "100413"),
        Refusal.ADDRESS: ("100419",),
        Refusal.RIGHTS: ("100004",),
        Refusal.SUSPENDED: ("100414",),
        Refusal.RATE: ("100410",),
        Refusal.DISORDER: ("100500",),
    },
    "weex": {
        Refusal.KEY: ("-1040", "-1041", "-1042", "-1044", "-1047", "-1049"),
        Refusal.ADDRESS: ("-1056",),
        Refusal.RIGHTS: ("-1051", "-1052", "-1053"),
        Refusal.SUSPENDED: ("-1050", "-1055", "-1057"),
        Refusal.CLOCK: ("-1043", "-1046"),
        Refusal.DISORDER: ("-1054",),
    },
    "mexc": {
        Refusal.KEY: ("401", "402", "602", "700001", "700002", "10072"),
        Refusal.ADDRESS: ("406", "700006"),
        Refusal.RIGHTS: ("511", "701", "702", "703", "704", "700007"),
        Refusal.CLOCK: ("513", "700003", "700005"),
        Refusal.RATE: ("510",),
        Refusal.MAINTENANCE: ("604", "801"),
        Refusal.DISORDER: ("500", "501"),
    },
    "gate": {
        Refusal.KEY: ("INVALID_CREDENTIALS", "INVALID_KEY", "INVALID_SIGNATURE", "MISSING_REQUIRED_HEADER", "AUTHENTICATION_FAILED"),
        Refusal.ADDRESS: ("IP_FORBIDDEN",),
        Refusal.RIGHTS: ("FORBIDDEN", "READ_ONLY"),
        Refusal.SUSPENDED: ("ACCOUNT_LOCKED", "SUB_ACCOUNT_LOCKED"),
        Refusal.CLOCK: ("REQUEST_EXPIRED",),
        Refusal.RATE: ("TOO_FAST", "TOO_MANY_REQUESTS"),
    },
    "bitget": {
        Refusal.KEY: ("40001", "40002", "40003", "40006", "40009", "40011", "40012", "40037"),
        Refusal.ADDRESS: ("40018",),
        Refusal.RIGHTS: ("40014",),
        Refusal.ENVIRONMENT: ("40099",),
        Refusal.SUSPENDED: ("40031",),
        Refusal.REGION: ("40024",),
        Refusal.CLOCK: ("40004", "40005", "40008"),
        Refusal.MAINTENANCE: ("40200", "40308"),
    },
    "kucoin": {
        Refusal.KEY: ("400001", "400003", "400004", "400005"),
        Refusal.ADDRESS: ("400006",),
        Refusal.RIGHTS: ("400007",),
        Refusal.SUSPENDED: ("411100",),
        Refusal.CLOCK: ("400002",),
        Refusal.RATE: ("429000",),
    },
    "deribit": {
        Refusal.KEY: ("13004", "13009"),
        Refusal.RIGHTS: ("9999", "13021"),
        Refusal.SUSPENDED: ("13002",),
        Refusal.RATE: ("10028",),
        Refusal.MAINTENANCE: ("11051",),
    },
    "lighter": {Refusal.RATE: ("23000", "23001", "23002", "23003")},
}
_BY_CODE: Final = {(exchange, code): kind for exchange, kinds in _KINDS.items() for kind, codes in kinds.items() for code in codes}


_REFUSED: Final = {
    Refusal.KEY: ("does not accept the key", "check key, secret and password, and that the key is live"),
    Refusal.ADDRESS: ("does not accept the key from this address", "add this machine's address to those that the key is bound to"),
    Refusal.RIGHTS: ("does not let this key read that", "allow the key to read this kind of account, and nothing else"),
    Refusal.DENIED: (
        "does not let this key read that, or not from this address",
        "allow the key to read this account, and this machine's address if the key is bound to addresses",
    ),
    Refusal.ANY: (
        "does not accept the key, its rights or this address, and does not say which",
        "check key and secret, that the key may read futures, and the addresses that it is bound to",
    ),
    Refusal.ENVIRONMENT: (
        "does not know the key: it is of another environment (demo, test or region)",
        "make a key of the live exchange, at the domain where the account is",
    ),
    Refusal.SUSPENDED: ("has suspended this account or its key", "ask the exchange"),
    Refusal.REGION: ("refuses to answer", "it may not serve your region: name another one"),
}


def error_of(kind: Refusal, name: str, said: str, wait: float | None, *, keyed: bool) -> SourceError:
    """One line for each reason to be refused, with what can be done about it. `said`: status and code in brackets; `keyed`: with a key."""
    match kind:
        case Refusal.RATE | Refusal.BANNED:
            banned = kind is Refusal.BANNED
            asks = "has banned this address for a while: it was asked too often" if banned else "asks for fewer requests"
            told = f"wait {wait:.0f} s" if wait else "wait a while"
            pause = wait if wait is not None else BAN if banned else LULL
            return RateLimited(f"{name} {asks}{said}", source=name, hint=told, retry_after=pause)
        case Refusal.CLOCK:
            return WrongClock(f"{name} refuses the time of our requests{said}", source=name, hint="set this machine's clock")
        case Refusal.MAINTENANCE:
            return Unreachable(f"{name} is in maintenance{said}", source=name, hint="try again later")
        case Refusal.DISORDER:
            return Unreachable(f"{name} is out of order{said}", source=name, hint="try again later")
        case _:
            what, remedy = _REFUSED[kind if keyed or kind is not Refusal.KEY else Refusal.REGION]
            return Refused(f"{name} {what}{said}", source=name, hint=remedy)


def by_code(family: tuple[str, ...], code: str) -> Refusal | None:
    """What a code means at an exchange of that family (its ccxt id, and those of the exchanges that it is a kind of)."""
    return next((_BY_CODE[name, code] for name in family if (name, code) in _BY_CODE), None)


def by_class(ccxt: Any, error: Exception) -> Refusal | None:
    """What one of ccxt's exceptions means."""
    kinds = (
        (ccxt.RateLimitExceeded, Refusal.RATE),
        (ccxt.DDoSProtection, Refusal.RATE),
        (ccxt.InvalidNonce, Refusal.CLOCK),
        (ccxt.OnMaintenance, Refusal.MAINTENANCE),
        (ccxt.RestrictedLocation, Refusal.REGION),
        (ccxt.AccountSuspended, Refusal.SUSPENDED),
        (ccxt.AccountNotEnabled, Refusal.RIGHTS),
        (ccxt.PermissionDenied, Refusal.DENIED),
        (ccxt.AuthenticationError, Refusal.KEY),
    )
    return next((kind for known, kind in kinds if isinstance(error, known)), None)


def code_of(body: bytes) -> str:
    """The code in an error's body, wherever exchanges put it; empty where there is none. Not to be shown unless it is on our list."""
    if not 0 < len(body) <= LARGEST_ERROR:
        return ""
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(told, dict):
        return ""
    fields = cast("dict[str, Any]", told)
    inner: Any = fields.get("error")
    if isinstance(inner, dict):
        fields = cast("dict[str, Any]", inner)
    found = next((fields[name] for name in ("code", "retCode", "label") if name in fields), "")
    text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    return text if _CODE.fullmatch(text) else ""


def wait_of(headers: Mapping[str, str], body: bytes, wall: float) -> float | None:
    """Seconds that an exchange asks to wait, by `Retry-After`, its own header, or "banned until" a time; None where it does not say."""
    asked = seconds_of(headers.get("Retry-After") or "", wall)
    if asked is not None:
        return asked
    if (until := _UNTIL.search(body[:LARGEST_ERROR])) is not None:
        return max(0.0, int(until[1]) / 1_000 - wall)
    for name, unit in _RESETS.items():
        if (text := headers.get(name, "")).isascii() and text.isdigit() and len(text) < 16:
            return max(0.0, int(text) / unit - wall)
    left = headers.get(_LEFT, "")
    return int(left) / 1_000 if left.isascii() and left.isdigit() and len(left) < 10 else None
