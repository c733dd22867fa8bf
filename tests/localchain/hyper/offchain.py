"""A double of HyperCore as the venue's info service shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.localchain.hyper.service import NotServed
from tests.localchain.hyper.state import HYPE, USDC, Coin, Dex, HyperCore, Position, Token, User, margin_used

Say = Callable[[Any], Any]


@dataclass
class Service:
    """Answers questions about a double. `instead` changes what is said to a type of question, or to one of a dex (`clearinghouseState
    xyz`).
    """

    core: HyperCore
    instead: dict[str, Say] = field(default_factory=dict)

    def say(self, question: dict[str, Any]) -> Any:
        """The answer to a question. Raises `NotServed`."""
        kind, of = question["type"], question.get("dex", "")
        dex = next((dex for dex in self.core.dexs if dex.name == of), None)
        if dex is None:
            raise NotServed(kind)
        user = next((user for address, user in self.core.users.items() if address.lower() == question.get("user")), User())
        found = _said(self.core, kind, user, dex)
        change = self.instead.get(f"{kind} {of}".rstrip())
        return change(found) if change else found


def _said(core: HyperCore, kind: str, user: User, dex: Dex) -> Any:
    known: dict[str, Callable[[], Any]] = {
        "perpDexs": lambda: [None if not each.name else {"name": each.name, "fullName": f"Dex {each.name}"} for each in core.dexs],
        "allPerpMetas": lambda: [meta(each) for each in core.dexs],
        "metaAndAssetCtxs": lambda: [meta(dex), [{"funding": coin.funding, "markPx": text(coin.mark)} for coin in dex.coins]],
        "userAbstraction": lambda: user.mode,
        "clearinghouseState": lambda: clearing(core, user, dex),
        "spotClearinghouseState": lambda: spot(core, user),
        "userVaultEquities": lambda: [{"vaultAddress": vault, "equity": text(equity)} for vault, equity in user.vaults.items()],
        "allBorrowLendReserveStates": lambda: [
            [token.number, {"oraclePx": text(token.price), "ltv": text(token.ltv), "borrowYearlyRate": "0.05", "balance": "1000000.0"}]
            for token in core.tokens.values()
            if token.ltv or token.number == USDC
        ],
    }
    if kind not in known:
        raise NotServed(kind)
    return known[kind]()


def meta(dex: Dex) -> dict[str, Any]:
    """`meta`: also plain tables have their tier."""
    universe: list[dict[str, Any]] = [
        {"name": coin.name, "szDecimals": coin.places, "maxLeverage": coin.leverage, "marginTableId": coin.table}
        | ({"isDelisted": True} if coin.delisted else {})
        for coin in dex.coins
    ]
    tables = {coin.table: dex.tiers(coin) for coin in dex.coins}
    return {
        "universe": universe,
        "marginTables": [
            [number, {"description": "", "marginTiers": [{"lowerBound": f"{low}.0", "maxLeverage": most} for low, most in tiers]}]
            for number, tiers in sorted(tables.items())
        ],
        "collateralToken": dex.collateral,
    }


def clearing(core: HyperCore, user: User, dex: Dex) -> dict[str, Any]:
    """`clearinghouseState`."""
    held = core.held(user, dex)
    return {
        "marginSummary": _sums(core.value(user, dex), held),
        "crossMarginSummary": _sums(core.cross_value(user, dex), [(coin, one) for coin, one in held if one.cash is None]),
        "crossMaintenanceMarginUsed": text(core.maintenance(user, dex)),
        "withdrawable": text(core.withdrawable(user, dex)),
        "assetPositions": [{"type": "oneWay", "position": _position(core, user, dex, coin, one)} for coin, one in held],
        "time": core.time * 1_000 + 123,
    }


def _position(core: HyperCore, user: User, dex: Dex, coin: Coin, one: Position) -> dict[str, Any]:
    price = core.liquidation_price(user, dex, coin, one)
    leverage: dict[str, Any] = {"type": "cross" if one.cash is None else "isolated", "value": one.leverage}
    return {
        "coin": coin.name,
        "szi": text(one.size),
        "leverage": leverage if one.cash is None else leverage | {"rawUsd": text(one.cash)},
        "entryPx": text((one.entry / abs(one.size)).quantize(Decimal("1e-8"))),
        "positionValue": text(abs(one.size) * coin.mark),
        "unrealizedPnl": text(one.size * coin.mark - one.entry.copy_sign(one.size)),
        "liquidationPx": None if price is None else text(price.quantize(Decimal("1e-10"))),
        "marginUsed": text(margin_used(coin, one)),
        "maxLeverage": coin.leverage,
        "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
    }


def spot(core: HyperCore, user: User) -> dict[str, Any]:
    """`spotClearinghouseState`."""
    settling = {dex.collateral for dex in core.dexs} if user.pooled else set[int]()
    held = {number for number, amount in user.spot.items() if amount}
    found: dict[str, Any] = {"balances": [_balance(core, user, core.tokens[number]) for number in sorted(held | settling)]}
    if user.pooled:
        left = {number: core.pool(user, number) for number in sorted(settling)}
        found["tokenToAvailableAfterMaintenance"] = [[number, text(margin - needed)] for number, (margin, needed) in left.items()]
    if user.mode == "portfolioMargin":
        found["portfolioMarginEnabled"] = True
        found["portfolioMarginRatio"] = text(core.portfolio_ratio(user).quantize(Decimal("1e-9")))
        found["tokenToPortfolioBorrowRatio"] = [[USDC, "0.03"]]
        found["tokenToPortfolioSupplyRatio"] = [[HYPE, "0.1"]]
    return found


def _balance(core: HyperCore, user: User, token: Token) -> dict[str, Any]:
    row: dict[str, Any] = {"coin": token.name, "token": token.number, "total": text(core.spot_total(user, token.number))}
    row |= {"hold": "0.0", "entryNtl": "0.0"}
    if user.mode == "portfolioMargin" and (token.ltv or token.number == USDC):
        row["ltv"] = text(token.ltv)
        supplied = core.lent(user, token.number) if token.ltv else user.supplied
        row |= {"supplied": text(supplied)} if supplied else {}
    if user.borrowed and token.number == USDC:
        row["borrowed"] = text(user.borrowed)
    return row


def text(number: Decimal) -> str:
    """As the service writes numbers: plain digits with at least one behind the point."""
    plain = format(number, "f")
    return plain if "." in plain else f"{plain}.0"


def _sums(value: Decimal, held: list[tuple[Coin, Position]]) -> dict[str, str]:
    worth = sum((one.size * coin.mark for coin, one in held), Decimal(0))
    return {
        "accountValue": text(value),
        "totalNtlPos": text(sum((abs(one.size) * coin.mark for coin, one in held), Decimal(0))),
        "totalRawUsd": text(value - worth),
        "totalMarginUsed": text(sum((margin_used(coin, one) for coin, one in held), Decimal(0))),
    }
