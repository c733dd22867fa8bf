"""A secret is used, never shown; a reference leads to one value or to one clear error."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from defi_risk.errors import SecretMissing
from defi_risk.secrets import LONGEST, Secret, public_url, redact, resolve

VALUE = "canary-4b1d55ce"


@dataclasses.dataclass
class Holder:
    secret: Secret


def test_no_way_of_printing_shows_the_value(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE, "env KEY")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("secrets-test").warning("%s and %r", secret, secret)
    shown = [
        repr(secret),
        str(secret),
        format(secret, ">40"),
        f"{secret}{secret!r}{secret!s}{secret:x}",
        "%s %r" % (secret, secret),  # noqa: UP031  # the operator is what is tested
        repr(Holder(secret)),
        repr(dataclasses.asdict(Holder(secret))),
        repr([secret, {secret: secret}]),
        repr(ValueError("bad", secret)),
        json.dumps({"a": secret}, default=str),
        caplog.text,
    ]
    assert all(VALUE not in text for text in shown)
    assert all("***" in text for text in shown)


def test_no_way_of_serialising_or_looking_inside_gets_the_value() -> None:
    secret = Secret(VALUE)
    ways: list[Callable[[], object]] = [
        lambda: json.dumps(secret),
        lambda: msgspec.json.encode(secret),
        lambda: msgspec.to_builtins(secret),
        lambda: pickle.dumps(secret),
        lambda: vars(secret),
        lambda: bytes(secret),  # type: ignore[call-overload]
    ]
    for refuse in ways:
        with pytest.raises(TypeError) as fault:
            refuse()
        assert VALUE not in str(fault.value)
    assert all(VALUE not in repr(getattr(secret, name)) for name in dir(secret) if name != "reveal")


def test_copies_are_the_secret_itself_and_nothing_changes_it() -> None:
    secret = Secret(VALUE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": [secret]})["a"][0] is secret
    with pytest.raises(AttributeError):
        secret.origin = "x"
    with pytest.raises(AttributeError):
        del secret.origin
    assert secret.reveal() == VALUE


def test_equality_is_that_of_the_values() -> None:
    assert Secret("a", "env A") == Secret("a", "file b")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("ä")}) == 2


def test_variables_literals_and_texts_with_variables_inside() -> None:
    env = {"KEY": "k1", "HOST": "h", "TWICE": "${KEY}"}
    assert resolve("${KEY}", env=env).reveal() == "k1"
    assert resolve("${KEY}", env=env).origin == "env KEY"
    assert resolve("env:KEY", env=env).reveal() == "k1"
    assert resolve("https://${HOST}/v3/${KEY}", env=env).reveal() == "https://h/v3/k1"
    assert resolve("https://${HOST}/v3/${KEY}", env=env).origin == "env HOST, KEY"
    assert resolve("plain $KEY", env=env).reveal() == "plain $KEY"
    # the value of a reference is final: no second round, so nothing can refer to itself
    assert resolve("${TWICE}", env=env).reveal() == "${KEY}"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("${UNSET}", "environment variable UNSET is not set"),
        ("env:UNSET", "environment variable UNSET is not set"),
        ("${EMPTY}", "env EMPTY is empty"),
        ("", "literal is empty"),
        ("${}", "no name of an environment variable"),
        ("${BAD NAME}", "no name of an environment variable"),
        ("https://${KEY", "starts with ${ and does not end"),
        ("keyring:alone", "must be keyring:service/name"),
        ("file:/nowhere/at/all", "No such file"),
        ("file:\x00", "NUL"),
        ("op://vault/item/field", "not supported"),
    ],
)
def test_references_that_lead_nowhere(reference: str, says: str) -> None:
    with pytest.raises(SecretMissing) as fault:
        resolve(reference, env={"KEY": VALUE, "EMPTY": "  "})
    assert says in str(fault.value)
    assert VALUE not in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_file_of_our_own_that_nobody_else_can_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(VALUE + "\n")
    path.chmod(0o600)
    assert resolve(f"file:{path}").reveal() == VALUE
    assert resolve("file:key", folder=tmp_path).reveal() == VALUE
    for mode in (0o640, 0o604, 0o620, 0o666):
        path.chmod(mode)
        with pytest.raises(SecretMissing, match=f"mode {mode:04o}.*chmod 600"):
            resolve(f"file:{path}")


def test_files_that_hold_no_secret(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="not a regular file"):
        resolve(f"file:{tmp_path}")
    os.mkfifo(tmp_path / "pipe", 0o600)  # must be refused, not waited for
    with pytest.raises(SecretMissing, match="not a regular file"):
        resolve(f"file:{tmp_path / 'pipe'}")
    for content, says in ((b"\xff\xfe", "not UTF-8"), (b"x" * (LONGEST + 1), "larger than"), (b"\n", "is empty")):
        path = tmp_path / "odd"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(SecretMissing, match=says):
            resolve(f"file:{path}")


def test_the_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_text(VALUE)
    path.chmod(0o600)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SecretMissing, match="belongs to another user"):
        resolve(f"file:{path}")


def test_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.errors import NoKeyringError

    def held(service: str, name: str) -> str | None:
        return VALUE if (service, name) == ("risk/desk", "binance") else None

    monkeypatch.setattr(keyring, "get_password", held)
    assert resolve("keyring:risk/desk/binance").reveal() == VALUE
    with pytest.raises(SecretMissing, match="has no 'other' of service"):
        resolve("keyring:risk/desk/other")

    def broken(service: str, name: str) -> str:
        raise NoKeyringError(f"no backend for {service}/{name}")

    monkeypatch.setattr(keyring, "get_password", broken)
    with pytest.raises(SecretMissing, match="cannot be used"):
        resolve("keyring:risk/desk/binance")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SecretMissing, match=r"pip install 'defi-risk\[keyring\]'"):
        resolve("keyring:risk/desk/binance")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@node.example:8545/v3/KEY?apikey=K2#f", "https://node.example:8545"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1]:8545/KEY", "http://[::1]:8545"),
        ("HTTPS://Node.Example/KEY", "https://node.example"),
        ("wss://h", "wss://h"),
        ("not a url", "***"),
        ("http://[bad/KEY", "***"),
        ("https://h:99999/KEY", "***"),
        ("https:///KEY", "***"),
    ],
)
def test_what_may_be_shown_of_a_url(url: str, shown: str) -> None:
    assert public_url(url) == shown


def test_redaction_takes_out_every_form_of_a_known_secret() -> None:
    Secret("https://me:hunter22@node.example/v3/PATHKEY99?apikey=QUERY%2BKEY")
    Secret("slack-token/with+signs")
    text = (
        "Max retries exceeded with url: /v3/PATHKEY99?apikey=QUERY%2BKEY (PATHKEY99, hunter22) "
        "https://me:hunter22@node.example/v3/PATHKEY99 slack-token/with+signs slack-token%2Fwith%2Bsigns https://other.example/k/abc"
    )
    clean = redact(text)
    for part in ("PATHKEY99", "hunter22", "QUERY", "slack-token", "abc"):
        assert part not in clean
    assert "https://node.example" in clean
    assert "https://other.example" in clean
    assert redact("nothing to hide, v3 mainnet") == "nothing to hide, v3 mainnet"
    assert redact("http://127.0.0.1:9: refused (see http://[::1]:8545/KEY).") == "http://127.0.0.1:9: refused (see http://[::1]:8545)."
    assert redact("http://[broken/KEY here") == "*** here"


def test_a_url_inside_a_secret_url_does_not_keep_others_from_being_cut() -> None:
    Secret("https://kiosk.example/https://inner.example/INNERKEY")
    clean = redact("see https://other.example/k/abc and INNERKEY")
    assert clean == "see https://other.example and ***"
