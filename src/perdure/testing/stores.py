"""What every store has to do, as functions that raise AssertionError.

Give each check a fresh, empty store. With pytest:

    @pytest.mark.parametrize("check", stores.CHECKS, ids=lambda check: check.__name__)
    def test_my_store_conforms(check):
        check(MyStore())

`CHECKS` and `ASYNC_CHECKS` are the interface; a store of anybody's passes them. `VERSION_CHECKS` and
`ASYNC_VERSION_CHECKS` are what Perdure's stores do besides: versions, compare and set, `update`; `store_past.py` has what they
tell of their past.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final, TypeVar

from perdure.errors import EncodingError, VersionConflict
from perdure.storage.item_store import ItemStore
from perdure.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)

__all__ = ["ASYNC_CHECKS", "ASYNC_VERSION_CHECKS", "CHECKS", "VERSION_CHECKS"]

E = TypeVar("E", bound=BaseException)

NOTES: Final = ("users", "ada", "notes")
BAD_LABELS: Final[tuple[Any, ...]] = (("",), ("a.b",), ("a", "x\0y"), ("a", 1), (None,), "a")


# ---- the interface


def a_put_item_is_read_back(store: BaseStore) -> None:
    """Value, place and times; the item has its own copies."""
    store.put(NOTES, "tea", {"text": "likes tea", "n": [1, 2.5, None, True]})

    item = store.get(NOTES, "tea")

    assert isinstance(item, Item)
    assert (item.namespace, item.key) == (NOTES, "tea")
    assert item.value == {"text": "likes tea", "n": [1, 2.5, None, True]}
    assert item.updated_at >= item.created_at
    assert item.created_at.utcoffset() == timedelta(0)


def what_is_not_there_is_none(store: BaseStore) -> None:
    """A read creates nothing, nor does deleting, once or twice."""
    store.delete(NOTES, "never")
    store.put(NOTES, "tea", {})
    store.delete(NOTES, "tea")
    store.delete(NOTES, "tea")

    assert store.get(NOTES, "tea") is None
    assert store.get(("nowhere",), "tea") is None
    assert store.get((), "tea") is None
    assert store.search(("nowhere",)) == []
    assert store.list_namespaces() == []


def a_put_replaces_the_whole_value(store: BaseStore) -> None:
    """The old fields are gone, the beginning is kept."""
    store.put(NOTES, "tea", {"a": 1, "b": 2})
    before = store.get(NOTES, "tea")
    store.put(NOTES, "tea", {"c": 3})

    after = store.get(NOTES, "tea")

    assert before is not None
    assert after is not None
    assert after.value == {"c": 3}
    assert after.created_at == before.created_at
    assert after.updated_at >= before.updated_at


def an_item_put_after_its_deletion_is_new(store: BaseStore) -> None:
    """Nothing of the deleted one is left."""
    store.put(NOTES, "tea", {"a": 1})
    store.delete(NOTES, "tea")
    store.put(NOTES, "tea", {"b": 2})

    item = store.get(NOTES, "tea")

    assert item is not None
    assert item.value == {"b": 2}
    assert item.created_at == item.updated_at


def values_are_copies(store: BaseStore) -> None:
    """Neither what was put nor what was read is the store's own object."""
    given: dict[str, Any] = {"tags": ["a"]}
    store.put(NOTES, "tea", given)
    given["tags"].append("b")
    first = store.get(NOTES, "tea")
    assert first is not None
    first.value["tags"].append("c")
    store.search(NOTES)[0].value.clear()

    again = store.get(NOTES, "tea")

    assert again is not None
    assert again.value == {"tags": ["a"]}


def keys_are_made_strings(store: BaseStore) -> None:
    """By every method."""
    key: Any = 42
    store.put(NOTES, key, {"a": 1})

    assert [item.key for item in store.search(NOTES)] == ["42"]
    assert store.get(NOTES, key) == store.get(NOTES, "42")
    store.delete(NOTES, key)
    assert store.get(NOTES, "42") is None


