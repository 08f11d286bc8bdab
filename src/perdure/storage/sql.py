"""Named blocks of SQL from the `.sql` files beside this module: SQL is source, reviewed as SQL.

A block begins with `-- name: its_name`, then comments that say what it gives and what it relies on, then one statement.
`-- repeat` at the end of a line of values marks it as repeatable: `Queries.repeated(name, n)` writes the line n times.
Not here: connections, values (always bound).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_REPEAT = re.compile(r"^(?P<line>[^\n]*\S)\s*-- repeat$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)


class Queries:
    """The blocks of some files, by name: `queries["newest_revision"]`. A later file overrides an earlier one."""

    def __init__(self, *paths: str) -> None:
        self.texts: dict[str, str] = {}
        self.comments: dict[str, str] = {}
        self._repeated: dict[tuple[str, int], str] = {}
        for path in paths:
            _, *parts = _NAME.split(read(path))
            for name, text in zip(parts[::2], parts[1::2], strict=True):
                self.comments[name] = "".join(_COMMENT.findall(text))
                self.texts[name] = _COMMENT.sub("", text).strip().removesuffix(";")

    def __getitem__(self, name: str) -> str:
        return self.texts[name]

    def repeated(self, name: str, times: int) -> str:
        """The block with its repeatable line written `times` times, for as many rows of values."""
        text = self._repeated.get((name, times))
        if text is None:
            text = _REPEAT.sub(lambda line: ", ".join([line["line"].strip()] * times), self.texts[name])
            self._repeated[name, times] = text
        return text


@cache
def read(path: str) -> str:
    """The text of a file beside this module, `path` relative to it."""
    return files("perdure.storage").joinpath(path).read_text(encoding="utf-8")


def statements(script: str) -> list[str]:
    """The statements of a script, one by one. A statement ends with `;` at the end of a line."""
    found = [_COMMENT.sub("", part).strip() for part in re.split(r";[ \t]*(?:\n|$)", script)]
    return [part for part in found if part]
