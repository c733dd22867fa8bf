"""Margin accounts, who holds them and how they are liquidated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from defi_risk.ids import AccountId, Address, AssetId
from defi_risk.model.legs import ONE, Leg
from defi_risk.model.verdict import Exact, Native, SelfCheck

TRANSFER: Final = "Transfer(address,address,uint256)"


class Side(StrEnum):
    """Which kind of liquidation engine judges an account."""

    LENDING = "lending"
    DERIVATIVES = "derivatives"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationRule:
    """What the venue's liquidation does to an account, for the cascade.

    `kind`: "repay" (a liquidator repays up to a share of one debt and takes collateral with a bonus), "absorb" (the venue takes
    the whole account), "close" (positions are closed). `close_factor` is the share of one debt repayable in one call (`of_whole`: of
    one debt up to this share of all debts together; "close": the share of every position that one step closes); all of it when the
    health is at or below `full_below`, or when the collateral or debt in question ("close": all positions together) is worth less than
    `full_under_usd`. What a call leaves of both must be worth `dust_usd` each, or nothing. `remainder`: "refunded" or "lost" after a
    close.
    """

    kind: Literal["repay", "absorb", "close"]
    close_factor: Decimal = ONE
    of_whole: bool = False
    full_below: Decimal | None = None
    full_under_usd: Decimal | None = None
    dust_usd: Decimal | None = None
    remainder: Literal["refunded", "lost"] = "refunded"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds an account: a wallet address, with the name it was asked by (`vitalik.eth`) where there was one."""

    address: Address
    name: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """A contract that logs `event`, whose first indexed address is an account's owner, in the transactions that are the account's own.

    For the event `TRANSFER` it is units minted to the owner: a debt token.
    """

    contract: Address
    event: str = TRANSFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """Where an account's venue takes in and pays out one ERC-20 token, so that the token's transfers can be followed.

    `holder` is the address that they go to and come from; the zero address where the venue burns and mints. Where there are `proofs`, a
    transfer is the account's only if one of them stands in the same transaction. Where there is a `receipt`, the token that stands for
    what is supplied, a transfer in whose transaction some of it is given up is a withdrawal and not a loan. Accounts of one
    owner that share a purse at the venue have the same custody.
    """

    asset: AssetId
    holder: Address
    proofs: tuple[Proof, ...] = ()
    receipt: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One margin account as it was read.

    `liquidatable` is the venue's verdict at the anchor (None: unknown, or left to the model for accounts without `exact`).
    `strict` True: dead only below the line; False: dead on it. `blocked` says why a liquidation would be refused at present though
    the account is below its line (a pause, a grace period), empty where nothing stands in the way. `owner_name` is the name that the
    owner was asked by, where there was one; the engine fills it in. `line` is the ratio of C to the maintenance margin at which the venue
    liquidates (1.05 of a Binance portfolio margin account): R is the maintenance margin times it. `assumptions` say, a sentence each, where
    a figure of the account rests on something else than what the venue said about it now (a bundled table, a rule held constant). `custody`
    is of the tokens that a loan owes, or that margin may consist of. `stated` are an exchange's figures as we compute them, as decimal
    text.
    """

    id: AccountId
    owner: str
    owner_name: str = ""
    side: Side
    venue: str
    market: str
    chain: str | None = None
    mode: str = "cross"
    legs: tuple[Leg, ...] = ()
    exact: Exact | None = None
    native: Mapping[str, int | bool] = field(default_factory=dict)
    stated: Mapping[str, str] = field(default_factory=dict)
    self_check: SelfCheck | None = None
    liquidatable: bool | None = None
    strict: bool = True
    blocked: str = ""
    rule: LiquidationRule = LiquidationRule(kind="repay")
    source: str = ""
    status: str = "ok"
    reason: str = ""
    custody: tuple[Custody, ...] = ()
    line: Decimal = ONE
    assumptions: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the account was read whole."""
        return self.status == "ok"

    @property
    def numbers(self) -> dict[str, Native]:
        """The venue's own numbers as we compute them: a contract's integers, an exchange's decimals."""
        return {**self.native, **self.stated}
