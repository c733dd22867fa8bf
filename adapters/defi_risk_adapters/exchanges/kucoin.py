"""KuCoin futures, classic account: one wallet per settling coin, with isolated and cross positions.

An isolated position is judged by its notional at entry: it dies when `posMargin` + profit is down to `posMaint`, which its price does not
move. What cross positions need is told for the wallet alone, as `riskRatio` = maintenance / (equity less what is isolated): their rates
rise with the size by a formula of each contract, so the present requirement is spread over them by notional, and held. The unified account
is named, and unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.ids import USD
from defi_risk.model import Account, Basis, Contract, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import accounted
from defi_risk_adapters.exchanges.common import TRIES, ZERO, notional, per_8h, profit, same_digits, steady
from defi_risk_adapters.exchanges.generic import (
    MOST,
    OF_ONE_MOMENT,
    ONE,
    Figures,
    Line,
    cross,
    distinct,
    equity_of,
    isolated,
    optional,
    quote_of,
    shown_price,
    total,
    unread,
)

WALLETS: Final = ("USDT", "USDC", "XBT")
COINS: Final = {"XBT": "BTC"}
"""Codes of KuCoin's that are not those of everybody else."""
HELD: Final = "maintenance of the cross positions in {} is KuCoin's present one, held as a share of the notional: rates rise with the size"
ORDERS: Final = "margin of open orders in {} is counted as free: KuCoin does not tell whether it is that of isolated ones"
READS: Final = frozenset({"General"})
TRADES: Final = frozenset({"Spot", "Margin", "Futures", "Unified", "Trade", "Earn", "Convert"})
MOVES: Final = frozenset({"Transfer", "Withdraw", "Withdrawal", "InnerTransfer", "FlexTransfers", "FlexTransfer"})
_HOUR: Final = Decimal(3_600_000)


