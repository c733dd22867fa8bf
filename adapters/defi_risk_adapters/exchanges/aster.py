"""Aster's perpetual futures, in single-asset mode: one cross wallet per margin coin, and isolated positions; one-way or hedged.

    maintenance = notional * rate - cum of the bracket; liquidated when maintenance is at or above the margin balance

Every read is signed with a private key: the wallet's own, which can trade and withdraw, or that of an agent of it (an API wallet), whose
rights it does not tell; the account is that of the `wallet` in the book, else of the key itself. Multi-assets mode, in which coins count
with a haircut, is named and unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.model import Account, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import accounted
from defi_risk_adapters.exchanges.common import ZERO, per_8h, same_digits, steady
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
    needed_by,
    optional,
    quote_of,
    shown_price,
    total,
    traces,
)

FAMILY: Final = "futures"
SIDES: Final = {"BOTH": "", "LONG": "long", "SHORT": "short"}
_API: Final = "GET /fapi/v3/"
Whose = tuple[tuple[str, str], ...]


class Aster:
    """USDT and other margin coins of one wallet, read with its key."""

    names: ClassVar = ("aster",)
    api: ClassVar = API
    venue: ClassVar = "Aster"
    needs: ClassVar = ("privateKey",)
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", (_API + "time", "GET /api/v3/time"), private=False),
        "mode": ExchangeRead("fapiPrivateGetV3MultiAssetsMargin", (_API + "multiAssetsMargin",)),
        "account": ExchangeRead("fapiPrivateGetV3Account", (_API + "account",)),
        "positions": ExchangeRead("fapiPrivateGetV3PositionRisk", (_API + "positionRisk",)),
        "brackets": ExchangeRead("fapiPrivateGetV3LeverageBracket", (_API + "leverageBracket",), kept=21_600),
        "brackets_now": ExchangeRead("fapiPrivateGetV3LeverageBracket", (_API + "leverageBracket",)),
        "contracts": ExchangeRead("fapiPublicGetV3ExchangeInfo", (_API + "exchangeInfo",), kept=21_600, private=False),
        "contracts_now": ExchangeRead("fapiPublicGetV3ExchangeInfo", (_API + "exchangeInfo",), private=False),
        "premium": ExchangeRead("fapiPublicGetV3PremiumIndex", (_API + "premiumIndex",), kept=600, private=False),
        "intervals": ExchangeRead("fapiPublicGetV3FundingInfo", (_API + "fundingInfo",), kept=600, private=False),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Every margin coin that holds something, with its positions."""
        whose = _whose(at)
        [mode] = yield [ExchangeCall("mode", whose)]
        if Answer(mode, "multiAssetsMargin")["multiAssetsMargin"].flag():
            raise Unsupported("Aster's multi-assets mode is not modelled", hint="only single-asset mode is")
        [account], [given] = yield from steady([ExchangeCall("account", whose)], lambda _: [ExchangeCall("positions", whose)], _held)
        rows = [row for row in Answer(given, "positionRisk").listing() if row["positionAmt"].decimal(-MOST, MOST)]
        lines: list[Line] = []
        coins: dict[str, str] = {}
        notes: list[str] = []
        if rows:
            contracts, brackets = yield from _tables({row["symbol"].text() for row in rows}, whose)
            marked, timed = yield [ExchangeCall("premium", optional=True), ExchangeCall("intervals", optional=True)]
            for told, what in ((marked, "funding rates"), (timed, "funding intervals")):
                if isinstance(told, Failed):
                    notes.append(f"{what} are not known: {told.reason}")
            premium = _by_symbol(marked, "premiumIndex")
            hours = {symbol: optional(one, "fundingIntervalHours") for symbol, one in _by_symbol(timed, "fundingInfo").items()}
            for row in rows:
                symbol = row["symbol"].text()
                if symbol not in contracts or symbol not in brackets:
                    raise Unsupported(f"Aster lists no contract {symbol!r} with brackets, in which there is a position")
                coins[symbol] = contracts[symbol]["marginAsset"].text()
                lines.append(_line(row, contracts[symbol], brackets[symbol], premium.get(symbol), hours.get(symbol)))
        distinct(lines)
        assets = {one["asset"].text(): one for one in Answer(account, "account")["assets"].listing()}
        if lost := set(coins.values()) - set(assets):
            raise BadAnswer(f"Aster tells no balance of {min(lost)}, in which there are positions")
        found: list[Account | SourceReport] = []
        for coin, asset in assets.items():
            found += self._coin(at, coin, asset, [line for line in lines if coins[line.symbol] == coin])
        return [*found, SourceReport(id=at.name, kind="exchange", notes=tuple(notes))]

    def _coin(self, at: Desk, coin: str, asset: Answer, lines: Sequence[Line]) -> list[Account]:
        apart = [line for line in lines if line.margin is not None]
        shared = [line for line in lines if line.margin is None]
        accounted(coin, lines, *traces(asset, "unrealizedProfit", "maintMargin", "positionInitialMargin"))
        accounted(coin, shared, *traces(asset, "crossUnPnl"))
        wallet = asset["walletBalance"].decimal(-MOST, MOST)
        balance = optional(asset, "crossWalletBalance")
        if balance is None:
            balance = EXACT.subtract(wallet, total(line.margin or ZERO for line in apart))
        accounts = [
            isolated(at, self.venue, FAMILY, coin, line, figures=Figures(ours={}, theirs={}, tolerance=OF_ONE_MOMENT)) for line in apart
        ]
        if balance or shared:
            accounts.append(cross(at, self.venue, [FAMILY, coin], coin, balance, shared, figures=_figures(asset, balance, lines, shared)))
        return accounts

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """The private key of a wallet can do all that its owner can; what an agent's may do is not known to be less."""
        yield from ()
        return KeyRights(trade=True, withdraw=True, bound=False)


