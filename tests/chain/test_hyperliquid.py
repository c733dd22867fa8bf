"""Hyperliquid over a node and a service: every struct of the precompiles as it comes off the wire, and scans as a user runs them.

What stands at the precompiles' addresses and behind the service is a double (`tests.localchain.hyper`), with rules of its own; real
accounts are in `tests.adapters.test_hyperliquid_real`. The node has HyperEVM's chain id, so the built-in market is read.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from defi_risk_adapters.hyperliquid.precompiles import ADDRESSES, core

from defi_risk.ids import ChainId
from defi_risk.model import Chain
from defi_risk.snapshot import Snapshot
from defi_risk.sources.chain import ChainSource
from defi_risk.sources.clock import Deadline
from defi_risk.spi import Call, Failed
from tests.chain import scanning
from tests.localchain import kits
from tests.localchain.hyper import onchain, precompiles
from tests.localchain.hyper.market import VARIABLE, HyperMarket
from tests.localchain.hyper.offchain import text
from tests.localchain.hyper.population import VAULT
from tests.localchain.hyper.precompiles import PRECOMPILES, TABLE, Stored
from tests.localchain.hyper.truth import margins
from tests.localchain.kits import Kit
from tests.localchain.rpc import RpcError

pytestmark = pytest.mark.chain
Hyper = Kit[HyperMarket]
CHAIN: Final = Chain(ChainId(999), "hyperevm")
D: Final = Decimal
CLOSE: Final = 1e-9


@pytest.fixture(scope="module")
def running() -> Iterator[Hyper]:
    with kits.hyper(CHAIN.id) as kit:
        yield kit


@pytest.fixture
def hyper(running: Hyper) -> Iterator[Hyper]:
    """As the population left it."""
    market = running.market
    state = copy.deepcopy(vars(market.core))
    with running.anvil.rollback():
        yield running
    vars(market.core).update(state)
    market.says.instead.clear()
    market.lost = set()
    market.service.down = False


def book(kit: Hyper, *more: str) -> str:
    """A book of HyperEVM alone, with the double's service in the place of the venue's own."""
    head = ["[book]", 'name = "truth"', "[chains.hyperevm]", f'rpc = ["{kit.anvil.url}"]']
    market = ["[[markets]]", 'adapter = "hyperliquid"', 'chain = "hyperevm"', f'api = "${{{VARIABLE}}}"']
    return "\n".join([*head, *market, *more]) + "\n"


def scan(kit: Hyper, folder: Path, *owners: str, block: int | None = None, code: int | None = None) -> Snapshot:
    return scanning.scan(book(kit), owners or list(kit.who.values()), folder, block=block, code=code)


def accounts(snapshot: Snapshot, who: str) -> dict[str, Any]:
    """Accounts of an owner at the venue by what their id ends in."""
    whole = f"eip155:999/hyperliquid/{who}"
    return {account.id.removeprefix(whole): account for account in snapshot.accounts if account.id.startswith(whole)}


# the precompiles


def test_every_struct_of_every_precompile_is_decoded_as_it_was_stored(hyper: Hyper) -> None:
    """Through the product's own codec and a real node: what is asked, without a selector, and each field of what comes back."""
    stored = list(onchain.reads(hyper.market.core))
    assert {one.name for one in stored} == {name for name, *_ in TABLE} == set(ADDRESSES)
    with ChainSource.open(CHAIN, [hyper.anvil.url], deadline=Deadline(60)) as source:
        answers = source.answer([core(one.name, *one.arguments) for one in stored])
        source.finish()
    for one, answer in zip(stored, answers, strict=True):
        assert one.answer is not None
        assert flat(answer) == flat(one.answer if len(one.answer) > 1 else next(iter(one.answer))), one
    assert len(stored) > 800


def flat(value: Any) -> Any:
    """Structs and lists as plain tuples, addresses in one case."""
    if isinstance(value, tuple | list):
        return tuple(map(flat, value))
    return value.lower() if isinstance(value, str) and value.startswith("0x") else value


