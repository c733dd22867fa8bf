"""Margin accounts of a futures wallet in one coin: its cross account, and one for each isolated position.

Both futures wallets of Binance have the same rule: maintenance margin against wallet balance and unrealised profit in the coin that the
contracts settle in; liquidation once the ratio reaches 100 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, OutOfRange
from defi_risk.model import Account, LiquidationRule, SelfCheck, Side
from defi_risk.spi import Desk
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.binance import holdings
from defi_risk_adapters.exchanges.binance.holdings import TEXT, Line
from defi_risk_adapters.exchanges.binance.modes import VENUE
from defi_risk_adapters.exchanges.binance.tables import MOST
from defi_risk_adapters.exchanges.common import at_par, margin, same_digits

TOLERANCE: Final = Decimal("0.001")
"""Liquidation prices rest on marks and indices of two answers that are a moment apart; a deduction forgotten is off by more."""
SMALLEST: Final = Decimal("0.0001")
"""Figures below it in their coin are compared by its tolerance."""
DOLLARS: Final = ("USDT", "USDC", "FDUSD")
CLOSED: Final = LiquidationRule(kind="close", remainder="refunded")
LOST: Final = LiquidationRule(kind="close", remainder="lost")
"""Isolated positions are taken over at their bankruptcy price: what is left goes to the insurance fund."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """What the account answer says of one coin; `told` are its own figures, verbatim."""

    coin: str
    balance: Decimal
    cross: Decimal
    told: Mapping[str, str] = field(default_factory=dict)
    counts: bool = True


def wallets(account: Answer) -> tuple[dict[str, Wallet], list[str]]:
    """Coins with a balance, and notes about those left out. An entry that was never updated is a placeholder, whatever it says."""
    found: dict[str, Wallet] = {}
    notes: list[str] = []
    for row in account["assets"].listing(2_000):
        coin = row["asset"].text(20)
        balance, cross = (row[name].decimal(-MOST, MOST) for name in ("walletBalance", "crossWalletBalance"))
        if not balance and not cross:
            continue
        if coin in found:
            raise BadAnswer(f"the account holds {coin} twice")
        updated, counts = row.get("updateTime"), row.get("marginAvailable")
        if updated is not None and not updated.integer():
            notes.append(f"{coin} was left out: the exchange has never updated its entry")
            continue
        names = ("walletBalance", "crossWalletBalance", "crossUnPnl", "marginBalance", "maintMargin")
        told = {name: str(part.value) for name in names if (part := row.get(name)) is not None}
        found[coin] = Wallet(coin, balance, cross, told, counts is None or counts.flag())
    return found, notes


def held(account: Answer) -> object:
    """What only trading and transfers change in an account's answer."""
    balances = [(row["asset"].value, row["walletBalance"].value) for row in account["assets"].listing(2_000)]
    return balances, {key: str(row["positionAmt"].value) for key, row in holdings.open_rows(account["positions"], "account").items()}


def whole(account: Answer, coins: Mapping[str, Wallet], notes: Sequence[str]) -> None:
    """Raise `OutOfRange` where an account's sums say that it has funds, and its list of coins does not."""
    if coins or notes:
        return
    for name in ("totalWalletBalance", "totalMaintMargin"):
        if (total := account.get(name)) is not None and total.decimal(-MOST, MOST):
            raise OutOfRange(f"{total.path} is {total.value}, and no coin has a balance")


def accounts(
    at: Desk, family: str, wallet: Wallet, lines: Sequence[Line], price: Decimal | None, assumptions: Sequence[str]
) -> list[Account]:
    """The cross account of one coin, if anything is in it, and its isolated ones."""
    cross = [one for one in lines if one.held.wallet is None]
    found: list[Account] = []
    if cross or wallet.cross:
        alone = len(cross) == len(lines)
        found.append(_account(at, (family, wallet.coin), "cross", wallet, wallet.cross, cross, price, assumptions, alone=alone))
    for one in lines:
        if one.held.wallet is not None:
            sides = () if one.held.side == "BOTH" else (one.held.side,)
            parts = (family, one.held.symbol, *sides, "isolated")
            found.append(_account(at, parts, "isolated", wallet, one.held.wallet, [one], price, assumptions, alone=False))
    return found


def _account(
    at: Desk,
    parts: Sequence[str],
    mode: str,
    wallet: Wallet,
    balance: Decimal,
    lines: Sequence[Line],
    price: Decimal | None,
    assumptions: Sequence[str],
    *,
    alone: bool,
) -> Account:
    leg = margin(at, wallet.coin, balance, price)
    leg = at_par(leg) if wallet.coin in DOLLARS else leg
    gained, needed = holdings.gains(lines), holdings.needs(lines)
    equity = EXACT.add(balance, gained)

    def liquidated_at(same: Sequence[Line]) -> Decimal | None:
        others = [one for one in lines if one.held.symbol != same[0].held.symbol]
        cushion = EXACT.subtract(EXACT.add(balance, holdings.gains(others)), holdings.needs(others))
        return holdings.crossing([one.position for one in same], cushion)

    ours, theirs = together(holdings.prices(lines, liquidated_at), holdings.requirements(lines))
    name = "isolatedWallet" if mode == "isolated" else "crossWalletBalance"
    ours |= {name: str(balance), "maintMargin": cut(needed), "marginBalance": cut(equity), **ratio(needed, equity)}
    if mode == "cross":
        ours["crossUnPnl"] = cut(gained)
        names = ("crossWalletBalance", "crossUnPnl", *(("maintMargin", "marginBalance") if alone else ()))
        theirs |= {key: wallet.told[key] for key in names if key in wallet.told}
    else:
        theirs[name] = str(balance)
    return Account(
        id=at.account_id(*parts),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=VENUE,
        market="/".join(parts),
        mode=mode,
        legs=(leg, *(one.leg(at) for one in lines)),
        stated=ours,
        self_check=SelfCheck.within(TOLERANCE, ours, theirs, scale=SMALLEST),
        strict=False,
        rule=LOST if mode == "isolated" else CLOSED,
        assumptions=tuple(dict.fromkeys(assumptions)),
    )


def together(*pairs: tuple[dict[str, str], dict[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Ours and theirs of several figures in one."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for one, other in pairs:
        ours |= one
        theirs |= other
    return ours, theirs


def cut(number: Decimal) -> str:
    """A figure with Binance's eight decimals, cut."""
    return same_digits(number, TEXT)


def ratio(needed: Decimal, equity: Decimal) -> dict[str, str]:
    """The margin ratio that Binance shows, maintenance margin by margin balance; none where there is no balance to divide by."""
    return {"marginRatio": cut(EXACT.divide(needed, equity))} if equity > 0 else {}
