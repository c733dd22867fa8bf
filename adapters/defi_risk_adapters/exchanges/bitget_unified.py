"""Bitget's unified trading account: one account of all coins, judged in USD.

    mgnRatio = mmr / effEquity, liquidated at 1;  equity of a coin = balance + profit that settles in it

`effEquity` counts dollar coins in full. With a single other coin, its collateral ratio is what `effEquity` implies; with several, each has
that of the public tiers for its worth, and the account is unknown where they do not add up to `effEquity`. So it is with loans, isolated
and coin-margined positions. What `mmr`
holds beyond the positions' own rates is the exchange's charge for closing them, and what it asks for open orders. Positions come in three
answers: they and the account are of one moment where they add up to its figures. What spot orders lock is part of a coin's equity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.ids import Factor
from defi_risk.model import Account, KeyRights, Leg, Position, Tier
from defi_risk.spi import Desk, ExchangeCall, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.common import TRIES, ZERO, at_par, margin, notional, per_8h, profit, same_digits
from defi_risk_adapters.exchanges.generic import (
    DOLLARS,
    MOST,
    ONE,
    Figures,
    Line,
    cross,
    distinct,
    needed_by,
    optional,
    prices,
    ratio_text,
    shown_price,
    side_of,
    stepwise,
    total,
)

PRODUCTS: Final = {"USDT-FUTURES": "usdt", "USDC-FUTURES": "usdc", "COIN-FUTURES": "coin"}
LARGEST_FEE: Final = Decimal("0.002")
"""More than this share of the notional is no charge for closing."""
LEAST_FEE: Final = Decimal("-0.0002")
APART: Final = Decimal("0.002")
"""Share of the gross notional by which profits of two answers may differ for what prices do."""
MAINSTREAM: Final = frozenset({"USDT", "USDC", "BTC", "DOGE", "ETH", "SOL"})
"""The coins that the collateral type of this name stands for."""
WRITES: Final = frozenset({"uta_mgt", "uta_trade", "copy_futures_position", "copy_futures_order"})
ORDERS: Final = "what open orders ask for is part of the maintenance margin, and held as a share of the positions' notional"
TIERED: Final = "the collateral ratio of {} is that of Bitget's public tiers for its present worth: {}"
IMPLIED: Final = "the collateral ratio of {} is the one that the account's effective equity implies: {}"


@dataclass(frozen=True, slots=True)
class _Coin:
    """One coin of the account; `worth` is the USD of its equity, `locked` what spot orders hold of it."""

    code: str
    balance: Decimal
    equity: Decimal
    worth: Decimal
    locked: Decimal = ZERO

    @property
    def price(self) -> Decimal | None:
        return EXACT.divide(self.worth, self.equity) if self.equity and self.worth else None


def unified(at: Desk, venue: str, settings: Answer) -> Requests[list[Account]]:
    """The one margin account, or none where it holds nothing."""
    mode, assets = settings["accountMode"].text(), settings["assetMode"].text()
    if mode != "unified" or assets not in ("single", "multi_assets"):
        raise Unsupported(f"Bitget's account mode {mode!r} with asset mode {assets!r} is not modelled")
    asks = [ExchangeCall("assets"), *(ExchangeCall("held", (("category", product),)) for product in PRODUCTS)]
    before: list[tuple[str, Decimal]] | None = None
    for _ in range(TRIES):
        given = yield asks
        data, rows = Answer(given[0], "assets")["data"], [_rows(answer) for answer in given[1:]]
        if rows[2]:
            raise Unsupported("coin-margined positions in Bitget's unified account are not modelled")
        linear = [row for some in rows[:2] for row in some]
        tiers = yield from _tiers(linear)
        funding = yield from _funding(linear)
        lines = distinct(_line(row, tiers, funding) for row in linear)
        coins = [_whole(coin, lines) for coin in _coins(data["assets"])]
        held = [(line.name, line.position.size) for line in lines]
        if _adds_up(data, coins, lines, still=held == before):
            ratios = (yield from _ratios(coins)) if len(_others(coins)) > 1 else {}
            return _account(at, venue, data, coins, lines, ratios)
        before = held
    raise BadAnswer("the positions of Bitget's unified account do not add up to its profit, and moved while they were read")


def _rows(given: object) -> list[Answer]:
    found = Answer(given, "positions")["data"].get("list")
    return [] if found is None else [row for row in found.listing() if row["total"].decimal(0, MOST)]


def _tiers(rows: Sequence[Answer]) -> Requests[dict[str, tuple[Tier, ...]]]:
    names = {row["symbol"].text(): row["category"].text() for row in rows}
    if not names:
        return {}
    answers: Sequence[Any] = yield [ExchangeCall("steps", (("category", category), ("symbol", name))) for name, category in names.items()]
    found: dict[str, tuple[Tier, ...]] = {}
    for name, answer in zip(names, answers, strict=True):
        steps = Answer(answer, "tiers")["data"].listing(500)
        found[name] = stepwise((step["minTierValue"].decimal(0, MOST), step["mmr"].decimal(0, 1)) for step in steps)
    return found


def _funding(rows: Sequence[Answer]) -> Requests[dict[str, Decimal]]:
    """Funding rates per 8 h by symbol, of those that the exchange tells one of."""
    names = list(dict.fromkeys(row["symbol"].text() for row in rows))
    answers: Sequence[Any] = (yield [ExchangeCall("fund", (("symbol", name),), optional=True) for name in names]) if names else []
    found: dict[str, Decimal] = {}
    for name, answer in zip(names, answers, strict=True):
        told = [] if isinstance(answer, Failed) else Answer(answer, "funding")["data"].listing()
        for one in told:
            rate, hours = optional(one, "fundingRate"), optional(one, "fundingRateInterval")
            if one["symbol"].text() == name and rate is not None and hours:
                found[name] = per_8h(rate, hours)
    return found


def _line(row: Answer, tiers: Mapping[str, tuple[Tier, ...]], funding: Mapping[str, Decimal]) -> Line:
    symbol, side, hold, mode = (row[name].text() for name in ("symbol", "posSide", "holdMode", "marginMode"))
    coin = row["marginCoin"].text()
    if mode != "crossed" or hold not in ("one_way_mode", "hedge_mode"):
        raise Unsupported(f"{mode} margin of {symbol} in position mode {hold!r} of Bitget's unified account is not modelled")
    base = symbol.removesuffix("PERP").removesuffix(coin)
    if coin not in DOLLARS or not base or base == symbol:
        raise Unsupported(f"the contract {symbol!r} of Bitget's unified account is not modelled")
    position = Position(
        size=side_of(row["total"].decimal(0, MOST), side),
        entry=row["avgPrice"].decimal(0, MOST),
        mark=row["markPrice"].decimal(0, MOST),
        quote=Factor(coin),
        tiers=tiers[symbol],
        initial_rate=EXACT.divide(ONE, row["leverage"].decimal(1, 1_000)),
        funding_8h=funding.get(symbol),
        unrealized_pnl=row["unrealisedPnl"].decimal(-MOST, MOST),
    )
    return Line(
        symbol=symbol, coin=base, position=position, side=side if hold == "hedge_mode" else "", shown=shown_price(row, "liquidationPrice")
    )


def _coins(rows: Answer) -> list[_Coin]:
    found: list[_Coin] = []
    for row in rows.listing():
        code, debt = row["coin"].text(), optional(row, "debt")
        balance, equity, worth = (row[field].decimal(-MOST, MOST) for field in ("balance", "equity", "usdValue"))
        coin = _Coin(code, balance, equity, worth, optional(row, "locked") or ZERO)
        if debt or (coin.balance < 0 and code not in DOLLARS):
            raise Unsupported(f"a loan of {code} in Bitget's unified account is not modelled")
        if code in {other.code for other in found}:
            raise BadAnswer(f"the coin {code} is listed twice")
        found.append(coin)
    return [coin for coin in found if coin.balance or coin.equity]


def _others(coins: Sequence[_Coin]) -> list[_Coin]:
    """Coins that are no dollars, and are worth something."""
    return [coin for coin in coins if coin.code not in DOLLARS and coin.worth]


def _ratios(coins: Sequence[_Coin]) -> Requests[dict[str, Decimal]]:
    """Collateral ratios by the public tiers, each the mean over a coin's worth; 0 for what the owner does not let count."""
    discounts, kind = yield [ExchangeCall("discounts"), ExchangeCall("collateral", optional=True)]
    rows = {row["coin"].text(): row["list"].listing() for row in Answer(discounts, "discounts")["data"].listing()}
    counts = _counted(kind)
    found: dict[str, Decimal] = {}
    for coin in _others(coins):
        steps = sorted((step["tierStartValue"].decimal(0, MOST), step["discountRate"].decimal(0, 1)) for step in rows.get(coin.code, []))
        if coin.worth < 0 or not steps or (counts is not None and coin.code not in counts):
            found[coin.code] = ZERO
            continue
        ends = [*(floor for floor, _ in steps[1:]), MOST]
        parts = [max(EXACT.subtract(min(coin.worth, end), floor), ZERO) for (floor, _), end in zip(steps, ends, strict=True)]
        counted = total(EXACT.multiply(part, rate) for part, (_, rate) in zip(parts, steps, strict=True))
        found[coin.code] = EXACT.divide(counted, coin.worth)
    return found


