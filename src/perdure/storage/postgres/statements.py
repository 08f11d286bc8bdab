"""The statements of this backend, with the schema before every table's name.

Here: `Statements`, the blocks of one schema, and of which types their values are. Not here: names and order
(`storage/tables/statements.py`), how values are sent (`parameters.py`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

from perdure.storage.sql import Queries

__all__ = ["Block", "Statements", "qualified", "statements_of"]

_FILES: Final = (
    "threads",
    "items",
    "past",
    "texts",
    "forget",
    "check",
    "admin",
    "writing",
    "paths",
    "near",
    "prompt",
)
_NAME: Final = re.compile(r"('?)\b(perdure_\w+)\b")
_PLACE: Final = re.compile(r"\$(\d+)")
_MOST_STATEMENTS: Final = 12
_MOST_TEXTS: Final = 128
_KIND: Final = re.compile(r"\$(\d+)::(bigint|bytea)\[\]")
_ROWS: Final = re.compile(r"\bunnest\((?:\$\d+::(?:bigint|bytea)\[\](?:,\s*)?)+\)(\s+AS\b)?")


class Block(NamedTuple):
    """One statement."""

    name: str
    text: bytes
    kinds: tuple[str, ...]  # types of the columns, of a block that takes rows of values: "bigint" or "bytea"
    of_one: bytes | None  # the same for one row, given as `Cells`; None: only as rows


class Statements(dict[str, Block]):
    """The blocks of one schema, by name."""

    def __init__(self, schema: str) -> None:
        queries = Queries(*(f"queries/{name}.postgres.sql" for name in _FILES))
        super().__init__(
            (name, _block(name, qualified(text, schema))) for name, text in queries.texts.items()
        )
        self.schema = schema
        self._combined: dict[tuple[str, ...], bytes | None] = {}

    def combined(self, names: tuple[str, ...]) -> bytes | None:
        """One statement that does all of these, with their values one behind the other; None: not yet, or there are too many.

        All of them see the database as it was before: none may touch a row that another adds or changes. It is made when
        the same come again, and spares a fifth of a commit.
        """
        if names not in self._combined:
            if len(names) <= _MOST_STATEMENTS and len(self._combined) < _MOST_TEXTS:
                self._combined[names] = None
            return None
        text = self._combined[names]
        if text is None:
            text = self._combined[names] = _joined([self[name] for name in names])
        return text


@cache
def statements_of(schema: str) -> Statements:
    """The blocks, made once a schema."""
    return Statements(schema)


def qualified(text: str, schema: str) -> str:
    """The statement with `schema` before every name of ours, in a string ('perdure_seq'), too."""
    quoted = '"' + schema.replace('"', '""') + '"'
    literal = quoted.replace("'", "''")
    return _NAME.sub(lambda found: f"{found[1]}{literal if found[1] else quoted}.{found[2]}", text)


def _joined(blocks: list[Block]) -> bytes:
    texts: list[str] = []
    before = 0
    for block in blocks:
        text = block.text.decode()
        texts.append(_PLACE.sub(lambda found, by=before: f"${int(found[1]) + by}", text))
        before += len(block.kinds)
    *first, last = texts
    parts = ",\n".join(f"part_{number} AS (\n{text}\n)" for number, text in enumerate(first))
    return f"WITH {parts}\n{last}".encode()


def _block(name: str, text: str) -> Block:
    kinds = {int(number): kind for number, kind in _KIND.findall(text)}
    one = _of_one(text, kinds)
    return Block(
        name,
        text.encode(),
        tuple(kinds[number] for number in sorted(kinds)),
        None if one is None else one.encode(),
    )


def _of_one(text: str, kinds: dict[int, str]) -> str | None:
    """The statement with one row of values where it has columns of them, if it has them once.

    To unpack and join columns costs the server more than to write a row, or to seek one.
    """
    if len(_ROWS.findall(text)) != 1:
        return None
    row = ", ".join(f"${number}::{kind}" for number, kind in sorted(kinds.items()))
    return _ROWS.sub(lambda found: f"(SELECT {row}){found[1] or ' AS given'}", text)
