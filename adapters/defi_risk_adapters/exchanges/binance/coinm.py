"""The COIN-M futures wallet: inverse contracts of 100 or 10 USD, one cross account for each coin, and isolated positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from defi_risk.answers import Answer
from defi_risk.model import Account, SourceReport
from defi_risk.spi import Desk, ExchangeCall, Failed, Requests
from defi_risk_adapters.exchanges.binance import holdings, modes
from defi_risk_adapters.exchanges.binance.tables import COINM, indices, tables
from defi_risk_adapters.exchanges.binance.wallets import Wallet, accounts, held, wallets, whole
from defi_risk_adapters.exchanges.common import ZERO, steady


def read(at: Desk, mode: modes.Mode) -> Requests[list[Account | SourceReport]]:
    """Every margin account of the wallet."""
    after, asked = yield from steady([ExchangeCall("coin_account")], _rest, lambda answers: held(_account(answers)))
    account = _account(after)
    coins = wallets(account)
    whole(account, coins)
    rows = holdings.open_rows(account["positions"], "account")
    risks = holdings.open_rows(Answer(asked[1], "positionRisk"), "positionRisk") if rows else {}
    positions = holdings.of_account(rows, risks)
    if not coins and not positions:
        yield from modes.empty(mode)
    premium = asked[0] if asked else None
    told = yield from tables(at, COINM, list(dict.fromkeys(one.symbol for one in positions)), premium)
    lines = [holdings.line(at, one, told) for one in positions]
    known = {} if premium is None or isinstance(premium, Failed) else indices(premium)
    found: list[Account | SourceReport] = []
    for coin in dict.fromkeys([*coins, *(one.listed.coin for one in lines)]):
        mine = [one for one in lines if one.listed.coin == coin]
        says = (*mode.assumptions, *told.says({one.held.symbol for one in mine}))
        found += accounts(at, COINM.name, coins.get(coin, Wallet(coin, ZERO, ZERO)), mine, known.get(coin), says)
    return [*found, SourceReport(id=at.name, kind="exchange", notes=tuple(told.notes))]


def _account(answers: Sequence[Any]) -> Answer:
    return Answer(answers[0], "account")


def _rest(answers: Sequence[Any]) -> list[ExchangeCall]:
    """Index prices, which value the coins, and positions where there are any."""
    account = _account(answers)
    coins = wallets(account)
    rows = holdings.open_rows(account["positions"], "account")
    asks = [ExchangeCall("coin_premium_now", optional=True)] if coins or rows else []
    return [*asks, *([ExchangeCall("coin_positions")] if rows else [])]
