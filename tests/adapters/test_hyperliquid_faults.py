"""Hyperliquid where something is amiss: what cannot be read or does not fit is unknown, and never a zero; what is apart from it stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest

from defi_risk.errors import BadAnswer, CallReverted, DefiRiskError
from defi_risk.model import Account
from tests.adapters.hyper_venue import NOW, OWNER, Venue
from tests.localchain.hyper import population
from tests.localchain.hyper.offchain import text
from tests.localchain.hyper.population import cross, entered, portfolio, unified
from tests.localchain.hyper.state import Dex, User

D: Final = Decimal
WHO: Final = OWNER.address
Told = dict[str, Any]
Lost = tuple[str, tuple[Any, ...]]
LAGS: Final = "the info service lags the chain"


def mixed() -> User:
    """Cross margin in BTC and SOL, an isolated long in ETH and an isolated short in HYPE."""
    return population.plain()["mixed"]


def all_over() -> User:
    """A short in the main dex, cross and isolated positions in `xyz`, and margin in `flx`."""
    return population.plain()["all-over"]


def read(venue: Venue) -> dict[str, Account]:
    return {account.id.partition(WHO)[2]: account for account in venue.read().accounts}


def unknown(accounts: dict[str, Account]) -> dict[str, str]:
    """Reasons by account of those that are not known; such an account has no figures."""
    lost = {suffix: account for suffix, account in accounts.items() if account.status == "unknown"}
    for account in lost.values():
        assert (account.legs, account.exact, account.liquidatable, account.native) == ((), None, None, {})
    return {suffix: account.reason for suffix, account in lost.items()}


# the service


@pytest.mark.parametrize("silent", ["perpDexs", "userAbstraction", "clearinghouseState", "spotClearinghouseState", "metaAndAssetCtxs"])
def test_without_an_answer_that_must_be_known_nothing_is_known(silent: str) -> None:
    found = Venue(mixed(), silent={silent}).read()
    assert (found.account.status, found.account.mode, found.account.legs) == ("unknown", "unknown", ())
    assert f"does not tell {silent}" in found.account.reason
    [report] = found.reports
    assert (report.status, report.kind, report.error) == ("failed", "exchange", found.account.reason)


@pytest.mark.parametrize(
    ("silent", "note"), [("allPerpMetas", "does not tell allPerpMetas"), ("userVaultEquities", "shares of vaults are left out")]
)
def test_answers_that_can_be_done_without_are_noted(silent: str, note: str) -> None:
    found = Venue(mixed(), silent={silent}).read()
    assert unknown({account.id: account for account in found.accounts}) == {}
    assert note in found.reports[0].notes[0]


SPOILED: Final[list[tuple[str, Callable[[Any], Any]]]] = [
    ("perpDexs", lambda _: []),
    ("perpDexs", lambda told: told[1:]),
    ("perpDexs", lambda told: [*told, {"name": "xyz"}]),
    ("perpDexs", lambda told: [*told, {"fullName": "nameless"}]),
    ("perpDexs", lambda told: told * 100),
    ("userAbstraction", lambda _: None),
    ("userAbstraction", lambda _: {"mode": "default"}),
    ("clearinghouseState", lambda _: None),
    ("clearinghouseState", lambda told: told | {"time": "soon"}),
    ("clearinghouseState", lambda told: told | {"assetPositions": {}}),
    ("clearinghouseState", lambda told: {name: value for name, value in told.items() if name != "marginSummary"}),
    ("clearinghouseState", lambda told: told | {"crossMaintenanceMarginUsed": "NaN"}),
    ("clearinghouseState", lambda told: told | {"crossMaintenanceMarginUsed": "1e400"}),
    ("clearinghouseState", lambda told: leveraged(told, {"type": "golden", "value": 5})),
    ("clearinghouseState", lambda told: told | {"assetPositions": told["assetPositions"] * 2}),
    ("clearinghouseState", lambda told: leveraged(told, {"type": "isolated", "value": 5})),
    ("spotClearinghouseState", lambda told: told | {"balances": None}),
    ("spotClearinghouseState", lambda told: told | {"balances": [{"coin": "USDC", "token": 0, "total": "5.0"}] * 2}),
    ("spotClearinghouseState", lambda told: told | {"portfolioMarginEnabled": "yes"}),
    ("metaAndAssetCtxs", lambda told: told[:1]),
    ("metaAndAssetCtxs", lambda told: [told[0], told[1][:-1]]),
    ("metaAndAssetCtxs", lambda told: [told[0] | {"universe": told[0]["universe"] * 2}, told[1] * 2]),
]


@pytest.mark.parametrize(("asked", "spoil"), SPOILED)
def test_answers_of_another_form_are_refused(asked: str, spoil: Callable[[Any], Any]) -> None:
    venue = Venue(mixed())
    venue.says.instead[asked] = spoil
    with pytest.raises(BadAnswer):
        venue.read()


def leveraged(told: Told, leverage: Told) -> Told:
    """The state with another leverage in its first position."""
    first, *rest = told["assetPositions"]
    return told | {"assetPositions": [first | {"position": first["position"] | {"leverage": leverage}}, *rest]}


def test_fields_that_nobody_asked_for_change_nothing() -> None:
    venue = Venue(all_over())
    before = read(venue)

    def more(told: Any) -> Any:
        if isinstance(told, dict):
            return {name: more(value) for name, value in told.items()} | {"newField": {"deep": [None, "1.0"]}}
        return [more(each) for each in told] if isinstance(told, list) else told

    for asked in (
        "clearinghouseState",
        "clearinghouseState xyz",
        "spotClearinghouseState",
        "metaAndAssetCtxs",
        "metaAndAssetCtxs xyz",
        "perpDexs",
    ):
        venue.says.instead[asked] = more
    assert read(venue) == before


@pytest.mark.parametrize(("seconds", "status"), [(-61, "stale"), (-60, "ok"), (60, "ok"), (61, "stale")])
def test_answers_of_another_time_than_the_block_are_stale(seconds: int, status: str) -> None:
    venue = Venue(cross("1000"))
    venue.core.time = NOW + seconds
    [report] = venue.read().reports
    assert (report.status, report.as_of) == (status, NOW + seconds)
    assert (f"{abs(seconds)} s {'older' if seconds < 0 else 'newer'} than the block" in report.error) is (status == "stale")


# the chain and the service differ


def resized(coin: str, size: str) -> Callable[[Told], Told]:
    """A service that tells another size of a position; an empty one leaves it out."""

    def change(told: Told) -> Told:
        rows = [row for row in told["assetPositions"] if size or row["position"]["coin"] != coin]
        return told | {
            "assetPositions": [
                row | {"position": row["position"] | {"szi": size}} if row["position"]["coin"] == coin else row for row in rows
            ]
        }

    return change


def said(venue: Venue, kind: str) -> Callable[[Any], Any]:
    """What the service says where things are as they are there."""
    answer = venue.says.say({"type": kind, "user": WHO.lower()})
    return lambda _: answer


def test_a_cross_position_of_another_size_costs_the_cross_margin_only() -> None:
    venue = Venue(mixed())
    venue.says.instead["clearinghouseState"] = resized("BTC", "0.75")
    accounts = read(venue)
    assert unknown(accounts) == {"": f"{LAGS}: its position in BTC is 0.75 (cross), on chain 0.5 (cross)"}
    assert accounts.keys() == {"", "/isolated:1", "/isolated:4"}


def test_an_isolated_position_of_another_size_costs_that_account_only() -> None:
    venue = Venue(mixed())
    before = read(venue)
    venue.says.instead["clearinghouseState"] = resized("HYPE", "-999")
    accounts = read(venue)
    assert unknown(accounts) == {"/isolated:4": f"{LAGS}: its position in HYPE is -999 (isolated), on chain -1000 (isolated)"}
    assert accounts["/isolated:1"] == before["/isolated:1"]
    assert accounts[""].native.items() <= before[""].native.items()
    assert accounts[""].native["accountEquity"] == before[""].native["accountEquity"]


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_a_position_that_the_service_does_not_list_is_missed(coin: str) -> None:
    """The chain's sum of notionals is larger than that of the positions that were found."""
    venue = Venue(mixed())
    venue.says.instead["clearinghouseState"] = resized(coin, "")
    assert LAGS in unknown(read(venue))[""]


