"""Truth test 1 on accounts of Ethereum itself, where a node is given: `DEFI_RISK_RPC_ETHEREUM`."""

from __future__ import annotations

import os
from typing import Final

import pytest

from defi_risk import scan

pytestmark = [pytest.mark.chain, pytest.mark.mainnet]
NODE: Final = "DEFI_RISK_RPC_ETHEREUM"
BORROWERS: Final = (
    "0x9600a48ed0f931d0c422d574e3275a90d8b22745",
    "0x8e884c724edded0bb4fc659b96511a48d8f1c39d",
    "0x5de64f9503064344db3202d95ceb73c420dccd57",
    "0x42c8e43048f6ff3586945a1fd23e0bec540dcd07",
    "0x307111465e4cedd89fa28b9768981b8768a3cabe",
    "0xe34bb624055b171d777eccbbfc3baaeeffbe432c",
    "0x05e11de553a95955151d9815ef96ad0cd8daf6de",
    "0x159c1fcc4aa34ffcd0cb9e5a6d34051a82c119b0",
    "0x45533541aac25030b5d438e37cec18e73b545310",
    "0xefc9b8e8fcd4ace39bca9e999fde1bf73a961385",
    "0xcdd7152eee446ed547d8e8f19f2d83cf94d4c235",
    "0x3670e1bf4f566e1e73e9b575ad0b7d6761df9343",
    "0x2a8b9ebc6b62e09f3b2b896bb004533bb4bfcb40",
    "0x965ed9d88fded99baef0733eb4dc4e0c96316ae7",
)
"""The largest wstETH borrowers of Aave V3 in June 2023, as lidofinance/aave-liquidation-model lists them; some will have left since."""


@pytest.mark.skipif(NODE not in os.environ, reason=f"{NODE} is not set: no mainnet node to read from")
def test_every_account_equals_the_protocols_views() -> None:
    snapshot = scan(BORROWERS, rpc={"ethereum": os.environ[NODE]}, block="finalized", deadline=120)
    assert [source.status for source in snapshot.sources] == ["ok"]
    checked = [account for account in snapshot.accounts if account.self_check is not None]
    assert checked
    assert [account.id for account in checked if account.self_check and not account.self_check.match] == []
