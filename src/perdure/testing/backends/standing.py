"""Checks of where items stand in their namespace: numbers, what is nearest, now and as it was."""

from __future__ import annotations

from datetime import UTC, datetime

from perdure.storage.contract import Namespace, PruneHistory, PutItem, Revision, Snapshot, Standing
from perdure.testing.backends.kit import NOTES, Make, commit_of, opened
from perdure.testing.fake_clock import FakeClock


def _standing(now: Snapshot, key: str, space: Namespace = NOTES) -> Standing:
    item = now.item(space, key)
    assert item is not None
    return item.created_at, now.numbers([(space, key)])[space, key]


def _near(now: Snapshot, key: str, count: int, space: Namespace = NOTES) -> list[str]:
    (near,) = now.around([(space, _standing(now, key, space))], count)
    assert [(row.namespace, where[0]) for where, row in near] == [(space, row.created_at) for _, row in near]
    return [row.key for _, row in near]


def _made(key: str, created: int, value: bytes | None = b"x", space: Namespace = NOTES) -> PutItem:
    return PutItem(space, key, value, times=(created, created))


def check_items_stand_as_they_were_made(make: Make) -> None:
    """By when they were made, of one time as their keys were first written; each namespace by itself."""
    with opened(make) as db:
        db.commit(commit_of(items=[_made(key, 20) for key in ("z", "a", "m")]))
        db.commit(commit_of(items=[_made("first", 10), _made("last", 30), _made("b", 20)]))
        db.commit(commit_of(items=[_made("else", 20, space=(*NOTES, "x")), _made("also", 20, space=("b",))]))
        with db.read() as now:
            assert _near(now, "m", 9) == ["first", "z", "a", "b", "last"]
            assert _near(now, "m", 1) == ["a", "b"]
            assert _near(now, "first", 2) == ["z", "a"]
            assert _near(now, "m", 0) == []
            assert _near(now, "else", 9, (*NOTES, "x")) == []
            between, nowhere = now.around([(NOTES, (25, 0)), (("no", "such"), (0, 0))], 1)
            assert [row.key for _, row in between] == ["b", "last"]
            assert nowhere == []
            many = now.around([(NOTES, _standing(now, key)) for key in ("z", "a", "m", "b") * 30], 1)
            assert [[row.key for _, row in near] for near in many[:4]] == [
                ["first", "a"],
                ["z", "m"],
                ["a", "b"],
                ["m", "last"],
            ]
            assert many == many[:4] * 30


def check_a_number_stays_as_long_as_anything_is_kept(make: Make) -> None:
    """Over replacements, and over a deletion until that is pruned; of what nobody wrote there is none."""
    with opened(make) as db:
        db.commit(commit_of(items=[_made(key, 20) for key in ("a", "b", "c")]))
        db.commit(commit_of(items=[_made("a", 20, b"again"), _made("b", 20, None)]))
        with db.read() as now:
            numbers = now.numbers([(NOTES, key) for key in ("a", "b", "c", "never")])
            assert sorted(numbers, key=numbers.__getitem__) == [(NOTES, key) for key in ("a", "b", "c")]
            assert _near(now, "a", 9) == ["c"]
        db.commit(commit_of(items=[_made("b", 20)]))
        with db.read() as now:
            assert _near(now, "a", 9) == ["b", "c"]
            times = now.times(list(now.refs([(NOTES, "a"), (NOTES, "b")])))
            assert list(times.values()) == [20, 20]
        db.commit(commit_of(items=[_made("b", 20, None)]))
        db.commit(commit_of(removals=[PruneHistory(1 << 60, 100)]))
        with db.read() as now:
            assert (NOTES, "b") not in now.numbers([(NOTES, "b")])
        db.commit(commit_of(items=[_made("b", 20)]))
        with db.read() as now:
            assert _near(now, "a", 9) == ["c", "b"]


def check_what_has_expired_stands_nowhere(make: Make) -> None:
    """Neither beside what was made with it, nor before, nor behind; not in the past after its time."""
    mortal = [
        _made(key, n)._replace(expires=50) for n, key in ((5, "before"), (20, "b"), (20, "d"), (30, "behind"))
    ]
    with FakeClock(datetime(1970, 1, 1, tzinfo=UTC)) as clock, opened(make) as db:
        puts = [mortal[0], *(_made(key, 20) for key in "a"), mortal[1], _made("c", 20), mortal[2], mortal[3]]
        revision = db.commit(commit_of(items=puts))
        for micros, expected in ((49, ["before", "a", "b", "d", "behind"]), (50, ["a"])):
            clock.set(datetime(1970, 1, 1, microsecond=micros, tzinfo=UTC))
            with db.read() as now:
                assert _near(now, "c", 9) == expected
                (near,) = now.around_at([(NOTES, _standing(now, "c"))], 9, revision, micros)
                assert [row.key for _, row in near] == expected


def check_the_past_has_its_own_neighbours(make: Make) -> None:
    """What was deleted, replaced, or put again since stands where it stood, as it was."""
    with opened(make) as db:
        revisions = [db.commit(commit_of(items=[_made(key, n)])) for n, key in enumerate("abcde")]
        db.commit(commit_of(items=[_made("b", 1, b"new"), _made("c", 2, None)]))
        db.commit(commit_of(items=[_made("c", 9), _made("f", 8)]))
        with db.read() as now:
            where = (3, now.numbers([(NOTES, "d")])[NOTES, "d"])

            def seen(revision: Revision, count: int = 9) -> list[tuple[str, bytes | None]]:
                (near,) = now.around_at([(NOTES, where)], count, revision)
                return [(row.key, row.value) for _, row in near]

            assert seen(revisions[4]) == [(key, b"x") for key in "abce"]
            assert seen(revisions[4], 1) == [("c", b"x"), ("e", b"x")]
            assert seen(revisions[1]) == [("a", b"x"), ("b", b"x")]
            assert seen(now.revision()) == [("a", b"x"), ("b", b"new"), ("e", b"x"), ("f", b"x"), ("c", b"x")]
            assert [row.key for _, row in now.around([(NOTES, where)], 1)[0]] == ["b", "e"]