@pytest.mark.parametrize("missed", ["BTC", "SOL"])
@pytest.mark.parametrize(
    "lost", [set[Lost](), {("markPx", (4,))}, {("perpAssetInfo", (4,))}], ids=["another size", "no mark", "nothing about it"]
)
def test_a_position_that_cannot_be_valued_hides_none_that_the_service_does_not_list(missed: str, lost: set[Lost]) -> None:
    """HYPE, short and isolated, is not known and its notional is in the chain's sum; so is that of one of which the service does not know
    yet. Without a mark one on the other side shows in the account value, and every one in the cash.
    """
    told, venue = Venue(mixed()), Venue(mixed(), lost=lost)
    opened = told.user.positions.pop(missed)
    told.user.cash[""] += opened.entry.copy_sign(opened.size)
    if not lost:
        told.user.positions["HYPE"].size += 1
    venue.says.instead["clearinghouseState"] = said(told, "clearinghouseState")
    assert unknown(read(venue)).keys() == {"", "/isolated:4"}


def test_a_list_without_a_position_that_its_sums_have_is_noticed_beside_one_without_a_mark() -> None:
    venue = Venue(mixed(), lost={("markPx", (4,))})
    venue.says.instead["clearinghouseState"] = resized("BTC", "")
    assert "differ by a notional" in unknown(read(venue))[""]


