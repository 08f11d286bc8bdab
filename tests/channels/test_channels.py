from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from perdure.channels import (
    MISSING,
    AnyValue,
    BaseChannel,
    BinaryOperatorAggregate,
    DeltaChannel,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
    Topic,
    UntrackedValue,
)
from perdure.errors import EmptyChannelError, InvalidUpdateError
from perdure.types import Overwrite


def add(one: Any, other: Any) -> Any:
    return one + other


def extend(state: list[Any], writes: list[list[Any]]) -> list[Any]:
    return [*state, *(item for write in writes for item in write)]


KINDS: dict[str, Callable[[], BaseChannel[Any, Any, Any]]] = {
    "LastValue": lambda: LastValue(int),
    "LastValueAfterFinish": lambda: LastValueAfterFinish(int),
    "AnyValue": lambda: AnyValue(int),
    "EphemeralValue": lambda: EphemeralValue(int),
    "UntrackedValue": lambda: UntrackedValue(int),
    "BinaryOperatorAggregate": lambda: BinaryOperatorAggregate(list, add),
    "DeltaChannel": lambda: DeltaChannel(extend),
    "NamedBarrierValue": lambda: NamedBarrierValue(str, {"a", "b"}),
    "NamedBarrierValueAfterFinish": lambda: NamedBarrierValueAfterFinish(str, {"a", "b"}),
    "Topic": lambda: Topic(int),
    "Topic that accumulates": lambda: Topic(int, accumulate=True),
}
FULL: dict[str, list[Any]] = {
    "BinaryOperatorAggregate": [[1]],
    "DeltaChannel": [[1]],
    "NamedBarrierValue": ["a", "b"],
    "NamedBarrierValueAfterFinish": ["a", "b"],
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def filled(kind: str) -> BaseChannel[Any, Any, Any]:
    """A channel of the kind with a value that can be read."""
    channel = KINDS[kind]()
    channel.update(FULL.get(kind, [1]))
    channel.finish()
    return channel


def value_of(channel: BaseChannel[Any, Any, Any]) -> Any:
    return channel.get() if channel.is_available() else MISSING


# ---- what holds for every kind


@every_kind
def test_a_copy_has_the_value_and_a_life_of_its_own(kind: str) -> None:
    channel = filled(kind)
    channel.key = "k"
    before = value_of(channel)

    twin = channel.copy()
    twin.update([])
    twin.update(FULL.get(kind, [2]))
    twin.consume()

    assert twin.key == "k"
    assert type(twin) is type(channel)
    assert value_of(channel) == before
    assert before is not MISSING


@every_kind
def test_what_is_saved_brings_the_value_back(kind: str) -> None:
    channel = filled(kind)

    again = KINDS[kind]().from_checkpoint(channel.checkpoint())

    assert value_of(again) == (MISSING if kind == "UntrackedValue" else value_of(channel))
    assert again == channel


@every_kind
def test_a_saved_value_does_not_change_with_its_channel(kind: str) -> None:
    channel = filled(kind)
    saved = channel.checkpoint()
    as_it_was = copy.deepcopy(saved)

    channel.update(FULL.get(kind, [3]))
    channel.consume()
    channel.update(FULL.get(kind, [4]))

    assert saved == as_it_was


@every_kind
def test_a_channel_from_nothing_is_as_new(kind: str) -> None:
    again = filled(kind).from_checkpoint(MISSING)

    assert value_of(again) == value_of(KINDS[kind]())
    assert again.typ == KINDS[kind]().typ


@every_kind
def test_no_writes_on_an_empty_channel_change_nothing(kind: str) -> None:
    assert KINDS[kind]().update([]) is False
    assert KINDS[kind]().consume() is False
    assert KINDS[kind]().finish() is False


@every_kind
def test_reading_agrees_with_being_available(kind: str) -> None:
    for channel in (KINDS[kind](), filled(kind)):
        if channel.is_available():
            channel.get()
        else:
            with pytest.raises(EmptyChannelError):
                channel.get()


@every_kind
def test_channels_are_small_and_show_their_value(kind: str) -> None:
    channel = filled(kind)
    channel.key = "messages"

    assert not hasattr(channel, "__dict__")
    assert "messages" in repr(channel)
    assert type(channel).__name__ in repr(channel)


def test_reading_an_empty_channel_names_it() -> None:
    with pytest.raises(EmptyChannelError, match="'answer' has no value"):
        LastValue(int, "answer").get()


def test_channels_are_equal_if_they_treat_writes_alike() -> None:
    assert LastValue(int) == LastValue(str)
    assert LastValue(int) != AnyValue(int)
    assert EphemeralValue(int) != EphemeralValue(int, guard=False)
    assert UntrackedValue(int) != UntrackedValue(int, guard=False)
    assert Topic(int) != Topic(int, accumulate=True)
    assert BinaryOperatorAggregate(list, add) == BinaryOperatorAggregate(list, add)
    assert BinaryOperatorAggregate(list, add) != BinaryOperatorAggregate(list, max)
    assert BinaryOperatorAggregate(list, lambda a, b: a) == BinaryOperatorAggregate(list, lambda a, b: b)
    assert DeltaChannel(extend) != DeltaChannel(add)
    assert NamedBarrierValue(str, {"a"}) != NamedBarrierValue(str, {"b"})
    assert NamedBarrierValueAfterFinish(str, {"a"}) != NamedBarrierValueAfterFinish(str, {"b"})
    assert len({LastValue(int), LastValue(str), Topic(int)}) == 2


def test_none_is_a_value_and_missing_is_none() -> None:
    channel = LastValue(type(None))
    channel.update([None])

    assert channel.is_available()
    assert channel.get() is None
    assert not MISSING
    assert repr(MISSING) == "MISSING"
    assert copy.deepcopy(MISSING) is MISSING


class Counter(BaseChannel[int, Any, int]):
    """A channel as a user would write it, with nothing but what must be there."""

    def __init__(self, typ: Any, key: str = "") -> None:
        super().__init__(typ, key)
        self.count = 0

    def from_checkpoint(self, checkpoint: Any) -> Counter:
        again = Counter(self.typ, self.key)
        again.count = 0 if checkpoint is MISSING else checkpoint
        return again

    def get(self) -> int:
        if not self.count:
            raise EmptyChannelError
        return self.count

    def update(self, values: Any) -> bool:
        self.count += len(values)
        return bool(values)


def test_a_channel_of_ones_own_needs_only_three_methods() -> None:
    channel = Counter(int, "count")
    assert channel.checkpoint() is MISSING
    assert not channel.is_available()

    channel.update(["a", "b"])

    assert channel.copy().get() == channel.checkpoint() == 2
    assert channel.ValueType is channel.UpdateType is int


# ---- last value


def test_a_plain_key_has_the_last_value() -> None:
    channel = LastValue(int)

    assert channel.update([1])
    assert not channel.update([])
    assert channel.get() == 1
    assert channel.update([2])
    assert channel.get() == 2


def test_two_writes_to_a_plain_key_are_an_error_and_change_nothing() -> None:
    channel = LastValue(int, "k")
    channel.update([0])

    with pytest.raises(InvalidUpdateError) as caught:
        channel.update([1, 2])

    text = str(caught.value)
    assert text.startswith(
        "At key 'k': Can receive only one value per step. Use an Annotated key to handle multiple values."
    )
    assert "INVALID_CONCURRENT_GRAPH_UPDATE" in text.splitlines()[-1]
    assert channel.get() == 0


def test_overwriting_a_plain_key_is_writing_it() -> None:
    channel = LastValue(int)
    channel.update([Overwrite(5)])

    assert channel.get() == 5


def test_a_value_for_the_end_is_seen_when_all_is_done_and_gone_when_used() -> None:
    channel = LastValueAfterFinish(int)
    channel.update([1, 2])
    assert not channel.is_available()

    assert channel.finish()
    assert not channel.finish()
    assert channel.get() == 2
    assert channel.consume()

    assert not channel.is_available()
    assert not channel.consume()
    assert channel.checkpoint() is MISSING


def test_a_new_write_hides_the_value_for_the_end_again() -> None:
    channel = LastValueAfterFinish(int)
    channel.update([1])
    channel.finish()

    channel.update([2])

    assert not channel.is_available()
    assert channel.checkpoint() == (2, False)


# ---- any, ephemeral, untracked


def test_equal_values_may_be_written_at_once_and_last_one_step() -> None:
    channel = AnyValue(int)
    assert channel.update([1, 2])
    assert channel.get() == 2

    assert channel.update([])

    assert not channel.is_available()
    assert not channel.update([])


def test_an_ephemeral_value_is_seen_for_one_step() -> None:
    channel = EphemeralValue(int)
    assert channel.update([1])
    assert channel.get() == 1

    assert channel.update([])

    assert not channel.is_available()
    assert not channel.update([])


@pytest.mark.parametrize("kind", [EphemeralValue, UntrackedValue])
def test_a_guarded_value_takes_one_write(kind: Any) -> None:
    channel = kind(int)
    channel.key = "k"

    with pytest.raises(InvalidUpdateError, match=r"At key 'k': .*\n.*INVALID_CONCURRENT_GRAPH_UPDATE"):
        channel.update([1, 2])


@pytest.mark.parametrize("kind", [EphemeralValue, UntrackedValue])
def test_an_unguarded_value_takes_the_last_write(kind: Any) -> None:
    channel = kind(int, False)
    channel.update([1, 2])

    assert channel.copy().get() == 2
    assert channel.from_checkpoint(MISSING).guard is False


def test_an_untracked_value_stays_during_the_run_and_is_never_saved() -> None:
    channel = UntrackedValue(int)
    channel.update([1])
    assert not channel.update([])

    assert channel.get() == 1
    assert channel.copy().get() == 1
    assert channel.checkpoint() is MISSING
    assert not channel.from_checkpoint(7).is_available()


# ---- topic


def test_a_topic_lists_the_writes_of_one_step_with_lists_laid_flat() -> None:
    channel: Topic[Any] = Topic(int)

    assert channel.update([1, [2, 3], (4, 5), [[6]]])
    assert channel.get() == [1, 2, 3, (4, 5), [6]]
    assert channel.update([])
    assert not channel.is_available()
    assert not channel.update([])


def test_a_topic_that_accumulates_keeps_everything() -> None:
    channel = Topic(int, accumulate=True)
    channel.update([1])

    assert not channel.update([])
    assert not channel.update([[]])
    assert channel.update([[2, 3]])
    assert channel.get() == [1, 2, 3]


def test_a_list_read_from_a_topic_is_the_readers_own() -> None:
    channel = Topic(int)
    channel.update([1])
    channel.get().append(2)

    assert channel.get() == [1]


def test_a_topic_knows_what_can_be_written_to_it() -> None:
    assert Topic(int).ValueType == list[int]
    assert Topic(int).UpdateType == int | list[int]
    assert Topic(list[int]).ValueType == list[list[int]]  # type: ignore[arg-type]  # any type form will do


# ---- barriers


def test_a_barrier_opens_when_every_name_was_written() -> None:
    channel = NamedBarrierValue(str, {"a", "b"})

    assert channel.update(["a"])
    assert not channel.update(["a"])
    assert not channel.is_available()
    assert channel.update(["b"])
    assert channel.is_available()
    assert channel.get() is None


def test_a_used_barrier_waits_again() -> None:
    channel = NamedBarrierValue(str, {"a", "b"})
    assert not channel.consume()
    channel.update(["a", "b"])

    assert channel.consume()

    assert not channel.is_available()
    assert channel.checkpoint() == set()


@pytest.mark.parametrize("kind", [NamedBarrierValue, NamedBarrierValueAfterFinish])
def test_a_barrier_refuses_a_name_it_does_not_wait_for(kind: Any) -> None:
    channel = kind(str, {"a"})
    channel.key = "join:a:c"

    with pytest.raises(InvalidUpdateError, match=r"At key 'join:a:c': Value 'z' not in \{'a'\}"):
        channel.update(["z"])


def test_a_barrier_for_the_end_opens_when_all_is_done() -> None:
    channel = NamedBarrierValueAfterFinish(str, {"a", "b"})
    channel.update(["a"])
    assert not channel.finish()
    channel.update(["b"])
    assert not channel.is_available()

    assert channel.finish()
    assert not channel.finish()
    assert channel.is_available()
    assert channel.checkpoint() == ({"a", "b"}, True)

    assert channel.consume()
    assert not channel.is_available()
    assert channel.checkpoint() == (set(), False)


@pytest.mark.parametrize("saved", [[["a", "b"], True], ({"a", "b"}, True)])
def test_a_barrier_comes_back_though_a_serializer_made_lists_of_its_tuple(saved: Any) -> None:
    channel = NamedBarrierValueAfterFinish(str, {"a", "b"}).from_checkpoint(saved)

    assert channel.is_available()
