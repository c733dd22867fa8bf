"""Margin accounts of a unified account in terms of the model, with Bybit's own figures to compare them with.

Cross and portfolio mode: `accountMMRate` = maintenance margin / margin balance in USD; dead at 100 %. The margin balance adds up, coin by
coin, balance - borrowed + unrealised profit at the coin's price and, where that is positive, at its collateral value ratio, in tiers of the
amount. What open spot orders would lose is not told: it is taken for nothing, and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.model import ONE, Account, Basis, Leg, LiquidationRule, Position, SelfCheck, Side, Tier
from defi_risk.spi import Desk
from defi_risk.units import EXACT, plain
from defi_risk_adapters.exchanges.bybit.contracts import Book, Described, counted
from defi_risk_adapters.exchanges.bybit.moment import DRIFT, total
from defi_risk_adapters.exchanges.bybit.wallet import LINEAR, ZERO, Coin, Mode, Wallet
from defi_risk_adapters.exchanges.common import at_par, debt, derivative, liquidation_price, margin, profit, same_digits

MARKET: Final = "unified"
TOLERANCE: Final = Decimal("0.01")
"""Balance and positions are read some tenths of a second apart, and the requirement follows the mark price; Bybit's liquidation prices in
cross mode are estimates that hold the requirement, in older answers, or the price of the settling coin. A wrong tier, ratio or size shows.
"""
RATE_UNIT: Final = Decimal("0.01")
"""Bybit cuts its rates at the fourth decimal: below this a whole unit of that decimal is no difference."""
NEAR: Final = Decimal("0.5")
"""Share of the mark price within which a liquidation price of ours must have one of Bybit's: it leaves out those beyond its limits."""
SLIGHT: Final = Decimal("0.0001")
EIGHT: Final = "0.00000000"
AT_PAR: Final = "{} is taken at a dollar: Bybit tells no price of it"


def accounts(at: Desk, mode: Mode, wallet: Wallet, book: Book, notes: Sequence[str]) -> Iterator[Account]:
    """The accounts that these positions and coins make; none for an empty one."""
    for one in book.positions:
        if wallet.coins.get(one.settle) is None:
            raise OutOfRange(f"the balance has no {one.settle}, in which a position settles")
    if mode is Mode.ISOLATED:
        yield from _isolated(at, wallet, book, tuple(notes))
    elif not wallet.empty or book.positions:
        yield _unified(at, mode, wallet, book, list(notes))


class _Shares:
    """At what share a coin's parts count for the margin balance: `value` of its equity, `cash` of its balance, `profit` of its profit."""

    def __init__(self, coin: Coin, book: Book) -> None:
        positive = coin.equity > 0
        settles = any(one.settle == coin.code for one in book.positions)
        if settles and not coin.collateral:
            raise Unsupported(f"positions settle in {coin.code}, which is not collateral", hint="switch it on as collateral at Bybit")
        ratio = counted(coin.code, book.ratios.get(coin.code, ()), coin.equity) if positive and coin.collateral else ZERO
        self.value = ratio if positive else ONE
        self.profit = self.value
        self.cash = self.value
        if positive and coin.borrowed and coin.balance > 0:  # so that a borrowed coin that is still there counts as nothing
            lost = EXACT.multiply(EXACT.subtract(ONE, ratio), min(coin.borrowed, coin.balance))
            self.cash = EXACT.add(ratio, EXACT.divide(lost, coin.balance))