def a_batch_answers_in_order_from_the_state_before_it(store: BaseStore) -> None:
    """Whatever stands first in it."""
    store.put(NOTES, "tea", {"n": 1})

    results = store.batch(
        [
            PutOp(NOTES, "tea", {"n": 2}),
            GetOp(NOTES, "tea"),
            SearchOp(("users",)),
            PutOp(("other",), "x", {}),
            ListNamespacesOp(),
            GetOp(("other",), "x"),
        ]
    )

    put, got, found, put_too, namespaces, missing = results
    assert put is None
    assert put_too is None
    assert missing is None
    assert isinstance(got, Item)
    assert got.value == {"n": 1}
    assert isinstance(found, list)
    assert [item.value for item in found if isinstance(item, SearchItem)] == [{"n": 1}]
    assert namespaces == [NOTES]
    after = store.get(NOTES, "tea")
    assert after is not None
    assert after.value == {"n": 2}


def of_several_puts_in_a_batch_the_last_wins(store: BaseStore) -> None:
    """A deletion counts as one."""
    store.batch([PutOp(NOTES, "a", {"n": 1}), PutOp(NOTES, "b", {"n": 1}), PutOp(NOTES, "a", {"n": 2})])
    store.batch([PutOp(NOTES, "c", {"n": 1}), PutOp(NOTES, "c", None)])

    assert [(item.key, item.value["n"]) for item in store.search(NOTES)] == [("a", 2), ("b", 1)]


def search_lists_the_latest_first(store: BaseStore) -> None:
    """Most recently updated, not created; pages fit together."""
    for key in "abcde":
        store.put(NOTES, key, {"key": key})
    store.put(NOTES, "b", {"key": "b again"})

    assert [item.key for item in store.search(NOTES)] == ["b", "e", "d", "c", "a"]
    assert [item.key for item in store.search(NOTES, limit=2)] == ["b", "e"]
    assert [item.key for item in store.search(NOTES, limit=2, offset=2)] == ["d", "c"]
    assert store.search(NOTES, limit=0) == []
    assert store.search(NOTES, offset=5) == []
    assert all(item.score is None for item in store.search(()))


def a_search_gives_ten_unless_told(store: BaseStore) -> None:
    """And as many as there are if told."""
    store.batch([PutOp(NOTES, str(n), {}) for n in range(1234)])

    assert len(store.search(NOTES)) == 10
    assert len(store.search(NOTES, limit=10_000)) == 1234
    assert len(store.search(NOTES, limit=10_000, offset=1230)) == 4
    assert len(store.search(NOTES, limit=1000, filter={"x": None}, offset=300)) == 934


def a_prefix_is_whole_labels(store: BaseStore) -> None:
    """Compared literally and case-sensitively; `()` is everything."""
    store.put(("foo",), "k", {})
    store.put(("foobar",), "k", {})
    store.put(("foo", "bar"), "k", {})
    store.put(("Foo",), "k", {})

    assert [item.namespace for item in store.search(("foo",))] == [("foo", "bar"), ("foo",)]
    assert len(store.search(())) == 4
    assert store.search(("fo",)) == []


def odd_labels_are_literal(store: BaseStore) -> None:
    """No wildcard, no encoding shows through."""
    labels = ["*", "%", "_", "?", "[a]", "\n", "a/b", "|", ":", " ", "é", "\U0001f600", "a", "\x01", "\ud800"]
    for label in labels:
        store.put((label,), "k", {"label": label})

    for label in labels:
        assert [item.value for item in store.search((label,))] == [{"label": label}]
    assert store.list_namespaces() == sorted((label,) for label in labels)


