"""MEXC futures: one wallet a settling coin, cross and isolated positions, by volume brackets on the value at entry.

Maintenance = value at entry * rate of the risk tier that the volume is in (no deduction), liquidation when margin and profit at the fair
price no longer exceed it and the liquidation fee (MEXC, "Liquidation in futures", and the calculation of the liquidation price there).
The exchange tells neither mark nor maintenance of a position: fair prices are those of all tickers, read with the positions. Positions
carry the fee at the value at entry, as their rate; liquidation prices of ours take it at the price itself, as the exchange does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.ids import USD
from defi_risk.model import Account, Basis, Contract, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import GROWS, account, accounted, index_price
from defi_risk_adapters.exchanges.common import ZERO, per_8h, profit, same_digits, steady
from defi_risk_adapters.exchanges.generic import DOLLARS, MOST, Figures, Line, distinct, equity_of, optional, shown_price, total, unread

ONE: Final = Decimal(1)
FAMILY: Final = "futures"
LISTS: Final = 21_600
FRESH: Final = 60_000
"""Milliseconds that a ticker may be old, or early."""
CENTS: Final = Decimal("0.0001")
LEAST: Final = Decimal("0.000001")
"""No maintenance rate is lower."""
SOME: Final = Decimal("0.01")
"""Tolerance of equity and profit, as shares of equity: our marks are those of another answer, read in between."""
FINE: Final = Decimal("0.001")
"""Tolerance of liquidation prices of isolated positions, which rest on no mark: what the exchange rounds."""
PRICED: Final = "{} is priced by its contract against {}, which is taken at a dollar"
CODES: Final = {
    "BEYONDPROTOCOL": "BEYOND",
    "BIFI": "BIFIF",
    "BYN": "BEYONDFI",
    "COFI": "COFIX",
    "DFI": "DFISTARTER",
    "DFT": "DFUTURE",
    "EGC": "EGORASCREDIT",
    "FLUX1": "FLUX",
    "FLUX": "FLUX1",
    "FREE": "FREEROSSDAO",
    "GAS": "GASDAO",
    "GASNEO": "GAS",
    "GMT": "GMTTOKEN",
    "STEPN": "GMT",
    "HERO": "STEPHERO",
    "MIMO": "MIMOSA",
    "PROS": "PROSFINANCE",
    "SIN": "SINCITYTOKEN",
    "SOUL": "SOULSWAP",
}
"""Coins that go by another's code here, as ccxt unifies them."""


