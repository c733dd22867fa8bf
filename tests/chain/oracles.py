"""What-ifs: a market's oracle made to answer something else inside one `eth_call`, and the real liquidation judged there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from tests.localchain.aave.market import AaveMarket
from tests.localchain.anvil import Anvil, Block
from tests.localchain.comet.market import CometMarket
from tests.localchain.multicall import MULTICALL3
from tests.localchain.people import person
from tests.localchain.rpc import RpcError
from tests.localchain.tokens import MAX, Feed, Raw, Token
from tests.localchain.venus.market import Position, VenusMarket

LIQUIDATOR = person("judge")
RICH = Raw(10**40)
AGGREGATE = keccak(text="aggregate3Value((address,bool,uint256,bytes)[])")[:4]
COIN = "slip44:60"
"""How the id of the chain's own coin ends."""
Override = dict[str, dict[str, Any]]


class Judge(Protocol):
    """How one protocol is asked whether it would liquidate."""

    def prepare(self) -> None:
        """Give the liquidator all the money it may need, before the anchor."""
        ...

    def answers(self, token: str, answer: int) -> Override:
        """The state in which the oracle gives this answer for the token at that address."""
        ...

    def passes(self, borrower: str, state: Override, at: Block) -> Iterator[bool]:
        """Whether a liquidation goes through, for every pair of collateral and debt, at the anchor's time and number."""
        ...


def storage_override(contract: str, slot: int, value: int) -> Override:
    return {contract: {"stateDiff": {f"0x{slot:064x}": f"0x{value:064x}"}}}


def _answer_slot(anvil: Anvil, feed: Feed) -> int:
    """Where a feed keeps its answer: found by its value, so that no layout is assumed."""
    return next(slot for slot in range(16) if anvil.storage(feed.address, slot) == feed.answer)


def _called(anvil: Anvil, contract: str, data: bytes, state: Override, at: Block, value: int = 0) -> bytes | None:
    """What a call returns in that state at the anchor's time and number; None where it reverts."""
    request = {"from": LIQUIDATOR, "to": contract, "data": "0x" + data.hex(), "gas": hex(25_000_000), "value": hex(value)}
    moment = {"time": hex(at.timestamp), "number": hex(at.number)}
    try:
        return bytes.fromhex(anvil.rpc("eth_call", request, hex(at.number), state, moment)[2:])
    except RpcError as error:
        if "revert" not in str(error).lower():
            raise
        return None


def _enrich(tokens: dict[str, Token], spender: str) -> None:
    for token in tokens.values():
        token.give(LIQUIDATOR, RICH, spender)


@dataclass(frozen=True, slots=True)
class AaveJudge:
    """`liquidationCall` of the real pool."""

    market: AaveMarket

    def prepare(self) -> None:
        _enrich(self.market.tokens, self.market.pool.address)

    def answers(self, token: str, answer: int) -> Override:
        feeds = {reserve.token.address: reserve.feed for reserve in self.market.reserves.values()}
        feed = feeds.get(token) or self.market.category_feed
        assert feed is not None
        return storage_override(feed.address, _answer_slot(self.market.anvil, feed), answer)

    def passes(self, borrower: str, state: Override, at: Block) -> Iterator[bool]:
        reserves = self.market.reserves
        held = [symbol for symbol in reserves if self.market.supplied(borrower, symbol)]
        owed = [symbol for symbol in reserves if self.market.owed(borrower, symbol) or self.market.owed_stable(borrower, symbol)]
        for collateral in held:
            for debt in owed:
                tokens = (reserves[collateral].token.address, reserves[debt].token.address)
                data = self.market.pool.calldata("liquidationCall", *tokens, borrower, MAX.units, False)
                yield _called(self.market.anvil, self.market.pool.address, data, state, at) is not None


