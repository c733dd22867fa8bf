"""An anvil node of our own: started on a free loopback port, controlled by JSON-RPC, gone when the process that started it is.

Time is the chain's own: it starts at a fixed moment and every block comes one second after the one before, so that the same
transactions give the same numbers on every machine. Gas costs nothing and every address may send.

Blocks are mined when we ask for them. A node that mines by itself clears its pool behind each block in the background, and after
a revert that takes the next transaction of the same sender and number with it: seen in 15 of 120,000, on a busy machine.
"""

from __future__ import annotations

import atexit
import http.client
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, Self

from tests.localchain.process import SetupError
from tests.localchain.rpc import Rpc
from tests.localchain.toolchain import ensure

HOST: Final = "127.0.0.1"
CHAIN_ID: Final = 31337
GENESIS_TIME: Final = 1_767_225_600  # 2026-01-01T00:00:00Z
GENESIS_BLOCK: Final = 20_000_000  # high enough to date a block counter of a contract back by years
START_SECONDS: Final = 30.0
PROBE_SECONDS: Final = 0.5
ATTEMPTS: Final = 3

# Runs the node, and ends it as soon as standard input closes: also when the parent was killed and could not clean up.
_GUARD: Final = 'exec 3<&0; "$@" </dev/null 3<&- & node=$!; { read -r _ <&3; kill "$node"; } 2>/dev/null & exec 3<&-; wait "$node"'


class AnvilError(SetupError):
    """The node did not start, or ended by itself."""


@dataclass(frozen=True, slots=True)
class Block:
    """Number, hash and unix time of a block."""

    number: int
    hash: str
    timestamp: int


