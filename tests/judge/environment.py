"""The environment of freqtrade, a trading bot whose liquidation prices are compared with ours. Its licence (GPL-3.0) lets anybody run it:
it is installed and executed, and nothing of it is copied.

It lies in the cache, apart from `.venv`: freqtrade without what it depends on, and the few small packages that its exchange classes import
and `.venv` lacks. What both need (ccxt, pandas) is lent by `.venv`, which learns nothing of the environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any, Final

from tests.localchain.paths import REPOSITORY
from tests.localchain.process import SetupError, pip, say

PACKAGES: Final = ("freqtrade==2026.9", "cachetools==8.0.1", "humanize==4.17.0", "python-rapidjson==1.25", "schedule==1.2.2")
SCRIPT: Final = Path(__file__).with_name("asked_of_freqtrade.py")
PATIENCE: Final = 120.0


def ensure() -> Path:
    """Python of the environment, which is made where it is not there yet, by one process at a time. Raises `SetupError`."""
    cache = REPOSITORY / ".cache" / "judge"
    lent = sysconfig.get_paths()["purelib"]
    made_of = "\n".join((*PACKAGES, sys.version, lent))
    folder = cache / f"freqtrade-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                _make(folder, lent)
    return folder / "bin" / "python"


def _make(folder: Path, lent: str) -> None:
    say(f"judge: {PACKAGES[0]} ...")
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        venv.EnvBuilder(symlinks=True).create(unfinished)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"judge: no environment: {error}") from None
    python = unfinished / "bin" / "python"
    pip("judge", "--python", str(python), "install", "--no-deps", "--no-compile", *PACKAGES)
    [site] = unfinished.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(f"{lent}\n")
    os.replace(unfinished, folder)


def tables() -> dict[str, list[dict[str, Any]]]:
    """Freqtrade's maintenance brackets of Binance, as the exchange told them, with numbers as the text that they are written with."""
    [file] = ensure().parents[1].glob("lib/python*/site-packages/freqtrade/exchange/binance_leverage_tiers.json")
    found: dict[str, list[dict[str, Any]]] = json.loads(file.read_text(), parse_float=str, parse_int=str)
    return found


def ask(questions: dict[str, Any]) -> Any:
    """Freqtrade's answers, from a process without network."""
    command = [str(ensure()), "-I", str(SCRIPT)]
    # S603: the command is a fixed list made here, no shell reads it
    done = subprocess.run(command, input=json.dumps(questions), capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
    if done.returncode != 0:
        raise AssertionError(f"freqtrade failed: {done.stderr[-2_000:]}")
    return json.loads(done.stdout)
