"""Addresses as people write them, and ids built from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defi_risk.errors import AddressError
from defi_risk.ids import ChainId, account_id, address_of, checksum, erc20_id, parse_address, short

# the examples of EIP-55
EXAMPLES = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
]


@pytest.mark.parametrize("right", EXAMPLES)
def test_every_way_to_write_an_address(right: str) -> None:
    body = right[2:]
    for text in (right, "0x" + body.lower(), "0x" + body.upper(), "0X" + body.lower(), f"eth:{right}", f"  {right}\n"):
        assert parse_address(text) == right


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not an address"),
        ("vitalik", "not an address"),
        ("0x", "not an address"),
        ("0x12g4", "not an address"),
        (EXAMPLES[0][:-1], "39 hex digits"),
        (EXAMPLES[0] + "00", "42 hex digits"),
        (EXAMPLES[0][2:], "not an address"),
        (EXAMPLES[0].replace("A", "a", 1), "wrong checksum"),
        ("0x" + "\u0430" * 40, "not an address"),
        ("x" * 10_000, "not an address"),
    ],
)
def test_a_wrong_address_is_named_with_its_fault(text: str, fault: str) -> None:
    with pytest.raises(AddressError, match=fault) as raised:
        parse_address(text)
    assert len(str(raised.value)) < 300


@given(st.binary(min_size=20, max_size=20))
def test_bytes_and_text_agree(data: bytes) -> None:
    address = address_of(data)
    assert bytes.fromhex(address[2:]) == data
    assert parse_address(address) == address == checksum(data.hex())


def test_ids_end_with_what_they_identify() -> None:
    owner, token = parse_address(EXAMPLES[0]), parse_address(EXAMPLES[1])
    assert erc20_id(ChainId(1), token) == f"eip155:1/erc20:{token}"
    assert account_id(ChainId(1), "aave_v3", token, owner) == f"eip155:1/aave_v3:{token}/{owner}"
    assert account_id(ChainId(10), "wallet", "", owner) == f"eip155:10/wallet/{owner}"
    assert short(owner) == "0x5aAe…eAed"
    with pytest.raises(AddressError):
        address_of(b"short")
