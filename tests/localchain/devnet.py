"""A chain to play with: markets, wallets with positions, and a book that reads them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from eth_utils.address import to_checksum_address

from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.comet.deployment import deploy_comet_usdc, deploy_comet_weth
from tests.localchain.comet.market import CometMarket
from tests.localchain.devnet_book import book_text
from tests.localchain.joint import hedge, listed, perps_beside, stack
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import Case, person
from tests.localchain.process import SetupError, say
from tests.localchain.states import AnyMarket
from tests.localchain.synthetix.deployment import COIN
from tests.localchain.synthetix.market import SynthetixMarket
from tests.localchain.venus.deployment import deploy_venus
from tests.localchain.venus.market import VenusMarket

LOOK_SECONDS: Final = 0.5
COINS: Final = 5 * 10**18
"""What every wallet has of the chain's own coin before it acts, in wei."""


@dataclass(frozen=True, slots=True)
class Devnet:
    """The running chain, its markets, its tokens and its named wallets."""

    anvil: Anvil
    assets: Assets
    aave: AaveMarket
    comet_usdc: CometMarket
    comet_weth: CometMarket
    venus: VenusMarket
    perps: SynthetixMarket
    multicall3: str
    wallets: tuple[Case, ...]

    @property
    def markets(self) -> tuple[AnyMarket, ...]:
        """All markets."""
        return (self.aave, self.comet_usdc, self.comet_weth, self.venus, self.perps)


def build(anvil: Anvil) -> Devnet:
    """Deploy the markets on shared tokens and let the wallets act. The wallets are the node's own accounts, whose keys it knows."""
    assets = Assets(anvil)
    accounts = [to_checksum_address(address) for address in anvil.rpc("eth_accounts")]
    aave = deploy_aave36(anvil, assets, listed(anvil, assets))
    devnet = Devnet(
        anvil=anvil,
        assets=assets,
        aave=aave,
        comet_usdc=deploy_comet_usdc(anvil, assets),
        comet_weth=deploy_comet_weth(anvil, assets),
        venus=deploy_venus(anvil, assets),
        perps=perps_beside(aave, assets),
        multicall3=put_multicall3(anvil),
        wallets=tuple(Case(name, address) for name, address in zip(STORIES, accounts, strict=False)),
    )
    _lend(devnet)
    for wallet in devnet.wallets:
        anvil.set_balance(wallet.address, COINS)
        STORIES[wallet.label](devnet, wallet.address)
    return devnet


def _lend(devnet: Devnet) -> None:
    """Liquidity for everybody, from somebody outside the book."""
    lender = person("lender")
    for symbol, amount in {"WETH": 5_000, "wstETH": 2_000, "WBTC": 200, "USDC": 20_000_000, "DAI": 10_000_000}.items():
        devnet.aave.supply(lender, symbol, amount)
        devnet.venus.supply(lender, symbol, amount)
    devnet.aave.supply(lender, COIN, 5_000_000)
    devnet.venus.supply(lender, "COIN", 2_000)
    devnet.comet_usdc.supply(lender, "USDC", 10_000_000)
    devnet.comet_weth.supply(lender, "WETH", 4_000)


def _alice(devnet: Devnet, who: str) -> None:
    """One collateral, one debt."""
    devnet.aave.supply(who, "WETH", 10)
    devnet.aave.borrow(who, "USDC", 14_000)
    devnet.assets.token("USDC").mint(who, "2500.50")


def _bob(devnet: Devnet, who: str) -> None:
    """A staking loop in eMode."""
    devnet.aave.set_emode(who, 1)
    devnet.aave.supply(who, "wstETH", 40)
    devnet.aave.borrow(who, "WETH", 43)


