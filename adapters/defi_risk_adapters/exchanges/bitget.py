"""Bitget futures, classic account in single-asset mode: one cross wallet per margin coin, and isolated positions.

Maintenance = |size| * mark * (rate of the bracket + taker fee), without deduction: the exchange's own figures hold to the last digit by it
(`marginRatio` = maintenance / (margin + profit), liquidation at 1). `accountEquity` holds isolated margin and all profit.

A unified trading account is one account of all coins, in `unified` below. The multi-asset mode ("union") of a classic one is named and
unknown: what its coins count for is told nowhere. Wallets that were empty are looked at again after ten minutes, or at once where all were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import Undecodable, Unsupported
from defi_risk.ids import USD, Factor
from defi_risk.model import Account, Contract, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.bitget_unified import PRODUCTS, unified, unified_rights
from defi_risk_adapters.exchanges.classic import accounted
from defi_risk_adapters.exchanges.common import ZERO, bracket_of, notional, per_8h, profit, same_digits, steady
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
    ratio_text,
    shown_price,
    side_of,
    stepwise,
    total,
    traces,
)

TENFOLD: Final = Decimal(10)
"""How far a position's margin times its leverage may be from its size for the unit of that size to be told by it."""
_MIX: Final = "GET /api/v2/mix/"


class Bitget:
    """Classic futures accounts. `wallets` is the discovery of product types, `wallet` the same read at the moment of the positions."""

    names: ClassVar = ("bitget",)
    api: ClassVar = API
    venue: ClassVar = "Bitget"
    needs: ClassVar = ("apiKey", "secret", "password")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", ("GET /api/v2/public/time",), private=False),
        "wallets": ExchangeRead("privateMixGetV2MixAccountAccounts", (_MIX + "account/accounts",), kept=600),
        "wallet": ExchangeRead("privateMixGetV2MixAccountAccounts", (_MIX + "account/accounts",)),
        "positions": ExchangeRead("privateMixGetV2MixPositionAllPosition", (_MIX + "position/all-position",)),
        "settings": ExchangeRead("privateUtaGetV3AccountSettings", ("GET /api/v3/account/settings",), kept=600),
        "assets": ExchangeRead("privateUtaGetV3AccountAssets", ("GET /api/v3/account/assets",)),
        "held": ExchangeRead("privateUtaGetV3PositionCurrentPosition", ("GET /api/v3/position/current-position",)),
        "steps": ExchangeRead("publicUtaGetV3MarketPositionTier", ("GET /api/v3/market/position-tier",), kept=21_600, private=False),
        "fund": ExchangeRead("publicUtaGetV3MarketCurrentFundRate", ("GET /api/v3/market/current-fund-rate",), kept=600, private=False),
        "discounts": ExchangeRead("publicUtaGetV3MarketDiscountRate", ("GET /api/v3/market/discount-rate",), kept=21_600, private=False),
        "collateral": ExchangeRead("privateUtaGetV3AccountCollateralType", ("GET /api/v3/account/collateral-type",), kept=600),
        "contracts": ExchangeRead("publicMixGetV2MixMarketContracts", (_MIX + "market/contracts",), kept=21_600, private=False),
        "tiers": ExchangeRead("publicMixGetV2MixMarketQueryPositionLever", (_MIX + "market/query-position-lever",), 21_600, private=False),
        "tickers": ExchangeRead("publicMixGetV2MixMarketTickers", (_MIX + "market/tickers",), kept=600, private=False),
        "rights": ExchangeRead("privateSpotGetV2SpotAccountInfo", ("GET /api/v2/spot/account/info",)),
        "permissions": ExchangeRead("privateUtaGetV3AccountInfo", ("GET /api/v3/account/info",)),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Every wallet that holds something, with its positions. A classic key may not ask for settings, nor a unified one for wallets."""
        [settings] = yield [ExchangeCall("settings", optional=True)]
        if not isinstance(settings, Failed):
            return [*(yield from unified(at, self.venue, Answer(settings, "settings")["data"]))]
        found = yield [ExchangeCall("wallets", _of(product)) for product in PRODUCTS]
        live = [product for product, given in zip(PRODUCTS, found, strict=True) if _funded(given)]
        if not live:  # what was kept must not stand for an empty account
            found = yield [ExchangeCall("wallet", _of(product)) for product in PRODUCTS]
            live = [product for product, given in zip(PRODUCTS, found, strict=True) if _funded(given)]
        accounts: list[Account | SourceReport] = []
        for product in live:
            accounts += yield from self._product(at, product)
        return accounts

    def _product(self, at: Desk, product: str) -> Requests[list[Account]]:
        wallet = ExchangeCall("wallet", _of(product))

        def positions(given: Sequence[Any]) -> list[ExchangeCall]:
            coins = [row["marginCoin"].text() for row in _rows(given[0], "accounts")] if product == "COIN-FUTURES" else [""]
            return [ExchangeCall("positions", (*_of(product), *([("marginCoin", coin)] if coin else []))) for coin in dict.fromkeys(coins)]

        balances, given = yield from steady([wallet], positions, _held)
        rows = [row for answer in given for row in _rows(answer, "positions") if row["total"].decimal(0, MOST) > 0]
        if not rows:
            return [account for row in _rows(balances[0], "accounts") for account in self._accounts(at, product, row, [])]
        symbols = dict.fromkeys(row["symbol"].text() for row in rows)
        asks = [ExchangeCall("tiers", (*_of(product), ("symbol", symbol))) for symbol in symbols]
        answers = yield [ExchangeCall("contracts", _of(product)), ExchangeCall("tickers", _of(product)), *asks]
        contracts = {row["symbol"].text(): row for row in _rows(answers[0], "contracts")}
        tickers = {row["symbol"].text(): row for row in _rows(answers[1], "tickers")}
        tiers = {symbol: _tiers(answer) for symbol, answer in zip(symbols, answers[2:], strict=True)}
        lines: dict[str, list[tuple[Line, Answer]]] = {}
        for row in rows:
            symbol = row["symbol"].text()
            if symbol not in contracts or symbol not in tickers:
                raise Unsupported(f"Bitget lists no contract {symbol!r}, in which there is a position")
            line = _line(row, contracts[symbol], tickers[symbol], tiers[symbol], coin_margined=product == "COIN-FUTURES")
            lines.setdefault(row["marginCoin"].text(), []).append((line, row))
        accounts: list[Account] = []
        wallets = {row["marginCoin"].text(): row for row in _rows(balances[0], "accounts")}
        for coin, pairs in lines.items():
            if coin not in wallets:
                raise Unsupported(f"Bitget tells no wallet of {coin}, in which there are positions")
            distinct(line for line, _ in pairs)
            accounts += self._accounts(at, product, wallets.pop(coin), pairs)
        return [*accounts, *(account for row in wallets.values() for account in self._accounts(at, product, row, []))]

    def _accounts(self, at: Desk, product: str, row: Answer, pairs: Sequence[tuple[Line, Answer]]) -> list[Account]:
        """The accounts of one margin coin: its cross wallet and each isolated position."""
        mode = row.get("assetMode")
        told = mode.text() if mode is not None else ""
        if told != "single":
            raise Unsupported(f"Bitget's asset mode {told!r} is not modelled", hint="only single-asset mode is")
        coin, family = row["marginCoin"].text(), PRODUCTS[product]
        equity, earned = row["accountEquity"].decimal(-MOST, MOST), _earned(row)
        if earned is None:
            earned = total(profit(line.position) for line, _ in pairs)
        dollars, price = optional(row, "usdtEquity"), None
        if product == "COIN-FUTURES" and pairs:  # as the wallet's own verdict is in coins, at the mark of what it margins
            price = pairs[0][0].position.mark
        elif product == "COIN-FUTURES" and dollars is not None and equity > 0 and dollars > 0:
            price = EXACT.divide(dollars, equity)
        apart = [(line, given) for line, given in pairs if line.margin is not None]
        shared = [line for line, _ in pairs if line.margin is None]
        used = () if optional(row, "locked") else ("isolatedMargin", "crossedMargin")  # which open orders may be in
        accounted(coin, [line for line, _ in pairs], *traces(row, *used, "unrealizedPL"))
        accounted(coin, [line for line, _ in apart], *traces(row, *used[:1], "isolatedUnrealizedPL"))
        accounted(coin, shared, *traces(row, *used[1:], "crossedUnrealizedPL", "crossedRiskRate"))
        balance = EXACT.subtract(EXACT.subtract(equity, earned), total(line.margin or ZERO for line, _ in apart))
        accounts = [isolated(at, self.venue, family, coin, line, figures=_ratio(line, given), price=price) for line, given in apart]
        if balance or shared:
            figures = _rates(row, balance, shared, [given for line, given in pairs if line.margin is None])
            says = [f"{coin} is priced by its worth in USDT, at a dollar for one"] if price is not None and not pairs else []
            accounts.append(cross(at, self.venue, [family, coin], coin, balance, shared, figures=figures, price=price, assumptions=says))
        return accounts

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """From the codes of the key's authorities: the last two letters are "or" for reading and "ow" for writing, a first "w" is the
        wallet's.
        """
        [given] = yield [ExchangeCall("rights", optional=True)]
        if isinstance(given, Failed):  # as it does for a key of a unified account
            [given] = yield [ExchangeCall("permissions")]
            return unified_rights(Answer(given, "permissions")["data"])
        data = Answer(given, "rights")["data"]
        codes = {item.text() for item in data["authorities"].listing()}
        known = all(code[-2:] in ("or", "ow") or code in ("trade", "readonly", "transfer", "withdraw") for code in codes)
        written = {code for code in codes if code.endswith("ow") and len(code) == 4}
        trade = bool({code for code in written if not code.startswith("w")} or "trade" in codes)
        withdraw = bool({code for code in written if code.startswith("w")} or codes & {"transfer", "withdraw"})
        ips = data.get("ips")
        bound = None if ips is None else bool(ips.text(2_000).strip())
        if not known or not codes:
            return KeyRights(trade or None, withdraw or None, bound)
        return KeyRights(trade, withdraw, bound)


def _of(product: str) -> tuple[tuple[str, str], ...]:
    return (("productType", product),)


def _rows(given: object, name: str) -> list[Answer]:
    return Answer(given, name)["data"].listing()


def _funded(given: object) -> bool:
    """Whether any wallet of a product type holds something, or may. Raises `Undecodable` where no wallet is told: each has its row."""
    rows = _rows(given, "accounts")
    if not rows:
        raise Undecodable("accounts.data has no wallet in it")
    fields = ("available", "locked", "unrealizedPL")
    return any(row["accountEquity"].decimal(-MOST, MOST) or any(optional(row, field) for field in fields) for row in rows)


def _earned(row: Answer) -> Decimal | None:
    """Profit of all positions of a wallet, which Bitget tells as a whole or by margin mode; None where it tells neither."""
    whole = optional(row, "unrealizedPL")
    parts = [optional(row, field) for field in ("crossedUnrealizedPL", "isolatedUnrealizedPL")]
    return whole if whole is not None else None if None in parts else total(part for part in parts if part is not None)


def _held(given: Sequence[Any]) -> object:
    """What prices do not move: equity without profit, to where its rounding jumps, and what isolated positions hold."""
    cent = Decimal("0.0001")
    return [
        (
            row["marginCoin"].text(),
            EXACT.subtract(row["accountEquity"].decimal(-MOST, MOST), _earned(row) or ZERO).quantize(cent),
            optional(row, "isolatedMargin"),
        )
        for row in _rows(given[0], "accounts")
    ]


def _tiers(given: object) -> tuple[Tier, ...]:
    rows = _rows(given, "tiers")
    return stepwise((row["startUnit"].decimal(0, MOST), row["keepMarginRate"].decimal(0, 1)) for row in rows)


def _line(row: Answer, contract: Answer, ticker: Answer, tiers: tuple[Tier, ...], *, coin_margined: bool) -> Line:
    mode, hold = row["marginMode"].text(), row["posMode"].text()
    if mode not in ("crossed", "isolated") or hold not in ("one_way_mode", "hedge_mode"):
        raise Unsupported(f"Bitget's margin mode {mode!r} in position mode {hold!r} is not known")
    symbol, side = row["symbol"].text(), row["holdSide"].text()
    size, entry = row["total"].decimal(0, MOST), row["openPriceAvg"].decimal(0, MOST)
    leverage, own = row["leverage"].decimal(1, 1_000), row["marginSize"].decimal(0, MOST)
    if coin_margined:
        if row["marginCoin"].text() != contract["baseCoin"].text():
            raise Unsupported(f"{symbol} is margined in {row['marginCoin'].text()}: a profit in another coin than its own is not modelled")
        size = _dollars(symbol, size, entry, EXACT.multiply(own, leverage))
    perpetual = contract["symbolType"].text() == "perpetual"
    expiry = contract.get("deliveryTime")
    expires = int(expiry.decimal(0) // 1_000) if expiry is not None and expiry.value not in ("", "0") else None
    if not perpetual and expires is None:
        raise Unsupported(f"Bitget's contract {symbol!r} is {contract['symbolType'].text()!r}, and its end is not told")
    rate = optional(ticker, "fundingRate") if perpetual else None
    quote = contract["quoteCoin"].text()
    position = Position(
        size=side_of(size, side),
        entry=entry,
        mark=row["markPrice"].decimal(0, MOST),
        quote=USD if coin_margined else Factor(quote),
        contract=Contract.INVERSE if coin_margined else Contract.LINEAR,
        tiers=tiers,
        initial_rate=EXACT.divide(ONE, leverage),
        close_fee=contract["takerFeeRate"].decimal(0, 1),
        funding_8h=None if rate is None else per_8h(rate, contract["fundInterval"].decimal(1, 24)),
        unrealized_pnl=row["unrealizedPL"].decimal(-MOST, MOST),
        expires=expires,
        index=optional(ticker, "indexPrice"),
    )
    return Line(
        symbol=symbol,
        coin=contract["baseCoin"].text(),
        position=position,
        side=side if hold == "hedge_mode" else "",
        margin=own if mode == "isolated" else None,
        shown=shown_price(row, "liquidationPrice"),
    )


def _dollars(symbol: str, size: Decimal, entry: Decimal, coins: Decimal) -> Decimal:
    """USD of notional of a coin-margined position, whose size may be written in coins or in USD: its margin times its leverage is about
    its worth in coins, and tells which. Raises `Unsupported` where it does not.
    """
    in_coins, in_dollars = size, EXACT.divide(size, entry)
    fits = [_near(coins, in_coins), _near(coins, in_dollars)]
    if fits == [True, False]:
        return EXACT.multiply(size, entry)
    if fits == [False, True]:
        return size
    raise Unsupported(f"the unit of the size of {symbol} cannot be told from its margin")


def _near(one: Decimal, other: Decimal) -> bool:
    return other > ZERO and EXACT.divide(other, TENFOLD) <= one <= EXACT.multiply(other, TENFOLD)


def _ratio(line: Line, given: Answer) -> Figures:
    """An isolated position's margin ratio, and the maintenance rate of its bracket."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    told = given.get("marginRatio")
    if told is not None and optional(given, "marginRatio"):
        equity = equity_of(line.margin or ZERO, [line])
        ours[f"marginRatio:{line.name}"] = ratio_text(needed_by([line]), equity, str(told.value))
        theirs[f"marginRatio:{line.name}"] = str(told.value)
    _maintenance_rate(line, given, ours, theirs)
    return Figures(ours=ours, theirs=theirs, tolerance=OF_ONE_MOMENT)


def _rates(row: Answer, balance: Decimal, lines: Sequence[Line], given: Sequence[Answer]) -> Figures:
    """A wallet's own figures: balance and equity digit for digit, its risk rate, the maintenance rates of its positions."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    told = row.get("crossedRiskRate")
    if lines and told is not None and optional(row, "crossedRiskRate"):
        ours["crossedRiskRate"] = ratio_text(needed_by(lines), equity_of(balance, lines), str(told.value))
        theirs["crossedRiskRate"] = str(told.value)
    ours["accountEquity"] = theirs["accountEquity"] = str(row["accountEquity"].value)
    for line, answer in zip(lines, given, strict=True):
        _maintenance_rate(line, answer, ours, theirs)
    return Figures(ours=ours, theirs=theirs)


def _maintenance_rate(line: Line, given: Answer, ours: dict[str, str], theirs: dict[str, str]) -> None:
    told = str(given["keepMarginRate"].value)
    name = f"keepMarginRate:{line.name}"
    ours[name] = same_digits(bracket_of(line.position.tiers, notional(line.position)).rate, told)
    theirs[name] = told
