"""Which mode an account is in, by what the exchange says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import Unsupported
from defi_risk.spi import Desk, ExchangeCall, Failed, Requests

VENUE: Final = "Binance"
_OPTION: Final = "portfolioMargin"
_FIELD: Final = "isPortfolioMarginRetailEnabled"
_BY_BOOK: Final = "the exchange does not tell whether the account is in portfolio margin: the book says that it is not"
_BY_FUNDS: Final = "the exchange does not tell whether the account is in portfolio margin: funds in its futures wallet say that it is not"


@dataclass(frozen=True, slots=True)
class Mode:
    """Whether the account is in portfolio margin, and whether the exchange said so; else `why` it is taken to be so."""

    portfolio: bool
    told: bool
    why: str = ""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What must be said of accounts that rest on it."""
        return (self.why,) if self.why else ()


def inverse(at: Desk) -> bool:
    """Whether the book names the COIN-M wallet. Raises `Unsupported` for a wallet that is none of futures."""
    if at.exchange == "binancecoinm":
        return True
    if at.exchange == "binanceusdm":
        return False
    kind, sub = at.options.get("defaultType", "swap"), at.options.get("defaultSubType", at.options.get("subType"))
    if kind not in ("swap", "future", "delivery") or sub not in (None, "linear", "inverse"):
        raise Unsupported(f"defaultType {kind!r} and subType {sub!r} name no futures wallet", hint='use "swap", or "delivery" for COIN-M')
    return sub == "inverse" or (kind == "delivery" and sub is None)


def established(at: Desk) -> Requests[Mode]:
    """Ask for the mode, in this order: the account's own flag, whether the portfolio margin service answers, the book. Where none of them
    can be asked, funds in the futures wallet tell, for those of an account in portfolio margin are elsewhere; an empty wallet tells
    nothing (`empty`). Raises `Unsupported` where the account's answer lacks the flag.
    """
    chosen = at.options.get(_OPTION)
    if chosen is True:  # its own service must answer, or nothing is read
        return Mode(portfolio=True, told=True)
    [info] = yield [ExchangeCall("info", optional=True)]
    if not isinstance(info, Failed) and (flag := Answer(info, "account/info").get(_FIELD)) is not None:
        return Mode(portfolio=flag.flag(), told=True)
    [account] = yield [ExchangeCall("pm_account", optional=True)]
    if not isinstance(account, Failed) and Answer(account, "papi/account").get("accountStatus") is not None:
        return Mode(portfolio=True, told=True)
    if chosen is not False and not isinstance(info, Failed):
        raise Unsupported(
            "the exchange does not tell whether this account is in portfolio margin",
            hint="if you know, say options = { portfolioMargin = true } or false",
        )
    return Mode(portfolio=False, told=False, why=_BY_BOOK if chosen is False else _BY_FUNDS)


def empty(mode: Mode) -> Requests[None]:
    """Make sure that a wallet which looks empty is where funds would be. Raises `Unsupported` where it may not be."""
    if not mode.told:
        hint = "if they are, say options = { portfolioMargin = true }"
        raise Unsupported("the wallet is empty, and the exchange does not tell whether funds are in portfolio margin", hint=hint)
    [info] = yield [ExchangeCall("info_now")]
    if Answer(info, "account/info")[_FIELD].flag():
        raise Unsupported("the account went into portfolio margin while it was read", hint="scan again")
