"""Whatever is encoded comes back as it was, type for type."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.same import same
from codec.samples import SAMPLES, LooseModel, Model, Open, Point, known, loose
from perdure.codec import Codec, Registry, StoredError

codec = Codec(known())
T = TypeVar("T")


@dataclass
class Holder(Generic[T]):
    content: T


texts = st.text(st.characters(exclude_categories=()))  # surrogates and NUL included
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | st.binary()
    | st.binary().map(bytearray)
    | st.complex_numbers()
    | st.decimals(allow_nan=False)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.fractions()
    | st.ip_addresses()
)
hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.binary() | st.uuids(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(texts, inner)
        | st.dictionaries(hashable, inner)
        | st.sets(hashable)
        | st.lists(inner, max_size=4).map(lambda items: deque(items, 4))
        | st.dictionaries(texts, inner).map(OrderedDict)
        | st.builds(Point, inner, inner)
        | inner.map(lambda seen: Open("x", [seen]))
    ),
    max_leaves=12,
)


@given(values)
@settings(deadline=None, max_examples=300)
def test_any_value_comes_back_the_same(value: object) -> None:
    assert same(codec.decode(codec.encode(value)), value)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_type_comes_back_the_same(name: str) -> None:
    value = SAMPLES[name]

    back = codec.decode(codec.encode({"here": [value]}))["here"][0]

    assert same(back, value)


@given(values)
@settings(deadline=None, max_examples=100)
def test_both_ways_of_packing_write_one_format(value: object) -> None:
    beside = {"value": value, "odd": {1: "\ud800"}}  # the surrogate sends all of it the slow way

    assert same(codec.decode(codec.encode(beside))["value"], value)


def test_keys_that_look_like_the_formats_own_are_only_keys() -> None:
    value = {
        "__type__": "os:system",
        "lc": 1,
        "type": "constructor",
        "id": ["os", "system"],
        "\x10": ["os:system", {}],
    }

    assert codec.decode(codec.encode(value)) == value


def test_lists_nest_to_the_limit() -> None:
    for wrap in (
        lambda inner: [inner],
        lambda inner: {"a": inner},
        lambda inner: (inner,),
        lambda inner: {1: inner},
    ):
        value: Any = "\ud800"
        for _ in range(500):
            value = wrap(value)

        back = codec.decode(codec.encode(value))

        for _ in range(500):
            assert type(back) is type(value)
            back, value = next(iter(back.values() if isinstance(back, dict) else back)), value
        assert back == "\ud800"


def test_a_path_of_this_machine_stays_one() -> None:
    assert same(codec.decode(codec.encode(Path("a/b"))), Path("a/b"))


def test_an_exception_comes_back_as_its_marker() -> None:
    back = codec.decode(codec.encode({"error": KeyError("k")}))["error"]

    assert back == StoredError("builtins.KeyError", "KeyError('k')")


def test_an_exception_whose_repr_fails_is_saved_all_the_same() -> None:
    class Odd(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

    assert "Odd" in codec.decode(codec.encode(Odd())).text


def test_an_array_that_comes_back_can_be_written_to() -> None:
    back = codec.decode(codec.encode(np.zeros(3)))

    back[0] = 1.0

    assert back.tolist() == [1.0, 0.0, 0.0]


def test_a_model_keeps_what_was_given_what_is_extra_and_what_is_private() -> None:
    back = codec.decode(codec.encode([loose(), Model(name="ada")]))

    assert back[0].model_extra == {"colour": "red"}
    assert back[0]._seen == 7
    assert isinstance(back[0], LooseModel)
    assert back[1].model_fields_set == {"name"}


def test_a_field_that_a_class_has_got_since_takes_its_default() -> None:
    @dataclass
    class Old:
        name: str

    @dataclass
    class New:
        name: str
        size: int = 3
        tags: list[str] = field(default_factory=list)

    class OldModel(pydantic.BaseModel):
        name: str
        gone: int = 1

    class NewModel(pydantic.BaseModel):
        name: str
        tags: list[str] = pydantic.Field(default_factory=list)

    before, after = Registry(), Registry()
    before.register(Old, name="thing")
    after.register(New, name="thing")
    before.register(OldModel, name="model")
    after.register(NewModel, name="model")

    back = Codec(after).decode(Codec(before).encode([Old("ada"), OldModel(name="ada")]))

    assert back == [New("ada"), NewModel(name="ada")]


def test_what_stands_beside_the_fields_is_kept_and_caches_are_not() -> None:
    @dataclass
    class Thing:
        name: str

        @cached_property
        def lock(self) -> object:
            return object()

    registry = Registry()
    registry.register(Thing)
    thing = Thing("ada")
    assert thing.lock
    thing.note = "kept"  # type: ignore[attr-defined]

    back = Codec(registry).decode(Codec(registry).encode(thing))

    assert back.__dict__ == {"name": "ada", "note": "kept"}


def test_a_generic_dataclass_made_through_its_alias_is_one_like_any_other() -> None:
    registry = Registry()
    registry.register(Holder)

    assert Codec(registry).decode(Codec(registry).encode(Holder[int](1))) == Holder(1)


def test_an_enum_is_known_by_its_name_whatever_its_value() -> None:
    class Odd(enum.Enum):
        THING = object()

    registry = Registry()
    registry.register(Odd)

    assert Codec(registry).decode(Codec(registry).encode({Odd.THING: Odd.THING})) == {Odd.THING: Odd.THING}


def test_a_value_is_compressed_when_that_pays() -> None:
    text = "the same again and " * 1000
    noise = np.random.default_rng(1).bytes(10_000)

    assert len(codec.encode(text)) < 200
    assert len(codec.encode(noise)) < 10_010
    assert len(Codec(known(), compress_from=10**9).encode(text)) > 19_000
    assert codec.decode(codec.encode(text)) == text
    assert codec.decode(memoryview(codec.encode(noise))) == noise


def test_a_value_that_compresses_too_well_to_be_believed_is_written_plain() -> None:
    zeros = bytes(65 * 1024 * 1024)

    stored = codec.encode(zeros)

    assert stored[0] == 0x10
    assert codec.decode(stored) == zeros
