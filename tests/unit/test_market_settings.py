"""Settings of a market that are no addresses: words, URLs and references, of a market without any root address."""

from __future__ import annotations

from pathlib import Path

import pytest

from defi_risk import book, markets, registry, targets
from defi_risk.book import MarketSettings
from defi_risk.errors import AddressError, BookError, PluginError, SecretMissing, UnknownName, UsageError
from defi_risk.ids import ChainId
from defi_risk.model import Owner
from defi_risk.secrets import Secret, anchored, is_reference, public_setting
from tests import kiosk
from tests.fault.world import owner

HEAD = '[book]\nname = "desk"\n[chains.mall]\nchain_id = 4242\nrpc = "http://127.0.0.1:1"\n'
MARKET = '[[markets]]\nadapter = "kiosk"\nchain = "mall"\n'


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kiosk.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("KIOSK_API", "https://kiosk.example/k3y")


def read(folder: Path, text: str) -> tuple[MarketSettings, ...]:
    (folder / "desk.toml").write_text(HEAD + text)
    return book.load(folder / "desk.toml").markets


def test_a_setting_stays_what_the_book_says(tmp_path: Path) -> None:
    for api in ("https://kiosk.example/v1?key=k3y", "${KIOSK_API}", "https://kiosk.example/${KIOSK_API}", "oracle"):
        [found] = read(tmp_path, MARKET + f'prices = "oracle"\napi = "{api}"\n')
        assert found.params == (("api", api), ("prices", "oracle"))


def test_a_file_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "api.txt").write_text("https://kiosk.example")
    (tmp_path / "api.txt").chmod(0o600)
    [found] = read(tmp_path, MARKET + 'api = "file:api.txt"\n')
    assert found.params == (("api", f"file:{tmp_path / 'api.txt'}"),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('api = "${KIOSK_MISSING}"', r"desk\.toml:9: markets\[0\]\.api: environment variable KIOSK_MISSING is not set"),
        ('api = "file:missing.txt"', r"desk\.toml:9: markets\[0\]\.api: file .* cannot be read"),
        ("api = 5", r"desk\.toml:9: markets\[0\]\.api: must be text"),
        ('url = "https://k3y"', r"desk\.toml:9: markets\[0\]\.url: unknown key 'url'"),
    ],
)
def test_a_setting_that_leads_nowhere_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BookError, match=said) as caught:
        read(tmp_path, MARKET + line + "\n")
    assert "k3y" not in str(caught.value)


FEED = "0x" + "12" * 20
ROOTS = {
    "hyperliquid": {},
    "gmx_v2": {"data_store": FEED, "reader": FEED},
    "gains": {"diamond": FEED},
    "compound_v2": {"comptroller": FEED},
}


def described(adapter: str, **given: str) -> str:
    lines = [f'{key} = "{value}"' for key, value in {**ROOTS[adapter], **given}.items()]
    return f'[[markets]]\nadapter = "{adapter}"\nchain = "mall"\n' + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("adapter", "given", "said"),
    [
        ("hyperliquid", {"api": "ftp://k3y.example"}, "api: must be an http(s) URL"),
        ("hyperliquid", {"api": "https://"}, "api: must be an http(s) URL"),
        ("hyperliquid", {"api": "https://host:k3y"}, "api: must be an http(s) URL"),
        ("hyperliquid", {"api": "https://[k3y"}, "api: must be an http(s) URL"),
        ("hyperliquid", {"api": "${KIOSK_WORD}"}, "api: must be an http(s) URL"),
        ("gmx_v2", {"prices": "orakel"}, "prices: must be an http(s) URL or 'oracle'"),
        ("gmx_v2", {"order_vault": "k3y"}, "order_vault: must be an address"),
        ("gmx_v2", {"referral_storage": "0x12"}, "referral_storage: must be an address"),
        ("gains", {"prices": "Oracle"}, "prices: must be an http(s) URL or 'oracle'"),
        ("gains", {"prices": "oracle"}, "feeds: must name 1 to 64 pairs"),
        ("gains", {"prices": "oracle", "feeds": FEED}, "feeds: must name 1 to 64 pairs"),
        ("gains", {"feeds": f"BTC/USD:{FEED} ETH/USD:k3y"}, "feeds: has no sound address at the end of entry 2"),
        ("compound_v2", {"seconds_per_block": "0"}, "seconds_per_block: must be a number above 0"),
        ("compound_v2", {"seconds_per_block": "inf"}, "seconds_per_block: must be a number above 0"),
        ("compound_v2", {"seconds_per_block": "k3y"}, "seconds_per_block: must be a number above 0"),
    ],
)
def test_a_mistyped_setting_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str, given: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("KIOSK_WORD", "k3y")
    with pytest.raises(BookError) as caught:
        read(tmp_path, described(adapter, **given))
    assert f"markets[0].{said}" in str(caught.value)
    assert caught.value.line > 0
    assert "k3y" not in str(caught.value)
    extra = MarketSettings(adapter=adapter, chain="local", name="corner", params=(*ROOTS[adapter].items(), *given.items()))
    with pytest.raises(UsageError) as refused:
        targets.chains(book.Book(name="x"), {"local": [Secret("http://127.0.0.1:1")]}, [extra])
    assert "corner" in str(refused.value) or isinstance(refused.value, AddressError)
    assert "k3y" not in str(refused.value)


