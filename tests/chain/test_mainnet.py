"""Truth test 1 on accounts of Ethereum itself, where a node is given: `DEFI_RISK_RPC_ETHEREUM`."""

from __future__ import annotations

import os
from typing import Final

import pytest
from pytest_socket import socket_allow_hosts

from defi_risk import scan

pytestmark = [pytest.mark.chain, pytest.mark.mainnet]
NODE: Final = "DEFI_RISK_RPC_ETHEREUM"
HOLDERS: Final = (
    "0x464C71f6c2F760DdA6093dCB91C24c39e5d6e18c",  # Aave's collector
    "0x9600A48ed0f931d0c422D574e3275a90D8b22745",  # an Instadapp smart account
    "0x176F3DAb24a159341c0509bB36B833E7fdd0a132",  # a large lender
    "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045",
)


@pytest.mark.skipif(NODE not in os.environ, reason=f"{NODE} is not set: no mainnet node to read from")
def test_every_account_equals_the_protocols_views() -> None:
    socket_allow_hosts(None)
    snapshot = scan(HOLDERS, rpc={"ethereum": os.environ[NODE]}, block="finalized", deadline=120)
    assert [source.status for source in snapshot.sources] == ["ok"]
    checked = [account for account in snapshot.accounts if account.self_check is not None]
    assert checked
    assert [account.id for account in checked if account.self_check and not account.self_check.match] == []