def bad_namespaces_are_refused(store: BaseStore) -> None:
    """By every method, and nothing is written."""
    for labels in BAD_LABELS:
        _refuses(lambda labels=labels: store.put(labels, "k", {}))
        _refuses(lambda labels=labels: store.get(labels, "k"))
        _refuses(lambda labels=labels: store.delete(labels, "k"))
        _refuses(lambda labels=labels: store.search(labels))
        _refuses(lambda labels=labels: store.list_namespaces(prefix=labels))
    _refuses(lambda: store.put((), "k", {}))
    _refuses(lambda: store.put(("langgraph",), "k", {}))
    _refuses(lambda: store.put(("langgraph", "x"), "k", {}))

    assert store.search(()) == []


def the_reserved_root_is_refused_on_put_only(store: BaseStore) -> None:
    """A program that knows what it does takes `batch`."""
    store.batch([PutOp(("langgraph", "x"), "k", {"n": 1})])

    assert [item.value for item in store.search(("langgraph",))] == [{"n": 1}]
    store.delete(("langgraph", "x"), "k")
    assert store.search(()) == []


def namespaces_are_listed_in_order(store: BaseStore) -> None:
    """Those that hold an item, by prefix, suffix, wildcard and depth."""
    for namespace in [("b", "x", "1"), ("a", "y"), ("a", "x", "2"), ("a", "x", "1"), ("c",)]:
        store.put(namespace, "k", {})
    store.delete(("c",), "k")

    assert store.list_namespaces() == [("a", "x", "1"), ("a", "x", "2"), ("a", "y"), ("b", "x", "1")]
    assert store.list_namespaces(prefix=("a",), suffix=("1",)) == [("a", "x", "1")]
    assert store.list_namespaces(prefix=("*", "x")) == [("a", "x", "1"), ("a", "x", "2"), ("b", "x", "1")]
    assert store.list_namespaces(prefix=("a", "*", "2")) == [("a", "x", "2")]
    assert store.list_namespaces(suffix=("x", "*")) == [("a", "x", "1"), ("a", "x", "2"), ("b", "x", "1")]
    assert store.list_namespaces(max_depth=2) == [("a", "x"), ("a", "y"), ("b", "x")]
    assert store.list_namespaces(max_depth=1, limit=1, offset=1) == [("b",)]
    assert store.list_namespaces(prefix=("a", "x", "1", "deeper")) == []
    conditions = (MatchCondition("prefix", ("a",)), MatchCondition("suffix", ("y",)))
    assert store.batch([ListNamespacesOp(conditions)]) == [[("a", "y")]]


FILTERS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    # (filter, keys of ITEMS it means)
    ({}, "abcdef"),
    ({"n": 1}, "ac"),
    ({"n": 1.0}, "ac"),
    ({"n": True}, "b"),
    ({"n": None}, "df"),
    ({"absent": None}, "abcdef"),
    ({"n": {"$eq": 1}}, "ac"),
    ({"n": {"$ne": 1}}, "bdef"),
    ({"n": {"$ne": None}}, "abce"),
    ({"n": {"$gt": 0}}, "ac"),
    ({"n": {"$gte": 1, "$lt": 2}}, "ac"),
    ({"n": {"$gt": 1}}, ""),
    ({"n": {"$lte": "one"}}, "e"),
    ({"n": {"$lt": "one"}}, ""),
    ({"n": 1, "tag": "x"}, "a"),
    ({"m": {"p": 1}}, "ab"),
    ({"m": {"p": {"$gte": 1}, "q": 2}}, "a"),
    ({"m": {"q": None}}, "b"),
    ({"m": {}}, "ab"),
    ({"m.p": 1}, "ab"),
    ({"m.q": {"$gt": 1}}, "a"),
    ({"user.access-level": 7}, "c"),
    ({"user": {"access-level": 7}}, "c"),
    ({"dotted.key": 1}, "d"),
    ({"0leading": 1}, "d"),
    ({"l": [1, 2]}, "e"),
    ({"l": {"$eq": [1, 2]}}, "e"),
    ({"l": [True, 2]}, ""),
    ({"l": [1]}, ""),
    ({"o": {"$eq": {"p": 1}}}, "f"),
    ({"m": {"$eq": {"p": 1}}}, "b"),
    ({"tag": "X"}, ""),
    ({"'; DROP TABLE items; --": None}, "abcdef"),
)
ITEMS: Final[dict[str, dict[str, Any]]] = {
    "a": {"n": 1, "tag": "x", "m": {"p": 1, "q": 2}},
    "b": {"n": True, "m": {"p": 1}},
    "c": {"n": 1.0, "user": {"access-level": 7}},
    "d": {"n": None, "dotted.key": 1, "dotted": {"key": 2}, "0leading": 1},
    "e": {"n": "one", "l": [1, 2]},
    "f": {"o": {"p": 1}},
}
BAD_FILTERS: Final[tuple[dict[Any, Any], ...]] = (
    {"n": {"$foo": 1}},
    {"n": {"$gt": 1, "$bar": 2}},
    {"m": {"p": {"$foo": 1}}},
    {"n": {"$gt": 1, "plain": 2}},
    {"n": {"$gt": None}},
    {"n": {"$gt": {}}},
    {"n": {"$lt": [1]}},
    {"$gt": 1},
    {"n": {1, 2}},
    {1: 2},
    {"n": float("nan")},
)


