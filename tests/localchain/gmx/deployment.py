"""Deploy the double and set up its markets."""

from __future__ import annotations

from tests.localchain.anvil import Anvil
from tests.localchain.artifacts import double
from tests.localchain.assets import DECIMALS, Assets
from tests.localchain.contract import deploy
from tests.localchain.gmx.keys import ONE, field, key
from tests.localchain.gmx.market import Coin, GmxMarket
from tests.localchain.gmx.settings import IN_TOKENS, IN_USD, SYNTHETIC, SYNTHETIC_DECIMALS, SYNTHETIC_PRICE, Setting, Venue, factor
from tests.localchain.people import person
from tests.localchain.tokens import deploy_feed, units

STABLES = ("USDC",)
HEARTBEAT = 400 * 86_400
"""Feeds answer here when they are told to, and time passes by the month."""


def deploy_gmx(anvil: Anvil, assets: Assets | None = None) -> GmxMarket:
    """A double that weighs the balance of longs and shorts in USD, on tokens that stand already where given."""
    return deploy_venue(assets or Assets(anvil), IN_USD)


def deploy_gmx_tokens(anvil: Anvil, assets: Assets | None = None) -> GmxMarket:
    """A double that weighs it in tokens: the price impact of a close moves with the price."""
    return deploy_venue(assets or Assets(anvil), IN_TOKENS)


def deploy_venue(assets: Assets, venue: Venue) -> GmxMarket:
    """A double of any set-up."""
    anvil = assets.anvil
    symbols = {symbol for setting in venue.markets for symbol in (setting.index, setting.long, setting.short)}
    tokens = {symbol: assets.token(symbol) for symbol in sorted(symbols - {SYNTHETIC})}
    coins = {
        symbol: Coin(symbol, token.address, DECIMALS[symbol], assets.feed(symbol), symbol in STABLES) for symbol, token in tokens.items()
    }
    if SYNTHETIC in symbols:
        feed = deploy_feed(anvil, f"{SYNTHETIC} / USD", SYNTHETIC_PRICE)
        coins[SYNTHETIC] = Coin(SYNTHETIC, person(f"gmx/{SYNTHETIC}/token"), SYNTHETIC_DECIMALS, feed)
    store, reader, referrals = (deploy(anvil, double(name)) for name in ("gmx_data_store", "gmx_reader", "gmx_referral_storage"))
    made = GmxMarket(venue, anvil, store, reader, referrals, coins, tokens)
    _set_venue(made)
    for setting in venue.markets:
        _set_market(made, setting)
    return made


def _set_venue(made: GmxMarket) -> None:
    made.write({key("MIN_COLLATERAL_USD"): made.venue.min_collateral_usd, key("MAX_ORACLE_PRICE_AGE"): 300})
    made.store.send("set_bool", key("USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE"), made.venue.in_tokens)
    made.store.send("set_bool", key("SKIP_BORROWING_FEE_FOR_SMALLER_SIDE"), made.venue.skip_smaller_side)
    made.store.send("set_bool", key("IGNORE_OPEN_INTEREST_FOR_USAGE_FACTOR"), made.venue.ignore_interest)
    for coin in made.coins.values():
        made.store.send("set_address", key("PRICE_FEED", coin.address), coin.feed.address)
        made.write(
            {
                key("PRICE_FEED_MULTIPLIER", coin.address): coin.multiplier,
                key("PRICE_FEED_HEARTBEAT_DURATION", coin.address): HEARTBEAT,
                key("STABLE_PRICE", coin.address): ONE // 10**coin.decimals if coin.stable else 0,
            }
        )


def _set_market(made: GmxMarket, setting: Setting) -> None:
    name, address = setting.name, made.address(setting.name)
    own = bytes.fromhex(address[2:]).rjust(32, b"\0")
    for symbol, side in ((setting.index, "INDEX_TOKEN"), (setting.long, "LONG_TOKEN"), (setting.short, "SHORT_TOKEN")):
        made.store.send("set_address", field(own, side), made.coins[symbol].address)
    made.store.send("add_address", key("MARKET_LIST"), address)
    made.store.send("set_bool", key("IS_MARKET_DISABLED", address), setting.disabled)
    words = {made.key(parameter, name): value for parameter, value in setting.plain.items()}
    words |= {made.key(parameter, name, side): value for parameter, value in setting.both.items() for side in (True, False)}
    words |= {made.key(parameter, name, better): each[0 if better else 1] for parameter, each in setting.balance.items()
              for better in (True, False)}  # fmt: skip
    words |= {key("MAX_PNL_FACTOR", key("MAX_PNL_FACTOR_FOR_TRADERS"), address, side): factor(setting.most_pnl) for side in (True, False)}
    for symbol, amount in zip((setting.long, setting.short), setting.pool, strict=True):
        pool = key("POOL_AMOUNT", address, made.coins[symbol].address)
        words[pool] = words.get(pool, 0) + units(amount, made.coins[symbol].decimals)
    now = made.anvil.block().timestamp
    words |= {made.key("CUMULATIVE_BORROWING_FACTOR_UPDATED_AT", name, side): now for side in (True, False)}
    words[made.key("FUNDING_UPDATED_AT", name)] = now
    made.write(words)
    if setting.virtual is not None:
        shared = key("VIRTUAL_TOKEN_ID", made.coins[setting.index].address)
        made.store.send("set_bytes32", shared, shared)
        price = made.coins[setting.index].band()[0]
        made.store.send("set_int", key("VIRTUAL_INVENTORY_FOR_POSITIONS", shared), setting.virtual)
        made.store.send("set_int", key("VIRTUAL_INVENTORY_FOR_POSITIONS_IN_TOKENS", shared), setting.virtual // price)
