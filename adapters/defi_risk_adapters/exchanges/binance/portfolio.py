"""Portfolio margin: one account over the margin wallet and both futures wallets, judged by uniMMR = equity / maintenance margin.

Equity is the sum over coins of min(x * index * rate, x * index), where x is what is owned less what is owed, futures balances and
unrealised profit included, and `rate` the coin's collateral rate; maintenance margin is that of USDⓈ-M positions (notional * rate - cum),
of COIN-M positions (the same in the coin), and of margin loans (a share by the leverage that the coin allows). All in USD. Liquidation
where uniMMR falls to the rule `portfolio_liquidation`. https://www.binance.com/en/support/faq/4868b2f1aa6c4d08af973328462bb0bd
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.model import Account, Leg, SelfCheck, Side, SourceReport
from defi_risk.spi import Desk, ExchangeCall, Failed, Requests
from defi_risk.text import shown
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.binance import holdings, modes
from defi_risk_adapters.exchanges.binance.holdings import ONE, Held, Line, added, verbatim
from defi_risk_adapters.exchanges.binance.tables import CM, MOST, UM, tables
from defi_risk_adapters.exchanges.binance.wallets import CLOSED, cut
from defi_risk_adapters.exchanges.common import ZERO, debt, margin, same_digits

TOLERANCE: Final = Decimal("0.005")
"""Index prices may be a minute old, and the four answers are of four moments."""
_STATUS: Final = ("NORMAL", "MARGIN_CALL", "SUPPLY_MARGIN", "REDUCE_ONLY", "ACTIVE_LIQUIDATION", "FORCE_LIQUIDATION", "BANKRUPTED")
_UNLISTED: Final = "{} is taken to count for nothing: it has no collateral rate"
_LEFT_OUT: Final = "{} was left out: it is no collateral of portfolio margin, and has no index price"
_SMALLEST_LEVERAGE: Final = 3
_DEAREST: Final = "the loan of {} is charged at the rate of 3x leverage: the exchange does not tell its own"


@dataclass(frozen=True, slots=True)
class Coin:
    """What is owned and owed of one coin, futures balances included and profit not, with its USD `index` and collateral `rate`."""

    coin: str
    owned: Decimal
    owed: Decimal
    index: Decimal
    rate: Decimal
    loan_rate: Decimal
    profit: Decimal

    @property
    def net(self) -> Decimal:
        """What its worth counts by."""
        return EXACT.subtract(EXACT.add(self.owned, self.profit), self.owed)

    @property
    def share(self) -> Decimal:
        """The share of the index at which the net counts: the collateral rate where it is owned, all of it where it is owed."""
        return self.rate if self.net > 0 else ONE

    @property
    def counts(self) -> Decimal:
        """USD in the account's equity."""
        return EXACT.multiply(EXACT.multiply(self.net, self.index), self.share)

    @property
    def loan(self) -> Decimal:
        """Maintenance margin of the loan, in USD."""
        return EXACT.multiply(EXACT.multiply(self.owed, self.loan_rate), self.index)

    @property
    def weight(self) -> Decimal:
        """The share at which what is owned counts, so that it less the loan counts at `share` though the loan counts in full."""
        if not self.owed or self.owned <= 0:
            return self.share
        kept = EXACT.multiply(EXACT.subtract(self.owned, self.owed), self.share)
        return EXACT.divide(EXACT.add(kept, self.owed), self.owned)

    def legs(self, at: Desk) -> list[Leg]:
        """Margin and the loan."""
        legs = [margin(at, self.coin, self.owned, self.index, weight=self.weight)]
        return [*legs, debt(at, self.coin, self.owed, self.index, maintenance_rate=self.loan_rate)] if self.owed else legs


@dataclass(frozen=True, slots=True)
class _Told:
    """One round of answers."""

    account: Answer
    balance: Answer
    held: list[Held]
    index: Mapping[str, Decimal]
    inverse: frozenset[str]


def read(at: Desk, mode: modes.Mode) -> Requests[list[Account | SourceReport]]:
    """The account. Its own sums must be those of the rest. Where they are not, all is asked once more, COIN-M positions in any case: it may
    have moved, or hold such a position though that wallet is empty.
    """
    account, notes = yield from _once(at)
    if account is not None and account.self_check is not None and not account.self_check.match:
        account, notes = yield from _once(at, inverse=True)
    return [*([account] if account else []), SourceReport(id=at.name, kind="exchange", notes=notes)]


