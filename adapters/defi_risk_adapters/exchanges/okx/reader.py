"""OKX trading accounts, by account mode (`acctLv`): spot, futures (one coin, one account), multi-currency, portfolio margin.

The mode is read anew with every scan. A scan is mode, balance, positions, balance; contracts, tiers, discounts, fees and funding are kept.
Funding wallets, earn products and bots' own equity are outside: none of them is margin here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import Unsupported
from defi_risk.model import Account, KeyRights, SourceReport
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk_adapters.exchanges.common import steady
from defi_risk_adapters.exchanges.okx import futures, pooled
from defi_risk_adapters.exchanges.okx.contracts import Tables, add_up
from defi_risk_adapters.exchanges.okx.published import Bracket, Fees, brackets, discounts, funding, settles_in
from defi_risk_adapters.exchanges.okx.records import CONTRACTS, Balance, Config, Held, deposits, holdings, positions, rows

RIGHTS: Final = frozenset(("read_only", "trade", "withdraw"))
DAY_PART: Final = 21_600
_ACCOUNT: Final = "GET /api/v5/account/"
_PUBLIC: Final = "GET /api/v5/public/"


class Okx:
    """One key's trading account: a sub-account is an exchange of its own in the book, with its own key."""

    names: ClassVar = ("okx",)
    api: ClassVar = API
    venue: ClassVar = futures.VENUE
    needs: ClassVar = ("apiKey", "secret", "password")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", (_PUBLIC + "time",), private=False),
        "config": ExchangeRead("privateGetAccountConfig", (_ACCOUNT + "config",)),
        "balance": ExchangeRead("privateGetAccountBalance", (_ACCOUNT + "balance",)),
        "positions": ExchangeRead("privateGetAccountPositions", (_ACCOUNT + "positions",)),
        "fees": ExchangeRead("privateGetAccountTradeFee", (_ACCOUNT + "trade-fee",), kept=DAY_PART),
        "instruments": ExchangeRead("publicGetPublicInstruments", (_PUBLIC + "instruments",), kept=DAY_PART, private=False),
        "tiers": ExchangeRead("publicGetPublicPositionTiers", (_PUBLIC + "position-tiers",), kept=DAY_PART, private=False),
        "discounts": ExchangeRead(
            "publicGetPublicDiscountRateInterestFreeQuota", (_PUBLIC + "discount-rate-interest-free-quota",), kept=DAY_PART, private=False
        ),
        "funding": ExchangeRead("publicGetPublicFundingRate", (_PUBLIC + "funding-rate",), kept=600, private=False),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Every margin account of the trading account."""
        [given] = yield [ExchangeCall("config")]
        config = Config.of(given)
        [told], [listed] = yield from steady([ExchangeCall("balance")], lambda _: [ExchangeCall("positions")], holdings)
        balance, held = Balance.of(told), positions(listed, config)
        tables, notes = yield from _tables(config, balance, held)
        empty = deposits(listed)
        add_up(balance, held, tables, empty)
        notes += [f"{code} {margin:f} of isolated margin is left out: there is no position that it backs" for code, margin in empty.items()]
        notes += [f"{coin.code} is left out: OKX values it at nothing" for coin in balance.coins.values() if coin.worthless]
        bots = [coin for coin in balance.coins.values() if coin.strategies]
        notes += [f"{coin.code} {coin.strategies:f} of bots is left out: it is no margin" for coin in bots]
        report = SourceReport(id=at.name, kind="exchange", as_of=balance.updated, notes=tuple(notes))
        alone = [futures.isolated(at, config.level, balance, each, tables) for each in held if each.isolated]
        together = [each for each in held if not each.isolated]
        if config.level == "futures":
            return [*_by_coin(at, balance, together, tables), *alone, report]
        if config.level == "spot" and held:
            raise Unsupported(f"the account is in spot mode, but holds {held[0].symbol}")
        if config.level == "spot" and pooled.idle(balance):
            return [replace(report, notes=("the account is in spot mode and owes nothing: no margin account",))]
        if not balance.coins and not together:
            return [*alone, report]
        return [pooled.account(at, config.level, balance, together, tables), *alone, report]

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """What the key may do, in its own words (`perm`); where there are words that nobody knows, what they do not name is not told."""
        [given] = yield [ExchangeCall("config")]
        [row] = Answer(given, "account/config")["data"].exactly(1)
        told, address = row.get("perm"), row.get("ip")
        words = {word.strip() for word in told.text(200).split(",")} - {""} if told is not None else set[str]()
        bound = None if address is None else bool(address.text(4_000).strip())
        if not words:
            return KeyRights(bound=bound)
        unnamed = False if words <= RIGHTS else None
        return KeyRights("trade" in words or unnamed, "withdraw" in words or unnamed, bound)


def _by_coin(at: Desk, balance: Balance, held: Sequence[Held], tables: Tables) -> list[Account]:
    """The cross accounts of futures mode: of each coin that there is, or that a position is in. One whose margin is in another coin than
    its contract settles in is in both, and makes both unknown.
    """
    funded = [code for code, coin in balance.coins.items() if coin.cash and not coin.worthless]
    coins = [(each, {each.coin, _settle(each, tables)} - {""}) for each in held]
    if nowhere := [each.symbol for each, codes in coins if not codes]:
        raise Unsupported(f"OKX tells no coin that {nowhere[0]} has its margin in")
    codes = dict.fromkeys([*funded, *(code for _, mine in coins for code in sorted(mine))])
    return [futures.cross(at, code, balance.coins.get(code), [each for each, mine in coins if code in mine], tables) for code in codes]


def _settle(held: Held, tables: Tables) -> str:
    row = tables.instruments.get(held.symbol)
    return "" if row is None else settles_in(row, held.coin)


def _tables(config: Config, balance: Balance, held: Sequence[Held]) -> Requests[tuple[Tables, list[str]]]:
    """What OKX publishes of what is held, and notes of what could not be read: each is done without in its own way."""
    notes: list[str] = []
    kinds = sorted({each.kind for each in held} & set(CONTRACTS))
    instruments = yield from _instruments(held, kinds)
    wanted = {} if config.level == "portfolio" else _families(instruments, held)
    asks = [ExchangeCall("tiers", call, optional=True) for call in wanted.values()]
    asks += [ExchangeCall("fees", (("instType", kind),), optional=True) for kind in kinds]
    asks += [ExchangeCall("funding", (("instId", "ANY"),), optional=True)] if kinds else []
    is_pooled = config.level != "futures" and bool(balance.coins)
    asks += [ExchangeCall("discounts", optional=True)] if is_pooled else []
    if not asks:
        return Tables(instruments), notes
    answers = list((yield asks))
    for ask, answer in zip(asks, answers, strict=True):
        if isinstance(answer, Failed):
            notes.append(f"{ask.read} could not be read: {answer.reason}")
    tiers: dict[tuple[str, bool, str], Sequence[Bracket]] = {}
    for key in wanted:
        answer = answers.pop(0)
        tiers[key] = () if isinstance(answer, Failed) else brackets(answer, key[2])
    fees = {kind: answer for kind in kinds if not isinstance(answer := answers.pop(0), Failed)}
    paid = answers.pop(0) if kinds else Failed("")
    counted = answers.pop(0) if is_pooled else Failed("")
    return Tables(
        instruments,
        tiers,
        {kind: Fees.of(answer) for kind, answer in fees.items()},
        {} if isinstance(paid, Failed) else funding(paid, (each.symbol for each in held)),
        {} if isinstance(counted, Failed) else discounts(counted, balance.coins),
    ), notes


def _instruments(held: Sequence[Held], kinds: Iterable[str]) -> Requests[dict[str, Answer]]:
    """Entries of the contracts held; one that is not in the lists, which may be hours old, is asked for by itself."""
    symbols = {each.symbol: each.kind for each in held if each.kind in CONTRACTS}
    asks = [ExchangeCall("instruments", (("instType", kind),)) for kind in kinds]
    found = _listed((yield asks) if asks else [], symbols)
    missing = [
        ExchangeCall("instruments", (("instType", kind), ("instId", symbol)), optional=True)
        for symbol, kind in symbols.items()
        if symbol not in found
    ]
    if missing:
        found |= _listed([answer for answer in (yield missing) if not isinstance(answer, Failed)], symbols)
    return found


def _listed(answers: Iterable[Any], symbols: Mapping[str, str]) -> dict[str, Answer]:
    return {symbol: row for answer in answers for row in rows(answer, "public/instruments") if (symbol := row["instId"].text()) in symbols}


def _families(instruments: Mapping[str, Answer], held: Sequence[Held]) -> dict[tuple[str, bool, str], tuple[tuple[str, str], ...]]:
    """Position tiers to ask for, by kind of contract, whether isolated, and family."""
    wanted: dict[tuple[str, bool, str], tuple[tuple[str, str], ...]] = {}
    for each in held:
        row = instruments.get(each.symbol)
        family = row.get("instFamily") if row is not None else None
        if family is not None and family.value:
            mode = "isolated" if each.isolated else "cross"
            wanted[each.kind, each.isolated, family.text()] = (
                ("instType", each.kind),
                ("tdMode", mode),
                ("instFamily", family.text()),
            )
    return wanted
