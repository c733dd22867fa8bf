"""BingX perpetual futures: dollar-margined (USDT and USDC) and coin-margined wallets, cross and isolated positions.

Risk = (maintenance + closing fees) / (balance - isolated margins - frozen + profit), of all cross positions of a wallet, or of the one
position and its margin; liquidation at 100 % (BingX, "Forced liquidation"). Maintenance = value at the mark * rate - amount of the bracket.
The exchange tells no brackets of coin-margined contracts, but the risk of each position, which is what it needs over what it has; nor the
margin of an isolated one, which follows from its risk and its liquidation price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.ids import USD
from defi_risk.model import Account, Contract, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import account, accounted, index_price, with_rate
from defi_risk_adapters.exchanges.common import ZERO, notional, per_8h, profit, same_digits, steady
from defi_risk_adapters.exchanges.generic import (
    MOST,
    Figures,
    Line,
    distinct,
    equity_of,
    needed_by,
    optional,
    shown_price,
    total,
    unread,
)

ONE: Final = Decimal(1)
LISTS: Final = 21_600
MINUTES_10: Final = 600
USDM: Final = "swap"
COINM: Final = "cswap"
FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {"": (USDM, COINM), "linear": (USDM,), "inverse": (COINM,)}
MODE: Final = "asset_mode"
MODE_NOW: Final = "asset_mode_now"
RATIO: Final = Decimal("0.01")
RATIO_SCALE: Final = Decimal("0.02")
"""The exchange writes risks with 4 decimals, rounded: small ones are compared to within two of the last."""
LAG: Final = Decimal("0.003")
"""Share of a price by which the one that a risk was judged at may differ from the mark told beside it (0.27 % in a recorded answer): it
counts as many times as the leverage.
"""
MOST_LATE: Final = Decimal("0.2")
"""No risk is compared more loosely than this, however high the leverage."""
PROFIT_SCALE: Final = Decimal("0.2")
"""Of a position's value: smaller profits are compared to within 0.2 % of the value, as marks of some coins have three digits."""
TOLD: Final = "the maintenance rate of {} is the one that the exchange's figure of its risk implies: it tells no brackets of it"
SET_APART: Final = "the margin of {} is the one that its risk and its liquidation price imply: the exchange tells none"
MARGIN_DIGITS: Final = Decimal("1e-8")
PERMILLE: Final = Decimal("0.001")
CODES: Final = {"SNOW": "Snowman", "OMNI": "OmniCat", "NAP": "$NAP", "TRUMP": "TRUMPMAGA", "TRUMPSOL": "TRUMP"}
"""Coins that go by another's code here, as ccxt unifies them."""
SPOT, READ, SWAP, TRANSFER, WITHDRAW, INTERNAL = 1, 2, 3, 4, 5, 7
KNOWN_RIGHTS: Final = frozenset({SPOT, READ, SWAP, TRANSFER, WITHDRAW, INTERNAL})


def _private(method: str, path: str, kept: int = 0) -> ExchangeRead:
    return ExchangeRead(method, (f"GET {path}",), kept=kept)


def _public(method: str, path: str, kept: int) -> ExchangeRead:
    return ExchangeRead(method, (f"GET {path}",), kept=kept, private=False)


