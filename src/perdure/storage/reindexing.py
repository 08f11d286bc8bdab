"""Filing items anew as a store's index says: after a change of language or fields, or of what text analysis does.

Here: batches of items that are filed otherwise, until there are none. An item that was filed is filed: whoever was
stopped goes on where it was by calling again. Not here: what filing is (`text/filer.py`), arguments (`item_moving.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from perdure.errors import QueryError
from perdure.storage import outcome
from perdure.storage.contract import Backend, Embedded, FileItem, ItemRow, Namespace, chunks, commit_now
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import written_in
from perdure.storage.text.filer import Filer
from perdure.storage.vectors.reembedding import reembedded

__all__ = ["Reindexed", "reindexed"]

_BATCH: Final = 500
_NO_VECTORS: Final = Embedded("none", b"")


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What `store.reindex` did.

    Attributes:
        filed: items that were filed anew.
        changed: how often an item was written by others meanwhile, so that it was looked at again.
        left: items still to do, as far as is known; 0 at the end.
    """

    filed: int
    changed: int
    left: int


def reindexed(codec: ItemCodec, backend: Backend, prefix: Namespace) -> Iterator[Reindexed]:
    """What was done so far, after each batch, which is a commit. One namespace's items are held at once.

    Raises:
        QueryError: the store has no index.
        EmbeddingError: the model failed; what was done before stays.
    """
    if codec.filer is None and codec.embedder is None:
        if codec.cipher is None:
            raise QueryError(
                "reindex: this store files nothing by words (index= has text=False). Nothing was written.",
                part="index",
            )
        yield from _unfiled(backend, prefix)
        return
    done = Reindexed(0, 0, 0)
    if codec.filer is None and codec.cipher is not None:
        for done in _unfiled(backend, prefix, words_only=True):
            yield done
    if codec.filer is not None:
        for done in _refiled(codec, codec.filer, backend, prefix):
            yield done
    if codec.embedder is not None:
        for filed, changed in reembedded(codec, backend, prefix):
            done = Reindexed(done.filed + filed, done.changed + changed, 0)
            yield done


def _unfiled(backend: Backend, prefix: Namespace, *, words_only: bool = False) -> Iterator[Reindexed]:
    """Nothing of an encrypted subtree is found by words, nor by meaning: what was readable of it is taken away."""
    done = Reindexed(0, 0, 0)
    with backend.read() as snapshot:
        holds = snapshot.forgettable(prefix)
    before: int | None = None
    vectors = None if words_only else _NO_VECTORS
    while holds.postings or (holds.vectors and not words_only):
        with backend.read() as snapshot:
            rows = snapshot.items(prefix, before, _BATCH)
        filings = [FileItem(row.namespace, row.key, row.version, None, vectors) for row in rows]
        outcome.commit(backend, commit_now(filings=filings))
        done = Reindexed(done.filed + len(rows), 0, 0)
        yield done
        if len(rows) < _BATCH:
            return
        before = rows[-1].version
    yield done


def _refiled(codec: ItemCodec, filer: Filer, backend: Backend, prefix: Namespace) -> Iterator[Reindexed]:
    done = Reindexed(0, 0, 0)
    while True:
        with backend.read() as snapshot:
            left = snapshot.text_totals(prefix, filer.analysis).strays
            spaces = snapshot.namespaces(prefix) if left else []
        if not left:
            yield Reindexed(done.filed, done.changed, 0)
            return
        seen = False
        for space in spaces:
            with backend.read() as snapshot:
                rows = [row for row in snapshot.strays(space, filer.analysis) if row.namespace == space]
            for some in chunks(rows, _BATCH):
                seen = True
                filed = _file(codec, backend, some)
                left = max(0, left - filed)
                done = Reindexed(done.filed + filed, done.changed + len(some) - filed, left)
                yield done
        if not seen:  # what is counted still has expired and is not swept: no search finds it
            yield Reindexed(done.filed, done.changed, 0)
            return


def _file(codec: ItemCodec, backend: Backend, rows: Sequence[ItemRow]) -> int:
    """How many of them still stood as they were read, and so are filed."""
    # Where nobody makes vectors any more, those of an earlier setting would stay readable.
    vectors = _NO_VECTORS if codec.cipher is not None and codec.embedder is None else None
    filings = [
        FileItem(row.namespace, row.key, row.version, codec.filed(written_in(codec, row), row.paths), vectors)
        for row in rows
    ]
    outcome.commit(backend, commit_now(filings=filings))
    with backend.read() as snapshot:
        places = snapshot.refs([(row.namespace, row.key) for row in rows])
        versions = snapshot.versions(list(places))
    standing = {places[ref]: version for ref, version in versions.items()}
    return sum(standing.get((row.namespace, row.key)) == row.version for row in rows)
