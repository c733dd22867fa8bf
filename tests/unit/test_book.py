"""A whole book is read as its file says: exact numbers, resolved secrets, checksum addresses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from defi_risk.book import Book, Link, load, parse
from defi_risk.model import Basis, Contract, FactorRef, Side, Tier

WALLET = "0x71c7656ec7ab88b098defb751b7401b5f6d8976f"
CHECKSUM = "0x71C7656EC7ab88b098defB751B7401B5f6d8976F"
POOL = "0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e"

WHOLE = f"""
[book]
name = "desk-1"
wallets = ["{WALLET}", "vitalik.eth", "0x{CHECKSUM[2:]}"]

[chains.ethereum]
rpc = ["${{NODE}}", "https://node.example/KEY"]
confirmations = 2

[chains.local]
chain_id = 31337
rpc = ["http://127.0.0.1:8545"]
multicall3 = "{WALLET}"

[[markets]]
adapter = "aave_v3"
chain = "local"
name = "devnet"
pool_addresses_provider = "{POOL.lower()}"

[[markets]]
adapter = "compound_v3"
chain = "local"
comet = "{POOL}"

[[exchanges]]
id = "binance"
name = "binance-main"
api_key = "${{KEY}}"
secret = "exchange-secret"
options = {{ defaultType = "swap" }}
url = "http://127.0.0.1:9000"

[[manual]]
name = "otc-loan"
side = "lending"
liquidation = "<="
close_factor = "0.5"
bonus = "0.05"
supply_apr = "0.01"
[[manual.collateral]]
factor = "ETH"
peg = "stETH/ETH"
amount = "10.000000000000000001"
price = "3000"
weight = "0.83"
initial_weight = "0.80"
[[manual.debt]]
factor = "USDC"
amount = 12_000
price = 1.0
apr = "0.06"

[[manual]]
name = "perp"
side = "derivatives"
remainder = "lost"
[[manual.collateral]]
factor = "USDC"
amount = "-1"
[[manual.position]]
factor = "ETH"
quote = "USDC"
size = "-10"
entry = "3000"
mark = "3000.5"
tiers = [[0, 0.004, 0], ["50000", "0.005", 50]]
maintenance_basis = "entry"
initial = "0.05"
close_fee = "0.0005"
funding_8h = "-0.0001"
unrealized_pnl = "-5"
[[manual.position]]
factor = "BTC"
contract = "inverse"
size = 30000
entry = 60000
mark = 60000
maintenance = 0.01

[model]
horizon_days = 7
volatility = {{ ETH = 0.04, BTC = 0.03 }}
correlation = {{ "BTC/ETH" = 0.8 }}
prices = "prices.csv"
follow_days = 90

[factors]
"{WALLET}" = {{ factor = "ETH", peg = "myLST/ETH" }}
"eip155:1/erc20:{WALLET}" = {{ factor = "BTC" }}
"eip155:56/slip44:60" = {{ factor = "BNB" }}
"eip155:999/hyperliquid:kPEPE" = {{ factor = "PEPE" }}

[betas]
SOL = 1.4
DOGE = "-0.5"

[thresholds]
near_liquidation = {{ warning = 1.3 }}

[[links]]
loan = "manual:otc-loan"
margin = "binance-main"