def _counted(kind: object) -> frozenset[str] | None:
    """Coins that the owner lets count as collateral; None for all, and where the key may not ask: `effEquity` tells if that is wrong."""
    if isinstance(kind, Failed):
        return None
    data = Answer(kind, "collateral")["data"]
    name, chosen = data["collateralType"].text(), data.get("collateralCoins")
    if name == "custom" and chosen is not None:
        return frozenset(code.strip() for code in chosen.text(20_000).split(",")) | DOLLARS
    return MAINSTREAM if name == "mainstream" else None


def unified_rights(data: Answer) -> KeyRights:
    """What a key of a unified account may do, by its permissions and whether they are to write."""
    kind, names = data["permType"].text(), {one.text() for one in data["permissions"].listing()}
    addresses = data.get("ips")
    bound = None if addresses is None else bool(addresses.text(2_000).strip())
    if kind == "read-only":
        return KeyRights(trade=False, withdraw=False, bound=bound)
    if kind != "read-and-write" or not names <= WRITES | {"withdraw"}:
        return KeyRights(trade=True if names & WRITES else None, withdraw=True if "withdraw" in names else None, bound=bound)
    return KeyRights(trade=bool(names & WRITES), withdraw="withdraw" in names, bound=bound)


def _earned(coin: _Coin, lines: Sequence[Line]) -> Decimal:
    return total(profit(line.position) for line in lines if str(line.position.quote) == coin.code)


