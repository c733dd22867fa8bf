"""`python -m tests.localchain setup` fills the cache; `python -m tests.localchain devnet` runs a chain to play with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.localchain.process import SetupError


def main() -> int:
    """Run one command; 0 when it went well, 1 with one message on stderr when not."""
    given = _arguments().parse_args()
    try:
        if given.command == "setup":
            from tests.localchain.toolchain import ensure

            ensure()
            return 0
        if given.command == "demo":
            from tests.localchain.demo import write

            for file in write():
                print(file)
            return 0
        if given.command == "replays":
            from tests.localchain import replays

            for file in replays.write():
                print(file)
            return 0
        from tests.localchain.devnet import run

        return run(port=given.port, folder=given.out)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.localchain", description="A local chain with real protocol contracts.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="install and compile everything into the cache, where it is not there yet")
    commands.add_parser("demo", help="record anew what `defi-risk demo` shows")
    commands.add_parser("replays", help="record anew what the adapters' conformance tests run on")
    devnet = commands.add_parser("devnet", help="start a chain with markets and wallets and keep it running")
    devnet.add_argument("--port", type=int, default=8545, help="port on 127.0.0.1 (default 8545)")
    devnet.add_argument("--out", type=Path, default=Path("devnet"), help="folder that book.toml is written to (default devnet)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
