"""HyperCore's state as HyperEVM shows it to contracts: one read precompile for each kind, called without a selector.

Scales. A perpetual's size `szi` has `szDecimals` places and its prices 6 - szDecimals, so that size times price is in 1e-6 of the coin
that the dex settles in; `entryNtl`, `isolatedRawUsd` and the numbers of `accountMarginSummary` are in the same unit. A spot price has
8 - szDecimals places (of the pair's first token), a spot balance the token's `weiDecimals`; staked HYPE has 8.

Traps. Whatever is not there (an asset, a dex, a vault) fails and burns all the gas it was given. A position that is not there is all
zeros. `position` takes 16 bits, so ids of the dexs beside the main one need `position2`.
"""

from __future__ import annotations

from typing import Any, Final

from defi_risk.ids import address_of
from defi_risk.spi import Call, Interface

PRECOMPILES: Final = Interface("defi_risk_abis", "hyperliquid/precompiles", raw=True)
ADDRESSES: Final = {
    name: address_of((0x0800 + place).to_bytes(20, "big"))
    for place, name in enumerate(
        (
            "position", "spotBalance", "userVaultEquity", "withdrawable", "delegations", "delegatorSummary", "markPx", "oraclePx",
            "spotPx", "l1BlockNumber", "perpAssetInfo", "spotInfo", "tokenInfo", "tokenSupply", "bbo", "accountMarginSummary",
            "coreUserExists", "borrowLendUserState", "borrowLendReserveState", "position2",
        )
    )
}  # fmt: skip
PERP_PLACES: Final = 6
SPOT_PLACES: Final = 8
OTHER_DEXS: Final = 100_000
DEX_SIZE: Final = 10_000


def core(function: str, *args: Any, optional: bool = False) -> Call:
    """A read of HyperCore."""
    return PRECOMPILES(ADDRESSES[function], function, *args, optional=optional)


def perp_id(dex: int, index: int) -> int:
    """The id of a perpetual by its place in a dex, as the precompiles count them; dex 0 is the main one."""
    return OTHER_DEXS + dex * DEX_SIZE + index if dex else index
