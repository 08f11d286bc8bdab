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
    "queries/admin.sqlite.sql",
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
ADD_ITEM: Final = Q["add_item"]
SET_ITEM: Final = Q["set_item"]
ADD_VERSION: Final = Q["add_version"]
END_VERSION: Final = Q["end_version"]
MOVE_END: Final = Q["move_end"]
REMOVE_WRITES: Final = Q["remove_writes"]
REMOVE_STAGED: Final = Q["remove_staged"]
REMOVE_WRITES_OF: Final = Q["remove_writes_of_task"]
REMOVE_STAGED_OF: Final = Q["remove_staged_of_task"]

FILING: Final = (
    Q["add_index"],
    Q["remove_posting"],
    Q["add_posting"],
    Q["remove_text"],
    Q["set_text"],
    Q["add_to_totals"],
)
"""For the rows of `filing.Rows`, one by one."""

EMBEDDING: Final = (Q["remove_vectors"], Q["set_vectors"], Q["add_to_vector_spaces"])
"""For the rows of `embedding_rows.Gathered`, one by one."""

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

place_of: Final = {statement: place for place, statement in enumerate(IN_ORDER)}.__getitem__
"""Where a statement stands in that order."""
