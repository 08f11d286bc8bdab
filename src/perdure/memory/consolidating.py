"""`consolidate`: near-duplicates of memory become one item each, as a call and as a node.

Here: arguments, the two colours. Not here: what is alike (`similar.py`), what becomes of it (`merging.py`).
"""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from perdure.engine.async_ports import AsyncPorts
from perdure.engine.blocking_ports import BlockingPorts
from perdure.engine.driving import drive
from perdure.errors import QueryError
from perdure.memory.merging import Consolidated, Merge, Merged, merged_values, stage_all, write_all
from perdure.memory.node import Colour, MemoryNode, Namespaces, Place, Reach
from perdure.memory.similar import Alike, groups_of, known_items, way_of
from perdure.storage.item_store import FaceHandle, ItemStore
from perdure.storage.scoped import ScopedStore
from perdure.store.base import BaseStore, NotSupported
from perdure.store.base.ops import check_labels

__all__ = ["aconsolidate", "consolidate", "consolidation"]


def consolidate(
    store: BaseStore,
    namespace: tuple[str, ...],
    *,
    above: float = 0.9,
    merge: Merge | None = None,
    mode: Literal["text", "vector"] | None = None,
    filter: dict[str, Any] | None = None,
    dry_run: bool = False,
) -> Consolidated:
    """A report of the near-duplicates that became one item each.

    Of items that are alike the newest stays and gets the merged value, as a new version; the others are deleted. That is
    one commit for each group (with up to a hundred groups), and only if none of its items was written since it was read:
    then the group is left as it is and reported as a conflict. The history keeps it all: `store.revert(thread=report.thread)`
    takes it back. The same items always give the same groups; items of two namespaces are never merged, nor items whose
    texts hold different numbers. In a task the writes are staged with its step, and such a conflict is a `VersionConflict`: let it
    pass, the task is tried again.

    How alike two items are: by vectors, the cosine between them (`perdure.memory.alike_vectors`); by words, the part of
    their terms that both have in the same order (`perdure.memory.alike_words`), terms being those of the store's text index.
    The items are read into memory; ten thousand of them take a second or two.

    Args:
        store: of Perdure's, or a scope of one.
        namespace: where to look, with all below it; `()` is everything.
        above: how alike they have to be, more than 0, at most 1. All of a group are so like its newest one.
        merge: from a group's items, newest first, to the merged value: a dict, a text, or None to leave them as they are.
            All are asked for before anything is written, on a dry run, too. By default it is the newest value, with
            fields that only older ones have.
        mode: `"vector"` or `"text"`; None: by vectors where the store has an embedding model. Vectors that it keeps are not
            made again.
        filter: only items that meet it, see `docs/reference/filters.md`.
        dry_run: whether to report only.

    Raises:
        QueryError: an argument that cannot be right.
        NotSupported: the store is of somebody else's class, without versions.
        PerdureError: `merge` gave what is no value. Nothing was written.
    """
    return drive(_consolidate(store, namespace, above, merge, mode, filter, dry_run, BlockingPorts()))


async def aconsolidate(
    store: BaseStore,
    namespace: tuple[str, ...],
    *,
    above: float = 0.9,
    merge: Merge | None = None,
    mode: Literal["text", "vector"] | None = None,
    filter: dict[str, Any] | None = None,
    dry_run: bool = False,
) -> Consolidated:
    """As `consolidate`; `merge` may be async, and if it is not, it runs in another thread."""
    return await _consolidate(store, namespace, above, merge, mode, filter, dry_run, AsyncPorts())


def consolidation(
    *,
    namespace: Namespaces,
    above: float = 0.9,
    merge: Merge | None = None,
    mode: Literal["text", "vector"] | None = None,
    filter: dict[str, Any] | None = None,
    into: str | None = None,
    name: str = "consolidate",
) -> MemoryNode:
    """A node that does what `consolidate` does, staged: it commits with the step, or not at all.

    If somebody else writes one of the items before the step commits, the node runs again, three attempts in all.

    Args:
        namespace: where to look, as in `recall`.
        above, merge, mode, filter: as in `consolidate`.
        into: a state key for the report, as plain JSON (`Consolidated.dict()`); None: no update.
        name: of the node.

    Raises:
        ScopeError: `namespace` is no template. The node raises it for a call that does not fill it in, and what `consolidate`
            raises.
        QueryError: `above` cannot be right.
    """
    return _Consolidation(namespace, _share(above), merge, mode, filter, into, name)


class _Consolidation(MemoryNode):
    def __init__(
        self,
        namespace: Namespaces,
        above: float,
        merge: Merge | None,
        mode: Literal["text", "vector"] | None,
        filter: dict[str, Any] | None,
        into: str | None,
        name: str,
    ) -> None:
        super().__init__(name)
        self._place = Place(namespace, "consolidation")
        self._above, self._merge, self._mode, self._filter = above, merge, mode, filter
        self._into = into

    async def run(self, state: object, reach: Reach) -> dict[str, Any] | None:
        """Stages what is merged."""
        where = await self._place.namespace(state, reach)
        report = await _consolidate(
            reach.store, where, self._above, self._merge, self._mode, self._filter, False, reach.colour
        )
        return None if self._into is None else {self._into: report.dict()}


async def _consolidate(
    store: BaseStore,
    namespace: tuple[str, ...],
    above: float,
    merge: Merge | None,
    mode: object,
    filter: dict[str, Any] | None,
    dry_run: bool,
    colour: Colour,
) -> Consolidated:
    share, below = _share(above), check_labels(namespace)
    stages, handle = _opened(store)
    way = way_of(handle.codec, mode)
    known = await known_items(store, handle, below, filter, way, colour)
    groups = await colour.user_code(partial(groups_of, known, handle.codec, way, share))
    groups = await merged_values(groups, merge, colour)
    report = Consolidated(_told(groups), (), len(known), way, dry_run)
    if dry_run or not groups:
        return report
    if stages:
        context = contextvars.copy_context()  # by which a store of everybody's finds the task
        await colour.user_code(partial(context.run, partial(stage_all, store, groups)))
        return report
    written, conflicts, thread = await write_all(store, groups, colour)
    return replace(
        report, merged=_told(written), conflicts=_told(conflicts), thread=thread if written else None
    )


def _told(groups: Sequence[Alike]) -> tuple[Merged, ...]:
    return tuple(
        Merged(
            group.members[0].item.namespace,
            group.members[0].item.key,
            group.value,
            group.similarity,
            tuple(one.item for one in group.members),
        )
        for group in groups
    )


def _share(above: object) -> float:
    if isinstance(above, bool) or not isinstance(above, int | float) or not 0 < above <= 1:
        raise QueryError(
            f"above={above!r}: give a number more than 0 and at most 1. Nothing was changed.", part="above"
        )
    return float(above)


def _opened(store: object) -> tuple[bool, FaceHandle]:
    """Whether what is written to the store is staged here, and what is known of its database."""
    handle: object = getattr(store, "__perdure_backend__", None)
    if isinstance(store, ItemStore | ScopedStore) and isinstance(handle, FaceHandle):
        return store.stages, handle
    raise NotSupported(
        f"consolidate needs a store of Perdure's, such as perdure.connect(...).store; this is a {type(store).__name__}, which has"
        " no versions by which to see that nobody else writes meanwhile. Nothing was changed."
    )
