"""What a plan or a what-if could not know: told on standard error, and the exit code that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from defi_risk.cli import warn

if TYPE_CHECKING:
    from defi_risk.gathering import Gathered

_LIMIT: Final = 5


def lacking(found: Gathered, what: str) -> int:
    """Tell what could not be read; 3 where accounts may be missing from the result, else 0."""
    for report in found.reports:
        if report.status == "failed":
            warn(f"error: {report.id}: {report.error or 'failed'}")
    unknown = [account for account in found.accounts if not account.known]
    for account in unknown[:_LIMIT]:
        warn(f"warning: {account.id} is unknown: {account.reason}")
    if len(unknown) > _LIMIT:
        warn(f"warning: and {len(unknown) - _LIMIT} more accounts are unknown")
    if not (found.partial or unknown):
        return 0
    warn(f"warning: a source failed or an account is unknown: the {what} knows nothing of it")
    return 3
