"""dYdX v4: subaccounts of one address, as the indexer tells them. No key: what it tells is public.

A subaccount is one margin account in USDC at oracle prices; isolated markets live in child subaccounts (parent + 128 k). In quantums of
1e-6 USDC: notional = size * oracle price, cut; initial margin = notional * initial fraction, rounded up; maintenance = the initial margin
without open-interest scaling * maintenance fraction, rounded up. The indexer tells the product of both, `maintenanceMarginFraction`, which
is what is used here: at most two quantums a position less. Dead when maintenance is above equity, and not at it.

`equity` and the positions' profits are at the oracle prices of the moment when the indexer answered, a request before those that are
used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from typing import ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import BadAnswer, Unsupported
from defi_risk.ids import Factor
from defi_risk.model import Account, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.common import ZERO, notional, per_8h, same_digits
from defi_risk_adapters.exchanges.generic import MOST, Figures, Line, cross, distinct, equity_of, optional, total

USDC: Final = "USDC"
CHILDREN: Final = 128
"""Parents are the subaccounts below this; the children of parent n are n + 128, n + 256, ..."""
QUANTUM: Final = Decimal("0.000001")
OF_TWO_MOMENTS: Final = Decimal("0.005")
"""Tolerance, of the gross notional: what oracle prices move between the answer with the positions and the one with the prices."""
STALE: Final = 120
"""Seconds that the indexer may be behind."""
HOURLY: Final = Decimal(1)
NOT_FOUND: Final = "HTTP 404"
"""How the indexer answers for an address without subaccounts."""


class Dydx:
    """Every subaccount of the address in the book's `wallet`."""

    names: ClassVar = ("dydx",)
    api: ClassVar = API
    venue: ClassVar = "dYdX"
    needs: ClassVar = ("walletAddress",)
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "height": ExchangeRead("indexerGetHeight", ("GET /v4/height",), private=False),
        "subaccounts": ExchangeRead("indexerGetAddressesAddress", ("GET /v4/addresses/{}",)),
        "perpetuals": ExchangeRead("indexerGetPerpetualMarkets", ("GET /v4/perpetualMarkets",), private=False),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Subaccounts with positions or collateral, and how old the indexer's answers are."""
        if not at.address.startswith("dydx1"):
            raise Unsupported("the wallet of a dYdX account is not an address of its chain", hint="it begins with dydx1")
        [height, given, listed] = yield [
            ExchangeCall("height"),
            ExchangeCall("subaccounts", (("address", at.address),), optional=True),
            ExchangeCall("perpetuals"),
        ]
        if isinstance(given, Failed):
            if NOT_FOUND in given.reason:
                raise BadAnswer("dYdX tells of no subaccount of this address: nothing was ever paid in, or it is mistyped")
            [given] = yield [ExchangeCall("subaccounts", (("address", at.address),))]
        report = _age(at, Answer(height, "height")["time"].text())
        markets = Answer(listed, "perpetualMarkets")["markets"].record()
        accounts: list[Account | SourceReport] = []
        seen: set[int] = set()
        rows = Answer(given, "addresses")["subaccounts"].listing()
        if not rows:  # an address without any is not found
            raise BadAnswer("dYdX tells of no subaccount of this address")
        for row in rows:
            number = row["subaccountNumber"].integer(0, 2**32)
            if row["address"].text(90) != at.address:
                raise BadAnswer(f"subaccount {number} is of another address")
            if number in seen:
                raise BadAnswer(f"subaccount {number} is listed twice")
            seen.add(number)
            accounts += self._subaccount(at, number, row, markets)
        return [*accounts, report]

    def _subaccount(self, at: Desk, number: int, row: Answer, markets: Mapping[str, Answer]) -> list[Account]:
        cash = _cash(row["assetPositions"])
        lines = distinct(_line(name, one, markets) for name, one in row["openPerpetualPositions"].record().items())
        equity = row["equity"].decimal(-MOST, MOST)
        if not lines and equity != cash:
            raise BadAnswer(f"subaccount {number} has an equity of {equity}, {cash} of collateral and no positions")
        if not lines and not cash:
            return []
        gross = total(notional(line.position) for line in lines)
        # the collateral that positions settle into is what is left of them at entry: equity = cash + sum of size * price
        balance = EXACT.add(cash, total(EXACT.multiply(line.position.size, line.position.entry) for line in lines))
        initial = total(_margin(line, line.position.initial_rate) for line in lines)
        told = str(row["equity"].value)
        worth = equity_of(balance, lines)
        ours = {"equity": same_digits(worth, told)}
        theirs = {"equity": told}
        free = str(row["freeCollateral"].value)
        ours["freeCollateral"], theirs["freeCollateral"] = same_digits(EXACT.subtract(worth, initial), free), free
        checked = Figures(ours=ours, theirs=theirs, tolerance=OF_TWO_MOMENTS, scale=max(gross, abs(cash), QUANTUM))
        child = number >= CHILDREN
        account = cross(
            at,
            self.venue,
            [f"subaccount-{number}"],
            USDC,
            balance,
            lines,
            figures=checked,
            mode="isolated" if child else "cross",
            strict=True,
            shows=False,
        )
        return [account]

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """There is no key."""
        yield from ()
        return None


