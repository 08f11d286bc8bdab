"""Whether what a database has made of its items agrees with them, and how it is cleared or made anew.

Here: what is compared, in words, vectors, ends. Not here: filing anew (`storage/reindexing.py`), what a database finds wrong itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from perdure.storage.contract import Disagreement
from perdure.storage.contract import disagreements as known
from perdure.storage.tables.rows import prefixed

__all__ = ["INDEXED", "disagreements", "mend_indexes", "mend_vectors", "unfile"]

_PAGE: Final = 500
INDEXED: Final = (
    "namespaces",
    "items",
    "versions",
    "indexes",
    "vectors",
)  # tables with an index beside them

Ask: TypeAlias = Callable[..., list[Any]]  # (name of a block, *values)
AskMany: TypeAlias = Callable[[str, list[tuple[Any, ...]]], list[Any]]


def disagreements(ask: Ask, ask_many: AskMany, own: list[Disagreement]) -> list[Disagreement]:
    """What does not agree; empty: all agrees. Where the database finds something wrong itself (`own`), only that: nothing else can be read."""
    if own:
        return own
    ((orphans, bare),) = ask("wrong_texts")
    ((loose, lost),) = ask("wrong_vectors")
    ((gone, ends),) = ask("wrong_items")
    differing, unknown = _postings(ask, ask_many)
    return known.told(
        (known.TERMS_OF_NOBODY, orphans),
        (known.TERMS_LOST, bare),
        (known.NOT_FILED, ask("not_filed")[0][0]),
        (known.POSTINGS, differing),
        (known.POSTINGS_OF_NOBODY, unknown),
        (known.TOTALS, len(ask("wrong_totals"))),
        (known.VECTORS_OF_NOBODY, loose),
        (known.VECTORS_LOST, lost),
        (known.SPACES, ask("wrong_spaces")[0][0]),
        (known.ENDS, ends),
        (known.VALUES_LOST, gone),
        (known.LIVE_OF_NOBODY, ask("live_of_nobody")[0][0]),
    )


def _postings(ask: Ask, ask_many: AskMany) -> tuple[int, int]:
    """How many items have other postings than terms, and how many have postings and no terms."""
    postings = {item: tuple(rest) for item, *rest in ask("postings_by_item")}
    differing, after = 0, -1
    while texts := ask("all_texts", after, _PAGE):
        for item, idx, length, joined in texts:
            terms: list[bytes] = joined.split(b"\0")
            found = postings.pop(item, None)
            sound = found == (len(terms), length, length, length) and idx
            if sound:
                wanted = [(prefixed(idx, term), item) for term in terms]
                sound = len(set(ask_many("postings_of", wanted))) == len(set(terms))
            differing += not sound
        after = texts[-1][0]
    return differing, len(postings)


def unfile(ask: Ask) -> None:
    """Nothing is found by words any more; all that is to be found is filed nowhere."""
    for block in ("clear_postings", "clear_texts", "clear_totals", "unfile_items", "totals_of_unfiled"):
        ask(block)


def mend_vectors(ask: Ask, seq: int) -> None:
    """Vectors, the models that items name, and the counts of namespaces agree; `seq` is that of this commit."""
    ask("drop_vectors_of_nobody")
    ask("forget_lost_vectors")
    ask("bound_vectors", seq)
    ask("clear_vector_spaces")
    ask("count_vector_spaces", seq)


def mend_indexes(ask: Ask) -> None:
    """The database's indexes, declared ones included, say what the rows say, and items end when their values say."""
    for table in INDEXED:
        ask(f"remake_indexes_of_{table}")
    ask("mend_ends")
