"""The four rounds of a reading: roots, the owner's standing and the list, the reserves, balances and the age of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.errors import CallReverted, OutOfRange, Unsupported
from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.model import Owner
from defi_risk.spi import Ask, Context, Failed, Interface, Market, Reading, Steps, together
from defi_risk_adapters.aave_v3.account import FIELDS
from defi_risk_adapters.aave_v3.assembly import Findings, assemble
from defi_risk_adapters.aave_v3.balances import Balance, balances
from defi_risk_adapters.aave_v3.emode import Category, category_asks, category_of
from defi_risk_adapters.aave_v3.liquidation import Sentinel
from defi_risk_adapters.aave_v3.reserves import MOST_RESERVES, ORACLE, POOL, Listing, listings, reserve_asks
from defi_risk_adapters.aave_v3.versions import Version, version_of
from defi_risk_adapters.oracles import Update, updates
from defi_risk_adapters.tokens import ERC20, symbols

PROVIDER: Final = Interface("defi_risk_abis", "aave_v3/addresses_provider")
SENTINEL: Final = Interface("defi_risk_abis", "aave_v3/sentinel")
MOST_CATEGORIES: Final = 255


@dataclass(frozen=True, slots=True)
class Roots:
    """The contracts that a market's addresses provider names; `sentinel` is `Failed` where it names none."""

    provider: Address
    pool: Address
    oracle: Address
    sentinel: Address | Failed

    @property
    def sentinel_there(self) -> bool:
        """Whether there is a sentinel to ask."""
        return not isinstance(self.sentinel, Failed) and self.sentinel != ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class Standing:
    """What the pool says of the owner and of itself, before any reserve."""

    version: Version
    tokens: tuple[Address, ...]
    user_map: int
    category: int
    protocol: Mapping[str, int | bool]
    unit: int
    sentinel: Sentinel


def read(owner: Owner, market: Market, at: Context, venue: str) -> Reading:
    """Read one owner's account in one market; empty where there are no balances."""
    roots = yield from _roots(market["pool_addresses_provider"])
    standing = yield from _standing(owner.address, roots)
    reserves, category = yield from _reserves(roots, standing)
    found = yield from _holdings(owner.address, roots, standing, reserves, category, at)
    account = assemble(found, owner, market, at, venue)
    return [account] if account else []


def _roots(provider: Address) -> Steps[Roots]:
    pool, oracle, sentinel = yield [
        PROVIDER(provider, "getPool"),
        PROVIDER(provider, "getPriceOracle"),
        PROVIDER(provider, "getPriceOracleSentinel", optional=True),
    ]
    if ZERO_ADDRESS in (pool, oracle):
        raise Unsupported(f"{provider} names no pool or no price oracle", hint="is it the PoolAddressesProvider of an Aave V3 market?")
    return Roots(provider, pool, oracle, sentinel)


def _standing(owner: Address, roots: Roots) -> Steps[Standing]:
    asks: list[Ask] = [
        POOL(roots.pool, "POOL_REVISION"),
        POOL(roots.pool, "getReservesList"),
        POOL(roots.pool, "getUserConfiguration", owner),
        POOL(roots.pool, "getUserEMode", owner),
        POOL(roots.pool, "getUserAccountData", owner),
        ORACLE(roots.oracle, "BASE_CURRENCY"),
        ORACLE(roots.oracle, "BASE_CURRENCY_UNIT"),
    ]
    if not isinstance(roots.sentinel, Failed) and roots.sentinel_there:
        asks.append(SENTINEL(roots.sentinel, "isLiquidationAllowed", optional=True))
    revision, tokens, user_map, category, protocol, base, unit, *allowed = yield asks
    version = version_of(revision)
    if len(tokens) > MOST_RESERVES or len(set(tokens)) != len(tokens):
        raise OutOfRange(f"the pool lists {len(tokens)} reserves, {len(set(tokens))} of them distinct", hint=f"{MOST_RESERVES} can be")
    if category > MOST_CATEGORIES:
        raise OutOfRange(f"the owner's eMode category is {category}", hint=f"there are at most {MOST_CATEGORIES}")
    _check_base(base, unit)
    return Standing(
        version=version,
        tokens=tokens,
        user_map=user_map.data,
        category=category,
        protocol={name: getattr(protocol, name) for name in FIELDS},
        unit=unit,
        sentinel=_sentinel(version, roots, allowed),
    )


