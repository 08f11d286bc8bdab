"""Paths of filters and orders: where in an item's value a condition looks.

Here: a key of a filter as a `Path`, and what it finds. Not here: the syntax (`store/base/paths.py`), conditions.
Pure. A literal key of the object wins at every level; `[0]` and `[-1]` are elements of a list, `[*]` is each of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, cast

from perdure.storage.item_json import ITEM_DEPTH
from perdure.store.base.paths import tokenize_path

__all__ = ["MISSING", "Path"]

MISSING: Final = object()
"""What stands where nothing stands; handed to tests like any value."""

_EACH: Final = "[*]"
_INDEX: Final = re.compile(r"\[(-?[0-9]{1,9})\]")  # no list of an item is longer


class Path:
    """A parsed path. Immutable.

    Attributes:
        text: as it was given.
        many: whether it has a `[*]`, so that it finds any number of values.
        steps: names, indexes, and None for `[*]`; empty: the text is one literal key and no path.
    """

    __slots__ = ("_cut", "_offsets", "many", "steps", "text")

    def __init__(self, text: str) -> None:
        """Of any text; what is no path leads nowhere, unless an object has it as a key."""
        self.text = text
        tokens = tokenize_path(text)
        # Values are not nested deeper than this, so what such a path means is nowhere, or a literal key.
        self._cut = len(tokens) > ITEM_DEPTH
        tokens = tokens[:ITEM_DEPTH]
        self.steps: tuple[str | int | None, ...] = tuple(map(_step, tokens))
        # From where on, at each step, the text may be a literal key. Cut out when needed, since all of a long path's
        # endings together are very long.
        offsets: list[int] = []
        at = 0
        for token in tokens:
            offsets.append(at + 1 if at and text[at] == "." else at)
            at = text.index(token, at) + len(token)  # further periods stand before it
        self._offsets = tuple(offsets)
        self.many = None in self.steps

    def __repr__(self) -> str:
        return f"Path({self.text!r})"

    def literal(self, at: int) -> str:
        """The key that, if an object has it where step `at` looks, is taken for the rest of the path."""
        return self.text[self._offsets[at] :]

    def one(self, value: object) -> object:
        """What stands there, of a path without `[*]`; MISSING if nothing does."""
        return self.all(value)[0]

    def all(self, value: object) -> Sequence[object]:
        """Everything that the path finds, at least one: an empty list, and what is no list, count as one MISSING."""
        if not self.steps and isinstance(value, dict):  # the text is "", or periods: a key, or nothing
            return (cast("dict[str, object]", value).get(self.text, MISSING),)
        return self._found(value, 0)

    def _found(self, value: Any, at: int) -> Sequence[object]:
        steps = self.steps
        while at < len(steps):
            step = steps[at]
            if isinstance(value, dict):
                entries = cast("dict[str, object]", value)
                rest = self.literal(at)
                if rest in entries:
                    return (entries[rest],)
                if not isinstance(step, str) or step not in entries:
                    return _NOTHING
                value = entries[step]
            elif isinstance(step, str) or not isinstance(value, list | tuple):
                return _NOTHING
            else:
                elements = cast("Sequence[object]", value)
                if step is None:
                    return [found for one in elements for found in self._found(one, at + 1)] or _NOTHING
                if not -len(elements) <= step < len(elements):
                    return _NOTHING
                value = elements[step]
            at += 1
        return _NOTHING if self._cut or not steps else (value,)


_NOTHING: Final[Sequence[object]] = (MISSING,)
_NOWHERE: Final = 10**9  # the index that no list has: what is in the brackets is none


def _step(token: str) -> str | int | None:
    if token == _EACH:
        return None
    if not token.startswith("["):
        return token
    index = _INDEX.fullmatch(token)
    return int(index[1]) if index else _NOWHERE
