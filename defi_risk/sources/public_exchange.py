"""An exchange's public market data through ccxt: no credentials, and two methods of ccxt that are ever called, `load_markets` and
`fetch_ohlcv`.
"""

from __future__ import annotations

from math import isfinite
from types import TracebackType
from typing import Any, Final, cast

from defi_risk.errors import OutOfRange, Undecodable, UsageError
from defi_risk.sources.ccxt_line import CcxtLine, built, origins
from defi_risk.sources.clock import Deadline

LONGEST_PAGE: Final = 1_000
SHORTEST_PAGE: Final = 100
"""Candles that every exchange gives at once."""
SMALLEST: Final = 1e-30
LARGEST: Final = 1e30
"""USD per unit: no price lies beyond these."""
_SYMBOLS: Final = ("{0}/USDT", "{0}/USD", "{0}/USDC", "{0}/USDT:USDT", "{0}/USDC:USDC", "{0}/USD:{0}")
_CLOSE: Final = 4


def check(name: str, url: str | None = None) -> None:
    """Raise `UsageError` where ccxt is not installed, does not know the exchange or gets no candles from it, or for an address that is
    more than scheme, host and port. Asks nothing.
    """
    if built(name, {}, url).has.get("fetchOHLCV") is not True:
        raise UsageError(f"exchange {name} gives no candles", hint='name another one, or a file: prices = "prices.csv"')


def hosts(name: str, url: str | None = None) -> list[str]:
    """Scheme, host and port of all that reading prices may reach; nothing else is. Raises `UsageError`."""
    return origins(built(name, {}, url), None)


class PublicExchange:
    """One exchange by its ccxt id, in a `with` block. `url` replaces scheme, host and port of all its addresses.

    `calls` counts the requests sent. Raises `UsageError` as `check` does, `SourceError` where the exchange fails.
    """

    def __init__(self, name: str, deadline: Deadline, url: str | None = None) -> None:
        check(name, url)
        self.name: Final = name
        self._line: Final = CcxtLine(name, deadline, url, {})
        self._exchange: Final = self._line.exchange
        self._exchange.has["fetchCurrencies"] = False
        _spot_alone(self._exchange.options.get("fetchMarkets"))

    def __enter__(self) -> PublicExchange:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._line.close()

    @property
    def calls(self) -> int:
        return self._line.calls

    def symbol(self, coin: str) -> str | None:
        """The market of a coin in dollars: spot before perpetual, USDT before USD before USDC; None where there is none."""
        markets = self._line.call(self._exchange.load_markets)
        if not isinstance(markets, dict) or not markets:
            raise Undecodable(f"{self.name} gave no list of markets", source=self.name)
        for form in _SYMBOLS:
            market: Any = cast("dict[str, Any]", markets).get(form.format(coin))
            if isinstance(market, dict) and market.get("base") == coin and market.get("active") is not False:
                return form.format(coin)
        return None

    def offers(self, timeframe: str) -> bool:
        """Whether there are candles of that length."""
        return timeframe in (self._exchange.timeframes or {})

    def page(self, symbol: str) -> int:
        """The most candles of a market that one request gives, 1,000 at most."""
        kind: Any = (getattr(self._exchange, "features", None) or {}).get("swap" if ":" in symbol else "spot") or {}
        settings = kind.get("fetchOHLCV") or (kind.get("linear") or {}).get("fetchOHLCV") or {}
        limit = settings.get("limit")
        return min(limit, LONGEST_PAGE) if isinstance(limit, int) and limit > 0 else SHORTEST_PAGE

    def closes(self, symbol: str, timeframe: str, since: int, count: int) -> list[tuple[int, float]]:
        """Open time (unix seconds) and close of up to so many candles from `since` on, as the exchange gives them."""
        rows = self._line.call(lambda: self._exchange.fetch_ohlcv(symbol, timeframe, since * 1_000, count))
        if not isinstance(rows, list):
            raise Undecodable(f"{self.name} gave no list of candles of {symbol}", source=self.name)
        return [close for row in cast("list[object]", rows) if (close := self._close(symbol, row)) is not None]

    def _close(self, symbol: str, row: object) -> tuple[int, float] | None:
        """Time and close of one candle; None for one in which nothing was traded."""
        cells = cast("list[object]", row) if isinstance(row, list) else []
        time, close = (cells[0], cells[_CLOSE]) if len(cells) > _CLOSE else (None, None)
        if isinstance(time, bool) or not isinstance(time, int) or len(cells) <= _CLOSE:
            raise Undecodable(f"{self.name} gave candles of {symbol} that are none", source=self.name)
        if close is None:
            return None
        if isinstance(close, bool) or not isinstance(close, int | float):
            raise Undecodable(f"{self.name} gave candles of {symbol} whose closes are no numbers", source=self.name)
        if not sound(close):
            raise OutOfRange(f"{self.name} gave a price of {symbol} that cannot be", source=self.name)
        return time // 1_000, float(close)


def sound(price: float) -> bool:
    """Whether a number can be a price."""
    return isfinite(price) and SMALLEST <= price <= LARGEST


def _spot_alone(settings: object) -> None:
    """Of several kinds of markets load the spot ones: derivatives are several times as many."""
    if isinstance(settings, dict) and isinstance(settings.get("types"), list) and "spot" in settings["types"]:
        settings["types"] = ["spot"]