def _whole(coin: _Coin, lines: Sequence[Line]) -> _Coin:
    """The coin with what spot orders lock in its balance, where its equity tells that it was not."""
    beyond = EXACT.subtract(EXACT.subtract(coin.equity, coin.balance), _earned(coin, lines))
    if coin.locked and abs(EXACT.subtract(beyond, coin.locked)) < abs(beyond):
        return replace(coin, balance=EXACT.add(coin.balance, coin.locked))
    return coin


def _adds_up(data: Answer, coins: Sequence[_Coin], lines: Sequence[Line], *, still: bool) -> bool:
    """Whether profits are those in the coins' equities, and whether the account asks for what its positions do. Where these were the same
    a moment before and stand `still`, more than that is what it asks for open orders.
    """
    gross = total(notional(line.position) for line in lines)
    may = max(EXACT.multiply(APART, gross), Decimal("0.01"))
    for coin in coins:
        if abs(EXACT.subtract(EXACT.subtract(coin.equity, coin.balance), _earned(coin, lines))) > may:
            return False
    if not lines:
        return still or not data["mmr"].decimal(0, MOST)
    return LEAST_FEE <= _fee(data, lines) <= (MOST if still else LARGEST_FEE)


def _fee(data: Answer, lines: Sequence[Line]) -> Decimal:
    more = EXACT.subtract(data["mmr"].decimal(0, MOST), needed_by(lines))
    return EXACT.divide(more, total(notional(line.position) for line in lines))


