"""The statements of this backend's tables, looked up once, and the order of effects in which a group's rows are written.

Here: names of SQL blocks as constants. Not here: which rows (`gathering.py` and those who gather), settings of connections
(`connections.py`).
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
)

ADD_COMMIT: Final = Q["add_commit"]
ADD_THREAD: Final = Q["add_thread"]
ADD_CHAIN: Final = Q["add_chain"]
ADD_LOG: Final = Q["add_log"]
ADD_RUN: Final = Q["add_run"]
ADD_CHECKPOINT: Final = Q["add_checkpoint"]
ADD_SEGMENT: Final = Q["add_segment"]
ADD_WRITE: Final = Q["add_write"]
ADD_STAGED: Final = Q["add_staged"]
ADD_NAMESPACE: Final = Q["add_namespace"]
ADD_ITEM: Final = Q.repeated("add_item", 1)
SET_ITEM: Final = Q["set_item"]
ADD_VERSION: Final = Q.repeated("add_version", 1)
END_VERSION: Final = Q["end_version"]
MOVE_END: Final = Q["move_end"]
REMOVE_WRITES: Final = Q["remove_writes"]
REMOVE_STAGED: Final = Q["remove_staged"]
REMOVE_WRITES_OF: Final = Q["remove_writes_of_task"]
REMOVE_STAGED_OF: Final = Q["remove_staged_of_task"]

FILING: Final = (
    Q["add_index"],
    Q["remove_posting"],
    Q.repeated("add_posting", 1),
    Q["remove_text"],
    Q.repeated("set_text", 1),
    Q["add_to_totals"],
)
"""For the values of `filing.Rows`, one by one."""

EMBEDDING: Final = (Q["remove_vectors"], Q["set_vectors"], Q["add_to_vector_spaces"])
"""For the values of `embedding_rows.Gathered`, one by one."""

IN_ORDER: Final = (
    REMOVE_WRITES,
    REMOVE_STAGED,
    REMOVE_WRITES_OF,
    REMOVE_STAGED_OF,
    ADD_COMMIT,
    ADD_THREAD,
    ADD_CHAIN,
    ADD_LOG,
    ADD_RUN,
    ADD_CHECKPOINT,
    ADD_SEGMENT,
    ADD_WRITE,
    ADD_STAGED,
    ADD_NAMESPACE,
    ADD_ITEM,
    ADD_VERSION,
    END_VERSION,
    MOVE_END,
    SET_ITEM,
    *FILING,
    *EMBEDDING,
)
"""The order of effects at the end of a stretch: removals of finished steps, names, rows, items."""

WIDTH: Final = {statement: statement.count("?") for statement in IN_ORDER}
"""How many values a row of a statement has."""

AT_ONCE: Final = 64
"""Rows of a text of `MANY`."""

MANY: Final = {
    Q.repeated(name, 1): Q.repeated(name, AT_ONCE)
    for name in ("add_item", "add_version", "add_posting", "set_text")
}
"""Of what comes in thousands, a text for many rows: each execution costs as much as a row or two."""

place_of: Final = {statement: place for place, statement in enumerate(IN_ORDER)}.__getitem__
"""Where a statement stands in that order."""
