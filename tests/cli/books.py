"""Books without a node: everything in them is written down by hand, so that a scan of them needs no network."""

from __future__ import annotations

from pathlib import Path

from tests.exchanges.plain import ID

SAFE = """
[book]
name = "desk"
[[manual]]
name = "loan"
side = "lending"
[[manual.collateral]]
factor = "ETH"
amount = "10"
price = "3000"
weight = "0.83"
[[manual.debt]]
factor = "USDC"
amount = "12000"
price = "1"
[[manual]]
name = "short"
side = "derivatives"
[[manual.collateral]]
factor = "USDC"
amount = "12000"
price = "1"
[[manual.position]]
factor = "ETH"
quote = "USDC"
size = "-10"
entry = "3000"
mark = "3000"
maintenance = "0.02"
"""
NEAR = SAFE.replace('"12000"\nprice = "1"\n[[manual]]', '"21000"\nprice = "1"\n[[manual]]')  # 1.186: a warning
DEAD = SAFE.replace('"12000"\nprice = "1"\n[[manual]]', '"26000"\nprice = "1"\n[[manual]]')  # 0.958: liquidatable
DEAF = f'''
[[exchanges]]
id = "{ID}"
name = "plain-main"
url = "http://127.0.0.1:9"
api_key = "dummy"
secret = "dummy"
'''
PRICED = f'''
[model]
prices = "exchange:{ID}"
[[exchanges]]
id = "{ID}"
name = "desk"
api_key = "dummy"
secret = "dummy"
url = "URL"
'''
"""Prices from an exchange at an address, which has no account to read."""
PARTIAL = SAFE + DEAF
UNPRICED = SAFE + '[[manual]]\nname = "odd"\nside = "lending"\n[[manual.collateral]]\nfactor = "XYZ"\namount = 1\n'


def written(folder: Path, text: str) -> str:
    """The path of a book with that text."""
    path = folder / "desk.toml"
    path.write_text(text)
    return str(path)