def test_fields_are_in_the_places_that_their_names_say(hyper: Hyper) -> None:
    """Answers in which all fields differ, written by place and read by name."""
    who = hyper.who["mixed"]
    made = [
        Stored("position2", (who, 0), (-1, 2, -3, 4, True)),
        Stored("accountMarginSummary", (0, who), (-1, 2, 3, -4)),
        Stored("delegatorSummary", (who,), (1, 2, 3, 4)),
        Stored("spotBalance", (who, 0), (1, 2, 3)),
        Stored("userVaultEquity", (who, VAULT), (1, 2)),
        Stored("perpAssetInfo", (0,), (("BTC", 1, 2, 3, True),)),
        Stored("tokenInfo", (0,), (("USDC", (1, 2), 3, VAULT, who, 4, 5, -6),)),
        Stored("spotInfo", (0,), (("PURR/USDC", (1, 2)),)),
        Stored("borrowLendReserveState", (0,), (1, 2, 3, 4, 5, 6, 7, 8)),
    ]
    precompiles.store(hyper.anvil, made)
    with ChainSource.open(CHAIN, [hyper.anvil.url], deadline=Deadline(60)) as source:
        position, summary, staked, balance, vault, perp, token, pair, reserve = source.answer(
            [core(one.name, *one.arguments) for one in made]
        )
    assert (position.szi, position.entryNtl, position.isolatedRawUsd, position.leverage, position.isIsolated) == (-1, 2, -3, 4, True)
    assert (summary.accountValue, summary.marginUsed, summary.ntlPos, summary.rawUsd) == (-1, 2, 3, -4)
    assert (staked.delegated, staked.undelegated, staked.totalPendingWithdrawal) == (1, 2, 3)
    assert (balance.total, balance.hold, balance.entryNtl) == (1, 2, 3)
    assert (vault.equity, vault.lockedUntilTimestamp) == (1, 2)
    assert (perp.coin, perp.marginTableId, perp.szDecimals, perp.maxLeverage, perp.onlyIsolated) == ("BTC", 1, 2, 3, True)
    assert (token.name, token.spots, token.szDecimals, token.weiDecimals, token.evmExtraWeiDecimals) == ("USDC", (1, 2), 4, 5, -6)
    assert (pair.name, pair.tokens) == ("PURR/USDC", (1, 2))
    assert (reserve.oraclePx, reserve.ltvBps, reserve.totalSupplied, reserve.totalBorrowed) == (5, 6, 7, 8)


def test_what_a_precompile_does_not_know_burns_all_gas_and_harms_no_other_read(hyper: Hyper) -> None:
    """In a bundle the reads behind it would starve."""
    nobody, who = "0x" + "99" * 20, hyper.who["mixed"]
    with pytest.raises(RpcError):
        precompiles.ask(hyper.anvil, "position2", nobody, 0)
    good: list[Call] = [core("markPx", number) for number in range(7)] + [core("position2", who, 0)]
    bad = [core("position2", nobody, number, optional=True) for number in range(7)]
    asks = [ask for pair in zip(good, [*bad, bad[0]], strict=True) for ask in pair]
    with ChainSource.open(CHAIN, [hyper.anvil.url], deadline=Deadline(60)) as source:
        answers = source.answer(asks)
    assert not any(isinstance(answer, Failed) for answer in answers[::2])
    assert all(isinstance(answer, Failed) for answer in answers[1::2])
    assert answers[0] == precompiles.ask(hyper.anvil, "markPx", 0)[0]


@pytest.mark.parametrize("name", PRECOMPILES)
def test_the_double_knows_nothing_that_it_was_not_told(hyper: Hyper, name: str) -> None:
    made = {"address": "0x" + "77" * 20, "uint16": 65_535, "uint32": 4_000_000_000, "uint64": 10**15}
    arguments = [made[kind] for kind in PRECOMPILES[name].inputs]
    if arguments:
        with pytest.raises(RpcError):
            precompiles.ask(hyper.anvil, name, *arguments)


# whole scans


def fresh(market: HyperMarket) -> None:
    """As the population left it."""


def month_later(market: HyperMarket) -> None:
    market.pass_time(30 * 86_400)


def fallen(market: HyperMarket) -> None:
    market.drop_prices()


def risen(market: HyperMarket) -> None:
    for dex in market.core.dexs:
        for coin in dex.coins:
            coin.mark += coin.mark.quantize(D(1).scaleb(coin.places - 6)) / 4
            coin.mark = coin.mark.quantize(D(1).scaleb(coin.places - 6))
    market.tell()