def _unified(at: Desk, mode: Mode, wallet: Wallet, book: Book, notes: list[str]) -> Account:
    prices, shares = {code: coin.price for code, coin in wallet.coins.items()}, dict[str, _Shares]()
    legs, debts, counts = list[Leg](), list[Leg](), ZERO
    for code, coin in wallet.coins.items():
        settles = any(one.settle == code for one in book.positions)
        if not (settles or coin.balance or coin.equity or coin.borrowed):
            continue
        shares[code] = _Shares(coin, book)
        price = prices[code] = _price(coin, settles, notes)
        if price is None:
            continue
        enabled = coin.collateral or coin.equity <= 0 or coin.borrowed > 0
        own = EXACT.add(coin.cash, coin.debt)
        legs.append(at_par(replace(margin(at, code, own, coin.price, weight=shares[code].cash), enabled=enabled)))
        if coin.debt:
            debts.append(at_par(debt(at, code, coin.debt, coin.price, apr=book.rates.get(code))))
        counts = EXACT.add(counts, EXACT.multiply(EXACT.multiply(coin.equity, price), shares[code].value))
    told = wallet.total("totalMaintenanceMarginByMp" if at.rule("maintenance_at_mark") == 1 else "totalMaintenanceMargin")
    told = wallet.total("totalMaintenanceMargin") if told is None else told
    if told is None:
        raise OutOfRange("totalMaintenanceMargin is missing")
    held = [replace(one, position=replace(one.position, pnl_weight=shares[one.settle].profit)) for one in book.positions]
    if mode is Mode.PORTFOLIO:
        held, asked = _whole(wallet, held, prices, told, notes), told
        debts, extra = (debts, ZERO) if held else _backed(debts, told)
    else:
        extra = _beside(wallet, held, prices, told, notes)
        asked = EXACT.add(total(EXACT.multiply(one.asked, _usd(prices, one)) for one in held), extra)
        debts, extra = _backed(debts, extra)
    notes += _orders(wallet)
    ours, theirs = _totals(wallet, counts, asked)
    ours_prices, theirs_prices = dict[str, str](), dict[str, str]()
    if mode is Mode.CROSS:
        for one in held:
            ours_prices[f"positionMM:{one.held.name}"] = plain(one.asked)
            theirs_prices[f"positionMM:{one.held.name}"] = plain(one.told)
            spare = EXACT.subtract(counts, asked)
            _estimate(one, held, [spare, _available(wallet, one, counts, prices)], _usd(prices, one), ours_prices, theirs_prices)
        held = _loaded(held, extra, prices)
    if extra and not held:
        legs += _would_borrow(at, legs, extra, notes)
    check = _both(_checked(ours, theirs, RATE_UNIT), _checked(ours_prices, theirs_prices, ZERO))
    legs += debts + [derivative(at, one.base, one.held.symbol, one.position) for one in held]
    return Account(
        id=at.account_id(MARKET),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue="Bybit",
        market=MARKET,
        mode=mode.value,
        legs=tuple(legs),
        stated={**ours, **ours_prices},
        self_check=_profits(held, check),
        liquidatable=_under_way(held),
        strict=False,
        line=at.rule("liquidation_rate"),
        rule=LiquidationRule(kind="close"),
        assumptions=tuple(dict.fromkeys(notes)),
    )


def _price(coin: Coin, settles: bool, notes: list[str]) -> Decimal | None:
    """USD of a coin. A coin that Bybit puts no value on counts as nothing, and says so; one that is owed must have a price."""
    if coin.price is not None:
        return coin.price
    if coin.code in LINEAR:
        notes.append(AT_PAR.format(coin.code))
        return ONE
    if settles or coin.equity < 0 or coin.borrowed:
        raise Unsupported(f"Bybit tells no price of {coin.code}, which is owed or margin of a position")
    notes.append(f"{coin.code} is left out: Bybit tells no price of it")
    return None


def _usd(prices: dict[str, Decimal | None], one: Described) -> Decimal:
    return prices[one.settle] or ONE


def _beside(wallet: Wallet, held: Sequence[Described], prices: dict[str, Decimal | None], told: Decimal, notes: list[str]) -> Decimal:
    """USD of maintenance margin that is not for positions: for borrowed coins, those that losses took below zero among them, and orders."""
    left = EXACT.subtract(told, total(EXACT.multiply(one.told, _usd(prices, one)) for one in held))
    owed = any(coin.owed or coin.borrowed for coin in wallet.coins.values())
    if left <= 0 or not (owed or left > EXACT.multiply(DRIFT, told)):
        return ZERO
    notes.append(f"{same_digits(left, '0.00')} USD of the maintenance margin is for borrowed coins and orders, and held as it is now")
    return left


