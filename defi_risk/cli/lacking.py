"""What a plan or a what-if could not know: told on standard error, and the exit code that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from defi_risk.cli import warn

if TYPE_CHECKING:
    from defi_risk.gathering import Gathered

_LIMIT: Final = 5


def lacking(found: Gathered, what: str) -> int:
    """Tell what could not be read; 3 where accounts may be missing from the result, else 0."""
    failed = [report for report in found.reports if report.status == "failed"]
    for report in failed:
        warn(f"error: {report.id}: {report.error or 'failed'}")
    told = {report.id for report in failed}  # an account of that very id stands for the source that failed
    unknown = [account for account in found.accounts if not account.known]
    further = [account for account in unknown if account.id not in told]
    for account in further[:_LIMIT]:
        warn(f"warning: {account.id} is unknown: {account.reason}")
    if len(further) > _LIMIT:
        warn(f"warning: and {len(further) - _LIMIT} more accounts are unknown")
    if not (found.partial or unknown):
        return 0
    warn(f"warning: a source failed or an account is unknown: the {what} knows nothing of it")
    return 3