class BingX:
    """Both kinds of perpetual wallets that a key of BingX sees, in single-asset mode."""

    names: ClassVar[tuple[str, ...]] = ("bingx",)
    api: ClassVar[int] = API
    venue: ClassVar[str] = "BingX"
    needs: ClassVar[tuple[str, ...]] = ("apiKey", "secret")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", ("GET /openApi/swap/v2/server/time",), private=False),
        MODE: _private("swapV1PrivateGetTradeAssetMode", "/openApi/swap/v1/trade/assetMode", MINUTES_10),
        MODE_NOW: _private("swapV1PrivateGetTradeAssetMode", "/openApi/swap/v1/trade/assetMode"),
        "swap balance": _private("swapV3PrivateGetUserBalance", "/openApi/swap/v3/user/balance"),
        "swap positions": _private("swapV2PrivateGetUserPositions", "/openApi/swap/v2/user/positions"),
        "swap contracts": _public("swapV2PublicGetQuoteContracts", "/openApi/swap/v2/quote/contracts", LISTS),
        "swap contracts now": _public("swapV2PublicGetQuoteContracts", "/openApi/swap/v2/quote/contracts", 0),
        "swap prices": _public("swapV2PublicGetQuotePremiumIndex", "/openApi/swap/v2/quote/premiumIndex", MINUTES_10),
        "swap tiers": _private("swapV1PrivateGetMaintMarginRatio", "/openApi/swap/v1/maintMarginRatio", LISTS),
        "cswap balance": _private("cswapV1PrivateGetUserBalance", "/openApi/cswap/v1/user/balance"),
        "cswap positions": _private("cswapV1PrivateGetUserPositions", "/openApi/cswap/v1/user/positions"),
        "cswap contracts": _public("cswapV1PublicGetMarketContracts", "/openApi/cswap/v1/market/contracts", LISTS),
        "cswap contracts now": _public("cswapV1PublicGetMarketContracts", "/openApi/cswap/v1/market/contracts", 0),
        "cswap prices": _public("cswapV1PublicGetMarketPremiumIndex", "/openApi/cswap/v1/market/premiumIndex", MINUTES_10),
        "rights": _private("accountV1PrivateGetAccountApiPermissions", "/openApi/v1/account/apiPermissions"),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Read both kinds of wallets with their positions, at one moment; those alone that ccxt's `defaultSubType` names in the book's
        options. Where nothing is in any, the mode is asked anew, as it may have changed since it was read.
        """
        chosen = str(at.options.get("defaultSubType") or "")
        if chosen not in FAMILIES:
            raise Unsupported(f"defaultSubType {chosen!r} is none of linear and inverse")
        asked = FAMILIES[chosen]
        if USDM in asked:
            [mode] = yield [ExchangeCall(MODE)]
            _single(mode)
        told = yield [ExchangeCall(f"{family} balance") for family in asked]
        if not any(_used(row) for answer in told for row in _wallets(answer)):
            if USDM in asked:
                [now] = yield [ExchangeCall(MODE_NOW)]
                _single(now)
            asked = asked[:1]
        listed = yield [ExchangeCall(f"{family} positions") for family in asked]
        found: list[Account | SourceReport] = []
        for family, balance, held in zip(asked, told, listed, strict=False):
            found += yield from self._family(at, family, balance, held)
        return found

    def _family(self, at: Desk, family: str, balance: Any, held: Any) -> Requests[list[Account]]:
        """The accounts of one kind of wallets, out of a balance and positions; both are read again unless they are of one moment."""
        if not _agree(family, balance, held):
            [after] = yield [ExchangeCall(f"{family} balance")]
            if _held([balance]) != _held([after]):
                asked = [ExchangeCall(f"{family} positions")]
                [after], [held] = yield from steady([ExchangeCall(f"{family} balance")], lambda _: asked, _held)
            balance = after
        rows = _positions(held)
        wallets = {row["asset"].text(): row for row in _wallets(balance)}
        if len(wallets) < len(_wallets(balance)):
            raise BadAnswer("an asset of the account is listed twice")
        lines: dict[str, list[Line]] = {}
        lost: dict[str, str] = {}
        prices: dict[str, Answer] = {}
        if rows:
            symbols = list(dict.fromkeys(row["symbol"].text() for row in rows))
            [listed, priced] = yield [ExchangeCall(f"{family} contracts"), ExchangeCall(f"{family} prices")]
            contracts, prices = _by_symbol(listed, "contracts"), _by_symbol(priced, "prices")
            if not contracts.keys() >= set(symbols):  # the kept list may be older than the contract
                [listed] = yield [ExchangeCall(f"{family} contracts now")]
                contracts = _by_symbol(listed, "contracts")
            unlisted = [symbol for symbol in symbols if symbol not in contracts]
            if unlisted:
                raise BadAnswer(f"the exchange lists no contract {unlisted[0]}, and the account holds it")
            tiers: dict[str, tuple[Tier, ...]] = {}
            if family == USDM:
                tables = yield [ExchangeCall("swap tiers", (("symbol", symbol),)) for symbol in symbols]
                tiers = {symbol: _tiers(symbol, table) for symbol, table in zip(symbols, tables, strict=True)}
            for row in rows:
                symbol, coin = row["symbol"].text(), _settles(row, family)
                own = lines.setdefault(coin, [])
                try:
                    own.append(_line(at, row, contracts[symbol], prices.get(symbol), tiers.get(symbol)))
                except Unsupported as error:  # it costs the wallet that it settles in, not the others
                    lost.setdefault(coin, str(error))
        missing = [coin for coin in lines if coin not in wallets]
        if missing and missing[0] in lost:
            raise Unsupported(lost[missing[0]])
        if missing:
            raise BadAnswer(f"positions settle in {missing[0]}, and the account lists no such asset")
        if family == COINM and not rows and any(map(_used, wallets.values())):  # coins that no position prices
            [priced] = yield [ExchangeCall("cswap prices", optional=True)]
            prices = {} if isinstance(priced, Failed) else _by_symbol(priced, "prices")
        risks = {row["positionId"].text(): row for row in rows}
        found: list[Account] = []
        for coin, row in wallets.items():
            marked = prices.get(f"{coin}-USD") if family == COINM else None
            quoted = None if marked is None else index_price(marked)
            try:
                if coin in lost:
                    raise Unsupported(lost[coin])
                found += _accounts(at, self.venue, family, coin, row, lines.get(coin, []), risks, quoted)
            except Unsupported as error:
                found.append(unread(at, self.venue, [family, coin], str(error)))
        return found

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """What the key may do, told as flags or as a list of numbered permissions; a number that nobody explains leaves it open."""
        [told] = yield [ExchangeCall("rights")]
        answer = Answer(told, "rights")
        answer = answer.get("data") or answer
        if (listed := answer.get("permissions")) is not None:
            codes = {item.integer() for item in listed.listing(100)}
            open_ = bool(codes - KNOWN_RIGHTS)
            bound = answer.get("ipAddresses")
            return KeyRights(
                trade=bool(codes & {SPOT, SWAP}) or (None if open_ else False),
                withdraw=WITHDRAW in codes or (None if open_ else False),
                bound=None if bound is None else bool(bound.listing(1_000)),
            )
        flags = {
            name: None if (one := answer.get(name)) is None else one.flag()
            for name in ("enableSpotAndMarginTrading", "enableFutures", "enableWithdrawals", "ipRestrict")
        }
        trades = (flags["enableSpotAndMarginTrading"], flags["enableFutures"])
        return KeyRights(
            trade=True if True in trades else None if None in trades else False,
            withdraw=flags["enableWithdrawals"],
            bound=flags["ipRestrict"],
        )


def _single(answer: Any) -> None:
    """Raise `Unsupported` unless the account is in single-asset mode."""
    mode = Answer(answer, "assetMode")["data"]["assetMode"].text()
    if mode == "multiAssetsMode":
        raise Unsupported(
            "the account is in multi-assets mode, which is not modelled", hint="switch it to single-asset mode, or enter it by hand"
        )
    if mode != "singleAssetMode":
        raise Unsupported(f"the account is in a mode that is not known: {mode!r}")


def _wallets(answer: Any) -> list[Answer]:
    """Wallets by asset. A row without an asset stands for a wallet that was never used, and must be empty."""
    rows = Answer(answer, "balance")["data"].listing()
    for row in rows:
        if not row["asset"].text() and _used(row):
            raise BadAnswer("the exchange tells a balance and not of which asset")
    return [row for row in rows if row["asset"].text()]


def _used(row: Answer) -> bool:
    """Whether anything is in a wallet, or rests on it."""
    told = [row[name].decimal(-MOST, MOST) for name in ("balance", "equity", "unrealizedProfit", "usedMargin", "freezedMargin")]
    return any(told)


def _held(answers: Sequence[Any]) -> object:
    """What only trading and funding move."""
    return [(row["asset"].text(), row["balance"].decimal(), row["freezedMargin"].decimal()) for row in _wallets(answers[0])]


def _agree(family: str, balance: Any, held: Any) -> bool:
    """Whether the margin in use of each wallet is that of the positions listed, as far as their digits go. It is taken at entry prices, so
    that trading moves it and prices do not: a balance and positions that agree in it are of one moment.
    """
    used = {row["asset"].text(): row["usedMargin"] for row in _wallets(balance)}
    margins: dict[str, list[Answer]] = {coin: [] for coin in used}
    for row in _positions(held):
        told, coin = row.get("initialMargin"), _settles(row, family)
        if told is None or coin not in margins or not told.decimal():
            return False
        margins[coin].append(told)
    return all(_same(used[coin], parts) for coin, parts in margins.items())


def _same(whole: Answer, parts: Sequence[Answer]) -> bool:
    """Whether parts add up, each rounded to the digits of the most precise of them."""
    numbers = [whole.decimal(), *(part.decimal() for part in parts)]
    digit = ONE.scaleb(min(int(number.as_tuple().exponent) for number in numbers))
    return abs(EXACT.subtract(numbers[0], total(numbers[1:]))) <= EXACT.multiply(digit, Decimal(len(parts)))


def _positions(answer: Any) -> list[Answer]:
    """Open positions, each once."""
    rows = [row for row in Answer(answer, "positions")["data"].listing() if row["positionAmt"].decimal(-MOST, MOST)]
    ids = [row["positionId"].text() for row in rows]
    if len(set(ids)) < len(ids):
        raise BadAnswer("a position is listed twice")
    return rows


def _by_symbol(answer: Any, name: str) -> dict[str, Answer]:
    return {row["symbol"].text(): row for row in Answer(answer, name)["data"].listing()}


def _settles(row: Answer, family: str) -> str:
    """The asset that a position settles in: told, or the coin of a coin-margined contract."""
    return row["currency"].text() if family == USDM else row["symbol"].text().partition("-")[0]


def _tiers(symbol: str, answer: Any) -> tuple[Tier, ...]:
    """The exchange's brackets of one contract, with its own deductions."""
    rows = Answer(answer, f"tiers of {symbol}")["data"].listing(most=500)
    rates = [row["maintMarginRatio"].decimal(MOST**-1, 1) for row in rows]
    found = [Tier(row["minPositionVal"].decimal(0), rate, row["maintAmount"].decimal(0)) for row, rate in zip(rows, rates, strict=True)]
    found.sort(key=lambda tier: tier.floor)
    if not found or found[0].floor or any(row["symbol"].text() != symbol for row in rows):
        raise BadAnswer(f"the maintenance brackets of {symbol} do not begin at zero, or are of another contract")
    if any(one.floor == two.floor or one.rate > two.rate for one, two in pairwise(found)):
        raise BadAnswer(f"the maintenance brackets of {symbol} do not rise")
    return tuple(found)


