"""Aave 3.6 and Synthetix PerpsV2 on one chain: Aave lends the coin that the perps take as margin, and one feed prices ETH for both.

The parameters are those of two cases with known answers: the loan's liquidation threshold is 0.83, the perp's maintenance 2 % for ten
ETH (buffer 1.649 %, flagger's fee 0.35 %, premium 10 / 1,000,000), trades are free, and ETH costs 3,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.parameters import LISTINGS, Curve
from tests.localchain.aave.parameters import Listing as Reserve
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.people import person
from tests.localchain.synthetix.deployment import COIN, deploy_coin, deploy_synthetix
from tests.localchain.synthetix.market import SynthetixMarket
from tests.localchain.synthetix.parameters import DECIMALS, Fees, Listing
from tests.localchain.tokens import FEED_DECIMALS, Amount, Feed, Raw, deploy_feed, units

ETH: Final = "sETHPERP"
PRICE: Final = 3_000
SUSD: Final = Reserve(COIN, 0, 0, 0, Curve(9_000, 0, 550, 4_000))
PERP: Final = Listing("sETH", str(PRICE), taker_fee="0", maker_fee="0", max_funding_velocity="9", buffer_ratio="0.01649")
FEES: Final = Fees(keeper="0")


@dataclass(frozen=True, slots=True)
class Joint:
    """The two venues."""

    aave: AaveMarket
    perps: SynthetixMarket

    @property
    def anvil(self) -> Anvil:
        """The node."""
        return self.aave.anvil

    @property
    def feed(self) -> Feed:
        """What prices ETH at both."""
        return self.aave.reserves["WETH"].feed

    def set_price(self, price: Amount) -> None:
        """Let ETH cost that at both venues."""
        self.feed.set(price)


def listed(anvil: Anvil, assets: Assets) -> tuple[Reserve, ...]:
    """What Aave lists: what it lists elsewhere, and the coin of the perps, which stands and is priced from now on."""
    deploy_coin(anvil, assets)
    assets.feeds[COIN, "USD"] = deploy_feed(anvil, f"{COIN} / USD", 1)
    return (*LISTINGS, SUSD)


def perps_beside(aave: AaveMarket, assets: Assets) -> SynthetixMarket:
    """Perps in ETH that follow Aave's own feed."""
    perps = deploy_synthetix(aave.anvil, assets, (PERP,), FEES)
    perps.follow(PERP.asset, aave.reserves["WETH"].feed)
    return perps


def deploy_joint(anvil: Anvil) -> Joint:
    """Deploy both venues, with money to lend."""
    assets = Assets(anvil)
    aave = deploy_aave36(anvil, assets, listed(anvil, assets))
    joint = Joint(aave, perps_beside(aave, assets))
    joint.set_price(PRICE)
    aave.supply(person("joint/lender"), COIN, 5_000_000)
    return joint


def trade_at_the_rate(perps: SynthetixMarket, who: str, size: Amount) -> None:
    """Trade at the very rate: somebody else leans the market half as far to the other side before, and back again after."""
    other, half = person("joint/counterpart"), Raw(-units(size, DECIMALS) // 2)
    perps.deposit(other, ETH, 1_000_000)
    perps.trade(other, ETH, half)
    perps.trade(who, ETH, size)
    perps.trade(other, ETH, half)


def hedge(aave: AaveMarket, perps: SynthetixMarket, who: str) -> None:
    """Case A: ten ETH, and a loan of what four are worth (12,000), all of it margin of a short of ten ETH."""
    loan = worth(aave, 4)
    aave.supply(who, "WETH", 10)
    aave.borrow(who, COIN, loan)
    perps.move_margin(who, ETH, loan)
    trade_at_the_rate(perps, who, -10)


def stack(aave: AaveMarket, perps: SynthetixMarket, who: str) -> None:
    """Case B: ten ETH, a loan of what five are worth (15,000), two fifths of it margin of a long of ten ETH, the rest idle."""
    aave.supply(who, "WETH", 10)
    aave.borrow(who, COIN, worth(aave, 5))
    perps.move_margin(who, ETH, worth(aave, 2))
    trade_at_the_rate(perps, who, 10)


def worth(aave: AaveMarket, ether: int) -> Raw:
    """As much of the coin as so many ETH are worth."""
    return Raw(ether * aave.price("WETH") * 10 ** (DECIMALS - FEED_DECIMALS))
