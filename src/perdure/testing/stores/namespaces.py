"""Where items of any store are: prefixes, labels, what is no namespace, and lists of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from perdure.store.base import BaseStore, InvalidNamespaceError, ListNamespacesOp, MatchCondition, PutOp
from perdure.testing.raised import raised

__all__ = [
    "a_prefix_is_whole_labels",
    "bad_namespaces_are_refused",
    "namespaces_are_listed_in_order",
    "odd_labels_are_literal",
    "the_reserved_root_is_refused_on_put_only",
]

BAD_LABELS: Final[tuple[Any, ...]] = (("",), ("a.b",), ("a", "x\0y"), ("a", 1), (None,), "a")


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


def _refuses(call: Callable[[], object]) -> None:
    raised(InvalidNamespaceError, call)
