"""Snapshots of made-up books, by the same path as a scan's: figures, flags, build."""

from __future__ import annotations

from collections.abc import Sequence

from defi_risk import flags, health, snapshot
from defi_risk.ids import ChainId, checksum
from defi_risk.model import Account, Anchor, Asset, Chain, SelfCheck, SourceReport
from defi_risk.snapshot import Snapshot
from tests.accounts import ETH, SETTINGS, USDC, collateral, debt, loan, margin, perp, position

TIME = 1_734_163_211  # 2024-12-14 08:00:11 UTC
CHAIN = Chain(ChainId(1), "ethereum")
ANCHOR = Anchor(CHAIN, 21_400_000, "0x" + "ab" * 32, TIME - 12)
READ = SourceReport(id="ethereum", anchor=ANCHOR, calls=41, round_trips=4, seconds=0.51234, notes=("clock skew 3 s",))
BROKEN = SourceReport(id="arbitrum", status="failed", error="http://127.0.0.1:1 refused the connection")
WALLET = checksum("71c7656ec7ab88b098defb751b7401b5f6d8976f")


def picture(accounts: Sequence[Account], sources: Sequence[SourceReport] = (READ,), name: str = "desk") -> Snapshot:
    """The snapshot of a book."""
    partial = any(source.status == "failed" for source in sources)
    drawn = health.draw(accounts, SETTINGS, partial=partial, asked=health.Asked())
    raised = flags.run(accounts, drawn.figures, sources, SETTINGS, assessed=drawn.assessed)
    return snapshot.build(name, accounts, drawn.figures, raised, sources, TIME)


def hedge() -> list[Account]:
    """A loan against ETH and the short that hedges it: case A of the unified health model."""
    return [
        loan(
            collateral(ETH, 10, 3000, "0.83", initial="0.8"),
            debt(USDC, 12_000),
            venue="Aave V3",
            owner=WALLET,
            chain="ethereum",
            native={"healthFactor": 2075 * 10**15, "isolated": False},
            self_check=SelfCheck({"healthFactor": 2075 * 10**15, "isolated": False}, True),
        ),
        perp(margin(USDC, 12_000), position(ETH, -10, 3000), venue="Hyperliquid", owner=WALLET, chain="ethereum"),
    ]


def unknown(reason: str = "execution reverted: nothing here", name: str = "lost") -> Account:
    """An account that could not be read."""
    return loan(name=name, venue="Compound V2", owner=WALLET, chain="ethereum", status="unknown", reason=reason)


def named(symbol: str) -> Asset:
    """A token that calls itself that."""
    return Asset(collateral(ETH, 1).asset.id, symbol, 18)
