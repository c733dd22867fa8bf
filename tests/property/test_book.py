"""Any text is a book or a `BookError`; and the lines that faults name are where the keys stand."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from defi_risk.book import Book, parse
from defi_risk.book.lines import Lines, Path
from defi_risk.errors import BookError

KEYS = ("a", "b-c", '"d.e"', "'f'", "g.h", '"i\\"j"', '"\\u006b"', "book", "name", "manual", "collateral", "chains", "local")
VALUES = (
    "1", "-2.5e3", "true", '"x"', "'y # no comment'", '"""\nmany\nlines # x\n"""', "'''\n[[\n'''", "[]", "[\n 1, # one\n 2\n]", "{}",
    "{ p = 1, q.r = [ 2, 3 ] }", '[[1], ["a]"], [{ z = 1 }]]', "1979-05-27T07:32:00Z", '"""a""""', '"""\\""""', "'''a'''''",
)  # fmt: skip
LINES = st.one_of(
    st.sampled_from(("", "# note [[x]]", "  ", "\t")),
    st.builds("[{}]".format, st.sampled_from(KEYS)),
    st.builds("[[ {} ]]".format, st.sampled_from(KEYS)),
    st.builds("[{}.{}]".format, st.sampled_from(KEYS), st.sampled_from(KEYS)),
    st.builds("{} = {}".format, st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.builds("  {}  =   {} # note".format, st.sampled_from(KEYS), st.sampled_from(VALUES)),
)
DOCUMENTS = st.lists(LINES, max_size=12).map("\n".join)


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every place in a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*path, index)
            yield from paths(item, (*path, index))


def read(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        return None


def fault(text: str) -> str:
    """What is said about a text; empty where it is a book."""
    try:
        assert isinstance(parse(text, "fuzz.toml"), Book)
    except BookError as error:
        return str(error)
    return ""


@given(DOCUMENTS)
@settings(max_examples=400)
@example('a = """\n\\"""" # x\n"""\nb = 1')
@example("[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3\n[[a.e]]\nf = 4")
@example('a = { b = [ "]", { c = 1 } ], d = 2 }\ne = 3')
def test_every_key_is_found_on_a_line_that_holds_it(text: str) -> None:
    document = read(text)
    if document is None:
        return
    lines = Lines(text)
    source = text.split("\n")
    for path in paths(document):
        number = lines.of(path)
        assert path in lines, path
        key = path[-1]
        if isinstance(key, str):
            escaped = key.replace('"', '\\"').replace("k", "\\u006b") if key in ("k",) else key.replace('"', '\\"')
            assert escaped in source[number - 1], (path, number)


@given(st.one_of(DOCUMENTS, st.text(max_size=300), st.text(alphabet="[]{}=\"'#.,\\\n ab1-", max_size=80)))
@settings(max_examples=600)
def test_any_text_is_a_book_or_a_book_error(text: str) -> None:
    said = fault(text)
    assert said == "" or (said.startswith("fuzz.toml") and "\n" not in said)


@given(st.text(alphabet="[]{}=\"'#.,\\\n ab1-", max_size=60))
@settings(max_examples=400)
def test_finding_lines_ends_whatever_the_text(text: str) -> None:
    # only called on what tomllib accepted, and harmless on everything else too
    try:
        Lines(text)
    except tomllib.TOMLDecodeError:
        assert "\\" in text