def _backed(debts: Sequence[Leg], asked: Decimal) -> tuple[list[Leg], Decimal]:
    """Debts with the maintenance margin that is asked for them, as a share of each, and what of it is left for want of any."""
    owed = total(EXACT.multiply(leg.amount.decimal(), leg.price.value.decimal()) for leg in debts if leg.price)
    if not owed or asked > owed:
        return list(debts), asked
    return [replace(leg, maintenance_rate=EXACT.divide(asked, owed)) for leg in debts], ZERO


def _loaded(held: Sequence[Described], extra: Decimal, prices: dict[str, Decimal | None]) -> list[Described]:
    """Positions, the first of which needs a fixed sum of USD more."""
    if not extra or not held:
        return list(held)
    first = held[0]
    coins = EXACT.divide(extra, _usd(prices, first))
    tiers = tuple(replace(tier, deduction=EXACT.subtract(tier.deduction, coins)) for tier in first.position.tiers)
    return [replace(first, position=replace(first.position, tiers=tiers)), *held[1:]]


def _would_borrow(at: Desk, legs: Sequence[Leg], asked: Decimal, notes: list[str]) -> list[Leg]:
    """What USD of maintenance margin are asked for where there is neither a position nor a debt: a sum that is owed, and still there."""
    coin = max(legs, key=_value)
    if coin.price is None:
        raise Unsupported("Bybit asks for maintenance margin, and prices nothing that it is for")
    notes.append(f"the {same_digits(asked, '0.00')} USD are shown as a debt of that size in {coin.asset.symbol}, and what it bought")
    code, price = coin.asset.symbol, coin.price.value.decimal()
    amount = EXACT.divide(asked, price)
    return [
        replace(margin(at, code, amount, price), movable=False),
        debt(at, code, amount, price, maintenance_rate=ONE),
    ]


def _value(leg: Leg) -> Decimal:
    return EXACT.multiply(leg.amount.decimal(), leg.price.value.decimal()) if leg.price else ZERO


def _orders(wallet: Wallet) -> list[str]:
    codes = sorted(coin.code for coin in wallet.coins.values() if coin.ordered)
    return [f"open spot orders hold {', '.join(codes)}: what they would lose is not told, and taken for nothing"] if codes else []


def _whole(
    wallet: Wallet, held: Sequence[Described], prices: dict[str, Decimal | None], told: Decimal, notes: list[str]
) -> list[Described]:
    """Positions of portfolio mode: each needs the same share of its notional, so that all need what Bybit asks now."""
    gross = total(EXACT.multiply(one.held.value(one.held.mark), _usd(prices, one)) for one in held)
    if not gross:
        return []
    initial = wallet.total("totalInitialMargin") or ZERO
    rate, start = EXACT.divide(told, gross), EXACT.divide(initial, gross)
    notes.append(
        "portfolio margin is asked by a grid of scenarios that cannot be computed here: what Bybit asks now is taken as one share "
        "of the gross notional, whatever prices do"
    )
    return [replace(one, position=replace(one.position, tiers=(Tier(ZERO, rate, ZERO),), initial_rate=start)) for one in held]


def _totals(wallet: Wallet, counts: Decimal, asked: Decimal) -> tuple[dict[str, str], dict[str, str]]:
    """Our figures of the whole account and Bybit's, under Bybit's names; balances are only read."""
    figures = {"totalMarginBalance": counts, "totalMaintenanceMargin": asked}
    if counts > 0:
        figures["accountMMRate"] = EXACT.divide(asked, counts)
    ours, theirs = dict[str, str](), dict[str, str]()
    for name, number in figures.items():
        text = wallet.totals.get(f"{name}ByMp") or wallet.totals[name]
        if text:
            ours[name], theirs[name] = same_digits(number, text), text
    read = {name: wallet.totals[name] for name in ("totalEquity", "totalWalletBalance") if wallet.totals[name]}
    read |= {f"walletBalance:{coin.code}": coin.told for coin in wallet.coins.values()}
    return {**ours, **read}, {**theirs, **read}


