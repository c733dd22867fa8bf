"""Margin accounts out of what was read: isolated positions, and the margin that others share, by the mode of the account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from defi_risk.ids import AccountId, Address, ChainId, erc20_id
from defi_risk.model import Account, Custody, Leg, LiquidationRule, Owner, Position, Price, Role, SelfCheck, Side
from defi_risk.spi import Context, Market
from defi_risk.text import shown
from defi_risk.units import EXACT, Quantity, exact_ratio
from defi_risk_adapters.hyperliquid.exact import ONE, POOLED_LINE, Book, Perp, PerpExact
from defi_risk_adapters.hyperliquid.margin import brackets, decimal
from defi_risk_adapters.hyperliquid.positions import MICRO, Dex, Lost, Unread
from defi_risk_adapters.hyperliquid.precompiles import PERP_PLACES
from defi_risk_adapters.hyperliquid.tokens import MAINNET, Token

CUSTODY: Final = (
    Custody(
        asset=erc20_id(ChainId(42161), Address("0xaf88d065e77c8cC2239327C5EDb3A432268e5831")),
        holder=Address("0x2Df1c51E09aECF9cacB7bc98cB1742757f163dF7"),
    ),
    Custody(
        asset=erc20_id(ChainId(MAINNET), Address("0xb88339CB7199b77E23DB6E890353E22632Ba630f")),
        holder=Address("0x6B9E773128f453f5c2C60935Ee2DE2CBc5390A24"),
    ),
)
"""USDC comes and goes through the bridge on Arbitrum and through the deposit wallet on HyperEVM."""
ZERO: Final = Decimal(0)
RULE: Final = LiquidationRule(kind="close", close_factor=Decimal("0.2"), full_under_usd=Decimal(100_000), remainder="refunded")
"""A position above 100,000 USDC is first closed by a fifth. Below two thirds of the maintenance margin the liquidator vault takes over
what is left, and the rest of the margin is lost: no field of a rule says that.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose accounts these are and where."""

    owner: Owner
    market: Market
    at: Context
    venue: str

    def account(self, suffix: str, mode: str, legs: Sequence[Leg], exact: PerpExact | None, said: dict[str, int | bool]) -> Account:
        """A known account; `said` is what the venue itself says of the numbers in its `native`."""
        native = exact.native() if exact else {}
        return Account(
            id=self._id(suffix),
            owner=self.owner.address,
            side=Side.DERIVATIVES,
            venue=self.market.venue or self.venue,
            market=self.market.name,
            chain=self.at.chain.name,
            mode=mode,
            legs=tuple(legs),
            exact=exact,
            native=native,
            self_check=SelfCheck.compare(native, said) if said else None,
            liquidatable=exact.liquidatable() if exact else False,
            rule=RULE,
            source=self.at.chain.name,
            custody=CUSTODY if self.at.chain.id == MAINNET else (),
        )

    def unknown(self, suffix: str, mode: str, reason: str) -> Account:
        """An account that is there and could not be read."""
        return Account(
            id=self._id(suffix),
            owner=self.owner.address,
            side=Side.DERIVATIVES,
            venue=self.market.venue or self.venue,
            market=self.market.name,
            chain=self.at.chain.name,
            mode=mode,
            rule=RULE,
            status="unknown",
            reason=shown(reason, 200),
            source=self.at.chain.name,
        )

    def _id(self, suffix: str) -> AccountId:
        whole = self.market.account_id(self.owner)
        return AccountId(f"{whole}/{suffix}") if suffix else whole


def isolated(place: Place, dexs: Iterable[Dex], tokens: Mapping[int, Token]) -> list[Account]:
    """One account for each position with margin of its own."""
    found: list[Account] = []
    for dex in dexs:
        coin = tokens.get(dex.collateral)
        for perp in dex.isolated:
            suffix, mode = f"isolated:{perp.number}", f"isolated {perp.asset.symbol}"
            if coin is None:
                found.append(place.unknown(suffix, mode, _no_token(dex.collateral)))
                continue
            exact = PerpExact(Fraction(perp.cash), (perp,))
            legs = [margin(coin, exact), position(place.at, perp, coin, ONE, dex.funding.get(perp.asset.symbol))]
            found.append(place.account(suffix, mode, legs, exact, sizes(dex, [perp])))
        found += [place.unknown(f"isolated:{one.number}", f"isolated {one.coin}", one.reason) for one in dex.lost if _apart(one)]
    return found


def _apart(lost: Lost) -> bool:
    return lost.isolated and lost.number >= 0


def standard(place: Place, dexs: Iterable[Dex], tokens: Mapping[int, Token], withdrawable: int | None) -> list[Account]:
    """Standard mode: the margin of every dex is an account of its own."""
    found: list[Account] = []
    for dex in dexs:
        suffix, mode = (f"dex:{dex.number}", f"cross {dex.name}") if dex.number else ("", "cross")
        coin = tokens.get(dex.collateral)
        fault = dex.fault or ("" if coin else _no_token(dex.collateral))
        if fault or coin is None:
            found.append(place.unknown(suffix, mode, fault))
            continue
        if not dex.cross and not dex.cash:
            continue
        exact = PerpExact(Fraction(dex.cash), dex.cross, books=books([dex]))
        free = None if withdrawable is None or dex.number else Quantity(withdrawable, PERP_PLACES)
        legs = [margin(coin, exact, free), *positions(place.at, [dex], coin, ONE)]
        found.append(place.account(suffix, mode, legs, exact, said([dex])))
    return found


def aside(dexs: Iterable[Dex], tokens: Mapping[int, Token]) -> list[tuple[Token, Quantity]]:
    """Cash of known dexs that is set aside for orders with isolated margin, in standard mode: it backs nothing yet."""
    known = ((tokens.get(dex.collateral), dex.reserved) for dex in dexs if not dex.fault)
    return [(coin, Quantity(amount, PERP_PLACES)) for coin, amount in known if coin is not None and amount]


def pooled(place: Place, dexs: Sequence[Dex], coin: Token, cash: Fraction) -> Account:
    """Unified mode: one account for each token that dexs settle in, over all of them and the spot balance."""
    exact = PerpExact(
        cash, tuple(perp for dex in dexs for perp in dex.cross), books=books(dexs), line=POOLED_LINE, ratio="unifiedAccountRatio"
    )
    legs = [margin(coin, exact), *positions(place.at, dexs, coin, POOLED_LINE)]
    return place.account(*pool(coin.number, coin.asset.symbol), legs, exact, said(dexs))


def pool(number: int, symbol: str = "") -> tuple[str, str]:
    """Suffix and mode of the unified account in a token."""
    return (f"token:{number}" if number else "", f"unified {symbol or f'token {number}'}")


def unread(place: Place, dexs: Iterable[Unread]) -> list[Account]:
    """Accounts in standard mode of dexs beside the main one that could not be read."""
    return [place.unknown(f"dex:{dex.number}", f"cross {dex.name}", dex.reason) for dex in dexs]


def books(dexs: Iterable[Dex]) -> tuple[Book, ...]:
    """What can be compared with the chain's summaries."""
    return tuple(book for dex in dexs if (book := dex.book) is not None)


