"""A double of HyperCore that runs: its precompiles on a node, its info service on the loopback."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from tests.localchain.anvil import Anvil
from tests.localchain.hyper import onchain, precompiles
from tests.localchain.hyper.offchain import Service
from tests.localchain.hyper.onchain import Lost
from tests.localchain.hyper.service import InfoService, serving
from tests.localchain.hyper.state import Coin, Dex, HyperCore, Token
from tests.localchain.tokens import Token as Erc20

VARIABLE: Final = "HYPERLIQUID_INFO"
"""Where the service's address is put: a market that names it needs no port, so recordings are the same on every machine."""
DROP: Final = {"BTC": -20, "ETH": -24, "SOL": -35, "HYPE": -30, "kPEPE": -45, "MEGA": -50, "xyz:NVDA": -18, "flx:TSLA": -22}
"""The price drop of the population, in per cent."""


def universe() -> HyperCore:
    """Three dexs and some tokens, without users. Numbers of tokens are the real ones."""
    main = Dex(
        "",
        [
            Coin("BTC", 5, 56, Decimal("98765.4"), "0.0000125", 40),
            Coin("ETH", 4, 55, Decimal("3123.45"), "-0.0000417", 25),
            Coin("SOL", 2, 54, Decimal("187.6543"), "0.0000333", 20),
            Coin("OLD", 1, 3, Decimal("0.5"), "0.0", 3, delisted=True),
            Coin("HYPE", 2, 10, Decimal("42.1234"), "0.0001", 10),
            Coin("kPEPE", 0, 10, Decimal("0.012345"), "0.0000125", 10),
            Coin("MEGA", 0, 3, Decimal("0.045715"), "0.0000125", 3),
        ],
        {56: ((0, 40), (150_000_000, 20)), 55: ((0, 25), (100_000_000, 15)), 54: ((0, 20), (70_000_000, 10))},
    )
    xyz = Dex("xyz", [Coin("xyz:GOLD", 3, 20, Decimal("4123.4"), leverage=20), Coin("xyz:NVDA", 3, 20, Decimal("181.234"), leverage=20)])
    flx = Dex("flx", [Coin("flx:TSLA", 3, 57, Decimal("412.345"), leverage=10)], {57: ((0, 10), (250_000, 5), (1_000_000, 3))}, 360)
    tokens = (
        Token(0, "USDC", 8, 8, price=Decimal(1)),
        Token(1, "PURR", 5, 0, 0, Decimal("0.12345678")),
        Token(150, "HYPE", 8, 2, 107, Decimal("42.0515"), ltv=Decimal("0.65")),
        Token(197, "UBTC", 10, 5, 142, Decimal("98712.0"), ltv=Decimal("0.5")),
        Token(360, "USDH", 8, 2, 230, Decimal("0.99985")),
        Token(734, "MAX", 6, 0),
    )
    return HyperCore([main, xyz, flx], {token.number: token for token in tokens})


@dataclass
class HyperMarket:
    """What runs. Change `core` and `tell` both faces; `lost` are reads that precompiles refuse."""

    anvil: Anvil
    core: HyperCore
    says: Service
    service: InfoService
    lost: Lost = field(default_factory=set[tuple[str, tuple[Any, ...]]])

    adapter = "hyperliquid"
    name = "hyperliquid"
    unread = (
        "cash", "dust", "long", "short", "isolated-long", "isolated-short", "near", "other-dex", "unified", "unified-idle", "unified-near",
    )  # fmt: skip
    """Users who are like others: recordings do without them."""

    @property
    def roots(self) -> dict[str, str]:
        """There is one HyperCore a chain."""
        return {}

    @property
    def settings(self) -> dict[str, str]:
        """Where a book finds the service."""
        return {"api": f"${{{VARIABLE}}}"}

    @property
    def listed(self) -> dict[str, str]:
        """What its own names follow, for recordings: those of `perps.toml` that occur here."""
        coins = {coin.name: coin.name.removeprefix("k") for coin in self.core.dexs[0].coins if coin.name != "OLD"}
        tokens = {f"token:{number}": token.name for number, token in self.core.tokens.items() if number in (0, 150, 360)}
        return {f"{self.adapter}:{name}": symbol for name, symbol in (coins | tokens).items()}

    @property
    def tokens(self) -> dict[str, Erc20]:
        """Nothing of it is a token of HyperEVM."""
        return {}

    def tell(self) -> None:
        """Let both faces show the present state, the service two seconds before the block."""
        self.core.time = self.anvil.block().timestamp
        precompiles.store(self.anvil, onchain.reads(self.core, self.lost))

    def pass_time(self, seconds: int) -> None:
        """Let time pass; funding is not paid here."""
        self.anvil.pass_time(seconds)
        self.tell()

    def accrue(self) -> None:
        """Nothing accrues."""

    def drop_prices(self) -> None:
        """Let all marks fall by the per cent of `DROP`, in whole units of the venue's price."""
        for dex in self.core.dexs:
            for coin in dex.coins:
                tick = Decimal(1).scaleb(coin.places - 6)
                coin.mark = (coin.mark * (100 + DROP.get(coin.name, 0)) / 100).quantize(tick)
        self.tell()


@contextmanager
def running(anvil: Anvil) -> Generator[HyperMarket]:
    """HyperCore without users on a node; its service's address is in the environment meanwhile."""
    core = universe()
    says = Service(core)
    with serving(says.say) as service:
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = service.url
        precompiles.install(anvil)
        try:
            yield HyperMarket(anvil, core, says, service)
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before
