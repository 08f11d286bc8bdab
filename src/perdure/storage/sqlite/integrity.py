"""What SQLite itself finds wrong with the tables of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from perdure.storage.contract import Disagreement
from perdure.storage.tables.checking import INDEXED

__all__ = ["found_wrong"]

_TABLES: Final = (*INDEXED, "postings", "texts", "totals", "vector_spaces")


def found_wrong(ask: Callable[..., list[Any]]) -> list[Disagreement]:
    """Rows that an index of its own lacks, an index that says what no row says, pages."""
    found: list[Disagreement] = []
    for table in _TABLES:
        said: list[str] = [text for (text,) in ask(f"integrity_of_{table}") if text != "ok"]
        of_indexes = [text for text in said if " index " in text]
        if of_indexes:
            what = f"things wrong with SQLite's indexes of {table}, such as: {of_indexes[0]}"
            found.append(Disagreement(what, len(of_indexes), "indexes"))
        if rest := [text for text in said if text not in of_indexes]:
            what = f"things wrong with the file in {table} (nothing mends this: use a backup), such as: {rest[0]}"
            found.append(Disagreement(what, len(rest), "items"))
    return found
