"""One account with cross and isolated positions at each scripted exchange, for what is tested of all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from tests.exchanges import aster, binance, bingx, bitget, bybit, deribit, dydx, gate, kucoin, lighter, mexc, okx, weex
from tests.exchanges.double import Double
from tests.exchanges.plain import PlainExchange


def _binance(**more: Any) -> Double:
    return binance.BinanceExchange(
        wallets={"USDT": "12000", "USDC": "700"},
        positions=[
            binance.Held("ETHUSDT", "-10", "3000"),
            binance.Held("BTCUSDC", "0.1", "61000", leverage=10),
            binance.Held("BTCUSDT", "0.2", "59000", isolated="900"),
        ],
        marks={"ETHUSDT": "3000", "BTCUSDC": "59990", "BTCUSDT": "60000"},
        **more,
    )


def _portfolio(**more: Any) -> Double:
    return binance.BinanceExchange(
        portfolio=True,
        margin={"USDT": ("5000", "0", "0"), "BTC": ("0.1", "0.04", "0")},
        wallets={"USDT": "5000"},
        positions=[binance.Held("BTCUSDT", "-0.05", "52000")],
        marks={"BTCUSDT": "60000"},
        **more,
    )


def _bybit(**more: Any) -> Double:
    rows = [
        bybit.position("BTCUSDT", "Buy", "0.1", "59000", "60000"),
    ]
    coins = {"USDT": bybit.Holding("9000"), "BTC": bybit.Holding("0.2", "60000", "0.98")}
    return bybit.BybitDouble(coins=coins, lists={("linear", "USDT"): rows[:1]}, **more)


def _okx(**more: Any) -> Double:
    return okx.OkxDouble(
        purses={"USDT": okx.Purse("20000", "0.9998"), "BTC": okx.Purse("0.5", "60000")},
        places=[
            okx.Place("BTC-USDT-SWAP", "50", "58000", "60000"),
            okx.Place("BTC-USD-261225", "300", "61000", "60500"),
            okx.Place("ETH-USDT-SWAP", "30", "2450", "2480", margin="900", lever="8"),
        ],
        **more,
    )


def _bingx(**more: Any) -> Double:
    rows = [
        bingx.position("ETH-USDT", "LONG", "10", "2000", "1990", 20),
        bingx.position("BTC-USDT", "SHORT", "0.1", "60000", "61000", 10),
        bingx.position("ETH-USDT", "SHORT", "30", "2010", "1990", 20, margin="3000"),
    ]
    return bingx.BingXDouble(wallets={"USDT": "5000.0000"}, positions=rows, **more)


def _weex(**more: Any) -> Double:
    rows = [
        weex.position("BTCUSDT", "LONG", "0.5", "61000", 20),
        weex.position("DOGEUSDT", "SHORT", "100000", "0.09323", 10),
        weex.position("BTCUSDT", "SHORT", "0.1", "59000", 50, margin="250"),
    ]
    return weex.WeexDouble(wallets={"USDT": "9250"}, positions=rows, **more)


def _mexc(**more: Any) -> Double:
    rows = [
        mexc.position("BTC_USDT", "long", 20000, "61000", 20),
        mexc.position("SOL_USDT", "short", 30000, "200", 10),
        mexc.position("BTC_USDT", "short", 1000, "59000.5", 50, margin="150"),
    ]
    return mexc.MexcDouble(wallets={"USDT": "50000", "BTC": "0"}, positions=rows, **more)


def _bitget(**more: Any) -> Double:
    long = bitget.position(
        total="2", openPriceAvg="37000", markPrice="37370.5", unrealizedPL="741", marginSize="3737.05", posMode="one_way_mode"
    )
    return bitget.BitgetDouble(wallets={"USDT": "10000"}, positions=[long], **more)


def _gate(**more: Any) -> Double:
    short = gate.position(contract="ETH_USDT", size="-100", leverage="10", margin="300", entry_price="3000", mark_price="3010",
                          unrealised_pnl="-10", pos_margin_mode="isolated", liq_price="3284.4")  # fmt: skip
    return gate.GateDouble(positions={"usdt": [gate.position(liq_price="40190.9"), short]}, **more)


def _aster(**more: Any) -> Double:
    short = aster.position(symbol="ETHUSDT", positionAmt="-1", marginType="isolated", isolatedMargin="290", unRealizedProfit="-10",
                           entryPrice="3000", markPrice="3010", liquidationPrice="3286.852589")  # fmt: skip
    return aster.AsterDouble(positions=[aster.position(liquidationPrice="40160.642570"), short], **more)


def _deribit(**more: Any) -> Double:
    rows = [
        deribit.position("BTC-PERPETUAL", "30000", floating_profit_loss=Decimal("0.1"), maintenance_margin=Decimal("0.005")),
        deribit.position("BTC_USDC-PERPETUAL", "0.1", floating_profit_loss=Decimal(100), maintenance_margin=Decimal(60)),
    ]
    return deribit.DeribitDouble(balances={"BTC": "1", "USDC": "2000"}, positions=rows, **more)


def _dydx(**more: Any) -> Double:
    held = [dydx.position("BTC-USD", "-0.5", "58000"), dydx.position("ETH-USD", "4", "2900")]
    apart = [dydx.position("ETH-USD", "1", "2800")]
    return dydx.DydxDouble(subaccounts={0: ("40000", held), 128: ("-2500", apart)}, **more)


def _kucoin(**more: Any) -> Double:
    crossed = kucoin.position(symbol="XBTUSDTM", currentQty=2, crossMode=True, marginMode="CROSS", unrealisedPnl=2.95996,
                              avgEntryPrice=86_000, markPrice=87_479.98, liquidationPrice=0, leverage=10)  # fmt: skip
    return kucoin.KucoinDouble(wallets={"USDT": "307.41"}, positions=[crossed, kucoin.position()], needs={"USDT": "2"}, **more)


def _lighter(**more: Any) -> Double:
    apart = lighter.position(market_id=2, symbol="SOL", sign=-1, position="10", avg_entry_price="150", position_value="1500",
                             unrealized_pnl="0", margin_mode=1, allocated_margin="100", liquidation_price="156.25")  # fmt: skip
    return lighter.LighterDouble(accounts={1077: ("9100.242706", [lighter.position(), apart]), 2000: ("50", [])}, **more)


ALL: Final[Mapping[str, Callable[..., Double]]] = {
    "plain": PlainExchange,
    "binance": _binance,
    "okx": _okx,
    "binance portfolio": _portfolio,
    "bybit": _bybit,
    "bingx": _bingx,
    "weex": _weex,
    "mexc": _mexc,
    "bitget": _bitget,
    "gate": _gate,
    "aster": _aster,
    "deribit": _deribit,
    "dydx": _dydx,
    "kucoin": _kucoin,
    "lighter": _lighter,
}