def said(dexs: Sequence[Dex]) -> dict[str, int | bool]:
    """The chain's summaries, and the service's sizes, under the names of `native`."""
    found: dict[str, int | bool] = {}
    for dex in dexs:
        of = f":{dex.name}" if dex.name else ""
        if dex.book is not None:
            found |= {f"accountValue{of}": dex.summary.accountValue, f"ntlPos{of}": dex.summary.ntlPos}
        found |= sizes(dex, dex.cross)
    return found


def sizes(dex: Dex, perps: Iterable[Perp]) -> dict[str, int | bool]:
    """Sizes of positions as the service says them, in the chain's integers."""
    told = {held.coin: held.size for held in dex.state.held}
    return {f"szi:{perp.asset.symbol}": int(EXACT.scaleb(told[perp.asset.symbol], perp.asset.decimals)) for perp in perps}


def margin(coin: Token, exact: PerpExact, available: Quantity | None = None, owed: Decimal = ZERO) -> Leg:
    """What the account has without the profit of its positions, and without what it owes in a leg of its own; may be negative."""
    balance = exact.cash + sum(perp.value - perp.profit for perp in exact.perps) + Fraction(owed) * MICRO
    return Leg(
        role=Role.MARGIN,
        asset=coin.asset,
        factor=coin.ref.factor,
        peg=coin.ref.peg,
        amount=Quantity.of(decimal(balance / MICRO)),
        price=coin.price,
        available=available,
    )


def positions(at: Context, dexs: Iterable[Dex], coin: Token, line: Fraction) -> list[Leg]:
    """Legs of the positions that share a margin."""
    return [position(at, perp, coin, line, dex.funding.get(perp.asset.symbol)) for dex in dexs for perp in dex.cross]


def position(at: Context, perp: Perp, coin: Token, line: Fraction, funding: Decimal | None) -> Leg:
    """The leg of a position. A token's price in dollars is that of the coin that it settles in."""
    ref = at.factor_of(perp.asset.id)
    mark = Quantity(perp.mark, perp.price_places)
    size = Quantity(perp.size, perp.asset.decimals)
    return Leg(
        role=Role.POSITION,
        asset=perp.asset,
        factor=ref.factor,
        peg=ref.peg,
        amount=Quantity(abs(perp.size), perp.asset.decimals),
        price=_in_dollars(mark, coin, perp.key),
        position=Position(
            size=size.decimal(),
            entry=exact_ratio(perp.entry * 10**perp.asset.decimals, abs(perp.size) * MICRO),
            mark=mark.decimal(),
            quote=coin.ref.factor,
            quote_peg=coin.ref.peg,
            tiers=brackets(perp.tiers, line, PERP_PLACES),
            initial_rate=exact_ratio(1, perp.leverage),
            funding_8h=funding,
            unrealized_pnl=Quantity(perp.profit, PERP_PLACES).decimal(),
        ),
    )


def _in_dollars(mark: Quantity, coin: Token, source: str) -> Price | None:
    if coin.price is None:
        return None
    return Price(Quantity.of(EXACT.multiply(mark.decimal(), coin.price.value.decimal())), source=source)


def _no_token(number: int) -> str:
    return f"the chain does not tell what token {number} is, in which the dex settles"
