"""Why health changed between two snapshots, as written to JSON. The field names are the keys of the file; USD and ratios are numbers."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from defi_risk.snapshot.canonical import Said
from defi_risk.snapshot.model import Time

SCHEMA: Final = "defi-risk/explanation/1"
Cause = Literal["price", "carry", "flow", "parameters"]
CAUSES: Final[tuple[Cause, ...]] = ("price", "carry", "flow", "parameters")
Status = Literal["changed", "unchanged", "opened", "closed", "unknown"]


class Reference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the two snapshots; `file` is what it was asked for by, null where it came from no file."""

    id: str
    book: str
    taken_at: Time
    partial: bool
    file: str | None


class Parts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each cause did; all five add up to after - before. `residual` is rounding, of an account below one cent."""

    price: float
    carry: float
    flow: float
    parameters: float
    residual: float


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure in both snapshots, null where it is unknown (a unified health: also where it is infinite); no parts where it is null."""

    before: float | None
    after: float | None
    parts: Parts | None


class Words(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word in both snapshots."""

    before: str | None
    after: str | None


class AccountChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One margin account. `status` unknown has a `reason`; `largest` is the cause that did most, `sentence` says it in words.

    An account that only one snapshot has counts as a surplus of 0 in the other; all of its change is flow.
    """

    id: str
    name: str
    status: Status
    reason: str | None
    mode: Words
    days: float
    surplus_usd: Change
    largest: Cause | None
    sentence: str


class BookChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The book. `uhf` is null where it is infinite or, by its `bound`, unknown; `surplus_usd` is the sum over accounts: what the book would
    have to spare if margin could flow between them.
    """

    uhf: Change
    bound: Words
    surplus_usd: Change
    first_account: Words


class Explanation(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The change of every account's surplus, and of the unified health, by cause. `notes` say what makes the comparison weaker."""

    schema: Literal["defi-risk/explanation/1"]
    before: Reference = field(name="from")
    after: Reference = field(name="to")
    book: BookChange
    accounts: tuple[AccountChange, ...]
    notes: tuple[str, ...]
