"""One item of any store: it is put, read back, replaced, deleted; alone and in batches; whatever is in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from perdure.errors import EncodingError
from perdure.store.base import BaseStore, GetOp, Item, ListNamespacesOp, PutOp, SearchItem, SearchOp
from perdure.testing.raised import raised
from perdure.testing.stores.kit import NOTES

__all__ = [
    "a_batch_answers_in_order_from_the_state_before_it",
    "a_put_item_is_read_back",
    "a_put_replaces_the_whole_value",
    "an_item_put_after_its_deletion_is_new",
    "any_json_comes_back_equal",
    "keys_are_made_strings",
    "of_several_puts_in_a_batch_the_last_wins",
    "values_are_copies",
    "what_is_no_json_is_refused_with_its_path",
    "what_is_not_there_is_none",
]


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
        error = raised(EncodingError, lambda value=value: store.put(NOTES, "k", value))
        assert error.path.startswith(path), error
        ops = [PutOp(NOTES, "fine", {}), PutOp(NOTES, "k", value)]
        raised(EncodingError, lambda ops=ops: store.batch(ops))

    assert store.search(()) == []
