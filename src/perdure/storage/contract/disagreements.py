"""What a check of memory tells: where what is made of the items does not agree with them, and what can mend it.

Here: `Disagreement`, and the words for what every backend looks for. Not here: finding it (the backends), what is done
about it (`item_checking.py`).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = [
    "ENDS",
    "LIVE_OF_NOBODY",
    "NOT_FILED",
    "PATHS",
    "POSTINGS",
    "POSTINGS_OF_NOBODY",
    "SPACES",
    "TERMS_LOST",
    "TERMS_OF_NOBODY",
    "TOTALS",
    "VALUES_LOST",
    "VECTORS_LOST",
    "VECTORS_OF_NOBODY",
    "Disagreement",
    "Part",
    "Wrong",
    "told",
]

Part: TypeAlias = Literal["indexes", "vectors", "words", "items"]
"""What is wrong: how rows are found (and when items end), what meaning finds, what words find, the items themselves.

`MendIndexes`, `MendVectors` and `UnfileItems` mend the first three; nothing can make items anew.
"""

Wrong: TypeAlias = tuple[str, Part]


class Disagreement(NamedTuple):
    """Something is not what it should be."""

    what: str
    size: int  # of items, rows or namespaces, as `what` says
    part: Part


TERMS_OF_NOBODY: Final[Wrong] = "terms of items that have none, or are gone", "words"
TERMS_LOST: Final[Wrong] = "items with terms that are not kept", "words"
NOT_FILED: Final[Wrong] = "items that are to be found and cannot be, or the reverse", "words"
POSTINGS: Final[Wrong] = "items whose postings are not their terms", "words"
POSTINGS_OF_NOBODY: Final[Wrong] = "items in postings that have no terms", "words"
TOTALS: Final[Wrong] = "statistics of namespaces that are not those of their items", "words"
VECTORS_OF_NOBODY: Final[Wrong] = (
    "vectors of items that are gone, are not to be found, or have others",
    "vectors",
)
VECTORS_LOST: Final[Wrong] = (
    "items whose vectors are lost (mended, they have none until store.reindex() embeds them)",
    "vectors",
)
SPACES: Final[Wrong] = "namespaces that do not know how many vectors they have, or since when", "vectors"
ENDS: Final[Wrong] = "items that end at another time than their values say", "indexes"
PATHS: Final[Wrong] = (
    "values filed at declared paths that are of no item (mended, they are filed when the paths are declared again)",
    "indexes",
)
VALUES_LOST: Final[Wrong] = "items whose value is not kept (nothing mends this: use a backup)", "items"
LIVE_OF_NOBODY: Final[Wrong] = (
    "values that count as live and are no item's (nothing mends this: export and import, or use a backup)",
    "items",
)


def told(*found: tuple[Wrong, int]) -> list[Disagreement]:
    """Those that concern anything."""
    return [Disagreement(what, count, part) for (what, part), count in found if count]
