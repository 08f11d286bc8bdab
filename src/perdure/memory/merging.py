"""Near-duplicates become one item: what it says, and writing it so that nobody's write is lost.

A group is written whole or not at all: the newest item gets the merged value, the others are deleted, each only if it is
still what was read. Inside a task that is staged like all the task writes. Elsewhere it is a step of a graph of its own,
because a step is what commits several items under conditions; and so the versions know who wrote them, and can be taken
back. Here: `Consolidated`, merging, writing. Not here: finding groups (`similar.py`).
"""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, cast

from typing_extensions import TypedDict

from perdure.checkpoint.memory import InMemorySaver
from perdure.errors import PerdureError, VersionConflict
from perdure.graph.state import StateGraph
from perdure.memory.node import Colour, settled
from perdure.memory.similar import Alike, Known, Mode, is_committed
from perdure.storage.item_codec import ItemCodec
from perdure.store.base import NOT_PROVIDED, BaseStore, Item, NotProvided

__all__ = ["Consolidated", "Merge", "Merged", "merged_values", "stage_all", "write_all"]

Merge: TypeAlias = Callable[[list[Item]], object]
"""From items, newest first, to the value of the one that they become: a dict, or a text, which becomes `{"text": ...}`; None:
they are left as they are. May be async."""

_BATCH: Final = 100  # groups that are written by one commit
_codec: Final = ItemCodec()


@dataclass(frozen=True, slots=True)
class Merged:
    """Items that became one.

    Attributes:
        namespace: where they are filed.
        key: of the one that stays.
        value: what it says now.
        similarity: of the one that was least like it.
        items: what they were before, newest first; the first is the one that stays.
    """

    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    similarity: float
    items: tuple[Item, ...]

    @property
    def deleted(self) -> tuple[str, ...]:
        """Keys of those that went."""
        return tuple(item.key for item in self.items[1:])


@dataclass(frozen=True, slots=True)
class Consolidated:
    """What `consolidate` did, or would do.

    Attributes:
        merged: groups that became one item each.
        conflicts: groups that are as they were, because somebody wrote one of their items meanwhile.
        looked_at: how many items were compared.
        mode: how: `"vector"` or `"text"`.
        dry_run: whether nothing was written on purpose.
        thread: names the writes in the history: `store.revert(thread=report.thread)` takes all of them back. None: nothing was
            written, or it was staged by a task, whose thread it then is.
    """

    merged: tuple[Merged, ...]
    conflicts: tuple[Merged, ...]
    looked_at: int
    mode: Mode
    dry_run: bool = False
    thread: str | None = None

    @property
    def deleted(self) -> int:
        """How many items fewer there are."""
        return sum(len(one.items) - 1 for one in self.merged)

    def dict(self) -> dict[str, Any]:
        """The report as plain JSON, without the items' values."""

        def plain(groups: Sequence[Merged]) -> list[dict[str, Any]]:
            return [
                {
                    "namespace": list(one.namespace),
                    "key": one.key,
                    "similarity": one.similarity,
                    "deleted": list(one.deleted),
                }
                for one in groups
            ]

        return {
            "merged": plain(self.merged),
            "conflicts": plain(self.conflicts),
            "looked_at": self.looked_at,
            "mode": self.mode,
            "dry_run": self.dry_run,
            "thread": self.thread,
        }


# ---- what the merged item says


async def merged_values(groups: Sequence[Alike], merge: Merge | None, colour: Colour) -> list[Alike]:
    """The groups that are to become one item, with its value.

    Raises:
        PerdureError: `merge` gave what is no value.
        EncodingError: what it gave cannot be saved.
    """
    kept: list[Alike] = []
    for group in groups:
        items = [one.item for one in group.members]
        made: object = _all_fields(items) if merge is None else await _asked(merge, items, colour)
        if made is None:
            continue
        if isinstance(made, str) and made.strip():
            made = {"text": made}
        if not isinstance(made, Mapping):
            raise PerdureError(
                f"merge gave {made!r}, a {type(made).__name__}, for {[item.key for item in items]!r} in"
                f" {items[0].namespace!r}. Nothing was written. Give the merged value as a dict, or its text; or None to"
                " leave the items as they are."
            )
        key, namespace = items[0].key, items[0].namespace
        value = cast("Mapping[str, Any]", made)
        group.value = _codec.decode(namespace, key, _codec.encode(namespace, key, value))
        kept.append(group)
    return kept


