"""The clock that is shipped for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perdure import InMemoryStore, clock
from perdure.testing import FakeClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_time_stands_still_until_it_is_moved() -> None:
    with FakeClock(NOON) as fake:
        assert (clock.now(), clock.now()) == (NOON, NOON)

        fake.advance(seconds=3600)
        assert clock.now() == NOON + timedelta(hours=1)

        fake.advance(days=-1, minutes=0.5)
        assert clock.now() == NOON + timedelta(hours=1, days=-1, seconds=30)

        fake.set(NOON)
        assert clock.micros() == fake.micros() == int(NOON.timestamp() * 1e6)


def test_it_begins_at_the_present_moment() -> None:
    before = clock.now()

    with FakeClock():
        assert before <= clock.now() <= before + timedelta(seconds=60)


def test_durations_never_go_back() -> None:
    with FakeClock(NOON) as fake:
        began = clock.monotonic()
        fake.advance(seconds=2)
        fake.advance(hours=-1)
        fake.set(NOON)

        assert clock.monotonic() - began == 2 + 3600 - 2


def test_the_earlier_clock_is_back_after_the_block() -> None:
    with FakeClock(NOON) as outer:
        with FakeClock(NOON - timedelta(days=1)), outer:
            assert clock.now() == NOON
        assert clock.now() == NOON

    assert clock.now() != NOON


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        FakeClock(datetime(2026, 3, 1))  # noqa: DTZ001 - the mistake


def test_items_are_as_old_as_the_clock_says() -> None:
    store = InMemoryStore()
    with FakeClock(NOON) as fake:
        store.put(("notes",), "k", {})
        fake.advance(hours=1)
        store.put(("notes",), "k", {})

    item = store.get(("notes",), "k")
    assert item is not None
    assert (item.created_at, item.updated_at) == (NOON, NOON + timedelta(hours=1))
