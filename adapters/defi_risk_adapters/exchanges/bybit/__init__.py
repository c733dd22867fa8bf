"""Bybit: the unified trading account in cross, isolated and portfolio mode; linear and inverse contracts, USDT, USDC and coin margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer
from defi_risk.model import Account, KeyRights, SourceReport
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Requests
from defi_risk_adapters.exchanges.bybit.accounts import accounts
from defi_risk_adapters.exchanges.bybit.contracts import described
from defi_risk_adapters.exchanges.bybit.moment import moment
from defi_risk_adapters.exchanges.bybit.wallet import Mode, mode_of

HOURS_6: Final = 21_600
WITHDRAW: Final = "Withdraw"


class Bybit:
    """One unified account, which is one margin account in cross and portfolio mode, and one a position in isolated mode.

    The mode is kept for ten minutes, but the balance shows by which of its figures it leaves empty whether that mode still holds: where it
    does not, and where the account looks empty, the mode is read anew. A scan costs the balance twice and one list of positions for each
    coin that settles some; in portfolio mode, where the balance does not say which do, all four lists.
    """

    names: ClassVar[tuple[str, ...]] = ("bybit",)
    api: ClassVar[int] = API
    venue: ClassVar[str] = "Bybit"
    needs: ClassVar[tuple[str, ...]] = ("apiKey", "secret")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", ("GET /v5/market/time",), private=False),
        "account": ExchangeRead("privateGetV5AccountInfo", ("GET /v5/account/info",), kept=600),
        "account_now": ExchangeRead("privateGetV5AccountInfo", ("GET /v5/account/info",)),
        "wallet": ExchangeRead("privateGetV5AccountWalletBalance", ("GET /v5/account/wallet-balance",)),
        "positions": ExchangeRead("privateGetV5PositionList", ("GET /v5/position/list",)),
        "fees": ExchangeRead("privateGetV5AccountFeeRate", ("GET /v5/account/fee-rate",), kept=3_600),
        "borrowing": ExchangeRead("privateGetV5AccountCollateralInfo", ("GET /v5/account/collateral-info",), kept=3_600),
        "tiers": ExchangeRead("publicGetV5MarketRiskLimit", ("GET /v5/market/risk-limit",), kept=HOURS_6, private=False),
        "contracts": ExchangeRead("publicGetV5MarketInstrumentsInfo", ("GET /v5/market/instruments-info",), kept=HOURS_6, private=False),
        "tickers": ExchangeRead("publicGetV5MarketTickers", ("GET /v5/market/tickers",), kept=600, private=False),
        "collateral": ExchangeRead(
            "publicGetV5SpotMarginTradeCollateral", ("GET /v5/spot-margin-trade/collateral",), kept=HOURS_6, private=False
        ),
        "rights": ExchangeRead("privateGetV5UserQueryApi", ("GET /v5/user/query-api",)),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """All margin accounts of the unified account."""
        [told] = yield [ExchangeCall("account")]
        mode = mode_of(Answer(told, "account"))
        wallet, held = yield from moment(mode)
        if wallet.empty or not wallet.shows(mode):
            [told] = yield [ExchangeCall("account_now")]
            kept, mode = mode, mode_of(Answer(told, "account"))
            if mode is not kept:
                wallet, held = yield from moment(mode)
            if mode is not Mode.ISOLATED and not wallet.shows(mode):
                raise BadAnswer(f"the balance is not one of an account in {mode.value} mode")
        notes: list[str] = []
        book = yield from described(at, mode, wallet, held, notes)
        return list(accounts(at, mode, wallet, book, notes))

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """What the key may do. A key that only reads lists permissions too: they are what it may read."""
        [told] = yield [ExchangeCall("rights")]
        return rights_of(Answer(told, "rights")["result"])


def rights_of(told: Answer) -> KeyRights:
    """Rights as `readOnly` and the lists of permissions tell them; a key for all addresses has "*" for its addresses."""
    writes = told["readOnly"].integer(0, 1) == 0
    given = {name: [item.text() for item in items.listing(100)] for name, items in told["permissions"].record(100).items()}
    addresses = [item.text(200) for item in told["ips"].listing(1_000)]
    withdraws = WITHDRAW in given.get("Wallet", [])
    others = any(item != WITHDRAW for items in given.values() for item in items)
    return KeyRights(trade=writes and others, withdraw=writes and withdraws, bound=bool(addresses) and "*" not in addresses)
