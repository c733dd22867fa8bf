"""Binance: USDⓈ-M and COIN-M futures, and portfolio margin.

The book's id names the wallet: `binance` and `binanceusdm` read USDⓈ-M futures, `binancecoinm` (or `binance` with `defaultType =
"delivery"` or `defaultSubType = "inverse"`) COIN-M futures. Whether the account is in portfolio margin, where one
wallet margins both, is asked of the exchange; such an account is read by the id `binance` alone, so that no two entries of a book count it
twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import Unsupported
from defi_risk.model import Account, KeyRights, SourceReport
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Requests
from defi_risk_adapters.exchanges.binance import coinm, modes, portfolio, usdm
from defi_risk_adapters.exchanges.binance.reads import READS

__all__ = ["Binance"]

_TRADE: Final = (
    "enableFutures", "enableSpotAndMarginTrading", "enableMargin", "enablePortfolioMarginTrading", "enableVanillaOptions",
)  # fmt: skip
_MOVE: Final = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")
_ONE_WALLET: Final = "only the USDⓈ-M futures wallet was read: COIN-M futures are an exchange of their own, id binancecoinm"


class Binance:
    """One key's futures wallet, or its portfolio margin account."""

    names: ClassVar[tuple[str, ...]] = ("binance", "binanceusdm", "binancecoinm")
    api: ClassVar[int] = API
    venue: ClassVar[str] = modes.VENUE
    needs: ClassVar[tuple[str, ...]] = ("apiKey", "secret")
    reads: ClassVar[Mapping[str, ExchangeRead]] = READS

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Every margin account of the wallet that the book names, in the mode that the exchange tells."""
        mode = yield from modes.established(at)
        if mode.portfolio:
            if at.exchange != "binance":
                raise Unsupported("the account is in portfolio margin, where one wallet margins all", hint='name it id = "binance"')
            return (yield from portfolio.read(at, mode))
        if modes.inverse(at):
            return (yield from coinm.read(at, mode))
        found = yield from usdm.read(at, mode)
        if at.exchange == "binance" and not any(key in at.options for key in ("defaultType", "defaultSubType")):
            found.append(SourceReport(id=at.name, kind="exchange", notes=(_ONE_WALLET,)))
        return found

    def selects(self, at: Desk) -> str:
        """The wallet that the book names by id and options."""
        return "coinm" if modes.inverse(at) else "usdm"

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """What the key may do: `enableFutures` is the permission to trade futures, and a transfer between wallets moves funds, too."""
        [answer] = yield [ExchangeCall("rights")]
        told = Answer(answer, "apiRestrictions")
        return KeyRights(_any(told, _TRADE), _any(told, _MOVE), _any(told, ("ipRestrict",)))


def _any(told: Answer, fields: tuple[str, ...]) -> bool | None:
    """Whether one of the permissions is given; None where the first of them, which every key has, is not told and none is given."""
    flags = [part.flag() for field in fields if (part := told.get(field)) is not None]
    return True if any(flags) else False if told.get(fields[0]) is not None else None
