"""Where the prices of GMX V2 come from: the venue's service on the loopback, the feeds of the chain, and what becomes of bad ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from defi_risk_adapters.gmx_v2.prices import APART

from defi_risk.model import as_text
from defi_risk.snapshot import Snapshot
from tests.chain.gmx import GmxKit, bands_now, by_place, held, position_of, prices_of, read, said, some_bands, tail
from tests.chain.scanning import book_text, scan
from tests.localchain.gmx.keys import key
from tests.localchain.gmx.market import GmxMarket
from tests.localchain.gmx.service import Service, serving
from tests.localchain.gmx.settings import SYNTHETIC
from tests.localchain.tokens import Raw

pytestmark = pytest.mark.chain


def with_service(kit: GmxKit, service: Service, folder: Path, *who: str) -> Snapshot:
    """A scan of the same market where prices come from a service."""
    book = book_text(kit.anvil.url, kit.market).replace('prices = "oracle"', f'prices = "{service.url}"')
    assert service.url in book
    return scan(book, who or kit.who.values(), folder, code=None)


def at_the_block(market: GmxMarket, bands: dict[str, tuple[int, int]] | None = None) -> Service:
    return Service(market.coins, bands or bands_now(market), market.anvil.block().timestamp)


def test_prices_with_a_spread_come_from_the_service(gmx: GmxKit, tmp_path: Path) -> None:
    """The chain's own feeds say something else, and are not asked."""
    market, random = gmx.market, Random(5)  # noqa: S311  # repeatable, no secret
    bands = some_bands(random, market, 0.004)
    with serving(at_the_block(market, bands)) as service:
        snapshot = with_service(gmx, service, tmp_path)
    block, accounts, places = snapshot.sources[0].block, by_place(snapshot), held(market)
    assert block is not None
    assert accounts.keys() == places.keys()
    asked = [(position, prices_of(market, position.market, bands)) for _, position in places.values()]
    for place, views in zip(places, said(market, block, asked), strict=True):
        expected = {name: as_text(value) for name, value in views.items()}
        assert accounts[place].native == expected, places[place]
        assert accounts[place].self_check.match, places[place]
        assert accounts[place].self_check.protocol == expected
    [told] = [one for one in snapshot.sources if one.id == "gmx_v2"]
    assert (told.kind, told.status, told.as_of) == ("exchange", "ok", snapshot.sources[0].block_time)
    [synthetic] = [leg for leg in accounts[tail(market, position_of(gmx, "sol-long"))].legs if leg.role == "position"]
    assert (synthetic.symbol, synthetic.oracle.heartbeat_seconds) == (SYNTHETIC, 300)


def test_a_service_that_is_down_costs_the_positions_and_nothing_else(gmx_usd: GmxKit, tmp_path: Path) -> None:
    who = gmx_usd.who["several"]
    with serving(at_the_block(gmx_usd.market)) as service:
        service.down = True
        snapshot = with_service(gmx_usd, service, tmp_path, who)
    accounts = by_place(snapshot)
    assert len(accounts) == 5
    assert {one.status for one in accounts.values()} == {"unknown"}
    assert all("price service" in one.reason for one in accounts.values())
    assert snapshot.partial
    assert [one.status for one in snapshot.sources if one.id == "gmx_v2"] == ["failed"]
    assert [one.status for one in snapshot.sources if one.kind == "chain"] == ["ok"]


def test_a_token_that_the_service_leaves_out_costs_its_positions(gmx_usd: GmxKit, tmp_path: Path) -> None:
    who = gmx_usd.who["several"]
    with serving(at_the_block(gmx_usd.market)) as service:
        service.missing = {"LINK", SYNTHETIC}
        accounts = by_place(with_service(gmx_usd, service, tmp_path, who))
    statuses = {place: one.status for place, one in accounts.items()}
    places = held(gmx_usd.market)
    assert {place for place, status in statuses.items() if status == "unknown"} == {
        place for place, (label, position) in places.items() if label == "several" and position.market in ("LINK", "SOL")
    }
    assert Counter(statuses.values()) == {"ok": 3, "unknown": 2}


@pytest.mark.parametrize("seconds", [-APART - 1, APART + 1])
def test_prices_of_another_time_than_the_block_are_not_used(gmx_usd: GmxKit, tmp_path: Path, seconds: int) -> None:
    with serving(at_the_block(gmx_usd.market)) as service:
        service.time += seconds
        [account] = by_place(with_service(gmx_usd, service, tmp_path, gmx_usd.who["long"])).values()
    assert account.status == "unknown"
    assert f"{APART + 1} s {'before' if seconds < 0 else 'after'} the block" in account.reason


# what stands in the way


def reasons(kit: GmxKit, label: str) -> dict[str, str]:
    """Why positions of one user are unknown, by the market's name."""
    _, accounts = read(kit.market, kit.who[label])
    places = held(kit.market)
    return {places[place][1].market: account.reason for place, account in accounts.items() if not account.known}


def test_a_feed_that_gives_no_price_costs_the_positions_that_need_it(gmx_usd: GmxKit) -> None:
    market = gmx_usd.market
    market.set_price("LINK", 0)
    [(name, reason)] = reasons(gmx_usd, "several").items()
    assert (name, "gives no price" in reason) == ("LINK", True)
    market.store.send("set_address", key("PRICE_FEED", market.coins[SYNTHETIC].address), "0x" + "00" * 20)
    told = reasons(gmx_usd, "several")
    assert told.keys() == {"LINK", "SOL"}
    assert "trades on signed prices" in told["SOL"]
    market.anvil.set_code(market.coins["USDC"].feed.address, "0xfe")
    assert reasons(gmx_usd, "several").keys() == {"ETH", "LINK", "SOL"}


def test_an_answer_older_than_its_heartbeat_is_no_price(gmx_usd: GmxKit) -> None:
    market = gmx_usd.market
    market.write({key("PRICE_FEED_HEARTBEAT_DURATION", market.coins[SYNTHETIC].address): 3_600})
    market.set_price(SYNTHETIC, Raw(market.coins[SYNTHETIC].feed.answer))
    assert reasons(gmx_usd, "several") == {}
    market.pass_time(3_601)
    [(name, reason)] = reasons(gmx_usd, "several").items()
    assert name == "SOL"
    assert "3600 s are allowed" in reason


def test_a_disabled_market_blocks_liquidations_and_keeps_the_figures(gmx_usd: GmxKit, tmp_path: Path) -> None:
    market, who = gmx_usd.market, gmx_usd.who["disabled"]
    market.set_price("WBTC", 30_000)
    [account] = by_place(scan(book_text(market.anvil.url, market), [who], tmp_path, code=None)).values()
    assert (account.status, account.liquidatable, account.blocked) == ("ok", True, "the market is disabled")
    assert account.self_check.match
