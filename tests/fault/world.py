"""The truth that scripted nodes serve: a chain whose contract answers depend on the block, so that a wrong block is a wrong number.

It decodes and encodes with eth-abi and plain Python, independently of the code under test.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode, encode

from defi_risk.ids import Address, ChainId, checksum, keccak256
from defi_risk.model import Chain
from defi_risk.sources.packing import AMPLE
from defi_risk.spi import Interface

VAULT: Final = Interface("tests.fault", "abis/vault")
ETHEREUM: Final = Chain(ChainId(1), "ethereum")
CONTRACT: Final = checksum("0a" * 20)
MULTICALL3: Final = "0xca11bde05977b3631167028862be2a173976ca11"
HEAD: Final = 1_000
NOW: Final = 1_800_000_000
Json = Any


def selector(signature: str) -> str:
    return keccak256(signature.encode())[:4].hex()


class TestClock:
    """Real time, except that sleeping takes none of it; the wall clock stands at the world's head."""

    __test__ = False

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> float:
        return time.monotonic() + self.slept

    def wall(self) -> float:
        return NOW + 5.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@dataclass(frozen=True)
class Reverted(Exception):
    """A contract's refusal, with its data; `code` and `message` as the node words it."""

    data: bytes = b""
    code: int = 3
    message: str = "execution reverted"