@pytest.mark.parametrize(
    ("adapter", "given"),
    [
        *((each, {}) for each in ROOTS),
        ("hyperliquid", {"api": "http://127.0.0.1:9/k3y"}),
        ("hyperliquid", {"api": "${KIOSK_API}"}),
        ("gmx_v2", {"prices": "oracle", "referral_storage": FEED, "order_vault": FEED}),
        ("gmx_v2", {"prices": "https://prices.example"}),
        ("gains", {"prices": "oracle", "feeds": f"ETH/USD:{FEED} BTC/USD:{FEED}"}),
        ("compound_v2", {"seconds_per_block": "0.45"}),
    ],
)
def test_a_good_setting_is_taken(tmp_path: Path, adapter: str, given: dict[str, str]) -> None:
    [found] = read(tmp_path, described(adapter, **given))
    assert dict(found.params) == {**ROOTS[adapter], **given}


def test_a_check_that_breaks_is_the_adapters_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(_self: kiosk.Kiosk, given: dict[str, str]) -> None:
        raise ValueError(given["api"])

    monkeypatch.setattr(kiosk.Kiosk, "check", broken, raising=False)
    with pytest.raises(PluginError, match="adapter 'kiosk' cannot check the settings of a market: ValueError") as caught:
        read(tmp_path, MARKET + 'api = "https://k3y"\n')
    assert caught.value.__cause__ is None
    assert "k3y" not in str(caught.value)


def test_a_market_without_a_root_is_there_once_a_chain(tmp_path: Path) -> None:
    with pytest.raises(BookError, match="the same market as one above"):
        read(tmp_path, MARKET + 'api = "https://one.example"\n' + MARKET + 'api = "https://other.example"\n')


def test_it_becomes_a_market_whose_accounts_have_ids(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text(HEAD + MARKET + 'name = "corner"\napi = "${KIOSK_API}"\n')
    [target] = targets.chains(book.load(tmp_path / "desk.toml"), {}, ())
    corner, _ = target.markets
    assert (corner.name, corner.root, corner.get("api"), corner.get("prices")) == ("corner", "", "${KIOSK_API}", "")
    assert corner.account_id(Owner(owner(1))) == f"eip155:4242/kiosk/{owner(1)}"


def test_the_services_that_a_scan_may_ask_are_known_by_their_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for api, hosts in (("${KIOSK_API}", ("https://kiosk.example",)), ("http://x:1/k3y", ("http://x:1",)), ("oracle", ())):
        (tmp_path / "desk.toml").write_text(HEAD + MARKET + f'api = "{api}"\n')
        assert targets.services(targets.chains(book.load(tmp_path / "desk.toml"), {}, ())) == hosts
    (tmp_path / "desk.toml").write_text(HEAD + MARKET)
    monkeypatch.setattr(kiosk.Kiosk, "services", {"api": "https://usual.example/k3y"}, raising=False)
    assert targets.services(targets.chains(book.load(tmp_path / "desk.toml"), {}, ())) == ("https://usual.example",)


def test_an_option_describes_it_too() -> None:
    places = {"mall": markets.chain("mall", ChainId(4242))}
    made = markets.from_options({"adapter": "kiosk", "chain": "mall", "api": "${KIOSK_API}"}, registry.get, places)
    assert (made.params, made.name, made.root) == ((("api", "${KIOSK_API}"),), "custom", "")
    with pytest.raises(UnknownName, match="unknown key of a market of kiosk"):
        markets.from_options({"adapter": "kiosk", "chain": "mall", "vault": "0x"}, registry.get, places)


def test_a_reference_of_an_option_must_lead_somewhere_before_anything_is_read() -> None:
    extra = MarketSettings(adapter="kiosk", chain="local", name="corner", params=(("api", "${KIOSK_MISSING}"),))
    with pytest.raises(SecretMissing, match="KIOSK_MISSING is not set"):
        targets.chains(book.Book(name="x"), {"local": [Secret("http://127.0.0.1:1")]}, [extra])
    assert issubclass(SecretMissing, UsageError)


@pytest.mark.parametrize(
    ("text", "shown", "reference"),
    [
        ("oracle", "oracle", False),
        ("0x" + "11" * 20, "0x" + "11" * 20, False),
        ("https://us3r:k3y@host.example:8443/k3y?k3y#k3y", "https://host.example:8443", False),
        ("https://host.example/v1/${KIOSK_API}/k3y", "https://host.example", True),
        ("${KIOSK_API}", "${KIOSK_API}", True),
        ("env:KIOSK_API", "env:KIOSK_API", True),
        ("keyring:kiosk/api", "keyring:kiosk/api", True),
        ("file:/srv/api", "file:/srv/api", True),
        ("k3y://[", "***", False),
    ],
)
def test_what_is_shown_of_a_setting(text: str, shown: str, reference: bool) -> None:
    assert public_setting(text) == shown
    assert public_setting(shown) == shown
    assert is_reference(text) is reference
    assert anchored(text, Path("/book")) == text
