"""Declared paths: made known to all writers, filled with what was there before, and dropped. Nobody waits long.

First the path is made known, in a moment in which no commit is under way: from then on whoever writes makes its rows. Then what
stood there before gets rows, some items at a time, behind the locks of their namespaces. Only then it is read. Whoever is cut off
leaves it as far as he came, and the next who declares it goes on; two at once do some of it twice, which changes nothing.

Here: `declare`, `drop`. Not here: rows (`paths.py`), reading (`snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from perdure.codec import text_to_bytes
from perdure.storage.path_ranges import PathRanges
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.locks import MOST_NAMES, key_of_all, keys_of_spaces
from perdure.storage.postgres.parameters import Ints, columns_of
from perdure.storage.postgres.paths import Declared, declared_of, values_at
from perdure.storage.postgres.readings import patiently
from perdure.storage.postgres.talking import Said
from perdure.storage.postgres.together import together
from perdure.storage.tables.asking import LAST

__all__ = ["declare", "drop"]

_ITEMS: Final = 1000  # at once: their namespaces wait some milliseconds
_BYTES: Final = 8 << 20
_ROWS: Final = 20_000


def declare(line: Line, paths: Sequence[PathRanges]) -> None:
    """Each of the paths can be read, when this returns. Writers go on meanwhile, but for moments."""
    names = list(dict.fromkeys(text_to_bytes(one.path) for one in paths))
    if not names:
        return
    _clear(line)
    there = {name for _, name, _ in _declared(line)}
    if new := [name for name in names if name not in there]:
        add = line.statements["add_path"].text
        together(line, "declare", [(add, (name,)) for name in new], alone=True)
    while left := [row for row in _declared(line) if row[1] in names and row[2] != LAST]:
        _fill(line, declared_of(left), min(filled for _, _, filled in left))
    line.ready.forget()


def drop(line: Line, paths: Sequence[PathRanges]) -> None:
    """None of the paths is declared any more, and their rows are gone."""
    there = {name for _, name, _ in _declared(line)}
    if gone := [name for one in paths if (name := text_to_bytes(one.path)) in there]:
        text = line.statements["drop_path"].text
        together(line, "declare", [(text, (name,)) for name in gone], alone=True)
    line.ready.forget()
    _clear(line)


def _declared(line: Line) -> list[tuple[Any, ...]]:
    return patiently(line, line.statements["declared_paths"].text)


def _fill(line: Line, declared: Sequence[Declared], filled: int) -> None:
    """Rows for the next items behind; when there are none, the paths can be read."""
    q = line.statements
    items = patiently(line, q["items_to_fill"].text, (filled, _ITEMS, _BYTES))
    spaces: set[bytes] = set()
    rows: list[tuple[int, int, int, bytes]] = []
    for item, space, version, value in items:
        if space not in spaces and len(spaces) == MOST_NAMES:
            break
        spaces.add(space)
        filled = item
        found = zip(declared, values_at(declared, value), strict=True)
        rows += [(item, one.no, version, at) for one, at in found if at is not None]
    said: list[Said] = [
        (q["lock_names"].text, (Ints(keys_of_spaces(spaces, q.schema)), key_of_all(q.schema)))
    ]
    if rows:
        block = q["fill_path_values"]
        said.append((block.text, columns_of(block.kinds, rows)))
    numbers = Ints([one.no for one in declared])
    said.append((q["filled_paths"].text, (numbers, filled if items else LAST)))
    together(line, "declare", said)


def _clear(line: Line) -> None:
    """The rows of dropped paths go, some at a time."""
    q = line.statements
    for (number,) in patiently(line, q["dropped_paths"].text):
        while patiently(line, q["remove_rows_of_path"].text, (number, _ROWS))[0][0]:
            pass
        patiently(line, q["remove_path"].text, (number,))
