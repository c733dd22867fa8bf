"""The USDⓈ-M futures wallet: one cross account for each margin coin, or one of all coins in multi-assets mode, and isolated positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.model import Account, Leg, SelfCheck, Side, SourceReport
from defi_risk.spi import Desk, ExchangeCall, Failed, Requests
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.binance import holdings, modes
from defi_risk_adapters.exchanges.binance.holdings import ONE, Held, Line, added, verbatim
from defi_risk_adapters.exchanges.binance.tables import MOST, USDM, Tables, tables
from defi_risk_adapters.exchanges.binance.wallets import (
    CLOSED,
    SMALLEST,
    TOLERANCE,
    Wallet,
    accounts,
    cut,
    held,
    ratio,
    together,
    wallets,
    whole,
)
from defi_risk_adapters.exchanges.common import ZERO, margin, steady

_LEFT_OUT: Final = "{} was left out: the exchange has never updated its entry, and the account's own sum does not hold it"
_NO_MARGIN: Final = "{} was left out: it is no margin in multi-assets mode, and has no index price"


class _Gone(Exception):
    """The account's second version does not answer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a coin counts for in multi-assets mode: its USD index, less `bid` of it where it is owned, and `ask` more where it is owed."""

    index: Decimal
    bid: Decimal
    ask: Decimal

    def weight(self, net: Decimal) -> Decimal:
        """The share of the index at which a balance counts."""
        return EXACT.subtract(ONE, self.bid) if net >= 0 else self.dearer

    @property
    def dearer(self) -> Decimal:
        """The share of the index at which a requirement counts."""
        return EXACT.add(ONE, self.ask)

    def value(self, net: Decimal) -> Decimal:
        """USD that a balance counts for."""
        return EXACT.multiply(EXACT.multiply(net, self.index), self.weight(net))


def read(at: Desk, mode: modes.Mode) -> Requests[list[Account | SourceReport]]:
    """Every margin account of the wallet."""
    account, several, asked = yield from _answers()
    coins = wallets(account)
    whole(account, coins, () if several else ("USDT",))
    rates = _rates(asked[-1]) if several else {}
    coins, notes = _reconciled(account, coins, rates) if several else _with_sum(account, coins)
    if several:  # what counts for nothing need not be priced: a coin that the exchange has retired
        notes += [_NO_MARGIN.format(shown(coin)) for coin, wallet in coins.items() if not wallet.counts and coin not in rates]
        coins = {coin: wallet for coin, wallet in coins.items() if wallet.counts or coin in rates}
    rows = holdings.open_rows(account["positions"], "account")
    risks = holdings.open_rows(Answer(asked[0], "positionRisk"), "positionRisk") if rows else {}
    positions = holdings.of_account(rows, risks)
    if not coins and not positions:
        yield from modes.empty(mode)
    told = yield from tables(at, USDM, list(dict.fromkeys(one.symbol for one in positions)))
    found: list[Account | SourceReport] = []
    if several:
        if coins or positions:
            found.append(_multi(at, mode, account, coins, positions, told, rates))
    elif coins or positions:
        rates = yield from _indices(_coins(coins, positions, told))
        found += _single(at, mode, coins, positions, told, rates)
    return [*found, SourceReport(id=at.name, kind="exchange", notes=(*notes, *told.notes))]


def _answers() -> Requests[tuple[Answer, bool, Sequence[Any]]]:
    """The account, whether it is in multi-assets mode, and its positions (with the index of coins in that mode), all of one moment.

    The second version of the account's answer tells the mode with it; where it does not answer, the third does, and the mode is asked.
    """
    several: bool | None = None

    def account_of(answers: Sequence[Any]) -> Answer:
        if isinstance(answers[0], Failed):
            raise _Gone(answers[0].reason)
        return Answer(answers[0], "account")

    def rest(answers: Sequence[Any]) -> list[ExchangeCall]:
        account = account_of(answers)
        flag = account.get("multiAssetsMargin")
        both = flag.flag() if flag is not None else several
        if both is None:
            raise _Gone("it does not tell the mode")
        asks = [ExchangeCall("positions")] if holdings.open_rows(account["positions"], "account") else []
        return [*asks, *([ExchangeCall("index_now")] if both else [])]

    try:
        after, asked = yield from steady([ExchangeCall("account", optional=True)], rest, lambda answers: _held(account_of(answers)))
        account = account_of(after)
        return account, account["multiAssetsMargin"].flag(), asked
    except _Gone:
        [flag] = yield [ExchangeCall("multi_assets")]
    several = Answer(flag, "multiAssetsMargin")["multiAssetsMargin"].flag()
    after, asked = yield from steady([ExchangeCall("account_v3")], rest, lambda answers: held(account_of(answers)))
    return account_of(after), several, asked