@pytest.mark.parametrize(("become", "dead"), [(fresh, 2), (month_later, 2), (fallen, 6), (risen, 4)])
def test_every_account_stands_as_the_double_says(hyper: Hyper, become: Callable[[HyperMarket], None], dead: int, tmp_path: Path) -> None:
    """Value, maintenance margin, verdict and every liquidation price, by rules that the product does not share."""
    core = hyper.market.core
    become(hyper.market)
    snapshot = scan(hyper, tmp_path)
    assert [(source.id, source.status) for source in snapshot.sources if source.kind == "exchange"] == [("hyperliquid", "ok")]
    counted: Counter[str] = Counter()
    for label, who in hyper.who.items():
        user, found = core.users[who], accounts(snapshot, who)
        for suffix, truth in margins(core, user).items():
            account = found.pop(suffix)
            assert account.status == "ok", (label, account.reason)
            assert account.self_check is None or account.self_check.match, label
            assert int(account.native["accountEquity"]) == (Fraction(truth.value) * 10**6).__floor__(), label
            assert int(account.native["maintenanceMargin"]) == (Fraction(truth.needed) * 10**6).__floor__(), label
            assert account.liquidatable is truth.dead, label
            price = float(core.tokens[truth.token].price)
            assert account.weighted_collateral_usd == pytest.approx(float(truth.value) * price, rel=CLOSE, abs=CLOSE), label
            assert account.requirement_usd == pytest.approx(float(truth.needed) * float(truth.line) * price, rel=CLOSE), label
            for dex, coin, held in truth.held:
                theirs = core.liquidation_price(user, dex, coin, held)
                ours = account.native.get(f"liquidationPx:{coin.name}")
                assert (ours is None) == (theirs is None), (label, coin.name)
                assert theirs is None or abs(int(ours) - theirs * 10**10) <= 1, (label, coin.name)
                counted["prices"] += theirs is not None
            counted["accounts"] += 1
            counted["dead"] += account.liquidatable
        assert found.keys() <= {"/spot"}, label
    assert counted["accounts"] >= 34, counted
    assert counted["prices"] >= 30, counted
    assert counted["dead"] >= dead, counted


def test_what_a_desk_sees(hyper: Hyper, tmp_path: Path) -> None:
    """Cross margin in three dexs, an isolated position and spot tokens of one wallet: each an account, and its exposure in the book's."""
    who = hyper.who["all-over"]
    snapshot = scan(hyper, tmp_path, who, code=0)
    found = accounts(snapshot, who)
    assert {suffix: account.mode for suffix, account in found.items()} == {
        "": "cross", "/isolated:110000": "isolated xyz:GOLD", "/dex:1": "cross xyz", "/dex:2": "cross flx", "/spot": "spot",
    }  # fmt: skip
    assert {account.venue for account in found.values()} == {"Hyperliquid"}
    assert found["/spot"].health is None
    [short] = [leg for leg in found[""].legs if leg.role == "position"]
    assert (short.symbol, short.factor) == ("ETH", "ETH")
    core = hyper.market.core
    user, usdh = core.users[who], core.tokens[360]
    owned = sum(
        (core.value(user, dex) * core.tokens[dex.collateral].price for dex in core.dexs), user.spot[0] + user.spot[360] * usdh.price
    )
    assert sum(account.equity_usd for account in found.values()) == pytest.approx(float(owned), rel=CLOSE)
    [source] = [source for source in snapshot.sources if source.id == "hyperliquid"]
    assert (source.kind, source.status) == ("exchange", "ok")
    assert abs(hyper.anvil.block().timestamp - hyper.market.core.time) <= 2


def test_what_is_asked_of_the_service(hyper: Hyper, tmp_path: Path) -> None:
    """Each question once; about a stranger none but for what there is at all."""
    asked = hyper.market.service.asked
    asked.clear()
    scan(hyper, tmp_path, hyper.who["all-over"], code=0)
    assert asked == {
        "perpDexs": 1, "userAbstraction": 1, "clearinghouseState": 3, "spotClearinghouseState": 1, "metaAndAssetCtxs": 3,
        "allPerpMetas": 1, "userVaultEquities": 1,
    }  # fmt: skip
    asked.clear()
    [stranger] = hyper.market.core.strangers
    assert accounts(scan(hyper, tmp_path, stranger, code=0), stranger) == {}
    assert asked == {"perpDexs": 1}


def test_an_older_block_is_valued_at_its_own_marks(hyper: Hyper, tmp_path: Path) -> None:
    """The service only knows the present; sizes are the same, and all prices are the chain's."""
    who = hyper.who["long"]
    block = hyper.anvil.block().number
    before = accounts(scan(hyper, tmp_path, who), who)[""]
    hyper.market.drop_prices()
    assert accounts(scan(hyper, tmp_path, who, block=block), who)[""].native == before.native
    assert accounts(scan(hyper, tmp_path, who), who)[""].native != before.native


