from __future__ import annotations

import collections
import operator
import typing
from collections import abc
from typing import Annotated, Any, Literal, NewType, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.channels import MISSING, BinaryOperatorAggregate, DeltaChannel
from perdure.channels.start import start_of
from perdure.errors import InvalidUpdateError
from perdure.types import Overwrite


class NeedsArguments:
    def __init__(self, x: int) -> None:
        raise AssertionError("never made with arguments")


class Refuses:
    def __init__(self) -> None:
        raise OSError("not today")


class Shape(TypedDict):
    a: int


UserId = NewType("UserId", str)


@pytest.mark.parametrize(
    ("typ", "start"),
    [
        (int, 0),
        (float, 0.0),
        (str, ""),
        (bool, False),
        (list, []),
        (list[int], []),
        (dict[str, int], {}),
        (set, set()),
        (frozenset, frozenset()),
        (collections.Counter, collections.Counter()),
        (abc.Sequence, []),
        (abc.Sequence[int], []),
        (abc.MutableSequence, []),
        (abc.Set, set()),
        (abc.MutableSet[int], set()),
        (abc.Mapping[str, int], {}),
        (abc.MutableMapping, {}),
        (typing.List[int], []),  # noqa: UP006 - the older forms are what is tested
        (typing.Sequence[int], []),
        (typing.Dict[str, int], {}),  # noqa: UP006 - as above
        (Annotated[list[int], "note"], []),
        (Shape, {}),
    ],
)
def test_a_reducer_starts_from_the_types_empty_value(typ: Any, start: Any) -> None:
    channel = BinaryOperatorAggregate(typ, operator.add)

    assert channel.get() == start
    assert type(channel.get()) is type(start)


@pytest.mark.parametrize(
    "typ",
    [NeedsArguments, Refuses, Any, int | None, int | str, Literal["a"], UserId, abc.Iterator, abc.Hashable],
)  # fmt: skip
def test_a_type_without_an_empty_value_starts_from_the_first_write(typ: Any) -> None:
    channel = BinaryOperatorAggregate(typ, operator.add)
    assert not channel.is_available()
    assert start_of(typ) is None

    channel.update([5, 6])

    assert channel.get() == 11


def test_two_channels_never_share_a_start() -> None:
    one = BinaryOperatorAggregate(list, operator.iadd)  # changes the list it is given, as some reducers do
    other = one.from_checkpoint(MISSING)

    one.update([[1]])

    assert other.get() == []


def test_writes_are_merged_in_their_order() -> None:
    channel = BinaryOperatorAggregate(list, operator.add)

    assert channel.update([["n"], [2], [1]])
    assert not channel.update([])
    assert channel.get() == ["n", 2, 1]


def test_what_a_reducer_returns_is_taken_as_it_is() -> None:
    result: list[int] = []
    channel = BinaryOperatorAggregate(list, lambda _old, _new: result)
    channel.update([[1]])

    assert channel.get() is result


def test_a_failing_reducer_changes_nothing() -> None:
    channel = BinaryOperatorAggregate(list, operator.add)
    channel.update([[1]])

    with pytest.raises(TypeError):
        channel.update([[2], 3])  # type: ignore[list-item]  # that is the point

    assert channel.get() == [1]


REDUCERS: list[Any] = [
    lambda: BinaryOperatorAggregate(list, operator.add),
    lambda: DeltaChannel(lambda state, writes: [*state, *(item for write in writes for item in write)], list),
]


@pytest.mark.parametrize("make", REDUCERS)
@pytest.mark.parametrize(
    "writes",
    [
        [Overwrite([9])],
        [Overwrite([9]), [1]],
        [[1], Overwrite([9])],
        [[1], {"__overwrite__": [9]}, [2]],
    ],
)
def test_an_overwrite_replaces_the_value_and_drops_the_other_writes(make: Any, writes: list[Any]) -> None:
    channel = make()
    channel.update([[5]])

    assert channel.update(writes)
    assert channel.get() == [9]


@pytest.mark.parametrize("make", REDUCERS)
def test_two_overwrites_in_one_step_are_an_error(make: Any) -> None:
    channel = make()

    with pytest.raises(
        InvalidUpdateError, match="Can receive only one Overwrite value per super-step"
    ) as caught:
        channel.update([Overwrite([1]), {"__overwrite__": [1]}])

    assert "INVALID_CONCURRENT_GRAPH_UPDATE" in str(caught.value).splitlines()[-1]
    assert channel.get() == []


@pytest.mark.parametrize("write", [{"__overwrite__": 1, "b": 2}, {}, {"a": 1}])
def test_a_dict_with_other_keys_is_an_ordinary_write(write: dict[str, int]) -> None:
    channel = BinaryOperatorAggregate(dict, operator.or_)
    channel.update([write])

    assert channel.get() == write


# ---- the batch reducer


def test_a_batch_reducer_is_called_once_a_step() -> None:
    calls: list[tuple[Any, Any]] = []

    def reducer(state: Any, writes: Any) -> Any:
        calls.append((state, writes))
        return len(writes)

    channel = DeltaChannel(reducer, int)
    channel.update((1, 2, 3))
    channel.update([])

    assert calls == [(0, [1, 2, 3])]
    assert channel.checkpoint() == 3


def test_a_batch_reducer_is_a_list_unless_the_schema_knows_better() -> None:
    channel = DeltaChannel(lambda state, writes: state)
    channel.key = "k"

    assert channel.get() == []
    assert channel.for_type(dict[str, int]).get() == {}
    assert channel.for_type(dict[str, int]).key == "k"
    assert DeltaChannel(lambda state, writes: state, int).for_type(dict[str, int]).get() == 0


def test_a_plain_stored_value_is_taken_as_the_seed() -> None:
    channel = DeltaChannel(lambda state, writes: state + writes).from_checkpoint([5])
    channel.update([6])

    assert channel.get() == [5, 6]


@pytest.mark.parametrize(
    ("writes", "value"),
    [
        ([], [5]),
        ([6, 7], [5, 6, 7]),
        ([6, Overwrite([1]), 7], [1, 7]),
        ([Overwrite([1]), 6, {"__overwrite__": [2]}], [2]),
    ],
)
def test_writes_can_be_replayed(writes: list[Any], value: list[int]) -> None:
    channel = DeltaChannel(lambda state, writes: state + writes).from_checkpoint([5])

    channel.replay_writes([("task", "k", write) for write in writes])

    assert channel.get() == value


@pytest.mark.parametrize("frequency", [0, -1])
def test_a_frequency_below_one_is_refused(frequency: int) -> None:
    with pytest.raises(ValueError, match="snapshot_frequency must be a positive int"):
        DeltaChannel(lambda state, writes: state, snapshot_frequency=frequency)


@given(st.lists(st.lists(st.lists(st.integers()))))
def test_one_by_one_or_at_once_comes_to_the_same(steps: list[list[list[int]]]) -> None:
    one = BinaryOperatorAggregate(list, operator.add)
    batch = DeltaChannel(lambda state, writes: [*state, *(item for write in writes for item in write)])

    for step in steps:
        assert one.update(step) == batch.update(step) == bool(step)

    assert one.get() == batch.get()