def _age(at: Desk, written: str) -> SourceReport:
    """A report that is "stale" where the indexer's latest block is old."""
    try:
        seconds = int(datetime.fromisoformat(written).timestamp())
    except ValueError:
        raise BadAnswer(f"the time of dYdX's latest block is {written!r}") from None
    late = at.milliseconds // 1_000 - seconds
    if late <= STALE:
        return SourceReport(id=at.name, kind="exchange", as_of=seconds)
    said = f"the indexer is {late} s behind this machine's clock"
    return SourceReport(id=at.name, kind="exchange", status="stale", error=said, as_of=seconds)


def _cash(assets: Answer) -> Decimal:
    """USDC of a subaccount, negative where it is owed. Raises `Unsupported` for other assets, which margin nothing on this chain yet."""
    cash = ZERO
    for name, asset in assets.record().items():
        if name != USDC or asset["symbol"].text() != USDC:
            raise Unsupported(f"dYdX holds {name} as an asset, and only {USDC} is modelled")
        size, side = asset["size"].decimal(0, MOST), asset["side"].text()
        if side not in ("LONG", "SHORT"):
            raise Unsupported(f"the side {side!r} of an asset is not known")
        cash = size if side == "LONG" else -size
    return cash


def _line(name: str, row: Answer, markets: Mapping[str, Answer]) -> Line:
    ticker, side, size = row["market"].text(), row["side"].text(), row["size"].decimal(-MOST, MOST)
    market = markets.get(ticker)
    if market is None or name != ticker:
        raise Unsupported(f"dYdX lists no market {ticker!r}, in which there is a position")
    if row["status"].text() != "OPEN" or side not in ("LONG", "SHORT") or not size or (size > 0) != (side == "LONG"):
        raise BadAnswer(f"the position in {ticker} is {row['status'].text()} {side} of size {size}")
    state = market["status"].text()
    if state == "FINAL_SETTLEMENT":
        raise Unsupported(f"{ticker} is in final settlement, in which no price counts")
    coin, _, _ = ticker.partition("-")
    funding = optional(market, "nextFundingRate")
    position = Position(
        size=size,
        entry=row["entryPrice"].decimal(0, MOST),
        mark=market["oraclePrice"].decimal(QUANTUM**3, MOST),
        quote=Factor(USDC),
        tiers=(Tier(ZERO, market["maintenanceMarginFraction"].decimal(0, 1), ZERO),),
        initial_rate=_initial(market),
        funding_8h=None if funding is None else per_8h(funding, HOURLY),
    )
    return Line(symbol=ticker, coin=coin.partition(",")[0], position=position)


def _initial(market: Answer) -> Decimal:
    """The initial margin fraction, scaled by open interest: linear from its base at the lower cap to 1 at the upper one."""
    base = market["initialMarginFraction"].decimal(0, 1)
    lower, upper = optional(market, "openInterestLowerCap"), optional(market, "openInterestUpperCap")
    if not upper or lower is None or upper <= lower:
        return base
    open_interest = EXACT.multiply(market["openInterest"].decimal(0, MOST), market["oraclePrice"].decimal(0, MOST))
    share = EXACT.divide(EXACT.subtract(open_interest, lower), EXACT.subtract(upper, lower))
    return EXACT.add(base, EXACT.multiply(min(max(share, ZERO), Decimal(1)), EXACT.subtract(Decimal(1), base)))


def _margin(line: Line, rate: Decimal) -> Decimal:
    """A margin requirement in whole quantums, rounded up, on a notional that is cut."""
    return rounded(notional(line.position), rate)


def rounded(worth: Decimal, *fractions: Decimal) -> Decimal:
    """USDC that a notional asks for: cut to quantums, then times each fraction in turn, rounded up every time."""
    amount = worth.quantize(QUANTUM, ROUND_DOWN, EXACT)
    for fraction in fractions:
        amount = EXACT.multiply(amount, fraction).quantize(QUANTUM, ROUND_CEILING, EXACT)
    return amount
