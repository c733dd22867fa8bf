"""Reading accounts of a local Perpetual Protocol V2, and asking its real clearing house what it would do with them at any mark price.

The second is one `eth_call` at the anchor's block and time. A mark is the median of three averages: doubles of the pool and of the price
feed, put in their places for that one call, make it any number. Clearing house, account balance, vault, exchange, order book and
collateral manager are the real ones. Averages rule funding too, so it must have run up to the anchor (`CurieMarket.accrue`): then what
is due is written down, and no price changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from defi_risk_adapters.perp_v2 import PerpV2

from defi_risk.ids import Address
from defi_risk.model import Anchor
from defi_risk.spi import Market
from tests.chain.compound import CHAIN, Scan, scan
from tests.localchain.artifacts import double
from tests.localchain.contract import Contract, deploy
from tests.localchain.curie.market import CurieMarket
from tests.localchain.people import person
from tests.localchain.rpc import RpcError

LIQUIDATOR: Final = person("perp-v2/keeper")
ENOUGH: Final = "CH_EAV"
"""What the clearing house says of an account whose value is enough."""
ONE: Final = 10**18
Override = dict[str, Any]


def read(market: CurieMarket, *owners: str) -> Scan:
    """The accounts of these owners as the product reads them, at the newest block."""
    described = Market("perp_v2", CHAIN, market.name, (("clearing_house", Address(market.clearing_house.address)),), "Perp")
    return scan(market.anvil, PerpV2(), described, owners)


@dataclass(frozen=True, slots=True)
class Takeover:
    """The venue with doubles at hand. `pool` and `price` are their runtime codes."""

    market: CurieMarket
    pool: str
    price: str

    @classmethod
    def of(cls, market: CurieMarket) -> Takeover:
        """Bring the doubles to the chain, and a liquidator who can take anything over."""
        market.deposit(LIQUIDATOR, "USDC", 10**15)
        codes = [
            market.anvil.rpc("eth_getCode", deploy(market.anvil, double(name)).address, "latest") for name in ("perp_pool", "perp_price")
        ]
        return cls(market, *codes)

    def at(self, answers: Mapping[str, int]) -> Override:
        """The state in which marks (by base token) and prices of collateral (by token) are these."""
        state: Override = {}
        for listing in self.market.listings.values():
            if listing.base.address in answers:
                state[listing.dispatcher.address] = self._price(18, answers[listing.base.address], ONE)
                state[listing.pool.address] = {"code": self.pool}
        for each in self.market.collateral.values():
            if each.token.address in answers:
                state[each.oracle.address] = self._price(8, 0, answers[each.token.address])
        return state

    def mark(self, symbol: str, answers: Mapping[str, int], anchor: Anchor) -> int:
        """The mark that the real account balance finds in that state."""
        balance = self.market.account_balance
        data = self._call(balance, balance.calldata("getMarkPrice", self.market.base(symbol)), self.at(answers), anchor)
        return int.from_bytes(data)

    def refusal(self, trader: str, base: str, answers: Mapping[str, int], anchor: Anchor) -> str:
        """Why `liquidate` reverts in that state; empty where it goes through."""
        house = self.market.clearing_house
        try:
            self._call(house, house.calldata("liquidate", trader, base), self.at(answers), anchor)
        except RpcError as error:
            return house.abi.reason(bytes.fromhex(error.data.removeprefix("0x")))
        return ""

    def _price(self, decimals: int, present: int, average: int) -> Override:
        words = {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in enumerate((decimals, present, average))}
        return {"code": self.price, "state": words}

    def _call(self, to: Contract, data: bytes, state: Override, anchor: Anchor) -> bytes:
        request = {"from": LIQUIDATOR, "to": to.address, "data": "0x" + data.hex()}
        moment = {"number": hex(anchor.number), "time": hex(anchor.timestamp)}
        return bytes.fromhex(to.anvil.rpc("eth_call", request, hex(anchor.number), state, moment)[2:])