class KucoinFutures:
    """Wallets in USDT, USDC and BTC, and in whatever else there are positions."""

    names: ClassVar = ("kucoinfutures",)
    api: ClassVar = API
    venue: ClassVar = "KuCoin"
    needs: ClassVar = ("apiKey", "secret", "password")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", ("GET /api/v1/timestamp",), private=False),
        "mode": ExchangeRead("utaPrivateGetAccountMode", ("GET /api/ua/v1/account/mode",), kept=600),
        "wallets": ExchangeRead("futuresPrivateGetAccountOverview", ("GET /api/v1/account-overview",), kept=600),
        "wallet": ExchangeRead("futuresPrivateGetAccountOverview", ("GET /api/v1/account-overview",)),
        "positions": ExchangeRead("futuresPrivateGetPositions", ("GET /api/v1/positions",)),
        "contract": ExchangeRead("futuresPublicGetContractsSymbol", ("GET /api/v1/contracts/{}",), kept=600, private=False),
        "rights": ExchangeRead("privateGetUserApiKey", ("GET /api/v1/user/api-key",)),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Every wallet that holds something, with its positions."""
        [given] = yield [ExchangeCall("mode")]
        mode = Answer(given, "mode")["data"]["selfAccountMode"].text()
        if mode != "CLASSIC":
            raise Unsupported(f"KuCoin's account in mode {mode!r} is not modelled", hint="only the classic account is")
        found = yield [_wallet("wallets", coin) for coin in WALLETS]
        live = [coin for coin, one in zip(WALLETS, found, strict=True) if _funded(one)]
        if not live:  # what was kept must not stand for an empty account
            found = yield [_wallet("wallet", coin) for coin in WALLETS]
            live = [coin for coin, one in zip(WALLETS, found, strict=True) if _funded(one)]
        if not live:  # a position may settle in a coin whose wallet was not looked at
            [listed] = yield [ExchangeCall("positions")]
            live = list(dict.fromkeys(_settles(listed)))
        if not live:
            return []
        live, balances, listed = yield from _of_one_moment(live)
        settles = set(_settles(listed))
        if empty := [coin for coin, one in zip(live, balances, strict=True) if coin in settles and not _funded(one)]:
            raise BadAnswer(f"KuCoin lists positions in {empty[0]}, and a wallet of it that holds nothing")
        rows = _open(listed)
        names = list(dict.fromkeys(row["symbol"].text() for row in rows))
        answers = (yield [ExchangeCall("contract", (("symbol", name),)) for name in names]) if names else []
        contracts = {name: Answer(one, "contract")["data"] for name, one in zip(names, answers, strict=True)}
        lines = distinct(_line(row, contracts[row["symbol"].text()]) for row in rows)
        given_by = {line.name: row for line, row in zip(lines, rows, strict=True)}
        accounts: list[Account | SourceReport] = []
        for coin, balance in zip(live, balances, strict=True):
            mine = [line for line in lines if given_by[line.name]["settleCurrency"].text() == coin]
            accounts += self._accounts(at, coin, Answer(balance, "account")["data"], mine, given_by)
        return accounts

    def _accounts(self, at: Desk, settle: str, row: Answer, lines: Sequence[Line], given: Mapping[str, Answer]) -> list[Account]:
        if row["currency"].text() != settle:
            raise BadAnswer(f"KuCoin tells of a wallet of {row['currency'].text()} where {settle} was asked for")
        coin = COINS.get(settle, settle)
        price = next((line.position.mark for line in lines if line.position.contract is Contract.INVERSE), None)
        apart = [line for line in lines if line.margin is not None]
        shared = [line for line in lines if line.margin is None]
        accounted(coin, lines, row["unrealisedPNL"], row["positionMargin"])
        accounted(coin, shared, row["riskRatio"])
        wallet = row["marginBalance"].decimal(-MOST, MOST)
        balance = EXACT.subtract(wallet, total(line.margin or ZERO for line in apart))
        accounts = [isolated(at, self.venue, coin, coin, line, figures=_isolated(line, given[line.name]), price=price) for line in apart]
        if not balance and not shared:
            return accounts
        says: list[str] = []
        ours = {"marginBalance": str(row["marginBalance"].value), "accountEquity": str(row["accountEquity"].value)}
        theirs = dict(ours)
        ours["accountEquity"] = same_digits(total([wallet, *(profit(line.position) for line in lines)]), theirs["accountEquity"])
        if shared:
            ratio = row["riskRatio"].decimal(-MOST, MOST)
            if not ratio:
                raise Unsupported(f"KuCoin tells no risk ratio of the cross positions in {settle}")
            needs = EXACT.multiply(ratio, max(equity_of(balance, shared), ZERO))
            if needs <= 0:
                reason = f"the cross margin in {settle} is used up, and what its positions need is not told"
                return [*accounts, unread(at, self.venue, [coin], reason)]
            rate = EXACT.divide(needs, total(notional(line.position) for line in shared))
            shared = [_asking(line, rate) for line in shared]
            theirs["riskRatio"] = str(row["riskRatio"].value)
            ours["riskRatio"] = same_digits(EXACT.divide(needs, equity_of(balance, shared)), theirs["riskRatio"])
            says = [HELD.format(settle), *([ORDERS.format(settle)] if optional(row, "orderMargin") else [])]
        figures = Figures(ours=ours, theirs=theirs, scale=max(abs(wallet), Decimal("0.000001")))
        accounts.append(cross(at, self.venue, [coin], coin, balance, shared, figures=figures, price=price, priced=False, assumptions=says))
        return accounts

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """From the names of the key's permissions."""
        [given] = yield [ExchangeCall("rights")]
        data = Answer(given, "rights")["data"]
        names = {name.strip() for name in data["permission"].text(500).split(",") if name.strip()}
        known = bool(names) and names <= READS | TRADES | MOVES
        trade, withdraw = bool(names & TRADES), bool(names & MOVES)
        addresses = data.get("ipWhitelist")
        bound = None if addresses is None else bool(addresses.text(2_000).strip())
        return KeyRights(trade, withdraw, bound) if known else KeyRights(trade or None, withdraw or None, bound)


def _of_one_moment(live: Sequence[str]) -> Requests[tuple[list[str], Sequence[Any], Any]]:
    """Wallets with their balances, and all positions. A coin that a position settles in joins the wallets, which are then read anew."""
    known = list(live)
    for _ in range(TRIES):
        balances, [listed] = yield from steady([_wallet("wallet", coin) for coin in known], lambda _: [ExchangeCall("positions")], _held)
        lost = [coin for coin in dict.fromkeys(_settles(listed)) if coin not in known]
        if not lost:
            return known, balances, listed
        known += lost
    raise BadAnswer("KuCoin lists positions in other coins each time that it is asked")


def _wallet(read: str, coin: str) -> ExchangeCall:
    return ExchangeCall(read, (("currency", coin),))


