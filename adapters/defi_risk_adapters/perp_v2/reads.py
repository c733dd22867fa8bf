"""What is asked of Perpetual Protocol V2, in three rounds.

1. The clearing house names its contracts.
2. They tell what the account is in: base tokens, collateral tokens, balance, profit and fees; and the venue's ratios.
3. Every market and every collateral token of the account, with metadata; and the venue's own sums to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.errors import MissingPrice, OutOfRange
from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.model import Asset, Owner
from defi_risk.spi import Context, Failed, Interface, Steps, together
from defi_risk_adapters.perp_v2 import markets
from defi_risk_adapters.perp_v2.exact import DECIMALS, RATIO, Collateral, Terms
from defi_risk_adapters.perp_v2.markets import BALANCE, EXCHANGE, Answers, Places
from defi_risk_adapters.tokens import MOST_DECIMALS, metadata

HOUSE: Final = Interface("defi_risk_abis", "perp_v2/clearing_house")
VAULT: Final = Interface("defi_risk_abis", "perp_v2/vault")
CONFIG: Final = Interface("defi_risk_abis", "perp_v2/config")
MANAGER: Final = Interface("defi_risk_abis", "perp_v2/collateral_manager")
MOST: Final = 255  # markets, or collateral tokens, of one account: the venue counts them in 8 bits
COLLATERAL_TWAP: Final = 900  # Vault.sol, _COLLATERAL_TWAP_INTERVAL


@dataclass(frozen=True, slots=True)
class Contracts:
    """What the clearing house names. `value`: its account value, 1e18; `paused`: whether it is stopped."""

    vault: Address
    balance: Address
    exchange: Address
    orders: Address
    config: Address
    value: int | Failed
    paused: bool


@dataclass(frozen=True, slots=True)
class Stakes:
    """What round 2 tells. `pnl` fails where a market of the account has no price. Ratios are 1e6 (`penalty`: of a liquidation)."""

    bases: tuple[Address, ...]
    tokens: tuple[Address, ...]
    manager: Address
    settlement: Address
    decimals: int
    balance: int
    pnl: Any
    maintenance: int
    initial: int
    penalty: int
    most_funding: int
    twap: int

    @property
    def empty(self) -> bool:
        """Whether the account holds nothing and is owed nothing."""
        return not (self.bases or self.tokens or self.balance) and not (isinstance(self.pnl, Failed) or any(self.pnl))


@dataclass(frozen=True, slots=True)
class Held:
    """What round 3 tells. `assets` by address; `views`: the venue's own sums, by the names of `AccountExact.native`."""

    assets: Mapping[Address, Asset]
    markets: tuple[Answers, ...]
    collaterals: tuple[Collateral, ...]
    terms: Terms
    views: dict[str, int | bool]


def contracts(house: Address, owner: Owner) -> Steps[Contracts]:
    """Round 1. Raises `OutOfRange` where the clearing house lacks a contract."""
    vault, balance, exchange, orders, config, value, paused = yield [
        HOUSE(house, "getVault"),
        HOUSE(house, "getAccountBalance"),
        HOUSE(house, "getExchange"),
        HOUSE(house, "getOrderBook"),
        HOUSE(house, "getClearingHouseConfig"),
        HOUSE(house, "getAccountValue", owner.address, optional=True),
        HOUSE(house, "paused", optional=True),
    ]
    _require(ZERO_ADDRESS not in (vault, balance, exchange, orders, config), f"clearing house {house} lacks a contract")
    return Contracts(vault, balance, exchange, orders, config, value, not isinstance(paused, Failed) and paused)


def stakes(found: Contracts, owner: Owner) -> Steps[Stakes]:
    """Round 2. Raises `OutOfRange` for ratios and lists that cannot be."""
    who, vault, config = owner.address, found.vault, found.config
    bases, pnl, tokens, manager, settlement, decimals, balance, *ratios = yield [
        BALANCE(found.balance, "getBaseTokens", who),
        BALANCE(found.balance, "getPnlAndPendingFee", who, optional=True),
        VAULT(vault, "getCollateralTokens", who),
        VAULT(vault, "getCollateralManager"),
        VAULT(vault, "getSettlementToken"),
        VAULT(vault, "decimals"),
        VAULT(vault, "getBalance", who),
        CONFIG(config, "getMmRatio"),
        CONFIG(config, "getImRatio"),
        CONFIG(config, "getLiquidationPenaltyRatio"),
        CONFIG(config, "getMaxFundingRate"),
        CONFIG(config, "getTwapInterval"),
    ]
    _require(max(len(bases), len(tokens)) <= MOST, f"account {who} is in {len(bases)} markets and {len(tokens)} tokens")
    _require(len({*bases, *tokens}) == len(bases) + len(tokens), f"account {who} is in one market or token twice")
    _require(settlement not in tokens, f"vault {vault} counts its settlement token twice")
    _require(decimals <= DECIMALS, f"vault {vault} has {decimals} decimals")
    _require(0 < ratios[0] <= RATIO and max(ratios[1:3]) <= RATIO, f"configuration {config} has a ratio that cannot be")
    return Stakes(tuple(bases), tuple(tokens), manager, settlement, decimals, balance, pnl, *ratios)


