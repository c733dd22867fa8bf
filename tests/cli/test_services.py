"""A scan from the command line over a node and a venue's service: what the snapshot says of the service, and what it must never say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from click.testing import CliRunner

from defi_risk import replay
from defi_risk.replay import Replay
from defi_risk.snapshot import load
from defi_risk.testing import runs
from defi_risk.testing.__main__ import main as tools
from tests import kiosk
from tests.cli.runner import Ended, run
from tests.fault.chaos import Fault, nodes
from tests.fault.faults import black_hole, status
from tests.fault.service import Service, services
from tests.fault.world import NOW, World, owner
from tests.kiosk import Kiosk, answers

WALLET = owner(1)
BOOK = """
[book]
name = "desk"
wallets = ["{wallet}"]
[chains.mall]
chain_id = 4242
rpc = "{node}"
[[markets]]
adapter = "kiosk"
chain = "mall"
name = "corner"
api = {api}
[factors]
"eip155:4242/slip44:60" = {{ factor = "ETH" }}
[[manual]]
name = "vault"
side = "lending"
[[manual.collateral]]
factor = "ETH"
amount = 1
price = 2000
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kiosk's adapter as an installed distribution registers it."""
    kiosk.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.fixture
def service() -> Iterator[Service]:
    with services(answers(NOW - 30)) as [one]:
        yield one


def scan(folder: Path, api: str, *options: str, env: dict[str, str | None] | None = None) -> Ended:
    """Scan the book of one wallet, one node and one kiosk."""
    with nodes(World(chain_id=4242)) as [node]:
        book = folder / "desk.toml"
        book.write_text(BOOK.format(wallet=WALLET, node=node.url, api=json.dumps(api)))
        return run("scan", "--book", str(book), "--state", str(folder / "state"), *options, env=env)


def test_the_service_is_a_source_with_the_time_that_it_gives(tmp_path: Path, service: Service) -> None:
    ended = scan(tmp_path, service.url, "--format", "json", "-o", str(tmp_path / "snapshot.json"))
    assert (ended.code, ended.err.splitlines()[-1]) == (0, f"wrote {tmp_path / 'snapshot.json'}")
    snapshot = load(tmp_path / "snapshot.json")
    assert [source.id for source in snapshot.sources] == ["mall", "kiosk", "manual"]
    told = snapshot.sources[1]
    assert (told.kind, told.status, told.as_of, told.notes) == ("exchange", "ok", "2027-01-15T07:59:30Z", ("version 3",))
    assert snapshot.accounts[0].id == f"eip155:4242/kiosk/{WALLET}"
    assert snapshot.accounts[0].market == "corner"
    assert "kiosk as of 2027-01-15 07:59:30 UTC" in scan(tmp_path, service.url).out


def test_a_failed_service_makes_the_scan_partial_and_leaves_the_rest_whole(tmp_path: Path, service: Service) -> None:
    service.fail(Fault("403", wire=status("403 Forbidden", b"k3y")))
    ended = scan(tmp_path, service.url, "--format", "json")
    found = json.loads(ended.out)
    assert (ended.code, found["partial"]) == (3, True)
    assert [(source["id"], source["status"]) for source in found["sources"]] == [("mall", "ok"), ("kiosk", "failed"), ("manual", "ok")]
    assert found["sources"][1]["error"] == f"http://127.0.0.1:{service.port} answered HTTP 403"
    by_venue = {account["venue"]: account for account in found["accounts"]}
    assert (by_venue["Kiosk"]["status"], by_venue["Kiosk"]["side"]) == ("unknown", "derivatives")
    assert by_venue["Wallet"]["status"] == "ok"
    assert {flag["code"] for flag in found["flags"]} >= {"SOURCE_FAILED", "ACCOUNT_UNKNOWN"}


def test_a_service_behind_the_chain_is_told_with_both_times_and_is_no_failure(tmp_path: Path, service: Service) -> None:
    service.told = answers(NOW - 100)
    ended = scan(tmp_path, service.url, "--format", "json")
    found = json.loads(ended.out)
    chain, kiosk, _ = found["sources"]
    assert (ended.code, found["partial"]) == (0, False)
    assert (chain["block_time"], kiosk["as_of"]) == ("2027-01-15T08:00:00Z", "2027-01-15T07:58:20Z")
    assert (kiosk["status"], kiosk["error"]) == ("stale", "100 s behind")
    assert "SOURCE_STALE" in {flag["code"] for flag in found["flags"]}
    assert "kiosk STALE as of 2027-01-15 07:58:20 UTC" in scan(tmp_path, service.url).out


