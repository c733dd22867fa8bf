"""Which loan funds which margin, as snapshots say it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from defi_risk import linking, model
from defi_risk.snapshot.results import Usd
from defi_risk.units import Quantity

Units = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$", description="an exact amount in token units")]
Hash = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{64}$")]


class Hop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One transfer of borrowed money on the chain of the token; `amount` is the part of it that the link is about."""

    transaction: Hash
    block: int
    sender: str
    receiver: str
    amount: Units


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A loan that funds margin of a derivatives account with `amount` of a token at most.

    `how`: "tagged" by the book, which does not say how much; "traced" through `hops`, the transfers of the money in their order (the newest
    of them where there are many; `left_out` counts the others), oldest money first; "amounts": the two are alike in size.
    """

    loan: str
    margin: str
    how: Literal["tagged", "traced", "amounts"]
    token: str | None
    symbol: str | None
    amount: Units | None
    amount_usd: Usd | None
    hops: tuple[Hop, ...]
    left_out: int


def linked(found: linking.Link, accounts: Iterable[model.Account]) -> Link:
    """A link as a snapshot has it, at the loan's price of the token."""
    asset, amount = found.asset, found.amount
    legs = (leg for account in accounts if account.id == found.loan for leg in account.legs)
    price = next((leg.price for leg in legs if asset and leg.price and leg.asset.id == asset.id and leg.role is model.Role.DEBT), None)
    return Link(
        loan=found.loan,
        margin=found.margin,
        how=found.how.value,
        token=asset.id if asset else None,
        symbol=asset.symbol if asset else None,
        amount=None if amount is None else str(amount),
        amount_usd=None if amount is None or price is None else float(amount) * float(price.value),
        hops=tuple(_hop(hop, asset) for hop in found.hops if asset),
        left_out=found.left_out,
    )


def _hop(hop: linking.Hop, asset: model.Asset) -> Hop:
    amount = str(Quantity(hop.amount, asset.decimals))
    return Hop(transaction=hop.transaction, block=hop.block, sender=hop.source, receiver=hop.target, amount=amount)
