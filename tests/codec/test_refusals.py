"""What cannot be saved is refused when it is written, with the path to it."""

from __future__ import annotations

import enum
import threading
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import ormsgpack
import pydantic
import pytest

from codec.samples import Model, Open, Point, known
from perdure.codec import Codec, Registry
from perdure.errors import EncodingError

codec = Codec(known())


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Items(list[int]):
    pass


class Mapping(dict[str, int]):
    pass


class Tally(Counter[str]):
    pass


class Moment(datetime):
    pass


class Shade(enum.StrEnum):
    DARK = "dark"


class Unknown(pydantic.BaseModel):
    size: int = 1


@dataclass
class Loose:
    size: int = 1


Half = namedtuple("Half", ["left"])

REFUSED: list[object] = [
    Text("a"),
    Whole(1),
    Items(),
    Mapping(),
    Tally(),
    Moment(2026, 1, 1),
    Shade.DARK,
    Unknown(),
    Loose(),
    Half(1),
    object(),
    len,
    lambda: None,
    int,
    threading.Lock(),
    memoryview(b"a"),
    np.array([object()]),
    np.zeros(2, [("a", "i4")]),
    defaultdict(lambda: 1),
    iter([]),
    ormsgpack.Ext(1, b"\xc4"),
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "place", [lambda value: value, lambda value: {1: b"\xc4\xc5", 2: value}], ids=["alone", "beside"]
)
def test_a_type_that_nobody_registered_is_refused_and_never_becomes_another(
    value: object, place: Callable[[object], object]
) -> None:
    with pytest.raises(EncodingError, match="Nothing was written"):
        codec.encode([b"bytes", place(value)])


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"docs": [1, 2, 3, {"embedding": object()}]}, "state.docs[3].embedding"),
        ({"two words": (1, object())}, "state['two words'][1]"),
        ({1: [object()]}, "state[1][0]"),
        ({(1, 2): object()}, "state[a tuple]"),
        ({Text("k"): 1}, "state[a Text](key)"),
        (Open("a", [object()]), "state.seen[0]"),  # type: ignore[list-item]
        (Point(1, object()), "state.y"),  # type: ignore[arg-type]
        (Model.model_construct(name=object()), "state.name"),
        ({"a": OrderedDict(b=object())}, "state.a.b"),
        ({"a": defaultdict(list, b=[object()])}, "state.a.b[0]"),
        (object(), "state"),
    ],
)
def test_the_message_names_the_path_and_the_type(value: object, path: str) -> None:
    with pytest.raises(EncodingError) as caught:
        codec.encode(value, path="state")

    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path} is a ")
    assert "Nothing was written" in str(caught.value)
    assert "register" in str(caught.value)


def test_a_cycle_is_refused_through_whatever_it_goes() -> None:
    loop: list[Any] = []
    loop.append({"a": (1, loop)})
    thing = Open("a")
    thing.seen.append(thing)  # type: ignore[arg-type]

    for value in (loop, thing):
        with pytest.raises(EncodingError, match="contains itself"):
            codec.encode(value)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}])
def test_too_deep_a_value_is_refused(wrap: Callable[[object], object]) -> None:
    value: object = 1
    for _ in range(100_000):
        value = wrap(value)

    with pytest.raises(EncodingError, match="more than 500 containers"):
        codec.encode(value)


def test_one_object_in_two_places_is_no_cycle() -> None:
    shared = ["\ud800"]

    assert codec.decode(codec.encode([shared, (shared, shared)])) == [shared, (shared, shared)]


def test_an_error_of_the_users_own_function_comes_with_its_path_and_cause() -> None:
    registry = Registry()
    registry.register(Loose, encode=lambda loose: 1 / 0, decode=lambda plain: Loose())

    with pytest.raises(EncodingError) as caught:
        Codec(registry).encode({"a": Loose()})

    assert caught.value.path == "value.a"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


class StopsOnce:
    """A user's function, hit by Ctrl-C the first time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: object) -> object:
        self.calls += 1
        if self.calls == 1:
            raise KeyboardInterrupt
        return Loose()


def test_ctrl_c_within_a_users_function_is_not_swallowed() -> None:
    quiet = Registry()
    quiet.register(Loose, encode=lambda loose: 1, decode=lambda plain: Loose())
    stored = Codec(quiet).encode([Loose()])
    registry = Registry()
    registry.register(Loose, encode=StopsOnce(), decode=StopsOnce())

    with pytest.raises(KeyboardInterrupt):
        Codec(registry).encode([Loose()])
    with pytest.raises(KeyboardInterrupt):
        Codec(registry).decode(stored)


def test_no_value_is_shown_in_a_message() -> None:
    with pytest.raises(EncodingError) as caught:
        codec.encode({"a": Text("secret of a person")})

    assert "secret" not in str(caught.value)
