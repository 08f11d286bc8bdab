"""Embedding items that have no vectors of the store's model yet: put off when it failed, or of another model.

Here: batches of such items, namespace by namespace, each a commit. Who was stopped goes on by calling again. Not here: when
what was put off is embedded by itself (`catching_up.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from perdure.storage import outcome
from perdure.storage.contract import AS_FILED, Backend, FileItem, ItemRow, Namespace, Snapshot, commit_now
from perdure.storage.item_codec import ItemCodec
from perdure.storage.staging import Operation

__all__ = ["embed_rows", "reembedded"]

_BATCH = 256


def reembedded(codec: ItemCodec, backend: Backend, prefix: Namespace) -> Iterator[tuple[int, int]]:
    """After each batch: how many items were embedded in it, and how many were written by others meanwhile.

    Raises:
        EmbeddingError: the model failed; what was embedded before stays.
    """
    with backend.read() as snapshot:
        spaces = snapshot.namespaces(prefix)
    for space in spaces:
        before: int | None = None
        while True:
            with backend.read() as snapshot:
                rows = snapshot.items(space, before, _BATCH)
                lacking = _lacking(codec, snapshot, space, rows)
            if lacking:
                yield embed_rows(codec, backend, lacking, clear=codec.cipher is not None)
            if len(rows) < _BATCH:
                break
            before = rows[-1].version


def _lacking(
    codec: ItemCodec, snapshot: Snapshot, space: Namespace, rows: Sequence[ItemRow]
) -> list[ItemRow]:
    """Those of the namespace itself that are to be found and have no vectors of this model."""
    assert codec.embedder is not None  # noqa: S101 - the caller looked
    mine = [row for row in rows if row.namespace == space and row.paths != ()]
    refs = {place: ref for ref, place in snapshot.refs([(row.namespace, row.key) for row in mine]).items()}
    model = codec.embedder.name
    have: set[int] = set()
    for found in snapshot.vector_spaces(space, model):
        have.update(snapshot.embedded(found.space, model))
    return [row for row in mine if refs.get((row.namespace, row.key)) not in have]


def embed_rows(
    codec: ItemCodec,
    backend: Backend,
    rows: Sequence[ItemRow],
    *,
    clear: bool = False,
    unless: Callable[[], bool] = lambda: False,
) -> tuple[int, int]:
    """How many of the items were embedded, by one commit, and how many were written by others meanwhile.

    Their words stay as whoever filed them has left them: that may be a store with another setting.

    `clear`: those without texts have no vectors from now on, of whatever model, and are owed none. `unless`: asked when the model has
    answered; if so, nothing is written.

    Raises:
        EmbeddingError: the model failed; nothing was written.
    """
    made = [Operation(row.namespace, row.key, row.value, 0, paths=row.paths) for row in rows]
    codec.embed_now(made)
    filings = [
        FileItem(row.namespace, row.key, row.version, AS_FILED, op.embedded)
        for row, op in zip(rows, made, strict=True)
        if op.embedded is not None and (op.embedded.data or clear)
    ]
    if not filings or unless():
        return 0, 0
    outcome.commit(backend, commit_now(filings=filings))
    with backend.read() as snapshot:
        places = snapshot.refs([(filing.namespace, filing.key) for filing in filings])
        versions = {places[ref]: version for ref, version in snapshot.versions(list(places)).items()}
    found = [filing for filing in filings if filing.embedded is not None and filing.embedded.data]
    stood = sum(versions.get((filing.namespace, filing.key)) == filing.version for filing in found)
    return stood, len(found) - stood
