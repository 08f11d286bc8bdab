"""The statements of this backend's tables, looked up once.

Here: the texts. Not here: their names and order (`storage/tables/statements.py`), settings of connections (`connections.py`).
"""

from __future__ import annotations

from typing import Final

from perdure.storage.sql import Queries

Q: Final = Queries(
    "queries/threads.sqlite.sql",
    "queries/items.sqlite.sql",
    "queries/past.sqlite.sql",
    "queries/texts.sqlite.sql",
    "queries/forget.sqlite.sql",
    "queries/check.sqlite.sql",
    "queries/admin.sqlite.sql",
)
