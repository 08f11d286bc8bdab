"""A registry is closed: it builds what it names and nothing else."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar

import pydantic
import pytest

from perdure.codec import DEFAULT, Codec, Registry, register
from perdure.errors import EncodingError

T = TypeVar("T")


class Kind(enum.Enum):
    A = 1


class Side(enum.StrEnum):
    LEFT = "left"


class Spot(NamedTuple):
    side: Side


@dataclass
class Leaf:
    kind: Kind


@dataclass
class Box(Generic[T]):
    content: T


class Branch(pydantic.BaseModel):
    leaves: dict[str, list[Leaf]]
    next: Branch | None = None


class Inner(TypedDict, total=False):
    spot: Spot


Alias = NewType("Alias", Leaf)


class State(TypedDict):
    tree: Annotated[list[Branch] | None, "a reducer"]
    inner: Inner
    box: Box[Alias]
    unknown: NotThere  # type: ignore[name-defined]  # noqa: F821 - the point: a hint that nobody can resolve


@dataclass
class Plain:
    size: int = 1


class Foreign:
    def __init__(self, size: int) -> None:
        self.size = size


def test_types_are_found_wherever_annotations_lead() -> None:
    registry = Registry()
    registry.add_types([State, Literal[Kind.A]])
    value = {
        "tree": [Branch(leaves={"a": [Leaf(Kind.A)]})],
        "inner": {"spot": Spot(Side.LEFT)},
        "box": Box(Leaf(Kind.A)),
    }

    assert Codec(registry).decode(Codec(registry).encode(value)) == value


def test_a_stored_type_that_is_not_registered_is_named_in_the_error() -> None:
    registry = Registry()
    registry.register(Plain)
    stored = Codec(registry).encode([Plain()])

    with pytest.raises(EncodingError, match=r"test_registry:Plain.*not registered; nothing was imported"):
        Codec(Registry()).decode(stored)


def test_what_a_child_learns_its_parent_does_not() -> None:
    parent = Registry()
    child = parent.child()
    child.register(Plain)

    assert Codec(child).decode(Codec(child).encode(Plain())) == Plain()
    with pytest.raises(EncodingError):
        Codec(parent).encode(Plain())


def test_what_a_parent_learns_later_its_children_know() -> None:
    child = DEFAULT.child()

    register(
        Foreign,
        name="tests.codec:Foreign",
        encode=lambda thing: thing.size,
        decode=lambda plain: Foreign(plain),
    )

    assert Codec(child).decode(Codec().encode([Foreign(3)]))[0].size == 3


def test_registering_one_type_changes_nothing_for_another() -> None:
    registry = Registry()
    before = Codec(registry).encode([(1,), {2}])
    registry.register(Plain)

    assert Codec(registry).encode([(1,), {2}]) == before
    with pytest.raises(EncodingError):
        Codec(registry).encode(Leaf(Kind.A))


def test_a_class_that_moved_is_read_under_its_old_name_and_its_new_one() -> None:
    old = Registry()
    old.register(Plain, name="old:Plain")
    stored = Codec(old).encode(Plain(5))

    new = Registry()
    new.register(Plain, name="old:Plain")
    new.register(Plain)

    assert Codec(new).decode(stored) == Plain(5)
    assert b"test_registry:Plain" in Codec(new).encode(Plain(5))


def test_a_name_belongs_to_one_class() -> None:
    registry = Registry()
    registry.register(Plain, name="thing")

    with pytest.raises(ValueError, match="belongs to"):
        registry.child().register(Leaf, name="thing")


@pytest.mark.parametrize("native", [str, int, dict, type(None)])
def test_what_msgpack_writes_itself_cannot_be_registered(native: type) -> None:
    with pytest.raises(ValueError, match="written as it is"):
        Registry().register(native, encode=lambda value: value, decode=lambda plain: plain)


def test_a_class_without_parts_needs_functions() -> None:
    with pytest.raises(TypeError, match=r"encode=\.\.\., decode=\.\.\."):
        Registry().register(Foreign)
    with pytest.raises(TypeError, match="both"):
        Registry().register(Foreign, encode=lambda value: 1)


def test_a_subclass_is_not_meant_when_its_base_is_registered() -> None:
    class More(Plain):
        pass

    registry = Registry()
    registry.register(Plain)

    with pytest.raises(EncodingError, match="More"):
        Codec(registry).encode(More())


def test_a_model_of_pydantic_1_is_saved_if_it_is_there() -> None:
    v1: Any = pytest.importorskip("pydantic.v1")

    class Old(v1.BaseModel):
        name: str
        tags: list[str] = v1.Field(default_factory=list)

    registry = Registry()
    registry.add_types([Old])
    back = Codec(registry).decode(Codec(registry).encode(Old(name="a")))

    assert back == Old(name="a")
    assert back.__fields_set__ == {"name"}
