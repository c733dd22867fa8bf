"""The built-in tables: every entry is well formed, and settings become markets or one clear error."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import pytest

from defi_risk import markets
from defi_risk.errors import AddressError, StoreError, UnknownName, UsageError
from defi_risk.ids import ZERO_ADDRESS, AssetId, ChainId, Factor, Peg, checksum, erc20_id, native_id
from defi_risk.model import FactorRef, Owner
from defi_risk.spi import Adapter, Context, Market, Reading

ETHEREUM, GNOSIS, LOCAL = ChainId(1), ChainId(100), markets.LOCAL_CHAIN
WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
COMET_USDC = "0xc3d688B66703497DAA19211EEdff47f25384cdc3"


class Comet:
    name: ClassVar[str] = "compound_v3"
    api: ClassVar[int] = 1
    venue: ClassVar[str] = "Compound V3"
    roots: ClassVar[tuple[str, ...]] = ("comet",)

    def read(self, owner: Owner, market: Market, at: Context) -> Reading:
        raise AssertionError("markets never reads")


def adapter_of(name: str) -> Adapter:
    if name != "compound_v3":
        raise UnknownName("adapter", name, ("compound_v3",))
    return Comet()


def test_every_root_is_an_address_in_checksum_form_on_a_known_chain() -> None:
    known = {chain.id for chain in markets.chains().values()}
    for market in markets.built_in():
        assert market.chain.id in known
        assert market.root == (checksum(market.root[2:]) if market.adapter != "hyperliquid" else "")
        assert market.root != ZERO_ADDRESS
        assert market.venue
        assert market.source
        assert market.confidence in markets.CONFIDENCES


def test_market_names_and_identities_are_unique() -> None:
    found = markets.built_in()
    assert len({market.name for market in found}) == len(found)
    assert len({(market.chain.id, market.root) for market in found}) == len(found)


def test_all_markets_of_the_three_protocols_are_there() -> None:
    count = {
        name: sum(market.adapter == name for market in markets.built_in()) for name in ("aave_v3", "spark", "compound_v2", "compound_v3")
    }
    assert count == {"aave_v3": 27, "spark": 2, "compound_v2": 9, "compound_v3": 28}


def test_only_verified_markets_are_on_by_default() -> None:
    off = {market.name for market in markets.built_in()} - {market.name for market in markets.on_by_default()}
    assert off == {
        "aave-v3-fantom", "hyperlend", "hypurrfi", "benqi-avalanche", "flux-ethereum", "iron-bank-ethereum", "iron-bank-optimism",
    }  # fmt: skip
    assert markets.by_name("benqi-avalanche").confidence == "third_party"


def test_chain_names_and_ids_are_unique_and_custom_chains_keep_what_is_known_of_their_id() -> None:
    found = markets.chains()
    assert len({chain.id for chain in found.values()}) == len(found)
    assert markets.chain("polygon").coin == "POL"
    assert markets.chain("mypolygon", ChainId(137)).coin_factor == "POL"
    assert markets.chain("devnet", LOCAL).coin_factor == "ETH"
    with pytest.raises(UnknownName, match="did you mean 'ethereum'"):
        markets.chain("etherium")


def test_sequencer_feeds_belong_to_rollups() -> None:
    assert markets.sequencer_feed(ChainId(42161)) == "0xFdB631F5EE196F0ed6FAa767959853A9F217697D"
    assert markets.sequencer_feed(ETHEREUM) is None


def test_feeds_have_sane_heartbeats() -> None:
    beats = markets.heartbeats(ETHEREUM)
    assert beats["0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"] == 3600
    assert markets.heartbeats(LOCAL) == {}
    for chain in markets.chains().values():
        for feed, seconds in markets.heartbeats(chain.id).items():
            assert feed == checksum(feed[2:])
            assert 60 <= seconds <= markets.default_heartbeat()


def test_factors_follow_the_rules_of_the_table() -> None:
    table = markets.factor_table()
    for asset, ref in table.refs.items():
        assert ref.factor in table.stables or ref.factor in table.betas or ref.factor.upper() == ref.factor, asset
        if ref.peg:
            token, _, base = ref.peg.partition("/")
            assert token
            assert token != base == ref.factor, asset
        else:
            # what follows dollars, euros or gold without being them has a peg that can break
            assert ref.factor not in ("USD", *table.betas), asset
    assert table.of(erc20_id(ETHEREUM, checksum(WETH[2:].lower()))) == FactorRef(Factor("ETH"))
    assert table.of(AssetId("eip155:1/erc20:0x0000000000000000000000000000000000000001")) is None
    assert table.of(native_id(GNOSIS)) == FactorRef(Factor("DAI"), Peg("xDAI/DAI"))


def test_factors_of_what_venues_list_follow_the_same_rules() -> None:
    table = markets.factor_table()
    listed = {asset: ref for asset, ref in markets.context_factors(LOCAL).items() if "/erc20:" not in asset and "/slip44:" not in asset}
    assert len(listed) > 100
    for asset, ref in listed.items():
        assert ref.factor in table.stables or ref.factor in table.betas or ref.factor.upper() == ref.factor, asset
        assert not ref.peg or ref.peg.partition("/")[2] == ref.factor, asset
    perps = {asset.partition("hyperliquid:")[2]: ref for asset, ref in listed.items() if "hyperliquid:" in asset}
    assert perps["kPEPE"] == FactorRef(Factor("PEPE"))
    assert perps["token:197"] == FactorRef(Factor("BTC"), Peg("UBTC/BTC"))
    assert not any(":" in name.removeprefix("token:") for name in perps)  # what others list there is not the venue's to name


@pytest.mark.parametrize(
    ("chain", "token", "factor", "peg"),
    [
        (1, "0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0", "ETH", "stETH/ETH"),
        (1, "0xae7ab96520DE3A18E5e111B5EaAb095312D7fE84", "ETH", "stETH/ETH"),
        (1, "0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599", "BTC", "WBTC/BTC"),
        (1, "0x9D39A5DE30e57443BfF2A8307A4256c8797A3497", "USD", "USDe/USD"),
        (1, "0xa3931d71877C0E7a3148CB7Eb4463524FEc27fbD", "USDS", "sUSDS/USDS"),
        (42161, "0xFF970A61A04b1cA14834A43f5dE4533eBDDB5CC8", "USDC", "USDC.e/USDC"),
        (42161, "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", "USDC", None),
        (8453, "0xd9aAEc86B65D86f6A7B5B1b0c42FFA531710b6CA", "USDC", "USDbC/USDC"),
        (56, "0x55d398326f99059fF775485246999027B3197955", "USDT", "USDT.bnb/USDT"),
        (43114, "0xB31f66AA3C1e785363F0875A1B74E27b85FD66c7", "AVAX", None),
        (100, "0xe91D153E0b41518A2Ce8Dd3D7944Fa863463a97d", "DAI", "xDAI/DAI"),
    ],
)
def test_well_known_tokens(chain: int, token: str, factor: str, peg: str | None) -> None:
    ref = markets.factor_table().of(AssetId(f"eip155:{chain}/erc20:{token}"))
    assert ref == FactorRef(Factor(factor), Peg(peg) if peg else None)


def test_tokens_that_grow_against_their_factor_are_pegged() -> None:
    """An unpegged token is taken for its factor when prices are looked up, so a rate-bearing one must never be unpegged."""
    growing = ("0x83F20F44975D03b1b09e64809B757c47f942BEeA", "0xa3931d71877C0E7a3148CB7Eb4463524FEc27fbD")
    for token in growing:
        ref = markets.factor_table().of(AssetId(f"eip155:1/erc20:{token}"))
        assert ref is not None
        assert ref.peg


def test_context_holds_one_chain_and_the_overrides_of_a_book() -> None:
    mine = FactorRef(Factor("ETH"), Peg("mine/ETH"))
    everywhere, here, there = "0x" + "11" * 20, f"eip155:1/erc20:{WETH}", f"eip155:10/erc20:{WETH}"
    found = markets.context_factors(ETHEREUM, {everywhere: mine, here: mine, there: mine})
    assert all(asset.startswith("eip155:1/") for asset in found)
    assert found[AssetId(f"eip155:1/erc20:{checksum('11' * 20)}")] == mine
    assert found[AssetId(here)] == mine
    assert found[native_id(ETHEREUM)] == FactorRef(Factor("ETH"))


def test_on_a_chain_that_is_not_built_in_only_what_venues_list_is_known() -> None:
    found = markets.context_factors(LOCAL)
    assert found[AssetId("eip155:31337/hyperliquid:ETH")] == FactorRef(Factor("ETH"))
    assert not any("/erc20:" in asset or "/slip44:" in asset for asset in found)


def test_betas_are_numbers_of_factors_that_are_not_stable() -> None:
    table = markets.factor_table()
    assert table.betas == {Factor("EUR"): Decimal(0), Factor("XAU"): Decimal(0)}
    assert not table.stables & table.betas.keys()


def test_options_become_a_market() -> None:
    local = markets.chain("local", LOCAL)
    settings = {"adapter": "compound_v3", "chain": "local", "comet": COMET_USDC.lower()}
    market = markets.from_options(settings, adapter_of, {"local": local})
    assert (market.root, market.chain, market.name, market.venue) == (COMET_USDC, local, "custom", "")
    assert markets.from_options({**settings, "name": "devnet"}, adapter_of, {"local": local}).name == "devnet"


def test_a_description_of_a_built_in_market_keeps_its_name_and_source() -> None:
    settings = {"adapter": "compound_v3", "chain": "ethereum", "comet": COMET_USDC}
    assert markets.from_options(settings, adapter_of) == markets.by_name("compound-v3-ethereum-usdc")
    assert markets.from_options({"name": "spark-gnosis"}, adapter_of).venue == "Spark"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"adapter": "compound_v4"}, UnknownName, "compound_v3"),
        ({"chain": "etherum"}, UnknownName, "did you mean 'ethereum'"),
        ({"comett": "x"}, UnknownName, "did you mean 'comet'"),
        ({"comet": ""}, UsageError, "needs comet="),
        ({"chain": ""}, UsageError, "needs chain="),
        ({"comet": "0x123"}, AddressError, "3 hex digits"),
        ({"comet": COMET_USDC.replace("c3d6", "C3d6")}, AddressError, "checksum"),
    ],
)
def test_wrong_options_say_what_would_be_right(change: dict[str, str], error: type[UsageError], text: str) -> None:
    with pytest.raises(error, match=text):
        markets.from_options({"adapter": "compound_v3", "chain": "ethereum", "comet": COMET_USDC} | change, adapter_of)


def test_an_unknown_market_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'aave-v3-ethereum'"):
        markets.by_name("aave-v3-etherium")


def test_the_readers_of_our_own_files_refuse_what_is_malformed() -> None:
    lower = WETH.lower()
    with pytest.raises(StoreError, match="checksum form"):
        markets._address(lower, "tokens.toml")  # pyright: ignore[reportPrivateUsage]  # no public door leads a bad file there
    with pytest.raises(StoreError, match="positive whole number"):
        markets._whole(0, "feeds.toml")  # pyright: ignore[reportPrivateUsage]  # as above
