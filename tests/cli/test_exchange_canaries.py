"""Planted keys of exchange accounts never come out: not in output, files, logs or the process list, whatever fails and however loudly."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli.books import SAFE
from tests.cli.runner import Ended, run
from tests.exchanges import plain
from tests.exchanges.double import Fault, Reply, Request, serving
from tests.exchanges.plain import ACCOUNT, PlainExchange

pytestmark = pytest.mark.slow

KEYS: Mapping[str, str] = {
    name: f"canary-{name.replace('_', '-')}-7f3a+/9c" for name in ("api_key", "secret", "password", "uid", "private_key")
}


def leaks(text: str, double: PlainExchange) -> set[str]:
    """The secrets that a text gives away in any form that somebody could read; the signatures that were made with them are some."""
    lower, found = text.lower(), set[str]()
    for name, value in KEYS.items():
        raw = value.encode()
        forms = [value, quote(value, safe=""), quote(value), base64.b64encode(raw).decode(), raw.hex(), value[::-1], repr(value)[1:-1]]
        if any(form.lower() in lower for form in forms):
            found.add(name)
    signed = [request.query["signature"] for request in double.log if "signature" in request.query]
    found |= {"signature" for one in signed if one in lower}
    found |= {"signed query" for word in ("signature=", "x-mbx-apikey", "recvwindow=") if word in lower}
    return found


def echo(request: Request) -> Reply:
    """A refusal that repeats what was asked, headers and all, as some gateways do."""
    said = f"{request.raw_query} {request.headers} {hmac.new(b'k', request.raw_query.encode(), hashlib.sha256).hexdigest()}"
    return Reply(401, {"code": -2014, "msg": said})


class Telltale(PlainExchange):
    """The exchange, which takes any signature made with the planted secret."""

    credentials = KEYS


KINDS = ("bad key", "permission", "time", "maintenance", "429", "418", "html", "500", "cut", "deep", "redirect")
FAULTS: dict[str, Any] = {
    "ok": None,
    "echo": None,
    **{kind: Fault(kind, where=ACCOUNT) for kind in KINDS},
    # the exchange tells the key as if it were a type of account
    "nonsense": Fault(where=ACCOUNT, change=lambda told: {**told, "accountType": KEYS["api_key"]}),
    "notes": Fault(where="commission", kind="bad key"),
}  # fmt: skip
COMMANDS: dict[str, tuple[str, ...]] = {
    "scan": ("scan",),
    "json": ("scan", "--format", "json"),
    "csv": ("scan", "--format", "csv"),
    "file": ("scan", "-o", "OUT.json"),
    "text": ("scan", "-o", "OUT.txt"),
    "parquet": ("scan", "-o", "OUT.parquet"),
    "stress": ("stress", "--format", "json"),
    "plan": ("plan", "--survive", "-10%"),
    "doctor": ("doctor",),
    "doctor json": ("doctor", "--format", "json"),
}


def everything(folder: Path, ended: Ended) -> str:
    """All that a run left behind, apart from the files that hold the secrets by right."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".toml", ".key")]
    left = [path.read_bytes().decode("latin-1") for path in files]
    return "\n".join((ended.out, ended.err, *left))


