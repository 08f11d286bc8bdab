"""Byte order is tuple order, and a prefix is one range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec import bytes_to_text, decode_namespace, encode_namespace, prefix_range, text_to_bytes
from perdure.errors import EncodingError

labels = st.text(
    st.sampled_from("a\x00\x01\x02\xff\ud800\udfff\uffff\U0001f600%_*./")
    | st.characters(exclude_categories=())
)
namespaces = st.lists(labels.filter(bool), max_size=4).map(tuple)


@given(namespaces, namespaces)
def test_bytes_sort_as_tuples_do(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (encode_namespace(one) < encode_namespace(other)) == (one < other)


@given(namespaces)
def test_a_namespace_comes_back(namespace: tuple[str, ...]) -> None:
    assert decode_namespace(encode_namespace(namespace)) == namespace


@given(namespaces, namespaces, namespaces)
def test_a_prefix_is_exactly_one_range(
    prefix: tuple[str, ...], rest: tuple[str, ...], other: tuple[str, ...]
) -> None:
    first, end = prefix_range(prefix)

    def inside(namespace: tuple[str, ...]) -> bool:
        stored = encode_namespace(namespace)
        return first <= stored and (end is None or stored < end)

    assert inside(prefix + rest)
    assert inside(other) == (other[: len(prefix)] == prefix)


def test_a_label_is_no_prefix_of_a_longer_one() -> None:
    first, end = prefix_range(("a",))

    assert end is not None
    assert not first <= encode_namespace(("ab",)) < end
    assert prefix_range(()) == (b"", None)


@given(st.binary())
def test_bytes_of_somebody_else_are_an_error_or_a_namespace(stored: bytes) -> None:
    try:
        labels = decode_namespace(stored)
    except EncodingError:
        return
    assert encode_namespace(labels) == stored


def test_a_label_that_is_no_text_is_named() -> None:
    with pytest.raises(EncodingError, match=r"namespace\[1\] is a int"):
        encode_namespace(("a", 1))  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_its_bytes(text: str) -> None:
    assert bytes_to_text(text_to_bytes(text)) == text


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(EncodingError, match="byte 1 of 2"):
        bytes_to_text(b"a\xff")