def _held(account: Answer) -> object:
    """What only the owner changes: what is held, and the mode."""
    mode = account.get("multiAssetsMargin")
    return mode and mode.value, held(account)


def _with_sum(account: Answer, coins: Mapping[str, Wallet]) -> tuple[dict[str, Wallet], list[str]]:
    """Single-asset mode: the account's own sum is of USDT alone, and tells whether USDT that was never updated is there."""
    found = dict(coins)
    total, wallet = account.get("totalWalletBalance"), coins.get("USDT")
    if total is None or wallet is None:
        return found, []
    amount = total.decimal(-MOST, MOST)
    if wallet.doubted and not amount:
        del found["USDT"]
        return found, [_LEFT_OUT.format("USDT")]
    found["USDT"] = replace(
        wallet, told={**wallet.told, "totalWalletBalance": verbatim(total)}, doubted=wallet.doubted and amount != wallet.balance
    )
    return found, []


def _reconciled(account: Answer, coins: Mapping[str, Wallet], rates: Mapping[str, Rate]) -> tuple[dict[str, Wallet], list[str]]:
    """Multi-assets mode: coins that were never updated count if the account's own sum is with them, and do not if it is without. Raises
    `OutOfRange` where it is neither. Where both are as near as prices of two moments can be, the smaller sum is taken.
    """
    sure = {coin: wallet for coin, wallet in coins.items() if not wallet.doubted}
    if len(sure) == len(coins):
        return sure, []
    total = account["totalWalletBalance"].decimal(-MOST, MOST)
    fitting: list[tuple[Decimal, dict[str, Wallet]]] = []
    for some in (sure, dict(coins)):
        if all(coin in rates for coin, wallet in some.items() if wallet.counts):
            worth = added(rates[coin].value(wallet.cross) for coin, wallet in some.items() if wallet.counts)
            if abs(worth - total) <= TOLERANCE * max(abs(total), SMALLEST):
                fitting.append((worth, some))
    if not fitting:
        doubted = " and ".join(coin for coin in coins if coin not in sure)
        raise OutOfRange(f"account.totalWalletBalance is the sum neither with nor without {doubted}, which the exchange has never updated")
    _, kept = min(fitting, key=lambda one: one[0])
    return kept, [_LEFT_OUT.format(coin) for coin in coins if coin not in kept]


def _indices(coins: Sequence[str]) -> Requests[dict[str, Rate]]:
    """Index prices of coins; a single one is asked for by its name, which weighs a tenth at the exchange."""
    params = (("symbol", f"{coins[0]}USD"),) if len(coins) == 1 else ()
    [answer] = yield [ExchangeCall("index", params, optional=True)]
    return {} if isinstance(answer, Failed) else _rates(answer)


def _rates(answer: Any) -> dict[str, Rate]:
    """What coins count for, by coin: the list names them as pairs with USD, and one that was asked for by name is no list."""
    found: dict[str, Rate] = {}
    told = Answer(answer, "assetIndex")
    for row in [told] if isinstance(answer, Mapping) else told.listing():
        index = row["index"].decimal(0, MOST)
        pair = row["symbol"].text(40)
        if pair.endswith("USD") and index:
            found[pair.removesuffix("USD")] = Rate(index, row["bidBuffer"].decimal(0, 1), row["askBuffer"].decimal(0, 1))
    return found


def _single(
    at: Desk, mode: modes.Mode, coins: Mapping[str, Wallet], positions: Sequence[Held], told: Tables, rates: Mapping[str, Rate]
) -> list[Account]:
    """Single-asset mode: coins do not answer for each other."""
    lines = [holdings.line(at, one, told) for one in positions]
    found: list[Account] = []
    for coin in dict.fromkeys([*coins, *(one.listed.coin for one in lines)]):
        mine = [one for one in lines if one.listed.coin == coin]
        says = (*mode.assumptions, *told.says({one.held.symbol for one in mine}))
        price = rates[coin].index if coin in rates else None
        found += accounts(at, USDM.name, coins.get(coin, Wallet(coin, ZERO, ZERO)), mine, price, says)
    return found


