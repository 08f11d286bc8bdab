"""A store held in a global variable finds the running task's view of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from typing import Any, cast

import pytest

from perdure.current import CURRENT, TaskHandle
from perdure.storage.contract import Backend, Snapshot
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_store import FaceHandle, ItemStore
from perdure.storage.memory import MemoryBackend
from perdure.storage.staging import Layer, Operation, check_guard
from perdure.store.base import Op, Result
from perdure.store.memory import InMemoryStore

ME = ("users", "ada")


class Staging(ItemStore):
    """The least view of a task: one layer over the backend."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(ItemCodec())
        self.backend = backend
        self.layer = Layer()

    @property
    def __perdure_backend__(self) -> FaceHandle:
        return FaceHandle(self.backend, self._codec)

    def _read(self) -> AbstractContextManager[Snapshot]:
        return self.backend.read()

    def _layers(self) -> Sequence[Layer]:
        return [self.layer]

    def _write(self, operations: list[Operation]) -> None:
        with self._read() as snapshot:
            for operation in operations:
                check_guard(snapshot, self._layers(), operation)
        self.layer.extend(operations)


class Task:
    def __init__(self, store: object) -> None:
        self.store = store


@contextmanager
def running(store: object) -> Generator[None]:
    token = CURRENT.set(cast("TaskHandle", Task(store)))
    try:
        yield
    finally:
        CURRENT.reset(token)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def view(backend: MemoryBackend) -> Staging:
    return Staging(backend)


@pytest.fixture
def store(backend: MemoryBackend) -> InMemoryStore:
    return InMemoryStore(backend=backend)


CALLS: list[Callable[[ItemStore], object]] = [
    lambda store: store.put(ME, "a", {}),
    lambda store: store.delete(ME, "a"),
    lambda store: store.update(ME, "a", lambda _: {}),
    lambda store: store.batch([]) or store.put(ME, "a", {}),
]


@pytest.mark.parametrize("call", CALLS)
def test_writes_in_a_task_are_staged(
    call: Callable[[ItemStore], object], store: InMemoryStore, view: Staging, backend: MemoryBackend
) -> None:
    with running(view):
        call(store)

    assert len(view.layer.operations) == 1
    assert backend.change_token() == 0


def test_a_task_reads_its_own_writes_and_nobody_else_does(store: InMemoryStore, view: Staging) -> None:
    store.put(ME, "old", {"n": 0})
    with running(view):
        store.put(ME, "new", {"n": 1})
        store.delete(ME, "old")
        seen = [item.key for item in store.search(())], store.list_namespaces(), store.get(ME, "old")

    assert seen == (["new"], [ME], None)
    assert [item.key for item in store.search(())] == ["old"]


async def test_the_async_face_is_staged_as_well(store: InMemoryStore, view: Staging) -> None:
    with running(view):
        await store.aput(ME, "a", {"n": 1})
        await store.aupdate(ME, "a", lambda value: {"n": (value or {})["n"] + 1})
        item = await store.aget(ME, "a")
        found = await store.asearch(())

    assert item is not None
    assert item.value == {"n": 2}
    assert [item.value for item in found] == [{"n": 2}]
    assert store.search(()) == []


def test_an_update_in_a_task_is_staged_as_the_function(store: InMemoryStore, view: Staging) -> None:
    store.put(ME, "n", {"n": 1})
    with running(view):
        seen = store.update(ME, "n", lambda value: {"n": (value or {"n": 0})["n"] + 1})
    (operation,) = view.layer.operations
    committed = store.search(())[0]

    assert seen is not None
    assert seen.value == {"n": 2}
    assert seen.created_at == committed.created_at
    assert operation.base == committed.version
    assert operation.change is not None
    assert operation.change(b'{"n":41}') == b'{"n":42}'


def test_what_a_task_wrote_itself_can_be_replaced_by_version(store: InMemoryStore, view: Staging) -> None:
    with running(view):
        store.put(ME, "a", {"n": 1})
        item = store.get(ME, "a")
        assert item is not None
        store.put(ME, "a", {"n": 2}, if_version=item.version)

        assert store.search(())[0].value == {"n": 2}


def test_direct_writes_are_visible_at_once(store: InMemoryStore, view: Staging) -> None:
    with running(view):
        store.direct.put(ME, "a", {})

    assert view.layer.operations == []
    assert len(store.search(())) == 1


def test_another_database_is_not_the_task_s(view: Staging) -> None:
    other = InMemoryStore()
    with running(view):
        other.put(ME, "a", {})

    assert view.layer.operations == []
    assert len(other.search(())) == 1


@pytest.mark.parametrize("task_store", [None, object()])
def test_a_task_without_a_store_of_ours_changes_nothing(store: InMemoryStore, task_store: object) -> None:
    with running(task_store):
        store.put(ME, "a", {})

    assert len(store.search(())) == 1


def test_a_thread_of_one_s_own_needs_the_context(store: InMemoryStore, view: Staging) -> None:
    with running(view):
        context = copy_context()
        thread = threading.Thread(target=lambda: context.run(store.put, ME, "a", {}))
        thread.start()
        thread.join()

    assert len(view.layer.operations) == 1


def test_a_subclass_with_methods_of_its_own_is_somebody_else_s_class() -> None:
    class Counting(InMemoryStore):
        def put(self, *args: Any, **named: Any) -> None:
            super().put(*args, **named)

    class Batching(InMemoryStore):
        def batch(self, ops: Any) -> list[Result]:
            return super().batch(cast("list[Op]", ops))

    class Named(InMemoryStore):
        """Only a name of its own."""

    assert Counting().__perdure_backend__ is None
    assert Batching().__perdure_backend__ is None
    assert Named().__perdure_backend__ is not None
