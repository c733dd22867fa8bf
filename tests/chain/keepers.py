"""Keepers of Synthetix PerpsV2 inside one `eth_call`: the real flagging and liquidation, at another rate and at the anchor's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from tests.chain.oracles import Override
from tests.localchain.anvil import Anvil, Block
from tests.localchain.contract import Contract
from tests.localchain.multicall import MULTICALL3
from tests.localchain.people import person
from tests.localchain.synthetix.market import SynthetixMarket
from tests.localchain.synthetix.parameters import word

KEEPER: Final = person("keeper")
AGGREGATE: Final = keccak(text="aggregate3((address,bool,bytes)[])")[:4]


def bundle(anvil: Anvil, calls: list[tuple[Contract, bytes]], state: Override, at: Block) -> list[bool]:
    """Whether each of these calls goes through, one after the other, in that state and at that block's time and number."""
    data = AGGREGATE + encode(["(address,bool,bytes)[]"], [[(contract.address, True, data) for contract, data in calls]])
    request = {"from": KEEPER, "to": MULTICALL3, "data": "0x" + data.hex(), "gas": hex(29_000_000)}
    moment = {"time": hex(at.timestamp), "number": hex(at.number)}
    [results] = decode(["(bool,bytes)[]"], bytes.fromhex(anvil.rpc("eth_call", request, hex(at.number), state, moment)[2:]))
    return [passed for passed, _ in results]


@dataclass(frozen=True, slots=True)
class Keepers:
    """`flagPosition` and `liquidatePosition` of the real contracts."""

    market: SynthetixMarket

    def rate(self, asset: str, answer: int) -> Override:
        """The state in which the rate of an asset is `answer`. Found by its value, so that no layout is assumed."""
        env, now = self.market.env, self.market.rate(asset)
        slots = (keccak(place.to_bytes(32, "big") + word(asset)) for place in range(16))
        slot = next(slot for slot in slots if self.market.anvil.storage(env.address, int.from_bytes(slot, "big")) == now)
        return {env.address: {"stateDiff": {"0x" + slot.hex(): f"0x{answer:064x}"}}}

    def flags(self, who: str, key: str, state: Override, at: Block) -> bool:
        """Whether the position can be flagged; one that can is liquidated at once, which must go through as well."""
        parts = self.market.markets[key].liquidation
        calls = [(parts, parts.calldata(function, who)) for function in ("flagPosition", "liquidatePosition")]
        flagged, liquidated = bundle(self.market.anvil, calls, state, at)
        assert liquidated is flagged, (who, key)
        return flagged
