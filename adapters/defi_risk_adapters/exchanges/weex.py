"""WEEX futures: one wallet a settling coin, cross and isolated positions.

The exchange tells neither brackets nor maintenance through its interface, but for each position in danger the price at which it would be
liquidated. That price and its rule (WEEX, "Estimated liquidation price": margin and profit fall to position value * maintenance rate) give
the rate. Both sides of a contract in cross margin are of one rate, on both, and of one such price, by what is left of them against each
other (WEEX Futures Pro, "Estimated liquidation price"). Where it tells none the bundled brackets are used; where there are none of the
contract either, the account is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.model import Account, KeyRights, Position, SourceReport
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import GROWS, account, accounted, implied_rates, index_price, with_rate
from defi_risk_adapters.exchanges.common import ZERO, notional, per_8h, profit, same_digits, steady
from defi_risk_adapters.exchanges.generic import MOST, Figures, Line, distinct, optional, shown_price, side_of, total, unread

ONE: Final = Decimal(1)
FAMILY: Final = "futures"
LISTS: Final = 21_600
FRESH: Final = 60_000
"""Milliseconds that a mark may be old, or early."""
CENTS: Final = Decimal("0.0001")
MINUTES: Final = Decimal(60)
SOME: Final = Decimal("0.01")
"""Tolerance of profit, as a share of equity, or of the value of an isolated position: our marks are those of another answer."""
IMPLIED: Final = "the maintenance rate of {} is the one that the exchange's liquidation price implies: it tells no brackets"
BUNDLED: Final = "the maintenance brackets of {} are those published on {}: the exchange tells none"
FROZEN: Final = "what open orders have frozen ({} {}) is taken to stand behind positions, as the exchange does not say"
WHOLE: Final = "the balance is taken to hold the margin and profit of isolated positions too, as the exchange does not say"


class Weex:
    """Linear perpetual contracts of WEEX."""

    names: ClassVar[tuple[str, ...]] = ("weex",)
    api: ClassVar[int] = API
    venue: ClassVar[str] = "WEEX"
    needs: ClassVar[tuple[str, ...]] = ("apiKey", "secret", "password")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", ("GET /api/v3/time", "GET /capi/v3/market/time"), private=False),
        "contracts": ExchangeRead("contractGetCapiV3MarketExchangeInfo", ("GET /capi/v3/market/exchangeInfo",), kept=LISTS, private=False),
        "contracts now": ExchangeRead("contractGetCapiV3MarketExchangeInfo", ("GET /capi/v3/market/exchangeInfo",), private=False),
        "balance": ExchangeRead("contractPrivateGetCapiV3AccountBalance", ("GET /capi/v3/account/balance",)),
        "positions": ExchangeRead("contractPrivateGetCapiV3AccountPositionAllPosition", ("GET /capi/v3/account/position/allPosition",)),
        "marks": ExchangeRead("contractGetCapiV3MarketPremiumIndex", ("GET /capi/v3/market/premiumIndex",), private=False),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Read balances, positions and marks of one moment."""
        [listed] = yield [ExchangeCall("contracts")]
        [balance], [held, priced] = yield from steady(
            [ExchangeCall("balance")], lambda _: [ExchangeCall("positions"), ExchangeCall("marks")], _held
        )
        balances = Answer(balance, "balance").listing()
        wallets = {row["asset"].text(): row for row in balances}
        if len(wallets) < len(balances):
            raise BadAnswer("an asset of the account is listed twice")
        rows = _positions(held)
        contracts = _contracts(listed) if rows else {}
        if not contracts.keys() >= {row["symbol"].text() for row in rows}:  # the kept list may be older than the contract
            [listed] = yield [ExchangeCall("contracts now")]
            contracts = _contracts(listed)
        marks = {row["symbol"].text(): row for row in Answer(priced, "marks").listing()} if rows else {}
        found: dict[str, list[Line]] = {}
        earned: dict[tuple[str, bool], Answer] = {}
        for row in rows:
            symbol, coin = row["symbol"].text(), row["asset"].text()
            if symbol not in contracts or symbol not in marks:
                raise BadAnswer(f"the exchange lists no contract {symbol}, or no mark of it, and the account holds it")
            if coin not in wallets:
                raise BadAnswer(f"a position settles in {coin}, and the account lists no such asset")
            line = _line(at, row, contracts[symbol], marks[symbol])
            earned[line.name, line.margin is None] = row["unrealizePnl"]
            found.setdefault(coin, []).append(line)
        grows = {row["symbol"].text() for row in rows if (told := row.get("isAutoAppendIsolatedMargin")) is not None and told.flag()}
        return [one for coin, row in wallets.items() for one in _accounts(at, self.venue, coin, row, found.get(coin, []), earned, grows)]

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """Not told: what the exchange says may be done is said of the account, not of the key."""
        yield []
        return KeyRights()


def _contracts(answer: Any) -> dict[str, Answer]:
    return {row["symbol"].text(): row for row in Answer(answer, "contracts")["symbols"].listing()}


def _held(answers: Sequence[Any]) -> object:
    """What only trading and funding move: frozen funds, and the balance without profit to a few decimals."""
    return [
        (
            row["asset"].text(),
            row["frozen"].decimal(),
            EXACT.subtract(row["balance"].decimal(), row["unrealizePnl"].decimal()).quantize(CENTS, ROUND_HALF_EVEN, EXACT),
        )
        for row in Answer(answers[0], "balance").listing()
    ]


def _positions(answer: Any) -> list[Answer]:
    """Open positions, each once."""
    rows = [row for row in Answer(answer, "positions").listing() if row["size"].decimal(0, MOST)]
    ids = [row["id"].integer() for row in rows]
    if len(set(ids)) < len(ids):
        raise BadAnswer("a position is listed twice")
    return rows