def _rules(*, loans: bool) -> Requests[tuple[dict[str, Decimal], dict[str, Decimal]]]:
    """Collateral rates, and the leverage at which each coin is lent where the account has loans, by coin."""
    [rates] = yield [ExchangeCall("pm_rates")]
    told = {row["asset"].text(20): row["collateralRate"].decimal(0, 1) for row in Answer(rates, "collateralRate").listing()}
    if not loans:
        return told, {}
    [leverages] = yield [ExchangeCall("pm_leverages", optional=True)]
    if isinstance(leverages, Failed):
        return told, {}
    return told, {row["asset"].text(20): row["leverage"].decimal(1, 100) for row in Answer(leverages, "leverage").listing()}


def _once(at: Desk, *, inverse: bool = False) -> Requests[tuple[Account | None, tuple[str, ...]]]:
    told = yield from _answers(inverse=inverse)
    owed = ("crossMarginBorrowed", "crossMarginInterest")
    rates, leverages = yield from _rules(loans=any(row[name].decimal() for row in told.balance.listing() for name in owed))
    symbols = dict.fromkeys(one.symbol for one in told.held)
    um = yield from tables(at, UM, [symbol for symbol in symbols if symbol not in told.inverse])
    cm = yield from tables(at, CM, [symbol for symbol in symbols if symbol in told.inverse])
    says: list[str] = [*um.says(um.contracts.keys()), *cm.says(cm.contracts.keys())]
    of = {one.name: cm if one.symbol in told.inverse else um for one in told.held}
    profits: dict[str, Decimal] = {}
    for one in told.held:
        coin = of[one.name].contracts[one.symbol].coin
        profits[coin] = EXACT.add(profits.get(coin, ZERO), one.pnl)
    left: list[str] = []
    coins = _coins(at, told, profits, (rates, leverages), says, left)
    notes = (*left, *um.notes, *cm.notes)
    if not coins:
        if told.account["accountMaintMargin"].decimal() or told.account["accountEquity"].decimal():
            raise BadAnswer("the account has equity or maintenance margin, and no coin has a balance")
        return None, notes
    share = {coin.coin: coin.share for coin in coins}
    lines = [holdings.line(at, one, of[one.name], weight=share[of[one.name].contracts[one.symbol].coin]) for one in told.held]
    return _account(at, told.account, coins, lines, says), notes


def _answers(*, inverse: bool) -> Requests[_Told]:
    """Account, balances, positions and index prices, four requests: COIN-M positions are asked for where that wallet holds or earns
    anything, and index prices are then up to a minute old.
    """
    [summary, balances] = yield [ExchangeCall("pm_account"), ExchangeCall("pm_balance")]
    account, balance = Answer(summary, "papi/account"), Answer(balances, "papi/balance")
    status = account["accountStatus"].text()
    if status not in _STATUS:
        raise Unsupported(f"account status {shown(status)} is not known")
    both = inverse or any(row[name].decimal() for row in balance.listing() for name in ("cmWalletBalance", "cmUnrealizedPNL"))
    if both:
        [um, cm, index] = yield [ExchangeCall("pm_um"), ExchangeCall("pm_cm"), ExchangeCall("pm_index")]
    else:
        [um, index] = yield [ExchangeCall("pm_um"), ExchangeCall("pm_index_now")]
        cm = []
    linear = holdings.open_rows(Answer(um, "um/positionRisk"), "um/positionRisk")
    coins = holdings.open_rows(Answer(cm, "cm/positionRisk"), "cm/positionRisk")
    prices = {row["asset"].text(20): row["assetIndexPrice"].decimal(0, MOST) for row in Answer(index, "asset-index-price").listing()}
    held = [*holdings.of_portfolio(linear), *holdings.of_portfolio(coins)]
    return _Told(account, balance, held, prices, frozenset(symbol for symbol, _ in coins))


