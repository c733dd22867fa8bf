"""How figures are written for people; rounding never hides on which side of a line a figure is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from defi_risk.ids import AccountId, Peg
from defi_risk.model import Account, Side
from defi_risk.snapshot.words import Names, dollars, headline, percent, price, ratio, unified, verdict
from defi_risk.words import at_least, at_most, share
from tests.accounts import BTC, ETH, OWNER, USDC, collateral, debt, loan, perp
from tests.pictures import BROKEN, READ, hedge, picture, unknown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (1.3725, "1.37"),
        (0.99996, "1.0000"),
        (0.9999, "0.9999"),
        (1.0004, "1.0004"),
        (1.0, "1.0000"),
        (0.0, "0.00"),
        (20.04, "20.0"),
        (1234.5, "1,234"),
        (1e12, "1.00e+12"),
    ],
)
def test_ratios(value: float | None, text: str) -> None:
    assert ratio(value) == text


@pytest.mark.parametrize(
    ("move", "text"),
    [
        (None, "-"),
        (-0.518, "-51.8 %"),
        (0.3725, "+37.2 %"),
        (-0.0004, "-0.04 %"),
        (4.263, "+426.3 %"),
        (98.0, "+9,800 %"),
        (1e9, "+1.0e+11 %"),
    ],
)
def test_moves(move: float | None, text: str) -> None:
    assert percent(move) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (12_900.4, "$12,900"), (-3.2, "-$3.20"), (0.0, "$0.00"), (1.25e9, "$1.25 bn"), (-2e15, "-$2.00e+15")],
)
def test_dollars(value: float | None, text: str) -> None:
    assert dollars(value) == text


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (3.201, "$3.21", "$3.20"),
        (12_900.4, "$12,901", "$12,900"),
        (50, "$50.00", "$50.00"),
        (0.1 + 0.2, "$0.30", "$0.30"),
        (1.234e9, "$1.24 bn", "$1.23 bn"),
    ],
)
def test_what_is_to_be_done_is_rounded_to_the_safe_side(value: float, least: str, most: str) -> None:
    assert (at_least(value), at_most(value)) == (least, most)


@pytest.mark.parametrize(("value", "text"), [(0.286, "28.6 %"), (0.0, "0 %"), (0.001, "0.10 %"), (489.15, "48,915 %"), (-0.02, "-2.0 %")])
def test_shares(value: float, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4117.647, "4,117.65"),
        (0.93125, "0.9313"),
        (0.00001234, "0.00001234"),
        (1.5, "1.500"),
        (0.0, "0.00"),
        (1e12, "1.000e+12"),
        (1e-12, "1.000e-12"),
    ],
)
def test_prices(value: float, text: str) -> None:
    assert price(value) == text


def test_the_answer_in_one_line() -> None:
    assert headline(picture(hedge())) == (
        "unified health 1.37, first to go: Hyperliquid · main, if the market RISES 37.3 % (ETH at $4,117.65)"
    )
    assert unified(picture([*hedge(), unknown()])) == "at most 1.37"
    assert unified(picture(hedge(), [READ, BROKEN])) == "at most 1.37"


def test_books_without_a_number() -> None:
    def said(*accounts: object, sources: tuple[object, ...] = (READ,)) -> str:
        taken = picture(accounts, sources)  # type: ignore[arg-type]
        return f"{unified(taken)}: {verdict(taken, Names(taken.accounts))}"

    idle = loan(collateral(ETH, 1, 3000))
    assert said() == "∞: no margin accounts found"
    assert said(idle) == "∞: no market move liquidates anything"
    assert said(idle, unknown()) == "at most ∞: no market move liquidates what could be read"
    assert said(unknown()) == "unknown: no account could be read"
    assert said(sources=(BROKEN,)) == "unknown: nothing could be read"
    assert said(loan(collateral(ETH, 1, 3000, "0.8"), debt(USDC, 2600))) == "0.92: venue of loan · main can be LIQUIDATED NOW"


def test_a_market_move_of_several_factors_says_what_one_alone_would_do() -> None:
    mixed = loan(collateral(ETH, 8, 3000, "0.8"), collateral(BTC, "0.1", 60_000, "0.8"), debt(USDC, 12_000))
    assert headline(picture([mixed])).endswith("if the market FALLS 50.0 % (ETH alone: -62.5 %, at $1,125.00)")


def test_a_price_is_called_by_what_it_is_the_price_of() -> None:
    staked = loan(collateral(ETH, 10, 3600, "0.8", peg=Peg("stETH/ETH")), collateral(ETH, 1, 3000, "0.8"), debt(USDC, 15_600))
    assert headline(picture([staked])).endswith("if the market FALLS 50.0 % (stETH at $1,800.00)")
    mixed = loan(
        collateral(ETH, "6.666666666", 3600, "0.8", peg=Peg("stETH/ETH")), collateral(BTC, "0.1", 60_000, "0.8"), debt(USDC, 12_000)
    )
    assert headline(picture([mixed])).endswith("if the market FALLS 50.0 % (ETH alone: -62.5 %, stETH at $1,350.00)")


def test_names_are_as_short_as_the_book_allows() -> None:
    one, two = loan(venue="Aave V3", chain="ethereum"), loan(name="b", venue="Aave V3", chain="ethereum")
    lone = picture([one]).accounts
    assert Names(lone).of(lone[0]) == "Aave V3 · main"
    other = perp(name="c", venue="Spark", chain="base", owner="0x" + "22" * 20)
    several = picture([one, two, other]).accounts
    assert [Names(several).of(account) for account in several] == [
        "0x1111…1111 · Aave V3 · main · ethereum · manual:loan",  # two of one name are told apart
        "0x1111…1111 · Aave V3 · main · ethereum · manual:b",
        "0x2222…2222 · Spark · main · base",
    ]
    markets = [replace(one, id=AccountId(f"eip155:1/aave_v3:0x{digit * 40}/{OWNER}")) for digit in "ab"]
    assert [Names(markets).of(account) for account in markets] == ["Aave V3 · main · 0xaaaa…aaaa", "Aave V3 · main · 0xbbbb…bbbb"]
    inside = [replace(one, id=AccountId(f"eip155:1/gmx_v2:0x{'a' * 40}/{OWNER}/0x{'b' * 40}/{side}")) for side in ("long", "short")]
    assert [Names(inside).of(account) for account in inside] == [
        "Aave V3 · main · 0xaaaa…aaaa · 0xbbbb…bbbb/long",  # two of one owner in one market too
        "Aave V3 · main · 0xaaaa…aaaa · 0xbbbb…bbbb/short",
    ]
    modes = [replace(one, mode=mode) for mode in ("isolated", "isolated WBTC short", "portfolio")]
    assert [Names([account]).of(account) for account in modes] == [
        "Aave V3 · main · isolated",
        "Aave V3 · main · WBTC short",
        "Aave V3 · main · portfolio",
    ]
    assert Names(several).by_id("manual:c") == "0x2222…2222 · Spark · main · base"
    assert Names(several).by_id("eip155:1/gone") == "eip155:1/gone"


def test_exchange_accounts_are_told_apart_by_their_keys() -> None:
    def traded(key: str, market: str, mode: str) -> Account:
        return Account(
            id=AccountId(f"{key}/{market}"), owner=key, source=key, side=Side.DERIVATIVES, venue="Binance", market=market, mode=mode
        )

    accounts = [
        traded("main", "usdm/USDT", "cross"),
        traded("desk-2", "usdm/USDT", "cross"),
        traded("desk-2", "usdm/ETHUSDT/isolated", "isolated"),
    ]
    names = Names(accounts)
    assert [names.of(account) for account in accounts] == [
        "Binance · usdm/USDT · main",
        "Binance · usdm/USDT · desk-2",
        "Binance · usdm/ETHUSDT/isolated",
    ]


def test_of_several_keys_at_one_exchange_the_one_that_failed_is_named() -> None:
    def at(identity: str, owner: str, market: str, venue: str = "Binance") -> Account:
        return Account(id=AccountId(identity), owner=owner, source=owner, side=Side.DERIVATIVES, venue=venue, market=market)

    read, failed, other = at("main/usdm/USDT", "main", "usdm/USDT"), at("desk-2", "desk-2", "binance"), at("by", "by", "bybit", "Bybit")
    names = Names([read, failed, other])
    assert [names.of(account) for account in (read, failed, other)] == ["Binance · usdm/USDT · main", "Binance · desk-2", "Bybit"]
    assert Names([failed, other]).of(failed) == "Binance"
