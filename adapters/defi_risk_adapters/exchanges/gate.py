"""Gate's perpetual futures, classic account: one wallet per settling coin, with cross and isolated positions, one-way or in dual mode.

Maintenance = |value| * (rate of the bracket + taker fee) - deduction; a position's own `average_maintenance_rate` already has the
deduction in it. `total` of a wallet is without profit and holds the margin of isolated positions. In the unified account (a wallet whose
`margin_mode` is not 0) futures are margined by coins elsewhere: named, and unknown. So are wallets of delivery futures and options that
hold something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar, Final

from defi_risk.answers import Answer
from defi_risk.errors import Unsupported
from defi_risk.ids import USD, Factor
from defi_risk.model import Account, Contract, KeyRights, Position, SourceReport, Tier
from defi_risk.spi import API, Desk, ExchangeCall, ExchangeRead, Failed, Requests
from defi_risk.units import EXACT
from defi_risk_adapters.exchanges.classic import accounted
from defi_risk_adapters.exchanges.common import ZERO, notional, per_8h, same_digits, steady
from defi_risk_adapters.exchanges.generic import (
    MOST,
    OF_ONE_MOMENT,
    ONE,
    Figures,
    Line,
    cross,
    distinct,
    equity_of,
    isolated,
    needed_by,
    optional,
    shown_price,
    total,
    traces,
    unread,
)

SETTLES: Final = ("usdt", "btc")
PAGE: Final = 100
"""Positions in one answer at most."""
MOST_PAGES: Final = 20
NO_PRICE: Final = 99_999_999
"""What a short that no price liquidates has for its liquidation price."""
NEVER_OPENED, FORBIDDEN = "HTTP 400", "HTTP 403"
"""How Gate answers for a wallet that nothing was ever paid into, and for one that the key may not read."""
_API: Final = "GET /api/v4/"
_HOUR: Final = Decimal(3_600)


class Gate:
    """Classic futures wallets in USDT and BTC. `wallets` finds those that hold something, `wallet` is the same read of this moment."""

    names: ClassVar = ("gate",)
    api: ClassVar = API
    venue: ClassVar = "Gate"
    needs: ClassVar = ("apiKey", "secret")
    reads: ClassVar[Mapping[str, ExchangeRead]] = {
        "time": ExchangeRead("fetch_time", (_API + "spot/time",), private=False),
        "mode": ExchangeRead("privateUnifiedGetUnifiedMode", (_API + "unified/unified_mode",), kept=600),
        "wallets": ExchangeRead("privateFuturesGetSettleAccounts", (_API + "futures/{}/accounts",), kept=600),
        "wallet": ExchangeRead("privateFuturesGetSettleAccounts", (_API + "futures/{}/accounts",)),
        "delivery": ExchangeRead("privateDeliveryGetSettleAccounts", (_API + "delivery/{}/accounts",), kept=600),
        "options": ExchangeRead("privateOptionsGetAccounts", (_API + "options/accounts",), kept=600),
        "positions": ExchangeRead("privateFuturesGetSettlePositions", (_API + "futures/{}/positions",)),
        "contract": ExchangeRead("publicFuturesGetSettleContractsContract", (_API + "futures/{}/contracts/{}",), 600, private=False),
        "tiers": ExchangeRead("publicFuturesGetSettleRiskLimitTiers", (_API + "futures/{}/risk_limit_tiers",), 21_600, private=False),
        "rights": ExchangeRead("privateAccountGetMainKeys", (_API + "account/main_keys",)),
    }

    def read(self, at: Desk) -> Requests[list[Account | SourceReport]]:
        """Every wallet that holds something, with its positions."""
        [mode] = yield [ExchangeCall("mode", optional=True)]
        _check_mode(mode)
        found = yield from _wallets("wallets")
        live = [settle for settle, wallet in found.items() if wallet is not None and _funded(wallet)]
        if not live:  # what was kept must not stand for an empty account
            found = yield from _wallets("wallet")
            live = [settle for settle, wallet in found.items() if wallet is not None and _funded(wallet)]
        accounts: list[Account | SourceReport] = []
        for name, ask in (("delivery", ExchangeCall("delivery", (("settle", "usdt"),))), ("options", ExchangeCall("options"))):
            accounts += yield from self._elsewhere(at, name, ask)
        for settle in live:
            accounts += yield from self._settle(at, settle)
        return accounts

    def _elsewhere(self, at: Desk, name: str, ask: ExchangeCall) -> Requests[list[Account | SourceReport]]:
        """What tells of a wallet that is not modelled: an unknown account where it holds something, a note where the key may not ask."""
        given = yield from _opened(ask)
        if isinstance(given, Failed):
            return [SourceReport(id=at.name, kind="exchange", notes=(f"the wallet of {name} was not read: {given.reason}",))]
        if given is None or not _funded(given):
            return []
        return [unread(at, self.venue, [name, "USDT"], f"Gate's wallet of {name} holds funds or positions, and is not modelled")]

    def _settle(self, at: Desk, settle: str) -> Requests[list[Account]]:
        of = (("settle", settle),)
        wallet = ExchangeCall("wallet", of)
        pages: list[ExchangeCall] = []
        while True:
            first = (("offset", str(len(pages) * PAGE)),) if pages else ()
            pages.append(ExchangeCall("positions", (("holding", "true"), ("limit", str(PAGE)), *first, *of)))
            [before], given = yield from steady([wallet], lambda _: pages, _held)
            listed = [Answer(page, "positions").listing() for page in given]
            if len(listed[-1]) < PAGE:
                break
            if len(pages) == MOST_PAGES:
                raise Unsupported(f"Gate lists {MOST_PAGES * PAGE} positions or more in one wallet")
        row = Answer(before, "account")
        coin = row["currency"].text()
        if coin.lower() != settle:
            raise Unsupported(f"Gate's wallet of {settle} is in {coin!r}")
        rows = [one for page in listed for one in page if one["size"].decimal(-MOST, MOST)]
        names = dict.fromkeys(one["contract"].text() for one in rows)
        asks = [
            ask
            for name in names
            for ask in (ExchangeCall("contract", (*of, ("contract", name))), ExchangeCall("tiers", (*of, ("contract", name))))
        ]
        answers = (yield asks) if asks else []
        contracts = {name: Answer(answers[2 * index], "contract") for index, name in enumerate(names)}
        tiers = {name: _tiers(answers[2 * index + 1]) for index, name in enumerate(names)}
        pairs = [(_line(one, contracts[one["contract"].text()], tiers[one["contract"].text()], settle), one) for one in rows]
        lines = distinct(line for line, _ in pairs)
        return self._accounts(at, coin, row, lines, pairs)

    def _accounts(self, at: Desk, coin: str, row: Answer, lines: Sequence[Line], pairs: Sequence[tuple[Line, Answer]]) -> list[Account]:
        margin_mode = row["margin_mode"].integer(0, 100)
        if margin_mode != 0:
            raise Unsupported(f"Gate's margin mode {margin_mode} of a unified account is not modelled", hint="only classic (0) is")
        apart = [line for line in lines if line.margin is not None]
        shared = [line for line in lines if line.margin is None]
        accounted(coin, lines, *traces(row, "unrealised_pnl", "position_margin"))
        accounted(coin, apart, *traces(row, "isolated_position_margin"))
        accounted(coin, shared, *traces(row, "cross_maintenance_margin", "cross_unrealised_pnl"))
        balance = EXACT.subtract(row["total"].decimal(-MOST, MOST), total(line.margin or ZERO for line in apart))
        price = next((line.position.mark for line in lines if line.position.contract is Contract.INVERSE), None)
        given = {line.name: one for line, one in pairs}
        accounts = [
            isolated(at, self.venue, coin.lower(), coin, line, figures=_needs([line], given, OF_ONE_MOMENT), price=price) for line in apart
        ]
        if balance or shared:
            figures = _wallet(row, balance, shared, _needs(shared, given, None))
            accounts.append(cross(at, self.venue, [coin.lower(), coin], coin, balance, shared, figures=figures, price=price))
        return accounts

    def rights(self, at: Desk) -> Requests[KeyRights | None]:
        """From the permissions that the key was made with: all that are not `read_only` can be written to."""
        [given] = yield [ExchangeCall("rights")]
        keys = Answer(given, "rights").listing() if isinstance(given, list) else [Answer(given, "rights")]
        if len(keys) != 1:  # all keys of the main account, and nothing that tells which is ours
            return KeyRights()
        [key] = keys
        perms = key["perms"].listing()
        written = {one["name"].text() for one in perms if not one["read_only"].flag()}
        state = key.get("ip_whitelist")
        bound = None if state is None else bool(state.listing())
        return KeyRights(trade=bool(written - {"withdraw", "wallet"}), withdraw=bool(written & {"withdraw", "wallet"}), bound=bound)


def _check_mode(given: object) -> None:
    """Raise `Unsupported` for a unified account. A key that may not ask says nothing: each wallet tells its margin mode as well."""
    if isinstance(given, Failed):
        return
    mode = Answer(given, "unified_mode")["mode"].text()
    if mode != "classic":
        raise Unsupported(f"Gate's unified account in mode {mode!r} is not modelled", hint="only the classic account is")


def _opened(ask: ExchangeCall) -> Requests[object | None]:
    """A wallet; None for one that was never opened, and `Failed` for one that the key may not read. Other failures are raised."""
    answers = yield [replace(ask, optional=True)]
    given: object = answers[0]
    if isinstance(given, Failed) and NEVER_OPENED in given.reason:
        return None
    if not isinstance(given, Failed) or FORBIDDEN in given.reason:
        return given
    answers = yield [ask]
    again: object = answers[0]
    return again


def _wallets(read: str) -> Requests[dict[str, object | None]]:
    """Wallets by settling coin; None for one that was never opened."""
    found: dict[str, object | None] = {}
    for settle in SETTLES:
        given = yield from _opened(ExchangeCall(read, (("settle", settle),)))
        if isinstance(given, Failed):
            [given] = yield [ExchangeCall(read, (("settle", settle),))]
        found[settle] = given
    return found


def _funded(given: object) -> bool:
    row = Answer(given, "account")
    held = row["total"].decimal(-MOST, MOST)
    return bool(held) or any(optional(row, field) for field in ("unrealised_pnl", "position_margin", "available"))


def _held(given: Sequence[Any]) -> object:
    row = Answer(given[0], "account")
    return row["total"].decimal(-MOST, MOST), optional(row, "isolated_position_margin")


def _tiers(given: object) -> tuple[Tier, ...]:
    """Brackets up to each risk limit, in the settling coin (of a coin-margined contract too), with the deduction where Gate tells it."""
    found: list[Tier] = []
    floor = ZERO
    for row in sorted(Answer(given, "tiers").listing(500), key=lambda row: row["tier"].integer(0)):
        limit, rate, deduction = row["risk_limit"].decimal(0, MOST), row["maintenance_rate"].decimal(0, 1), optional(row, "deduction")
        if found and deduction is None:
            last = found[-1]
            deduction = EXACT.add(last.deduction, EXACT.multiply(floor, EXACT.subtract(rate, last.rate)))
        found.append(Tier(floor, rate, deduction or ZERO))
        if limit <= floor:
            raise Unsupported("Gate's risk limits do not rise")
        floor = limit
    if not found:
        raise Unsupported("Gate tells no risk limits of a contract in which there is a position")
    return tuple(found)


def _line(row: Answer, contract: Answer, tiers: tuple[Tier, ...], settle: str) -> Line:
    symbol, mode = row["contract"].text(), row["mode"].text()
    if contract["name"].text() != symbol:
        raise Unsupported(f"Gate tells of the contract {contract['name'].text()!r} where {symbol!r} was asked for")
    if mode not in ("single", "dual_long", "dual_short"):
        raise Unsupported(f"Gate's position mode {mode!r} is not known")
    inverse = contract["type"].text() == "inverse"
    if inverse != (settle == "btc") or contract["type"].text() not in ("inverse", "direct"):
        raise Unsupported(f"Gate's contract {symbol!r} of type {contract['type'].text()!r} in {settle} is not modelled")
    base, _, quote = symbol.partition("_")
    size = row["size"].decimal(-MOST, MOST)
    if mode != "single":
        size = abs(size) if mode == "dual_long" else -abs(size)
    if inverse and contract["quanto_multiplier"].decimal(0, MOST):
        raise Unsupported(f"{symbol!r} is a quanto contract, whose profit is in a third coin")
    worth = size if inverse else EXACT.multiply(size, contract["quanto_multiplier"].decimal(0, MOST))
    leverage = row["leverage"].decimal(0, 1_000)
    told = row.get("pos_margin_mode")
    if told is not None and told.text() != ("isolated" if leverage else "cross"):
        raise Unsupported(f"Gate's margin mode {told.text()!r} of {symbol} at leverage {leverage} is not known")
    limit = optional(row, "cross_leverage_limit") or optional(contract, "cross_leverage_default") or row["leverage_max"].decimal(1, 1_000)
    rate = optional(contract, "funding_rate")
    position = Position(
        size=worth,
        entry=row["entry_price"].decimal(0, MOST),
        mark=row["mark_price"].decimal(0, MOST),
        quote=USD if inverse else Factor(quote),
        contract=Contract.INVERSE if inverse else Contract.LINEAR,
        tiers=tiers,
        initial_rate=EXACT.divide(ONE, leverage or limit),
        close_fee=contract["taker_fee_rate"].decimal(0, 1),
        funding_8h=None if rate is None else per_8h(rate, EXACT.divide(contract["funding_interval"].decimal(1, 864_000), _HOUR)),
        unrealized_pnl=row["unrealised_pnl"].decimal(-MOST, MOST),
        index=optional(contract, "index_price"),
    )
    return Line(
        symbol=symbol,
        coin=base,
        position=position,
        side=mode.removeprefix("dual_") if mode != "single" else "",
        margin=row["margin"].decimal(-MOST, MOST) if leverage else None,
        shown=shown_price(row, "liq_price") if row["liq_price"].decimal() < NO_PRICE else "",
    )


def _needs(lines: Sequence[Line], given: Mapping[str, Answer], tolerance: Decimal | None) -> Figures:
    """Worth and maintenance margin of each position, as Gate tells them."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for line in lines:
        row = given[line.name]
        for field, figure in (("value", notional(line.position)), ("maintenance_margin", needed_by([line]))):
            if optional(row, field):
                theirs[f"{field}:{line.name}"] = str(row[field].value)
                ours[f"{field}:{line.name}"] = same_digits(figure, str(row[field].value))
    return Figures(ours=ours, theirs=theirs) if tolerance is None else Figures(ours=ours, theirs=theirs, tolerance=tolerance)


def _wallet(row: Answer, balance: Decimal, lines: Sequence[Line], needs: Figures) -> Figures:
    """A wallet's own figures: balance digit for digit, and the cross margin balance and maintenance where it tells them."""
    ours = {**needs.ours, "total": str(row["total"].value)}
    theirs = {**needs.theirs, "total": str(row["total"].value)}
    told = (("cross_margin_balance", equity_of(balance, lines)), ("cross_maintenance_margin", needed_by(lines)))
    for field, figure in told:
        if lines and optional(row, field):
            theirs[field] = str(row[field].value)
            ours[field] = same_digits(figure, theirs[field])
    return Figures(ours=ours, theirs=theirs)
