"""What OKX publishes of contracts and coins: values of contracts, position tiers, discount rates, funding, and fees of this user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from defi_risk.answers import Answer
from defi_risk.errors import OutOfRange, Unsupported
from defi_risk.model import Contract
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.common import ZERO
from defi_risk_adapters.exchanges.okx.records import MOST, moment, needed, optional_text, rows, told

USD_MARGINED: Final = "_UM"
"""How the families of USD-margined contracts end: BTC-USD_UM. All of them settle in the one dollar coin that the user chose."""
USD_COINS: Final = ("USDC", "USDG", "USD")


def settles_in(row: Answer, margin: str) -> str:
    """The coin that a contract settles in for who has margin for it in the coin `margin`. Of USD-margined ones the list says USD, whatever
    was chosen; profit, fees, funding and requirement are told and paid in the chosen coin, one for one.
    """
    chosen = optional_text(row, "instFamily").endswith(USD_MARGINED) and margin in USD_COINS
    return margin if chosen else optional_text(row, "settleCcy")


@dataclass(frozen=True, slots=True)
class Instrument:
    """A contract: `value` is what one is worth, in base units (inverse: in USD); `expires` in unix seconds."""

    symbol: str
    family: str
    contract: Contract
    value: Decimal
    base: str
    quote: str
    settle: str
    expires: int | None

    def notional(self, contracts: Decimal, mark: Decimal) -> Decimal:
        """What so many contracts are worth at a price, in the coin that they settle in."""
        worth = EXACT.multiply(abs(contracts), self.value)
        return EXACT.multiply(worth, mark) if self.contract is Contract.LINEAR else EXACT.divide(worth, mark)

    @classmethod
    def of(cls, row: Answer, margin: str = "") -> Instrument:
        """The contract of a position that has its margin in the coin `margin`."""
        symbol, kind = row["instId"].text(), row["ctType"].text()
        base, _, quote = row["uly"].text().partition("-")
        settle, unit = settles_in(row, margin), row["ctValCcy"].text()
        if (kind, quote) == ("linear", "USD") and settle in USD_COINS:  # prices are in USD, and paid as so many coins
            quote = settle
        value = EXACT.multiply(needed(row, "ctVal"), told(row, "ctMult") or Decimal(1))
        plain = (kind, settle, unit) == ("linear", quote, base) or (kind, settle, unit, quote) == ("inverse", base, "USD", "USD")
        if not plain or value <= 0:
            raise Unsupported(f"{symbol} is a contract of {kind or 'no'} type in {unit} settled in {settle}, which is not modelled")
        return cls(
            symbol,
            row["instFamily"].text(),
            Contract.LINEAR if kind == "linear" else Contract.INVERSE,
            value,
            base,
            quote,
            settle,
            moment(row, "expTime"),
        )


@dataclass(frozen=True, slots=True)
class Bracket:
    """Rates of a position of at most so many contracts (None: any number), all of it."""

    most: Decimal | None
    maintenance: Decimal
    initial: Decimal


def brackets(answer: Any, family: str) -> tuple[Bracket, ...]:
    """Position tiers of a family of contracts, smallest first."""
    found = [
        Bracket(told(row, "maxSz"), needed(row, "mmr", 0), needed(row, "imr", 0))
        for row in rows(answer, "public/position-tiers")
        if optional_text(row, "instFamily") in ("", family)
    ]
    found.sort(key=lambda bracket: (bracket.most is None, bracket.most or ZERO))
    for last, following in pairwise(found):
        if following.maintenance < last.maintenance or following.most == last.most:
            raise OutOfRange(f"the position tiers of {family} do not rise")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Discount:
    """What of a coin counts as margin: `rate` of what lies above `floor` coins, up to the next floor."""

    floor: Decimal
    rate: Decimal


def discounts(answer: Any, wanted: Iterable[str]) -> dict[str, tuple[Discount, ...]]:
    """Discount tiers by coin; the last one holds for what is beyond all tiers."""
    coins, found = set(wanted), dict[str, tuple[Discount, ...]]()
    for row in rows(answer, "public/discount-rate"):
        code = row["ccy"].text(32)
        entries = row.get("details") if code in coins else None
        if entries is None:
            continue
        tiers = sorted((_discount(entry) for entry in entries.listing(MOST)), key=lambda tier: tier[0])
        if not tiers or tiers[0][0] != 0 or code in found:
            raise OutOfRange(f"the discount tiers of {code} do not begin at zero, or stand there twice")
        known = [Discount(floor, rate) for floor, rate, _ in tiers]
        if (top := tiers[-1][2]) is not None:
            known.append(Discount(top, told(row, "minDiscountRate") or ZERO))
        found[code] = tuple(known)
    return found


def _discount(row: Answer) -> tuple[Decimal, Decimal, Decimal | None]:
    return needed(row, "minAmt", 0), row["discountRate"].decimal(0, 1), told(row, "maxAmt")


def discounted(amount: Decimal, tiers: Sequence[Discount]) -> Decimal:
    """How much of an amount of a coin counts as margin; what is owed counts in full.

    OKX's own example: of 11,000,000 USDT the first 5M count at 100 %, 5M more at 97.5 % and the last 1M at 95 %: 10,825,000.
    """
    if amount <= 0:
        return amount
    total = ZERO
    for index, tier in enumerate(tiers):
        top = tiers[index + 1].floor if index + 1 < len(tiers) else amount
        share = EXACT.subtract(min(amount, top), tier.floor)
        if share > 0:
            total = EXACT.add(total, EXACT.multiply(share, tier.rate))
    return total


@dataclass(frozen=True, slots=True)
class Funding:
    """A funding rate, and the hours that it is for."""

    rate: Decimal
    hours: Decimal


def funding(answer: Any, wanted: Iterable[str]) -> dict[str, Funding]:
    """Funding of contracts by their symbol; only where the hours between two payments are told."""
    symbols, found = set(wanted), dict[str, Funding]()
    for row in rows(answer, "public/funding-rate"):
        symbol = row["instId"].text()
        if symbol not in symbols:
            continue
        rate, now, following = told(row, "fundingRate"), told(row, "fundingTime"), told(row, "nextFundingTime")
        if rate is not None and now is not None and following is not None and following > now:
            found[symbol] = Funding(rate, EXACT.divide(EXACT.subtract(following, now), Decimal(3_600_000)))
    return found


@dataclass(frozen=True, slots=True)
class Fees:
    """Taker fees of this user by the coin that contracts settle in: positive, a share of the notional. `coin` is for inverse contracts.
    An answer of several groups of contracts tells none.
    """

    coin: Decimal | None = None
    linear: dict[str, Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: Any) -> Fees:
        found = rows(answer, "account/trade-fee")
        if len(found) != 1:
            return cls()
        row = found[0]
        paid = {name: -rate for name in ("taker", "takerU", "takerUSDC") if (rate := told(row, name)) is not None and rate <= 0}
        linear = {coin: paid[name] for coin, name in (("USDT", "takerU"), ("USDC", "takerUSDC")) if name in paid}
        return cls(paid.get("taker"), linear)

    def of_contract(self, instrument: Instrument) -> Decimal | None:
        return self.coin if instrument.contract is Contract.INVERSE else self.linear.get(instrument.settle)