def filters_mean_the_same_everywhere(store: BaseStore) -> None:
    """Type-strict, by paths, all keys at once."""
    for key, value in ITEMS.items():
        store.put(NOTES, key, value)

    for given, keys in FILTERS:
        found = "".join(item.key for item in store.search((), filter=given))
        assert found == keys[::-1], f"{given}: {found} instead of {keys[::-1]}"
        assert [item.key for item in store.search((), filter=given, limit=1, offset=1)] == list(
            keys[::-1][1:2]
        )


def bad_filters_are_errors(store: BaseStore) -> None:
    """Never all items, never none; even when there is no item to look at."""
    for given in BAD_FILTERS:
        _raises(ValueError, lambda given=given: store.search((), filter=given))


def bad_numbers_are_errors(store: BaseStore) -> None:
    """For pages and depths."""
    _raises(ValueError, lambda: store.search((), limit=-1))
    _raises(ValueError, lambda: store.search((), offset=-1))
    _raises(ValueError, lambda: store.list_namespaces(limit=-1))
    _raises(ValueError, lambda: store.list_namespaces(offset=-1))
    _raises(ValueError, lambda: store.list_namespaces(max_depth=0))


def an_empty_query_is_none(store: BaseStore) -> None:
    """It lists as if it had not been given."""
    store.put(NOTES, "a", {})

    assert store.search((), query="") == store.search(())


def any_json_comes_back_equal(store: BaseStore) -> None:
    """Of any text and any size of number; tuples are lists."""
    value: dict[str, Any] = {
        "": "",
        "nul": "a\0b",
        "surrogates": "\ud83d\ude00 \udcff",
        "smile": "\U0001f600",
        "quotes": "\"'\\\n\t\x7f\x80",
        "big": 2**200,
        "negative": -(2**63) - 1,
        "float": 1e308,
        "tiny": 5e-324,
        "zero": [0, -0.0, 0.1 + 0.2],
        "tuple": (1, (2, ())),
        "deep": {"a": [{"b": [[]]}]},
        "\ud800": None,
    }
    for key in ("k", "", "\0", "\udcff", "%", "a.b", "x" * 2000):
        store.put(NOTES, key, value)
        item = store.get(NOTES, key)
        assert item is not None
        assert item.key == key
        assert item.value == {**value, "tuple": [1, [2, []]]}
        assert repr(item.value["zero"]) == "[0, -0.0, 0.30000000000000004]"


