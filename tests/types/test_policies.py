from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import GraphRecursionError, NodeTimeoutError, VersionConflict
from perdure.types import (
    CachePolicy,
    RetryPolicy,
    TimeoutPolicy,
    TracePolicy,
    default_cache_key,
    default_retry_on,
    omit_payload,
    retries,
)

# ---- retry


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError(),
        ConnectionResetError(),
        Exception("who knows"),
        NodeTimeoutError("n", 1, kind="run", run_timeout=1),
        VersionConflict("moved on"),
    ],
)
def test_what_may_pass_by_itself_is_retried(error: Exception) -> None:
    assert default_retry_on(error)


@pytest.mark.parametrize(
    "kind",
    [
        ValueError,
        KeyError,
        TypeError,
        ZeroDivisionError,
        ImportError,
        NameError,
        SyntaxError,
        RuntimeError,
        ReferenceError,
        StopIteration,
        StopAsyncIteration,
        OSError,
        FileNotFoundError,
        TimeoutError,
        GraphRecursionError,
    ],
)
def test_mistakes_in_the_program_are_not_retried(kind: type[Exception]) -> None:
    assert not default_retry_on(kind())


class HTTPStatusError(Exception):
    response: Any = None


class HTTPError(OSError):
    pass


def with_status(error: Any, status: int | None) -> Any:
    error.response = None if status is None else SimpleNamespace(status_code=status)
    return error


@pytest.fixture
def http_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("httpx", HTTPStatusError), ("requests", HTTPError)):
        module = ModuleType(name)
        setattr(module, kind.__name__, kind)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("http_libraries")
@pytest.mark.parametrize("kind", [HTTPStatusError, HTTPError])
@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (404, False), (429, False), (None, True)]
)
def test_a_servers_failure_is_retried_and_a_callers_is_not(
    kind: type[Exception], status: int | None, again: bool
) -> None:
    assert default_retry_on(with_status(kind(), status)) is again


@pytest.mark.parametrize(
    "wanted", [KeyError, (TypeError, KeyError), [LookupError], lambda error: isinstance(error, KeyError)]
)
def test_a_policy_is_meant_for_classes_sequences_and_predicates(wanted: Any) -> None:
    policy = RetryPolicy(retry_on=wanted)

    assert retries(policy, KeyError())
    assert not retries(policy, ValueError())


class NotCallable:
    pass


@pytest.mark.parametrize("wanted", [NotCallable(), "KeyError", 3, NotCallable])
def test_a_policy_meant_for_nothing_is_refused(wanted: Any) -> None:
    with pytest.raises(TypeError, match="retry_on must be an Exception class"):
        retries(RetryPolicy(retry_on=wanted), KeyError())


def test_a_retry_policy_is_a_tuple_with_the_fields_defaults() -> None:
    assert RetryPolicy() == (0.5, 2.0, 128.0, 3, True, default_retry_on)


# ---- timeout


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        (None, None),
        (TimeoutPolicy(), None),
        (1, TimeoutPolicy(run_timeout=1.0)),
        (timedelta(milliseconds=50), TimeoutPolicy(run_timeout=0.05)),
        (TimeoutPolicy(idle_timeout=timedelta(seconds=2)), TimeoutPolicy(idle_timeout=2.0)),
        (
            TimeoutPolicy(run_timeout=1, refresh_on="heartbeat"),
            TimeoutPolicy(run_timeout=1.0, refresh_on="heartbeat"),
        ),
    ],
)
def test_a_timeout_means_seconds(given_: Any, meant: TimeoutPolicy | None) -> None:
    assert TimeoutPolicy.coerce(given_) == meant


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (0, "run_timeout must be greater than 0"),
        (-1, "run_timeout must be greater than 0"),
        (float("nan"), "run_timeout must be greater than 0"),
        (TimeoutPolicy(run_timeout=0), "run_timeout must be greater than 0"),
        (TimeoutPolicy(idle_timeout=timedelta(0)), "idle_timeout must be greater than 0"),
        (TimeoutPolicy(run_timeout=1, refresh_on="never"), "refresh_on must be 'auto' or 'heartbeat'"),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_a_timeout_that_cannot_be_is_refused_where_it_is_used(given_: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TimeoutPolicy.coerce(given_)


# ---- cache and traces


def test_a_cache_policy_keeps_for_ever_and_makes_its_own_keys() -> None:
    assert CachePolicy() == CachePolicy(key_func=default_cache_key, ttl=None)
    assert CachePolicy[Callable[..., str]](key_func=str, ttl=5).key_func(7) == "7"


def test_a_trace_policy_hides_nothing_unless_told_to() -> None:
    assert TracePolicy() == TracePolicy(process_inputs=None, process_outputs=None)
    assert omit_payload({"secret": 1}) == {}


class Colour(Enum):
    RED = 1


class Pair(NamedTuple):
    x: int
    y: int


@dataclass
class Point:
    x: int
    y: Any = None


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: object) -> None:
        self.a = a


