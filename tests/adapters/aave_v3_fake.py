"""A whole Aave V3 market as data, of any revision, that answers an adapter's asks through the real codec and ABI files.

The pool's view is computed here a second time: `account_data` is written from the fact sheet alone and shares nothing with the
adapter. Two readings of one text must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from defi_risk_adapters.aave_v3 import AaveV3
from eth_abi.abi import encode

from defi_risk.abi import decode, function_of
from defi_risk.engine import Findings, Job, read
from defi_risk.errors import CallReverted, DefiRiskError
from defi_risk.ids import ZERO_ADDRESS, Address, ChainId, checksum
from defi_risk.model import Account, Anchor, Chain, FactorRef, Owner
from defi_risk.spi import Ask, Call, Context, Failed, Market

NOW = 1_800_000_000
RAY = 10**27
YEAR = 31_536_000
NEVER = 2**256 - 1
CHAIN = Chain(ChainId(1), "ethereum")
REVISIONS = range(1, 12)


def address(number: int) -> Address:
    """A distinct address for a test."""
    return checksum(f"{number:040x}")


PROVIDER, POOL, ORACLE, SENTINEL, OWNER = (address(0xA00 + i) for i in range(5))


@dataclass
class Stable:
    """An owner's stable debt."""

    principal: int
    rate: int
    updated_at: int


@dataclass
class Reserve:
    """One reserve and what OWNER has in it. Rates and indices are rays; `cash` is what the pool can pay out."""

    token: Address
    id: int
    price: int | None = 10**8
    symbol: str | bytes | None = "TKN"
    decimals: int = 18
    ltv: int = 8000
    threshold: int = 8250
    bonus: int = 10500
    active: bool = True
    paused: bool = False
    category: int = 0
    debt_ceiling: int = 0
    virtual: bool = True
    supply_index: int = RAY
    debt_index: int = RAY
    supply_rate: int = 0
    debt_rate: int = 0
    updated_at: int = NOW
    cash: int = 10**24
    grace_until: int = 0
    source: Address | None = None
    source_updated_at: int | None = None
    capped: bool | None = None
    supplied: int = 0
    collateral: bool = False
    borrowed: int = 0
    debt_balance: int = 0
    stable: Stable | None = None

    @property
    def word(self) -> int:
        """The packed configuration."""
        fields = ((self.ltv, 0), (self.threshold, 16), (self.bonus, 32), (self.decimals, 48), (self.active, 56), (self.paused, 60))
        more = ((self.category, 168), (self.debt_ceiling, 212), (self.virtual, 252))
        return sum(int(value) << shift for value, shift in fields + more)

    @property
    def a_token(self) -> Address:
        return address(0xB0000 + self.id)

    @property
    def debt_token(self) -> Address:
        return address(0xC0000 + self.id)

    @property
    def stable_token(self) -> Address:
        return address(0xD0000 + self.id)

    @property
    def borrows(self) -> bool:
        return bool(self.borrowed or self.stable)


@dataclass
class Category:
    """An eMode category, with the fields of every version."""

    ltv: int = 9000
    threshold: int = 9300
    bonus: int = 10100
    price_source: Address | None = None
    price: int = 0
    collateral: int = 0
    ltv_zero: int = 0
    isolated: bool = False


