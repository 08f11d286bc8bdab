"""Which items of a store are near-duplicates: what they say, read from the store, grouped by vectors or by words.

Here: reading items with what the backend knows of them, and the choice between the two ways. Not here: the ways
(`alike_words.py`, `alike_vectors.py`), what is done with the groups (`merging.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from perdure.errors import QueryError
from perdure.memory.alike_words import Groups, groups_by_words
from perdure.memory.node import Colour
from perdure.storage.contract import Namespace, Snapshot, asked
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_store import FaceHandle
from perdure.storage.text.analyser import analyser
from perdure.storage.text.filer import Filer
from perdure.storage.vectors.embedder import Embedder
from perdure.store.base import BaseStore, Item, SearchItem

__all__ = ["Alike", "Known", "Mode", "groups_of", "is_committed", "known_items", "way_of"]

Mode: TypeAlias = Literal["text", "vector"]

_ALL: Final = 1 << 40
_PAGE: Final = 4096


@dataclass(slots=True)
class Known:
    """An item with what tells whether another is like it.

    Attributes:
        item: as the store shows it.
        paths: what of it is to be found, as it was put; None: what the store says.
        vectors: as the store keeps them; None: it has none, or nobody looked.
    """

    item: Item
    paths: tuple[str, ...] | None = None
    vectors: bytes | None = None


@dataclass(slots=True)
class Alike:
    """Items of one namespace that are to become one.

    Attributes:
        members: newest first; all are like the first.
        similarity: of the one that is least like it.
    """

    members: list[Known]
    similarity: float
    value: dict[str, Any] = field(default_factory=dict[str, Any])  # of the merged item


def way_of(codec: ItemCodec, mode: object) -> Mode:
    """How items are compared. Raises QueryError."""
    if mode is None:
        return "text" if codec.embedder is None else "vector"
    if mode == "vector" and codec.embedder is None:
        raise QueryError(
            "mode='vector': this store has no embedding model. Open it with index={'embed': ..., 'dims': ...}, or compare by"
            " words: mode='text'. Nothing was changed.",
            part="mode",
        )
    if mode in ("text", "vector"):
        return mode
    raise QueryError(f"mode={mode!r}: give 'text', 'vector' or None. Nothing was changed.", part="mode")


async def known_items(
    store: BaseStore,
    handle: FaceHandle,
    prefix: Namespace,
    filter: dict[str, Any] | None,
    mode: Mode,
    colour: Colour,
) -> list[Known]:
    """The items below the prefix, newest first, without those that somebody is just changing.

    Vectors are read after the items. Where an item was written in between, its version moved on with them, and whoever
    writes by the version that was read finds out.
    """
    found: list[SearchItem]
    if colour.blocking:
        found = store.search(prefix, filter=filter, limit=_ALL, refresh_ttl=False)
    else:
        found = await store.asearch(prefix, filter=filter, limit=_ALL, refresh_ttl=False)
    known = [Known(item) for item in found]
    embedder = handle.codec.embedder if mode == "vector" else None
    still = await colour.storage(partial(_looked_up, known, handle, prefix, embedder))
    if embedder is not None:
        await _embed(still, handle.codec, embedder, colour)
    return still


def _looked_up(
    known: list[Known], handle: FaceHandle, prefix: Namespace, embedder: Embedder | None
) -> list[Known]:
    """Those that the database still has as they were read, with what it knows of them; and what is staged."""
    scope = handle.scope
    committed = {
        ((*scope, *one.item.namespace), one.item.key): one for one in known if is_committed(one.item)
    }

    def looked_up(snapshot: Snapshot) -> dict[int, Known]:
        rows = snapshot.rows(list(snapshot.refs(list(committed))))
        at: dict[int, Known] = {}
        for ref, row in rows.items():
            one = committed[row.namespace, row.key]
            if one.item.version == row.version:
                one.paths = row.paths
                at[ref] = one
        if embedder is not None:
            _take_vectors(snapshot, (*scope, *prefix), embedder, at)
        return at

    at = asked(handle.backend, looked_up)
    here = {id(one) for one in at.values()}
    return [one for one in known if id(one) in here or not is_committed(one.item)]


def _take_vectors(snapshot: Snapshot, prefix: Namespace, embedder: Embedder, at: dict[int, Known]) -> None:
    for space in snapshot.vector_spaces(prefix, embedder.name):
        start = 0
        while page := snapshot.vectors(space.space, embedder.name, 0, start, _PAGE):
            for ref, data in page:
                if ref in at:
                    at[ref].vectors = data
            start = page[-1][0] + 1


async def _embed(known: list[Known], codec: ItemCodec, embedder: Embedder, colour: Colour) -> None:
    """What has no vectors yet: staged by the running task, or written while the model failed."""
    lacking = [one for one in known if one.vectors is None and one.paths != ()]
    texts = [codec.to_embed(one.item.value, one.paths) or () for one in lacking]
    flat = [text for some in texts for text in some]
    if not flat:
        return
    made = embedder.embed(flat) if colour.blocking else await embedder.aembed(flat)
    first = 0
    for one, some in zip(lacking, texts, strict=True):
        one.vectors = b"".join(made[first : first + len(some)]) or None
        first += len(some)


def groups_of(known: Sequence[Known], codec: ItemCodec, mode: Mode, above: float) -> list[Alike]:
    """Near-duplicates, a group for each item that has any, in the order of these; never across namespaces.

    Items whose texts hold different numbers are no duplicates, however alike they are: "at 10" is not "at 11".
    """
    filer = codec.filer or Filer(analyser())
    spaces: dict[tuple[str, ...], list[Known]] = {}
    for one in known:
        spaces.setdefault(one.item.namespace, []).append(one)
    found: list[Alike] = []
    for some in spaces.values():
        terms = [filer.terms(one.item.value, one.paths) for one in some]
        for group in _grouped(some, terms, codec, mode, above):
            members = [some[place] for place, _ in group]
            found.append(Alike(members, min(share for _, share in group)))
    place = {id(one): number for number, one in enumerate(known)}
    return sorted(found, key=lambda alike: place[id(alike.members[0])])


def _grouped(
    some: Sequence[Known], terms: Sequence[Sequence[str]], codec: ItemCodec, mode: Mode, above: float
) -> Groups:
    labels = _labels(terms)
    embedder = codec.embedder
    if mode == "vector" and embedder is not None:
        from perdure.memory.alike_vectors import groups_by_vectors

        return groups_by_vectors([one.vectors for one in some], embedder.dims, above, labels)
    groups: Groups = []
    places_of: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        places_of.setdefault(label, []).append(place)
    for places in places_of.values():
        for group in groups_by_words([terms[place] for place in places], above):
            groups.append([(places[number], share) for number, share in group])
    return groups


def _labels(terms: Sequence[Sequence[str]]) -> list[int]:
    """The same number for items that hold the same numbers."""
    known: dict[tuple[str, ...], int] = {}
    numbers = [tuple(sorted(term for term in some if any(map(str.isdigit, term)))) for some in terms]
    return [known.setdefault(some, len(known)) for some in numbers]


def is_committed(item: Item) -> bool:
    """Whether it is no write of this very run, which nobody else sees yet."""
    return item.version is not None and item.version > 0
