"""Reading trades of the gTrade double through the command line, the states it is brought to, and asking its diamond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from defi_risk_adapters.gains.reads import DIAMOND

from defi_risk import abi
from defi_risk.ids import Address
from defi_risk.snapshot import Snapshot
from tests.chain.scanning import book_text, scan
from tests.localchain.gains import judge
from tests.localchain.gains.market import GainsMarket
from tests.localchain.gains.parameters import ETH, FundingParams
from tests.localchain.kits import Kit
from tests.localchain.people import person

DAY: Final = 86_400
GainsKit = Kit[GainsMarket]


def fresh(market: GainsMarket) -> None:
    """As the population left it."""


def second_later(market: GainsMarket) -> None:
    market.pass_time(1)


def ten_days(market: GainsMarket) -> None:
    market.pass_time(10 * DAY)


def forty_days_written(market: GainsMarket) -> None:
    market.pass_time(40 * DAY)
    market.accrue()
    market.pass_time(3 * DAY)


def moved(market: GainsMarket) -> None:
    market.drop_prices()


def year_then_moved(market: GainsMarket) -> None:
    market.pass_time(365 * DAY)
    market.drop_prices()


def turned_round(market: GainsMarket) -> None:
    """The rate crosses zero on the way, where the smaller side earns in proportion."""
    market.set_funding(ETH, FundingParams(10**18, 60_000, 5_000, 0, True, True))
    market.pass_time(5 * DAY)
    who = person("gains/turner")
    market.open(who, ETH, 900_000, "-9.9")
    market.open(who, ETH, 800_000, "-9.9", coin="DAI")
    market.pass_time(6 * DAY)


STATES: Final[dict[str, Callable[[GainsMarket], None]]] = {
    state.__name__: state for state in (fresh, second_later, ten_days, forty_days_written, moved, year_then_moved, turned_round)
}


def scanned(kit: GainsKit, folder: Path, *only: str, block: int | None = None, market: GainsMarket | None = None) -> Snapshot:
    """A scan of everybody, or of some."""
    book = book_text(kit.anvil.url, market or kit.market)
    return scan(book, only or [case.address for case in kit.cases], folder, block=block, code=None)


def trades(snapshot: Snapshot) -> dict[tuple[str, int], Any]:
    """The accounts by owner and number of the trade."""
    parts = {account.id: account.id.split("/") for account in snapshot.accounts}
    return {(parts[each.id][-2], int(parts[each.id][-1])): each for each in snapshot.accounts if "/gains:" in each.id}


def asked(market: GainsMarket, block: int) -> judge.Ask:
    """Asks the diamond by the ABI that is shipped, at a block; structs come as named tuples."""

    def ask(function: str, *arguments: Any) -> Any:
        call = DIAMOND(Address(market.diamond.address), function, *arguments)
        request = {"to": call.to, "data": "0x" + abi.encode(call).hex()}
        return abi.decode(call, bytes.fromhex(market.anvil.rpc("eth_call", request, hex(block))[2:]))

    return ask


def pair_of(market: GainsMarket, trade: Any) -> str:
    return list(market.listings)[int(trade.pairIndex)]