def _line(at: Desk, row: Answer, contract: Answer, price: Answer | None, tiers: tuple[Tier, ...] | None) -> Line:
    """One position; one of a coin-margined contract is without brackets as yet."""
    symbol, linear = row["symbol"].text(), tiers is not None
    base, _, quote = symbol.partition("-")
    if not base or (linear and quote != row["currency"].text()) or (not linear and quote != "USD"):
        raise Unsupported(f"{symbol} is a contract of a kind that is not modelled")
    size, side = _size(row)
    if not linear:
        size = EXACT.multiply(size, contract["minTickSize"].decimal(0, MOST))  # contracts of so many dollars
    hours = None if price is None else optional(price, "fundingIntervalHours")
    rate = None if price is None else optional(price, "lastFundingRate")
    quoted = at.factor_of(quote)
    earned = row["unrealizedProfit"].decimal(-MOST, MOST)
    position = Position(
        size=size,
        entry=row["avgPrice"].decimal(MOST**-1, MOST),
        mark=row["markPrice"].decimal(MOST**-1, MOST),
        quote=quoted.factor if linear else USD,
        quote_peg=quoted.peg if linear else None,
        contract=Contract.LINEAR if linear else Contract.INVERSE,
        tiers=tiers or (),
        initial_rate=EXACT.divide(ONE, row["leverage"].decimal(1, 1_000)),
        close_fee=contract["takerFeeRate"].decimal(0, 1) if linear else ZERO,
        unrealized_pnl=earned,
        funding_8h=None if rate is None or hours is None else per_8h(rate, hours),
        index=None if price is None else index_price(price),
    )
    apart = None
    if row["isolated"].flag():
        told = row.get("margin")
        whole = told.decimal(-MOST, MOST) if told is not None else _implied(position, row)
        apart = EXACT.subtract(whole, earned)  # what it calls margin has the profit in it
    return Line(
        symbol=symbol,
        coin=CODES.get(base, base),
        position=position,
        side=f"{side}:{row['positionId'].text()}",
        margin=apart,
        shown=shown_price(row, "liquidationPrice"),
    )


