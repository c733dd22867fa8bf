"""Planted secrets never come out: not in output, errors, tracebacks, snapshots or the cache, whatever fails and however loudly."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.books import SAFE
from tests.cli.node import Node, running
from tests.cli.runner import Ended, run

pytestmark = pytest.mark.slow
WALLET = "0x" + "1" * 40
SECRETS = {
    name: f"canary-{name}-7f3a+/9c"
    for name in ("user", "password", "path", "query", "env", "file", "apikey", "secret", "passphrase", "alert")
}
TAIL = f"v3/{SECRETS['path']}?key={SECRETS['query']}"


def leaks(text: str) -> set[str]:
    """The secrets that a text gives away in any form that somebody could read."""
    lower = text.lower()
    found: set[str] = set()
    for name, value in SECRETS.items():
        raw = value.encode()
        forms = [value, quote(value, safe=""), quote(value), base64.b64encode(raw).decode(), raw.hex(), value[::-1], repr(value)[1:-1]]
        if any(form.lower() in lower for form in forms):
            found.add(name)
    return found


@contextmanager
def telltale(status: int) -> Generator[str]:
    """The port of a node that repeats in its error what it was asked by, as some do."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = (
                f"no such key: {self.path} {self.headers.get('Authorization')} https://{SECRETS['user']}:{SECRETS['password']}@host/{TAIL}"
            )
            error = {"code": -32000, "message": said}
            many = [{"jsonrpc": "2.0", "id": one["id"], "error": error} for one in (asked if isinstance(asked, list) else [asked])]
            body = json.dumps(many if isinstance(asked, list) else many[0]).encode() if status == 200 else said.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", self.path)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            """As an exchange."""
            body = json.dumps({"code": "50111", "msg": f"no such key: {self.path} {dict(self.headers)}"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", self.path)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def everything(folder: Path, ended: Ended) -> str:
    """All that a run left behind, apart from the files that hold the secrets by right."""
    left = [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file() and path.name not in ("desk.toml", "key")]
    return "\n".join((ended.out, ended.err, *left))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A book with a secret wherever one can stand; `HOST` is filled in by the test."""
    monkeypatch.setenv("CANARY_ENV", SECRETS["env"])
    (tmp_path / "key").write_text(f"http://HOST/{SECRETS['file']}")
    (tmp_path / "key").chmod(0o600)
    nodes = [
        f"http://{quote(SECRETS['user'], safe='')}:{quote(SECRETS['password'], safe='')}@HOST/{TAIL}",
        "http://HOST/${CANARY_ENV}",
        "file:key",
    ]
    (tmp_path / "desk.toml").write_text(
        f"[chains.ethereum]\nrpc = {json.dumps(nodes)}\n"
        f'[[exchanges]]\nid = "okx"\nname = "x"\nurl = "http://HOST"\napi_key = "{SECRETS["apikey"]}"\n'
        f'secret = "{SECRETS["secret"]}"\npassword = "{SECRETS["passphrase"]}"\n[alerts]\nurls = ["slack://{SECRETS["alert"]}"]\n'
        + SAFE.replace("[book]", f'[book]\nwallets = ["{WALLET}"]')
    )
    return tmp_path


def at(desk: Path, host: str) -> str:
    for name in ("desk.toml", "key"):
        (desk / name).write_text((desk / name).read_text().replace("HOST", host))
    return str(desk / "desk.toml")


@pytest.mark.parametrize("loud", [[], ["--verbose"]], ids=["normal", "verbose"])
@pytest.mark.parametrize("status", [200, 302, 401, 404, 429, 500])
@pytest.mark.parametrize("command", ["scan", "doctor"])
def test_nodes_that_repeat_the_key(desk: Path, command: str, status: int, loud: list[str]) -> None:
    options = ["--deadline", "2s", "-o", str(desk / "out.json")] if command == "scan" else []
    with telltale(status) as host:
        ended = run(command, "--book", at(desk, host), "--state", str(desk / "state"), *options, *loud)
    assert ended.code == 3
    assert leaks(everything(desk, ended)) == set()
    assert host in ended.out + ended.err


@pytest.mark.parametrize("node", [Node(chain_id=5), Node(broken="eth_getBlockByNumber"), Node()], ids=["wrong chain", "broken", "good"])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_forms_of_the_result(desk: Path, form: str, node: Node) -> None:
    with running(node):
        book = at(desk, node.url.removeprefix("http://"))
        ended = run("scan", "--book", book, "--format", form, "--deadline", "5s", "--state", str(desk / "state"), "--verbose")
    assert ended.code == 3
    assert leaks(everything(desk, ended)) == set()


@pytest.mark.parametrize(
    "change",
    [
        ("http://HOST/${", "ftp://HOST/${"),
        ("[alerts]", "[alert]"),
        ("api_key", "apikey"),
        ("urls = [", "urls = [ 5, "),
        ('name = "x"', 'name = "x"\nname = "x"'),
        ("file:key", "file:nokey"),
    ],
)
def test_faults_of_the_book(desk: Path, change: tuple[str, str]) -> None:
    path = desk / "desk.toml"
    path.write_text(path.read_text().replace(*change))
    for command in ("scan", "doctor"):
        ended = run(command, "--book", str(path), "--verbose", "--state", str(desk / "state"))
        assert ended.code == 2
        assert leaks(everything(desk, ended)) == set()


@pytest.mark.parametrize("reference", [f"http://127.0.0.1:9/{TAIL}", "env:CANARY_URL", "${CANARY_URL}", f"wss://h/{TAIL}", SECRETS["path"]])
def test_nodes_on_the_command_line(tmp_path: Path, reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_URL", f"http://{SECRETS['user']}:x@127.0.0.1:9/{TAIL}")
    for chain in ("ethereum", "etherum"):
        for command in (["scan", WALLET, "--deadline", "1s"], ["doctor"]):
            ended = run(*command, "--rpc", f"{chain}={reference}", "--state", str(tmp_path), "--verbose")
            assert ended.code in (2, 3)
            assert leaks(everything(tmp_path, ended)) == set()


def test_a_bug_while_secrets_are_about(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import defi_risk.gathering

    def broken(*args: object, **options: object) -> None:
        raise RuntimeError(
            f"Max retries exceeded with url: /{TAIL} ({SECRETS['user']}, {quote(SECRETS['query'], safe='')}) {SECRETS['apikey']}"
        )

    monkeypatch.setattr(defi_risk.gathering, "gather", broken)
    ended = run("scan", "--book", at(desk, "127.0.0.1:9"), "--verbose")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert leaks(everything(desk, ended)) == set()
