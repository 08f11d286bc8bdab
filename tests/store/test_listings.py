"""Listings where something is staged, and in stores that know no order; the rest is in the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from perdure.errors import QueryError
from perdure.storage.contract import Backend, Snapshot
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_store import ItemStore
from perdure.storage.memory import MemoryBackend
from perdure.storage.staging import Layer, Operation
from perdure.store.base import BaseStore, NotSupported, Op, Result
from perdure.store.base.batch import AsyncBatchedBaseStore
from perdure.store.memory import InMemoryStore

ME = ("users", "ada")


class View(ItemStore):
    """What a task sees: layers over a backend; it writes into the nearest."""

    def __init__(self, backend: Backend, layers: list[Layer]) -> None:
        super().__init__(ItemCodec())
        self.backend = backend
        self.layers = layers

    def _read(self) -> AbstractContextManager[Snapshot]:
        return self.backend.read()

    def _layers(self) -> Sequence[Layer]:
        return self.layers

    def _write(self, operations: list[Operation]) -> None:
        self.layers[-1].extend(operations)


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore(backend=MemoryBackend())


@pytest.fixture
def view(store: InMemoryStore) -> View:
    handle = store.__perdure_backend__
    assert handle is not None
    return View(handle.backend, [Layer(), Layer()])


def keys(store: ItemStore, **options: Any) -> list[str]:
    return [item.key for item in store.search((), **options)]


def cursor(store: ItemStore, key: str, **options: Any) -> str:
    (found,) = (item.cursor for item in store.search((), **options) if item.key == key)
    assert found is not None
    return found


def test_a_listing_goes_on_from_staged_items_to_committed_ones(store: InMemoryStore, view: View) -> None:
    for key in "abc":
        store.put(ME, key, {})
    for key in "xyb":
        view.put(ME, key, {})

    assert keys(view) == ["b", "y", "x", "c", "a"]
    for place, key in enumerate("byxca"):
        assert keys(view, after=cursor(view, key)) == ["b", "y", "x", "c", "a"][place + 1 :]


def test_what_is_staged_meanwhile_neither_repeats_nor_hides_what_stood_before(
    store: InMemoryStore, view: View
) -> None:
    store.put(ME, "old", {})
    for key in "abcd":
        view.put(ME, key, {})
    behind_c = cursor(view, "c")

    view.put(ME, "new", {})
    view.put(ME, "c", {"again": True})  # the cursor's own item
    view.put(ME, "d", {"again": True})

    assert keys(view) == ["d", "c", "new", "b", "a", "old"]
    assert keys(view, after=behind_c) == ["b", "a", "old"]


def test_a_cursor_goes_on_through_the_layers_around_a_task(store: InMemoryStore, view: View) -> None:
    store.put(ME, "committed", {})
    inner, outer = view.layers[1], View(view.backend, view.layers[:1])
    outer.put(ME, "around", {})
    view.put(ME, "mine", {})
    outer.put(ME, "around, later", {})
    assert keys(view) == ["mine", "around, later", "around", "committed"]

    assert keys(view, after=cursor(view, "mine")) == ["around, later", "around", "committed"]
    behind = cursor(view, "around, later")
    view.layers[0].extend(inner.operations)  # a nested task has finished, its writes join those of its caller
    assert keys(outer, after=behind) == ["around", "committed"]


def test_a_cursor_whose_item_is_written_again_leaves_nothing_of_the_layers_around_out(view: View) -> None:
    outer = View(view.backend, view.layers[:1])
    view.put(ME, "mine", {})
    outer.put(ME, "around, later", {})
    behind = cursor(view, "mine")

    view.put(ME, "mine", {"again": True})

    assert keys(view, after=behind) == ["around, later"]


def test_a_cursor_at_a_staged_item_leaves_nothing_out_once_that_is_committed(
    store: InMemoryStore, view: View
) -> None:
    store.put(ME, "old", {})
    for key in "abc":
        view.put(ME, key, {})
    behind_b = cursor(view, "b")

    for key in "abc":
        store.put(ME, key, {})
    view.layers.clear()

    assert keys(view, after=behind_b) == ["c", "b", "a", "old"]


def test_staged_items_stand_where_the_order_puts_them(store: InMemoryStore, view: View) -> None:
    for n, key in enumerate("abcd"):
        store.put(ME, key, {"n": n})
    view.put(ME, "staged", {"n": 1.5})
    view.put(ME, "d", {"n": 0.5})
    view.delete(ME, "a")

    assert keys(view, order_by="n") == ["d", "b", "staged", "c"]
    behind = cursor(view, "staged", order_by="-n")
    assert keys(view, order_by="-n", after=behind) == ["b", "d"]
    assert keys(store, order_by="-n", after=behind) == ["b", "a"]  # the same place, without what is staged
    assert keys(view, order_by="-key", limit=2) == ["staged", "d"]


class AListingOfATask(RuleBasedStateMachine):
    """Whatever is staged while a task walks through its listing: what nobody wrote meanwhile comes exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = MemoryBackend()
        self.store = InMemoryStore(backend=self.backend)
        self.view = View(self.backend, [Layer(), Layer()])

    @rule(key=st.sampled_from("abcdef"), where=st.integers(0, 2), gone=st.booleans())
    def write(self, key: str, where: int, gone: bool) -> None:
        """Committed, around the task, or by the task."""
        target = self.store if where == 0 else View(self.backend, self.view.layers[:where])
        if gone:
            target.delete(ME, key)
        else:
            target.put(ME, key, {"n": ord(key) % 3})

    @rule(
        order_by=st.sampled_from([None, "n", "-key", "updated_at"]),
        size=st.integers(1, 3),
        written=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=4),
    )
    def walk(self, order_by: str | None, size: int, written: list[tuple[str, bool]]) -> None:
        expected = keys(self.view, order_by=order_by, limit=99)
        touched = {key for key, _ in written}
        found: list[str] = []
        after = None
        while page := self.view.search((), order_by=order_by, limit=size, after=after):
            found += [item.key for item in page if item.key not in touched]
            after = page[-1].cursor
            if written:
                key, mine = written.pop()
                (self.view if mine else self.store).put(ME, key, {"n": 1})
        assert found == [key for key in expected if key not in touched]


