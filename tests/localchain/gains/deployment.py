"""Deploy the double of gTrade's diamond with its collaterals and pairs."""

from __future__ import annotations

from collections.abc import Sequence

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import double
from tests.localchain.assets import Assets
from tests.localchain.contract import deploy
from tests.localchain.gains.market import GainsMarket
from tests.localchain.gains.parameters import COLLATERALS, LISTINGS, Listing, percent


def deploy_gains(anvil: Anvil, assets: Assets | None = None, listings: Sequence[Listing] = LISTINGS) -> GainsMarket:
    """Deploy everything; a pair's price is what the feed of the token that it follows says."""
    chain = assets or Assets(anvil)
    diamond = deploy(anvil, double("gains_double"))
    coins = {symbol: chain.token(symbol) for symbol in COLLATERALS}
    for symbol, token in coins.items():
        diamond.send("add_collateral", token.address, chain.feed(symbol).address)
    feeds = {listing.name: chain.feed(listing.follows) for listing in listings}
    market = GainsMarket(anvil, diamond, coins, {listing.name: listing for listing in listings}, feeds)
    for listing in listings:
        base, _, quote = listing.name.partition("/")
        diamond.send("add_pair", base, quote, percent(listing.spread), listing.rules, tuple(listing.terms))
        market.set_funding(listing.name, listing.funding)
        market.set_borrowing(listing.name, listing.borrowing)
    return market