@pytest.mark.parametrize("size", ["-1000", "-999"])
def test_the_chains_summary_may_leave_isolated_positions_out(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documentation does not say; the cross margin is the same, also where an isolated position is not known."""
    user = mixed()
    del user.positions["ETH"]
    before = read(Venue(user))[""]
    venue, cross_only = Venue(user), mixed()
    cross_only.positions = {coin: one for coin, one in user.positions.items() if one.cash is None}
    summed = venue.core.summary

    def without(_: User, dex: Dex) -> tuple[int, int, int, int]:
        return summed(cross_only, dex)

    monkeypatch.setattr(venue.core, "summary", without)
    venue.says.instead["clearinghouseState"] = resized("HYPE", size)
    after = read(venue)
    assert after[""].legs == before.legs
    assert unknown(after).keys() == ({"/isolated:4"} if size == "-999" else set())


def test_where_nothing_tells_what_the_summary_counts_the_cross_margin_is_unknown() -> None:
    """The only isolated position is without a mark, so that it adds nothing to the notional either way."""
    user = mixed()
    del user.positions["ETH"]
    venue = Venue(user)
    venue.core.dexs[0].coin("HYPE").mark = D(0)
    assert unknown(read(venue)).keys() == {"", "/isolated:4"}


def test_a_position_that_is_closed_on_chain_already() -> None:
    """There it is all zeros; the service still lists it."""
    told = Venue(mixed())
    user = mixed()
    del user.positions["SOL"]
    venue = Venue(user)
    venue.says.instead["clearinghouseState"] = said(told, "clearinghouseState")
    accounts = read(venue)
    assert "its position in SOL is -300.25 (cross), on chain 0 (cross)" in unknown(accounts)[""]
    assert accounts["/isolated:1"].known


def test_cash_is_not_set_aside_from_what_the_chain_does_not_have_yet() -> None:
    """The service is ahead by a deposit, most of which an order takes at once: without it 1,000.5 would be short of it by 999.5."""
    told, venue = Venue(cross("500")), Venue(cross("1000.5"))
    told.user.reserved[""] = D("2000")
    venue.says.instead["clearinghouseState"] = said(told, "clearinghouseState")
    assert unknown(read(venue)) == {"": f"{LAGS}: the cash of cross margin there and on chain differ by -1499.500000"}


def test_a_position_that_turned_isolated_meanwhile() -> None:
    venue = Venue(mixed())
    venue.says.instead["clearinghouseState"] = lambda told: leveraged(told, {"type": "isolated", "value": 10, "rawUsd": "-48000.0"})
    assert "is 0.5 (isolated), on chain 0.5 (cross)" in unknown(read(venue))[""]


@pytest.mark.parametrize("mode", ["unifiedAccount", "portfolioMargin"])
def test_another_balance_than_the_chains_is_noticed(mode: str) -> None:
    """In unified mode; debt and what is lent out are in the service's balances alone, so portfolio margin takes those."""
    user = unified("25000", BTC=entered("1", "98000", 20))
    user.mode = mode
    venue = Venue(user)
    venue.says.instead["spotClearinghouseState"] = lambda told: (
        told | {"balances": [row | ({} if row["token"] else {"total": text(D(row["total"]) + 26)}) for row in told["balances"]]}
    )
    assert unknown(read(venue)) == ({"": f"{LAGS}: its balance of token 0 is not the chain's"} if mode == "unifiedAccount" else {})


def test_margin_that_moves_between_spot_and_dex_meanwhile_changes_nothing() -> None:
    """The service is a moment ahead: 500 more are in the dex, and 500 fewer beside it."""
    told, venue = Venue(unified("25000", BTC=entered("1", "98000", 20))), Venue(unified("25000", BTC=entered("1", "98000", 20)))
    told.user.cash[""] += 500
    told.user.spot[0] -= 500
    for kind in ("clearinghouseState", "spotClearinghouseState"):
        venue.says.instead[kind] = said(told, kind)
    assert unknown(read(venue)) == {}


# the chain

DAMAGE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "nothing": lambda _: b"",
    "a part": lambda data: data[: len(data) // 2],
    "all but a byte": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "ones": lambda data: b"\xff" * len(data),
    "more than fits": lambda data: data * 3,
    "text": lambda data: (b"<html>429 too many requests</html>" * (1 + len(data) // 34))[: len(data)],
    "everywhere 2": lambda data: (2).to_bytes(32, "big") * (len(data) // 32),
}
ASKED: Final = {
    "all-over": ("coreUserExists", "accountMarginSummary", "withdrawable", "position2", "markPx", "perpAssetInfo"),
    "spot": ("delegatorSummary", "spotBalance", "tokenInfo", "spotInfo", "spotPx", "userVaultEquity"),
}


@pytest.mark.parametrize(("label", "name"), [(label, name) for label, names in ASKED.items() for name in names])
def test_damaged_answers_of_a_precompile_end_in_our_errors_or_in_what_can_be(label: str, name: str) -> None:
    """What stays known has legs; what was not there before is unknown, or idle where stakings are made up."""
    user = population.plain()[label]
    before = read(Venue(user))
    for damage, spoil in DAMAGE.items():
        try:
            accounts = read(Venue(user, spoilt={name: spoil}))
        except DefiRiskError:
            continue
        assert accounts.keys() - before.keys() <= unknown(accounts).keys() | {"/spot"}, damage
        assert all(account.legs for account in accounts.values() if account.known), damage


@pytest.mark.parametrize("name", ["coreUserExists", "accountMarginSummary"])
def test_a_precompile_that_must_answer_takes_the_reading_down(name: str) -> None:
    """As on nodes that do not have them: the engine makes one unknown account of it."""
    lost = (name, (WHO,)) if name == "coreUserExists" else (name, (0, WHO))
    with pytest.raises(CallReverted):
        Venue(mixed(), lost={lost}).read()


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("position2", (WHO, 4)), "the chain does not tell the position in HYPE"),
        (("markPx", (4,)), "HYPE has no mark price"),
        (("perpAssetInfo", (4,)), "the chain does not know the perpetual HYPE"),
    ],
)
def test_an_isolated_position_that_cannot_be_valued_is_unknown(lost: tuple[str, tuple[Any, ...]], said: str) -> None:
    accounts = read(Venue(mixed(), lost={lost}))
    reasons = unknown(accounts)
    assert said in reasons["/isolated:4"]
    assert accounts["/isolated:1"].known
    # how much cash is in it is known but for the first, so that the cross margin is too
    assert reasons.keys() == ({"", "/isolated:4"} if lost[0] == "position2" else {"/isolated:4"})


@pytest.mark.parametrize("lost", [("position2", (WHO, 0)), ("markPx", (0,)), ("perpAssetInfo", (0,))])
def test_a_cross_position_that_cannot_be_valued_costs_the_cross_margin(lost: tuple[str, tuple[Any, ...]]) -> None:
    accounts = read(Venue(mixed(), lost={lost}))
    assert unknown(accounts).keys() == {""}
    assert accounts.keys() == {"", "/isolated:1", "/isolated:4"}


def test_a_mark_of_zero_is_none() -> None:
    venue = Venue(mixed())
    venue.core.dexs[0].coin("HYPE").mark = D(0)
    assert "HYPE has no mark price" in unknown(read(venue))["/isolated:4"]


def test_a_perpetual_of_another_name_on_chain_is_not_believed() -> None:
    """Places in the service's list are ids on chain; a list that is out of step names another coin."""
    venue = Venue(mixed())

    def moved(told: list[Any]) -> list[Any]:
        universe = told[0]["universe"]
        return [told[0] | {"universe": [universe[1], universe[0], *universe[2:]]}, told[1]]

    venue.says.instead["metaAndAssetCtxs"] = moved
    reasons = unknown(read(venue))
    assert "the chain calls ETH 'BTC'" in reasons[""]
    assert "the chain calls BTC 'ETH'" in reasons["/isolated:1"]


def test_a_coin_that_the_service_does_not_list_any_more() -> None:
    venue = Venue(mixed())

    def gone(told: list[Any]) -> list[Any]:
        return [told[0] | {"universe": told[0]["universe"][:4]}, told[1][:4]]

    venue.says.instead["metaAndAssetCtxs"] = gone
    accounts = read(venue)
    assert accounts["/isolated:1"].known
    assert "lists no perpetual HYPE" in unknown(accounts)[""]


def test_a_margin_table_that_is_not_there_costs_the_positions_that_need_it() -> None:
    venue = Venue(mixed())

    def without(told: list[Any]) -> list[Any]:
        return [told[0] | {"marginTables": [pair for pair in told[0]["marginTables"] if pair[0] != 55]}, told[1]]

    venue.says.instead["metaAndAssetCtxs"] = without
    assert unknown(read(venue)) == {"/isolated:1": "the info service has no margin table 55"}


@pytest.mark.parametrize("tiers", [[], [{"lowerBound": "5.0", "maxLeverage": 10}], [{"lowerBound": "0.0", "maxLeverage": 0}]])
def test_a_margin_table_that_is_none_costs_the_positions_that_need_it(tiers: list[Told]) -> None:
    venue = Venue(mixed())

    def other(told: list[Any]) -> list[Any]:
        return [
            told[0] | {"marginTables": [[55, {"description": "", "marginTiers": tiers}], [56, told[0]["marginTables"][-1][1]]]},
            told[1],
        ]

    venue.says.instead["metaAndAssetCtxs"] = other
    assert "/isolated:1" in unknown(read(venue))


# other dexs


@pytest.mark.parametrize("silent", ["clearinghouseState xyz", "metaAndAssetCtxs xyz"])
def test_a_dex_that_the_service_is_silent_about_is_unknown_and_the_others_are_not(silent: str) -> None:
    accounts = read(Venue(all_over(), silent={silent}))
    assert unknown(accounts) == {"/dex:1": f"the info service does not tell {silent}: reverted"}
    assert accounts.keys() == {"", "/dex:1", "/dex:2", "/spot"}


def test_a_dex_that_the_chain_is_silent_about_is_unknown_and_the_others_are_not() -> None:
    accounts = read(Venue(all_over(), lost={("accountMarginSummary", (1, WHO))}))
    assert "the summary of the dex xyz" in unknown(accounts)["/dex:1"]
    assert accounts[""].known
    assert accounts["/dex:2"].known


def test_a_dex_with_coins_of_another_one_is_not_believed() -> None:
    venue = Venue(all_over())
    venue.says.instead["metaAndAssetCtxs xyz"] = lambda told: json.loads(json.dumps(told).replace('"xyz:', '"abc:'))
    assert "one of another dex" in unknown(read(venue))["/dex:1"]


def test_a_dex_that_settles_in_a_token_that_nobody_knows_is_unknown() -> None:
    venue = Venue(all_over(), lost={("tokenInfo", (360,))})
    found = venue.read()
    accounts = {account.id.partition(WHO)[2]: account for account in found.accounts}
    assert unknown(accounts) == {"/dex:2": "the chain does not tell what token 360 is, in which the dex settles"}


def test_in_unified_mode_a_dex_costs_only_the_token_that_it_settles_in() -> None:
    user = unified("5000", ETH=entered("1", "3000", 5), xyz__NVDA=entered("-30", "180", 10))
    user.cash = {"": D("-3000"), "xyz": D("5400")}
    user.spot |= {0: D(2600), 360: D("9000.5")}
    user.cash["flx"] = D("-80000")
    user.positions["flx:TSLA"] = entered("200", "400", 5)
    assert unknown(read(Venue(user))) == {}
    assert unknown(read(Venue(user, silent={"clearinghouseState flx"}))).keys() == {"/token:360"}
    assert unknown(read(Venue(user, lost={("markPx", (110_001,))}))).keys() == {""}
    # what xyz settles in is then not known, so nothing is
    assert unknown(read(Venue(user, silent={"clearinghouseState xyz", "allPerpMetas"}))).keys() == {"", "/token:360"}


def test_in_unified_mode_a_balance_that_the_chain_does_not_tell_is_unknown() -> None:
    accounts = read(Venue(unified("5000", ETH=entered("1", "3000", 5)), lost={("spotBalance", (WHO, 0))}))
    assert unknown(accounts) == {"": "the chain does not tell the balance of token 0"}


def test_in_unified_mode_a_token_that_the_chain_does_not_know_is_unknown() -> None:
    user = unified("5000", ETH=entered("1", "3000", 5))
    user.spot[360] = D("9000.5")
    venue = Venue(user, lost={("tokenInfo", (360,))})
    assert unknown(read(venue)) == {"/token:360": "the chain does not tell the balance of token 360"}


def test_a_balance_that_backs_nothing_and_is_not_told_is_left_out_with_a_note() -> None:
    found = Venue(population.plain()["spot"], lost={("spotBalance", (WHO, 150))}).read()
    assert "the chain does not tell the balance of HYPE: it is left out" in found.reports[0].notes
    assert [leg.asset.symbol for leg in found.account.legs] == ["USDC", "PURR", "USDC", "HYPE"]


def test_stakings_that_the_chain_does_not_tell_are_noted() -> None:
    found = Venue(population.plain()["spot"], lost={("delegatorSummary", (WHO,))}).read()
    assert any("what is staked" in note for note in found.reports[0].notes)
    assert len(found.account.legs) == 4


# portfolio margin


def in_debt() -> User:
    """Portfolio margin with collateral in HYPE, a debt, and an isolated position in ETH."""
    return population.pooled()["portfolio-debt"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"portfolioMarginRatio": "0.5"}, "portfolio margin ratio is 0.5"),
        ({"portfolioMarginRatio": None}, "gives no portfolio margin ratio"),
        ({"tokenToPortfolioBorrowRatio": [[0, "1.0"]]}, "cap of portfolio margin is used up"),
        ({"tokenToPortfolioSupplyRatio": [[150, "1.1"]]}, "cap of portfolio margin is used up"),
    ],
)
def test_portfolio_margin_that_is_not_modelled_is_unknown(change: Told, said: str) -> None:
    venue = Venue(in_debt())
    venue.says.instead["spotClearinghouseState"] = lambda told: {
        name: value for name, value in (told | change).items() if value is not None
    }
    accounts = read(venue)
    assert unknown(accounts).keys() == {""}
    assert said in accounts[""].reason
    assert accounts["/isolated:1"].known


