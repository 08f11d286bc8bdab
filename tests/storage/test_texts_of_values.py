"""Which texts of an item are indexed."""

from __future__ import annotations

from typing import Any

from perdure.storage.text.values import strings_of, texts_of

VALUE = {"text": "a", "n": 1, "tags": ["b", {"deep": ["c", None, True]}], "tuple": ("d",), "last": "e"}


def test_strings_come_in_order_at_any_depth_without_keys_and_numbers() -> None:
    assert list(strings_of(VALUE)) == ["a", "b", "c", "d", "e"]


def test_a_value_as_deep_as_can_be_is_read() -> None:
    value: Any = "bottom"
    for _ in range(100_000):
        value = [value]

    assert list(strings_of(value)) == ["bottom"]


def test_fields_choose_and_numbers_count_there() -> None:
    assert list(texts_of(VALUE, ["tags[0]", "n", "missing", "text"])) == ["b", "1", "a"]
    assert list(texts_of(VALUE, [])) == []
    assert list(texts_of(VALUE, None)) == list(strings_of(VALUE))
