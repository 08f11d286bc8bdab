"""What Perdure's stores do besides: versions, compare and set, `update`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from perdure.errors import EncodingError, VersionConflict
from perdure.storage.item_store import ItemStore
from perdure.testing.raised import araised, raised
from perdure.testing.stores.kit import NOTES

__all__ = [
    "a_delete_with_an_old_version_is_refused",
    "a_failing_update_changes_nothing",
    "a_put_if_absent_never_replaces",
    "a_put_with_an_old_version_is_refused",
    "conditions_that_cannot_be_right_are_errors",
    "no_update_is_lost",
    "the_async_face_has_versions_too",
    "update_makes_changes_and_deletes",
    "versions_grow_and_are_never_used_again",
]


def versions_grow_and_are_never_used_again(store: ItemStore) -> None:
    """Not even after a deletion."""
    versions: list[int] = []
    for n in range(3):
        store.put(NOTES, "a", {"n": n})
        item = store.get(NOTES, "a")
        assert item is not None
        assert item.version is not None
        versions.append(item.version)
    store.delete(NOTES, "a")
    store.put(NOTES, "a", {})
    found = store.search(NOTES)[0]

    assert found.version is not None
    assert found.revision is not None
    assert [*versions, found.version] == sorted({*versions, found.version})


def a_put_with_an_old_version_is_refused(store: ItemStore) -> None:
    """The error says what stands there; nothing is written."""
    store.put(NOTES, "a", {"n": 1})
    old = _version(store, "a")
    store.put(NOTES, "a", {"n": 2}, if_version=old)
    present = _version(store, "a")

    error = raised(VersionConflict, lambda: store.put(NOTES, "a", {"n": 3}, if_version=old))

    assert (error.namespace, error.key, error.expected, error.found) == (NOTES, "a", old, present)
    assert store.search(())[0].value == {"n": 2}
    raised(VersionConflict, lambda: store.put(NOTES, "absent", {}, if_version=present))


def a_put_if_absent_never_replaces(store: ItemStore) -> None:
    """A deleted item is absent."""
    store.put(NOTES, "a", {"n": 1}, if_absent=True)
    raised(VersionConflict, lambda: store.put(NOTES, "a", {"n": 2}, if_absent=True))
    store.delete(NOTES, "a")
    store.put(NOTES, "a", {"n": 3}, if_absent=True)

    assert store.search(())[0].value == {"n": 3}


def a_delete_with_an_old_version_is_refused(store: ItemStore) -> None:
    """Of a missing item as well."""
    store.put(NOTES, "a", {"n": 1})
    old = _version(store, "a")
    store.put(NOTES, "a", {"n": 2})

    raised(VersionConflict, lambda: store.delete(NOTES, "a", if_version=old))
    store.delete(NOTES, "a", if_version=_version(store, "a"))

    assert store.get(NOTES, "a") is None
    raised(VersionConflict, lambda: store.delete(NOTES, "a", if_version=old))


def conditions_that_cannot_be_right_are_errors(store: ItemStore) -> None:
    """Both at once; a version that is none."""
    wrong: Any = "1"
    raised(ValueError, lambda: store.put(NOTES, "a", {}, if_version=1, if_absent=True))
    raised(ValueError, lambda: store.put(NOTES, "a", {}, if_version=wrong))
    raised(ValueError, lambda: store.delete(NOTES, "a", if_version=wrong))


def update_makes_changes_and_deletes(store: ItemStore) -> None:
    """By what the function gives."""
    made = store.update(NOTES, "a", lambda value: {"seen": value})
    changed = store.update(NOTES, "a", lambda value: {"seen": value})

    assert made is not None
    assert changed is not None
    assert made.value == {"seen": None}
    assert changed.value == {"seen": {"seen": None}}
    assert changed == store.get(NOTES, "a")
    assert changed.version == _version(store, "a")
    assert store.update(NOTES, "a", lambda _: None) is None
    assert store.get(NOTES, "a") is None
    assert store.update(NOTES, "a", lambda _: None) is None


def no_update_is_lost(store: ItemStore) -> None:
    """However many count at once."""
    gate = threading.Barrier(8)

    def count() -> None:
        gate.wait()
        for _ in range(25):
            store.update(NOTES, "n", _plus_one)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.search(())[0].value == {"n": 200}


def a_failing_update_changes_nothing(store: ItemStore) -> None:
    """The function's own error comes out; a bad value is refused."""
    store.put(NOTES, "a", {"n": 1})

    def fails(value: dict[str, Any] | None) -> dict[str, Any] | None:
        assert value is not None
        value["n"] = 2
        raise LookupError("no")

    raised(LookupError, lambda: store.update(NOTES, "a", fails))
    raised(EncodingError, lambda: store.update(NOTES, "a", lambda _: {"n": {1}}))

    assert store.search(())[0].value == {"n": 1}


async def the_async_face_has_versions_too(store: ItemStore) -> None:
    """Alike in all."""
    await store.aput(NOTES, "a", {"n": 1}, if_absent=True)
    old = _version(store, "a")
    await store.aput(NOTES, "a", {"n": 2}, if_version=old)

    for call in (
        store.aput(NOTES, "a", {"n": 3}, if_version=old),
        store.aput(NOTES, "a", {"n": 3}, if_absent=True),
        store.adelete(NOTES, "a", if_version=old),
    ):
        await araised(VersionConflict, call)

    await asyncio.gather(*(store.aupdate(NOTES, "a", _plus_one) for _ in range(20)))
    item = await store.aget(NOTES, "a")
    assert item is not None
    assert item.value == {"n": 22}
    await store.adelete(NOTES, "a", if_version=item.version)
    assert await store.aget(NOTES, "a") is None


def _plus_one(value: dict[str, Any] | None) -> dict[str, Any]:
    return {"n": (value or {"n": 0})["n"] + 1}


def _version(store: ItemStore, key: str) -> int:
    item = store.get(NOTES, key)
    assert item is not None
    assert item.version is not None
    return item.version
