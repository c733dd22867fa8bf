"""The lock-step engine against adapters that behave and misbehave, over a source that answers from a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from defi_risk import engine
from defi_risk.errors import CallReverted, ServiceFailed, Undecodable, Unreachable
from defi_risk.ids import AccountId, ChainId, Factor, Peg, checksum
from defi_risk.model import Account, Anchor, Asset, Chain, Leg, Owner, Price, Quote, Role, Side, SourceReport
from defi_risk.pricing import PriceBook, resolve
from defi_risk.service_reports import united
from defi_risk.spi import Ask, Call, Context, Failed, InfoCall, Interface, Market, Reading, Steps, together
from defi_risk.units import Quantity

CHAIN = Chain(ChainId(1), "ethereum")
TOKEN = checksum("a" * 40)
ERC20 = Interface("defi_risk_abis", "erc20")
AT = Context(CHAIN, 100, 1_700_000_000)


class Answers:
    """A source whose answers are a function of the ask; counts what it is asked."""

    def __init__(self, answer: Callable[[Ask], Any]) -> None:
        self.anchor = Anchor(CHAIN, 100, "0x" + "1" * 64, 1_700_000_000)
        self.rounds: list[list[Ask]] = []
        self._answer = answer

    def answer(self, asks: Sequence[Ask]) -> Sequence[Any]:
        self.rounds.append(list(asks))
        return [self._answer(ask) for ask in asks]


def account(owner: Owner, market: Market) -> Account:
    return Account(id=market.account_id(owner), owner=owner.address, side=Side.LENDING, venue="toy", market=market.name)


class Toy:
    name: ClassVar[str] = "toy"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Toy"
    roots: ClassVar[tuple[str, ...]] = ("vault",)

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        [symbol] = yield [ERC20(TOKEN, "symbol")]
        [balance] = yield [ERC20(TOKEN, "balanceOf", owner.address)]
        return [account(owner, market)] if balance and symbol else []


class Broken(Toy):
    """Misbehaves in the way its class attribute says."""

    name: ClassVar[str] = "broken"
    fault: ClassVar[str] = ""

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        if self.fault == "start":
            raise RuntimeError("no")
        yield [ERC20(TOKEN, "symbol")]
        if self.fault == "later":
            raise ZeroDivisionError
        while self.fault == "endless":
            yield [ERC20(TOKEN, "symbol")]
        if self.fault == "nonsense":
            yield ["a read"]  # type: ignore[list-item]  # what a careless author might do
        return []


def jobs(adapter: Any, count: int) -> list[engine.Job]:
    market = Market(adapter.name, CHAIN, "toy", (("vault", TOKEN),))
    return [engine.Job(adapter, Owner(checksum(f"{n:040x}")), market) for n in range(1, count + 1)]


def test_equal_asks_of_all_readings_are_asked_once_a_round() -> None:
    source = Answers(lambda ask: 5)
    found = engine.read(source, jobs(Toy(), 20), AT)
    assert [len(asks) for asks in source.rounds] == [1, 20]
    assert len(found.accounts) == 20
    assert all(item.known for item in found.accounts)


@pytest.mark.parametrize("error", [CallReverted("reverted"), Undecodable("not a number")])
def test_a_failing_read_makes_one_unknown_account(error: Exception) -> None:
    poor = checksum(f"{3:040x}")
    source = Answers(lambda ask: error if isinstance(ask, Call) and ask.args == (poor,) else 5)
    found = engine.read(source, jobs(Toy(), 5), AT)
    unknown = [item for item in found.accounts if not item.known]
    assert [item.owner for item in unknown] == [poor]
    assert unknown[0].reason == str(error)
    assert len(found.accounts) == 5


@pytest.mark.parametrize("fault", ["start", "later", "endless", "nonsense"])
def test_a_bug_of_one_adapter_touches_nobody_else(fault: str) -> None:
    broken = type("Now", (Broken,), {"fault": fault})()
    found = engine.read(Answers(lambda ask: 5), [*jobs(Toy(), 2), *jobs(broken, 1)], AT)
    assert [item.known for item in found.accounts] == [True, True, False]
    assert found.accounts[2].reason


def test_an_account_that_is_returned_twice_is_unknown_not_counted_twice() -> None:
    twice = jobs(Toy(), 1) * 2
    [only] = engine.read(Answers(lambda ask: 5), [*twice], AT).accounts
    assert not only.known
    assert only.id == twice[0].market.account_id(twice[0].owner)
    assert "twice" in only.reason


class Told(Toy):
    """Asks the chain and a service, and reports what `report` says."""

    name: ClassVar[str] = "told"
    side: ClassVar[Side] = Side.DERIVATIVES
    report: ClassVar[SourceReport | None] = None

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        state, _ = yield [InfoCall("https://x", owner.address), InfoCall("https://x", path="extra", optional=True)]
        yield [InfoCall("https://x", owner.address), ERC20(TOKEN, "symbol")]
        found = [account(owner, market)] if state else []
        return [*found, *([replace(self.report, as_of=state)] if self.report else [])]


def service(ask: Ask) -> Any:
    """Wallets 1 and 3 are known at times 1 and 3, of wallet 2 the service knows nothing, and what is optional fails."""
    if isinstance(ask, InfoCall):
        number = int(ask.body or "0x0", 16)
        return Failed("no extras") if ask.optional else ServiceFailed("https://x answered HTTP 500") if number == 2 else number
    return 5


def test_a_service_that_fails_one_wallet_leaves_the_others_and_is_reported() -> None:
    found = engine.read(Answers(service), [*jobs(Told(), 3), *jobs(Toy(), 1)], AT)
    assert [(item.known, item.side) for item in found.accounts if item.id.startswith("eip155:1/told")] == [
        (True, Side.LENDING),
        (False, Side.DERIVATIVES),
        (True, Side.LENDING),
    ]
    assert found.accounts[1].reason == "https://x answered HTTP 500"
    error = "https://x answered HTTP 500"
    # four questions in the first round, the two wallets that are left in the second
    assert found.reports == [
        SourceReport(id="told", kind="exchange", status="failed", error=error, notes=("no extras",), calls=6, round_trips=2)
    ]


def test_reports_of_all_wallets_are_one_with_the_oldest_time() -> None:
    said = SourceReport(id="ethereum", kind="chain", status="stale", error="\x1b[31mslow", notes=("\u202ea", "b"), calls=9)
    adapter = type("Now", (Told,), {"report": said})()
    [report] = engine.read(Answers(lambda ask: service(ask) if getattr(ask, "path", "") else 7), jobs(adapter, 2), AT).reports
    assert (report.id, report.kind, report.status, report.as_of) == ("told", "exchange", "stale", 7)
    assert (report.error, report.notes, report.calls) == ("[31mslow", ("no extras", "a", "b"), 5)


@pytest.mark.parametrize("status", ["failed", "nonsense"])
def test_the_worst_status_counts(status: str) -> None:
    reports = [SourceReport(id="x", as_of=9), SourceReport(id="x", status=status, error="gone", as_of=8), SourceReport(id="y")]
    adapter = type("Now", (Told,), {"report": reports[1]})()
    [told] = engine.read(Answers(lambda ask: 4), jobs(adapter, 1), AT).reports
    assert (told.status, told.error) == ("failed", "gone")
    if status == "failed":
        both = united([*reports, SourceReport(id="x", status="stale", error="old")])
        assert [(report.id, report.status, report.error, report.as_of) for report in both] == [
            ("x", "failed", "gone", 8),
            ("y", "ok", "", None),
        ]


def test_a_service_that_answered_nothing_has_failed_unless_its_adapter_says_otherwise() -> None:
    class Hopeful(Toy):
        name: ClassVar[str] = "hopeful"
        report: ClassVar[SourceReport | None] = None

        def read(self, owner: Owner, market: Market, at: Context) -> Reading:
            yield [InfoCall("https://x", path="extra", optional=True)]
            return [account(owner, market), *([self.report] if self.report else [])]

    [silent] = engine.read(Answers(service), jobs(Hopeful(), 2), AT).reports
    assert (silent.status, silent.error, silent.notes) == ("failed", "no extras", ())
    spoken = type("Now", (Hopeful,), {"report": SourceReport(id="", notes=("funding unknown",))})()
    [report] = engine.read(Answers(service), jobs(spoken, 2), AT).reports
    assert (report.status, report.error, report.notes) == ("ok", "", ("no extras", "funding unknown"))


def test_a_failing_source_ends_the_reading() -> None:
    def fail(_: Ask) -> Any:
        raise Unreachable("node is gone")

    with pytest.raises(Unreachable):
        engine.read(Answers(fail), jobs(Toy(), 1), AT)


def test_together_shares_rounds_and_keeps_order() -> None:
    def steps(count: int) -> Steps[int]:
        total = 0
        for _ in range(count):
            [value] = yield [ERC20(TOKEN, "decimals")]
            total += value
        return total

    source = Answers(lambda ask: 2)
    assert engine.run(source, together([steps(3), steps(0), steps(1)])) == [6, 0, 2]
    assert len(source.rounds) == 3


def leg(factor: str, price: Price | None, peg: Peg | None = None) -> Leg:
    asset = Asset(AT.token_id(TOKEN), factor, 18)
    return Leg(role=Role.COLLATERAL, asset=asset, factor=Factor(factor), peg=peg, amount=Quantity(10**18, 18), price=price)


def test_prices_in_another_unit_become_usd_exactly() -> None:
    ratio = Price(Quantity(123456789, 8), unit=Factor("ETH"))
    held = Account(id=AccountId("a"), owner="x", side=Side.LENDING, venue="v", market="m", legs=(leg("ETH", ratio, Peg("stETH/ETH")),))
    quotes = [Quote(Factor("ETH"), Price(Quantity(value, 8))) for value in (3000_00000000, 3010_00000000)]
    [priced] = resolve([held], PriceBook(quotes, []))
    assert priced.legs[0].price is not None
    assert priced.legs[0].price.value.decimal() == Decimal("1.23456789") * 3000


def test_what_nobody_prices_is_unknown_not_worthless() -> None:
    held = Account(id=AccountId("a"), owner="x", side=Side.LENDING, venue="v", market="m", legs=(leg("DOGE", None),))
    [unknown] = resolve([held], PriceBook([], []))
    assert not unknown.known
    assert "DOGE" in unknown.reason


def test_a_peg_is_never_assumed() -> None:
    held = Account(id=AccountId("a"), owner="x", side=Side.LENDING, venue="v", market="m", legs=(leg("ETH", None, Peg("stETH/ETH")),))
    [unknown] = resolve([held], PriceBook([Quote(Factor("ETH"), Price(Quantity(3000, 0)))], []))
    assert not unknown.known


def test_calls_are_values() -> None:
    assert ERC20(TOKEN, "symbol") == Call(TOKEN, ERC20, "symbol")
    assert len({ERC20(TOKEN, "symbol"), ERC20(TOKEN, "symbol")}) == 1
