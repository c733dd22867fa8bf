"""Secrets: values that may be used and never shown, and the references by which books and options name them.

    ${NAME}                 the environment variable NAME; may stand inside a longer text, such as a URL that ends in a key
    env:NAME                the same, for a whole value: it keeps a key off the command line
    keyring:service/name    the password of that service and name in the system's keyring (needs the extra `keyring`)
    file:path               the content of a file that only its owner can read (mode 0600)
    anything else           the value itself

The value of a reference is final: a `${...}` inside it is text. `redact` takes every secret made so far, and every path of a URL, out of
text that is about to be shown; it is the last line of defence, after errors that never carried a secret.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote, unquote, urlsplit

from defi_risk.errors import SecretMissing

HIDDEN: Final = "***"
LONGEST: Final = 65_536
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREFIXES: Final = ("env:", "keyring:", "file:")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]{1,15})://[^\s'\"<>]+", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_WORTH_HIDING: Final = 6  # shorter parts of a secret URL (v2, mainnet, http) are no secrets, and replacing them would garble text


class Secret:
    """A value that no printing, formatting, serialising or copying shows; `reveal()` is the only way to it.

    `origin` says where it came from ("env ETH_RPC_URL"), and is safe to show. Equal secrets hold equal values.
    """

    __slots__ = ("_reveal", "origin")
    _reveal: Callable[[], str]
    origin: str

    def __init__(self, value: str, origin: str = "literal") -> None:
        object.__setattr__(self, "_reveal", lambda: value)
        object.__setattr__(self, "origin", origin)
        _MADE.add(self)

    def reveal(self) -> str:
        """The value, for the one place that needs it."""
        return self._reveal()

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


_MADE: set[Secret] = set()


def resolve(reference: str, *, env: Mapping[str, str] | None = None, folder: Path | None = None) -> Secret:
    """The secret that a reference names. A relative `file:` path starts at `folder` (that of the book; else the working directory).

    Raises `SecretMissing` where the reference is malformed or leads to nothing; its message never holds a value.
    """
    variables = os.environ if env is None else env
    if reference.startswith("env:"):
        name = reference[4:]
        return _made(_variable(name, variables), f"env {name}")
    if reference.startswith("keyring:"):
        return _made(_from_keyring(reference[8:]), f"keyring {reference[8:]}")
    if reference.startswith("file:"):
        path = (folder or Path()) / Path(reference[5:]).expanduser()
        return _made(_from_file(path), f"file {path}")
    if reference.startswith("op://"):
        raise SecretMissing("op:// references are not supported", hint="use ${NAME}, keyring:service/name or file:path")
    names = _REFERENCE.findall(reference)
    if "${" in _REFERENCE.sub("", reference):
        raise SecretMissing("a reference starts with ${ and does not end", hint="write ${NAME}")
    if not names:
        return _made(reference, "literal")
    value = _REFERENCE.sub(lambda match: _variable(match.group(1), variables), reference)
    return _made(value, "env " + ", ".join(dict.fromkeys(names)))


def meant(text: str) -> str:
    """What a market's setting stands for: the value of a reference, any other text itself. Not to be kept. Raises `SecretMissing`."""
    return resolve(text).reveal() if is_reference(text) else text