def _check_base(base: Address, unit: int) -> None:
    """Every V3 market counts in dollars; another base currency would need a price of its own."""
    if base != ZERO_ADDRESS:
        raise Unsupported(f"the market's base currency is the token {base}", hint="only markets that count in US dollars are modelled")
    if str(unit).strip("0") != "1" or unit > 10**36:
        raise OutOfRange(f"one dollar is {unit} units of the oracle", hint="a power of ten is expected, 100000000 in Aave's markets")


def _sentinel(version: Version, roots: Roots, allowed: Sequence[bool | Failed]) -> Sentinel:
    """Up to 3.6 the pool reads the sentinel's address on every liquidation: a provider that does not tell it is unlike the pool's."""
    if not version.sentinel:
        return Sentinel(present=False)
    if isinstance(roots.sentinel, Failed):
        raise CallReverted(f"{roots.provider} does not tell its price oracle sentinel: {roots.sentinel.reason}")
    answer = allowed[0] if allowed else None
    return Sentinel(roots.sentinel_there, None if isinstance(answer, Failed) else answer)


def _reserves(roots: Roots, standing: Standing) -> Steps[tuple[tuple[Listing, ...], Category | None]]:
    asks = reserve_asks(roots.pool, roots.oracle, standing.version, standing.tokens)
    answers = yield [*asks, *category_asks(roots.pool, standing.version, standing.category)]
    found = listings(standing.version, standing.tokens, answers[: len(asks)])
    return found, category_of(standing.version, standing.category, answers[len(asks) :])


def _holdings(
    owner: Address, roots: Roots, standing: Standing, reserves: tuple[Listing, ...], category: Category | None, at: Context
) -> Steps[Findings]:
    sources = [listing.source for listing in reserves if not isinstance(listing.source, Failed) and listing.source != ZERO_ADDRESS]
    parts: list[Steps[Any]] = [
        balances(owner, standing.version, reserves, standing.user_map),
        symbols(standing.tokens),
        updates(at, sources),
        _cash(standing.version, reserves),
        _category_price(roots.oracle, category),
    ]
    held: list[Balance]
    names: dict[Address, str]
    ages: dict[Address, Update]
    cash: list[int | Failed]
    category_price: tuple[int, str] | None
    held, names, ages, cash, category_price = yield from together(parts)
    return Findings(
        version=standing.version,
        user_map=standing.user_map,
        protocol=standing.protocol,
        unit=standing.unit,
        sentinel=standing.sentinel,
        category=category,
        category_price=category_price,
        reserves=reserves,
        balances=held,
        symbols=names,
        updates=ages,
        cash=cash,
    )


def _cash(version: Version, reserves: Sequence[Listing]) -> Steps[list[int | Failed]]:
    """The underlying that each reserve can pay out: the pool's own count, or up to 3.0 what lies in the aToken.

    A reserve outside of virtual accounting (GHO up to 3.3) is minted on demand; what it could pay is not the pool's to say.
    """
    if version.virtual_balance:
        yield []
        return [listing.cash for listing in reserves]
    answers = yield [ERC20(listing.token, "balanceOf", listing.a_token, optional=True) for listing in reserves]
    return list(answers)


def _category_price(oracle: Address, category: Category | None) -> Steps[tuple[int, str] | None]:
    """Price and oracle source that an eMode category of 3.0 or 3.1 puts in place of those of its reserves.

    Raises `OutOfRange` for a price of 0: the pool would fall back to each reserve's own price then, a state that no oracle is in.
    """
    if category is None or not category.price_source:
        yield []
        return None
    where = Address(category.price_source)
    price, source = yield [ORACLE(oracle, "getAssetPrice", where), ORACLE(oracle, "getSourceOfAsset", where, optional=True)]
    if price == 0:
        raise OutOfRange(f"the oracle prices eMode category {category.id} at 0")
    return price, "" if isinstance(source, Failed) or source == ZERO_ADDRESS else source
