"""Where a snapshot goes: a table, JSON, CSV or Parquet, on standard output or in files; and the exit code that it means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from defi_risk.cli import Session, warn
from defi_risk.cli.writing import Write, text, to_file, to_stdout, to_terminal
from defi_risk.errors import UsageError

if TYPE_CHECKING:
    from defi_risk.snapshot import Snapshot

SUFFIXES: Final = {".json": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "table", "": "table"}
TABLES: Final = ("accounts", "legs", "flags", "stress")
_LIMIT: Final = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A form, and the file, or folder (one file a table), that it is written to; standard output where there is neither."""

    form: str
    file: Path | None = None
    folder: Path | None = None


def planned(form: str | None, output: str | None) -> Target:
    """Settle form and place before anything is read, so that a mistake costs no scan. Raises `UsageError`."""
    if form == "parquet" or (output or "").lower().endswith(".parquet"):
        from defi_risk.export.parquet import pyarrow_parquet

        pyarrow_parquet()
    if output is None:
        if form == "parquet":
            raise UsageError("Parquet is not for a terminal", hint="add -o accounts.parquet, or -o DIR/ for all tables")
        return Target(form or "table")
    if "\0" in output or not output:
        raise UsageError("-o needs the name of a file or of a folder")
    path = Path(output)
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {output!r}: the folder {os.fspath(path.parent)!r} does not exist")
    if output.endswith(("/", os.sep)) or path.is_dir():
        return Target(form or "csv", folder=path)
    kind = path.suffix.lower()
    if form is None and kind not in SUFFIXES:
        raise UsageError(f"-o {output!r} does not tell what to write", hint="end it in .json, .csv, .parquet or .txt, or add --format")
    return Target(form or SUFFIXES[kind], file=path)


def emit(snapshot: Snapshot, target: Target, session: Session, *, stressed: bool = False) -> None:
    """Write the snapshot, then tell on standard error what it lacks. `stressed`: tables show stresses and cascade."""
    if target.folder is not None:
        _make(target.folder)
        for name, write in _files(snapshot, target.form, stressed=stressed).items():
            to_file(target.folder / name, write, session)
    elif target.file is not None:
        to_file(target.file, _single(snapshot, target.form, stressed=stressed), session)
    elif target.form == "table":
        to_terminal(lambda: _show(snapshot, stressed=stressed))
    else:
        to_stdout(_single(snapshot, target.form, stressed=stressed))
    _tell(snapshot, target, session)


def exit_code(snapshot: Snapshot, fail_on: str | None) -> int:
    """10 where a flag of `fail_on` or above was raised, else 3 where the snapshot is partial, else 0."""
    grave = {"warning": ("warning", "critical"), "critical": ("critical",)}.get(fail_on or "", ())
    if any(flag.severity in grave for flag in snapshot.flags):
        return 10
    return 3 if snapshot.partial else 0


def _single(snapshot: Snapshot, form: str, *, stressed: bool) -> Write:
    if form == "json":
        return text(snapshot.to_json(2) + "\n")
    if form == "csv":
        return _table(snapshot, "accounts", "csv")
    if form == "parquet":
        return _table(snapshot, "accounts", "parquet")

    from defi_risk.export.table import as_text

    return text(as_text(snapshot, stressed=stressed))


def _files(snapshot: Snapshot, form: str, *, stressed: bool) -> dict[str, Write]:
    if form in ("csv", "parquet"):
        return {f"{name}.{form}": _table(snapshot, name, form) for name in TABLES}
    return {"snapshot.json" if form == "json" else "snapshot.txt": _single(snapshot, form, stressed=stressed)}


def _table(snapshot: Snapshot, name: str, form: str) -> Write:
    if form == "csv":
        from defi_risk.export.csv import write_csv

        return lambda stream: write_csv(snapshot, name, stream)
    from defi_risk.export.parquet import write_parquet

    return lambda stream: write_parquet(snapshot, name, stream)


def _show(snapshot: Snapshot, *, stressed: bool) -> None:
    from defi_risk.export.table import show

    show(snapshot, stressed=stressed)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {os.fspath(folder)!r}: {error.strerror}") from None


def _tell(snapshot: Snapshot, target: Target, session: Session) -> None:
    """Failed sources are always told; what the table says already is not told again."""
    failed = [source for source in snapshot.sources if source.status == "failed"]
    for source in failed:
        warn(f"error: {source.id}: {source.error or 'failed'}")
    for note in snapshot.notes:
        warn(f"note: {note}")
    told = {source.id for source in failed}  # an account of that very id stands for the source that failed
    unknown = [account for account in snapshot.accounts if account.status == "unknown" and account.id not in told]
    if target.form != "table" or target.file or target.folder:
        for account in unknown[:_LIMIT]:
            warn(f"warning: {account.id} is unknown: {account.reason}")
        if len(unknown) > _LIMIT:
            warn(f"warning: and {len(unknown) - _LIMIT} more accounts are unknown")
    if session.verbose:
        for source in snapshot.sources:
            warn(f"{source.id}: {source.status}, {source.calls} reads in {source.round_trips} round trips, {source.seconds:.2f} s")
            for note in source.notes:
                warn(f"{source.id}: {note}")
