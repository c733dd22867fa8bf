"""The book of a devnet, as TOML."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from tests.localchain.anvil import CHAIN_ID
from tests.localchain.assets import Assets
from tests.localchain.factors import toml_line
from tests.localchain.people import Case
from tests.localchain.states import AnyMarket

CHAIN: Final = "local"


def book_text(url: str, wallets: Iterable[Case], markets: Iterable[AnyMarket], assets: Assets, vai: str) -> str:
    """A book that reads these wallets in these markets; its [factors] name every token of the chain."""
    parts = [_book(wallets), _chain(url), *(_market(market) for market in markets), _factors(assets, vai)]
    return "\n".join(parts)


def _book(wallets: Iterable[Case]) -> str:
    lines = [f"    {json.dumps(wallet.address)}, # {wallet.label}" for wallet in wallets]
    return "\n".join(["[book]", 'name = "devnet"', "wallets = [", *lines, "]", ""])


def _chain(url: str) -> str:
    return f"[chains.{CHAIN}]\nchain_id = {CHAIN_ID}\nrpc = [{json.dumps(url)}]\n"


def _market(market: AnyMarket) -> str:
    roots = "".join(f"{root} = {json.dumps(address)}\n" for root, address in market.roots.items())
    return f'[[markets]]\nadapter = "{market.adapter}"\nchain = "{CHAIN}"\nname = "{market.name}"\n{roots}'


def _factors(assets: Assets, vai: str) -> str:
    tokens = {symbol: token.address for symbol, token in assets.tokens.items()} | {"VAI": vai}
    lines = (toml_line(f"eip155:{CHAIN_ID}/erc20:{address}", symbol) for symbol, address in tokens.items())
    return "\n".join(["[factors]", *lines, ""])