@dataclass
class FakeMarket:
    """The market and the owner's standing in it. It is a `Source` for the engine; `lies` replaces answers by (function, first argument)."""

    revision: int
    reserves: list[Reserve]
    user_category: int = 0
    categories: dict[int, Category] = field(default_factory=dict)
    sentinel: Address = ZERO_ADDRESS
    liquidation_allowed: bool | None = True
    base: Address = ZERO_ADDRESS
    base_unit: int = 10**8
    protocol: tuple[int, ...] | None = None
    lies: dict[str, Any] = field(default_factory=dict)
    asked: list[list[Ask]] = field(default_factory=list)

    anchor = Anchor(CHAIN, 100, "0x" + "00" * 32, NOW)

    def answer(self, asks: Sequence[Ask]) -> Sequence[Any]:
        """Answer a round as the sources of the product do: values, `Failed` for what is optional, errors for the rest."""
        self.asked.append(list(asks))
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Any:
        assert isinstance(ask, Call)
        try:
            value = self.lies[ask.function] if ask.function in self.lies else self._value(ask)
            if isinstance(value, DefiRiskError):
                raise value
        except DefiRiskError as error:
            return Failed(str(error)) if ask.optional else error
        return _coded(ask, value)

    def _value(self, ask: Call) -> Any:
        if ask.interface.path.startswith("aave_v3/"):
            return getattr(self, f"_{ask.interface.path.removeprefix('aave_v3/')}")(ask)
        return getattr(self, f"_{ask.interface.path}")(ask)

    def _addresses_provider(self, ask: Call) -> Any:
        assert ask.to == PROVIDER
        return {"getPool": POOL, "getPriceOracle": ORACLE, "getPriceOracleSentinel": self.sentinel}[ask.function]

    def _pool(self, ask: Call) -> Any:
        assert ask.to == POOL
        plain: dict[str, Callable[[], Any]] = {
            "POOL_REVISION": lambda: self.revision,
            "getReservesList": lambda: tuple(reserve.token for reserve in self.reserves),
            "getUserConfiguration": lambda: (self.user_map,),
            "getUserEMode": lambda: self.user_category,
            "getUserAccountData": lambda: self.protocol or account_data(self),
        }
        if ask.function in plain:
            return plain[ask.function]()
        if "EMode" in ask.function:
            return self._emode(ask.function, self.categories[ask.args[0]])
        reserve = self._reserve(ask.args[0])
        since = {"getVirtualUnderlyingBalance": 4, "getLiquidationGracePeriod": 4}.get(ask.function, 0)
        if self.revision < since:
            raise CallReverted(f"no {ask.function} in revision {self.revision}")
        if ask.function == "getReserveData":
            return self.reserve_data(reserve)
        return {"getVirtualUnderlyingBalance": reserve.cash, "getLiquidationGracePeriod": reserve.grace_until}[ask.function]

    def _emode(self, function: str, category: Category) -> Any:
        ratios = (category.ltv, category.threshold, category.bonus)
        first, values = {
            "getEModeCategoryData": (1, (*ratios, category.price_source or ZERO_ADDRESS, "label")),
            "getEModeCategoryCollateralConfig": (5, ratios),
            "getEModeCategoryCollateralBitmap": (5, category.collateral),
            "getEModeCategoryLtvzeroBitmap": (10, category.ltv_zero),
            "getIsEModeCategoryIsolated": (11, category.isolated),
        }[function]
        if self.revision < first:
            raise CallReverted(f"no {function} in revision {self.revision}")
        return values

    def reserve_data(self, reserve: Reserve) -> tuple[Any, ...]:
        """The answer of `getReserveData`."""
        rates = (reserve.supply_index, reserve.supply_rate, reserve.debt_index, reserve.debt_rate, 0)
        tokens = (reserve.a_token, reserve.stable_token, reserve.debt_token, ZERO_ADDRESS)
        return ((reserve.word,), *rates, reserve.updated_at, reserve.id, *tokens, 0, 0, 0)

    def _oracle(self, ask: Call) -> Any:
        assert ask.to == ORACLE
        if ask.function in ("BASE_CURRENCY", "BASE_CURRENCY_UNIT"):
            return self.base if ask.function == "BASE_CURRENCY" else self.base_unit
        for category in self.categories.values():
            if category.price_source == ask.args[0]:
                return category.price if ask.function == "getAssetPrice" else ZERO_ADDRESS
        reserve = self._reserve(ask.args[0])
        if ask.function == "getSourceOfAsset":
            return reserve.source or ZERO_ADDRESS
        if reserve.price is None:
            raise CallReverted("getAssetPrice reverted")
        return reserve.price

    def _sentinel(self, ask: Call) -> Any:
        assert ask.to == self.sentinel
        if self.liquidation_allowed is None:
            raise CallReverted("isLiquidationAllowed reverted")
        return self.liquidation_allowed

    def _scaled_token(self, ask: Call) -> Any:
        assert ask.args == (OWNER,)
        for reserve in self.reserves:
            if ask.to == reserve.a_token:
                return reserve.supplied
            if ask.to == reserve.debt_token:
                return reserve.borrowed
        raise AssertionError(ask)

    def _stable_debt_token(self, ask: Call) -> Any:
        [reserve] = [reserve for reserve in self.reserves if reserve.stable_token == ask.to]
        debt = reserve.stable or Stable(0, 0, 0)
        return {"principalBalanceOf": debt.principal, "getUserStableRate": debt.rate, "getUserLastUpdated": debt.updated_at}[ask.function]

    def _erc20(self, ask: Call) -> Any:
        for reserve in self.reserves:
            if ask.to == reserve.debt_token and ask.function == "balanceOf":
                return reserve.debt_balance
            if ask.to == reserve.token and ask.function == "balanceOf":
                assert ask.args == (reserve.a_token,)
                return reserve.cash
            if ask.to == reserve.token and isinstance(reserve.symbol, str):
                return reserve.symbol
        raise CallReverted("reverted")

    def _erc20_bytes32(self, ask: Call) -> Any:
        symbol = self._reserve(ask.to).symbol
        if isinstance(symbol, bytes):
            return symbol
        raise CallReverted("reverted")

    def _chainlink(self, ask: Call) -> Any:
        [reserve] = [reserve for reserve in self.reserves if reserve.source == ask.to]
        if ask.function == "isCapped" and reserve.capped is not None:
            return reserve.capped
        if ask.function == "latestRoundData" and reserve.source_updated_at is not None:
            return 7, reserve.price, 0, reserve.source_updated_at, 7
        raise CallReverted("reverted")

    def _reserve(self, token: Any) -> Reserve:
        [found] = [reserve for reserve in self.reserves if reserve.token == token]
        return found

    @property
    def user_map(self) -> int:
        """The owner's bitmap."""
        marks = ((int(reserve.borrows) | int(reserve.collateral) << 1) << 2 * reserve.id for reserve in self.reserves)
        return sum(marks) % 2**256