class Names(list[str]):
    pass


DIFFERENT: list[Any] = [
    None,
    0,
    0.0,
    False,
    1,
    1.0,
    True,
    1j,
    "",
    "1",
    b"",
    b"1",
    [],
    (),
    {},
    set(),
    [1],
    (1,),
    {1},
    {1: 1},
    {"1": 1},
    [[1], 2],
    [1, [2]],
    [1, 2],
    ["12"],
    ["1", "2"],
    Colour.RED,
    Pair(1, 2),
    (1, 2),
    Point(1),
    Point(2),
    Point(1, 2),
    Slotted(1),
    Slotted(2),
    Names(["1", "2"]),
    Decimal("1.0"),
    Decimal(1),
    date(2024, 1, 1),
    datetime(2024, 1, 1, tzinfo=UTC),
    timedelta(1),
    UUID(int=1),
    PurePosixPath("a"),
    len,
    Point,
    "\ud800",
]


def test_different_inputs_have_different_keys() -> None:
    keys = [default_cache_key(value) for value in DIFFERENT]

    assert len(set(keys)) == len(DIFFERENT)


def test_arguments_are_not_mixed_up() -> None:
    keys = {
        default_cache_key(1, 2),
        default_cache_key((1, 2)),
        default_cache_key(1, b=2),
        default_cache_key(b=2),
    }

    assert len(keys) == 4


def test_order_does_not_count_where_equality_ignores_it() -> None:
    assert default_cache_key({"a": 1, "b": 2}) == default_cache_key({"b": 2, "a": 1})
    assert default_cache_key({"x", "yy", "z"}) == default_cache_key({"z", "yy", "x"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_an_equal_input_has_an_equal_key(value: Any) -> None:
    import copy

    assert default_cache_key(value) == default_cache_key(copy.deepcopy(value))


def test_a_key_is_the_same_in_every_process() -> None:
    assert default_cache_key({"a": [1, "x", None]}) == "89e76c95268be1450958fd1d301c4500"


def test_an_input_that_holds_itself_has_a_key() -> None:
    one: list[Any] = [1]
    one.append(one)
    other: list[Any] = [1]
    other.append(other)

    assert default_cache_key(one) == default_cache_key(other)


def test_a_numpy_array_is_told_from_another() -> None:
    numpy = pytest.importorskip("numpy")

    assert default_cache_key(numpy.arange(3)) == default_cache_key(numpy.arange(3))
    assert default_cache_key(numpy.arange(3)) != default_cache_key(numpy.arange(4))


def test_a_pydantic_model_is_told_from_another() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("M", x=(int, ...))

    assert default_cache_key(model(x=1)) == default_cache_key(model(x=1))
    assert default_cache_key(model(x=1)) != default_cache_key(model(x=2))


@pytest.mark.parametrize(
    "value", [threading.Lock(), lambda: 1, asyncio.sleep], ids=["lock", "lambda", "function"]
)
def test_only_what_lasts_has_a_key(value: Any) -> None:
    if value is asyncio.sleep:
        assert default_cache_key(value)
        return
    with pytest.raises(TypeError, match="key_func"):
        default_cache_key({"a": value})
