"""Whether what the memory backend has made of its items agrees with them, and how it is made anew.

Here: items against words, vectors, ends, history. Not here: what words and vectors keep (`texts.py`, `vectors.py`).
"""

from __future__ import annotations

from perdure.storage.contract import Disagreement, Namespace
from perdure.storage.contract import disagreements as known
from perdure.storage.memory.tables import Tables

__all__ = ["disagreements", "mend_indexes", "mend_vectors", "unfile"]

Where = tuple[Namespace, str]


def disagreements(tables: Tables) -> list[Disagreement]:
    """What does not agree; empty: all agrees."""
    terms, lost, not_filed, shelves = tables.texts.wrong(_to_find(tables))
    loose, bare, spaces = tables.vectors.wrong(_embeddable(tables), tables.seq)
    live = [row for rows in tables.items.values() for row in rows.values()]
    newest = {row.version for row in live}
    return known.told(
        (known.TERMS_OF_NOBODY, terms),
        (known.TERMS_LOST, lost),
        (known.NOT_FILED, not_filed),
        (known.TOTALS, shelves),
        (known.VECTORS_OF_NOBODY, loose),
        (known.VECTORS_LOST, bare),
        (known.SPACES, spaces),
        (known.ENDS, len(tables.mortal ^ _mortal(tables))),
        (known.VALUES_LOST, sum(tables.history.get(row.version) != row for row in live)),
        (
            known.LIVE_OF_NOBODY,
            len(set(tables.history) - {version for _, version in tables.ended} - newest),
        ),
    )


def unfile(tables: Tables) -> None:
    """Nothing is found by words any more; all that is to be found is filed nowhere."""
    tables.texts.unfile(_to_find(tables))


def mend_vectors(tables: Tables, seq: int) -> None:
    """Vectors are those of items that are to be found, and are counted so, as of the commit of this number."""
    tables.vectors.mend(_embeddable(tables), seq)


def mend_indexes(tables: Tables) -> None:
    """What is swept is what has an end."""
    tables.mortal = _mortal(tables)


def _to_find(tables: Tables) -> dict[Where, bool]:
    """The living items, and whether they are to be found."""
    return {
        (space, key): row.paths != () for space, rows in tables.items.items() for key, row in rows.items()
    }


def _embeddable(tables: Tables) -> dict[int, Namespace]:
    """The items that may have vectors, by their numbers, and where they are."""
    refs = {where: tables.texts.ref(where) for where, found in _to_find(tables).items() if found}
    return {ref: where[0] for where, ref in refs.items() if ref is not None}


def _mortal(tables: Tables) -> set[Where]:
    return {
        (space, key)
        for space, rows in tables.items.items()
        for key, row in rows.items()
        if row.expires is not None
    }
