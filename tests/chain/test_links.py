"""Loans followed into margin: real Aave 3.6 beside real Perp V2 and real Synthetix PerpsV2, read through the command line.

The Comet is a double; Venus is real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from defi_risk.snapshot import Snapshot
from tests.chain import crossing
from tests.chain.scanning import book_text, scan
from tests.localchain.aave.market import AaveMarket
from tests.localchain.aave.v36 import deploy_aave36
from tests.localchain.anvil import Anvil
from tests.localchain.assets import Assets
from tests.localchain.comet.deployment import deploy_comet_usdc
from tests.localchain.comet.market import CometMarket
from tests.localchain.curie.deployment import deploy_curie
from tests.localchain.curie.market import CurieMarket
from tests.localchain.joint import ETH, deploy_joint, hedge
from tests.localchain.multicall import put_multicall3
from tests.localchain.people import person
from tests.localchain.tokens import Token, deploy_token
from tests.localchain.venus.deployment import deploy_venus
from tests.localchain.venus.market import VenusMarket

pytestmark = pytest.mark.chain
OWNER, SECOND, SPAMMER = (person(f"links/{name}") for name in ("owner", "second", "spammer"))
ONE: Final = 10**6
NOWHERE: Final = "0x" + "0" * 40


@dataclass(frozen=True, slots=True)
class Town:
    """Three lending venues and a perpetuals venue on one chain and the same USDC."""

    anvil: Anvil
    assets: Assets
    aave: AaveMarket
    comet: CometMarket
    venus: VenusMarket
    perps: CurieMarket

    @property
    def usdc(self) -> Token:
        return self.assets.token("USDC")

    def send(self, source: str, target: str, amount: int, token: Token | None = None) -> str:
        """Transfer so many tokens; the transaction's hash."""
        token = token or self.usdc
        token.contract.send("transfer", target, token.units(amount), sender=source)
        return self.last()

    def deposit(self, who: str, amount: int) -> str:
        """Post what `who` has as margin; the transaction's hash."""
        self.usdc.approve(who, self.perps.vault.address)
        self.perps.vault.send("deposit", self.usdc.address, self.usdc.units(amount), sender=who)
        return self.last()

    def last(self) -> str:
        """Hash of the newest transaction: every one has a block of its own."""
        [found] = self.anvil.rpc("eth_getBlockByNumber", "latest", False)["transactions"]
        return str(found)

    def scanned(self, folder: Path, *wallets: str, more: str = "", block: int | None = None) -> Snapshot:
        """What a scan of everything says."""
        text = book_text(self.anvil.url, self.aave, self.comet, self.venus, self.perps) + more
        return scan(text, wallets or (OWNER, SECOND), folder, block=block, code=None)


@pytest.fixture(scope="module")
def running() -> Iterator[Town]:
    with Anvil() as anvil:
        put_multicall3(anvil)
        assets = Assets(anvil)
        aave, comet, venus = deploy_aave36(anvil, assets), deploy_comet_usdc(anvil, assets), deploy_venus(anvil, assets)
        town = Town(anvil, assets, aave, comet, venus, deploy_curie(anvil, assets))
        for market in (town.aave, town.comet, town.venus):
            market.supply(person("links/lender"), "USDC", 5_000_000)
        yield town


@pytest.fixture
def town(running: Town) -> Iterator[Town]:
    with running.anvil.rollback():
        yield running


def borrow(town: Town, who: str, amount: int, venue: str = "aave") -> str:
    """Collateral at a venue and a loan against it; the hash of the loan's transaction."""
    market: Any = getattr(town, venue)
    market.supply(who, "WETH", 20)
    market.borrow(who, *([] if venue == "comet" else ["USDC"]), amount)
    return town.last()


def traced(snapshot: Snapshot) -> list[Any]:
    return [link for link in snapshot.links if link.how == "traced"]


def trips(snapshot: Snapshot) -> int:
    return snapshot.sources[0].round_trips


HOLDERS: Final[dict[str, Callable[[Town], str]]] = {
    "aave": lambda town: town.aave.reserves["USDC"].a_token.address,
    "comet": lambda town: town.comet.comet.address,
    "venus": lambda town: town.venus.reserves["USDC"].market.address,
}


