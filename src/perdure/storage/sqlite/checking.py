"""Whether what words find of an SQLite database agrees with its items, and how it is cleared to be made anew.

Here: what is compared. Not here: filing anew (`storage/reindexing.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from perdure.storage.sqlite.rows import prefixed

__all__ = ["disagreements", "unfile"]

_PAGE: Final = 500

Ask: TypeAlias = Callable[..., list[Any]]  # (name of a block, *values)


def disagreements(
    ask: Ask, ask_many: Callable[[str, list[tuple[Any, ...]]], list[Any]]
) -> list[tuple[str, int]]:
    """What does not agree, in words, each with how many rows or items it concerns; empty: all agrees."""
    ((orphans, bare),) = ask("wrong_texts")
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
    found_wrong = [
        ("terms of items that have none, or are gone", orphans),
        ("items with terms that are not kept", bare),
        ("items whose postings are not their terms", differing),
        ("items in postings that have no terms", len(postings)),
        ("statistics of namespaces that are not those of their items", len(ask("wrong_totals"))),
    ]
    return [(what, count) for what, count in found_wrong if count]


def unfile(ask: Ask) -> None:
    """Nothing is found by words any more; all that is to be found is filed nowhere."""
    for block in ("clear_postings", "clear_texts", "clear_totals", "unfile_items", "totals_of_unfiled"):
        ask(block)
