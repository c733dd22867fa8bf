"""What is asked of Synthetix PerpsV2, in four rounds:

1. the manager: its markets, and the registry of the venue's contracts;
2. the owner's position in every market, and the contracts that hold settings, suspensions and rates;
3. every market in which the owner has something, and the settings common to all;
4. those markets' own settings, the newest entry of their funding, and how old their price is.

What belongs to one market is optional: its failure makes that margin account unknown, and no other one. Contracts: FuturesMarketManager,
AddressResolver, PerpsV2MarketViews behind each market's proxy, PerpsV2MarketSettings, SystemStatus, ExchangeRates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.errors import CallReverted, OutOfRange
from defi_risk.ids import ZERO_ADDRESS, Address
from defi_risk.model import Asset, Owner
from defi_risk.spi import Ask, Context, Failed, Interface, Steps, together
from defi_risk_adapters.synthetix_perps_v2.exact import MILLI, Rules
from defi_risk_adapters.synthetix_perps_v2.legs import DECIMALS
from defi_risk_adapters.tokens import metadata

MANAGER: Final = Interface("defi_risk_abis", "synthetix_perps_v2/manager")
RESOLVER: Final = Interface("defi_risk_abis", "synthetix_perps_v2/resolver")
MARKET: Final = Interface("defi_risk_abis", "synthetix_perps_v2/market")
SETTINGS: Final = Interface("defi_risk_abis", "synthetix_perps_v2/settings")
STATUS: Final = Interface("defi_risk_abis", "synthetix_perps_v2/status")
RATES: Final = Interface("defi_risk_abis", "synthetix_perps_v2/rates")
SYNTH: Final = Interface("defi_risk_abis", "synthetix_perps_v2/synth")

MOST_MARKETS: Final = 512
VERDICT: Final = (
    "notionalValue",
    "profitLoss",
    "accruedFunding",
    "remainingMargin",
    "accessibleMargin",
    "liquidationPrice",
    "canLiquidate",
    "liquidationFee",
)
"""The venue's own figures of a position."""
FUNDING_START: Final = "fundingSequence of the position"
FUNDING_NOW: Final = "fundingSequence"
_OF_MARKET: Final = (
    "marketKey",
    "baseAsset",
    "assetPrice",
    "marketSkew",
    "fundingLastRecomputed",
    "fundingRateLastRecomputed",
    "fundingSequenceLength",
    "currentFundingRate",
)
_OF_OWNER: Final = ("delayedOrders", "isFlagged", *VERDICT)
_NEEDED: Final = ("marketKey", "baseAsset", "fundingSequenceLength")
_CONTRACTS: Final = ("PerpsV2MarketSettings", "SystemStatus", "ExchangeRates", "SynthsUSD")
_COMMON: Final = ("liquidationFeeRatio", "minKeeperFee", "maxKeeperFee", "keeperLiquidationFee", "minInitialMargin")
_OWN: Final = ("skewScale", "liquidationPremiumMultiplier", "liquidationBufferRatio", "maxLeverage", "maxFundingVelocity")
_TEXT: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")


@dataclass(frozen=True, slots=True)
class Contracts:
    """Where the venue keeps what concerns all markets; `synth` is the implementation behind sUSD."""

    settings: Address
    status: Address
    rates: Address
    synth: Address


@dataclass(frozen=True, slots=True)
class Common:
    """What holds for every market: the margin coin, settings by name, and why nobody can be liquidated at present."""

    coin: Asset
    settings: Mapping[str, int]
    blocked: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One market in which the owner has something: answers by name, `Failed` in place of those that could not be read."""

    market: Address
    answers: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """An answer. Raises `CallReverted` for one that failed, or was not asked since another one failed."""
        if name not in self.answers:
            name = next(other for other, each in self.answers.items() if isinstance(each, Failed))
        answer = self.answers[name]
        if isinstance(answer, Failed):
            raise CallReverted(f"{name} of the market {self.market} cannot be read: {answer.reason}")
        return answer

    def get(self, name: str) -> Any:
        """An answer, None where it failed or was not asked."""
        answer = self.answers.get(name)
        return None if isinstance(answer, Failed) else answer

    @property
    def empty(self) -> bool:
        """Whether there is nothing of the owner in this market."""
        position = self.answers["positions"]
        return not isinstance(position, Failed) and not position.margin and not position.size

    def name(self, which: str) -> str:
        """A bytes32 that is a name. Raises `CallReverted`, and `OutOfRange` for one that is not plain text."""
        word: bytes = self[which]
        text = word.rstrip(b"\0").decode("ascii", "replace")
        if not text or not _TEXT.issuperset(text):
            raise OutOfRange(f"{which} of the market {self.market} is 0x{word.hex()}, which is no name")
        return text

    def verdict(self) -> dict[str, int | bool]:
        """The venue's own figures, those that could be read, under their names."""
        found = {name: answer for name in VERDICT if (answer := self.get(name)) is not None}
        figures: dict[str, int | bool] = {name: answer[0] if isinstance(answer, tuple) else answer for name, answer in found.items()}
        return figures | {"currentFundingRate": self["currentFundingRate"], "sizeDelta": self["delayedOrders"].sizeDelta}

    def rules(self, common: Common) -> Rules:
        """The settings. Raises `OutOfRange` for those under which no position can be judged."""
        own = {name: int(self[name]) for name in _OWN}
        if own["skewScale"] <= 0 or own["maxLeverage"] <= MILLI:
            raise OutOfRange(f"the market {self.market} has a skew scale of {own['skewScale']} and a leverage of {own['maxLeverage']}")
        return Rules(*own.values(), *common.settings.values())