[alerts]
urls = ["slack://TOKEN"]
"""


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setenv("NODE", "https://node.example/SECRETPATH")
    monkeypatch.setenv("KEY", "exchange-key")
    return parse(WHOLE, "desk.toml")


def test_wallets_are_checksummed_and_each_is_there_once(whole: Book) -> None:
    assert whole.wallets == (CHECKSUM, "vitalik.eth")


def test_chains_with_their_nodes_in_order(whole: Book) -> None:
    ethereum, local = whole.chains["ethereum"], whole.chains["local"]
    assert [node.reveal() for node in ethereum.rpc] == ["https://node.example/SECRETPATH", "https://node.example/KEY"]
    assert (ethereum.chain_id, ethereum.confirmations, ethereum.multicall3) == (None, 2, None)
    assert (local.chain_id, local.confirmations, local.multicall3) == (31337, 0, CHECKSUM)


def test_markets_have_their_parameters_in_the_adapters_order(whole: Book) -> None:
    devnet, unnamed = whole.markets
    assert (devnet.adapter, devnet.chain, devnet.name) == ("aave_v3", "local", "devnet")
    assert devnet.params == (("pool_addresses_provider", POOL),)
    assert unnamed.params == (("comet", POOL),)


def test_a_built_in_market_by_its_name_alone() -> None:
    from defi_risk.markets import by_name

    [market] = parse('[[markets]]\nname = "iron-bank-ethereum"').markets
    assert market.params == by_name("iron-bank-ethereum").params
    assert (market.adapter, market.chain) == ("compound_v2", "ethereum")


def test_exchanges_keep_their_keys_as_secrets(whole: Book) -> None:
    [exchange] = whole.exchanges
    assert (exchange.id, exchange.name, exchange.url) == ("binance", "binance-main", "http://127.0.0.1:9000")
    assert {name: secret.reveal() for name, secret in exchange.credentials.items()} == {
        "apiKey": "exchange-key",
        "secret": "exchange-secret",
    }
    assert exchange.options == {"defaultType": "swap"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://localhost", "http://[::1]:8080"])
def test_keys_for_a_simulator_on_this_machine_may_stand_in_the_book(url: str) -> None:
    [exchange] = parse(f'[[exchanges]]\nid = "binance"\nname = "b"\nurl = "{url}"\napi_key = "dummy"\n', "desk.toml").exchanges
    assert exchange.credentials["apiKey"].reveal() == "dummy"


def test_exchanges_that_know_accounts_by_address_and_rules_that_are_the_owners() -> None:
    text = '[[exchanges]]\nid = "dydx"\nname = "d"\nwallet = "dydx1abc"\nrules = { maintenance = "0.03" }\n'
    [exchange] = parse(text, "desk.toml").exchanges
    assert (exchange.wallet, exchange.rules, exchange.credentials) == ("dydx1abc", {"maintenance": Decimal("0.03")}, {})


def test_manual_loans_are_exact(whole: Book) -> None:
    loan = whole.manual[0]
    assert (loan.name, loan.side, loan.strict) == ("otc-loan", Side.LENDING, False)
    assert (loan.close_factor, loan.bonus, loan.supply_apr) == (Decimal("0.5"), Decimal("0.05"), Decimal("0.01"))
    [held], [owed] = loan.collateral, loan.debt
    assert (held.factor, held.peg, held.amount) == ("ETH", "stETH/ETH", Decimal("10.000000000000000001"))
    assert (held.price, held.weight, held.initial_weight) == (Decimal(3000), Decimal("0.83"), Decimal("0.80"))
    assert (owed.factor, owed.amount, owed.price, owed.apr) == ("USDC", Decimal(12000), Decimal(1), Decimal("0.06"))


def test_manual_positions_are_exact(whole: Book) -> None:
    perp = whole.manual[1]
    assert (perp.side, perp.strict, perp.remainder, perp.collateral[0].amount) == (Side.DERIVATIVES, True, "lost", Decimal(-1))
    linear, inverse = perp.position
    assert (linear.quote, linear.contract, linear.size, linear.mark) == ("USDC", Contract.LINEAR, Decimal(-10), Decimal("3000.5"))
    assert linear.tiers == (Tier(Decimal(0), Decimal("0.004"), Decimal(0)), Tier(Decimal(50000), Decimal("0.005"), Decimal(50)))
    assert (linear.basis, linear.initial, linear.close_fee) == (Basis.ENTRY, Decimal("0.05"), Decimal("0.0005"))
    assert (linear.funding_8h, linear.unrealized_pnl) == (Decimal("-0.0001"), Decimal(-5))
    assert (inverse.contract, inverse.quote, inverse.tiers[0].rate, inverse.initial) == (Contract.INVERSE, "USD", Decimal("0.01"), None)


def test_model_factors_betas_thresholds_links_and_alerts(whole: Book) -> None:
    assert whole.model.volatility == {"ETH": Decimal("0.04"), "BTC": Decimal("0.03")}
    assert (whole.model.horizon_days, whole.model.prices, whole.model.follow_days) == (Decimal(7), "prices.csv", Decimal(90))
    assert whole.model.correlation == {"BTC/ETH": Decimal("0.8")}
    assert whole.factors == {
        CHECKSUM: FactorRef("ETH", "myLST/ETH"),  # type: ignore[arg-type]  # plain text for ids
        f"eip155:1/erc20:{CHECKSUM}": FactorRef("BTC"),  # type: ignore[arg-type]
        "eip155:56/slip44:60": FactorRef("BNB"),  # type: ignore[arg-type]
        "eip155:999/hyperliquid:kPEPE": FactorRef("PEPE"),  # type: ignore[arg-type]
    }
    assert whole.betas == {"SOL": Decimal("1.4"), "DOGE": Decimal("-0.5")}
    assert (whole.thresholds.near_warning, whole.thresholds.near_critical) == (Decimal("1.3"), Decimal("1.10"))
    assert whole.links == (Link("manual:otc-loan", "binance-main"),)
    assert [url.reveal() for url in whole.alerts] == ["slack://TOKEN"]


def test_no_printing_of_a_book_shows_a_key(whole: Book) -> None:
    for part in ("SECRETPATH", "KEY", "exchange-key", "exchange-secret", "TOKEN"):
        assert part not in repr(whole)


def test_everything_has_a_default() -> None:
    book = parse("", "somewhere/desk.toml")
    assert (book.name, book.wallets, book.chains, book.manual) == ("desk", (), {}, ())
    assert (book.thresholds.near_warning, book.thresholds.near_critical) == (Decimal("1.25"), Decimal("1.10"))
    [loan] = parse('[[manual]]\nname="a"\nside="lending"\n[[manual.collateral]]\nfactor="ETH"\namount=1').manual
    assert (loan.strict, loan.close_factor, loan.bonus, loan.remainder, loan.supply_apr) == (True, Decimal(1), Decimal(0), "refunded", None)
    assert (loan.collateral[0].weight, loan.collateral[0].initial_weight, loan.collateral[0].price) == (Decimal(1), None, None)


def test_line_ends_and_marks_of_other_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE", "https://n/k")
    monkeypatch.setenv("KEY", "k")
    path = tmp_path / "desk.toml"
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert load(path).manual == parse(WHOLE).manual


def test_nodes_given_otherwise_leave_the_books_own_alone() -> None:
    text = '[chains.ethereum]\nrpc = "${NOT_SET_ANYWHERE}"'
    assert parse(text, overridden={"ethereum"}).chains["ethereum"].rpc == ()


def test_relative_secret_files_start_at_the_book(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://node.example/K")
    (tmp_path / "url").chmod(0o600)
    (tmp_path / "desk.toml").write_text('[chains.ethereum]\nrpc = "file:url"')
    assert load(tmp_path / "desk.toml").chains["ethereum"].rpc[0].reveal() == "https://node.example/K"


def test_the_example_book() -> None:
    book = load(Path(__file__).parents[2] / "fixtures" / "books" / "desk.toml")
    assert (book.name, list(book.chains), [one.name for one in book.manual]) == ("desk-1", ["local"], ["otc-loan", "short"])
