"""Hyperliquid: perpetuals of HyperCore, read from HyperEVM's precompiles and the venue's info service.

How margin is shared is the mode of the account, and only the service tells it: without its answer nothing is known.

- `default` (never chosen) and `disabled`: standard. Each dex is one account of cross margin, apart from the spot balances.
- `unifiedAccount`: one account for each token that dexs settle in. It has the token's spot balance with all profit, less what isolated
  positions have.
- `portfolioMargin`: one account over all dexs, with spot tokens as collateral (`portfolio`).
- `dexAbstraction`, which the venue has discontinued, and every other mode are refused.

An isolated position is an account in every mode. A sub-account is an address of its own: name it as a wallet. HYPE on HyperEVM is the
wallet's. `perps.toml` knows the factors of the main dex's coins and of tokens; a coin of another dex follows a factor of its own, for
its deployer decides what it is.

The service is not pinned to the anchor's block. Sizes and prices are the chain's; where the two differ in a position the account that
it is in is unknown. Nodes that keep no history serve HyperCore's state of their latest block only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from defi_risk.errors import Unsupported
from defi_risk.model import Account, Owner, Side, SourceReport
from defi_risk.settings import need_url
from defi_risk.spi import Context, Market, Reading
from defi_risk.units import Quantity
from defi_risk_adapters.hyperliquid import accounts, idle, pools, reading
from defi_risk_adapters.hyperliquid.accounts import Place
from defi_risk_adapters.hyperliquid.info import SERVICE
from defi_risk_adapters.hyperliquid.reading import PORTFOLIO, SilentError, State
from defi_risk_adapters.hyperliquid.tokens import HYPE, USDC, Token

STANDARD: Final = ("default", "disabled")
UNIFIED: Final = "unifiedAccount"
LATE: Final = 60
"""Seconds between the service's time and the block's from which its answers count as stale."""


class Hyperliquid:
    """Reads one address of HyperCore. A market has no root; `api` is the URL of another info service than the venue's own."""

    name: ClassVar[str] = "hyperliquid"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Hyperliquid"
    roots: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[tuple[str, ...]] = ("api",)
    services: ClassVar[Mapping[str, str]] = {"api": SERVICE}
    side: ClassVar[Side] = Side.DERIVATIVES

    def check(self, given: Mapping[str, str]) -> None:
        """`api` is a URL."""
        need_url(given, "api")

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        """Read what one owner has; four rounds."""
        place = Place(owner, market, at, self.venue)
        try:
            state = yield from reading.read(at, market.get("api") or SERVICE, owner.address)
        except SilentError as error:
            report = SourceReport(id=self.name, kind="exchange", status="failed", error=error.message)
            return [place.unknown("", "unknown", error.message), report]
        if state is None:
            return []
        _refuse(state)
        found, notes = _accounts(place, state)
        return [*found, _report(state, at, (*state.notes, *notes))]


def _refuse(state: State) -> None:
    """Raise `Unsupported` for a mode that is not known, and where the balances are stated as another mode states them."""
    if state.mode not in (*STANDARD, UNIFIED, PORTFOLIO):
        raise Unsupported(f"the account mode {state.mode!r}", hint=f"known are {', '.join((*STANDARD, UNIFIED, PORTFOLIO))}")
    if state.spot.pooled != (state.mode not in STANDARD) or state.spot.portfolio != (state.mode == PORTFOLIO):
        raise Unsupported(f"the account mode is {state.mode!r}, and the balances are stated as another mode's")


def _accounts(place: Place, state: State) -> tuple[list[Account], list[str]]:
    """Accounts by mode, what backs nothing, and notes."""
    found = accounts.isolated(place, state.dexs, state.tokens)
    left, aside = list(state.tokens.values()), list[tuple[Token, Quantity]]()
    if state.mode in STANDARD:
        found += accounts.standard(place, state.dexs, state.tokens, state.withdrawable)
        found += accounts.unread(place, state.unread)
        aside = accounts.aside(state.dexs, state.tokens)
    elif state.mode == UNIFIED:
        found += pools.unified(place, state)
        left = [token for token in left if token.number not in state.settling]
    else:
        found.append(pools.under_portfolio(place, state))
        left = pools.split(state)[1]
    rest, notes = idle.account(place, left, state.tokens[USDC], state.tokens.get(HYPE), state.apart, aside)
    return found + rest, notes


def _report(state: State, at: Context, notes: tuple[str, ...]) -> SourceReport:
    """How the service answered: its time, and what was left out."""
    told = state.told
    outcomes = (f"{state.spot.outcomes} positions in outcome markets are left out",) if state.spot.outcomes else ()
    late = abs(at.timestamp - told) > LATE
    apart = f"its answers are {abs(at.timestamp - told)} s {'older' if told < at.timestamp else 'newer'} than the block"
    return SourceReport(
        id=Hyperliquid.name,
        kind="exchange",
        status="stale" if late else "ok",
        error=apart if late else "",
        notes=(*notes, *outcomes),
        as_of=told,
    )