def _size(row: Answer) -> tuple[Decimal, str]:
    """Size with its sign, and the side: amounts of longs and shorts are told without one, or with the right one. The documents know no
    other side: of "BOTH" the sign of the amount counts, unless the profit belies it.
    """
    amount, side = row["positionAmt"].decimal(-MOST, MOST), row["positionSide"].text()
    gained = EXACT.subtract(row["markPrice"].decimal(), row["avgPrice"].decimal())
    if side == "BOTH" and EXACT.multiply(EXACT.multiply(amount, gained), row["unrealizedProfit"].decimal()) >= 0:
        return amount, "long" if amount > 0 else "short"
    if side not in ("LONG", "SHORT") or (side == "LONG" and amount < 0):
        raise Unsupported(f"the side of the position in {row['symbol'].text()} is not known: {amount:f} {side!r}")
    return (abs(amount), "long") if side == "LONG" else (-abs(amount), "short")


def _implied(position: Position, row: Answer) -> Decimal:
    """Margin and profit of an isolated coin-margined position, in the coin, of which the exchange tells none.

    With E those, V and V' its values now and at its liquidation price, and L what it loses from here to there: it needs risk * E now,
    risk * E * V' / V there, where E - L is no more than that. So E = L / (1 - risk * V' / V).
    """
    symbol, shown = row["symbol"].text(), shown_price(row, "liquidationPrice")
    if position.contract is Contract.INVERSE and shown:
        there, risk = Decimal(shown), row["riskRate"].decimal(0, MOST)
        loses = EXACT.subtract(EXACT.divide(position.size, there), EXACT.divide(position.size, position.mark))
        kept = EXACT.subtract(ONE, EXACT.divide(EXACT.multiply(risk, notional(position, there)), notional(position)))
        if risk > 0 and loses > 0 and kept > 0:
            return EXACT.divide(loses, kept).quantize(MARGIN_DIGITS, context=EXACT)
    raise Unsupported(f"the position in {symbol} is isolated, and the exchange tells no margin of it")


