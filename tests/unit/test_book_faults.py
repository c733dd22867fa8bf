"""Every fault of a book is one line that names file, line and key, and the nearest known name where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from defi_risk.book import load, parse
from defi_risk.errors import BookError

WALLET = "0x71C7656EC7ab88b098defB751B7401B5f6d8976F"
LOAN = '[[manual]]\nname = "a"\nside = "lending"\n'
HELD = LOAN + '[[manual.collateral]]\nfactor = "ETH"\n'
PERP = '[[manual]]\nname = "p"\nside = "derivatives"\n'
POSITION = PERP + '[[manual.position]]\nfactor = "ETH"\nquote = "USDC"\nsize = 1\nentry = 1\nmark = 1\n'
MARKET = f'[[markets]]\nadapter = "aave_v3"\nchain = "ethereum"\npool_addresses_provider = "{WALLET}"\n'

FAULTS = [
    # text, line, what the message must hold
    ("[book\n", 1, "malformed TOML"),
    ("a = \n", 1, "malformed TOML"),
    ('[book]\nname = "a"\nname = "b"\n', 3, "malformed TOML: Cannot overwrite"),
    ("[book]\n[book]\n", 2, "malformed TOML: Cannot declare"),
    ('x = "a\nb"', 1, "malformed TOML"),
    ("x = " + "[" * 5_000, 0, "nested too deeply"),
    ("x = " + "9" * 5_000, 0, "too many digits"),
    ("x = 1e99999999999999999999", 0, "too many digits"),
    # sections and keys
    ("[bok]\n", 1, "unknown key 'bok' - did you mean 'book'?"),
    ("[[manuel]]\n", 1, "did you mean 'manual'?"),
    ("zzz = 1\n", 1, "unknown key 'zzz' - known here: book, chains"),
    ("book = 1", 1, "book: must be a table, is a number"),
    ("[[book]]", 1, "book: must be a table, is an array"),
    ('[book]\nwalets = ["x"]\n', 2, "book.walets: unknown key 'walets' - did you mean 'wallets'?"),
    ("[book]\nname = 3\n", 2, "book.name: must be text, is 3"),
    ("[book]\nname = ''\n", 2, "book.name: is empty"),
    ('[book]\nname = "a\\u001b[2Jb"\n', 2, "cannot be shown"),
    ("[book]\nname = '" + "x" * 300 + "'\n", 2, "has 300 characters"),
    # wallets
    ("[book]\nwallets = 7\n", 2, "book.wallets: must be an array of texts, is a number"),
    ("[book]\nwallets = [\n  7,\n]\n", 3, "book.wallets[0]: must be text, is 7"),
    (f"[book]\nwallets = [\n  '{WALLET}',\n  '0x12',\n]\n", 4, "book.wallets[1]: address '0x12' has 2 hex digits"),
    ("[book]\nwallets = ['" + WALLET.replace("C7", "c7", 1) + "']\n", 2, "wrong checksum"),
    ("[book]\nwallets = ['vitalik']\n", 2, "not an address: 'vitalik'"),
    # chains
    ("[chains]\nethereum = 1\n", 2, "chains.ethereum: must be a table, is a number"),
    ("[chains.etherum]\nrpc = 'http://x'\n", 1, "chains.etherum: unknown chain - did you mean 'ethereum'?"),
    ("[chains.mine]\nrpc = 'http://x'\n", 1, "needs its chain_id"),
    ("[chains.'a b']\nchain_id = 5\n", 1, "is not a name"),
    ("[chains.local]\nchain_id = '5'\n", 2, "chains.local.chain_id: must be a whole number, is '5'"),
    ("[chains.local]\nchain_id = 5.0\n", 2, "must be a whole number, is 5.0"),
    ("[chains.local]\nchain_id = true\n", 2, "must be a whole number, is true"),
    ("[chains.local]\nchain_id = 0\n", 2, "0 is outside 1 ..."),
    ("[chains.local]\nchain_id = -1\n", 2, "-1 is outside"),
    ("[chains.local]\nchain_id = 0x" + "f" * 5000 + "\n", 2, "a huge number is outside"),
    ("[chains.one]\nchain_id = 7\n[chains.two]\nchain_id = 7\n", 3, "chains.two: has chain id 7, as has chains.one"),
    ("[chains.ethereum]\nrcp = 'http://x'\n", 2, "chains.ethereum.rcp: unknown key 'rcp' - did you mean 'rpc'?"),
    ("[chains.ethereum]\nrpc = 8545\n", 2, "chains.ethereum.rpc: must be an array of texts, is a number"),
    ("[chains.ethereum]\nrpc = [\n 'http://x',\n 'ftp://KEY'\n]\n", 4, "chains.ethereum.rpc[1]: is not a URL of a node (literal)"),
    ("[chains.ethereum]\nrpc = ['']\n", 2, "chains.ethereum.rpc[0]: literal is empty"),
    ("[chains.ethereum]\nrpc = ['http://x',\n'${UNSET_VARIABLE}']\n", 3, "environment variable UNSET_VARIABLE is not set"),
    ("[chains.ethereum]\nrpc = ['file:/nowhere']\n", 2, "chains.ethereum.rpc[0]: file /nowhere cannot be read"),
    ("[chains.ethereum]\nconfirmations = -1\n", 2, "-1 is outside 0"),
    ("[chains.ethereum]\nmulticall3 = '0x00'\n", 2, "chains.ethereum.multicall3: address '0x00' has 2 hex digits"),
    # markets
    ("[markets]\nadapter = 'x'\n", 1, "markets: must be an array of tables, is a table"),
    ("[[markets]]\nchain = 'ethereum'\n", 1, "markets[0]: 'adapter' is missing"),
    ("[[markets]]\nadaptor = 'aave_v3'\n", 1, "'adapter' is missing - is 'adaptor' meant to be it?"),
    ("[[markets]]\nadapter = 'aave3'\n", 2, "unknown adapter 'aave3' - did you mean 'aave_v3'?"),
    ("[[markets]]\nname = 'iron-bank-etherum'\n", 2, "unknown market 'iron-bank-etherum' - did you mean 'iron-bank-ethereum'?"),
    (
        MARKET.replace("'ethereum'", "'x'").replace('"ethereum"', '"etherium"'),
        3,
        "markets[0].chain: unknown value 'etherium' - did you mean",
    ),
    ("[[markets]]\nadapter = 'aave_v3'\nchain = 'ethereum'\n", 1, "'pool_addresses_provider' is missing"),
    (MARKET.replace("pool_addresses_provider", "pool_address_provider"), 4, "did you mean 'pool_addresses_provider'?"),
    (MARKET.replace(WALLET, "0x12"), 4, "markets[0].pool_addresses_provider: address '0x12' has 2 hex digits"),
    (MARKET + MARKET, 5, "markets[1]: is the same market as one above"),
    # exchanges
    ("[[exchanges]]\nid = 'binance'\n", 1, "exchanges[0]: 'name' is missing"),
    ("[[exchanges]]\nname = 'b'\n", 1, "exchanges[0]: 'id' is missing"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\napikey = 'x'\n", 4, "did you mean 'api_key'?"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\napi_key = 5\n", 4, "exchanges[0].api_key: must be text, is a number"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\nsecret = '${UNSET_VARIABLE}'\n", 4, "environment variable UNSET_VARIABLE is not set"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\napi_key = 'x'\n", 4, "exchanges[0].api_key: must be a reference, not the key itself"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\nurl = 'https://127.0.0.1.evil.example'\nsecret = 'x'\n", 5, "must be a reference"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\nurl = 'http://[::1'\nsecret = 'x'\n", 5, "must be a reference"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\nrules = { fee = -1 }\n", 4, "-1 is out of range"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\nurl = 'localhost'\n", 4, "exchanges[0].url: is not a URL"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\nurl = 'http://127.0.0.1:9/path'\n", 4, "exchanges[0].url: must be scheme, host and port alone"),
    ("[[exchanges]]\nid = 'b'\nname = 'b'\noptions = 'x'\n", 4, "exchanges[0].options: must be a table"),
    ("[[exchanges]]\nid='b'\nname='b'\n[[exchanges]]\nid='c'\nname='b'\n", 6, "exchanges[1].name: 'b' is already taken"),
    # manual accounts
    ("[[manual]]\nside = 'lending'\n", 1, "manual[0]: 'name' is missing"),
    ("[[manual]]\nname = 'a'\n", 1, "manual[0]: 'side' is missing"),
    ("[[manual]]\nname = 'a/b'\nside = 'lending'\n", 2, "'a/b' is not a name"),
    (LOAN + LOAN, 5, "manual[1].name: 'a' is already taken"),
    ("[[manual]]\nname = 'a'\nside = 'lend'\n", 3, "unknown value 'lend' - did you mean 'lending'?"),
    (LOAN + "liquidation = '>'\n", 4, "manual[0].liquidation: unknown value '>' - "),
    (LOAN + "close_factor = 0\n", 4, "0 must be greater than 0"),
    (LOAN + "close_factor = 1.5\n", 4, "manual[0].close_factor: 1.5 is out of range - 0 ... 1"),
    (LOAN + "bonus = -0.1\n", 4, "manual[0].bonus: -0.1 is out of range"),
    (LOAN + "bonus = nan\n", 4, "is not a finite number"),
    (LOAN + "remainder = 'kept'\n", 4, "one of 'refunded', 'lost'"),
    (LOAN + "[[manual.colateral]]\nfactor = 'ETH'\n", 4, "manual[0].colateral: unknown key 'colateral' - did you mean 'collateral'?"),
    (LOAN + "collateral = 5\n", 4, "manual[0].collateral: must be an array of tables, is a number"),
    (LOAN + "collateral = [5]\n", 4, "manual[0].collateral[0]: must be a table, is a number"),
    (HELD, 4, "manual[0].collateral[0]: 'amount' is missing"),
    (HELD + "ammount = 5\n", 6, "unknown key 'ammount' - did you mean 'amount'?"),
    (HELD + "amount = 'five'\n", 6, "'five' is not a number - write 0.5"),
    (HELD + "amount = '1_000'\n", 6, "'1_000' is not a number"),
    (HELD + "amount = '٣'\n", 6, "is not a number"),
    (HELD + "amount = true\n", 6, "true is not a number"),
    (HELD + "amount = [1]\n", 6, "an array is not a number"),
    (HELD + "amount = 2024-12-14\n", 6, "is not a number"),
    (HELD + "amount = inf\n", 6, "is not a finite number"),
    (HELD + "amount = '-nan'\n", 6, "is not a number"),
    (HELD + "amount = 1e31\n", 6, "cannot be right - at most 1e30"),
    (HELD + "amount = '1e9999'\n", 6, "cannot be right"),
    (HELD + "amount = 1e-999999999\n", 6, "cannot be right"),
    (HELD + "amount = 0x" + "f" * 5000 + "\n", 6, "a huge number is not a number"),
    (HELD + "amount = '" + "1" * 79 + "'\n", 6, "cannot be right"),
    (HELD + "amount = -1\n", 6, "manual[0].collateral[0].amount: -1 is out of range - at least 0"),
    (HELD + "amount = 1\nprice = 0\n", 7, "0 must be greater than 0"),
    (HELD + "amount = 1\nweight = 1.1\n", 7, "1.1 is out of range - 0 ... 1"),
    (HELD + "amount = 1\nweight = 0.8\ninitial_weight = 0.83\n", 8, "0.83 lies above the weight 0.8"),
    (LOAN + "[[manual.debt]]\nfactor = 'USDC'\namount = -5\n", 6, "-5 is out of range"),
    (LOAN + "[[manual.debt]]\nfactor = 'USDC'\namount = 5\napr = 1000\n", 7, "1000 is out of range"),
    (LOAN + POSITION.removeprefix(PERP), 4, "a lending account has no positions"),
    (PERP + "[[manual.position]]\nfactor = 'ETH'\n", 4, "'quote' is missing"),
    (POSITION, 4, "needs either 'maintenance' (one rate) or 'tiers'"),
    (POSITION + "maintenance = 0.1\ntiers = [[0, 0.1, 0]]\n", 4, "needs either"),
    (POSITION + "maintenance = 2\n", 10, "2 is out of range"),
    (POSITION + "tiers = []\n", 10, "is empty"),
    (POSITION + "tiers = 5\n", 10, "must be an array of arrays, is a number"),
    (POSITION + "tiers = [\n[0, 0.1, 0],\n5]\n", 12, "manual[0].position[0].tiers[1]: must be an array, is a number"),
    (POSITION + "tiers = [[0, 0.1]]\n", 10, "must hold 3 numbers, holds 2"),
    (POSITION + "tiers = [[0, 0.01, 500]]\n", 10, "tiers[0][2]: deduction 500 is out of range - a deduction is at most floor x rate"),
    (POSITION + "tiers = [[0, 0.01, 0], [1000, 0.02, 20.01]]\n", 10, "deduction 20.01 is out of range"),
    (POSITION + "tiers = [[1, 0.1, 0]]\n", 10, "floor 1 is out of order - floors start at 0 and rise"),
    (POSITION + "tiers = [[0, 0.1, 0],\n[0, 0.2, 0]]\n", 11, "tiers[1][0]: floor 0 is out of order"),
    (POSITION + "tiers = [[0, 1.5, 0]]\n", 10, "tiers[0][1]: rate 1.5 is out of range"),
    (POSITION + "tiers = [[0, 0.1, -1]]\n", 10, "tiers[0][2]: -1 is out of range"),
    (POSITION + "maintenance = 0.1\ncontract = 'quanto'\n", 11, "one of 'linear', 'inverse'"),
    (POSITION + "maintenance = 0.1\nmaintenance_basis = 'marc'\n", 11, "did you mean 'mark'?"),
    (POSITION.replace("entry = 1", "entry = 0") + "maintenance = 0.1\n", 8, "0 must be greater than 0"),
    # model, factors, betas, thresholds, links, alerts
    ("[model]\nhorizon_days = 0\n", 2, "0 must be greater than 0"),
    ("[model]\nfollow_days = -1\n", 2, "model.follow_days: -1 is out of range - 0 ... 366"),
    ("[model]\nvolatility = { ETH = -1 }\n", 2, "model.volatility.ETH: -1 is out of range"),
    ("[model]\ncorrelation = { ETH = 1 }\n", 2, "must name two factors"),
    ("[model]\ncorrelation = { 'A/B' = 2 }\n", 2, "model.correlation.A/B: 2 is out of range - -1 ... 1"),
    ("[factors]\nUSDC = { factor = 'USDC' }\n", 2, "factors.USDC: not an address"),
    ("[factors]\n'eip155:1/erc20:0x12' = { factor = 'USDC' }\n", 2, "has 2 hex digits"),
    ("[factors]\n'eip155:0/slip44:60' = { factor = 'ETH' }\n", 2, "not an address"),
    ("[factors]\n'eip155:1/erc20:ETH' = { factor = 'ETH' }\n", 2, "not an address"),
    ("[factors]\n'eip155:999/hyperliquid:' = { factor = 'ETH' }\n", 2, "not an address"),
    ("[factors]\n'hyperliquid:ETH' = { factor = 'ETH' }\n", 2, "not an address"),
    (f"[factors]\n'{WALLET}' = 'ETH'\n", 2, "must be a table, is text"),
    (f"[factors]\n'{WALLET}' = {{ peg = 'a/b' }}\n", 2, "'factor' is missing"),
    (f"[factors]\n'{WALLET}' = {{ factor = 'A' }}\n'{WALLET.lower()}' = {{ factor = 'B' }}\n", 3, "this token is mapped twice"),
    ("[betas]\nSOL = 'high'\n", 2, "betas.SOL: 'high' is not a number"),
    ("[thresholds]\nnear = 1\n", 2, "unknown key 'near' - did you mean 'near_liquidation'?"),
    ("[thresholds]\nnear_liquidation = { warning = 1.1, critical = 1.2 }\n", 2, "critical 1.2 lies above warning 1.1"),
    ("[thresholds]\nnear_liquidation = { warning = 0.9 }\n", 2, "0.9 is out of range"),
    (LOAN + "[[links]]\nloan = 'manual:b'\nmargin = 'x'\n", 5, "unknown account 'manual:b' - did you mean 'manual:a'?"),
    (LOAN + "[[links]]\nloan = 'manual:a'\n", 4, "links[0]: 'margin' is missing"),
    (LOAN + PERP + "[[links]]\nloan = 'manual:p'\nmargin = 'manual:a'\n", 8, "'manual:p' is a derivatives account - did loan and margin"),
    (LOAN + "[[links]]\nloan = 'manual:a'\nmargin = 'manual:a'\n", 6, "links[0].margin: 'manual:a' is a lending account"),
    (LOAN + "[[links]]\nloan = 'manual:a'\nmargin = 'main/usdm/USDT'\n", 6, "unknown account 'main/usdm/USDT'"),
    ("[alerts]\nurls = ['${UNSET_VARIABLE}']\n", 2, "alerts.urls[0]: environment variable UNSET_VARIABLE"),
    ("[alerts]\nurl = 'x'\n", 2, "did you mean 'urls'?"),
]


@pytest.mark.parametrize(("text", "line", "says"), FAULTS, ids=range(len(FAULTS)))
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_fault(text: str, line: int, says: str, ends: str) -> None:
    with pytest.raises(BookError) as fault:
        parse(text.replace("\n", ends), "desk.toml")
    message = str(fault.value)
    assert says in message
    assert message.startswith(f"desk.toml:{line}: " if line else "desk.toml: ")
    assert (fault.value.file, fault.value.line) == ("desk.toml", line)
    assert "\n" not in message
    assert len(message) < 400
    assert fault.value.exit_code == 2


def test_a_fault_never_shows_what_may_be_a_key() -> None:
    for text in (
        "[chains.ethereum]\nrpc = ['wss://node.example/CANARY']",
        "[chains.ethereum]\nrpc = [['CANARY']]",
        "[[exchanges]]\nid='b'\nname='b'\napi_key = ['CANARY']",
        "[[exchanges]]\nid='b'\nname='b'\nprivate_key = 'CANARY'",
        "[[exchanges]]\nid='b'\nname='b'\nuid = 'CANARY'\nurl = 'https://api.exchange.example'",
        "[alerts]\nurls = {CANARY = 1}",
    ):
        with pytest.raises(BookError) as fault:
            parse(text, "desk.toml")
        assert "CANARY" not in str(fault.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[book]\nname = "a"'.encode("utf-16"), "is UTF-16 text - save it as UTF-8"),
        (b'[book]\nname = "a"\n# caf\xe9\n', ":3: is not UTF-8 text"),
        (b"#" * 2_000_000, "is larger than 1 MiB"),
        (b"[book]\nname = '\x00'", ":2: malformed TOML"),
        (bytes(range(256)), "is not UTF-8 text"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "desk.toml"
    path.write_bytes(content)
    with pytest.raises(BookError) as fault:
        load(path)
    assert says in str(fault.value)
    assert str(fault.value).startswith(str(path))


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory"), ("a\0b", "NUL")):
        with pytest.raises(BookError, match=says):
            load(path)