def stakes(manager: Address, owner: Owner) -> Steps[tuple[Contracts, list[Seen]]]:
    """Rounds 1 and 2: the venue's contracts, and the markets in which the owner has something, or may have."""
    markets, resolver = yield [MANAGER(manager, "allMarkets", True), MANAGER(manager, "resolver")]
    if len(markets) > MOST_MARKETS:
        raise OutOfRange(f"{manager} lists {len(markets)} markets", hint=f"at most {MOST_MARKETS} are possible")
    asks: list[Ask] = [RESOLVER(resolver, "getAddress", name.encode().ljust(32, b"\0")) for name in _CONTRACTS]
    found = yield asks + [MARKET(market, "positions", owner.address, optional=True) for market in markets]
    contracts, positions = found[: len(_CONTRACTS)], found[len(_CONTRACTS) :]
    if ZERO_ADDRESS in contracts:
        raise OutOfRange(f"the registry {resolver} does not know {_CONTRACTS[contracts.index(ZERO_ADDRESS)]}")
    seen = [Seen(market, {"positions": position}) for market, position in zip(markets, positions, strict=True)]
    return Contracts(*contracts), [each for each in seen if not each.empty]


def books(contracts: Contracts, held: Sequence[Seen], owner: Owner, at: Context) -> Steps[tuple[Common, list[Seen]]]:
    """Rounds 3 and 4: what is common to all markets, and those in `held` whole."""
    parts: list[Steps[Any]] = [_common(contracts, at), *(_whole(contracts, each, owner) for each in held)]
    common, *seen = yield from together(parts)
    return common, seen


def _common(contracts: Contracts, at: Context) -> Steps[Common]:
    proxy, exchange, futures, *settings = yield [
        SYNTH(contracts.synth, "proxy"),
        STATUS(contracts.status, "exchangeSuspension"),
        STATUS(contracts.status, "futuresSuspension"),
        *(SETTINGS(contracts.settings, name) for name in _COMMON),
    ]
    coin = (yield from metadata(at, [proxy]))[proxy]
    if coin.decimals != DECIMALS:
        raise OutOfRange(f"the margin coin {proxy} has {coin.decimals} decimals, not {DECIMALS}")
    blocked = "exchanging is suspended" if exchange.suspended else "the perps markets are suspended" if futures.suspended else ""
    return Common(coin, dict(zip(_COMMON, settings, strict=True)), blocked)


def _whole(contracts: Contracts, seen: Seen, owner: Owner) -> Steps[Seen]:
    """Everything of one market, in two rounds; what needs an answer that failed is not asked."""
    market, answers = seen.market, dict(seen.answers)
    if isinstance(answers["positions"], Failed):
        return seen
    found = yield [
        *(MARKET(market, name, optional=True) for name in _OF_MARKET),
        *(MARKET(market, name, owner.address, optional=True) for name in _OF_OWNER),
        MARKET(market, "fundingSequence", answers["positions"].lastFundingIndex, optional=True),
    ]
    answers |= zip((*_OF_MARKET, *_OF_OWNER, FUNDING_START), found, strict=True)
    if answers["fundingSequenceLength"] == 0:
        answers["fundingSequenceLength"] = Failed("it is 0")
    if any(isinstance(answers[name], Failed) for name in _NEEDED):
        return Seen(market, answers)
    key, asset, length = (answers[name] for name in _NEEDED)
    found = yield [
        *(SETTINGS(contracts.settings, name, key, optional=True) for name in _OWN),
        MARKET(market, "fundingSequence", length - 1, optional=True),
        STATUS(contracts.status, "futuresMarketSuspension", key, optional=True),
        RATES(contracts.rates, "rateAndUpdatedTime", asset, optional=True),
    ]
    answers |= zip((*_OWN, FUNDING_NOW, "futuresMarketSuspension", "rateAndUpdatedTime"), found, strict=True)
    return Seen(market, answers)