def _estimate(
    one: Described, held: Sequence[Described], spares: Sequence[Decimal], usd: Decimal, ours: dict[str, str], theirs: dict[str, str]
) -> None:
    """The price of a linear contract at which an account in cross mode is dead, as Bybit estimates it: `spares` USD are lost on it alone.

    Bybit has estimated in several ways: with the requirement as it is now, or as it is at that price; with what other positions need, or
    with their initial margin set apart. Ours is the one that is nearest to Bybit's. It does not say how it estimates where there are both
    sides, nor for inverse contracts, whose margin moves with the price: neither is compared.
    """
    held_, name = one.held, f"liqPrice:{one.held.name}"
    if not held_.linear or sum(other.held.symbol == held_.symbol for other in held) > 1:
        return
    found: list[Decimal | None] = []
    for spare in spares:
        own = EXACT.add(EXACT.divide(spare, usd), EXACT.subtract(one.asked, profit(one.position)))
        found += [liquidation_price(_by_rule(one), own), EXACT.subtract(held_.mark, EXACT.divide(spare, held_.size))]
    _compared(one, [price for price in found if price is not None and price > 0], found[0], name, ours, theirs)


def _available(wallet: Wallet, one: Described, counts: Decimal, prices: dict[str, Decimal | None]) -> Decimal:
    """USD that a position can lose before the initial margin of all else is touched."""
    initial = wallet.total("totalInitialMargin") or ZERO
    own = EXACT.multiply(EXACT.subtract(one.held.initial or ZERO, one.asked), _usd(prices, one))
    return EXACT.add(EXACT.subtract(counts, initial), own)


def _by_rule(one: Described) -> Position:
    """The position with its requirement as Bybit has it at other prices: the closing fee, by entry price all of it, is a fixed sum."""
    position, held = one.position, one.held
    if position.basis is Basis.ENTRY:
        return replace(position, close_fee=ZERO, tiers=(Tier(ZERO, ZERO, EXACT.minus(one.told)),))
    fee = EXACT.multiply(position.close_fee, held.value(held.mark))
    return replace(
        position, close_fee=ZERO, tiers=tuple(replace(tier, deduction=EXACT.subtract(tier.deduction, fee)) for tier in position.tiers)
    )


def _compared(
    one: Described, found: Sequence[Decimal], best: Decimal | None, name: str, ours: dict[str, str], theirs: dict[str, str]
) -> None:
    """Put the liquidation price into both, or into ours alone where Bybit tells none and ours is far away."""
    told, mark = one.held.liquidation, one.held.mark
    if not told:
        if best is not None:
            ours[name] = same_digits(best, EIGHT)
            if abs(EXACT.subtract(best, mark)) < EXACT.multiply(NEAR, mark):
                theirs[name] = told
        return
    theirs[name] = told
    if found:
        nearest = min(found, key=lambda price: abs(EXACT.subtract(price, Decimal(told))))
        ours[name] = plain(nearest.quantize(Decimal(1).scaleb(-len(told.partition(".")[2])), context=EXACT))


def _isolated(at: Desk, wallet: Wallet, book: Book, notes: tuple[str, ...]) -> Iterator[Account]:
    """One account a position, and what no position holds: balances include the margin of positions."""
    if owing := next((coin.code for coin in wallet.coins.values() if coin.borrowed or coin.cash < 0), ""):
        raise Unsupported(f"{owing} is owed in isolated mode, which is not modelled", hint="repay it")
    free = {code: coin.cash for code, coin in wallet.coins.items()}
    for one in book.positions:
        coin, balance = wallet.coins[one.settle], _margin(one)
        free[one.settle] = EXACT.subtract(free[one.settle], balance)
        yield _apart(at, one, coin, balance, notes)
    if lacking := next((code for code, amount in free.items() if amount < 0), ""):
        raise OutOfRange(f"isolated positions have more {lacking} than there is in the account")
    own: list[str] = []
    legs = [
        at_par(margin(at, code, amount, wallet.coins[code].price))
        for code, amount in free.items()
        if amount and _price(wallet.coins[code], False, own) is not None
    ]
    if legs:
        stated = {f"walletBalance:{coin.code}": coin.told for coin in wallet.coins.values()}
        yield Account(
            id=at.account_id(MARKET),
            owner=at.name,
            side=Side.DERIVATIVES,
            venue="Bybit",
            market=MARKET,
            mode=Mode.ISOLATED.value,
            legs=tuple(legs),
            stated=stated,
            self_check=SelfCheck.within(TOLERANCE, stated, stated),
            strict=False,
            rule=LiquidationRule(kind="close"),
            assumptions=tuple(own),
        )


