"""A subtree of memory without a trace: what a database has of it, and its deletion from every table.

Here: the list of tables. A table that is new and says anything of an item belongs on it. Not here: when
(`removing.py`), what is left in the file's free pages (`transactions.py`, `scrub`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from perdure.codec import bytes_to_text
from perdure.storage.contract import Forgettable
from perdure.storage.tables.rows import prefixed

__all__ = ["OF_A_NAMESPACE", "counted", "forget"]

OF_A_NAMESPACE: Final = ("texts", "totals", "vectors", "vector_spaces", "items")
"""Tables whose rows belong to a namespace by its number: `forget_<table>` deletes them. Items come last."""

_EVER: Final = -(1 << 62)  # a time at which nothing had expired

Ask: TypeAlias = Callable[..., list[Any]]  # (name of a block, *values)
Range: TypeAlias = tuple[bytes, bytes]


def counted(ask: Ask, inside: Range) -> Forgettable:
    """What there is of a range of namespaces."""
    versions = ask("forgettable_versions", *inside)
    staged = ask("forgettable_staged", *inside)
    threads = {name for name, _ in (*versions, *staged) if name is not None}
    postings = 0
    for (space,) in ask("forgettable_spaces", *inside):
        postings += sum(terms.count(b"\0") + 1 for _, _, terms in ask("forgettable_texts", space))
    return Forgettable(
        items=ask("size", *inside, _EVER)[0][0],
        history=sum(count for _, count in versions),
        postings=postings,
        vectors=ask("forgettable_vectors", *inside)[0][0],
        staged=sum(count for _, count in staged),
        threads=tuple(sorted(bytes_to_text(name) for name in threads)),
    )


def forget(ask: Ask, ask_all: Callable[[str, list[Any]], object], inside: Range) -> bool:
    """Deletes it; whether there was any item, if only a deleted one.

    Args:
        ask: runs a block.
        ask_all: runs a block for many rows of values.
        inside: the range of namespaces.
    """
    spaces = [space for (space,) in ask("forgettable_spaces", *inside)]
    for space in spaces:
        found = ask("forgettable_texts", space)
        postings = [
            (prefixed(idx, term), item) for item, idx, terms in found if idx for term in terms.split(b"\0")
        ]
        ask_all("remove_posting", sorted(postings))
    ask("forget_versions", *inside)  # walks from the items down
    for table in OF_A_NAMESPACE:
        ask_all(f"forget_{table}", [(space,) for space in spaces])
    ask("forget_namespaces", *inside)
    ask("forget_staged", *inside)
    return bool(spaces)
