"""The README of the flags: its table is made of the rules. `python -m tests.unit.test_flags_readme` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import defi_risk
from defi_risk.export.remedies import REMEDIES
from defi_risk.flags import ALL, Limits

README: Final = Path(defi_risk.__file__).parent / "flags" / "README.md"
BEGIN: Final = "<!-- table: made of the rules -->\n"
END: Final = "<!-- end of table -->\n"


def table() -> str:
    """All codes by name; a star marks those that need a loan and a derivatives account together."""
    rows = ["| code | severity | means | raised | what to do |", "| --- | --- | --- | --- | --- |"]
    for code, rule in ALL.items():
        star = " *" if rule.spans else ""
        line = rule.threshold(Limits()).replace("%", " %") or "always"
        rows.append(f"| {code}{star} | {rule.severity.value} | {rule.description} | {line} | {REMEDIES[code]} |")
    return "\n".join(rows) + "\n"


def test_the_table_is_that_of_the_rules() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table()


def test_no_cell_breaks_the_table() -> None:
    assert all(row.count("|") == 6 for row in table().splitlines())


def test_every_remedy_is_one_of_a_flag() -> None:
    assert set(REMEDIES) == set(ALL)


if __name__ == "__main__":
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