def desk(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A book whose keys are references of every kind: to the environment, and to files."""
    monkeypatch.setenv("CANARY_KEY", KEYS["api_key"])
    monkeypatch.setenv("CANARY_UID", KEYS["uid"])
    for name in ("secret", "password"):
        (folder / f"{name}.key").write_text(KEYS[name])
        (folder / f"{name}.key").chmod(0o600)
    lines = ['api_key = "${CANARY_KEY}"', 'uid = "env:CANARY_UID"', *(f'{name} = "file:{name}.key"' for name in ("secret", "password"))]
    path = folder / "desk.toml"
    path.write_text(SAFE + "\n".join(["[[exchanges]]", f'id = "{plain.ID}"', 'name = "main"', f'url = "{url}"', *lines, ""]))
    return str(path)


SOME = [("scan", "ok"), ("json", "echo"), ("doctor", "echo"), ("file", "bad key"), ("stress", "429"), ("plan", "nonsense"), ("csv", "html")]


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        pytest.param(command, fault, marks=[] if (command, fault) in SOME else [pytest.mark.slow])
        for command in COMMANDS
        for fault in FAULTS
    ],
)  # fmt: skip
def test_no_command_gives_a_key_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, command: str, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    double = Telltale()
    given = FAULTS[fault]
    if fault == "echo":
        double.answers = {ACCOUNT: echo}
    elif given is not None:
        double.faults = [Fault(given.kind, given.where, change=given.change)]
    options = [part.replace("OUT", str(tmp_path / "out")) for part in COMMANDS[command]]
    with serving(double) as url:
        book = desk(tmp_path, url, monkeypatch)
        ended = run(*options, "--book", book, "--state", str(tmp_path / "state"), "--verbose")
    assert ended.code in (0, 2, 3), ended.err
    assert any("signature" in request.query for request in double.log), (ended.out, ended.err)
    text = everything(tmp_path, ended) + caplog.text
    assert leaks(text, double) == set()


def test_the_process_list_and_what_children_are_given_hold_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan under way, from outside: its command line, and that of everything it started; keys from files are not in its environment."""
    double = Telltale(faults=[Fault("silence", where=ACCOUNT)])
    with serving(double) as url:
        book = desk(tmp_path, url, monkeypatch)
        plain.install(tmp_path / "installed")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "installed"), os.getcwd()])}
        script = "from defi_risk.cli import main; main()"
        process = subprocess.Popen(  # noqa: S603  # our own script
            [sys.executable, "-c", script, "scan", "--book", book, "--deadline", "20s", "--state", str(tmp_path / "state")],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            for _ in range(400):
                if any(request.path == ACCOUNT for request in double.log) or process.poll() is not None:
                    break
                double.stopping.wait(0.05)
            assert process.poll() is None, process.communicate()
            threads = list(Path(f"/proc/{process.pid}/task").iterdir())
            children = [child for thread in threads for child in (thread / "children").read_text().split()]
            seen = Path(f"/proc/{process.pid}/cmdline").read_text() + Path(f"/proc/{process.pid}/environ").read_text()
            assert children == []
            assert KEYS["api_key"] in seen  # which its owner put into the environment
            for name in ("secret", "password"):
                assert KEYS[name] not in seen
        finally:
            process.kill()
            out, err = process.communicate()
    assert leaks(out + err, double) == set()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('secret = "canary-secret-7f3a+/9c"', "exchanges[0].secret: must be a reference"),
        ('private_key = "canary-private-key-7f3a+/9c"', "exchanges[0].private_key: must be a reference"),
        ('secret = "file:open.key"', "chmod 600"),
        ('secret = "file:none.key"', "cannot be read"),
        ('secret = "${KEY_OF_NOBODY}"', "KEY_OF_NOBODY is not set"),
        ('secret = "op://vault/item"', "must be a reference"),
        ('secrets = "canary-secret-7f3a+/9c"', "unknown key 'secrets'"),
    ],
)
@pytest.mark.parametrize("command", ["scan", "doctor"])
def test_faults_of_the_book_give_no_key_away(tmp_path: Path, command: str, line: str, says: str) -> None:
    (tmp_path / "open.key").write_text(KEYS["secret"])
    (tmp_path / "open.key").chmod(0o644)
    path = tmp_path / "desk.toml"
    path.write_text(f'[[exchanges]]\nid = "{plain.ID}"\nname = "main"\n{line}\n')
    ended = run(command, "--book", str(path), "--verbose", "--state", str(tmp_path / "state"))
    assert ended.code == 2
    assert says in ended.out + ended.err
    assert leaks(everything(tmp_path, ended), PlainExchange()) == set()
