"""A Compound V2 comptroller with its markets in Python for tests: state, views, accrual and the liquidation check, from the fact sheet.

Borrows are kept as the contracts keep them, principal and interest index, which no view tells: so the tests know what a debt really
grows to, where the adapter can only bound it. Not the real contracts: those are compared with in tests/chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from defi_risk.ids import ZERO_ADDRESS, Address, AssetId, ChainId, Factor
from defi_risk.model import Chain, FactorRef
from defi_risk.spi import Ask, Call, Context, Market, NativeBalance
from tests.adapters.comet_world import E18, NOW, address
from tests.adapters.scripted import NOTHING_THERE

BLOCK: Final = 20_000_000


@dataclass
class Pool:
    """One market, and what the account has in it."""

    number: int
    symbol: str
    decimals: int
    price: int
    factor: int
    threshold: int | None = None
    tokens: int = 0
    principal: int = 0
    interest_index: int = E18
    index: int = 1_100_000_000_000_000_001
    cash: int = 10**15
    borrows: int = 4 * 10**14
    reserves: int = 10**12
    extra: int = 0
    supply: int = 5 * 10**16
    rate: int = 30_000_000_000
    reserve_factor: int = 15 * 10**16
    ago: int = 0
    entered: bool = True
    native: bool = False
    incentive: int | None = None
    flags: frozenset[str] = frozenset()

    @property
    def token(self) -> Address:
        return address(0x3000 + self.number)

    @property
    def underlying(self) -> Address:
        return address(0x4000 + self.number)

    def debt(self, index: int) -> int:
        return self.principal * index // self.interest_index if self.principal else 0

    def exchange_rate(self) -> int:
        return (self.cash + self.borrows + self.extra - self.reserves) * E18 // self.supply

    def accrued(self) -> Pool:
        """The market after `accrueInterest`."""
        simple = self.rate * self.ago
        interest = simple * self.borrows // E18
        return replace(
            self,
            borrows=self.borrows + interest,
            reserves=self.reserves + self.reserve_factor * interest // E18,
            index=self.index + simple * self.index // E18,
            ago=0,
        )


@dataclass
class Comptroller:
    """A comptroller, its markets and one account."""

    pools: list[Pool]
    by_time: bool = False
    fields: int = 3
    venus: bool = False
    close_factor: int = E18 // 2
    incentive: int = 108 * 10**16
    vai: int = 0
    paused: str = ""
    pool_id: int = 0
    chain_id: int = 1
    overrides: dict[str, Callable[[Ask], Any]] = field(default_factory=dict)
    address: Address = field(default_factory=lambda: address(0xCC))
    oracle: Address = field(default_factory=lambda: address(0xCD))
    controller: Address = field(default_factory=lambda: address(0xCE))
    vai_token: Address = field(default_factory=lambda: address(0xCF))

    @property
    def chain(self) -> Chain:
        return Chain(ChainId(self.chain_id), "chain", "ETH", Factor("ETH"))

    def market(self, **settings: str) -> Market:
        return Market("compound_v2", self.chain, "main", (("comptroller", self.address), *settings.items()), "Compound V2")

    def context(self) -> Context:
        factors = {AssetId(f"eip155:{self.chain_id}/erc20:{pool.underlying}"): FactorRef(Factor(pool.symbol)) for pool in self.pools}
        return Context(self.chain, BLOCK, NOW, factors, {}, (self.market(),))

    def liquidity(self, prices: Mapping[str, int] | None = None, *, fresh: bool = False) -> int:
        """Liquidity less shortfall at other prices where given, of stored or of accrued markets."""
        given = prices or {}
        total = -self.vai
        for pool in self.pools:
            if not pool.entered:
                continue
            now = pool.accrued() if fresh else pool
            price = given.get(pool.token, pool.price)
            weight = pool.factor if pool.threshold is None else pool.threshold
            denom = (weight * now.exchange_rate() // E18) * price // E18
            total += denom * pool.tokens // E18 - price * now.debt(now.index) // E18
        return total

    def answer(self, ask: Ask) -> Any:
        """What the chain answers."""
        if isinstance(ask, NativeBalance):
            pool = self._pool(ask.owner)
            return pool.cash if pool.native else 0
        assert isinstance(ask, Call)
        if ask.function in self.overrides:
            return self.overrides[ask.function](ask)
        if ask.to == self.address:
            return self._comptroller(ask)
        if ask.to == self.oracle:
            return self._pool(ask.args[0]).price
        if ask.to == self.controller:
            return self.vai if ask.function == "getVAIRepayAmount" else self.vai_token
        if ask.to == self.vai_token:
            return _token_answer(ask, "VAI", 18)
        for pool in self.pools:
            if ask.to == pool.underlying:
                return _token_answer(ask, pool.symbol, pool.decimals)
            if ask.to == pool.token:
                return self._ctoken(pool, ask)
        return NOTHING_THERE

    def _pool(self, token: str) -> Pool:
        return next(pool for pool in self.pools if pool.token == token)

    def _comptroller(self, call: Call) -> Any:
        net = self.liquidity()
        plain: Mapping[str, Any] = {
            "getAllMarkets": [pool.token for pool in self.pools],
            "getAssetsIn": [pool.token for pool in self.pools if pool.entered],
            "oracle": self.oracle,
            "closeFactorMantissa": self.close_factor,
            "liquidationIncentiveMantissa": self.incentive,
            "getAccountLiquidity": (0, max(net, 0), max(-net, 0)),
            "seizeGuardianPaused": NOTHING_THERE if self.venus else self.paused == "seize",
            "protocolPaused": self.paused == "protocol" if self.venus else NOTHING_THERE,
            "vaiController": (self.controller if self.vai else ZERO_ADDRESS) if self.venus else NOTHING_THERE,
            "userPoolId": self.pool_id if self.venus else NOTHING_THERE,
        }
        if call.function in plain:
            return plain[call.function]
        return self._of_market(call)

    def _of_market(self, call: Call) -> Any:
        pool = self._pool(call.args[1] if call.function in TWO_ARGUMENTS else call.args[0])
        if call.function == "markets":
            row = (True, pool.factor, True, 3)[: self.fields]
            return row if call.interface.path == f"compound_v2/markets_{self.fields}" else NOTHING_THERE
        if call.function == "isDeprecated":
            return NOTHING_THERE if self.venus else "deprecated" in pool.flags
        if not self.venus:
            return NOTHING_THERE
        if call.function == "getEffectiveLtvFactor":
            return pool.factor if call.args[2] == 0 or pool.threshold is None else pool.threshold
        if call.function == "getEffectiveLiquidationIncentive":
            return self.incentive if pool.incentive is None else pool.incentive
        flag = {"isForcedLiquidationEnabled": "forced", "isForcedLiquidationEnabledForUser": "forced for user"}.get(call.function)
        return (flag or f"action {call.args[1]}") in pool.flags

    def _ctoken(self, pool: Pool, call: Call) -> Any:
        stamp = (NOW if self.by_time else BLOCK) - pool.ago
        unit = "Timestamp" if self.by_time else "Block"
        answers: Mapping[str, Any] = {
            "getAccountSnapshot": (0, pool.tokens, pool.debt(pool.index), pool.exchange_rate()),
            "underlying": NOTHING_THERE if pool.native else pool.underlying,
            "accrualBlockTimestamp" if self.by_time else "accrualBlockNumber": stamp,
            f"borrowRatePer{unit}": pool.rate,
            f"supplyRatePer{unit}": pool.rate // 2,
            "borrowIndex": pool.index,
            "totalBorrows": pool.borrows,
            "totalReserves": pool.reserves,
            "totalSupply": pool.supply,
            "getCash": pool.cash,
            "reserveFactorMantissa": pool.reserve_factor,
        }
        return answers.get(call.function, NOTHING_THERE)


TWO_ARGUMENTS: Final = frozenset({"getEffectiveLtvFactor", "getEffectiveLiquidationIncentive", "isForcedLiquidationEnabledForUser"})


def _token_answer(call: Call, symbol: str, decimals: int) -> Any:
    if call.interface.path == "erc20_bytes32":
        return NOTHING_THERE
    return {"symbol": symbol, "decimals": decimals}.get(call.function, NOTHING_THERE)
