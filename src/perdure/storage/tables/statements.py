"""The statements that write, by name, and the order of effects in which a group's rows are written.

Here: names of SQL blocks as constants. Not here: which rows (`gathering.py` and those who gather), the texts (each backend's).
"""

from __future__ import annotations

from typing import Final

ADD_COMMIT: Final = "add_commit"
ADD_THREAD: Final = "add_thread"
ADD_CHAIN: Final = "add_chain"
ADD_LOG: Final = "add_log"
ADD_RUN: Final = "add_run"
ADD_CHECKPOINT: Final = "add_checkpoint"
ADD_SEGMENT: Final = "add_segment"
ADD_WRITE: Final = "add_write"
ADD_STAGED: Final = "add_staged"
ADD_NAMESPACE: Final = "add_namespace"
ADD_ITEM: Final = "add_item"
SET_ITEM: Final = "set_item"
ADD_VERSION: Final = "add_version"
END_VERSION: Final = "end_version"
MOVE_END: Final = "move_end"
REMOVE_WRITES: Final = "remove_writes"
REMOVE_STAGED: Final = "remove_staged"
REMOVE_WRITES_OF: Final = "remove_writes_of_task"
REMOVE_STAGED_OF: Final = "remove_staged_of_task"

FILING: Final = (
    "add_index",
    "remove_posting",
    "add_posting",
    "remove_text",
    "set_text",
    "add_to_totals",
)
"""For the rows of `filing.Rows`, one by one."""

EMBEDDING: Final = ("remove_vectors", "set_vectors", "add_to_vector_spaces")
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
