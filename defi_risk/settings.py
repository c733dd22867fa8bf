"""What adapters say of the settings of their markets, so that a mistyped one is told before anything is read.

An adapter may have a method `check(given)`: it takes a market's root addresses and settings by name, every reference (`${NAME}`) replaced
by what it leads to, and raises `SettingError` for what no reading could use. The functions `need_...` are what most of them take; they
pass over a setting that is not given. No message carries a value: a value may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from defi_risk.errors import AddressError, DefiRiskError, PluginError, SettingError
from defi_risk.ids import parse_address
from defi_risk.spi import Adapter


def check(adapter: Adapter, given: Mapping[str, str]) -> None:
    """Let an adapter look at a market's root addresses and settings; one without a check takes anything.

    Raises `SettingError`, and `PluginError` where the adapter's own check breaks.
    """
    looks = getattr(adapter, "check", None)
    if looks is None:
        return
    try:
        looks(given)
    except DefiRiskError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever foreign code raises must not end the run as a bug of ours, nor show a setting
        raise PluginError(f"adapter {adapter.name!r} cannot check the settings of a market: {type(error).__name__}") from None


def need_url(given: Mapping[str, str], name: str, *words: str) -> None:
    """The setting is an http(s) URL, or one of the words that stand for a source of another kind."""
    text = given.get(name)
    if text is None or text in words or _is_url(text.strip()):
        return
    raise SettingError(name, " or ".join(("must be an http(s) URL", *map(repr, words))), "https://host/path")


def need_address(given: Mapping[str, str], name: str) -> None:
    """The setting is an address."""
    if name not in given:
        return
    try:
        parse_address(given[name])
    except AddressError:
        raise SettingError(name, "must be an address", "0x and 40 hexadecimal digits") from None


def need_above_zero(given: Mapping[str, str], name: str) -> None:
    """The setting is a finite number above 0."""
    try:
        number = Decimal(given.get(name, "1"))
    except InvalidOperation:
        number = Decimal("NaN")
    if not (number.is_finite() and number > 0):
        raise SettingError(name, "must be a number above 0")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