def _open(listed: object) -> list[Answer]:
    return [row for row in Answer(listed, "positions")["data"].listing() if row["currentQty"].decimal(-MOST, MOST)]


def _settles(listed: object) -> list[str]:
    """Coins that open positions settle in."""
    return [row["settleCurrency"].text() for row in _open(listed)]


def _funded(given: object) -> bool:
    row = Answer(given, "account")["data"]
    fields = ("accountEquity", "marginBalance", "positionMargin", "orderMargin", "unrealisedPNL")
    return any(row[field].decimal(-MOST, MOST) for field in fields)


def _held(given: Sequence[Any]) -> object:
    return [Answer(one, "account")["data"]["marginBalance"].decimal(-MOST, MOST) for one in given]


def _line(row: Answer, contract: Answer) -> Line:
    symbol, size = row["symbol"].text(), row["currentQty"].decimal(-MOST, MOST)
    if contract["symbol"].text() != symbol or contract["settleCurrency"].text() != row["settleCurrency"].text():
        raise BadAnswer(f"KuCoin's contract {contract['symbol'].text()!r} is not that of the position in {symbol!r}")
    inverse = contract["isInverse"].flag()
    crossed = row["crossMode"].flag()
    mode = row.get("marginMode")
    if mode is not None and mode.text() != ("CROSS" if crossed else "ISOLATED"):
        raise Unsupported(f"KuCoin's margin mode {mode.text()!r} of {symbol} is not known")
    told = row.get("positionSide")
    side = told.text() if told is not None else "BOTH"
    if side not in ("BOTH", "LONG", "SHORT") or (side != "BOTH" and (size > 0) != (side == "LONG")):
        raise Unsupported(f"KuCoin's position side {side!r} of {size} contracts in {symbol} is not known")
    base = contract["baseCurrency"].text()
    worth = EXACT.multiply(size, abs(contract["multiplier"].decimal(-MOST, MOST)))
    rate, expires = optional(contract, "fundingFeeRate"), optional(contract, "expireDate")
    position = Position(
        size=worth,
        entry=row["avgEntryPrice"].decimal(0, MOST),
        mark=row["markPrice"].decimal(0, MOST),
        quote=USD if inverse else quote_of(contract, "quoteCurrency", "settleCurrency"),
        contract=Contract.INVERSE if inverse else Contract.LINEAR,
        tiers=(Tier(ZERO, ZERO, ZERO),),
        initial_rate=ZERO,
        funding_8h=None if rate is None or expires else per_8h(rate, EXACT.divide(contract["fundingRateGranularity"].decimal(1), _HOUR)),
        unrealized_pnl=row["unrealisedPnl"].decimal(-MOST, MOST),
        expires=int(expires // 1_000) if expires else None,
        index=optional(contract, "indexPrice"),
    )
    if crossed:
        lever = EXACT.divide(ONE, row["leverage"].decimal(Decimal("0.01"), 1_000))
        position = replace(position, initial_rate=lever)
    else:
        at_entry = notional(position, position.entry)
        need, initial = row["posMaint"].decimal(0, MOST), abs(row["posInit"].decimal(-MOST, MOST))
        tier = Tier(ZERO, EXACT.divide(need, at_entry), ZERO)
        position = replace(position, tiers=(tier,), basis=Basis.ENTRY, initial_rate=EXACT.divide(initial, at_entry))
    return Line(
        symbol=symbol,
        coin=COINS.get(base, base),
        position=position,
        side=side.lower() if side != "BOTH" else "",
        margin=None if crossed else row["posMargin"].decimal(-MOST, MOST),
        shown=shown_price(row, "liquidationPrice"),
    )


def _asking(line: Line, rate: Decimal) -> Line:
    return replace(line, position=replace(line.position, tiers=(Tier(ZERO, rate, ZERO),)))


def _isolated(line: Line, row: Answer) -> Figures:
    """What is left of the margin, and what the position needs."""
    theirs = {f"maintMargin:{line.name}": str(row["maintMargin"].value), f"posMaint:{line.name}": str(row["posMaint"].value)}
    left = same_digits(equity_of(line.margin or ZERO, [line]), str(row["maintMargin"].value))
    ours = {f"maintMargin:{line.name}": left, f"posMaint:{line.name}": str(row["posMaint"].value)}
    return Figures(ours=ours, theirs=theirs, tolerance=OF_ONE_MOMENT)
