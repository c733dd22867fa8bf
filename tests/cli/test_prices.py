"""A book whose prices come from an exchange, read as the commands read it."""

from __future__ import annotations

from pathlib import Path

from defi_risk.cli import Session
from defi_risk.cli.reading import Reading, gathered
from defi_risk.health.covariance import covariance
from tests.cli.books import PRICED, SAFE, written
from tests.cli.runner import run
from tests.fault.exchange import Exchange, price, running


def test_an_exchange_gives_the_history_that_volatility_is_taken_from(tmp_path: Path) -> None:
    with running(Exchange()) as exchange:
        book = Path(written(tmp_path, SAFE + PRICED.replace("URL", exchange.url)))
        options = Reading(book=book, rpc={}, block="latest", wallet_file=None, market_texts=(), deadline=30, state=tmp_path / "state")
        history = gathered(Session(), (), "scan", options).history
        assert history is not None
        times, prices = history.observations("ETH")
        assert prices[-1] == price("ETH", int(times[-1]) + 1 - 3_600)
        known = covariance(("ETH", "USDC"), volatility={}, correlation={}, stables={"USDC"}, history=history)
        assert 0.005 < (known.volatility("ETH") or 0.0) < 0.1
        assert known.missing == frozenset()
        asked = len(exchange.asked)
        gathered(Session(), (), "scan", options)
        assert len(exchange.asked) - asked <= 2  # nothing, or the new hour's candle where an hour has passed in between


def test_an_exchange_that_nobody_knows_ends_with_the_nearest_name(tmp_path: Path) -> None:
    ended = run("scan", "--book", written(tmp_path, SAFE + '[model]\nprices = "exchange:krakn"\n'))
    assert ended.code == 2
    assert "did you mean 'kraken'?" in ended.err
