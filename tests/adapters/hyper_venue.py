"""The double of HyperCore without node and server: answers the adapter's asks from its state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from defi_risk_adapters.hyperliquid import Hyperliquid
from eth_abi.abi import encode

from defi_risk import markets
from defi_risk.exact_json import parse
from defi_risk.ids import ChainId, parse_address
from defi_risk.model import Chain, Owner
from defi_risk.spi import Ask, Context, InfoCall, Market, NativeBalance
from tests.adapters.scripted import NOTHING_THERE, Drive, Raw, drive
from tests.localchain.hyper import onchain
from tests.localchain.hyper.market import universe
from tests.localchain.hyper.offchain import Service
from tests.localchain.hyper.precompiles import PRECOMPILES
from tests.localchain.hyper.service import NotServed
from tests.localchain.hyper.state import HyperCore, User

D: Final = Decimal
NOW: Final = 1_767_225_600
CHAIN: Final = Chain(ChainId(999), "hyperevm", "HYPE")
OWNER: Final = Owner(parse_address("0x" + "ab" * 20))
MARKET: Final = Market("hyperliquid", CHAIN, "hyperliquid", (), "Hyperliquid")


@dataclass
class Venue:
    """One user of HyperCore. `lost` are reads that precompiles refuse, by name and arguments; `silent` questions without an answer;
    `spoilt` does something to the bytes that a precompile returns, by its name.
    """

    user: User
    core: HyperCore = field(default_factory=universe)
    lost: set[tuple[str, tuple[Any, ...]]] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    pooled_spot: bool = False
    spoilt: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    says: Service = field(init=False)

    def __post_init__(self) -> None:
        self.core.time = NOW - 1
        self.core.users[OWNER.address] = self.user
        self.says = Service(self.core)

    def read(self) -> Drive:
        """What the adapter makes of it."""
        stored = {(one.name, one.arguments): one.answer for one in onchain.reads(self.core, self.lost, pooled_spot=self.pooled_spot)}
        context = Context(CHAIN, 1_000, NOW, markets.context_factors(CHAIN.id))

        def script(ask: Ask) -> Any:
            assert not isinstance(ask, NativeBalance)
            if isinstance(ask, InfoCall):
                return self._said(ask)
            answer = stored.get((ask.function, ask.args))
            if answer is None:
                return NOTHING_THERE
            if ask.function in self.spoilt:
                return Raw(self.spoilt[ask.function](encode(PRECOMPILES[ask.function].outputs, answer)))
            return answer if len(answer) > 1 else next(iter(answer))

        return drive(Hyperliquid().read(OWNER, MARKET, context), script)

    def _said(self, ask: InfoCall) -> Any:
        question = json.loads(ask.body)
        if f"{question['type']} {question.get('dex', '')}".rstrip() in self.silent:
            return NOTHING_THERE
        try:
            return parse(json.dumps(self.says.say(question)).encode())
        except NotServed:
            return NOTHING_THERE