class Mexc:
    """Perpetual contracts of MEXC, settled in a dollar coin or in the coin that they follow."""

    names: ClassVar[tuple[str, ...]] = ("mexc",)
    api: ClassVar[int] = API
    venue: ClassVar[str] = "MEXC"
    needs: ClassVar[tuple[str, ...]] = ("apiKey", "secret")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", ("GET /api/v3/time", "GET /api/v1/contract/ping"), private=False),
        "contracts": ExchangeRead("contractPublicGetDetail", ("GET /api/v1/contract/detail",), kept=LISTS, private=False),
        "contracts now": ExchangeRead("contractPublicGetDetail", ("GET /api/v1/contract/detail",), private=False),
        "assets": ExchangeRead("contractPrivateGetAccountAssets", ("GET /api/v1/private/account/assets",)),
        "positions": ExchangeRead("contractPrivateGetPositionOpenPositions", ("GET /api/v1/private/position/open_positions",)),
        "tickers": ExchangeRead("contractPublicGetTicker", ("GET /api/v1/contract/ticker",), private=False),
        "cycle": ExchangeRead("contractPublicGetFundingRateSymbol", ("GET /api/v1/contract/funding_rate/{}",), kept=LISTS, private=False),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Read assets, positions and fair prices of one moment."""
        [listed] = yield [ExchangeCall("contracts")]
        [assets], [held, tickers] = yield from steady(
            [ExchangeCall("assets")], lambda _: [ExchangeCall("positions"), ExchangeCall("tickers")], _held
        )
        wallets = {row["currency"].text(): row for row in _rows(assets, "assets")}
        if len(wallets) < len(_rows(assets, "assets")):
            raise BadAnswer("an asset of the account is listed twice")
        _single(wallets.values())
        rows = _positions(held)
        contracts = {row["symbol"].text(): row for row in _rows(listed, "contracts")} if rows else {}
        symbols = list(dict.fromkeys(row["symbol"].text() for row in rows))
        if not contracts.keys() >= set(symbols):  # the kept list may be older than the contract
            [listed] = yield [ExchangeCall("contracts now")]
            contracts = {row["symbol"].text(): row for row in _rows(listed, "contracts")}
        cycles = yield [ExchangeCall("cycle", (("symbol", symbol),), optional=True) for symbol in symbols]
        hours = {symbol: _cycle(answer) for symbol, answer in zip(symbols, cycles, strict=True)}
        marks = {row["symbol"].text(): row for row in _rows(tickers, "tickers")}
        found: dict[str, list[Line]] = {}
        lost: dict[str, str] = {}
        for row in rows:
            symbol = row["symbol"].text()
            if symbol not in contracts or symbol not in marks:
                raise BadAnswer(f"the exchange lists no contract {symbol}, or no price of it, and the account holds it")
            contract = contracts[symbol]
            coin = contract["settleCoin"].text()
            own = found.setdefault(coin, [])
            try:
                own.append(_line(at, row, contract, marks[symbol], hours[symbol], _volume(row, rows, contract)))
            except Unsupported as error:  # it costs the wallet that it settles in, not the others
                lost.setdefault(coin, str(error))
        grows = {row["symbol"].text() for row in rows if (told := row.get("autoAddIm")) is not None and told.flag()}
        missing = [coin for coin in found if coin not in wallets]
        if missing and missing[0] in lost:
            raise Unsupported(lost[missing[0]])
        if missing:
            raise BadAnswer(f"positions settle in {missing[0]}, and the account lists no such asset")
        silent = {symbol: answer.reason for symbol, answer in zip(symbols, cycles, strict=True) if isinstance(answer, Failed)}
        notes = tuple(f"the funding interval of {symbol} was not read: {reason}" for symbol, reason in silent.items())
        accounts: list[Account] = []
        for coin, row in wallets.items():
            if coin in lost:
                accounts.append(unread(at, self.venue, [FAMILY, coin], lost[coin]))
            else:
                accounts += _accounts(at, self.venue, coin, row, found.get(coin, []), grows, _quoted(at, coin, marks))
        return [*accounts, SourceReport(id=at.name, kind="exchange", notes=notes)]

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """Not told: the exchange answers what a key may do only to a request that holds the key in its address."""
        yield []
        return KeyRights()


def _rows(answer: Any, name: str) -> list[Answer]:
    return Answer(answer, name)["data"].listing()


def _held(answers: Sequence[Any]) -> object:
    """What only trading and funding move: margins, and the wallet without profit to a few decimals, as its parts are cut apart."""
    return [
        (
            row["currency"].text(),
            row["positionMargin"].decimal(),
            row["frozenBalance"].decimal(),
            EXACT.subtract(row["equity"].decimal(), row["unrealized"].decimal()).quantize(CENTS, ROUND_HALF_EVEN, EXACT),
        )
        for row in _rows(answers[0], "assets")
    ]


def _single(wallets: Iterable[Answer]) -> None:
    """Raise `Unsupported` unless every asset says that it margins its own contracts alone: what it contributes to others is nothing."""
    for row in wallets:
        coin = row["currency"].text()
        for field in ("contributeMarginAmount", "debtAmount"):
            told = row.get(field)
            if told is None:
                raise Unsupported(f"the asset {coin} has no {field}: single and multi-asset mode cannot be told apart")
            if told.decimal():
                raise Unsupported(
                    f"the account is in multi-asset mode ({coin}: {field} is not zero), whose collateral rates the exchange does not tell",
                    hint="switch it to single-asset mode, or enter it as a manual account",
                )


def _positions(answer: Any) -> list[Answer]:
    """Open positions, each once."""
    rows = [row for row in _rows(answer, "positions") if row["holdVol"].decimal(0, MOST)]
    ids = [row["positionId"].integer() for row in rows]
    if len(set(ids)) < len(ids):
        raise BadAnswer("a position is listed twice")
    for row in rows:
        if row["state"].integer() != 1:
            raise Unsupported(f"the position in {row['symbol'].text()} is in the hands of the exchange (state {row['state'].integer()})")
        if row["openType"].integer() not in (1, 2) or row["positionType"].integer() not in (1, 2):
            raise Unsupported(f"the margin mode or side of the position in {row['symbol'].text()} is not known")
    return rows


def _volume(row: Answer, rows: Sequence[Answer], contract: Answer) -> Decimal:
    """Contracts that the risk tier goes by: of both sides together in cross margin, unless the contract keeps them apart."""
    together = row["openType"].integer() == 2 and contract["riskLongShortSwitch"].integer() == 0
    same = [one for one in rows if one["symbol"].value == row["symbol"].value and one["openType"].integer() == 2] if together else [row]
    return total(one["holdVol"].decimal() for one in same)


def _tiers(contract: Answer, side: str) -> list[tuple[Decimal, Decimal]]:
    """Risk tiers as the greatest volume and the maintenance rate of each."""
    mode = contract["riskLimitMode"].text()
    if mode == "CUSTOM":
        levels = contract["riskLimitCustom"].listing(most=200)
        if sorted(level["level"].integer() for level in levels) != list(range(1, len(levels) + 1)):
            raise BadAnswer(f"risk tiers of {contract['symbol'].text()} are missing: levels of riskLimitCustom do not follow one another")
        return sorted((level["maxVol"].decimal(0, MOST), level["mmr"].decimal(LEAST, 1)) for level in levels)
    if mode != "INCREASE":
        raise Unsupported(f"the risk limits of {contract['symbol'].text()} are of a kind that is not known: {mode!r}")
    apart = side.title() if contract["riskLongShortSwitch"].integer() else ""
    base, step = (contract[f"{name}{apart}"].decimal(0, MOST) for name in ("riskBaseVol", "riskIncrVol"))
    rate, more = contract["maintenanceMarginRate"].decimal(LEAST, 1), contract["riskIncrMmr"].decimal(0, 1)
    count = contract["riskLevelLimit"].integer(1, 200)
    return [
        (EXACT.add(base, EXACT.multiply(Decimal(level), step)), EXACT.add(rate, EXACT.multiply(Decimal(level), more)))
        for level in range(count)
    ]


def _line(at: Desk, row: Answer, contract: Answer, ticker: Answer, hours: Decimal | None, volume: Decimal) -> Line:
    symbol, settle = row["symbol"].text(), contract["settleCoin"].text()
    base, quote = contract["baseCoin"].text(), contract["quoteCoin"].text()
    if not base or settle not in (base, quote) or ((told := contract.get("futureType")) is not None and told.integer() != 1):
        raise Unsupported(f"{symbol} is a contract of a kind that is not modelled")
    linear = settle == quote
    if not linear and quote != "USD":
        raise Unsupported(f"{symbol} settles in {settle} and is quoted in {quote}: that is not modelled")
    if abs(ticker["timestamp"].integer() - at.milliseconds) > FRESH:
        raise BadAnswer(f"the fair price of {symbol} is older than {FRESH // 1_000} s")
    mark = ticker["fairPrice"].decimal(0, MOST)
    full = row.get("holdAvgPriceFullyScale")
    entry = (full if full is not None and full.value else row["holdAvgPrice"]).decimal(0, MOST)
    if not mark or not entry:
        raise BadAnswer(f"entry or fair price of {symbol} is zero")
    side = "long" if row["positionType"].integer() == 1 else "short"
    gross = EXACT.multiply(row["holdVol"].decimal(), contract["contractSize"].decimal(0, MOST))
    funding = optional(ticker, "fundingRate")
    quoted = at.factor_of(_code(quote))
    position = Position(
        size=gross if side == "long" else -gross,
        entry=entry,
        mark=mark,
        quote=quoted.factor if linear else USD,
        quote_peg=quoted.peg if linear else None,
        contract=Contract.LINEAR if linear else Contract.INVERSE,
        tiers=(Tier(ZERO, _rate(contract, side, volume, max(entry, mark) if linear else None), ZERO),),
        basis=Basis.ENTRY,
        initial_rate=EXACT.divide(ONE, row["leverage"].decimal(1, 1_000)),
        close_fee=contract["liquidationFeeRate"].decimal(0, 1),
        funding_8h=None if funding is None or hours is None else per_8h(funding, hours),
        index=index_price(ticker),
    )
    apart = row["im"].decimal(0, MOST) if row["openType"].integer() == 1 else None
    shown = shown_price(row, "liquidatePrice") if apart is not None else ""  # of cross positions it is none
    return Line(symbol=symbol, coin=_code(base), position=position, side=side, margin=apart, shown=shown)


def _rate(contract: Answer, side: str, volume: Decimal, price: Decimal | None) -> Decimal:
    """Maintenance rate of the risk tier in force, for so many contracts; `price` is that of a linear one, the greater of entry and mark."""
    kind = contract["riskLimitType"].text()
    if kind == "BY_VOLUME":
        judged = volume
    elif kind == "BY_VALUE" and price is not None:
        judged = EXACT.multiply(EXACT.multiply(volume, contract["contractSize"].decimal(0, MOST)), price)
    else:
        raise Unsupported(f"the risk limits of {contract['symbol'].text()} go by something that is not known: {kind!r}")
    for most, rate in _tiers(contract, side):
        if judged <= most:
            return rate
    raise Unsupported(f"the position in {contract['symbol'].text()} is above the highest risk tier that the exchange tells")


def _accounts(
    at: Desk, venue: str, coin: str, row: Answer, lines: Sequence[Line], grows: Collection[str], quoted: tuple[Decimal | None, str]
) -> list[Account]:
    """The cross account of an asset, and one of each isolated position. `quoted` is a price of the coin for want of a position's mark."""
    accounted(coin, lines, row["positionMargin"], row["unrealized"])
    bonus = ZERO if (trial := row.get("bonus")) is None or trial.value == "" else trial.decimal(0, MOST)
    frozen = row["frozenBalance"].decimal(0, MOST)
    equity, unrealized = row["equity"].decimal(-MOST, MOST), row["unrealized"].decimal(-MOST, MOST)
    wallet = EXACT.subtract(equity, EXACT.add(unrealized, bonus))
    cross = distinct(line for line in lines if line.margin is None)
    alone = distinct(line for line in lines if line.margin is not None)
    balance = EXACT.subtract(wallet, total([frozen, *(line.margin or ZERO for line in alone)]))
    ours = {
        "unrealized": same_digits(total(profit(line.position) for line in lines), str(row["unrealized"].value)),
        "equity": same_digits(EXACT.add(equity_of(wallet, lines), bonus), str(row["equity"].value)),
    }
    theirs = {name: str(row[name].value) for name in ours}
    told = Figures(ours=ours, theirs=theirs, tolerance=SOME, scale=max(abs(equity), CENTS))
    says = [f"a trial bonus of {bonus:f} {coin} is not counted"] if bonus else []
    price = _price(lines)
    if not lines:
        price, dollar = quoted
        says += [PRICED.format(coin, dollar)] if dollar else []
    found = [
        account(
            at, venue, [FAMILY, line.symbol, line.side, "isolated"], _code(coin), line.margin or ZERO, [line],
            price=price, mode="isolated", tolerance=FINE, assumptions=[GROWS.format(line.symbol)] if line.symbol in grows else [],
        )
        for line in alone
    ]  # fmt: skip
    if cross or balance or frozen:
        found.append(
            account(
                at,
                venue,
                [FAMILY, coin],
                _code(coin),
                balance,
                cross,
                told=[told],
                frozen=frozen,
                price=price,
                shows=False,
                assumptions=says,
            )
        )
    return found


def _price(lines: Sequence[Line]) -> Decimal | None:
    """The coin in USD where the exchange marks a contract that settles in it."""
    return next((line.position.mark for line in lines if line.position.contract is Contract.INVERSE), None)


def _quoted(at: Desk, coin: str, marks: Mapping[str, Answer]) -> tuple[Decimal | None, str]:
    """The fair price of a coin by the ticker of its contract, and the dollar coin that this is quoted in, empty for USD; None where no
    contract tells a price of now.
    """
    for quote in ("USD", "USDT"):
        ticker = marks.get(f"{coin}_{quote}")
        if ticker is None or coin in DOLLARS:
            continue
        told, at_time = optional(ticker, "fairPrice"), optional(ticker, "timestamp")
        if told is not None and 0 < told < MOST and at_time is not None and abs(at_time - at.milliseconds) <= FRESH:
            return told, "" if quote == "USD" else quote
    return None, ""


def _cycle(answer: Any) -> Decimal | None:
    """Hours between two funding payments; None where they are not told."""
    if not answer:
        return None
    told = Answer(answer, "funding_rate")["data"].get("collectCycle")
    return told.decimal(1, 1_000) if told is not None else None


def _code(coin: str) -> str:
    return CODES.get(coin, coin)