def _held(given: Sequence[Any]) -> object:
    return [(one["asset"].text(), one["walletBalance"].decimal(-MOST, MOST)) for one in Answer(given[0], "account")["assets"].listing()]


def _whose(at: Desk) -> Whose:
    """The account that is asked about: ccxt takes the address of the key for it, which an agent signs with for another."""
    return (("user", at.address),) if at.address else ()


def _tables(symbols: Collection[str], whose: Whose) -> Requests[tuple[dict[str, Answer], dict[str, tuple[Tier, ...]]]]:
    """Contracts and their brackets by symbol: kept ones, or those of now where a contract is younger than these."""
    contracts: dict[str, Answer] = {}
    brackets: dict[str, tuple[Tier, ...]] = {}
    for suffix in ("", "_now"):
        listed, bracketed = yield [ExchangeCall(f"contracts{suffix}"), ExchangeCall(f"brackets{suffix}", whose)]
        contracts = {one["symbol"].text(): one for one in Answer(listed, "exchangeInfo")["symbols"].listing()}
        brackets = {one["symbol"].text(): _tiers(one["brackets"]) for one in Answer(bracketed, "leverageBracket").listing()}
        if all(symbol in contracts and symbol in brackets for symbol in symbols):
            break
    return contracts, brackets


def _by_symbol(answer: Any, path: str) -> dict[str, Answer]:
    """Rows by symbol; none of an answer that failed."""
    return {} if isinstance(answer, Failed) else {row["symbol"].text(): row for row in Answer(answer, path).listing()}


def _tiers(rows: Answer) -> tuple[Tier, ...]:
    found = sorted(
        (
            Tier(row["notionalFloor"].decimal(0, MOST), row["maintMarginRatio"].decimal(0, 1), row["cum"].decimal(0, MOST))
            for row in rows.listing(200)
        ),
        key=lambda tier: tier.floor,
    )
    if not found or found[0].floor or len({tier.floor for tier in found}) < len(found):
        raise BadAnswer(f"{rows.path} does not begin at zero, or two of it begin at one floor")
    return tuple(found)


def _line(row: Answer, contract: Answer, tiers: tuple[Tier, ...], premium: Answer | None, hours: Decimal | None) -> Line:
    symbol, side, kind = row["symbol"].text(), row["positionSide"].text(), row["marginType"].text().lower()
    size = row["positionAmt"].decimal(-MOST, MOST)
    if side not in SIDES or kind not in ("cross", "isolated") or (side != "BOTH" and (size > 0) != (side == "LONG")):
        raise Unsupported(f"Aster's position side {side!r} of {size} in margin mode {kind!r} is not known")
    if contract["contractType"].text() != "PERPETUAL":
        raise Unsupported(f"Aster's contract {symbol!r} of type {contract['contractType'].text()!r} is not modelled")
    rate = optional(premium, "lastFundingRate") if premium is not None else None
    profit = row["unRealizedProfit"].decimal(-MOST, MOST)
    mark = row["markPrice"].decimal(0, MOST)
    # the margin that is told of an isolated position has its profit in it
    margin = EXACT.subtract(row["isolatedMargin"].decimal(-MOST, MOST), profit) if kind == "isolated" else None
    position = Position(
        size=size,
        entry=row["entryPrice"].decimal(0, MOST),
        mark=mark,
        quote=quote_of(contract, "quoteAsset", "marginAsset"),
        tiers=tiers,
        initial_rate=EXACT.divide(ONE, row["leverage"].decimal(1, 1_001)),
        funding_8h=None if rate is None or hours is None else per_8h(rate, hours),
        unrealized_pnl=profit,
        index=None if premium is None else _index(premium, mark),
    )
    coin = contract["baseAsset"].text()
    return Line(symbol=symbol, coin=coin, position=position, side=SIDES[side], margin=margin, shown=shown_price(row, "liquidationPrice"))


def _index(premium: Answer, mark: Decimal) -> Decimal | None:
    """The index beside a mark of now: as far from it as it was from the mark of its own answer, which may be ten minutes old."""
    index, then = optional(premium, "indexPrice"), optional(premium, "markPrice")
    return EXACT.divide(EXACT.multiply(mark, index), then) if index and then else index


def _figures(asset: Answer, balance: Decimal, lines: Sequence[Line], shared: Sequence[Line]) -> Figures:
    """The wallet's balance digit for digit, its margin balance, and the maintenance margin of all its positions."""
    theirs = {"walletBalance": str(asset["walletBalance"].value)}
    ours = dict(theirs)
    if lines and optional(asset, "maintMargin"):
        theirs["maintMargin"] = str(asset["maintMargin"].value)
        ours["maintMargin"] = same_digits(needed_by(lines), theirs["maintMargin"])
    if shared and optional(asset, "crossUnPnl") is not None:
        told = str(asset["crossUnPnl"].value)
        theirs["crossUnPnl"] = told
        ours["crossUnPnl"] = same_digits(EXACT.subtract(equity_of(balance, shared), balance), told)
    return Figures(ours=ours, theirs=theirs, scale=max(abs(balance), ONE))