def _all_fields(items: Sequence[Item]) -> dict[str, Any]:
    """What the newest says, and fields that only older ones have."""
    value: dict[str, Any] = {}
    for item in reversed(items):
        value.update(item.value)
    return value


async def _asked(merge: Merge, items: list[Item], colour: Colour) -> object:
    if colour.blocking:
        return await settled(merge(items), colour, "merge")
    context = contextvars.copy_context()
    made = await colour.user_code(partial(context.run, partial(merge, items)))
    return await settled(made, colour, "merge")


# ---- writing


def stage_all(store: BaseStore, groups: Sequence[Alike]) -> None:
    """All groups are written, by a task: its step commits them, or finds that somebody was faster.

    The last group first, so that the merged items are listed in the order in which their newest ones were.

    Raises:
        VersionConflict: somebody else wrote an item. What was staged before goes with the task's attempt.
    """
    for group in reversed(groups):
        first, *others = group.members
        _put(store, first, group)
        for one in others:
            store.delete(one.item.namespace, one.item.key, if_version=_version(one.item))


def _put(store: BaseStore, first: Known, group: Alike) -> None:
    item = first.item
    paths = None if first.paths is None else list(first.paths) or False
    ttl = _ttl(store, [one.item for one in group.members])
    store.put(item.namespace, item.key, group.value, paths, ttl=ttl, if_version=_version(item))


def _version(item: Item) -> int | None:
    """What must still stand; None for what this run itself has staged, which nobody else can have changed."""
    return item.version if is_committed(item) else None


def _ttl(store: BaseStore, items: Sequence[Item]) -> float | NotProvided | None:
    """As long as the longest of them lives."""
    if not store.supports_ttl:
        return NOT_PROVIDED
    committed = [item for item in items if is_committed(item)]
    if not committed:
        return NOT_PROVIDED
    lives = [item.ttl for item in committed if item.expires_at is not None and item.ttl is not None]
    return max(lives) if len(lives) == len(committed) else None


class _State(TypedDict, total=False):
    batch: int


async def write_all(
    store: BaseStore, groups: Sequence[Alike], colour: Colour
) -> tuple[list[Alike], list[Alike], str]:
    """Groups that were written, groups that somebody else's write prevented, and the thread that names the writes.

    Each group is in one commit, with up to a hundred others.
    """
    thread = f"consolidate/{uuid.uuid4().hex}"
    written: list[Alike] = []
    conflicts: list[Alike] = []
    for start in range(0, len(groups), _BATCH):
        batch = list(groups[::-1][start : start + _BATCH])  # the last first, as within a batch
        while batch:
            try:
                await _step(store, batch[::-1], thread, colour)
            except VersionConflict as error:
                lost = [group for group in batch if not _places(group).isdisjoint(error.keys)]
                if not lost:
                    raise
                conflicts += lost
                batch = [group for group in batch if all(group is not one for one in lost)]
            else:
                written += batch
                break
    return written[::-1], conflicts[::-1], thread


def _places(group: Alike) -> set[tuple[tuple[str, ...], str]]:
    return {(one.item.namespace, one.item.key) for one in group.members}


async def _step(store: BaseStore, batch: Sequence[Alike], thread: str, colour: Colour) -> None:
    """One commit. A thread of its own, kept nowhere, names the writer in the items' history.

    The engine repeats a task once it finds a conflict at the commit; then the task meets it by itself, and it comes out of
    here with the names that the store has for the items, whatever scope it is.

    Raises:
        VersionConflict: somebody wrote one of the items. Nothing was written.
    """

    def consolidate(state: _State, *, store: BaseStore) -> None:
        del state
        stage_all(store, batch)

    drawing = StateGraph(_State).add_node("consolidate", consolidate).set_entry_point("consolidate")
    graph = drawing.compile(InMemorySaver(), store=store, name="consolidate")
    # Its own thread makes it a run of its own, also where a task is running.
    given: Any = {"batch": len(batch)}, {"configurable": {"thread_id": thread}}
    if colour.blocking:
        graph.invoke(*given)
    else:
        await graph.ainvoke(*given)
