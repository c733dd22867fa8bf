"""`python -m tests.judge setup` installs the judges into the cache, where they are not there yet."""

from __future__ import annotations

import argparse
import sys

from tests.judge.environment import ensure
from tests.localchain.process import SetupError


def main() -> int:
    """Run one command; 0 when it went well, 1 with one message on stderr when not."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge", description="Independent judges of the formulas.")
    parser.add_argument("command", choices=["setup"], help="install what is not there yet")
    parser.parse_args()
    try:
        ensure()
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
