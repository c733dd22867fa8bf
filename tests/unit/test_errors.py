"""The tree that the docstring draws is the tree that exists."""

from __future__ import annotations

import re

import defi_risk.errors as errors
from defi_risk.errors import BookError, DefiRiskError, UnknownName


def drawn() -> dict[str, str]:
    """Class name to parent's, as the docstring draws them."""
    parents: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│ ├└─]*)([A-Z]\w+)(?:\s{2,}|$)", line)
        if match is None:
            continue
        depth = len(match.group(1))
        stack = [item for item in stack if item[0] < depth]
        parents[match.group(2)] = stack[-1][1] if stack else "Exception"
        stack.append((depth, match.group(2)))
    return parents


def test_the_drawing_is_true() -> None:
    real = {
        name: item.__bases__[0].__name__
        for name, item in vars(errors).items()
        if isinstance(item, type) and issubclass(item, DefiRiskError)
    }
    assert drawn() == real


def test_a_message_is_one_line_with_its_remedy() -> None:
    error = BookError("unknown key 'walets'", file="desk.toml", line=3, hint="did you mean\n'wallets'?")
    assert str(error) == "desk.toml:3: unknown key 'walets' - did you mean 'wallets'?"
    assert (error.file, error.line, error.exit_code) == ("desk.toml", 3, 2)


def test_the_nearest_name_is_offered() -> None:
    assert "did you mean 'ethereum'" in str(UnknownName("chain", "etherum", ("ethereum", "base")))
    assert "known: base, ethereum" in str(UnknownName("chain", "zzz", ("ethereum", "base")))
    assert str(UnknownName("chain", "zzz")) == "unknown chain 'zzz'"