def _margin(one: Described) -> Decimal:
    """What an isolated position has for itself, profit and loss aside. Where Bybit no longer tells it, the initial margin stands in, if the
    liquidation price that Bybit tells agrees.
    """
    if one.held.margin:
        return one.held.margin
    told, initial = one.held.liquidation, one.held.initial
    price = liquidation_price(_by_rule(one), initial) if initial else None
    if not told or initial is None or price is None or abs(price - Decimal(told)) > EXACT.multiply(TOLERANCE, price):
        raise Unsupported(f"Bybit does not tell the margin of the isolated position {one.held.name}")
    return initial


def _apart(at: Desk, one: Described, coin: Coin, balance: Decimal, notes: tuple[str, ...]) -> Account:
    parts = (MARKET, one.held.symbol, Mode.ISOLATED.value, *([one.held.side] if one.held.side else []))
    own: list[str] = []
    _price(coin, True, own)
    leg = at_par(margin(at, coin.code, balance, coin.price))
    held, name = one.held, one.held.name
    ours = {f"positionMM:{name}": plain(one.asked), f"positionBalance:{name}": plain(balance)}
    theirs = {f"positionMM:{name}": plain(one.told), f"positionBalance:{name}": plain(balance)}
    price = liquidation_price(_by_rule(one), balance)
    _compared(one, [price] if price is not None else [], price, f"liqPrice:{name}", ours, theirs)
    return Account(
        id=at.account_id(*parts),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue="Bybit",
        market="/".join(parts),
        mode=Mode.ISOLATED.value,
        legs=(leg, derivative(at, one.base, held.symbol, one.position)),
        stated=ours,
        self_check=_profits([one], _checked(ours, theirs, ZERO)),
        liquidatable=_under_way([one]),
        strict=False,
        line=at.rule("liquidation_rate"),
        rule=LiquidationRule(kind="close", remainder="lost"),
        assumptions=tuple(dict.fromkeys([*notes, *own])),
    )


def _under_way(held: Sequence[Described]) -> bool | None:
    """True where Bybit says that a position is being liquidated; its silence is left to the model."""
    return True if any(one.held.status == "Liq" for one in held) else None


def _checked(ours: dict[str, str], theirs: dict[str, str], scale: Decimal) -> SelfCheck:
    return SelfCheck.within(TOLERANCE, ours, theirs, scale)


def _profits(held: Sequence[Described], check: SelfCheck) -> SelfCheck:
    """The check, failed where a profit that Bybit tells is not the one between entry and mark by more than a hundredth of a percent of the
    notional. USDC contracts are left out, whose profit Bybit settles every eight hours.
    """
    for one in held:
        value = one.held.value(one.held.mark)
        between = profit(replace(one.position, unrealized_pnl=None))
        if one.settle != LINEAR[1] and abs(EXACT.subtract(profit(one.position), between)) > EXACT.multiply(value, SLIGHT):
            text = plain(profit(one.position))
            return SelfCheck({**check.protocol, f"unrealisedPnl:{one.held.name}": text}, False, TOLERANCE)
    return check


def _both(one: SelfCheck, other: SelfCheck) -> SelfCheck:
    return SelfCheck({**one.protocol, **other.protocol}, one.match and other.match, TOLERANCE)
