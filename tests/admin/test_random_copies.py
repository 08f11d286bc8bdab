"""Whatever was done to memory and threads between copies, the copy is the same in the end."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import perdure
from admin.equal import assert_equal, told, view_of
from admin.rooms import BEGIN, talk
from perdure import admin
from perdure.storage.contract import PruneHistory, PruneVersions, commit_now
from perdure.testing.fake_clock import FakeClock

SPACES = [("a",), ("a", "b"), ("c",)]


def act(db: perdure.Database, luck: random.Random, clock: FakeClock) -> None:
    """One thing that happens to a database."""
    space, key = luck.choice(SPACES), f"k{luck.randrange(4)}"
    match luck.randrange(16):
        case 0 | 1 | 2 | 3:
            ttl: Any = luck.choice([None, None, 1, 5, 20])
            db.store.put(
                space, key, {"text": f"said {luck.random()}"}, ttl=ttl, index=luck.choice([None, False])
            )
        case 4 | 5:
            db.store.delete(space, key)
        case 6:
            db.store.get(space, key)
        case 7 | 8:
            clock.advance(minutes=luck.choice([0.5, 3, 30]))
        case 9:
            db.store.sweep_ttl()
        case 10:
            db.store.put_many([(s, key, {"n": luck.random()}) for s in SPACES])
        case 11:
            if luck.random() < 0.4:
                db.store.forget(space)
        case 12:
            before = clock.micros() - luck.choice([0, 60_000_000])
            db.backend.commit(commit_now(removals=[PruneHistory(before, luck.choice([1, 3, 1000]))]))
        case 13:
            db.backend.commit(commit_now(removals=[PruneVersions(((space, key),), luck.choice([1, 2]))]))
        case 14:
            talk(db, threads=1, turns=luck.randrange(1, 3), begin=luck.randrange(3))
        case _:
            thread = f"t{luck.randrange(3)}"
            if luck.random() < 0.5:
                db.checkpointer.prune([thread])
            else:
                db.checkpointer.delete_thread(thread)


@pytest.mark.parametrize(
    ("source_kind", "target_kind"),
    [
        ("any", "memory"),
        ("any", "sqlite"),
        pytest.param("any", "postgres", marks=pytest.mark.postgres),
        pytest.param("postgres", "sqlite", marks=pytest.mark.postgres),
        pytest.param("postgres", "postgres", marks=pytest.mark.postgres),
    ],
)
@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 150))]
)
def test_a_copy_in_several_turns_is_the_same_as_its_source(
    seed: int, source_kind: str, target_kind: str, url_of: Callable[[str], str]
) -> None:
    luck = random.Random(seed)
    own = luck.choice(["memory", "sqlite-memory"])
    source_url, target_url = url_of(own if source_kind == "any" else source_kind), url_of(target_kind)
    options: dict[str, Any] = {"ttl": {}, "keep_history": "all"}
    with (
        FakeClock(BEGIN) as clock,
        perdure.connect(source_url, **options) as source,
        perdure.connect(target_url, **options) as target,
    ):
        truth: dict[Any, Any] = {}
        for _ in range(luck.randrange(2, 5)):
            for _ in range(luck.randrange(25)):
                act(source, luck, clock)
                truth[clock.now()] = told(source.store.search((), limit=1000, refresh_ttl=False))
                clock.advance(seconds=1)
            admin.copy(source, target)

        assert_equal(source, target, list(truth))
        for moment, was in truth.items():
            assert view_of(target, moment) in (was, "compacted")
        assert admin.check(target) == []
