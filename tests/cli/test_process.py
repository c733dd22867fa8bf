"""The command line as a process of its own: what it imports, closed pipes, terminals, interrupts."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.books import SAFE, written

pytestmark = pytest.mark.slow
HEAVY = (
    "web3",
    "pandas",
    "numpy",
    "eth_abi",
    "rich",
    "requests",
    "msgspec",
    "pyarrow",
    "diskcache",
    "defi_risk.scanning",
    "defi_risk.snapshot",
)
MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from defi_risk.cli import main; main()"
"""Interrupts are let in first: a shell's background job, as this suite may be one, hands down that they are ignored."""
ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(str(ROOT / part) for part in ("", "adapters", "abis"))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "TERM") and "DEFI_RISK" not in name}
    return {**kept, "PYTHONPATH": path, **more}


def python(script: str) -> str:
    """What a script prints."""
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=100).stdout  # noqa: S603  # ours


def start(
    *args: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """The command line in a process of its own."""
    command = [sys.executable, "-c", MAIN, *args]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env or environment())  # noqa: S603  # ours


def finish(*args: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a run."""
    with start(*args, env=env) as process:
        out, err = process.communicate(timeout=100)
        return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["scan", "--help"], ["doctor", "--help"], ["completion", "bash"], ["skan"]])
def test_what_answers_at_once_imports_nothing_heavy(args: list[str]) -> None:
    script = f"import sys; from defi_risk.cli import main\ntry: main({args!r})\nexcept SystemExit: pass\nprint('LOADED', *sys.modules)"
    loaded = set(python(script).rpartition("LOADED ")[2].split())
    assert loaded & set(HEAVY) == set()
    assert len(loaded) < 400


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert set(python("import defi_risk, sys; print(*sys.modules)").split()) & {*HEAVY, "click"} == set()


@pytest.mark.parametrize("args", [["--help"], ["scan", "--format", "json"], ["scan"], ["scan", "--format", "csv"], ["markets"]])
def test_a_reader_that_leaves_early_is_nobodys_fault(args: list[str], tmp_path: Path) -> None:
    book = ["--book", written(tmp_path, SAFE)] if args[0] == "scan" else []
    reader, writer = os.pipe()
    os.close(reader)
    with start(*args, *book, stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=100)
    assert err == b""
    assert process.returncode == 0


def on_a_terminal(*args: str, columns: int = 100, **variables: str) -> str:
    """What a person sees who runs the command in a terminal of that width."""
    ours, theirs = pty.openpty()
    env = environment(TERM="xterm-256color", COLUMNS=str(columns), **variables)
    with start(*args, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            seen += part
        process.wait(60)
    os.close(ours)
    return seen.decode()


def test_a_terminal_gets_colour_and_progress_that_leaves_no_trace(tmp_path: Path) -> None:
    seen = on_a_terminal("scan", "--book", written(tmp_path, SAFE))
    assert "\x1b[1;33m1.37" in seen
    assert "starting" in seen
    # the line of progress is erased before the answer begins, and nothing else moves the cursor
    assert seen.index("\x1b[2K", seen.index("starting")) < seen.index("unified health")
    assert set(re.findall(r"\x1b\[[0-9;]*([A-Za-z])", seen)) <= {"m", "K"}


def test_no_color_and_quiet_on_a_terminal(tmp_path: Path) -> None:
    seen = on_a_terminal("scan", "--book", written(tmp_path, SAFE), "--quiet", NO_COLOR="1")
    assert "starting" not in seen
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", seen)
    assert re.sub(r"\x1b\[[0-9;]*m", "", seen).startswith("unified health  1.37")


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_small_terminals(tmp_path: Path, columns: int) -> None:
    seen = on_a_terminal("scan", "--book", written(tmp_path, SAFE), "-q", NO_COLOR="1", columns=columns)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert plain.startswith("unified health")
    assert max(len(line) for line in plain.splitlines()) <= max(columns, 40)


def test_a_pipe_gets_neither_colour_nor_progress_and_takes_its_width_from_columns(tmp_path: Path) -> None:
    code, out, err = finish("scan", "--book", written(tmp_path, SAFE), env=environment(COLUMNS="72", TERM="xterm-256color"))
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) <= 72


@pytest.mark.parametrize("variables", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_locale_without_our_signs_gets_an_answer_all_the_same(tmp_path: Path, variables: dict[str, str]) -> None:
    code, out, _ = finish("scan", "--book", written(tmp_path, SAFE), env=environment(**variables))
    assert code == 0
    assert out.startswith("unified health  1.37")
    code, out, _ = finish("scan", "--book", written(tmp_path, SAFE), "--format", "json", env=environment(**variables))
    assert json.loads(out)["book"] == "desk"


def test_an_interrupt_ends_a_waiting_scan(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        url = f"ethereum=http://127.0.0.1:{silent.getsockname()[1]}"
        with start("scan", "0x" + "1" * 40, "--rpc", url, "--state", str(tmp_path), "--deadline", "60s") as process:
            silent.settimeout(60)
            line, _ = silent.accept()
            with line:
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=50)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert (out, err.strip()) == (b"", b"")
