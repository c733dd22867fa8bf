"""A double of a Compound III market, as its users act on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.localchain.anvil import Anvil
from tests.localchain.contract import Contract
from tests.localchain.tokens import MAX, Amount, Feed, Raw, Token

DROP: Final = {"WETH": -24, "wstETH": -27, "WBTC": -20, "LINK": -60}
"""The price drop of the populations, in per cent; only what the market takes as collateral moves."""


class AssetInfo(NamedTuple):
    """What `getAssetInfo` returns."""

    offset: int
    asset: str
    price_feed: str
    scale: int
    borrow_factor: int
    liquidate_factor: int
    liquidation_factor: int
    supply_cap: int


@dataclass(frozen=True, slots=True)
class CometAsset:
    """A token the market knows, with the feed that prices it."""

    token: Token
    feed: Feed


@dataclass(frozen=True, slots=True)
class CometMarket:
    """One deployed double. `base` is what is lent, `collateral` what can be posted for it."""

    name: str
    anvil: Anvil
    comet: Contract
    base: CometAsset
    collateral: Mapping[str, CometAsset]

    adapter = "compound_v3"
    is_double = True

    @property
    def roots(self) -> dict[str, str]:
        """The root address of the market, under the name that books use."""
        return {"comet": self.comet.address}

    @property
    def tokens(self) -> dict[str, Token]:
        """The base token and the collateral tokens by symbol."""
        return {asset.token.symbol: asset.token for asset in (self.base, *self.collateral.values())}

    # what users do

    def supply(self, who: str, symbol: str, amount: Amount) -> None:
        """Mint `amount` for `who` and supply it: collateral, or the base asset (which first repays a debt)."""
        token = self.tokens[symbol]
        token.give(who, amount, self.comet.address)
        self.comet.send("supply", token.address, token.units(amount), sender=who)

    def withdraw(self, who: str, symbol: str, amount: Amount = MAX) -> None:
        """Take collateral or base out again, all of it by default."""
        token = self.tokens[symbol]
        if amount == MAX:
            held = ("balanceOf", who) if token is self.base.token else ("collateralBalanceOf", who, token.address)
            amount = Raw(int(self.comet.call(*held)))
        self.comet.send("withdraw", token.address, token.units(amount), sender=who)

    def borrow(self, who: str, amount: Amount) -> None:
        """Borrow base: in Compound III a withdrawal of more than was supplied."""
        self.withdraw(who, self.base.token.symbol, amount)

    def repay(self, who: str, *, but: int = 0) -> None:
        """Pay back all debt but for that many units; `who` gets the money for it minted."""
        token = self.base.token
        token.give(who, Raw(self.owed(who) * 2), self.comet.address)
        owed = int(self.comet.call("borrowBalanceOf", who, block="pending"))  # in the block of the payment
        self.comet.send("supply", token.address, owed - but, sender=who)

    def absorb(self, absorber: str, *accounts: str) -> None:
        """Liquidate: the market takes the collateral and covers the debt. Raises `Reverted` where an account is healthy."""
        self.comet.send("absorb", absorber, list(accounts), sender=absorber)

    def buy_collateral(self, buyer: str, symbol: str, base_amount: Amount) -> None:
        """Buy absorbed collateral from the market with base."""
        token = self.base.token
        token.give(buyer, base_amount, self.comet.address)
        self.comet.send("buyCollateral", self.tokens[symbol].address, 0, token.units(base_amount), buyer, sender=buyer)

    # what governance does

    def pause(
        self, *, supply: bool = False, transfer: bool = False, withdraw: bool = False, absorb: bool = False, buy: bool = False
    ) -> None:
        """Pause what is named, let everything else go on."""
        self.comet.send("pause", supply, transfer, withdraw, absorb, buy)

    # what happens around it

    def set_price(self, symbol: str, price: Amount) -> None:
        """Let the feed answer `price`, in USD (markets with base ETH: in ETH)."""
        asset = self.base if symbol == self.base.token.symbol else self.collateral[symbol]
        asset.feed.set(price)

    def drop_prices(self) -> None:
        """Let the volatile collateral fall by the per cent of `DROP`."""
        for symbol in self.collateral.keys() & DROP.keys():
            self.collateral[symbol].feed.move(DROP[symbol])

    def pass_time(self, seconds: int) -> None:
        """Let interest run for that long."""
        self.anvil.pass_time(seconds)

    def accrue(self) -> None:
        """Let the market take up the interest since the last time."""
        self.comet.send("accrueAccount", self.comet.address)

    # what it says

    def owed(self, who: str) -> int:
        """Debt with interest up to now, in units of base."""
        return int(self.comet.call("borrowBalanceOf", who))

    def supplied(self, who: str) -> int:
        """Base supply with interest up to now, in units of base."""
        return int(self.comet.call("balanceOf", who))

    def posted(self, who: str, symbol: str) -> int:
        """Collateral, in smallest units."""
        return int(self.comet.call("collateralBalanceOf", who, self.collateral[symbol].token.address))

    def liquidatable(self, who: str, block: int | str = "latest") -> bool:
        """The market's own verdict, by stored interest."""
        return bool(self.comet.call("isLiquidatable", who, block=block))

    def collateralized(self, who: str, block: int | str = "latest") -> bool:
        """Whether the market would lend what is owed, by stored interest."""
        return bool(self.comet.call("isBorrowCollateralized", who, block=block))

    def asset_info(self, symbol: str) -> AssetInfo:
        """Parameters of a collateral."""
        return AssetInfo(*self.comet.call("getAssetInfoByAddress", self.collateral[symbol].token.address))