AListingOfATask.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAListingOfATask = AListingOfATask.TestCase


# ---- stores of somebody else


class Older(BaseStore):
    """It was written before there were orders: it would not heed them."""

    def __init__(self) -> None:
        self.inner = InMemoryStore()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self.inner.batch(ops)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await self.inner.abatch(ops)


class OlderBatched(Older, AsyncBatchedBaseStore): ...


@pytest.mark.parametrize("kind", [Older, OlderBatched])
async def test_a_store_without_orders_says_so_only_when_asked_for_one(kind: type[Older]) -> None:
    store = kind()
    store.put(ME, "a", {})

    assert [item.key for item in store.search(ME)] == ["a"]
    for options in ({"order_by": "key"}, {"after": "x"}):
        name = next(iter(options))
        with pytest.raises(NotSupported, match=rf"{name}=.*Older.*supports_order"):
            store.search(ME, **options)
        with pytest.raises(NotSupported, match=rf"{name}=.*Older.*supports_order"):
            await store.asearch(ME, **options)


def test_an_item_of_a_listing_carries_its_cursor_and_is_the_same_without() -> None:
    store = InMemoryStore()
    store.put(ME, "a", {"n": 1})

    newest, by_value = store.search(ME)[0], store.search(ME, order_by="n")[0]

    assert newest.cursor
    assert by_value.cursor
    assert newest.cursor != by_value.cursor
    assert newest == by_value
    assert "cursor" not in newest.dict()


def test_an_order_holds_no_more_items_than_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many items only those of the page are made."""
    store = InMemoryStore()
    made: list[str] = []
    for n in range(50):
        store.put(ME, f"{n:02}", {"n": -n})
    from perdure.storage import listing

    original = listing.search_item_of
    monkeypatch.setattr(
        listing,
        "search_item_of",
        lambda row, *rest, **more: made.append(row.key) or original(row, *rest, **more),
    )

    assert keys(store, order_by="n", limit=3, offset=1) == ["48", "47", "46"]
    assert made == ["48", "47", "46"]


def test_a_refused_cursor_tells_both_orders() -> None:
    store = InMemoryStore()
    store.put(ME, "a", {"n": 1})

    with pytest.raises(QueryError, match=r"ordered by '-value\.n', this one is ordered by 'key'") as refused:
        store.search(ME, order_by="key", after=cursor(store, "a", order_by="-n"))

    assert refused.value.part == "after"