def what_is_no_json_is_refused_with_its_path(store: BaseStore) -> None:
    """And nothing of the batch is written."""
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    doubling: list[Any] = []
    for _ in range(60):
        doubling = [doubling, doubling]
    wrong: list[tuple[Any, str]] = [
        ({"docs": [1, 2, 3, {"when": timedelta(1)}]}, "value.docs[3].when"),
        ({"a": {1: 2}}, "value.a"),
        ({"a": b"bytes"}, "value.a"),
        ({"a": [{1, 2}]}, "value.a[0]"),
        ({"a": float("nan")}, "value.a"),
        ({"a": [0.0, float("-inf")]}, "value.a[1]"),
        ({"a": object()}, "value.a"),
        (cycle, "value.self"),
        ({"a": deep}, "value.a[0]"),
        ({"a": doubling}, "value"),
        ({"a": "x" * (1024 * 1024)}, "value"),
        ([1], "value"),
        ("text", "value"),
    ]
    for value, path in wrong:
        error = _raises(EncodingError, lambda value=value: store.put(NOTES, "k", value))
        assert error.path.startswith(path), error
        ops = [PutOp(NOTES, "fine", {}), PutOp(NOTES, "k", value)]
        _raises(EncodingError, lambda ops=ops: store.batch(ops))

    assert store.search(()) == []


def many_threads_lose_nothing(store: BaseStore) -> None:
    """Each sees its own write at once, all are there in the end."""

    def write(n: int) -> None:
        store.put((f"thread-{n % 4}",), f"{n}", {"n": n})
        item = store.get((f"thread-{n % 4}",), f"{n}")
        assert item is not None
        assert item.value == {"n": n}

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(100)))

    assert sorted(item.value["n"] for item in store.search((), limit=1000)) == list(range(100))


async def the_async_face_answers_alike(store: BaseStore) -> None:
    """Both colours of one object see one state."""
    await store.aput(NOTES, "a", {"n": 1})
    store.put(NOTES, "b", {"n": 2})

    assert await store.aget(NOTES, "b") == store.get(NOTES, "b")
    assert await store.asearch((), filter={"n": 1}) == store.search((), filter={"n": 1})
    assert await store.alist_namespaces(prefix=("users",)) == [NOTES]
    before = store.get(NOTES, "a")
    assert await store.abatch([PutOp(NOTES, "a", None), GetOp(NOTES, "a")]) == [None, before]
    await store.adelete(NOTES, "b")
    assert store.search(()) == []


async def many_coroutines_lose_nothing(store: BaseStore) -> None:
    """Side by side on one loop."""
    await asyncio.gather(*(store.aput(NOTES, f"{n}", {"n": n}) for n in range(100)))
    found = await asyncio.gather(*(store.aget(NOTES, f"{n}") for n in range(100)))

    assert [item.value["n"] for item in found if item is not None] == list(range(100))


