"""Links in snapshots: their figures, what is refused, and snapshots that have none yet."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from defi_risk import health, linking, snapshot
from defi_risk.errors import StoreError
from defi_risk.ids import Address, AssetId
from defi_risk.linking import Hop, How, Link
from defi_risk.model import Asset
from defi_risk.snapshot import Snapshot, from_json
from defi_risk.snapshot.schema import shipped
from defi_risk.units import Quantity
from tests.accounts import ETH, SETTINGS, USDC, collateral, debt, loan, margin, perp, position

BOOK = [loan(collateral(ETH, 10, 3000, "0.83"), debt(USDC, 12_000, "0.999")), perp(margin(USDC, 9_000), position(ETH, -3, 3000))]
ASSET = BOOK[0].legs[1].asset
HOP = Hop("0x" + "ab" * 32, 123, Address("0x" + "22" * 20), Address("0x" + "33" * 20), 9 * 10**21)
TRACED = Link(loan=BOOK[0].id, margin=BOOK[1].id, how=How.TRACED, asset=ASSET, amount=Quantity(9 * 10**21, 18), hops=(HOP,), left_out=3)
TAGGED = Link(loan=BOOK[0].id, margin=BOOK[1].id, how=How.TAGGED)


def taken(*links: Link) -> Snapshot:
    return snapshot.build("desk", BOOK, health.run(BOOK, SETTINGS), (), (), 0.0, links=links)


def test_what_a_link_says() -> None:
    found: list[dict[str, Any]] = json.loads(taken(TRACED, TAGGED).to_json())["links"]
    hop = {"transaction": HOP.transaction, "block": 123, "sender": HOP.source, "receiver": HOP.target, "amount": "9000"}
    assert found == [
        {
            "loan": "manual:loan", "margin": "manual:perp", "how": "traced", "token": ASSET.id, "symbol": "USDC", "amount": "9000",
            "amount_usd": pytest.approx(8_991), "hops": [hop], "left_out": 3,
        },
        {
            "loan": "manual:loan", "margin": "manual:perp", "how": "tagged", "token": None, "symbol": None, "amount": None,
            "amount_usd": None, "hops": [], "left_out": 0,
        },
    ]  # fmt: skip


def test_a_snapshot_with_links_is_valid_and_comes_back_whole() -> None:
    first = taken(TRACED, *linking.find(BOOK, []))
    jsonschema.validate(json.loads(first.to_json()), shipped())
    assert from_json(first.to_json()) == first
    assert first.digest != taken().digest


def test_a_snapshot_of_before_there_were_links() -> None:
    raw = json.loads(taken().to_json())
    assert raw.pop("links") == []
    assert from_json(json.dumps(raw)).links == ()


@pytest.mark.parametrize("change", [{"how": "guessed"}, {"amount": "1e9"}, {"amount": 9000}, {"hops": [{"transaction": "0x12"}]}])
def test_links_that_cannot_be(change: dict[str, Any]) -> None:
    raw = json.loads(taken(TRACED).to_json())
    raw["links"][0] |= change
    with pytest.raises(StoreError, match="not a whole snapshot: links"):
        from_json(json.dumps(raw))


def test_text_of_others_is_harmless() -> None:
    asset = Asset(AssetId("eip155:1/erc20:0xevil"), "\x1b[31m=cmd|evil\n", 18)
    [link] = taken(Link(loan=BOOK[0].id, margin=BOOK[1].id, how=How.AMOUNTS, asset=asset, amount=Quantity(1, 0))).links
    assert link.symbol is not None
    assert not set(link.symbol) & {"\x1b", "\n"}
    assert link.amount_usd is None
