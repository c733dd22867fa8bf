"""A double of HyperCore as HyperEVM's read precompiles show it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any, Final

from tests.localchain.hyper.precompiles import Stored
from tests.localchain.hyper.state import PERP_PLACES, SPOT_PLACES, USDC, Coin, Dex, HyperCore, Position, Token, User, perp_id, whole

NOWHERE: Final = "0x" + "00" * 20
Lost = Collection[tuple[str, tuple[Any, ...]]]


def reads(core: HyperCore, lost: Lost = (), *, pooled_spot: bool = False) -> Iterator[Stored]:
    """What every precompile answers; it does not know what is `lost`.

    `pooled_spot` lets spot balances count an account's perpetuals in, as the service does: the documentation does not say that they are
    apart on chain.
    """
    for stored in _reads(core, pooled_spot):
        yield Stored(stored.name, stored.arguments, None) if (stored.name, stored.arguments) in lost else stored


def _reads(core: HyperCore, pooled_spot: bool) -> Iterator[Stored]:
    yield Stored("l1BlockNumber", (), (700_000_000 + core.time,))
    for number, dex in enumerate(core.dexs):
        for place, coin in enumerate(dex.coins):
            yield from _of_coin(perp_id(number, place), coin)
    for token in core.tokens.values():
        yield from _of_token(token)
    for stranger in core.strangers:
        yield Stored("coreUserExists", (stranger,), (False,))
    for address, user in core.users.items():
        yield from _of_user(core, address, user)
        for number, dex in enumerate(core.dexs):
            yield from _of_dex(core, address, user, number, dex)
        for token in core.tokens.values():
            held = core.spot_total(user, token.number) if pooled_spot else user.spot.get(token.number, Decimal(0))
            yield Stored("spotBalance", (address, token.number), (whole(held, token.wei), 0, 0))


def _of_coin(perp: int, coin: Coin) -> Iterator[Stored]:
    raw = whole(coin.mark, PERP_PLACES - coin.places)
    yield Stored("markPx", (perp,), (raw,))
    yield Stored("oraclePx", (perp,), (raw + 1,))
    yield Stored("bbo", (perp,), (raw - 1, raw + 1))
    yield Stored("perpAssetInfo", (perp,), ((coin.name, coin.table, coin.places, coin.leverage, False),))


def _of_token(token: Token) -> Iterator[Stored]:
    pairs = () if token.pair is None else (token.pair,)
    about = (token.name, pairs, 0, NOWHERE, NOWHERE, token.places, token.wei, 0)
    yield Stored("tokenInfo", (token.number,), (about,))
    yield Stored("tokenSupply", (token.number,), ((10**18, 10**17, 10**16, 0, ((NOWHERE, 5),)),))
    price = whole(token.price, SPOT_PLACES - token.places)
    if token.pair is not None:
        yield Stored("spotInfo", (token.pair,), ((f"@{token.pair}", (token.number, token.quote)),))
        yield Stored("spotPx", (token.pair,), (price,))
    if token.ltv:
        yield Stored("borrowLendReserveState", (token.number,), (500, 0, 10**15, 0, price, whole(token.ltv, 4), 10**15, 0))


def _of_user(core: HyperCore, address: str, user: User) -> Iterator[Stored]:
    staked = whole(user.staked, SPOT_PLACES)
    borrowed, supplied = (whole(amount, SPOT_PLACES) for amount in (user.borrowed, user.supplied))
    yield Stored("coreUserExists", (address,), (True,))
    yield Stored("withdrawable", (address,), (whole(core.withdrawable(user, core.dexs[0]), PERP_PLACES),))
    yield Stored("delegatorSummary", (address,), (staked, 0, 0, 0))
    yield Stored("delegations", (address,), (((NOWHERE, staked, 0),) if staked else (),))
    yield Stored("borrowLendUserState", (address, USDC), ((borrowed, borrowed), (supplied, supplied)))
    for vault, equity in user.vaults.items():
        yield Stored("userVaultEquity", (address, vault), (whole(equity, PERP_PLACES), (core.time + 86_400) * 1_000))


def _of_dex(core: HyperCore, address: str, user: User, number: int, dex: Dex) -> Iterator[Stored]:
    yield Stored("accountMarginSummary", (number, address), core.summary(user, dex))
    for place, coin in enumerate(dex.coins):
        perp, answer = perp_id(number, place), _position(coin, user.positions.get(coin.name))
        yield Stored("position2", (address, perp), answer)
        if perp < 1 << 16:
            yield Stored("position", (address, perp), answer)


def _position(coin: Coin, position: Position | None) -> tuple[int, int, int, int, bool]:
    """A position that is not there is all zeros but for the leverage."""
    if position is None:
        return 0, 0, 0, coin.leverage, False
    cash = 0 if position.cash is None else whole(position.cash, PERP_PLACES)
    return whole(position.size, coin.places), whole(position.entry, PERP_PLACES), cash, position.leverage, position.cash is not None