def _coins(
    at: Desk,
    told: _Told,
    profits: Mapping[str, Decimal],
    rules: tuple[Mapping[str, Decimal], Mapping[str, Decimal]],
    says: list[str],
    left: list[str],
) -> list[Coin]:
    """What is in the account, by the `rules` of collateral and of loans. What is only owned, and has neither a collateral rate nor a price,
    counts for nothing: it is `left` out.
    """
    rates, leverages = rules
    amounts: dict[str, tuple[Decimal, Decimal]] = {}
    for row in told.balance.listing():
        coin = row["asset"].text(20)
        if coin in amounts:
            raise BadAnswer(f"the account holds {coin} twice")
        owned = added(row[name].decimal(-MOST, MOST) for name in ("crossMarginAsset", "umWalletBalance", "cmWalletBalance"))
        owed = added(row[name].decimal(0, MOST) for name in ("crossMarginBorrowed", "crossMarginInterest"))
        amounts[coin] = (owned, owed)
    found: list[Coin] = []
    for coin in dict.fromkeys([*amounts, *profits]):
        owned, owed = amounts.get(coin, (ZERO, ZERO))
        if not owned and not owed and coin not in profits:
            continue
        if not told.index.get(coin):
            if owned > 0 and not owed and coin not in profits and coin not in rates:
                left.append(_LEFT_OUT.format(shown(coin)))
                continue
            raise Unsupported(f"{coin} has no index price in portfolio margin", hint="scan again")
        if coin not in rates:
            says.append(_UNLISTED.format(coin))
        loan = _loan_rate(at, coin, leverages, says) if owed else ZERO
        found.append(Coin(coin, owned, owed, told.index[coin], rates.get(coin, ZERO), loan, profits.get(coin, ZERO)))
    return found


def _loan_rate(at: Desk, coin: str, leverages: Mapping[str, Decimal], says: list[str]) -> Decimal:
    """The share of a loan that is needed beside it, by the leverage that its coin allows; the dearest where that is not told."""
    leverage = leverages.get(coin)
    if leverage is None or leverage not in (3, 5, 10):
        says.append(_DEAREST.format(coin))
        leverage = Decimal(_SMALLEST_LEVERAGE)
    return at.rule(f"portfolio_loan_{leverage:f}x")


def _account(at: Desk, told: Answer, coins: Sequence[Coin], lines: Sequence[Line], says: Sequence[str]) -> Account:
    index = {coin.coin: coin for coin in coins}
    equity = added(coin.counts for coin in coins)
    actual = added(EXACT.multiply(coin.net, coin.index) for coin in coins)
    each = [EXACT.multiply(holdings.needs([one]), index[one.listed.coin].index) for one in lines]
    needed = EXACT.add(added(each), added(coin.loan for coin in coins))
    line = at.rule("portfolio_liquidation")

    def liquidated_at(same: Sequence[Line]) -> Decimal | None:
        coin = index[same[0].listed.coin]
        own = EXACT.multiply(holdings.needs(same), coin.index)
        rest = EXACT.subtract(EXACT.subtract(equity, coin.counts), EXACT.multiply(line, EXACT.subtract(needed, own)))
        return holdings.meeting(same, coin.net, (coin.rate, ONE), EXACT.divide(rest, coin.index), line)

    prices, _ = holdings.prices(lines, liquidated_at)
    requirements, _ = holdings.requirements(lines)
    theirs = {name: verbatim(told[name]) for name in ("accountEquity", "accountMaintMargin")}
    if (part := told.get("actualEquity")) is not None:
        theirs["actualEquity"] = verbatim(part)
    ours = {
        **prices,
        **requirements,
        "accountEquity": same_digits(equity, theirs["accountEquity"]),
        "accountMaintMargin": same_digits(needed, theirs["accountMaintMargin"]),
        "actualEquity": cut(actual),
        "accountStatus": told["accountStatus"].text(),
    }
    theirs["accountStatus"] = ours["accountStatus"]
    if needed > 0:
        theirs["uniMMR"] = verbatim(told["uniMMR"])
        ours["uniMMR"] = same_digits(EXACT.divide(equity, needed), theirs["uniMMR"])
    legs = [leg for coin in coins for leg in coin.legs(at)]
    capped = [text for coin in coins for text in holdings.capped(coin.coin, coin.owned, coin.weight, coin.index)]
    return Account(
        id=at.account_id("portfolio"),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=modes.VENUE,
        market="portfolio",
        mode="portfolio",
        legs=(*legs, *(one.leg(at) for one in lines)),
        stated=ours,
        self_check=SelfCheck.within(TOLERANCE, ours, theirs, scale=ONE),
        strict=False,
        rule=CLOSED,
        line=line,
        assumptions=tuple(dict.fromkeys([*says, *capped])),
    )
