from __future__ import annotations

import os
import random
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import clock
from perdure.clock import new_checkpoint_id, random_id, use_clock, uuid6
from perdure.testing import FakeClock

SOON = datetime(1970, 1, 1, microsecond=5, tzinfo=UTC)
LATER = datetime(1970, 1, 1, microsecond=6, tzinfo=UTC)


@pytest.fixture
def held() -> Iterator[FakeClock]:
    with FakeClock() as mine:
        yield mine


def test_ids_grow_though_the_clock_stands(held: FakeClock) -> None:
    ids = [uuid6() for _ in range(1000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 1000


def test_ids_grow_though_the_clock_steps_back(held: FakeClock) -> None:
    before = new_checkpoint_id()
    held.advance(hours=-1)

    assert new_checkpoint_id() > before


def test_a_checkpoint_id_exceeds_a_head_that_another_process_made_an_hour_ahead(held: FakeClock) -> None:
    held.advance(hours=1)
    head = str(uuid.UUID(int=uuid6().int + (1000 << 64)))  # as of a process of which ours knows nothing
    held.advance(hours=-1)

    ids = [new_checkpoint_id(head) for _ in range(10)]

    assert ids == sorted(ids)
    assert head < ids[0]


def test_a_head_from_a_broken_clock_is_exceeded_without_taking_later_ids_along() -> None:
    head = "7f000000-0000-6000-8000-000000000000"

    assert new_checkpoint_id(head) > head
    assert new_checkpoint_id() < head


@pytest.mark.parametrize(
    "head", ["ffffffff-ffff-6fff-bfff-ffffffffffff", "zzz", "1", "", "not-a-uuid", "\ud800", "é" * 40]
)
def test_a_head_that_leaves_no_room_still_gets_an_id(head: str) -> None:
    assert uuid.UUID(new_checkpoint_id(head)).version == 6


@given(st.uuids())
def test_a_checkpoint_id_exceeds_any_uuid_below_the_last(head: uuid.UUID) -> None:
    if head.int >> 80 < (1 << 48) - 1:
        assert new_checkpoint_id(str(head)) > str(head)


@given(st.text())
def test_any_text_is_taken_as_a_head(head: str) -> None:
    uuid.UUID(new_checkpoint_id(head))


EPOCH = 0x01B21DD213814000  # 1970 in tenths of microseconds since 1582 (RFC 9562, 5.1)


def ticks_of(made: uuid.UUID) -> int:
    return (made.int >> 80) << 12 | (made.int >> 64) & 0xFFF


def test_ids_are_version_six_and_tell_their_time(held: FakeClock) -> None:
    earlier = uuid6()  # ids never go back, and another test's clock may have been ahead of this one
    ahead = (ticks_of(earlier) - EPOCH) // 10 - held.micros()
    held.advance(seconds=max(ahead // 1_000_000, 0) + 10)
    made = uuid6()

    assert (made.version, made.variant) == (6, uuid.RFC_4122)
    assert uuid.UUID(str(made)) == made
    assert ticks_of(made) == held.micros() * 10 + EPOCH


def test_both_forms_of_ids_sort_together() -> None:
    first, second, third = str(uuid6()), new_checkpoint_id(), str(uuid6())

    assert first < second < third


def test_node_and_clock_sequence_can_be_given() -> None:
    made = uuid6(node=0x123456789ABC, clock_seq=0x1FFF)

    assert str(made).endswith("-9fff-123456789abc")


def test_a_made_uuid_is_like_any_other() -> None:
    made = uuid6()

    assert made.is_safe is uuid.SafeUUID.unknown
    assert repr(made) == f"UUID('{made}')"
    assert hash(made) == hash(uuid.UUID(int=made.int))


def test_ids_of_many_threads_are_all_different() -> None:
    made: list[list[uuid.UUID]] = []

    def make() -> None:
        made.append([uuid6() for _ in range(2000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({one for some in made for one in some}) == 8000
    assert all(some == sorted(some) for some in made)


def test_a_programs_seed_neither_repeats_ids_nor_is_disturbed_by_them() -> None:
    random.seed(7)
    first, theirs = random_id(), random.random()
    random.seed(7)
    second, again = random_id(), random.random()

    assert first != second
    assert theirs == again


def test_a_random_id_fits_a_signed_column() -> None:
    assert all(0 <= random_id() < 1 << 63 for _ in range(100))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking with threads about is what is tested
def test_a_forked_child_draws_other_ids() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(random_id()).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert int(os.read(reader, 100)) != random_id()


def test_time_comes_from_the_clock_in_use(held: FakeClock) -> None:
    held.set(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))

    assert clock.now() == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert clock.micros() == 1_000_000
    assert clock.monotonic() == held.monotonic()


def test_the_earlier_clock_is_back_after_the_block() -> None:
    with use_clock(FakeClock(SOON)) as outer:
        with use_clock(FakeClock(LATER)) as inner:
            assert (clock.micros(), inner.micros()) == (6, 6)
        assert clock.micros() == outer.micros() == 5

    assert clock.micros() > 10**15


def test_now_is_now_in_utc() -> None:
    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 60
    assert clock.now().tzinfo is UTC