@dataclass(frozen=True, slots=True)
class CometJudge:
    """`absorb` of the double, which accrues first as the real contract does."""

    market: CometMarket

    def prepare(self) -> None:
        """Absorbing costs the absorber nothing."""

    def answers(self, token: str, answer: int) -> Override:
        assets = (self.market.base, *self.market.collateral.values())
        feed = next(asset.feed for asset in assets if asset.token.address == token)
        return storage_override(feed.address, _answer_slot(self.market.anvil, feed), answer)

    def passes(self, borrower: str, state: Override, at: Block) -> Iterator[bool]:
        data = self.market.comet.calldata("absorb", LIQUIDATOR, [borrower])
        yield _called(self.market.anvil, self.market.comet.address, data, state, at) is not None


@dataclass(frozen=True, slots=True)
class VenusJudge:
    """`liquidateBorrow` of the real market tokens; they say no with an error code instead of reverting."""

    market: VenusMarket

    def prepare(self) -> None:
        for reserve in self.market.reserves.values():
            if reserve.token:
                reserve.token.give(LIQUIDATOR, RICH, reserve.market.address)
        controller = self.market.vai_controller.address
        self.market.vai.send("mint", LIQUIDATOR, RICH.units, sender=controller)
        self.market.vai.send("approve", controller, RICH.units, sender=LIQUIDATOR)

    def answers(self, token: str, answer: int) -> Override:
        reserve = next(one for one in self.market.reserves.values() if token == (one.token.address if one.token else COIN))
        oracle, key = self.market.oracle.address, reserve.market.address
        # the oracle keeps prices in a mapping: slot of the mapping, then the key, hashed
        slots = (int.from_bytes(keccak(encode(["uint256", "address"], [base, key])), "big") for base in range(8))
        now = self.market.price(reserve.symbol)
        return storage_override(oracle, next(slot for slot in slots if self.market.anvil.storage(oracle, slot) == now), answer)

    def passes(self, borrower: str, state: Override, at: Block) -> Iterator[bool]:
        places = {symbol: self.market.position(borrower, symbol, block=at.number) for symbol in self.market.reserves}
        accruals = [(reserve.market.address, 0, reserve.market.calldata("accrueInterest")) for reserve in self.market.reserves.values()]
        for collateral, held in places.items():
            if held.tokens:
                for call in self._repayments(borrower, places, self.market.reserves[collateral].market.address):
                    yield self._bundle([*accruals, call], state, at)

    def _repayments(self, borrower: str, places: Mapping[str, Position], seized: str) -> Iterator[tuple[str, int, bytes]]:
        """Target, value and data of a liquidation for each debt: a token, the chain's own coin, VAI."""
        for debt, place in places.items():
            reserve, repaid = self.market.reserves[debt], max(place.borrowed // 4, 1)
            if place.borrowed and reserve.token:
                yield reserve.market.address, 0, reserve.market.calldata("liquidateBorrow", borrower, repaid, seized)
            elif place.borrowed:
                yield reserve.market.address, repaid, reserve.market.calldata("liquidateBorrow", borrower, seized)
        owed = self.market.owed_vai(borrower)
        if owed:
            controller = self.market.vai_controller
            yield controller.address, 0, controller.calldata("liquidateVAI", borrower, max(owed // 4, 1), seized)

    def _bundle(self, calls: list[tuple[str, int, bytes]], state: Override, at: Block) -> bool:
        """Whether the last call succeeds after the others: every entered market is accrued first, as any liquidator can have it.

        The liquidator is made a contract for the time of the call, with the code of Multicall3.
        """
        code = self.market.anvil.rpc("eth_getCode", MULTICALL3, hex(at.number))
        worth = sum(value for _, value, _ in calls)
        bundle = {**state, LIQUIDATOR: {"code": code, "balance": hex(2 * worth)}}
        data = AGGREGATE + encode(["(address,bool,uint256,bytes)[]"], [[(to, True, value, data) for to, value, data in calls]])
        answer = _called(self.market.anvil, LIQUIDATOR, data, bundle, at, value=worth)
        assert answer is not None
        [results] = decode(["(bool,bytes)[]"], answer)
        passed, returned = results[-1]
        return passed and int.from_bytes(returned[:32], "big") == 0


def judge_of(market: AaveMarket | CometMarket | VenusMarket) -> Judge:
    """The judge of a market."""
    if isinstance(market, AaveMarket):
        return AaveJudge(market)
    return CometJudge(market) if isinstance(market, CometMarket) else VenusJudge(market)