def holdings(found: Contracts, stake: Stakes, owner: Owner, at: Context) -> Steps[Held]:
    """Round 3. Raises `Unsupported` for what is not modelled, `MissingPrice` where the venue has no price for collateral."""
    value = None if isinstance(found.value, Failed) else found.value
    places = Places(found.balance, found.exchange, found.orders, stake.twap, value)
    parts: list[Steps[Any]] = [
        metadata(at, [stake.settlement, *stake.tokens, *stake.bases]),
        _terms(stake, owner),
        _views(found, stake, owner),
        _collaterals(found, stake, owner),
        *(markets.ask(places, owner, base, at) for base in stake.bases),
    ]
    assets, terms, views, posted, *entered = yield from together(parts)
    _require(assets[stake.settlement].decimals == stake.decimals, f"vault {found.vault} counts {stake.settlement} in other decimals")
    collaterals = tuple(_collateral(token, assets[token], *row) for token, row in zip(stake.tokens, posted, strict=True))
    for each in entered:
        views |= each.views
    return Held(assets, tuple(entered), collaterals, terms, views)


def _terms(stake: Stakes, owner: Owner) -> Steps[Terms]:
    """The venue's ratios; the last three stand for nothing where it takes no collateral but the settlement token."""
    if stake.manager == ZERO_ADDRESS:
        return Terms(stake.decimals, stake.maintenance, stake.initial, 0, 0, 0)
    rules = yield [
        MANAGER(stake.manager, "getMmRatioBuffer"),
        MANAGER(stake.manager, "getDebtNonSettlementTokenValueRatio"),
        MANAGER(stake.manager, "getDebtThresholdByTrader", owner.address),
    ]
    return Terms(stake.decimals, stake.maintenance, stake.initial, *rules)


def _views(found: Contracts, stake: Stakes, owner: Owner) -> Steps[dict[str, int | bool]]:
    """The venue's own sums; what fails is not compared."""
    who, name = owner.address, "isLiquidatable"
    tokens = (stake.settlement, *stake.tokens)
    asks = [
        BALANCE(found.balance, "getMarginRequirementForLiquidation", who, optional=True),
        BALANCE(found.balance, "getTotalAbsPositionValue", who, optional=True),
        BALANCE(found.balance, "getTotalDebtValue", who, optional=True),
        EXCHANGE(found.exchange, "getAllPendingFundingPayment", who, optional=True),
        VAULT(found.vault, "getSettlementTokenValue", who, optional=True),
        VAULT(found.vault, "getFreeCollateral", who, optional=True),
        VAULT(found.vault, name, who, optional=True),
    ]
    free = "getFreeCollateralByToken"
    answers = yield [*asks, *(VAULT(found.vault, free, who, token, optional=True) for token in tokens)]
    said = {ask.function: answer for ask, answer in zip(asks, answers, strict=False)}
    said |= {f"{free}({token})": answer for token, answer in zip(tokens, answers[len(asks) :], strict=True)}
    said |= {"getAccountValue": found.value, f"Vault.{name}": said.pop(name)}
    return {name: answer for name, answer in said.items() if not isinstance(answer, Failed)}


def _collaterals(found: Contracts, stake: Stakes, owner: Owner) -> Steps[list[Sequence[Any]]]:
    """Balance, terms, price and the price's decimals of each token."""
    answers = yield [
        call
        for token in stake.tokens
        for call in (
            VAULT(found.vault, "getBalanceByToken", owner.address, token),
            MANAGER(stake.manager, "getCollateralConfig", token),
            MANAGER(stake.manager, "getPrice", token, COLLATERAL_TWAP, optional=True),
            MANAGER(stake.manager, "getPriceFeedDecimals", token, optional=True),
        )
    ]
    return [answers[start : start + 4] for start in range(0, len(answers), 4)]


def _collateral(token: Address, asset: Asset, balance: int, config: Any, price: int | Failed, decimals: int | Failed) -> Collateral:
    name = f"{asset.symbol} ({token})"
    if isinstance(price, Failed):
        raise MissingPrice(f"the venue has no price for {name}: {price.reason}")
    if isinstance(decimals, Failed):
        raise MissingPrice(f"the venue has no price for {name}, its decimals cannot be read: {decimals.reason}")
    if price <= 0:
        raise MissingPrice(f"the venue prices {name} at {price}")
    _require(balance >= 0, f"a balance of {token} is {balance}")
    _require(config.collateralRatio <= RATIO, f"collateral {token} counts for more than it is worth")
    _require(decimals <= MOST_DECIMALS, f"the price of {token} has {decimals} decimals")
    return Collateral(token, asset, balance, config.collateralRatio, price, decimals)


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise OutOfRange(fault)
