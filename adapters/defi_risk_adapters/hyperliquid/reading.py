"""The rounds of one reading, and what they tell: whose mode, which dexs, which tokens.

Round 1 asks whether HyperCore knows the address, so that a stranger costs the service nothing; round 2 the account's mode, its main dex,
its spot balances and the summaries of all dexs; round 3 the positions of the main dex, the tokens, and the service about the other dexs
in which there is something; round 4 their positions, and prices of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from defi_risk.errors import AdapterError, AddressError, BadAnswer
from defi_risk.ids import Address, parse_address
from defi_risk.spi import Ask, Context, Failed, Steps, together
from defi_risk.units import plain
from defi_risk_adapters.hyperliquid import info, positions, tokens
from defi_risk_adapters.hyperliquid.idle import Apart
from defi_risk_adapters.hyperliquid.info import Meta, Reserve, Spot, question
from defi_risk_adapters.hyperliquid.positions import Dex, Listed, Unread
from defi_risk_adapters.hyperliquid.precompiles import core
from defi_risk_adapters.hyperliquid.tokens import HYPE, MAINNET, Token

PORTFOLIO: Final = "portfolioMargin"


class SilentError(AdapterError):
    """The info service did not answer what must be known."""


@dataclass(frozen=True, slots=True)
class State:
    """An account as it was read. `dexs` are those in which there is something, `unread` those of them that could not be read.

    `metas` are None where the service did not tell what the dexs list. `withdrawable` is of the main dex, in 1e-6 USDC.
    """

    mode: str
    spot: Spot
    dexs: tuple[Dex, ...]
    unread: tuple[Unread, ...]
    metas: tuple[Meta, ...] | None
    tokens: Mapping[int, Token]
    reserves: Mapping[int, Reserve]
    apart: Apart
    withdrawable: int | None
    notes: tuple[str, ...]

    @property
    def told(self) -> int:
        """When the service answered, in unix seconds: the oldest of its answers that say so."""
        return min(dex.state.time for dex in self.dexs) // 1_000

    @property
    def settling(self) -> frozenset[int]:
        """Tokens that dexs settle in."""
        return frozenset(meta.collateral for meta in self.metas or ()) | {tokens.USDC} | {dex.collateral for dex in self.dexs}


@dataclass(frozen=True, slots=True)
class _First:
    """What the second round tells."""

    mode: str
    main: Listed
    spot: Spot
    metas: tuple[Meta, ...] | None
    summaries: Sequence[Any]
    withdrawable: int | None
    staked: int
    vaults: tuple[Address, ...]
    notes: tuple[str, ...]


def read(at: Context, service: str, user: Address) -> Steps[State | None]:
    """All of it; None for an address that HyperCore does not know. Raises `SilentError`, and `BadAnswer` for what cannot be."""
    exists, listed = yield [core("coreUserExists", user), question(service, "perpDexs")]
    if not exists:
        return None
    names = info.dexs(_told(listed, "perpDexs"))
    first = yield from _first(service, user, names)
    busy = [number for number, summary in enumerate(first.summaries) if number and not isinstance(summary, Failed) and any(summary)]
    parts: list[Steps[Any]] = [
        positions.read(at, user, first.main),
        tokens.read(at, user, _wanted(at, first, busy)),
        _vaults(user, first.vaults),
        _reserves(service, first.mode),
        *(_other(at, service, user, number, names[number], first) for number in busy),
    ]
    main, found, (vaults, lost), reserves, *others = yield from together(parts)
    silent = [
        Unread(number, names[number], None, f"the chain does not tell the summary of the dex {names[number]}: {summary.reason}")
        for number, summary in enumerate(first.summaries)
        if isinstance(summary, Failed)
    ]
    return State(
        mode=first.mode,
        spot=first.spot,
        dexs=(main, *(one for one in others if isinstance(one, Dex))),
        unread=(*(one for one in others if isinstance(one, Unread)), *silent),
        metas=first.metas,
        tokens=found,
        reserves=reserves,
        apart=Apart(vaults, first.staked),
        withdrawable=first.withdrawable,
        notes=(*first.notes, *lost, *_strange(first.spot, found)),
    )


def _wanted(at: Context, first: _First, busy: Sequence[int]) -> set[int]:
    """Tokens to read: those that the account has, those that dexs in use settle in, and HYPE where it is staked."""
    wanted = {token for token, balance in first.spot.balances.items() if balance.total}
    if first.metas:
        wanted |= {first.metas[number].collateral for number in busy}
    return wanted | ({HYPE} if first.staked and at.chain.id == MAINNET else set())


def _first(service: str, user: Address, names: Sequence[str]) -> Steps[_First]:
    who = user.lower()
    asks: list[Ask] = [
        question(service, "userAbstraction", user=who),
        question(service, "clearinghouseState", user=who),
        question(service, "spotClearinghouseState", user=who),
        question(service, "metaAndAssetCtxs"),
        question(service, "allPerpMetas"),
        question(service, "userVaultEquities", user=who),
        core("withdrawable", user, optional=True),
        core("delegatorSummary", user, optional=True),
        *(core("accountMarginSummary", number, user, optional=number > 0) for number in range(len(names))),
    ]
    mode, state, spot, listing, metas, vaults, withdrawable, staking, *summaries = yield asks
    meta, funding = info.meta_and_funding(_told(listing, "metaAndAssetCtxs"), "")
    notes: list[str] = []
    return _First(
        mode=info.mode(_told(mode, "userAbstraction")),
        main=Listed(0, "", summaries[0], info.clearing(_told(state, "clearinghouseState"), ""), meta, funding),
        spot=info.spot(_told(spot, "spotClearinghouseState")),
        metas=_metas(metas, names, notes),
        summaries=summaries,
        withdrawable=None if isinstance(withdrawable, Failed) else withdrawable,
        staked=_staked(staking, notes),
        vaults=_addresses(vaults, notes),
        notes=tuple(notes),
    )


def _told(answer: Any, what: str) -> Any:
    """An answer without which nothing is known."""
    if isinstance(answer, Failed):
        raise SilentError(f"the info service does not tell {what}: {answer.reason}")
    return answer


def _metas(answer: Any, names: Sequence[str], notes: list[str]) -> tuple[Meta, ...] | None:
    """What all dexs list; None, with a note, where the service does not tell."""
    try:
        return info.metas(_told(answer, "allPerpMetas"), names)
    except (BadAnswer, SilentError) as error:
        notes.append(error.message)
        return None


def _staked(answer: Any, notes: list[str]) -> int:
    """HYPE in staking, in 1e-8: delegated, not yet delegated, and on its way out."""
    if isinstance(answer, Failed):
        notes.append(f"the chain does not tell what is staked: {answer.reason}")
        return 0
    return int(answer.delegated + answer.undelegated + answer.totalPendingWithdrawal)


def _addresses(answer: Any, notes: list[str]) -> tuple[Address, ...]:
    """The vaults that the service names."""
    try:
        return tuple(dict.fromkeys(map(parse_address, info.vaults(_told(answer, "userVaultEquities")))))
    except (BadAnswer, SilentError, AddressError) as error:
        notes.append(f"shares of vaults are left out: {error.message}")
        return ()


def _strange(spot: Spot, found: Mapping[int, Token]) -> list[str]:
    """Notes about balances of tokens of which the chain tells nothing."""
    missing = [one for number, one in spot.balances.items() if one.total and number not in found]
    return [f"the chain does not tell what token {one.token} ({one.coin}) is: {plain(one.total)} of it are left out" for one in missing]


def _vaults(user: Address, vaults: Sequence[Address]) -> Steps[tuple[int, list[str]]]:
    """What the shares of vaults are worth, in 1e-6 USDC."""
    answers: Sequence[Any] = (yield [core("userVaultEquity", user, vault, optional=True) for vault in vaults]) if vaults else ()
    lost = [f"the share of the vault {vault} is left out" for vault, one in zip(vaults, answers, strict=True) if isinstance(one, Failed)]
    return sum(one.equity for one in answers if not isinstance(one, Failed)), lost


def _reserves(service: str, mode: str) -> Steps[dict[int, Reserve]]:
    """What portfolio margin lends against, asked only for an account that uses it; nothing where the service does not tell."""
    if mode != PORTFOLIO:
        return {}
    [answer] = yield [question(service, "allBorrowLendReserveStates")]
    try:
        return info.reserves(_told(answer, "allBorrowLendReserveStates"))
    except (BadAnswer, SilentError):
        return {}


def _other(at: Context, service: str, user: Address, number: int, name: str, first: _First) -> Steps[Dex | Unread]:
    """A dex beside the main one."""
    collateral = first.metas[number].collateral if first.metas else None
    state, listing = yield [
        question(service, "clearinghouseState", user=user.lower(), dex=name),
        question(service, "metaAndAssetCtxs", dex=name),
    ]
    try:
        meta, funding = info.meta_and_funding(_told(listing, f"metaAndAssetCtxs {name}"), name)
        told = info.clearing(_told(state, f"clearinghouseState {name}"), name)
    except (BadAnswer, SilentError) as error:
        return Unread(number, name, collateral, error.message)
    return (yield from positions.read(at, user, Listed(number, name, first.summaries[number], told, meta, funding)))
