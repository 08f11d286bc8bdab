"""The interface's own parts: items, operations, paths, embedders."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 - not ours: items must survive a user's multiprocessing
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from perdure.store import base
from perdure.store.base import (
    NOT_PROVIDED,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
    validate_op_namespace,
)
from perdure.store.memory import InMemoryStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "namespace": ("a", "b"),
    "key": "k",
    "value": {"n": 1},
    "created_at": NOON,
    "updated_at": NOON,
}

CHANGED: dict[str, Any] = {"value": {"n": 2}}


def test_an_item_as_json_has_lists_and_iso_times() -> None:
    item = Item(**FACTS)

    assert item.dict() == {
        "namespace": ["a", "b"],
        "key": "k",
        "value": {"n": 1},
        "created_at": "2026-03-01T12:00:00+00:00",
        "updated_at": "2026-03-01T12:00:00+00:00",
    }
    assert Item(**item.dict()) == item
    assert SearchItem(**FACTS, score=0.5).dict() == {**item.dict(), "score": 0.5}


def test_marks_of_a_database_do_not_tell_items_apart() -> None:
    assert Item(**FACTS, version=3) == Item(**FACTS, version=4)
    assert Item(**FACTS) != Item(**(FACTS | CHANGED))
    assert len({Item(**FACTS), Item(**FACTS)}) == 1


def test_an_item_can_be_copied_and_sent() -> None:
    item = SearchItem(**FACTS, score=0.5, version=3)

    for other in (copy.deepcopy(item), pickle.loads(pickle.dumps(item))):  # noqa: S301 - our own bytes
        assert other == item
        assert other.version == 3


def test_a_missing_argument_says_so() -> None:
    assert repr(NOT_PROVIDED) == "NOT_GIVEN"
    assert not NOT_PROVIDED


def test_operations_are_tuples_with_the_field_s_order() -> None:
    assert GetOp(("a",), "k") == (("a",), "k", True)
    assert SearchOp(("a",)) == (("a",), None, 10, 0, None, True, None, None, None, 0)
    assert PutOp(("a",), "k", {}) == (("a",), "k", {}, None, None)
    assert ListNamespacesOp() == (None, None, 100, 0)


def test_all_is_there() -> None:
    assert all(hasattr(base, name) for name in base.__all__)


@pytest.mark.parametrize(
    "op",
    [
        PutOp((), "k", {}),
        PutOp(("a.b",), "k", {}),
        GetOp(("",), "k"),
        SearchOp(("a\0",)),
        ListNamespacesOp((MatchCondition("prefix", ("a.b",)),)),
    ],
)
def test_an_operation_s_namespace_can_be_looked_at(op: base.Op) -> None:
    with pytest.raises(InvalidNamespaceError):
        validate_op_namespace(op)


@pytest.mark.parametrize(
    "op",
    [PutOp(("langgraph",), "k", {}), PutOp((), "k", None), GetOp((), "k"), SearchOp(()), ListNamespacesOp()],
)
def test_what_can_be_asked_passes(op: base.Op) -> None:
    validate_op_namespace(op)


def test_what_is_no_operation_is_an_error() -> None:
    wrong: Any = "get"

    with pytest.raises(ValueError, match="no operation"):
        InMemoryStore().batch([wrong])


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a.b[0].{c,d}", ["a", "b", "[0]", "{c,d}"]),
        ("a..b", ["a", "b"]),
        ("", []),
        ("$", ["$"]),
        ("a[*].*", ["a", "[*]", "*"]),
        ("{a.b,c[0]}", ["{a.b,c[0]}"]),
        ("a{b", ["a", "{b"]),
        ("a[0", ["a", "[0"]),
    ],
)
def test_a_path_has_steps(path: str, steps: list[str]) -> None:
    assert tokenize_path(path) == steps


VALUE = {"a": {"b": [{"c": 1, "d": "x"}, {"c": None, "d": True}]}, "e": 1.5, "é": "ü"}


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("e", ["1.5"]),
        ("é", ["ü"]),
        ("a.b[0].c", ["1"]),
        ("a.b[-1].d", ["True"]),
        ("a.b[*].d", ["x", "True"]),
        ("a.b.*.d", ["x", "True"]),
        ("a.b[*].c", ["1"]),
        ("a.b[0].{d, c}", ["x", "1"]),
        ("a.{b[0],b[1]}.d", ["x", "True"]),
        ("a.b[0]", ['{"c": 1, "d": "x"}']),
        ("{e,a.b[0].d}", ["1.5", "x"]),
        ("missing", []),
        ("e.deeper", []),
        ("a.b[9]", []),
        ("a.b[x]", []),
        ("a[0]", []),
        ("a.b.0", []),
        ("a.{b", []),
        ("a.b[0", []),
        ("a.b[1].c", []),
    ],
)
@pytest.mark.fact(148)
def test_a_path_finds_texts(path: str, texts: list[str]) -> None:
    assert get_text_at_path(VALUE, path) == texts
    assert get_text_at_path(VALUE, tokenize_path(path)) == texts


@pytest.mark.parametrize("path", ["", "$"])
def test_the_whole_value_is_json_with_sorted_keys(path: str) -> None:
    assert get_text_at_path({"b": 1, "a": [None]}, path) == ['{"a": [null], "b": 1}']


async def test_functions_are_embedders() -> None:
    def lengths(texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text))] for text in texts]

    async def later(texts: Sequence[str]) -> list[list[float]]:
        return lengths(texts)

    for func in (lengths, later):
        embedder = ensure_embeddings(func)
        assert await embedder.aembed_documents(["a", "bb"]) == [[1.0], [2.0]]
        assert await embedder.aembed_query("ccc") == [3.0]
    assert ensure_embeddings(lengths).embed_query("ccc") == [3.0]


def test_an_async_function_embeds_for_blocking_callers_too() -> None:
    async def lengths(texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text))] for text in texts]

    assert ensure_embeddings(lengths).embed_documents(["a", "bb"]) == [[1.0], [2.0]]


def test_an_embedder_stays_itself_and_other_things_are_errors() -> None:
    embedder = ensure_embeddings(lambda texts: [[0.0] for _ in texts])
    wrong: Any = 5

    assert ensure_embeddings(embedder) is embedder
    with pytest.raises(ValueError, match="PROVIDER:MODEL"):
        ensure_embeddings("text-embedding-3-small")
    with pytest.raises(ValueError, match="None"):
        ensure_embeddings(None)
    with pytest.raises(TypeError, match="int"):
        ensure_embeddings(wrong)
