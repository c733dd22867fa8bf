"""A trader's account at Perpetual Protocol V2 in the venue's own integers.

Sizes, notionals, prices of markets and sums are 1e18, ratios 1e6, balances in the token's own units. A product of a signed number is cut
towards zero (PerpMath.sol, `mulDiv`); the account value is floored to the decimals of the settlement token (`formatSettlementToken`)
before it is compared, so the verdict moves in steps of 1e-6 USD. Sources: AccountBalance.sol, Vault.sol and ClearingHouse.sol of
curie-contract 2.8.4.

`native` repeats the views. `liquidatable` judges as `ClearingHouse.liquidate` does: account value below requirement. Funding is what is due
at the anchor's time, for the views and for the call alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from defi_risk.model import NOTHING, Asset, Feed
from defi_risk.units import WAD, mul_div_up

RATIO: Final = 10**6
DECIMALS: Final = 18
WHOLE_BELOW: Final = 100 * WAD  # AccountBalance.sol, _MIN_PARTIAL_LIQUIDATE_POSITION_VALUE
_ROUNDINGS: Final = 4  # what cutting products can move value less requirement by, in 1e-18


@dataclass(frozen=True, slots=True)
class Position:
    """What the account has in one market, by the address of its base token.

    `size` and `open_notional` are with what open liquidity holds, `base` and `quote` less what it owes (the debt that initial margin is
    counted on). `funding` is to be paid (below zero: received). `live`: the market is open, so `price` is its mark; otherwise it is the
    index at which the market was paused, or the price at which it was closed, and does not move.
    """

    key: str
    asset: Asset
    size: int
    open_notional: int
    base: int
    quote: int
    funding: int
    price: int
    live: bool

    def value(self, price: int) -> int:
        """Worth of the position, below zero for a short."""
        return mul_div(self.size, price, WAD)


@dataclass(frozen=True, slots=True)
class Collateral:
    """A token beside the settlement token. `ratio`: what of its value counts; `price` with `price_decimals`, for one whole token."""

    key: str
    asset: Asset
    balance: int
    ratio: int
    price: int
    price_decimals: int

    def weighted(self, price: int) -> int:
        """What counts, 1e18 of the settlement token."""
        up, down = self._scales()
        value: int = self.balance * up * price // 10**self.price_decimals // down
        return value * self.ratio // RATIO

    def worth(self, free: int) -> int:
        """Tokens that count for `free`, 1e18 of the settlement token, at most the balance."""
        if not self.ratio:
            return 0
        up, down = self._scales()
        tokens = mul_div_up(free * down, 10**self.price_decimals, self.price) // up
        return min(tokens * RATIO // self.ratio, self.balance)

    def _scales(self) -> tuple[int, int]:
        """What a balance is multiplied by, and then divided by, to count in 1e18."""
        more = DECIMALS - self.asset.decimals
        return (10**more, 1) if more > 0 else (1, 10**-more)


@dataclass(frozen=True, slots=True)
class Terms:
    """The venue's ratios (1e6), and decimals of the settlement token.

    `maintenance` and `initial` are of notional. The last three rule the sale of collateral: added to the maintenance ratio, most debt
    in the settlement token as a share of other collateral, and as an amount (`debt_limit`, in the settlement token's units).
    """

    decimals: int
    maintenance: int
    initial: int
    buffer: int
    debt_ratio: int
    debt_limit: int

    @property
    def unit(self) -> int:
        """The smallest unit of the settlement token, 1e18."""
        unit: int = 10 ** (DECIMALS - self.decimals)
        return unit


@dataclass(frozen=True, slots=True)
class AccountExact:
    """One account: `balance` of the settlement token (`token`: its address) in its units; profit realised but not settled (`owed`) and
    fees not collected, 1e18.
    """

    terms: Terms
    token: str
    balance: int
    owed: int
    fee: int
    positions: tuple[Position, ...]
    collaterals: tuple[Collateral, ...]

    def native(self) -> dict[str, int | bool]:
        """What the venue's views say, by function; what belongs to one market names its base token.

        The account value is that of the clearing house, 1e18. `Vault.isLiquidatable` is about selling collateral other than the
        settlement token, which the venue allows earlier than closing positions.
        """
        numbers: dict[str, int | bool] = {
            "getAccountValue": self._cut(self.value()),
            "getMarginRequirementForLiquidation": self.requirement(),
            "getTotalAbsPositionValue": self.absolute(),
            "getTotalDebtValue": self.debt(),
            "unrealizedPnl": self.unrealized(),
            "getAllPendingFundingPayment": sum(each.funding for each in self.positions),
            "getSettlementTokenValue": (self.settlement() + self.unrealized()) // self.terms.unit,
            "getFreeCollateral": self.free() // self.terms.unit,
            "Vault.isLiquidatable": self.sellable(),
            f"getFreeCollateralByToken({self.token})": self.payable(),
        }
        for token in self.collaterals:
            numbers[f"getFreeCollateralByToken({token.key})"] = self.payable(token)
        for each in self.positions:
            numbers[f"getTotalPositionValue({each.key})"] = each.value(each.price)
            numbers[f"getLiquidatablePositionSize({each.key})"] = self.liquidatable_size(each)
        return numbers

    def feeds(self) -> tuple[Feed, ...]:
        """`getMarkPrice` of open markets by base token, and what the collateral manager prices other collateral at, by token."""
        marks = [Feed(each.key, each.asset, each.price) for each in self.positions if each.live and each.size]
        return (*marks, *(Feed(each.key, each.asset, each.price) for each in self.collaterals))

    def liquidatable(self, answers: Mapping[str, int] = NOTHING) -> bool:
        """Whether the account value is below the requirement: what CH_EAV stands for."""
        return self._cut(self.value(answers)) < self.requirement(answers)

    def safe_throughout(self, key: str, low: int, high: int) -> bool:
        """True only where no answer in [low, high] kills; exact for `low` = `high`."""
        if low >= high:
            return not self.liquidatable({key: low})
        ends = [(self.value({key: answer}), self.requirement({key: answer})) for answer in (low, high)]
        # both sides are monotone in one answer: their worst ends together are no better than any answer between
        if self._cut(min(value for value, _ in ends)) >= max(requirement for _, requirement in ends):
            return True
        # Without roundings the surplus is linear in the answer, so it is least at an end; the floor takes less than a unit more.
        return min(value - requirement for value, requirement in ends) >= self.terms.unit + _ROUNDINGS

    def value(self, answers: Mapping[str, int] = NOTHING) -> int:
        """Account value before it is cut: settlement token, counted collateral, unrealised profit."""
        return self.settlement() + self.weighted(answers) + self.unrealized(answers)

    def requirement(self, answers: Mapping[str, int] = NOTHING) -> int:
        """Maintenance margin of all positions."""
        return self.absolute(answers) * self.terms.maintenance // RATIO

    def settlement(self) -> int:
        """The settlement token with what is owed either way: realised profit, fees, funding."""
        return self.balance * self.terms.unit + self.fee + self.owed - sum(each.funding for each in self.positions)

    def weighted(self, answers: Mapping[str, int] = NOTHING) -> int:
        """What other collateral counts."""
        return sum(each.weighted(answers.get(each.key, each.price)) for each in self.collaterals)

    def unrealized(self, answers: Mapping[str, int] = NOTHING) -> int:
        """Profit of all positions."""
        return sum(value + each.open_notional for each, value in self._values(answers))

    def absolute(self, answers: Mapping[str, int] = NOTHING) -> int:
        """Notional of all positions."""
        return sum(abs(value) for _, value in self._values(answers))

    def debt(self) -> int:
        """What initial margin is counted on: base owed at its price, and quote owed over all markets together."""
        owed = sum(mul_div(each.base, each.price, WAD) for each in self.positions if each.base < 0)
        return abs(min(sum(each.quote for each in self.positions), 0) + owed)

    def free(self) -> int:
        """What is above the initial requirement; profit that is not realised does not count."""
        value, own = self.value(), self.settlement() + self.weighted()
        return max(min(own, value) - self.debt() * self.terms.initial // RATIO, 0)

    def payable(self, token: Collateral | None = None) -> int:
        """What may be withdrawn of other collateral, or of the settlement token, in the token's units."""
        own = self.settlement()
        if own + self.unrealized() < 0:
            return 0
        return token.worth(self.free()) if token else max(min(self.free(), own), 0) // self.terms.unit

    def sellable(self) -> bool:
        """Whether collateral may be sold for what the account lacks of the settlement token (`Vault.isLiquidatable`)."""
        if not self.collaterals:
            return False
        if self.value() < self.absolute() * (self.terms.maintenance + self.terms.buffer) // RATIO:
            return True
        lacking = max(-(self.settlement() + self.unrealized()), 0)
        return lacking > self.weighted() * self.terms.debt_ratio // RATIO or lacking // self.terms.unit > self.terms.debt_limit

    def liquidatable_size(self, position: Position) -> int:
        """Base that one liquidation may take: half of all notional out of one market while the account value is at least half of what is
        required; a position of up to 100 USD, or any of a worse account, whole.
        """
        value, requirement = self._cut(self.value()), self.requirement()
        notional = abs(position.value(position.price))
        if value >= requirement or not position.size:
            return 0
        if notional <= WHOLE_BELOW or value < requirement // 2:
            return position.size
        share = min(self.absolute() * RATIO // (2 * notional), RATIO)
        return mul_div(position.size, share, RATIO)

    def _values(self, answers: Mapping[str, int]) -> list[tuple[Position, int]]:
        return [(each, each.value(answers.get(each.key, each.price) if each.live else each.price)) for each in self.positions]

    def _cut(self, value: int) -> int:
        """As the clearing house sees it: floored to the settlement token's decimals, and back in 1e18."""
        return value // self.terms.unit * self.terms.unit


def mul_div(a: int, b: int, c: int) -> int:
    """`a * b / c` cut towards zero, for positive `c`."""
    product = a * b
    return product // c if product >= 0 else -(-product // c)
