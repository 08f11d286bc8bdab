"""Which saver and store a graph was given: ours, which commit together, or somebody else's.

A face says itself whether it is ours: `__perdure_backend__` is None for a class that overrides one of the methods that the
atomic path bypasses. Such a class is somebody's own, and its code runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from perdure.codec import Registry
from perdure.codec.own import register_own
from perdure.engine.memory import NO_MEMORY, Memory
from perdure.errors import StorageError
from perdure.storage.chains import Pieces
from perdure.storage.contract import Backend
from perdure.storage.scoped import ScopedStore
from perdure.types import Send


@dataclass(frozen=True, slots=True)
class Saver:
    """A saver of ours: its database, and how values become bytes."""

    backend: Backend
    pieces: Pieces
    items: Backend  # where the graph's memory is


def own_saver(checkpointer: Any, types: tuple[Any, ...], store: Any = None) -> Saver | None:
    """What the engine commits to, if the saver is ours; the graph's own types may be saved from then on."""
    handle: Any = getattr(checkpointer, "__perdure_backend__", None)
    if handle is None:
        return None
    pieces = handle.pieces
    teach(pieces, types)
    return Saver(handle.backend, pieces, _items_of(store) or handle.backend)


def _items_of(store: Any) -> Backend | None:
    """The store's database; None: it has none of ours, or is closed, and whoever uses it is told so then."""
    try:
        return memory_of(store).backend
    except StorageError:
        return None


def memory_of(store: Any) -> Memory:
    """The store as the engine sees it."""
    if store is None:
        return NO_MEMORY
    handle: Any = getattr(store, "__perdure_backend__", None)
    if handle is None:
        return Memory(store)
    whole = store.root if isinstance(store, ScopedStore) else store
    return Memory(whole, handle.backend, handle.codec, scope=handle.scope)


_taught: WeakKeyDictionary[Registry, dict[int, tuple[Any, ...]]] = WeakKeyDictionary()


def teach(pieces: Pieces, types: tuple[Any, ...]) -> None:
    """The codec knows the library's own values and these types; asked at every call, it looks at them once."""
    registry: Registry | None = getattr(pieces, "registry", None)
    if registry is None:
        return
    known = _taught.get(registry)
    if known is None:
        known = _taught[registry] = {}
        if registry.kind_of(Send) is None:
            register_own(registry)
    if types and id(types) not in known:
        known[id(types)] = types  # kept, so that the id stays theirs
        registry.add_types(types)