@dataclass
class World:
    """The truth, and what the node that serves it offers."""

    chain_id: int = 1
    head: int = HEAD
    late: int = 0  # seconds by which block times are wrong
    fork: int = 0  # another history
    multicall3: bool = True
    multicall3_code: str = "genuine"  # "genuine", "other" (another contract) or "reverting"
    overrides: bool = True
    by_hash: bool = True
    batches: bool = True
    batch_limit: int = 1_000
    gas_cap: int = 10**9  # units; a read costs one, the poison all that is left
    pruned_below: int = 0
    state_of: int | None = None  # the block whose state is served whatever was asked
    poison: str = ""  # what poison(1) does: burn, huge, internal
    calls_work: bool = True
    has_genesis: bool = True
    knows_hashes: bool = True  # finds state by block hash; else only by number
    lookup_url: str = "http://127.0.0.1:9/{sender}/{data}"  # where a contract's off-chain lookup leads

    def hash_of(self, number: int) -> str:
        return "0x" + keccak256(b"block %d of fork %d" % (number, self.fork)).hex()

    def time_of(self, number: int) -> int:
        return NOW + 12 * (number - HEAD) + self.late

    def shares(self, owner: str, number: int) -> int:
        return int.from_bytes(keccak256(bytes.fromhex(owner[2:]) + number.to_bytes(8, "big"))[:12], "big")

    def balance(self, owner: str, number: int) -> int:
        return self.shares(owner, number) // 7

    def serve(self, request: Mapping[str, Any]) -> Json:
        """The answer to one request."""
        frame = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return {**frame, "result": self._result(request["method"], request["params"])}
        except Reverted as error:
            return {**frame, "error": {"code": error.code, "message": error.message, "data": "0x" + error.data.hex()}}

    def _result(self, method: str, params: Sequence[Any]) -> Json:
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.head)
            case "eth_getBlockByNumber":
                number = self._number(params[0])
                if number > self.head or (number == 0 and not self.has_genesis):
                    return None
                return {"number": hex(number), "hash": self.hash_of(number), "timestamp": hex(self.time_of(number)), "transactions": []}
            case "eth_getCode":
                self._state(self._number(params[1]))
                return "0xfe" if params[0].lower() == MULTICALL3 and self.multicall3 else "0x"
            case "eth_getBalance":
                return hex(self.balance(params[0], self._block(params[1])))
            case "eth_call" if self.calls_work:
                return "0x" + self._eth_call(*params).hex()
            case _:
                raise Reverted(code=-32601, message=f"the method {method} does not exist/is not available")

    def _number(self, block: str) -> int:
        return (
            {"latest": self.head, "safe": self.head - 32, "finalized": self.head - 64}.get(block, 0) if block[0] != "0" else int(block, 16)
        )

    def _block(self, block: Any) -> int:
        if isinstance(block, str):
            number = self._number(block)
        elif not self.by_hash:
            raise Reverted(code=-32602, message="invalid argument 1: json: cannot unmarshal object into Go value of type string")
        else:
            known = {self.hash_of(number): number for number in range(self.head - 100, self.head + 1)}
            if block["blockHash"] not in known or not self.knows_hashes:
                raise Reverted(code=-32000, message="header for hash not found")
            number = known[block["blockHash"]]
        if number > self.head:
            raise Reverted(code=-32000, message="header not found")
        self._state(number)
        return number if self.state_of is None else self.state_of

    def _state(self, number: int) -> None:
        if number < self.pruned_below:
            raise Reverted(code=-32000, message="missing trie node 0123 (path ) state is not available")

    def _eth_call(self, call: Mapping[str, str], block: Any, change: Mapping[str, Any] | None = None) -> bytes:
        number = self._block(block)
        data = bytes.fromhex(call["data"][2:])
        gas = _Gas(self.gas_cap)
        if change is not None:
            if not self.overrides:
                raise Reverted(code=-32602, message="too many arguments, want at most 2")
            assert list(change) == [call["to"]]
            return self._bundle_of_executor(data, number, gas)
        if call["to"] == MULTICALL3 and self.multicall3:
            if self.multicall3_code == "other":
                return bytes(64)
            if self.multicall3_code == "reverting":
                raise Reverted
            return self._aggregate3(data, number, gas)
        return self._run(call["to"], data, number, gas)

    def _aggregate3(self, data: bytes, number: int, gas: _Gas) -> bytes:
        assert data[:4].hex() == selector("aggregate3((address,bool,bytes)[])")
        (calls,) = decode(["(address,bool,bytes)[]"], data[4:])
        results = []
        for to, may_fail, inner in calls:
            assert may_fail
            if to == MULTICALL3 and inner[:4].hex() == selector("getCurrentBlockTimestamp()"):
                results.append((True, self.time_of(number).to_bytes(32, "big")))
            elif to == MULTICALL3 and inner[:4].hex() == selector("getEthBalance(address)"):
                results.append((True, self.balance("0x" + inner[-20:].hex(), number).to_bytes(32, "big")))
            else:
                results.append(self._try(to, inner, number, gas))
        gas.must_remain()
        return encode(["(bool,bytes)[]"], [results])

    def _bundle_of_executor(self, data: bytes, number: int, gas: _Gas) -> bytes:
        parts = [self.time_of(number).to_bytes(32, "big")]
        while data:
            to, size, data = "0x" + data[:20].hex(), int.from_bytes(data[20:24], "big"), data[24:]
            if size == 0xFFFFFFFF:
                ok, answer = True, self.balance(to, number).to_bytes(32, "big")
            else:
                ok, answer = self._try(to, data[:size], number, gas)
                data = data[size:]
            parts.append(bytes([ok]) + len(answer).to_bytes(4, "big") + answer)
        gas.must_remain()
        parts.append(gas.left.to_bytes(32, "big"))
        return b"".join(parts)

    def _try(self, to: str, data: bytes, number: int, gas: _Gas) -> tuple[bool, bytes]:
        try:
            return True, self._run(to, data, number, gas)
        except Reverted as error:
            if error.code == -32603:
                raise
            return False, error.data

    def _run(self, to: str, data: bytes, number: int, gas: _Gas) -> bytes:
        """The one contract of this world."""
        gas.spend(1)
        if to.lower() == "0x" + "00" * 19 + "04":
            return data
        if to.lower() == "0x" + "00" * 19 + "05":
            gas.spend(AMPLE)
            return bytes(512)
        if to.lower() != CONTRACT.lower():
            return b""
        match data[:4].hex():
            case head if head == selector("shares(address)"):
                return self.shares("0x" + data[-20:].hex(), number).to_bytes(32, "big")
            case head if head == selector("heavy()"):
                gas.spend(1_000)
                return (7).to_bytes(32, "big")
            case head if head == selector("decimals()"):
                return (18).to_bytes(32, "big")
            case head if head == selector("symbol()"):
                return encode(["string"], ["VLT"])
            case head if head == selector("pair()"):
                return encode(["uint256", "address"], [number, CONTRACT])
            case head if head == selector("refuses()"):
                raise Reverted(bytes.fromhex(selector("Error(string)")) + encode(["string"], ["not today"]))
            case head if head == selector("lookup()"):
                body = encode(["address", "string[]", "bytes", "bytes4", "bytes"], [CONTRACT, [self.lookup_url], b"x", b"abcd", b""])
                raise Reverted(bytes.fromhex("556f1830") + body)
            case head if head == selector("nothing()"):
                return b""
            case head if head == selector("poison(uint256)") and int.from_bytes(data[4:], "big") == 1:
                return self._poisoned(gas)
            case head if head == selector("poison(uint256)"):
                return data[4:]
            case _:
                raise Reverted

    def _poisoned(self, gas: _Gas) -> bytes:
        match self.poison:
            case "burn":
                gas.left = gas.left // 64
                raise Reverted(code=-32000, message="invalid opcode: INVALID")
            case "exhaust":
                gas.left = 0
                raise Reverted(code=-32000, message="out of gas")
            case "huge":
                return bytes(2**20)
            case _:
                raise Reverted(code=-32603, message="internal error")


@dataclass
class _Gas:
    left: int

    def spend(self, units: int) -> None:
        if self.left < units:
            raise Reverted(code=-32000, message="out of gas")
        self.left -= units

    def must_remain(self) -> None:
        if self.left <= 0:
            raise Reverted(code=-32000, message="out of gas")


def owner(number: int) -> Address:
    """A wallet address."""
    return checksum(f"{number + 1:040x}")