@pytest.mark.parametrize("venue", HOLDERS)
def test_the_way_of_a_loan_through_another_wallet_into_margin(town: Town, venue: str, tmp_path: Path) -> None:
    hashes = [borrow(town, OWNER, 12_000, venue), town.send(OWNER, SECOND, 11_000), town.deposit(SECOND, 9_000)]
    blocks = [town.anvil.block(int(town.anvil.rpc("eth_getTransactionReceipt", each)["blockNumber"], 16)).number for each in hashes]
    town.perps.open(SECOND, "vETH", -3)
    before = town.anvil.block()
    snapshot = town.scanned(tmp_path)
    [link] = traced(snapshot)
    holder, vault = HOLDERS[venue](town), town.perps.vault.address
    assert (link.amount, link.symbol, link.left_out) == ("9000", "USDC", 0)
    assert link.amount_usd == pytest.approx(9_000, rel=1e-3)
    assert [(hop.transaction, hop.block, hop.sender, hop.receiver, hop.amount) for hop in link.hops] == [
        (hashes[0], blocks[0], holder, OWNER, "9000"),
        (hashes[1], blocks[1], OWNER, SECOND, "9000"),
        (hashes[2], blocks[2], SECOND, vault, "9000"),
    ]
    accounts = {account.id: account for account in snapshot.accounts}
    assert (accounts[link.loan].owner, accounts[link.margin].owner, accounts[link.margin].market) == (OWNER, SECOND, "perp-v2")
    [flag] = [flag for flag in snapshot.flags if flag.code == "BORROWED_MARGIN"]
    assert flag.accounts == tuple(sorted((link.loan, link.margin)))
    assert "is borrowed money, followed through 3 transactions" in flag.message
    assert flag.evidence["how"] == "traced"
    assert flag.evidence["borrowed_margin_usd"] == pytest.approx(9_000, rel=1e-3)
    lender, ends = accounts[link.loan].venue, (f"{OWNER[:6]}…{OWNER[-4:]}", f"{SECOND[:6]}…{SECOND[-4:]}")
    assert [flag.evidence[f"hop_{number}"] for number in (1, 2, 3)] == [
        f"{hashes[0]} in block {blocks[0]}: 9000 USDC from {lender} to {ends[0]}",
        f"{hashes[1]} in block {blocks[1]}: 9000 USDC from {ends[0]} to {ends[1]}",
        f"{hashes[2]} in block {blocks[2]}: 9000 USDC from {ends[1]} to {accounts[link.margin].venue}",
    ]
    assert snapshot.sources[0].block == before.number
    assert not any("transfers" in note for note in snapshot.sources[0].notes)


def test_it_costs_one_round_trip_and_none_where_nothing_can_be_found(town: Town, tmp_path: Path) -> None:
    borrow(town, OWNER, 12_000)
    plain = trips(town.scanned(tmp_path))
    town.send(OWNER, SECOND, 11_000)
    town.deposit(SECOND, 9_000)
    town.perps.open(SECOND, "vETH", -3)
    off = town.scanned(tmp_path, more="\n[model]\nfollow_days = 0\n")
    assert (traced(off), trips(town.scanned(tmp_path)) - trips(off)) == ([], 1)
    assert trips(town.scanned(tmp_path, SECOND)) <= trips(off)
    assert plain <= trips(off)


def test_only_what_had_happened_at_the_block(town: Town, tmp_path: Path) -> None:
    borrow(town, OWNER, 12_000)
    town.deposit(OWNER, 4_000)
    town.perps.open(OWNER, "vETH", -1)
    first = town.anvil.block().number
    town.deposit(OWNER, 5_000)
    assert [link.amount for link in traced(town.scanned(tmp_path, OWNER, block=first))] == ["4000"]
    assert [link.amount for link in traced(town.scanned(tmp_path, OWNER))] == ["9000"]


def test_own_money_goes_first_and_idle_money_stays(town: Town, tmp_path: Path) -> None:
    town.usdc.mint(OWNER, 2_500)
    borrow(town, OWNER, 12_000)
    town.deposit(OWNER, 9_000)
    town.perps.open(OWNER, "vETH", -3)
    [link] = traced(town.scanned(tmp_path, OWNER))
    assert link.amount == "6500"