def public_url(text: str) -> str:
    """What may be shown of a URL: scheme, host and port. User, password, path and query may all hold keys."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return HIDDEN
    if not parts.scheme or not host:
        return HIDDEN
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    try:
        return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    except ValueError:
        return False


def is_reference(text: str) -> bool:
    """Whether a text leads to a secret, as opposed to a literal one or a plain word."""
    return text.startswith(_PREFIXES) or "${" in text


def anchored(reference: str, folder: Path) -> str:
    """The same reference wherever it is resolved: the path of a `file:` starts at `folder` where it is relative."""
    return f"file:{folder / Path(reference[5:]).expanduser()}" if reference.startswith("file:") else reference


def public_setting(text: str) -> str:
    """What may be shown and recorded of a setting: a reference and a word as they are, a URL cut to scheme, host and port."""
    return text if text.startswith(_PREFIXES) or "://" not in text else public_url(text)


def redact(text: str) -> str:
    """`text` without any secret made so far, in plain or URL-encoded form, and with every URL cut to scheme, host and port."""
    for value in sorted({part for secret in _MADE for part in _parts(secret.reveal())}, key=len, reverse=True):
        text = text.replace(value, f"/{HIDDEN}" if value.startswith("/") else HIDDEN)
    return _URL.sub(lambda match: _cut(match.group(0)), text)


def _cut(found: str) -> str:
    """A URL found in a sentence without what may be secret, and with the punctuation that follows it."""
    url = found.rstrip(".,:;!?)]}")
    return found if url.endswith("//") else public_url(url) + found[len(url) :]


@cache
def _parts(value: str) -> frozenset[str]:
    """The texts whose appearance would give a secret away: all of it, or the parts of a URL that can hold a key."""
    parts = {value}
    if "://" in value:
        try:
            url = urlsplit(value)
        except ValueError:
            return frozenset(parts)
        queries = [piece.partition("=")[2] for piece in url.query.split("&")]
        login = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
        pieces = [
            b64encode(login.encode()).decode(),
            url.path,
            url.query,
            url.username or "",
            url.password or "",
            *url.path.split("/"),
            *queries,
        ]
        # the URL itself is left to the cut of all URLs, which keeps the host readable
        # and a scheme inside a path is no secret: hiding it would keep other URLs from being cut
        parts = {piece for piece in pieces if piece.strip("/") and not _SCHEME.fullmatch(piece)}
    parts = {part for part in parts if len(part) >= _WORTH_HIDING}
    return frozenset(parts | {quote(part, safe="") for part in parts} | {unquote(part) for part in parts})


def _made(value: str, origin: str) -> Secret:
    if not value.strip():
        raise SecretMissing(f"{origin} is empty")
    return Secret(value, origin)


def _variable(name: str, env: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        raise SecretMissing("a reference holds no name of an environment variable", hint="write ${NAME}, with letters, digits and _")
    value = env.get(name)
    if value is None:
        raise SecretMissing(f"environment variable {name} is not set", hint=f"export {name}=...")
    return value


def _from_keyring(path: str) -> str:
    service, _, name = path.rpartition("/")
    if not service or not name:
        raise SecretMissing("a keyring reference must be keyring:service/name")
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise SecretMissing("keyring: references need an extra", hint="pip install 'defi-risk[keyring]'") from None
    try:
        value = keyring.get_password(service, name)
    except KeyringError as error:
        raise SecretMissing(f"the system's keyring cannot be used ({type(error).__name__})", hint="use ${NAME} or file:path") from None
    if value is None:
        raise SecretMissing(f"the keyring has no {name!r} of service {service!r}", hint=f"keyring set {service} {name}")
    return value


def _from_file(path: Path) -> str:
    # opened first and judged by its descriptor, so that what is judged is what is read; non-blocking, so that a pipe cannot hang us
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise SecretMissing(f"file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SecretMissing("a file: reference holds a NUL character") from None
    try:
        _must_be_private(path, os.fstat(descriptor))
        data = os.read(descriptor, LONGEST + 1)
    finally:
        os.close(descriptor)
    if len(data) > LONGEST:
        raise SecretMissing(f"file {path} is larger than {LONGEST} bytes")
    try:
        return data.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise SecretMissing(f"file {path} is not UTF-8 text") from None


def _must_be_private(path: Path, status: os.stat_result) -> None:
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        raise SecretMissing(f"{path} is not a regular file")
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise SecretMissing(f"file {path} belongs to another user", hint="a secret must be in a file of your own")
    if os.name == "posix" and mode & 0o077:
        raise SecretMissing(f"file {path} can be read or changed by others (mode {mode & 0o777:04o})", hint=f"chmod 600 {path}")
