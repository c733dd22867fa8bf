"""What was read, before any risk figure: anchors, assets, prices, legs and margin accounts. Frozen values, no arithmetic.

A margin account is the smallest set of collateral and obligations that one liquidation engine judges together. Amounts and prices
are exact (`Quantity`, `Decimal`); they become float64 in `defi_risk.health.normal` and nowhere else. What could not be read is an
account with status "unknown" and a reason, never a zero.
"""

from __future__ import annotations

from defi_risk.model.accounts import TRANSFER, Account, Custody, LiquidationRule, Owner, Proof, Side
from defi_risk.model.assets import ETHER, PAR, PRICES, Anchor, Asset, Chain, FactorRef, Price, Quote
from defi_risk.model.legs import ONE, Basis, Contract, Leg, Position, Role, Tier
from defi_risk.model.sources import KeyRights, SourceReport
from defi_risk.model.verdict import NOTHING, Exact, Feed, Native, SelfCheck, as_text

__all__ = [
    "ETHER",
    "NOTHING",
    "ONE",
    "PAR",
    "PRICES",
    "TRANSFER",
    "Account",
    "Anchor",
    "Asset",
    "Basis",
    "Chain",
    "Contract",
    "Custody",
    "Exact",
    "FactorRef",
    "Feed",
    "KeyRights",
    "Leg",
    "LiquidationRule",
    "Native",
    "Owner",
    "Position",
    "Price",
    "Proof",
    "Quote",
    "Role",
    "SelfCheck",
    "Side",
    "SourceReport",
    "Tier",
    "as_text",
]