def test_a_service_that_is_down_makes_its_accounts_unknown_and_the_scan_partial(hyper: Hyper, tmp_path: Path) -> None:
    hyper.market.service.down = True
    who = hyper.who["mixed"]
    snapshot = scan(hyper, tmp_path, who, code=3)
    [account] = accounts(snapshot, who).values()
    assert (account.status, account.mode, account.equity_usd, account.liquidatable) == ("unknown", "unknown", None, None)
    assert "does not tell perpDexs" in account.reason
    assert snapshot.partial
    [source] = [source for source in snapshot.sources if source.id == "hyperliquid"]
    assert source.status == "failed"
    assert {flag.code for flag in snapshot.flags} >= {"SOURCE_FAILED", "ACCOUNT_UNKNOWN"}
    assert all(other.status == "ok" for other in snapshot.accounts if other.id != account.id)


def test_a_service_that_lags_is_stale_and_costs_what_differs(hyper: Hyper, tmp_path: Path) -> None:
    """Two minutes behind the chain, on which half of a short was closed meanwhile."""
    market, who, other = hyper.market, hyper.who["short"], hyper.who["long"]
    late = market.core.time
    kept = market.says.say({"type": "clearinghouseState", "user": who.lower()})
    hyper.anvil.pass_time(120)
    user = market.core.users[who]
    closed = user.positions["BTC"]
    user.cash[""] += closed.size / 2 * D("98765.4")
    closed.size, closed.entry = closed.size / 2, closed.entry / 2
    market.tell()
    market.core.time = late
    size = text(closed.size)
    market.says.instead["clearinghouseState"] = lambda told: kept if told["assetPositions"][0]["position"]["szi"] == size else told
    snapshot = scan(hyper, tmp_path, who, other, code=3)
    assert "on chain -0.75 (cross)" in accounts(snapshot, who)[""].reason
    assert accounts(snapshot, other)[""].status == "ok"
    [source] = [source for source in snapshot.sources if source.id == "hyperliquid"]
    assert source.status == "stale"
    assert "older than the block" in str(source.error)


@pytest.mark.parametrize(
    ("lost", "reasons"),
    [
        (("markPx", (4,)), {"/isolated:4": "HYPE has no mark price"}),
        (("position2", ("mixed", 0)), {"": "does not tell the position in BTC"}),
        (("accountMarginSummary", (1, "mixed")), {"/dex:1": "does not tell the summary of the dex xyz"}),
        (("coreUserExists", ("mixed",)), {"": "coreUserExists"}),
    ],
)
def test_a_precompile_that_fails_costs_the_account_that_needs_it(
    hyper: Hyper, lost: tuple[str, tuple[Any, ...]], reasons: dict[str, str], tmp_path: Path
) -> None:
    """It burns all the gas of the bundle that it is in; the reads beside it are asked again."""
    market, who = hyper.market, hyper.who
    market.lost = {(lost[0], tuple(who.get(argument, argument) for argument in lost[1]))}
    market.tell()
    snapshot = scan(hyper, tmp_path, who["mixed"], who["several"], code=3)
    found = accounts(snapshot, who["mixed"])
    assert {suffix for suffix, account in found.items() if account.status == "unknown"} == reasons.keys()
    for suffix, reason in reasons.items():
        assert reason in found[suffix].reason
    assert accounts(snapshot, who["several"])[""].status == "ok"


def test_a_node_without_precompiles_is_said_to_be_one(hyper: Hyper, tmp_path: Path) -> None:
    """Many public nodes answer nothing there."""
    for address in ADDRESSES.values():
        hyper.anvil.set_code(address, "0x")
    who = hyper.who["long"]
    [account] = accounts(scan(hyper, tmp_path, who, code=3), who).values()
    assert (account.status, account.side) == ("unknown", "derivatives")
    assert "coreUserExists" in account.reason


def test_a_mode_that_is_not_known_is_unknown(hyper: Hyper, tmp_path: Path) -> None:
    who = hyper.who["unified"]
    hyper.market.core.users[who].mode = "dexAbstraction"
    [account] = accounts(scan(hyper, tmp_path, who, code=3), who).values()
    assert account.status == "unknown"
    assert "dexAbstraction" in account.reason