class Anvil:
    """A running node. A context manager; `stop` ends it, and so does the end of this process."""

    def __init__(
        self,
        *,
        port: int | None = None,
        timestamp: int | None = GENESIS_TIME,
        number: int = GENESIS_BLOCK,
        chain_id: int = CHAIN_ID,
        arguments: tuple[str, ...] = (),
    ) -> None:
        """Start a chain of its own from `timestamp` (None: by the clock of this machine, from now on) and block `number`, with
        further command line `arguments`.
        """
        since = () if timestamp is None else ("--timestamp", str(timestamp))
        genesis = () if "--fork-url" in arguments else (*since, "--number", str(number))
        self._process, self.port = _start(port, ("--chain-id", str(chain_id), *genesis, *arguments))
        atexit.register(self.stop)
        self.rpc = Rpc(HOST, self.port)
        if timestamp is not None:
            self.rpc("anvil_setBlockTimestampInterval", 1)

    @classmethod
    def fork(cls, url: str, block: int | None = None) -> Self:
        """A node that starts from the state of another one (at its head, or at `block`) and changes only its own copy."""
        at = () if block is None else ("--fork-block-number", str(block))
        return cls(arguments=("--fork-url", url, "--no-storage-caching", *at))

    @property
    def url(self) -> str:
        """Where the node listens."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the node. Harmless when it has ended already."""
        self.rpc.close()
        atexit.unregister(self.stop)
        self._process.end()

    def running(self) -> bool:
        """Whether the node's process lives."""
        return not self._process.ended()

    def block(self, tag: int | str = "latest") -> Block:
        """The block of that number or tag."""
        found = self.rpc("eth_getBlockByNumber", hex(tag) if isinstance(tag, int) else tag, False)
        return Block(int(found["number"], 16), found["hash"], int(found["timestamp"], 16))

    def mine(self, blocks: int = 1) -> None:
        """Add empty blocks, one second apart."""
        self.rpc("anvil_mine", hex(blocks))

    def set_time(self, timestamp: int) -> None:
        """Add an empty block at that unix time, which must lie after the newest block."""
        self.rpc("evm_setNextBlockTimestamp", timestamp)
        self.rpc("evm_mine")

    def pass_time(self, seconds: int) -> None:
        """Add an empty block that many seconds after the newest one."""
        self.set_time(self.block().timestamp + seconds)

    def snapshot(self) -> str:
        """Remember the present state; `revert` goes back to it, once."""
        return str(self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Go back to a remembered state; later snapshots are lost with it."""
        if self.rpc("evm_revert", snapshot) is not True:
            raise AnvilError(f"snapshot {snapshot} is gone")

    @contextmanager
    def rollback(self) -> Generator[None]:
        """Undo on leaving whatever the block did to the chain."""
        snapshot = self.snapshot()
        try:
            yield
        finally:
            self.revert(snapshot)

    def set_balance(self, address: str, wei: int) -> None:
        """Give an address that balance of the chain's own coin."""
        self.rpc("anvil_setBalance", address, hex(wei))

    def set_code(self, address: str, code: str) -> None:
        """Put runtime code at an address."""
        self.rpc("anvil_setCode", address, code)

    def set_storage(self, address: str, slot: int, value: int) -> None:
        """Write one storage slot of a contract."""
        self.rpc("anvil_setStorageAt", address, f"0x{slot:064x}", f"0x{value:064x}")

    def storage(self, address: str, slot: int) -> int:
        """Read one storage slot of a contract."""
        return int(self.rpc("eth_getStorageAt", address, hex(slot), "latest"), 16)

    def receipt(self, transaction: dict[str, Any]) -> dict[str, Any]:
        """Send a transaction, mine it and return its receipt; it may have failed."""
        return self.in_one_block([transaction])[0]

    def in_one_block(self, transactions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send transactions so that one block holds them all, and return their receipts; any of them may have failed."""
        hashes = [self.rpc("eth_sendTransaction", {"gasPrice": "0x0", **transaction}) for transaction in transactions]
        self.rpc("evm_mine")
        receipts = self.rpc.batch([("eth_getTransactionReceipt", (sent,)) for sent in hashes])
        if None in receipts or len({receipt["blockHash"] for receipt in receipts}) > 1:
            raise AnvilError("the transactions do not fit into one block")
        return receipts

    def mine_by_itself(self) -> None:
        """From now on every transaction gets a block of its own at once: for wallets of others. Not together with `revert`."""
        self.rpc("evm_setAutomine", True)


@dataclass(frozen=True, slots=True)
class _Process:
    """The guard around the node, and the file that takes its complaints."""

    guard: subprocess.Popen[bytes]
    complaints: IO[bytes]

    def ended(self) -> bool:
        return self.guard.poll() is not None

    def end(self) -> None:
        if self.guard.stdin is not None and not self.guard.stdin.closed:
            self.guard.stdin.close()
        try:
            self.guard.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.guard.pid, signal.SIGKILL)
            self.guard.wait()
        self.complaints.close()

    def last_words(self) -> str:
        self.complaints.seek(0)
        said = self.complaints.read().decode(errors="replace").strip()
        return said.splitlines()[-1] if said else f"exit code {self.guard.returncode}"


def _start(port: int | None, arguments: tuple[str, ...]) -> tuple[_Process, int]:
    """Start the node. Another process may take the free port just before it does: then try another one."""
    problems: list[str] = []
    for given in (port,) if port is not None else (None,) * ATTEMPTS:
        chosen = _free_port() if given is None else given
        sign = f"http://{secrets.token_hex(8)}.invalid"
        process = _launch(chosen, sign, arguments)
        problem = _wait(process, chosen, sign)
        if not problem:
            return process, chosen
        process.end()
        problems.append(f"on port {chosen}: {problem}")
    raise AnvilError("anvil did not start " + ", ".join(problems))


def _launch(port: int, sign: str, arguments: tuple[str, ...]) -> _Process:
    """`sign` is the one web origin that the node lets in: no page can use it, and its answers can be told from another node's."""
    options = ("--host", HOST, "--port", str(port), "--silent", "--no-mining", "--auto-impersonate", "--allow-origin", sign)
    prices = ("--gas-price", "0", "--block-base-fee-per-gas", "0")
    node = (str(ensure().anvil), *options, *prices, *arguments)
    complaints = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    guard = subprocess.Popen(  # noqa: S603 - a fixed program of our cache
        ("/bin/sh", "-c", _GUARD, "guard", *node),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
        start_new_session=True,
    )
    return _Process(guard, complaints)


def _wait(process: _Process, port: int, sign: str) -> str:
    """Wait until the node answers; empty when it does, else what went wrong."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.ended():
            return process.last_words()
        if _signed(port, sign):
            return ""
        time.sleep(0.01)
    return f"no answer within {START_SECONDS:.0f} s"


def _signed(port: int, sign: str) -> bool:
    """Whether the node with that sign answers on the port."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_SECONDS)
    try:
        connection.request("POST", "/", b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}', {"content-type": "application/json"})
        return connection.getresponse().getheader("access-control-allow-origin") == sign
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
