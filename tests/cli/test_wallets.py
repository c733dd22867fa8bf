"""Wallets in bulk: text, CSV and Parquet, each fault with file and line."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from defi_risk.cli.wallets import read_wallets
from defi_risk.errors import BookError, UsageError
from defi_risk.ids import checksum

ONE, TWO = checksum("1" * 40), checksum("ab" * 20)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.txt", f"# mine\n{ONE}\n\n  {TWO.lower()}  # cold\n{ONE.lower()}\nvitalik.eth\n"),
        ("w", f"\ufeff{ONE}\r\n{TWO}\r\nvitalik.eth"),
        ("w.csv", f"{ONE}\n{TWO}\nvitalik.eth\n"),
        ("w.csv", f"label,Address\na,{ONE}\n\nb, {TWO.lower()}\nc,vitalik.eth\nd,\n"),
        ("W.CSV", f'"owner","x"\n"{ONE}","1"\n"{TWO}","2"\nvitalik.eth,3\n'),
    ],
)
def test_text_and_csv(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert read_wallets(path) == [ONE, TWO, "vitalik.eth"]


@pytest.mark.parametrize("columns", [{"x": [1, 2, 3], "wallet": [ONE, TWO, ONE]}, {"only": [ONE, TWO, ONE]}])
def test_parquet(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    path = tmp_path / "w.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert read_wallets(path) == [ONE, TWO]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("w.txt", b"", "holds no wallet"),
        ("w.txt", b"# nothing\n", "holds no wallet"),
        ("w.txt", f"{ONE}\n0x12\n".encode(), ":2: address '0x12' has 2 hex digits"),
        ("w.txt", b"a\xff\n", ":1: is not UTF-8 text"),
        ("w.csv", f"a,b\n{ONE},x\n".encode(), ":1: not an address: 'a'"),
        ("w.csv", f"address\n{ONE}\nx\n".encode(), ":3: not an address: 'x'"),
        ("w.parquet", b"PAR1 but not really", "cannot be read as Parquet"),
        ("w.parquet", None, "cannot be read as Parquet"),
        ("w.txt", None, "No such file"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BookError) as fault:
        read_wallets(path)
    assert str(fault.value).startswith(str(path))
    assert says in str(fault.value)


def test_parquet_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "w.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1], "b": [2]}), path)
    with pytest.raises(BookError, match="has no column address, wallet, owner, account: a, b"):
        read_wallets(path)
    pyarrow.parquet.write_table(pyarrow.table({"address": [1]}), path)
    with pytest.raises(UsageError, match="is not text"):
        read_wallets(path)
