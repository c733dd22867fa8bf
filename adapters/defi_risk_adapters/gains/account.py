"""One trade as a margin account: its integers, its legs and the venue's own figures beside ours.

Profit is a share of the collateral and paid in it, so a trade in a dollar coin behaves as a position counted in dollars beside that
coin. One in a coin that moves (WETH, GNS) is worth a product of two prices, which no linear account is: it is unknown, and says at what
price of the pair it is liquidated. The surplus is zero exactly at that price: the requirement is what of the collateral is lost below
the threshold, and what closing costs counts in C as the venue's rule has it (fee, spread, and what the fees for holding it grow by
until there). Whatever is left of a liquidated trade goes to the vault.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.ids import USD, Factor
from defi_risk.model import Account, Asset, Leg, LiquidationRule, Position, Price, Role, SelfCheck, Tier
from defi_risk.spi import Context
from defi_risk.text import clean
from defi_risk.units import EXACT, SECONDS_PER_YEAR, Quantity, exact_ratio, plain
from defi_risk_adapters.gains.coin import USD_PLACES, Coin
from defi_risk_adapters.gains.exact import LEVERAGE, GainsExact, Terms, closing_fee
from defi_risk_adapters.gains.holding import P10, PERCENT, UNIT, Borrowing, Funding, HoldingFees
from defi_risk_adapters.gains.prices import PLACES, PairPrice
from defi_risk_adapters.gains.reads import NEWEST, ORDERS, Facts, Held, Told

DOLLARS: Final = frozenset(map(Factor, ("USD", "USDC", "USDT", "DAI", "USDm")))
SIZE_DECIMALS: Final = 18
LONGEST_NAME: Final = 16
EIGHT_HOURS: Final = 28_800
MOST_LEVERAGE: Final = 10**4 * LEVERAGE
_ZERO: Final = Decimal(0)
_SMALLEST: Final = Decimal(1).scaleb(-SIZE_DECIMALS)


def order(account: Account, held: Held, coin: Coin) -> Account:
    """An order that waits for its price: its collateral lies with the venue, and nothing rests on it. Raises `Unsupported` for a kind of
    trade that is not known to be one.
    """
    if held.trade.tradeType not in ORDERS:
        raise Unsupported(f"a trade of type {held.trade.tradeType} is not modelled")
    return replace(account, mode="order", legs=(coin.leg(held.trade.collateralAmount, counts=False),))


def pair_name(pair: Told) -> str:
    """The pair as the venue writes it, `ETH/USD`. Raises `OutOfRange` for a name that is not as plain as it looks."""
    listed = pair["pairs"]
    parts = (listed[0], listed[1])
    if any(len(part) > LONGEST_NAME or not part or clean(part) != part or not part.isascii() for part in parts):
        raise OutOfRange("the pair of the trade has a name that cannot be shown")
    return "/".join(parts)


def exact_of(held: Held, coin: Coin, asset: Asset, facts: Facts, views: Told, price: int, key: str, at: Context) -> GainsExact:
    """The trade's integers. Raises `Unsupported` for a version that is not known, `OutOfRange` for answers that cannot be."""
    trade, pair = held.trade, facts.pairs[held.pair]
    if held.version > NEWEST:
        raise Unsupported(f"a trade of contracts version {held.version} is not modelled", hint=f"up to {NEWEST} are")
    _require(0 < trade.leverage <= MOST_LEVERAGE and trade.collateralAmount > 0 and trade.openPrice > 0, "the trade has no size or price")
    terms = Terms(*held.terms)
    _require(terms.start_threshold >= terms.end_threshold or not terms.most_spread, "its liquidation threshold rises with leverage")
    threshold = terms.threshold(trade.leverage)
    _require(0 < threshold <= PERCENT * P10, f"it is liquidated at a loss of {threshold} / 1e12 of its collateral")
    paid = facts.fees[trade.index]["getTradeFeesData"]
    size = trade.collateralAmount * trade.leverage // LEVERAGE
    return GainsExact(
        key=key,
        asset=asset,
        price=price,
        long=trade.long,
        entry=trade.openPrice,
        collateral=trade.collateralAmount,
        leverage=trade.leverage,
        scale=coin.scale,
        threshold=threshold,
        spread=min(pair["pairSpreadP"] // 2, terms.most_spread) if held.version else 0,
        fee=_fee(pair, size, coin, counter=trade.isCounterTrade),
        realized=paid.realizedPnlCollateral - paid.realizedTradingFeesCollateral,
        holding=HoldingFees(
            funding=_funding(pair, coin, at),
            borrowing=_borrowing(pair, paid.initialAccBorrowingFeeP, at),
            long=trade.long,
            funded=held.version == NEWEST,
            size=size,
            entry=trade.openPrice,
            funding_start=paid.initialAccFundingFeeP,
            borrowing_start=paid.initialAccBorrowingFeeP,
            older=views["getTradePendingHoldingFeesCollateral"].borrowingFeeCollateral_old,
        ),
    )


def known(account: Account, exact: GainsExact, coin: Coin, quoted: PairPrice, pair: Told, views: Told, at: Context) -> Account:
    """The account with its figures. Raises `Unsupported` for collateral that is no dollar."""
    if coin.ref.factor not in DOLLARS:
        raise Unsupported(f"profit is paid in {coin.asset.symbol}, which is no dollar, so that two prices multiply; {line_text(exact)}")
    most = pair["pairMaxLeverage"]
    _require(0 < most <= MOST_LEVERAGE, f"the pair allows a leverage of {most} / 1e3")
    native = exact.native()
    ref = at.factor_of(exact.asset.id)
    position = _position(exact, coin, exact_ratio(LEVERAGE, most))
    leg = Leg(
        role=Role.POSITION,
        asset=exact.asset,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity.of(position.size.copy_abs()),
        price=Price(Quantity(exact.price, PLACES), USD, quoted.key, quoted.updated_at, quoted.heartbeat),
        position=position,
    )
    return replace(
        account,
        legs=(coin.leg(exact.collateral + exact.realized), leg),
        exact=exact,
        native=native,
        self_check=SelfCheck.compare(native, _verdict(views)),
        liquidatable=exact.liquidatable(),
        strict=False,
        rule=LiquidationRule(kind="close", remainder="lost"),
    )


def line_text(exact: GainsExact) -> str:
    """At what price of its pair the trade is liquidated, as a clause."""
    line = exact.settled_line()
    if line <= 0:
        return f"no price of {exact.asset.symbol} liquidates it"
    return f"it is liquidated at {plain(Quantity(line, PLACES).decimal())} {exact.asset.symbol} or {'below' if exact.long else 'above'}"


def _position(exact: GainsExact, coin: Coin, initial_rate: Decimal) -> Position:
    """Sizes are in USD per unit of the pair's price, so that the notional is the collateral's worth times the leverage, moved with it."""
    worth = exact.collateral * exact.leverage * coin.price * 10**PLACES
    whole = exact_ratio(worth, LEVERAGE * coin.unit * exact.entry).quantize(_SMALLEST, context=EXACT)
    size = whole if exact.long else whole.copy_negate()
    entry = Quantity(exact.entry, PLACES).decimal()
    holding, price = exact.holding, exact.price
    received = coin.usd(-holding.funding_fee(price))
    owed = coin.usd(holding.borrowing_fee(price) + holding.older)
    kept = EXACT.subtract(
        coin.usd(exact.collateral),
        exact_ratio(exact.bearable() * coin.price, coin.scale * LEVERAGE * coin.unit),
    )
    # what is left at the line when everything else is counted: closing fee, spread, and what holding costs more until there
    moved = EXACT.multiply(size, EXACT.subtract(Quantity(exact.settled_line(), PLACES).decimal(), entry))
    left = EXACT.add(EXACT.add(coin.usd(exact.collateral + exact.realized), moved), EXACT.subtract(received, owed))
    rate = holding.funding.rate(holding.funding.velocity(price)).now if holding.funded and holding.funding.enabled else 0
    share = holding.funding.multiplier(rate, long=exact.long)
    return Position(
        size=size,
        entry=entry,
        mark=Quantity(price, PLACES).decimal(),
        quote=USD,
        tiers=(Tier(_ZERO, _ZERO, kept.copy_negate()),),
        initial_rate=initial_rate,
        funding_8h=exact_ratio(rate * share * EIGHT_HOURS, 10**18 * UNIT * PERCENT),
        borrow_apr=None if holding.older else exact_ratio(holding.borrowing.rate * SECONDS_PER_YEAR, P10 * PERCENT),
        accrued_funding=received,
        accrued_fees=owed,
        exit_cost=EXACT.subtract(left, kept),
    )


def _fee(pair: Told, size: int, coin: Coin, *, counter: bool) -> int:
    rate, least_usd = pair["pairTotalPositionSizeFeeP"], pair["pairMinPositionSizeUsd"]
    _require(rate <= PERCENT * P10, f"the pair charges {rate} / 1e12 of the notional")
    least = least_usd * 10**USD_PLACES // coin.price // coin.scale
    return closing_fee(size, pair["getPairCounterTradeFeeRateMultiplier"] if counter else LEVERAGE, rate, least)


def _funding(pair: Told, coin: Coin, at: Context) -> Funding:
    rules, state, interest = _only(pair, "getPairFundingFeeParams"), _only(pair, "getPairFundingFeeData"), pair["getPairOiAfterV10Token"]
    return Funding(
        enabled=rules.fundingFeesEnabled,
        multiplied=rules.aprMultiplierEnabled,
        seconds=_since(state.lastFundingUpdateTs, at) if rules.fundingFeesEnabled else 0,
        last=state.lastFundingRatePerSecondP,
        long_sum=state.accFundingFeeLongP,
        short_sum=state.accFundingFeeShortP,
        long_tokens=interest.oiLongToken,
        short_tokens=interest.oiShortToken,
        coefficient=rules.skewCoefficientPerYear,
        most_velocity=rules.absoluteVelocityPerYearCap,
        most_rate=rules.absoluteRatePerSecondCap,
        least_usd=rules.thetaThresholdUsd,
        collateral_price=coin.price,
    )


def _borrowing(pair: Told, start: int, at: Context) -> Borrowing:
    rules, state = _only(pair, "getPairBorrowingFeeParams"), _only(pair, "getPairBorrowingFeeData")
    _require(state.accBorrowingFeeP >= start, "the sum of borrowing fees is below where the trade began")
    return Borrowing(_since(state.lastBorrowingUpdateTs, at), state.accBorrowingFeeP, rules.borrowingRatePerSecondP)


def _only(pair: Told, view: str) -> Any:
    answer = pair[view]
    _require(len(answer) == 1, f"{view} answers {len(answer)} entries for one pair")
    return answer[0]


def _since(written: int, at: Context) -> int:
    _require(written <= at.timestamp, "the pair's fees were written after the block's time")
    return at.timestamp - written


def _verdict(views: Told) -> dict[str, int | bool]:
    """What the views that answered say, by the names of `GainsExact.native`."""
    fees = views["getTradePendingHoldingFeesCollateral"]
    said: dict[str, int | bool] = {
        "fundingFeeCollateral": fees.fundingFeeCollateral,
        "borrowingFeeCollateral": fees.borrowingFeeCollateral,
        "totalFeeCollateral": fees.totalFeeCollateral,
    }
    line, checked = views.get("getTradeLiquidationPrice"), views.get("validateTriggerCloseOrderCallback")
    if line is not None:
        said["getTradeLiquidationPrice"] = line
    if checked is not None:
        said["validateTriggerCloseOrderCallback"] = checked.v.cancelReason == 0
    return said


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise OutOfRange(otherwise)