def _accounts(
    at: Desk,
    venue: str,
    family: str,
    coin: str,
    row: Answer,
    lines: Sequence[Line],
    risks: Mapping[str, Answer],
    quoted: Decimal | None,
) -> list[Account]:
    """The cross account of an asset, and one of each isolated position. `quoted` is the coin in USD, where no position marks it."""
    held = row["usedMargin"].decimal() > row["freezedMargin"].decimal()  # more than orders hold, whichever of the two tells of those
    accounted(coin, lines, row["unrealizedProfit"], *([row["usedMargin"]] if held else []))
    alone = [line for line in lines if line.margin is not None]
    cross = distinct(_short(line) for line in lines if line.margin is None)
    frozen = row["freezedMargin"].decimal(0, MOST)
    whole = row["balance"].decimal(-MOST, MOST)
    balance = EXACT.subtract(whole, total([frozen, *(line.margin or ZERO for line in alone)]))
    price = None if family == USDM else next((line.position.mark for line in lines), quoted)
    code, found = CODES.get(coin, coin), list[Account]()
    for line in alone:
        shared = [other for other in alone if (other.symbol, _short(other).side) == (line.symbol, _short(line).side)]
        named = _short(line) if len(shared) == 1 else replace(line, side=line.side.replace(":", "-"))
        risk = risks[line.side.partition(":")[2]]
        lone, says = _known([named], line.margin or ZERO, [risk])
        says += [SET_APART.format(line.symbol)] if risk.get("margin") is None else []
        told = [_risk(lone, line.margin or ZERO, [risk]), *_profits(lone, [risk])]
        parts = [family, named.symbol, named.side, "isolated"]
        found.append(account(at, venue, parts, code, line.margin or ZERO, lone, told=told, price=price, mode="isolated", assumptions=says))
    if cross or balance or frozen:
        rows = [risks[line.side.partition(":")[2]] for line in lines if line.margin is None]
        known, says = _known(cross, balance, rows)
        told = [_sums(row, whole, lines), *([_risk(known, balance, rows)] if known else []), *_profits(known, rows)]
        found.append(account(at, venue, [family, coin], code, balance, known, told=told, frozen=frozen, price=price, assumptions=says))
    return found