async def a_cancelled_call_harms_nobody_else(store: BaseStore) -> None:
    """The store works on, whatever the moment of the cancellation."""
    for turns in range(6):
        calls = [asyncio.ensure_future(store.aput(NOTES, f"{n}", {"n": n})) for n in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        calls[1].cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [outcome for outcome in (outcomes[0], *outcomes[2:]) if outcome is not None] == []

    await store.aput(NOTES, "after", {"n": 9})
    assert {"0", "2", "3", "after"} <= {item.key for item in await store.asearch(NOTES)}


# ---- versions


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

    error = _raises(VersionConflict, lambda: store.put(NOTES, "a", {"n": 3}, if_version=old))

    assert (error.namespace, error.key, error.expected, error.found) == (NOTES, "a", old, present)
    assert store.search(())[0].value == {"n": 2}
    _raises(VersionConflict, lambda: store.put(NOTES, "absent", {}, if_version=present))


def a_put_if_absent_never_replaces(store: ItemStore) -> None:
    """A deleted item is absent."""
    store.put(NOTES, "a", {"n": 1}, if_absent=True)
    _raises(VersionConflict, lambda: store.put(NOTES, "a", {"n": 2}, if_absent=True))
    store.delete(NOTES, "a")
    store.put(NOTES, "a", {"n": 3}, if_absent=True)

    assert store.search(())[0].value == {"n": 3}


def a_delete_with_an_old_version_is_refused(store: ItemStore) -> None:
    """Of a missing item as well."""
    store.put(NOTES, "a", {"n": 1})
    old = _version(store, "a")
    store.put(NOTES, "a", {"n": 2})

    _raises(VersionConflict, lambda: store.delete(NOTES, "a", if_version=old))
    store.delete(NOTES, "a", if_version=_version(store, "a"))

    assert store.get(NOTES, "a") is None
    _raises(VersionConflict, lambda: store.delete(NOTES, "a", if_version=old))


def conditions_that_cannot_be_right_are_errors(store: ItemStore) -> None:
    """Both at once; a version that is none."""
    wrong: Any = "1"
    _raises(ValueError, lambda: store.put(NOTES, "a", {}, if_version=1, if_absent=True))
    _raises(ValueError, lambda: store.put(NOTES, "a", {}, if_version=wrong))
    _raises(ValueError, lambda: store.delete(NOTES, "a", if_version=wrong))


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

    _raises(LookupError, lambda: store.update(NOTES, "a", fails))
    _raises(EncodingError, lambda: store.update(NOTES, "a", lambda _: {"n": {1}}))

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
        await _araises(VersionConflict, call)

    await asyncio.gather(*(store.aupdate(NOTES, "a", _plus_one) for _ in range(20)))
    item = await store.aget(NOTES, "a")
    assert item is not None
    assert item.value == {"n": 22}
    await store.adelete(NOTES, "a", if_version=item.version)
    assert await store.aget(NOTES, "a") is None


CHECKS: Final[tuple[Callable[[BaseStore], None], ...]] = (
    a_put_item_is_read_back,
    what_is_not_there_is_none,
    a_put_replaces_the_whole_value,
    an_item_put_after_its_deletion_is_new,
    values_are_copies,
    keys_are_made_strings,
    a_batch_answers_in_order_from_the_state_before_it,
    of_several_puts_in_a_batch_the_last_wins,
    search_lists_the_latest_first,
    a_search_gives_ten_unless_told,
    a_prefix_is_whole_labels,
    odd_labels_are_literal,
    bad_namespaces_are_refused,
    the_reserved_root_is_refused_on_put_only,
    namespaces_are_listed_in_order,
    filters_mean_the_same_everywhere,
    bad_filters_are_errors,
    bad_numbers_are_errors,
    an_empty_query_is_none,
    any_json_comes_back_equal,
    what_is_no_json_is_refused_with_its_path,
    many_threads_lose_nothing,
)
"""The interface, for anybody's store."""
ASYNC_CHECKS: Final[tuple[Callable[[BaseStore], Awaitable[None]], ...]] = (
    the_async_face_answers_alike,
    many_coroutines_lose_nothing,
    a_cancelled_call_harms_nobody_else,
)
"""The interface in its other colour."""
VERSION_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    versions_grow_and_are_never_used_again,
    a_put_with_an_old_version_is_refused,
    a_put_if_absent_never_replaces,
    a_delete_with_an_old_version_is_refused,
    conditions_that_cannot_be_right_are_errors,
    update_makes_changes_and_deletes,
    no_update_is_lost,
    a_failing_update_changes_nothing,
)
"""What Perdure's stores do besides."""
ASYNC_VERSION_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (
    the_async_face_has_versions_too,
)
"""The same in its other colour."""


def _plus_one(value: dict[str, Any] | None) -> dict[str, Any]:
    return {"n": (value or {"n": 0})["n"] + 1}


def _version(store: ItemStore, key: str) -> int:
    item = store.get(NOTES, key)
    assert item is not None
    assert item.version is not None
    return item.version


def _refuses(call: Callable[[], object]) -> None:
    _raises(InvalidNamespaceError, call)


def _raises(kind: type[E], call: Callable[[], object]) -> E:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


async def _araises(kind: type[BaseException], call: Awaitable[object]) -> None:
    try:
        await call
    except kind:
        return
    raise AssertionError(f"no {kind.__name__} was raised")
