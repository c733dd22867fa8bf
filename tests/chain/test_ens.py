"""ENS names through the command line, resolved by the real registry and resolver contracts at the anchor."""

from __future__ import annotations

from pathlib import Path

import pytest

from defi_risk.snapshot import from_json
from tests.chain.scanning import book_text, run
from tests.localchain.aave.market import AaveMarket
from tests.localchain.kits import Kit
from tests.localchain.names import deploy_names

pytestmark = pytest.mark.chain


def written(kit: Kit[AaveMarket], folder: Path) -> str:
    """A book that calls the local chain ethereum: names are resolved there."""
    text = (
        book_text(kit.anvil.url, kit.market).replace("[chains.local]", "[chains.ethereum]").replace('chain = "local"', 'chain = "ethereum"')
    )
    file = folder / "book.toml"
    file.write_text(text)
    return str(file)


def test_a_name_is_read_as_the_wallet_it_names(aave36: Kit[AaveMarket], tmp_path: Path) -> None:
    names = deploy_names(aave36.anvil)
    names.point("plain", aave36.who["plain"])
    book = written(aave36, tmp_path)
    code, out, err = run(["scan", "Plain.eth", "--book", book, "--format", "json"])
    assert (code, err) == (0, "")
    [account] = [account for account in from_json(out).accounts if account.venue == "Aave V3"]
    assert (account.owner, account.owner_name) == (aave36.who["plain"], "Plain.eth")
    then = aave36.anvil.block().number
    names.point("plain", aave36.who["no-debt"])
    past = from_json(run(["scan", "plain.eth", "--book", book, "--format", "json", "--block", str(then)])[1])
    assert aave36.who["plain"] in {account.owner for account in past.accounts}


def test_a_wallet_is_counted_once_however_it_is_named(aave36: Kit[AaveMarket], tmp_path: Path) -> None:
    names = deploy_names(aave36.anvil)
    wallet = aave36.who["plain"]
    names.point("plain", wallet)
    names.point("alias", wallet)
    book = written(aave36, tmp_path)
    once = from_json(run(["scan", wallet, "--book", book, "--format", "json"])[1])
    often = from_json(run(["scan", wallet, wallet.lower(), "plain.eth", "alias.eth", "--book", book, "--format", "json"])[1])
    assert often.book_health == once.book_health
    assert [account.id for account in often.accounts] == [account.id for account in once.accounts]


@pytest.mark.parametrize(
    ("name", "fault"), [("nobody.eth", "there is no ENS name"), ("bare.eth", "has no address"), ("lost.eth", "there is no ENS name")]
)
def test_a_name_that_names_nobody(aave36: Kit[AaveMarket], tmp_path: Path, name: str, fault: str) -> None:
    names = deploy_names(aave36.anvil)
    names.register("bare")
    names.register("lost", resolved=False)
    code, out, err = run(["scan", name, "--book", written(aave36, tmp_path)])
    assert (code, out) == (2, "")
    assert fault in err
    assert len(err.strip().splitlines()) == 1