def test_a_service_that_never_answers_ends_with_the_deadline(tmp_path: Path, service: Service) -> None:
    service.fail(Fault("black hole", wire=black_hole))
    began = monotonic()
    ended = scan(tmp_path, service.url, "--deadline", "2s", "--format", "json")
    assert monotonic() - began < 2 + 2
    found = json.loads(ended.out)
    assert (ended.code, found["partial"], found["book_health"]["bound"]) == (3, True, "at_most")


@pytest.mark.parametrize(("form", "options"), [("literal", "json"), ("reference", "table"), ("file", "json")])
def test_no_part_of_the_address_comes_out(
    tmp_path: Path, service: Service, form: str, options: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    (tmp_path / "api.txt").write_text(service.url)
    (tmp_path / "api.txt").chmod(0o600)
    api = {"literal": service.url, "reference": "${KIOSK_API}", "file": "file:api.txt"}[form]
    for broken in (False, True):
        if broken:
            service.fail(Fault("401", wire=status("401 Unauthorized", service.url.encode())))
        ended = scan(tmp_path, api, "--format", options, "-vv", env={"KIOSK_API": service.url})
        assert ended.code == (3 if broken else 0)
        assert "k3y" not in ended.out + ended.err + caplog.text
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert kept
    assert b"k3y" not in kept


def test_a_reference_that_leads_nowhere_is_an_error_of_the_book(tmp_path: Path) -> None:
    ended = scan(tmp_path, "${KIOSK_API}", env={"KIOSK_API": None})
    assert (ended.code, ended.out) == (2, "")
    assert re.search(r"desk\.toml:12: markets\[0\]\.api: environment variable KIOSK_API is not set", ended.err)
    with nodes(World(chain_id=4242)) as [node]:
        market = "adapter=kiosk,chain=local,api=${KIOSK_API}"
        option = run("scan", WALLET, "--rpc", f"local={node.url}", "--market", market, env={"KIOSK_API": None})
    assert (option.code, option.out) == (2, "")
    assert "environment variable KIOSK_API is not set" in option.err


def test_the_list_of_adapters_names_the_settings() -> None:
    adapters = json.loads(run("markets", "--adapters", "--format", "json", env={"DEFI_RISK_ADAPTERS": "kiosk"}).out)["adapters"]
    assert [(one["name"], one["roots"], one["settings"]) for one in adapters] == [("kiosk", [], ["api", "prices"])]


def test_the_doctor_lists_the_service_and_does_not_ask_it(tmp_path: Path, service: Service) -> None:
    with nodes(World(chain_id=4242)) as [node]:
        book = tmp_path / "desk.toml"
        book.write_text(BOOK.format(wallet=WALLET, node=node.url, api=json.dumps(service.url)))
        ended = run("doctor", "--book", str(book), "--state", str(tmp_path / "state"), env={"DEFI_RISK_ADAPTERS": "kiosk"})
    hosts = f"http://127.0.0.1:{node.port}, http://127.0.0.1:{service.port}"
    assert f"hosts: a scan contacts these and no others: {hosts}\n" in ended.out
    assert "k3y" not in ended.out + ended.err
    assert service.asked == []


def record(folder: Path, node: str, api: str, env: dict[str, str]) -> Any:
    file = folder / "kiosk.json"
    market = f"chain=mall,api={api},prices=oracle"
    arguments = ["record", "kiosk", "--rpc", node, "--wallet", WALLET, "--wallet", owner(2), "--block", "latest"]
    done = CliRunner().invoke(tools, [*arguments, "--market", market, "--chain-id", "4242", "-o", str(file)], env=env)
    assert (done.exit_code, done.output) == (0, f"{file}\n")
    return file


@pytest.mark.parametrize("form", ["literal", "reference"])
def test_a_recording_reads_the_same_and_keeps_no_key(tmp_path: Path, service: Service, form: str) -> None:
    with nodes(World(chain_id=4242)) as [node]:
        api = service.url if form == "literal" else "${KIOSK_API}"
        file = record(tmp_path, node.url, api, {"KIOSK_API": service.url})
    text = file.read_text()
    assert "k3y" not in text
    shown = f"http://127.0.0.1:{service.port}" if form == "literal" else api
    recording = replay.load(file)
    assert [dict(case.market.params) for case in recording.cases] == [{"api": shown, "prices": "oracle"}] * 2
    assert {read.to for read in recording.answers if read.of_service} == {shown}
    assert len([read for read in recording.answers if read.of_service]) == len(service.asked) == 4
    assert '"answer": {"BTC": "65000.5", "xyz:GOLD": 3999.10, "DOGE": 0}' in text
    assert replay.dumps(recording) == text
    for case in recording.cases:
        source = Replay(recording)
        assert replay.written(runs.read(Kiosk(), source, recording, case)) == [*case.found]
        assert (source.calls, source.round_trips) == (5, 2)