def _multi(
    at: Desk,
    mode: modes.Mode,
    account: Answer,
    coins: Mapping[str, Wallet],
    positions: Sequence[Held],
    told: Tables,
    rates: Mapping[str, Rate],
) -> Account:
    """Multi-assets mode: one account, in which a coin's balance and profit together count at its index less a haircut, or, where they are
    negative, at more than the index; so do requirements. The margin ratio is the account's: maintenance by margin balance, both in USD.

    The engine values what stands in a wallet at no more than its index (`holdings.capped`); the stated figures are the exchange's.
    """
    if any(one.wallet is not None for one in positions):
        raise Unsupported("a position is isolated in multi-assets mode, where none can be")
    by_coin = {coin: [one for one in positions if told.contracts[one.symbol].coin == coin] for coin in _coins(coins, positions, told)}
    if (missing := next((coin for coin in by_coin if coin not in rates), None)) is not None:
        raise Unsupported(f"{shown(missing)} is in no index of multi-assets mode", hint="scan again, or take it out of the futures wallet")
    lines: list[Line] = []
    counted, needed, worth = ZERO, ZERO, ZERO
    net: dict[str, Decimal] = {}
    legs: list[Leg] = []
    says = [*mode.assumptions, *told.says(told.contracts.keys())]
    for coin, mine in by_coin.items():
        rate, wallet = rates[coin], coins.get(coin, Wallet(coin, ZERO, ZERO))
        net[coin] = EXACT.add(wallet.cross if wallet.counts else ZERO, added(one.pnl for one in mine))
        weight = rate.weight(net[coin])
        lines += [holdings.line(at, one, told, weight=weight, dearer=rate.dearer) for one in mine]
        leg = margin(at, coin, wallet.cross, rate.index, weight=weight)
        legs.append(leg if wallet.counts else replace(leg, enabled=False))
        says += holdings.capped(coin, wallet.cross, weight, rate.index) if wallet.counts else ()
        counted = EXACT.add(counted, rate.value(net[coin]))
        worth = EXACT.add(worth, rate.value(wallet.cross if wallet.counts else ZERO))
        # the brackets of a line are already dearer
        needed = EXACT.add(needed, EXACT.multiply(holdings.needs(lines[-len(mine) :]) if mine else ZERO, rate.index))
    ours, theirs = together(
        holdings.prices(lines, lambda same: _price(same, rates, net, counted, needed)),
        _each_requirement(lines, rates),
    )
    ours |= {
        "totalWalletBalance": cut(worth),
        "totalMarginBalance": cut(counted),
        "totalMaintMargin": cut(needed),
        **ratio(needed, counted),
    }
    theirs |= {name: verbatim(account[name]) for name in ("totalWalletBalance", "totalMarginBalance", "totalMaintMargin")}
    for coin, wallet in coins.items():
        ours[f"walletBalance:{coin}"] = theirs[f"walletBalance:{coin}"] = wallet.told["walletBalance"]
    return Account(
        id=at.account_id(USDM.name),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=modes.VENUE,
        market=USDM.name,
        mode="multi-asset",
        legs=(*legs, *(one.leg(at) for one in lines)),
        stated=ours,
        self_check=SelfCheck.within(TOLERANCE, ours, theirs, scale=SMALLEST),
        strict=False,
        rule=CLOSED,
        assumptions=tuple(says),
    )


def _coins(coins: Mapping[str, Wallet], positions: Sequence[Held], told: Tables) -> list[str]:
    return list(dict.fromkeys([*coins, *(told.contracts[one.symbol].coin for one in positions)]))


def _price(
    same: Sequence[Line], rates: Mapping[str, Rate], net: Mapping[str, Decimal], counted: Decimal, needed: Decimal
) -> Decimal | None:
    """The price at which the whole account's margin balance meets its maintenance margin, as one contract's price alone moves."""
    coin = same[0].listed.coin
    rate = rates[coin]
    own = EXACT.multiply(holdings.needs(same), rate.index)
    rest = EXACT.subtract(EXACT.subtract(counted, rate.value(net[coin])), EXACT.subtract(needed, own))
    return holdings.meeting(same, net[coin], (rate.weight(ONE), rate.dearer), EXACT.divide(rest, rate.index))


def _each_requirement(lines: Sequence[Line], rates: Mapping[str, Rate]) -> tuple[dict[str, str], dict[str, str]]:
    return together(*(holdings.requirements([one], rates[one.listed.coin].dearer) for one in lines))