def _carol(devnet: Devnet, who: str) -> None:
    """Several collaterals and debts, in two venues."""
    devnet.aave.supply(who, "WBTC", "0.75")
    devnet.aave.supply(who, "WETH", 4)
    devnet.aave.borrow(who, "USDC", 18_000)
    devnet.aave.borrow(who, "DAI", 9_000)
    devnet.comet_usdc.supply(who, "WETH", 6)
    devnet.comet_usdc.borrow(who, 9_500)


def _dave(devnet: Devnet, who: str) -> None:
    """Both Comet doubles: a dollar loan and an ether loan."""
    devnet.comet_usdc.supply(who, "wstETH", 12)
    devnet.comet_usdc.supply(who, "WBTC", "0.2")
    devnet.comet_usdc.borrow(who, 31_000)
    devnet.comet_weth.supply(who, "wstETH", 25)
    devnet.comet_weth.borrow(who, 24)


def _erin(devnet: Devnet, who: str) -> None:
    """Compound V2 style: two collaterals, a debt in the chain's own coin, and VAI."""
    devnet.venus.supply(who, "WETH", 9)
    devnet.venus.supply(who, "WBTC", "0.3")
    devnet.venus.borrow(who, "DAI", 11_000)
    devnet.venus.borrow(who, "COIN", 2)
    devnet.venus.mint_vai(who, 3_000)


def _frank(devnet: Devnet, who: str) -> None:
    """Long in one venue, short in another: prices hurt on both sides."""
    devnet.aave.supply(who, "USDC", 40_000)
    devnet.aave.borrow(who, "WETH", "11.5")
    devnet.venus.supply(who, "wstETH", 15)
    devnet.venus.borrow(who, "USDC", 29_500)


def _grace(devnet: Devnet, who: str) -> None:
    """A hedge in two venues: the loan against ether is the margin of a short. It hurts when ether rises."""
    hedge(devnet.aave, devnet.perps, who)


def _heidi(devnet: Devnet, who: str) -> None:
    """The same way twice: part of the loan against ether is the margin of a long, the rest lies idle."""
    stack(devnet.aave, devnet.perps, who)


STORIES: Final[dict[str, Callable[[Devnet, str], None]]] = {
    "alice": _alice,
    "bob": _bob,
    "carol": _carol,
    "dave": _dave,
    "erin": _erin,
    "frank": _frank,
    "grace": _grace,
    "heidi": _heidi,
}


def table(devnet: Devnet) -> str:
    """Names and addresses, one a line."""
    rows = [(f"wallet {wallet.label}", wallet.address) for wallet in devnet.wallets]
    rows += [(f"{market.adapter} {market.name} {root}", address) for market in devnet.markets for root, address in market.roots.items()]
    rows += [("multicall3", devnet.multicall3)]
    rows += [(f"token {symbol}", token.address) for symbol, token in devnet.assets.tokens.items()]
    rows += [(f"feed {symbol}/{unit}", feed.address) for (symbol, unit), feed in devnet.assets.feeds.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {address}" for name, address in rows)


def run(*, port: int, folder: Path) -> int:
    """Start, write the book into `folder`, and keep running until interrupted. Returns the exit code."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    started = time.monotonic()
    with Anvil(port=port, timestamp=None) as anvil:
        devnet = build(anvil)
        anvil.mine_by_itself()
        folder.mkdir(parents=True, exist_ok=True)
        book = folder / "book.toml"
        book.write_text(book_text(devnet.anvil.url, devnet.wallets, devnet.markets, devnet.assets, devnet.venus.vai.address))
        print(table(devnet), flush=True)
        say(f"\ndevnet: {anvil.url}, ready after {time.monotonic() - started:.1f} s")
        say("devnet: doubles are the compound_v3 markets, and the rates and the coin of the perps")
        say(f"devnet: try   defi-risk scan --book {book}\ndevnet: Ctrl-C ends it")
        while not stop.wait(LOOK_SECONDS):
            if not anvil.running():
                raise SetupError("devnet: the node ended by itself")
    say("devnet: ended")
    return 0
