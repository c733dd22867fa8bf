"""Identifiers: addresses with EIP-55 checksum, and CAIP-2, CAIP-10 and CAIP-19 style ids built from them."""

from __future__ import annotations

import re
from typing import Final, NewType

from defi_risk.errors import AddressError

Address = NewType("Address", str)
"""20 bytes as `0x` and 40 hex digits with EIP-55 checksum."""
ChainId = NewType("ChainId", int)
"""EIP-155 chain id."""
AccountId = NewType("AccountId", str)
AssetId = NewType("AssetId", str)
Factor = NewType("Factor", str)
"""Canonical price driver: `ETH`, `BTC`, `USDC`, ...; a token in no table is a factor of its own, named by its asset id."""
Peg = NewType("Peg", str)
"""Ratio of a token to its factor that can be shocked alone: `stETH/ETH`."""

USD: Final = Factor("USD")
ZERO_ADDRESS: Final = Address("0x" + "0" * 40)
_ADDRESS = re.compile(r"(?:[A-Za-z0-9-]{1,32}:)?(0[xX])([0-9a-fA-F]+)")


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as the EVM uses it (not SHA3-256)."""
    from Crypto.Hash import keccak

    return keccak.new(data=data, digest_bits=256).digest()


def checksum(body: str) -> Address:
    """EIP-55 form of 40 hex digits given without prefix."""
    lower = body.lower()
    digest = keccak256(lower.encode()).hex()
    return Address("0x" + "".join(c.upper() if int(h, 16) >= 8 else c for c, h in zip(lower, digest, strict=False)))


def parse_address(text: str) -> Address:
    """Read what a person writes: any case, a right EIP-55 checksum where cases are mixed, an EIP-3770 prefix (`eth:0x...`).

    Raises `AddressError` naming the text and the fault.
    """
    shown = text if len(text) <= 60 else text[:57] + "..."
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise AddressError(f"not an address: {shown!r}", hint="0x and 40 hex digits, or a name ending in .eth")
    body = match.group(2)
    if len(body) != 40:
        raise AddressError(f"address {shown!r} has {len(body)} hex digits", hint="it must have 40")
    right = checksum(body)
    if body not in (body.lower(), body.upper()) and right[2:] != body:
        raise AddressError(
            f"address {shown!r} has a wrong checksum",
            hint=f"a digit may be mistyped; if not, write it in lower case (its checksum form is {right})",
        )
    return right


def address_of(data: bytes) -> Address:
    """Address of 20 bytes."""
    if len(data) != 20:
        raise AddressError(f"an address has 20 bytes, not {len(data)}")
    return checksum(data.hex())


def erc20_id(chain: ChainId, token: Address) -> AssetId:
    """CAIP-19 id of a token: `eip155:1/erc20:0x...`."""
    return AssetId(f"eip155:{chain}/erc20:{token}")


def token_of(asset: AssetId) -> tuple[ChainId, Address] | None:
    """Chain and address of a token by its id; None for a coin and for what a venue lists by name."""
    chain, found, address = asset.partition("/erc20:")
    return (ChainId(int(chain.removeprefix("eip155:"))), Address(address)) if found else None


def native_id(chain: ChainId) -> AssetId:
    """CAIP-19 style id of the chain's own coin."""
    return AssetId(f"eip155:{chain}/slip44:60")


def account_id(chain: ChainId, adapter: str, root: str, owner: Address) -> AccountId:
    """Id of what one owner holds in one market: `eip155:1/aave_v3:0xMARKET/0xOWNER`; without root `eip155:1/wallet/0xOWNER`."""
    market = f"{adapter}:{root}" if root else adapter
    return AccountId(f"eip155:{chain}/{market}/{owner}")


def short(address: str) -> str:
    """`0x71C7…976F`: an address for eyes, never for comparing."""
    return f"{address[:6]}…{address[-4:]}"