def _short(line: Line) -> Line:
    """The line by its side alone, without the number of its position."""
    return replace(line, side=line.side.partition(":")[0])


def _known(lines: Sequence[Line], balance: Decimal, rows: Sequence[Answer]) -> tuple[list[Line], list[str]]:
    """The lines of one account with what is asked of them, and where that is from."""
    if all(line.position.tiers for line in lines):
        return list(lines), []
    equity, risk = equity_of(balance, lines), rows[0]["riskRate"].decimal(0, MOST)
    needed = EXACT.multiply(risk, equity)
    worth = total(notional(line.position) for line in lines)
    rate = EXACT.divide(needed, worth)
    if not 0 < rate <= max(line.position.initial_rate for line in lines):
        raise Unsupported(f"the exchange tells no brackets of {lines[0].symbol}, and its risk implies a maintenance that cannot be")
    return [with_rate(line, rate) for line in lines], [TOLD.format(line.symbol) for line in lines]


def _risk(lines: Sequence[Line], balance: Decimal, rows: Sequence[Answer]) -> Figures:
    """The risk of one account, which the exchange tells beside each of its positions; of one without equity it is no number."""
    equity, needed = equity_of(balance, lines), needed_by(lines)
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for line, row in zip(lines, rows, strict=True):
        name, told = f"riskRate:{line.name}", row["riskRate"]
        if equity > 0:
            told.decimal()
            theirs[name] = str(told.value)
            ours[name] = same_digits(EXACT.divide(needed, equity), theirs[name])
    worth = total(notional(line.position) for line in lines)
    late = EXACT.divide(EXACT.multiply(LAG, worth), equity) if equity > 0 else ZERO
    tolerance = max(RATIO, min(late, MOST_LATE)).quantize(PERMILLE, context=EXACT)
    return Figures(ours=ours, theirs=theirs, tolerance=tolerance, scale=RATIO_SCALE)


def _profits(lines: Sequence[Line], rows: Sequence[Answer]) -> list[Figures]:
    """Profit of each position by size, entry and mark, which the exchange tells beside them: it shows what size and side they are of."""
    found: list[Figures] = []
    for line, row in zip(lines, rows, strict=True):
        name, told = f"unrealizedProfit:{line.name}", str(row["unrealizedProfit"].value)
        ours = profit(replace(line.position, unrealized_pnl=None))
        scale = EXACT.multiply(notional(line.position), PROFIT_SCALE)
        found.append(Figures(ours={name: same_digits(ours, told)}, theirs={name: told}, tolerance=RATIO, scale=scale))
    return found


def _sums(row: Answer, balance: Decimal, lines: Sequence[Line]) -> Figures:
    """Equity of a wallet, isolated positions included, and its balance as it was read."""
    told = {name: str(row[name].value) for name in ("balance", "equity")}
    ours = {"balance": told["balance"], "equity": same_digits(equity_of(balance, lines), told["equity"])}
    return Figures(ours=ours, theirs=told, tolerance=RATIO, scale=max(abs(balance), RATIO_SCALE))