def _line(at: Desk, row: Answer, contract: Answer, mark: Answer) -> Line:
    """One position. One that is kept apart from others of its side goes by the number of the order that opened it, too."""
    symbol, settle = row["symbol"].text(), row["asset"].text()
    base, quote = contract["baseAsset"].text(), contract["quoteAsset"].text()
    if not base or settle != quote or contract["marginAsset"].text() != quote or not contract["forwardContractFlag"].flag():
        raise Unsupported(f"{symbol} is a contract of a kind that is not modelled")
    margins, kind = row["marginType"].text(), row["separatedMode"].text()
    if margins not in ("CROSSED", "ISOLATED") or kind not in ("COMBINED", "SEPARATED"):
        raise Unsupported(f"the margin mode of the position in {symbol} is not known: {margins!r}, {kind!r}")
    if abs(mark["time"].integer() - at.milliseconds) > FRESH:
        raise BadAnswer(f"the mark of {symbol} is older than {FRESH // 1_000} s")
    size = side_of(row["size"].decimal(0, MOST), row["side"].text())
    rate = optional(mark, "forecastFundingRate")
    rate = optional(mark, "lastFundingRate") if rate is None else rate
    cycle = optional(mark, "collectCycle")
    quoted = at.factor_of(quote)
    position = Position(
        size=size,
        entry=EXACT.divide(row["openValue"].decimal(CENTS * CENTS, MOST), abs(size)),
        mark=mark["markPrice"].decimal(CENTS**4, MOST),
        quote=quoted.factor,
        quote_peg=quoted.peg,
        tiers=(),
        initial_rate=EXACT.divide(ONE, row["leverage"].decimal(1, 1_000)),
        funding_8h=None if rate is None or cycle is None else per_8h(rate, EXACT.divide(cycle, MINUTES)),
        index=index_price(mark),
    )
    alone = margins == "ISOLATED"
    margin = row["isolatedMargin"].decimal(0, MOST) if alone else None
    if alone and not margin:
        raise Unsupported(f"the position in {symbol} is isolated, and the exchange tells no margin of it")
    side = row["side"].text().lower()
    return Line(
        symbol=symbol,
        coin=base,
        position=position,
        side=f"{side}-{row['separatedOpenOrderId'].integer()}" if kind == "SEPARATED" else side,
        margin=margin,
        shown=shown_price(row, "liquidatePrice"),
    )


def _accounts(
    at: Desk,
    venue: str,
    coin: str,
    row: Answer,
    lines: Sequence[Line],
    earned: Mapping[tuple[str, bool], Answer],
    grows: Collection[str],
) -> list[Account]:
    """The cross account of an asset, and one of each isolated position. `earned`: profit told, by line and whether it is cross."""
    accounted(coin, lines, row["unrealizePnl"])
    equity, told = row["balance"].decimal(-MOST, MOST), row["unrealizePnl"].decimal(-MOST, MOST)
    frozen = row["frozen"].decimal(0, MOST)
    cross = distinct(line for line in lines if line.margin is None)
    alone = distinct(line for line in lines if line.margin is not None)
    balance = EXACT.subtract(equity, total([told, *(line.margin or ZERO for line in alone)]))
    found: list[Account] = []
    for line in alone:
        parts = [FAMILY, line.symbol, line.side, "isolated"]
        try:
            lone, says = _known(at, [line], line.margin or ZERO)
        except Unsupported as error:  # it costs this margin, and nothing else
            found.append(unread(at, venue, parts, str(error)))
            continue
        says += [GROWS.format(line.symbol)] if line.symbol in grows else []
        figures = _profit([line], earned[line.name, False], f"unrealizePnl:{line.name}", notional(line.position))
        found.append(account(at, venue, parts, coin, line.margin or ZERO, lone, told=[figures], mode="isolated", assumptions=says))
    if cross or balance:
        try:
            known, says = _known(at, cross, balance)
        except Unsupported as error:  # isolated positions do not answer for the wallet
            return [*found, unread(at, venue, [FAMILY, coin], str(error))]
        figures = _profit(lines, row["unrealizePnl"], "unrealizePnl", max(abs(equity), CENTS))
        says = [*says, *([WHOLE] if alone else []), *([FROZEN.format(f"{frozen:f}", coin)] if frozen else [])]
        alike = len({line.symbol for line in known}) == len(known)  # a hedge's price is an estimate, that moves what is left alone
        found.append(account(at, venue, [FAMILY, coin], coin, balance, known, told=[figures], shows=alike, assumptions=says))
    return found


def _profit(lines: Sequence[Line], told: Answer, name: str, scale: Decimal) -> Figures:
    """Profit of some positions at our marks, and as the exchange told it."""
    told.decimal(-MOST, MOST)
    ours = same_digits(total(profit(line.position) for line in lines), str(told.value))
    return Figures(ours={name: ours}, theirs={name: str(told.value)}, tolerance=SOME, scale=scale)


def _known(at: Desk, lines: Sequence[Line], balance: Decimal) -> tuple[list[Line], list[str]]:
    """The lines of one account with what is asked of them, and where that is from."""
    if not lines:
        return [], []
    if all(line.shown for line in lines) or any(line.symbol not in at.tiers for line in lines):
        rates = implied_rates(lines, balance)
        return [with_rate(line, rate) for line, rate in zip(lines, rates, strict=True)], [IMPLIED.format(line.symbol) for line in lines]
    tables = [at.tiers[line.symbol] for line in lines]
    known = [replace(line, position=replace(line.position, tiers=table.tiers)) for line, table in zip(lines, tables, strict=True)]
    return known, [BUNDLED.format(line.symbol, table.as_of) for line, table in zip(lines, tables, strict=True)]
