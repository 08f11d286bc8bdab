"""The numbered facts of the field's interface, each as one would meet it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure.store.base import InvalidNamespaceError, PutOp
from perdure.store.face import BackendStore

ME = ("users", "ada")


def keys(store: BackendStore, **search: Any) -> list[str]:
    return [item.key for item in store.search((), **search)]


@pytest.mark.fact(141)
def test_deleting_twice_and_asking_for_what_is_not_there_is_fine(store: BackendStore) -> None:
    store.put(ME, "a", {})

    store.delete(ME, "a")
    store.delete(ME, "a")

    assert store.get(("nowhere",), "a") is None
    assert store.search(("nowhere",)) == []
    assert store.list_namespaces() == []


@pytest.mark.fact(142)
def test_a_key_is_made_text(store: BackendStore) -> None:
    key: Any = 7

    store.put(ME, key, {})

    assert keys(store) == ["7"]


@pytest.mark.fact(142)
@pytest.mark.parametrize("value", [[1], "text", 1, True, {1}])
def test_a_value_is_a_mapping(store: BackendStore, value: Any) -> None:
    with pytest.raises(Exception, match="JSON object") as raised:
        store.put(ME, "a", value)

    assert getattr(raised.value, "path", None) == "value"
    assert keys(store) == []


@pytest.mark.fact(143)
def test_overwriting_keeps_when_an_item_was_created(store: BackendStore) -> None:
    store.put(ME, "a", {"n": 1})
    first = store.search(())[0]

    store.put(ME, "a", {"n": 2})

    second = store.search(())[0]
    assert second.created_at == first.created_at
    assert second.updated_at >= second.created_at


@pytest.mark.fact(144)
def test_changing_what_was_read_does_not_change_the_store(store: BackendStore) -> None:
    store.put(ME, "a", {"tags": ["x"]})

    store.search(())[0].value["tags"].append("y")

    assert store.search(())[0].value == {"tags": ["x"]}


@pytest.mark.fact(145)
def test_filters_are_anded_and_type_strict(store: BackendStore) -> None:
    store.put(ME, "one", {"n": 1, "k": None})
    store.put(ME, "true", {"n": True, "k": 0})

    assert keys(store, filter={"n": 1}) == ["one"]
    assert keys(store, filter={"n": True}) == ["true"]
    assert keys(store, filter={"n": {"$gte": 0}}) == ["one"]
    assert keys(store, filter={"n": 1, "k": None}) == ["one"]
    assert keys(store, filter={"n": 1, "k": 0}) == []
    assert keys(store, filter={"missing": None}) == ["true", "one"]


@pytest.mark.fact(145)
def test_any_key_can_be_filtered_by(store: BackendStore) -> None:
    store.put(ME, "a", {"user": {"access-level": 3}, "1st": "x", "it's": 1, '"': 2, "$.x": 3, "%": 4})

    for given in ({"user.access-level": 3}, {"1st": "x"}, {"it's": 1}, {'"': 2}, {"%": 4}):
        assert keys(store, filter=given) == ["a"]
        (key,) = given
        assert keys(store, filter={key: "other"}) == []


@pytest.mark.fact(145)
def test_an_unknown_operator_is_an_error_that_names_it(store: BackendStore) -> None:
    with pytest.raises(ValueError, match=r"\$regex"):
        store.search((), filter={"n": {"$regex": ".*"}})


@pytest.mark.fact(146)
def test_a_prefix_matches_whole_labels_only(store: BackendStore) -> None:
    store.put(("foo",), "a", {})
    store.put(("foobar",), "b", {})

    assert [item.key for item in store.search(("foo",))] == ["a"]
    assert store.list_namespaces(prefix=("foo",)) == [("foo",)]


@pytest.mark.fact(146)
@pytest.mark.parametrize("label", ["*", "?", "[ab]", "%", "_", "\n", "a_c", "a%"])
def test_wildcards_in_a_namespace_are_literal(store: BackendStore, label: str) -> None:
    store.put(("abc",), "other", {})
    store.put(("a",), "other too", {})
    store.put((label,), "mine", {})

    assert [item.key for item in store.search((label,))] == ["mine"]


@pytest.mark.fact(147)
def test_scored_results_are_paged_without_duplicates(store: BackendStore) -> None:
    for n in range(9):
        store.put(ME, str(n), {"text": "tea " * (n % 3 + 1)})

    whole = [item.key for item in store.search((), query="tea", limit=9)]
    assert sorted(whole) == [str(n) for n in range(9)]
    assert [item.key for n in (0, 4, 8) for item in store.search((), query="tea", limit=4, offset=n)] == whole


@pytest.mark.fact(149)
def test_a_missing_path_leaves_the_others(store: BackendStore) -> None:
    store.put(ME, "a", {"a": "tea"}, ["a", "b"])

    assert [item.key for item in store.search((), query="tea")] == ["a"]


@pytest.mark.fact(147)
def test_an_empty_query_is_no_query(store: BackendStore) -> None:
    store.put(ME, "a", {})
    store.put(ME, "b", {})

    assert keys(store, query="") == ["b", "a"]


@pytest.mark.fact(151)
def test_what_would_be_ignored_is_refused(store: BackendStore) -> None:
    with pytest.raises(NotImplementedError, match="ttl"):
        store.put(ME, "a", {}, ttl=5)
    with pytest.raises(NotImplementedError, match="ttl"):
        store.batch([PutOp(ME, "a", {}, ttl=5)])

    store.put(ME, "fine", {}, index=False, ttl=None)
    assert keys(store) == ["fine"]


@pytest.mark.parametrize("namespace", [(), ("",), ("a.b",), ("a", "\0"), (1,), ("langgraph",), "users"])
def test_a_bad_namespace_is_refused_on_put(store: BackendStore, namespace: Any) -> None:
    with pytest.raises(InvalidNamespaceError):
        store.put(namespace, "a", {})

    assert keys(store) == []


@pytest.mark.fact(150)
async def test_async_calls_side_by_side_agree(store: BackendStore) -> None:
    await store.aput(ME, "a", {"n": 1})
    await store.aput(ME, "a", {"n": 2})

    first, second = await asyncio.gather(store.aget(ME, "a"), store.aget(ME, "a"))

    assert first == second
    assert first is not None
    assert first.value == {"n": 2}
