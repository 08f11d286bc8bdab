"""Values as bytes: every JSON value comes back, sealed or not, and nothing else goes in."""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.codec import AesGcm
from perdure.errors import EncodingError
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_json import ITEM_BYTES, ITEM_DEPTH
from perdure.store.memory import InMemoryStore

ME = ("users", "ada")
text = st.text(max_size=10) | st.text(
    st.sampled_from('\0\ud83d\ude00\udfff"\\/\x7f\u2028\U0001f600'), max_size=4
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
PLAIN = ItemCodec()


@settings(deadline=None)
@given(st.dictionaries(text, json_values, max_size=4))
def test_any_json_object_comes_back_equal(value: dict[str, Any]) -> None:
    back = PLAIN.decode(ME, "k", PLAIN.encode(ME, "k", value))

    assert back == value
    assert repr(back) == repr(value)  # 1 is not 1.0 is not True


def test_json_of_another_hand_is_read_and_what_is_none_is_an_error() -> None:
    assert PLAIN.decode(ME, "k", b' \n{"a": [1, 2]}\t ') == {"a": [1, 2]}

    for damaged in (b"", b" ", b'{"a":1}}', b'{"a":1} x', b'{"a":', b'{"a":"\n"}', b"[1]", b'{"a":1}\xff'):
        with pytest.raises(EncodingError, match="damaged"):
            PLAIN.decode(ME, "k", damaged)


def test_kinds_of_the_json_types_are_saved_as_these() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Size(IntEnum):
        BIG = 3

    value = MappingProxyType({"colour": Colour.RED, "size": Size.BIG, "pair": (1, 2)})

    assert PLAIN.decode(ME, "k", PLAIN.encode(ME, "k", value)) == {"colour": "red", "size": 3, "pair": [1, 2]}


def test_the_limits_are_exact() -> None:
    fits = {"t": "x" * (ITEM_BYTES - 8)}
    deep: Any = None
    for _ in range(ITEM_DEPTH - 1):
        deep = [deep]

    assert len(PLAIN.encode(ME, "k", fits)) == ITEM_BYTES
    assert PLAIN.decode(ME, "k", PLAIN.encode(ME, "k", {"d": deep})) == {"d": deep}
    with pytest.raises(EncodingError, match="limit"):
        PLAIN.encode(ME, "k", {"t": "x" * (ITEM_BYTES - 7)})
    with pytest.raises(EncodingError, match="deeper"):
        PLAIN.encode(ME, "k", {"d": [deep]})


def test_one_object_in_two_places_is_no_cycle() -> None:
    shared = ["x"]

    assert PLAIN.decode(ME, "k", PLAIN.encode(ME, "k", {"a": shared, "b": (shared,)})) == {
        "a": ["x"],
        "b": [["x"]],
    }


def test_an_integer_of_too_many_digits_is_an_error_with_its_path() -> None:
    with pytest.raises(EncodingError) as raised:
        PLAIN.encode(ME, "k", {"a": [10**5000]})

    assert raised.value.path == "value.a[0]"


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_damaged_bytes_are_an_error(stored: bytes) -> None:
    with pytest.raises(EncodingError, match="damaged"):
        PLAIN.decode(ME, "k", stored)


class TestSealed:
    key = bytes(range(32))

    @pytest.fixture
    def sealed(self) -> ItemCodec:
        pytest.importorskip("cryptography")
        return ItemCodec(AesGcm(self.key))

    def test_a_value_comes_back_and_cannot_be_read(self, sealed: ItemCodec) -> None:
        stored = sealed.encode(ME, "k", {"secret": "tea"})

        assert b"tea" not in stored
        assert stored[:1] == b"\x01"
        assert sealed.decode(ME, "k", stored) == {"secret": "tea"}

    @pytest.mark.parametrize(
        ("namespace", "key"), [(ME, "other"), (("users", "eve"), "k"), (("users",), "ada")]
    )
    def test_a_value_opens_at_its_own_place_only(
        self, sealed: ItemCodec, namespace: tuple[str, ...], key: str
    ) -> None:
        stored = sealed.encode(ME, "k", {})

        with pytest.raises(EncodingError):
            sealed.decode(namespace, key, stored)

    def test_a_plain_value_where_a_sealed_one_is_due_is_an_error(self, sealed: ItemCodec) -> None:
        with pytest.raises(EncodingError, match="in the clear"):
            sealed.decode(ME, "k", PLAIN.encode(ME, "k", {}))

    def test_a_sealed_value_without_the_key_is_an_error(self, sealed: ItemCodec) -> None:
        with pytest.raises(EncodingError, match="encrypted"):
            PLAIN.decode(ME, "k", sealed.encode(ME, "k", {}))

    def test_a_store_filters_after_opening(self, sealed: ItemCodec) -> None:
        store = InMemoryStore(codec=sealed)
        store.put(ME, "a", {"n": 1})
        store.put(ME, "b", {"n": 2})
        store.update(ME, "b", lambda value: {"n": (value or {})["n"] + 1})

        assert [item.value for item in store.search((), filter={"n": {"$gt": 1}})] == [{"n": 3}]


def test_a_user_s_own_way_back_is_used() -> None:
    codec = ItemCodec(loads=lambda stored: {"upper": json.loads(stored)["t"].upper()})

    assert codec.decode(ME, "k", codec.encode(ME, "k", {"t": "tea"})) == {"upper": "TEA"}