@pytest.mark.parametrize("venue", ["aave", "venus"])
def test_a_withdrawal_of_own_supplies_is_no_loan(town: Town, venue: str, tmp_path: Path) -> None:
    market: Any = getattr(town, venue)
    market.supply(OWNER, "USDC", 9_000)
    market.withdraw(OWNER, "USDC", 9_000)
    town.deposit(OWNER, 9_000)
    town.perps.open(OWNER, "vETH", -3)
    borrow(town, OWNER, 4_000, venue)
    snapshot = town.scanned(tmp_path, OWNER)
    assert snapshot.links == ()
    [flag] = [flag for flag in snapshot.flags if flag.code == "BORROWED_MARGIN"]
    assert "can be borrowed money" in flag.message


def test_margin_taken_back_and_spent_is_not_margin(town: Town, tmp_path: Path) -> None:
    borrow(town, OWNER, 12_000)
    town.deposit(OWNER, 9_000)
    town.perps.open(OWNER, "vETH", -1)
    town.perps.withdraw(OWNER, "USDC", 4_000)
    town.send(OWNER, person("links/shop"), 7_000)
    [link] = traced(town.scanned(tmp_path, OWNER))
    assert float(link.amount) == pytest.approx(5_000, abs=0.01)  # the margin that is left has paid funding


def test_spam_and_poison_change_nothing(town: Town, tmp_path: Path) -> None:
    borrow(town, OWNER, 12_000)
    fake = deploy_token(town.anvil, "USDC", 6)
    for who in (OWNER, SECOND):
        fake.mint(who, 50_000)
        town.usdc.contract.send("transferFrom", who, SPAMMER, 0, sender=SPAMMER)
        town.usdc.contract.send("transferFrom", SPAMMER, who, 0, sender=SPAMMER)
        town.send(who, town.perps.vault.address, 40_000, fake)
    town.send(OWNER, OWNER, 12_000)
    town.deposit(OWNER, 9_000)
    town.perps.open(OWNER, "vETH", -3)
    [link] = traced(town.scanned(tmp_path))
    assert (link.amount, [hop.receiver for hop in link.hops]) == ("9000", [OWNER, town.perps.vault.address])


def test_what_the_book_says_goes_first(town: Town, tmp_path: Path) -> None:
    borrow(town, OWNER, 12_000)
    borrow(town, OWNER, 3_000, "comet")
    town.deposit(OWNER, 9_000)
    town.perps.open(OWNER, "vETH", -3)
    found = town.scanned(tmp_path, OWNER)
    [link] = traced(found)
    [other] = [account.id for account in found.accounts if "compound_v3" in account.id]
    told = town.scanned(tmp_path, OWNER, more=f'\n[[links]]\nloan = "{other}"\nmargin = "{link.margin}"\n')
    assert [(each.how, each.loan, each.margin, each.amount, each.hops) for each in told.links] == [
        ("tagged", other, link.margin, None, ())
    ]  # fmt: skip


@pytest.fixture(scope="module")
def joint_book() -> Iterator[tuple[str, Sequence[str], str]]:
    """Case A: a loan of 12,000 sUSD of Aave, all of it margin of a short at Synthetix; and the aToken that paid it out."""
    with Anvil() as anvil:
        put_multicall3(anvil)
        joint = deploy_joint(anvil)
        hedge(joint.aave, joint.perps, OWNER)
        yield crossing.book_text(joint), [OWNER], joint.aave.reserves["sUSD"].a_token.address


def test_margin_that_its_venue_burns(joint_book: tuple[str, Sequence[str], str], tmp_path: Path) -> None:
    text, wallets, a_token = joint_book
    snapshot = scan(text, wallets, tmp_path, code=None)
    [link] = traced(snapshot)
    assert float(link.amount) == pytest.approx(12_000, rel=1e-6)
    assert [(hop.sender, hop.receiver) for hop in link.hops] == [(a_token, OWNER), (OWNER, NOWHERE)]
    assert {hop.amount for hop in link.hops} == {link.amount}
    assert link.margin.endswith(f"/{ETH}")
    [flag] = [flag for flag in snapshot.flags if flag.code == "BORROWED_MARGIN"]
    assert str(flag.evidence["hop_2"]).endswith("to Synthetix PerpsV2")