def _coded(ask: Call, value: Any) -> Any:
    """The value as it comes out of the bytes that a contract would return."""
    outputs = function_of(ask).outputs
    return decode(ask, encode(outputs, value if len(outputs) > 1 else (value,)))


def scan(market: FakeMarket, context: Context | None = None) -> list[Account]:
    """Read OWNER's account with the real adapter and the real engine."""
    job = Job(AaveV3(), Owner(OWNER), Market("aave_v3", CHAIN, "test", (("pool_addresses_provider", PROVIDER),)))
    findings: Findings = read(market, [job], context or Context(CHAIN, 100, NOW))
    return findings.accounts


def account_of(market: FakeMarket, context: Context | None = None) -> Account:
    """The one account of OWNER, which must be known."""
    [account] = scan(market, context)
    assert account.known, account.reason
    return account


def tokens_with(factors: dict[Address, FactorRef]) -> Context:
    """A context in which these tokens have factors."""
    plain = Context(CHAIN, 100, NOW)
    return Context(CHAIN, 100, NOW, {plain.token_id(token): factor for token, factor in factors.items()})


def account_data(market: FakeMarket) -> tuple[int, ...]:
    """`getUserAccountData` from the fact sheet: collateral, debt, available borrows, threshold, LTV, health factor."""
    late = market.revision >= 9
    value = limits = thresholds = debt = 0
    for reserve in market.reserves:
        category = market.categories.get(market.user_category) if market.user_category else None
        inside = bool(category and _inside(market, reserve, category))
        price = category.price if category and inside and category.price_source and market.revision <= 4 else reserve.price
        if not (reserve.collateral or reserve.borrows):
            continue
        assert price is not None
        ltv, threshold = _weights(market, reserve, category if inside else None, category)
        if reserve.collateral and (reserve.threshold or market.revision >= 10):
            part = price * _supply(market, reserve) // 10**reserve.decimals
            value, limits, thresholds = value + part, limits + part * ltv, thresholds + part * threshold
        if reserve.borrows:
            raw = price * _debt(market, reserve)
            debt += -(-raw // 10**reserve.decimals) if late else raw // 10**reserve.decimals
    average, ltv = (thresholds // value, limits // value) if value else (0, 0)
    if not debt:
        health = NEVER
    elif late:
        health = (thresholds * 10**18 + debt // 2) // debt // 10**4
    else:
        health = ((value * average + 5000) // 10**4 * 10**18 + debt // 2) // debt
    limit = value * ltv // 10**4 if late else (value * ltv + 5000) // 10**4
    return value, debt, max(limit - debt, 0), average, ltv, health


def _inside(market: FakeMarket, reserve: Reserve, category: Category) -> bool:
    if market.revision <= 4:
        return reserve.category == market.user_category
    return bool(category.collateral >> reserve.id & 1)


def _weights(market: FakeMarket, reserve: Reserve, inside: Category | None, entered: Category | None) -> tuple[int, int]:
    if market.revision < 10:
        ltv = reserve.ltv and (inside.ltv if inside else reserve.ltv)
        return ltv, inside.threshold if inside else reserve.threshold
    if inside:
        return 0 if inside.ltv_zero >> reserve.id & 1 else inside.ltv, inside.threshold
    stripped = market.revision >= 11 and entered is not None and entered.isolated
    return 0 if stripped else reserve.ltv, reserve.threshold


def _half_up(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY


def _supply(market: FakeMarket, reserve: Reserve) -> int:
    seconds = NOW - reserve.updated_at
    index = _half_up(RAY + reserve.supply_rate * seconds // YEAR, reserve.supply_index)
    return reserve.supplied * index // RAY if market.revision >= 9 else _half_up(reserve.supplied, index)


def _debt(market: FakeMarket, reserve: Reserve) -> int:
    index = _half_up(_growth(market.revision, reserve.debt_rate, NOW - reserve.updated_at), reserve.debt_index)
    variable = -(-reserve.borrowed * index // RAY) if market.revision >= 9 else _half_up(reserve.borrowed, index)
    if market.revision == 7 and not reserve.virtual:
        variable = reserve.debt_balance
    if reserve.stable and market.revision <= 4:
        variable += _half_up(reserve.stable.principal, _growth(1, reserve.stable.rate, NOW - reserve.stable.updated_at))
    return variable


def _growth(revision: int, rate: int, seconds: int) -> int:
    if revision >= 8:
        x = rate * seconds // YEAR
        return RAY + x + _half_up(x, x // 2 + _half_up(x, x // 6))
    two = _half_up(rate, rate) // (YEAR * YEAR)
    three = _half_up(two, rate) // YEAR
    tail = seconds * (seconds - 1) * two // 2 + seconds * (seconds - 1) * max(seconds - 2, 0) * three // 6 if seconds else 0
    return RAY + rate * seconds // YEAR + tail
