"""Rows as items: their times are the stored microseconds, to the last one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from perdure.storage.contract import ItemRow, Origin, Revision
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import item_of, moment_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
YEAR_2106 = 1_000_000 << 32  # from here on seconds as floats no longer tell microseconds apart
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICRO


@settings(max_examples=2000, deadline=None)
@given(st.integers(-(10**15), LAST) | st.integers(10**15, YEAR_2106 + 10**7) | st.integers(0, 10**9))
@example(0)
@example(-1)
@example(YEAR_2106 - 1)
@example(YEAR_2106)
@example(LAST)
def test_a_time_is_exact(micros: int) -> None:
    moment = moment_of(micros)

    assert (moment - EPOCH) // MICRO == micros
    assert moment.tzinfo is UTC


def test_a_time_that_no_datetime_can_say_is_the_last_one() -> None:
    assert moment_of(LAST + 1) == moment_of(1 << 62) == datetime.max.replace(tzinfo=UTC)


def test_both_times_of_an_item_are_its_own() -> None:
    row = ItemRow(
        ("a",), "k", b"{}", 1_700_000_000_000_001, 1_700_000_000_000_002, 5, Revision(0, 3), Origin()
    )

    twice, once = item_of(ItemCodec(), row), item_of(ItemCodec(), row._replace(updated_at=row.created_at))

    assert twice.updated_at - twice.created_at == MICRO
    assert once.updated_at == once.created_at == twice.created_at