def _account(
    at: Desk, venue: str, data: Answer, coins: Sequence[_Coin], lines: Sequence[Line], ratios: Mapping[str, Decimal]
) -> list[Account]:
    settles = {str(line.position.quote) for line in lines}
    if lost := settles - {coin.code for coin in coins}:
        raise BadAnswer(f"Bitget tells no balance of {min(lost)}, in which there are positions")
    if not coins:
        return []
    fee = max(_fee(data, lines), ZERO) if lines else ZERO
    lines = [replace(line, position=replace(line.position, close_fee=fee)) for line in lines]
    effective = data["effEquity"].decimal(-MOST, MOST)
    dollars = total(coin.worth for coin in coins if coin.code in DOLLARS)
    others = _others(coins)
    beyond = EXACT.subtract(effective, dollars)
    slack = max(EXACT.multiply(APART, abs(effective)), Decimal("0.01"))
    says = [ORDERS] if (fee > LARGEST_FEE if lines else data["mmr"].decimal(0, MOST)) else []
    weights: dict[str, Decimal] = {}
    if abs(beyond) <= slack:
        weights = {coin.code: ZERO for coin in others}
    elif len(others) == 1 and -slack <= EXACT.subtract(others[0].worth, beyond) and beyond > 0:
        weights = {others[0].code: min(EXACT.divide(beyond, others[0].worth), ONE)}
        says.append(IMPLIED.format(others[0].code, f"{weights[others[0].code]:.4f}"))
    elif ratios and abs(EXACT.subtract(beyond, total(EXACT.multiply(coin.worth, ratios[coin.code]) for coin in others))) <= slack:
        weights = {coin.code: ratios[coin.code] for coin in others}
        says += [TIERED.format(code, f"{weight:.4f}") for code, weight in weights.items() if weight]
    else:
        raise Unsupported("the effective equity of Bitget's unified account does not tell what each of its coins counts for")
    # liquidation prices in dollars: what the account has without its profits
    free = EXACT.subtract(effective, total(profit(line.position) for line in lines))
    told = prices(lines, free)
    account = cross(at, venue, ["unified"], "USDT", free, lines, figures=_figures(data, lines, told), mode="multi-asset", priced=False)
    return [replace(account, legs=(*_legs(at, coins, weights), *account.legs[1:]), assumptions=tuple(says))]


def _legs(at: Desk, coins: Sequence[_Coin], weights: Mapping[str, Decimal]) -> list[Leg]:
    legs = [margin(at, coin.code, coin.balance, coin.price, weight=weights.get(coin.code, ONE)) for coin in coins]
    return [at_par(leg) if leg.asset.symbol in DOLLARS else leg for leg in legs]


def _figures(data: Answer, lines: Sequence[Line], told: Figures) -> Figures:
    theirs = {**told.theirs, **{name: str(data[name].value) for name in ("accountEquity", "effEquity", "mmr")}}
    ours = {**told.ours, "accountEquity": theirs["accountEquity"], "effEquity": theirs["effEquity"]}
    # without positions it is that of open orders, which are no part of the account's legs
    ours["mmr"] = same_digits(needed_by(lines), theirs["mmr"]) if lines else theirs["mmr"]
    if lines and optional(data, "mgnRatio"):
        theirs["mgnRatio"] = str(data["mgnRatio"].value)
        ours["mgnRatio"] = ratio_text(needed_by(lines), data["effEquity"].decimal(-MOST, MOST), theirs["mgnRatio"])
    return Figures(ours=ours, theirs=theirs)
