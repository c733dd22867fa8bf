"""Idle balances: what is listed, what it is priced at, and what must never be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from defi_risk_adapters.aave_v3 import AaveV3
from defi_risk_adapters.compound_v2 import CompoundV2
from defi_risk_adapters.compound_v3 import CompoundV3
from defi_risk_adapters.wallet import Wallet

from defi_risk import engine
from defi_risk.errors import CallReverted
from defi_risk.ids import USD, ZERO_ADDRESS, Address, AssetId, ChainId, Factor, Peg, checksum, erc20_id, native_id
from defi_risk.model import Account, Anchor, Chain, FactorRef, Owner, Price, Quote, Role
from defi_risk.pricing import PriceBook, resolve
from defi_risk.replay import answer_of, dumps, outcome_of
from defi_risk.spi import Ask, Call, Context, Failed, Market, NativeBalance
from defi_risk.testing import AdapterConformance
from defi_risk.testing.record import record
from defi_risk.units import Quantity

ETHEREUM = Chain(ChainId(1), "ethereum")
OWNER = Owner(checksum("0e" * 20))
NAMES = (
    "WETH USDC WBTC DAI WSTETH PT COMP BAT FAKE PROVIDER POOL ORACLE COMET COMET_ETH FEED FEED_ETH FEED_COMP FEED_WSTETH COMPTROLLER "
    "V2_ORACLE CETH CBAT CUSDC"
)
(
    WETH, USDC, WBTC, DAI, WSTETH, PT, COMP, BAT, FAKE, PROVIDER, POOL, ORACLE, COMET, COMET_ETH, FEED, FEED_ETH, FEED_COMP, FEED_WSTETH,
    COMPTROLLER, V2_ORACLE, CETH, CBAT, CUSDC,
) = (checksum(f"{0x40 + number:02x}" * 20) for number in range(len(NAMES.split())))  # fmt: skip
AAVE = Market("aave_v3", ETHEREUM, "aave", (("pool_addresses_provider", PROVIDER),))
COMETS = (Market("compound_v3", ETHEREUM, "usdc", (("comet", COMET),)), Market("compound_v3", ETHEREUM, "weth", (("comet", COMET_ETH),)))
V2 = Market("compound_v2", ETHEREUM, "v2", (("comptroller", COMPTROLLER),))
HERE = Market("wallet", ETHEREUM, "wallet", (), "Wallet")
DECIMALS = {WETH: 18, USDC: 6, WBTC: 8, DAI: 18, WSTETH: 18, PT: 18, COMP: 18, BAT: 18}


def ref(factor: str, peg: str | None = None) -> FactorRef:
    return FactorRef(Factor(factor), Peg(peg) if peg else None)


def context(*markets: Market, **more: FactorRef) -> Context:
    known = {
        native_id(ETHEREUM.id): ref("ETH"),
        erc20_id(ETHEREUM.id, WETH): ref("ETH"),
        erc20_id(ETHEREUM.id, USDC): ref("USDC"),
        erc20_id(ETHEREUM.id, WBTC): ref("BTC", "WBTC/BTC"),
        erc20_id(ETHEREUM.id, DAI): ref("DAI"),
        erc20_id(ETHEREUM.id, WSTETH): ref("ETH", "stETH/ETH"),
        erc20_id(ETHEREUM.id, COMP): ref("COMP"),
    }
    return Context(ETHEREUM, 1, 1, {**known, **{AssetId(key): value for key, value in more.items()}}, {}, markets)


def info(index: int, asset: Address, feed: Address) -> tuple[int, Address, Address, int, int, int, int, int]:
    return index, asset, feed, 10**18, 8 * 10**17, 85 * 10**16, 93 * 10**16, 10**27


def venues() -> dict[tuple[Address, str, tuple[Any, ...]], Any]:
    """One Aave market, a Comet in USDC, one in WETH, and a Compound V2 whose cETH has no `underlying`."""
    return {
        (PROVIDER, "getPool", ()): POOL,
        (PROVIDER, "getPriceOracle", ()): ORACLE,
        (POOL, "getReservesList", ()): (WETH, USDC, WBTC, PT),
        (ORACLE, "BASE_CURRENCY", ()): ZERO_ADDRESS,
        (ORACLE, "BASE_CURRENCY_UNIT", ()): 10**8,
        (ORACLE, "getAssetPrice", (WETH,)): 3000_12345678,
        (ORACLE, "getAssetPrice", (USDC,)): 99_990_000,
        (ORACLE, "getAssetPrice", (WBTC,)): 60_000_00000000,
        (ORACLE, "getAssetPrice", (PT,)): 95_000_000,
        (COMET, "baseToken", ()): USDC,
        (COMET, "baseTokenPriceFeed", ()): FEED,
        (COMET, "numAssets", ()): 2,
        (COMET, "getAssetInfo", (0,)): info(0, WETH, FEED_ETH),
        (COMET, "getAssetInfo", (1,)): info(1, COMP, FEED_COMP),
        (COMET, "getPrice", (FEED,)): 10**8,
        (COMET, "getPrice", (FEED_COMP,)): 45_00000000,
        (FEED, "description", ()): "USDC / USD",
        (COMET_ETH, "baseToken", ()): WETH,
        (COMET_ETH, "baseTokenPriceFeed", ()): FEED_ETH,
        (COMET_ETH, "numAssets", ()): 1,
        (COMET_ETH, "getAssetInfo", (0,)): info(0, WSTETH, FEED_WSTETH),
        (COMET_ETH, "getPrice", (FEED_ETH,)): 10**8,
        (FEED_ETH, "description", ()): "Constant price feed",
        (COMPTROLLER, "getAllMarkets", ()): (CETH, CUSDC, CBAT),
        (COMPTROLLER, "oracle", ()): V2_ORACLE,
        (CUSDC, "underlying", ()): USDC,
        (CBAT, "underlying", ()): BAT,
        (V2_ORACLE, "getUnderlyingPrice", (CUSDC,)): 10 ** (36 - 6),
        (V2_ORACLE, "getUnderlyingPrice", (CBAT,)): 25 * 10 ** (36 - 18 - 2),
        **{(token, "decimals", ()): decimals for token, decimals in DECIMALS.items()},
        **{(token, "symbol", ()): NAMES.split()[index] for index, token in enumerate(DECIMALS)},
    }


@dataclass
class World:
    """A chain of plain values; tokens of `DECIMALS` hold 0 unless told, and whatever is not there reverts."""

    coin: int = 0
    held: Mapping[Address, Any] = field(default_factory=dict)
    values: dict[tuple[Address, str, tuple[Any, ...]], Any] = field(default_factory=venues)
    chain: Chain = ETHEREUM
    rounds: list[list[Ask]] = field(default_factory=list)

    @property
    def anchor(self) -> Anchor:
        return Anchor(self.chain, 1, "0x" + "11" * 32, 1)

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        self.rounds.append(list(asks))
        return [self._one(ask) for ask in asks]

    def _one(self, ask: Ask) -> Any:
        if isinstance(ask, NativeBalance):
            return self.coin
        assert isinstance(ask, Call)
        value = self._value(ask)
        if value is None or (ask.interface.path == "erc20_bytes32" and isinstance(value, str)):
            return Failed("reverted") if ask.optional else CallReverted(f"{ask.function} of {ask.to}: reverted")
        return answer_of(ask, outcome_of(ask, value))  # through the codec: of the type and with the names that the ABI says

    def _value(self, ask: Call) -> Any:
        if ask.function == "balanceOf" and (ask.to in DECIMALS or ask.to in self.held):
            return self.held.get(ask.to, 0)
        return self.values.get((ask.to, ask.function, ask.args))


def read(world: World, at: Context) -> tuple[list[Account], list[Quote]]:
    found = engine.read(world, [engine.Job(Wallet(), OWNER, replace(HERE, chain=world.chain))], at)
    return found.accounts, found.quotes


def only(world: World, at: Context) -> Account:
    [account], _ = read(world, at)
    return account


def usd(value: str) -> Price:
    return Price(Quantity.of(Decimal(value)))


ALL = context(AAVE, *COMETS, V2)
RICH = {WETH: 5, USDC: 1_500_000, PT: 10**18, COMP: 2 * 10**18, BAT: 7, FAKE: 10**30}


def test_listed_holdings_become_idle_legs_at_venue_prices() -> None:
    account = only(World(10**18 + 1, RICH), ALL)
    assert account.status == "ok"
    assert account.id == f"eip155:1/wallet/{OWNER.address}"
    legs = {leg.asset.symbol: leg for leg in account.legs}
    assert set(legs) == {"ETH", "WETH", "USDC", "PT", "COMP", "BAT"}
    amounts = {symbol: str(leg.amount) for symbol, leg in legs.items()}
    assert amounts == {
        "ETH": "1.000000000000000001", "WETH": "0.000000000000000005", "USDC": "1.5", "PT": "1", "COMP": "2", "BAT": "0.000000000000000007",
    }  # fmt: skip
    prices = {symbol: (str(leg.price.value), leg.price.source) for symbol, leg in legs.items() if leg.price}
    assert prices == {
        "ETH": ("3000.12345678", ORACLE),
        "WETH": ("3000.12345678", ORACLE),
        "USDC": ("0.9999", ORACLE),
        "PT": ("0.95", ORACLE),
        "COMP": ("45", COMET),
        "BAT": ("0.25", V2_ORACLE),
    }
    for leg in account.legs:
        assert (leg.role, leg.weight, leg.enabled) == (Role.COLLATERAL, Decimal(0), False)
    assert legs["PT"].factor == Factor(erc20_id(ETHEREUM.id, PT))
    assert account.liquidatable is False


def test_it_takes_four_rounds_and_reads_no_look_alike() -> None:
    world = World(1, RICH)
    read(world, ALL)
    assert len(world.rounds) == 4
    assert not [ask for asks in world.rounds for ask in asks if isinstance(ask, Call) and ask.to == FAKE]


def test_its_reads_are_those_of_the_adapters_in_the_same_round() -> None:
    world = World()
    read(world, ALL)
    asked = world.rounds[0]
    for adapter, market in ((AaveV3(), AAVE), (CompoundV3(), COMETS[0]), (CompoundV3(), COMETS[1]), (CompoundV2(), V2)):
        theirs = next(adapter.read(OWNER, market, ALL))
        mine = [ask for ask in asked if isinstance(ask, Call) and ask.to == market.root]
        assert mine
        assert set(mine) <= set(theirs)


def test_markets_of_compound_v2_are_probed_in_the_third_round_only() -> None:
    """On a cETH `underlying()` accrues, so it may only stand where the adapter of Compound V2 has it."""
    world = World(0, RICH)
    read(world, ALL)
    rounds = [index for index, asks in enumerate(world.rounds) for ask in asks if isinstance(ask, Call) and ask.to in (CETH, CBAT, CUSDC)]
    assert set(rounds) == {2}


def test_quotes_are_given_for_unpegged_factors_even_of_an_empty_wallet() -> None:
    accounts, quotes = read(World(), ALL)
    assert accounts == []
    assert {quote.factor: str(quote.price.value) for quote in quotes} == {"ETH": "3000.12345678", "USDC": "0.9999", "COMP": "45"}


def test_a_wallet_without_markets_needs_no_venue() -> None:
    world = World(7)
    account = only(world, context())
    [leg] = account.legs
    assert (leg.factor, leg.price, str(leg.amount)) == ("ETH", None, "0.000000000000000007")
    [priced] = resolve([account], PriceBook([Quote(Factor("ETH"), usd("2500"))], []))
    assert priced.legs[0].price == Price(Quantity(2500, 0), USD, "book")


def test_a_listed_token_that_no_venue_prices_is_left_to_the_book() -> None:
    account = only(World(0, {DAI: 10**18}), ALL)
    assert account.legs[0].price is None
    [priced] = resolve([account], PriceBook([Quote(Factor("DAI"), usd("1.01"))], []))
    assert priced.known
    [unknown] = resolve([account], PriceBook([], []))
    assert (unknown.status, "DAI" in unknown.reason) == ("unknown", True)


def test_a_pegged_token_that_no_venue_prices_is_never_taken_for_its_factor() -> None:
    account = only(World(0, {WSTETH: 1}), ALL)
    assert (account.legs[0].peg, account.legs[0].price) == ("stETH/ETH", None)
    [unknown] = resolve([account], PriceBook([Quote(Factor("ETH"), usd("3000"))], []))
    assert unknown.status == "unknown"
    assert only(World(0, {USDC: 1}), ALL).known


@pytest.mark.parametrize("answer", [0, None])
def test_a_price_of_nothing_is_no_price(answer: int | None) -> None:
    world = World(1, {PT: 1})
    world.values[ORACLE, "getAssetPrice", (PT,)] = answer
    world.values[ORACLE, "getAssetPrice", (WETH,)] = answer
    account = only(world, ALL)
    assert [leg.price for leg in account.legs] == [None, None]


def test_a_venue_that_does_not_count_in_dollars_gives_no_price() -> None:
    world = World(0, {WETH: 1, COMP: 1})
    world.values[ORACLE, "BASE_CURRENCY", ()] = WETH
    world.values[FEED, "description", ()] = "USDC / ETH"
    account = only(world, context(AAVE, COMETS[0]))
    assert [leg.price for leg in account.legs] == [None, None]


def test_a_price_in_another_unit_serves_where_there_is_none_in_dollars() -> None:
    """The WETH Comet prices wstETH in ETH; where Aave prices it in dollars, that price stands, whichever market comes first."""
    world = World(0, {WSTETH: 10**18})
    world.values[COMET_ETH, "getPrice", (FEED_WSTETH,)] = 120_000_000
    [leg] = only(world, context(COMETS[1])).legs
    assert leg.price == Price(Quantity(120_000_000, 8), Factor("ETH"), COMET_ETH)
    world.values[POOL, "getReservesList", ()] = (WETH, WSTETH)
    world.values[ORACLE, "getAssetPrice", (WSTETH,)] = 3_600 * 10**8
    [leg] = only(world, context(COMETS[1], AAVE)).legs
    assert leg.price is not None
    assert (leg.price.unit, leg.price.source) == (USD, ORACLE)


def test_a_token_that_is_not_there_yet_holds_nothing() -> None:
    missing = checksum("99" * 20)
    at = context(AAVE, **{f"eip155:1/erc20:{missing}": ref("ETH")})
    assert [leg.asset.symbol for leg in only(World(0, {USDC: 1}), at).legs] == ["USDC"]


def test_a_token_that_is_there_and_tells_no_balance_makes_the_wallet_unknown() -> None:
    mute = checksum("99" * 20)
    world = World(0, {USDC: 1})
    world.values[mute, "decimals", ()] = 18
    account = only(world, context(AAVE, **{f"eip155:1/erc20:{mute}": ref("ETH")}))
    assert account.status == "unknown"
    assert mute in account.reason


@pytest.mark.parametrize("decimals", [None, 37, 255])
def test_decimals_are_never_guessed(decimals: int | None) -> None:
    world = World(0, {USDC: 1})
    world.values[USDC, "decimals", ()] = decimals
    account = only(world, ALL)
    assert account.status == "unknown"
    assert "decimals" in account.reason
    world.held = {WETH: 1}
    assert only(world, ALL).known


def test_a_token_of_no_decimals_is_counted_in_whole_units() -> None:
    world = World(0, {USDC: 12})
    world.values[USDC, "decimals", ()] = 0
    assert str(only(world, ALL).legs[0].amount) == "12"


def test_a_market_that_cannot_be_listed_makes_the_wallet_unknown() -> None:
    world = World(1)
    del world.values[POOL, "getReservesList", ()]
    account = only(world, ALL)
    assert account.status == "unknown"
    assert "getReservesList" in account.reason


def test_names_of_strangers_are_cleaned() -> None:
    world = World(0, {PT: 1})
    world.values[PT, "symbol", ()] = "\u202ePT\x1b[2J\n"
    assert only(world, ALL).legs[0].asset.symbol == "PT[2J"


@pytest.mark.parametrize(
    ("chain", "token"),
    [
        (Chain(ChainId(42_220), "celo", "CELO", Factor("CELO")), "0x471EcE3750Da237f93B8E339c536989b8978a438"),
        (Chain(ChainId(1_088), "metis", "METIS", Factor("METIS")), "0xDeadDeAddeAddEAddeadDEaDDEAdDeaDDeAD0000"),
    ],
)
def test_a_coin_that_is_also_a_token_is_counted_once_and_priced_as_the_token(chain: Chain, token: str) -> None:
    coin = Address(token)
    world = World(10**18, {coin: 10**18}, chain=chain)
    world.values[POOL, "getReservesList", ()] = (coin,)
    world.values[ORACLE, "getAssetPrice", (coin,)] = 50_000_000
    known = {native_id(chain.id): FactorRef(chain.coin_factor), erc20_id(chain.id, coin): FactorRef(chain.coin_factor)}
    account = only(world, Context(chain, 1, 1, known, {}, (replace(AAVE, chain=chain),)))
    assert [(leg.asset.id, str(leg.price.value) if leg.price else "") for leg in account.legs] == [(native_id(chain.id), "0.5")]


def test_the_coin_of_a_chain_that_no_table_knows_counts_only_with_a_price() -> None:
    local = Chain(ChainId(31337), "local")
    market = replace(AAVE, chain=local)
    accounts, _ = read(World(10**21, chain=local), Context(local, 1, 1, {}, {}, (market,)))
    assert accounts == []
    mapped = {erc20_id(local.id, WETH): ref("ETH")}
    [leg] = only(World(10**21, chain=local), Context(local, 1, 1, mapped, {}, (market,))).legs
    assert (leg.asset.id, leg.factor, leg.price is not None) == (native_id(local.id), "ETH", True)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> AdapterConformance:
    folder: Path = tmp_path_factory.mktemp("wallet")
    for name, world in (("rich", World(10**18, RICH)), ("empty", World())):
        (folder / f"{name}.json").write_text(dumps(record(name, world, Wallet(), [(OWNER, HERE)], ALL)), "utf-8")

    class Kit(AdapterConformance):
        adapter = Wallet()
        replays = folder

    return Kit()


@pytest.mark.parametrize("name", [name for name in dir(AdapterConformance) if name.startswith("test_")])
def test_it_conforms(kit: AdapterConformance, name: str) -> None:
    getattr(kit, name)()