@pytest.mark.parametrize("seconds", [-901, -900, 900, 901])
def test_balances_of_another_time_are_not_taken_for_the_blocks(seconds: int) -> None:
    """Portfolio margin takes the service's; a node with history shows HyperCore as it was, the service only as it is."""
    venue = Venue(in_debt())
    venue.core.time = NOW + seconds
    reasons = {"": f"{LAGS}: its balances are 901 s apart from the block"} if abs(seconds) > 900 else {}
    assert unknown(read(venue)) == reasons


def test_a_debt_in_another_token_is_not_modelled() -> None:
    venue = Venue(in_debt())

    def owing(told: Told) -> Told:
        return told | {"balances": [row | ({"borrowed": "5.0"} if row["token"] == 150 else {}) for row in told["balances"]]}

    venue.says.instead["spotClearinghouseState"] = owing
    assert "a debt in HYPE" in unknown(read(venue))[""]


def test_portfolio_margin_over_a_dex_that_settles_in_another_token_is_not_modelled() -> None:
    user = portfolio("60000", {360: "5000"}, ETH=entered("10", "3100", 25))
    user.cash["flx"] = D("-80000")
    user.positions["flx:TSLA"] = entered("200", "400", 5)
    assert "settle in USDC" in unknown(read(Venue(user)))[""]


def test_collateral_that_has_no_terms_is_unknown() -> None:
    venue = Venue(population.pooled()["portfolio-coins"], silent={"allBorrowLendReserveStates"})
    assert "what collateral is worth" in unknown(read(venue))[""]


def test_collateral_without_a_price_is_unknown() -> None:
    venue = Venue(in_debt())
    venue.says.instead["allBorrowLendReserveStates"] = lambda told: [[token, terms | {"oraclePx": "0.0"}] for token, terms in told]
    assert "gives collateral no price" in unknown(read(venue))[""]


def test_collateral_that_the_chain_does_not_know_is_not_taken_for_none() -> None:
    accounts = read(Venue(in_debt(), lost={("tokenInfo", (150,))}))
    assert unknown(accounts) == {"": "the chain does not tell what token 150 is, which is collateral"}
