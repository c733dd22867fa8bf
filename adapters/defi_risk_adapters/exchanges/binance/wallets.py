"""Margin accounts of a futures wallet in one coin: its cross account, and one for each isolated position.

Both futures wallets of Binance have the same rule: maintenance margin against wallet balance and unrealised profit in the coin that the
contracts settle in; liquidation once the ratio reaches 100 %.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, OutOfRange
from defi_risk.model import Account, LiquidationRule, SelfCheck, Side
from defi_risk.spi import Desk
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.binance import holdings
from defi_risk_adapters.exchanges.binance.holdings import TEXT, Line, verbatim
from defi_risk_adapters.exchanges.binance.modes import VENUE
from defi_risk_adapters.exchanges.binance.tables import MOST
from defi_risk_adapters.exchanges.common import at_par, joint_price, margin, same_digits

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
    """What the account answer says of one coin; `told` are its own figures, verbatim. It is `doubted` where the exchange has never updated
    the entry, which is then a placeholder (ccxt issue 27997) unless a sum of the account holds it.
    """

    coin: str
    balance: Decimal
    cross: Decimal
    told: Mapping[str, str] = field(default_factory=dict)
    counts: bool = True
    doubted: bool = False


def wallets(account: Answer) -> dict[str, Wallet]:
    """Coins with a balance."""
    found: dict[str, Wallet] = {}
    for row in account["assets"].listing(2_000):
        coin = row["asset"].text(20)
        balance, cross = (row[name].decimal(-MOST, MOST) for name in ("walletBalance", "crossWalletBalance"))
        if not balance and not cross:
            continue
        if coin in found:
            raise BadAnswer(f"the account holds {coin} twice")
        updated, counts = row.get("updateTime"), row.get("marginAvailable")
        names = ("walletBalance", "crossWalletBalance", "crossUnPnl", "marginBalance", "maintMargin")
        told = {name: verbatim(part) for name in names if (part := row.get(name)) is not None}
        doubted = updated is not None and not updated.integer()
        found[coin] = Wallet(coin, balance, cross, told, counts is None or counts.flag(), doubted)
    return found


def held(account: Answer) -> object:
    """What only trading and transfers change in an account's answer."""
    balances = [(row["asset"].value, row["walletBalance"].value) for row in account["assets"].listing(2_000)]
    return balances, {key: str(row["positionAmt"].value) for key, row in holdings.open_rows(account["positions"], "account").items()}


def whole(account: Answer, coins: Mapping[str, Wallet], summed: Collection[str] = ()) -> None:
    """Raise `OutOfRange` where an account's sums say that it has funds, and its list of coins does not. The sums are of all coins, or of
    those `summed`.
    """
    if any(coin in coins for coin in summed) if summed else coins:
        return
    for name in ("totalWalletBalance", "totalMaintMargin"):
        if (total := account.get(name)) is not None and total.decimal(-MOST, MOST):
            raise OutOfRange(f"{total.path} is {total.value}, and no {' or '.join(summed) or 'coin'} has a balance")


def accounts(
    at: Desk, family: str, wallet: Wallet, lines: Sequence[Line], price: Decimal | None, assumptions: Sequence[str]
) -> list[Account]:
    """The cross account of one coin, if anything is in it, and its isolated ones."""
    cross = [one for one in lines if one.held.wallet is None]
    isolated = [(one, own) for one in lines if (own := one.held.wallet) is not None]
    found: list[Account] = []
    if wallet.doubted:
        found.append(_unsettled(at, family, wallet))
    elif cross or wallet.cross:
        apart = [own for _, own in isolated]
        found.append(_account(at, (family, wallet.coin), "cross", wallet, wallet.cross, cross, price, assumptions, apart))
    for one, own in isolated:
        sides = () if one.held.side == "BOTH" else (one.held.side,)
        parts = (family, one.held.symbol, *sides, "isolated")
        found.append(_account(at, parts, "isolated", wallet, own, [one], price, assumptions))
    return found


def _unsettled(at: Desk, family: str, wallet: Wallet) -> Account:
    return Account(
        id=at.account_id(family, wallet.coin),
        owner=at.name,
        side=Side.DERIVATIVES,
        venue=VENUE,
        market=f"{family}/{wallet.coin}",
        status="unknown",
        reason=f"{wallet.balance:f} {wallet.coin} stand in an entry that the exchange has never updated, and no sum tells if it counts",
    )


def _account(
    at: Desk,
    parts: Sequence[str],
    mode: str,
    wallet: Wallet,
    balance: Decimal,
    lines: Sequence[Line],
    price: Decimal | None,
    assumptions: Sequence[str],
    apart: Sequence[Decimal] = (),
) -> Account:
    """The cross account of a coin, `apart` being the wallets of its isolated positions, or one of these. The exchange's profit and
    maintenance margin of a coin are of all together.
    """
    leg = margin(at, wallet.coin, balance, price)
    leg = at_par(leg) if wallet.coin in DOLLARS else leg
    gained, needed = holdings.gains(lines), holdings.needs(lines)
    equity = EXACT.add(balance, gained)

    def liquidated_at(same: Sequence[Line]) -> Decimal | None:
        others = [one for one in lines if one.held.symbol != same[0].held.symbol]
        cushion = EXACT.subtract(EXACT.add(balance, holdings.gains(others)), holdings.needs(others))
        return joint_price([one.position for one in same], cushion)

    ours, theirs = together(holdings.prices(lines, liquidated_at), holdings.requirements(lines))
    name = "isolatedWallet" if mode == "isolated" else "crossWalletBalance"
    ours |= {name: str(balance), "maintMargin": cut(needed), "marginBalance": cut(equity), **ratio(needed, equity)}
    if mode == "cross":
        ours["crossUnPnl"] = cut(gained)
        sums = [name for name in ("walletBalance", "totalWalletBalance") if name in wallet.told]
        ours |= dict.fromkeys(sums, str(holdings.added([balance, *apart])))
        names = ("crossWalletBalance", *sums, "crossUnPnl", *(() if apart else ("maintMargin", "marginBalance")))
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
