"""The statements of this backend's tables, looked up once.

Here: the texts. Not here: their names and order (`storage/tables/statements.py`), settings of connections (`connections.py`).
"""

from __future__ import annotations

from typing import Final

from perdure.storage.sql import Queries
from perdure.storage.tables.statements import IN_ORDER

Q: Final = Queries(
    "queries/threads.sqlite.sql",
    "queries/items.sqlite.sql",
    "queries/past.sqlite.sql",
    "queries/texts.sqlite.sql",
    "queries/forget.sqlite.sql",
    "queries/check.sqlite.sql",
    "queries/admin.sqlite.sql",
)

_REPEATED: Final = ("add_item", "add_version", "add_posting", "set_text")

ROW: Final = {name: Q.repeated(name, 1) if name in _REPEATED else Q[name] for name in IN_ORDER}
"""The texts that write one row, by name."""

WIDTH: Final = {name: text.count("?") for name, text in ROW.items()}
"""How many values a row of a statement has."""

AT_ONCE: Final = 64
"""Rows of a text of `MANY`."""

MANY: Final = {name: Q.repeated(name, AT_ONCE) for name in _REPEATED}
"""Of what comes in thousands, a text for many rows: each execution costs as much as a row or two."""
