"""Pruning takes what a dry run has told, and leaves every newest checkpoint and living item as it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import perdure
from admin.rooms import BEGIN, KEY, talk, talker
from databases import QUICK
from perdure import admin
from perdure.testing.fake_clock import FakeClock


def counts(db: perdure.Database) -> tuple[int, int]:
    with db.backend.read() as now:
        return now.count("checkpoints"), now.count("history")


def filled(db: perdure.Database, clock: FakeClock) -> None:
    talk(db, threads=2, turns=3)
    db.store.put(("gone",), "k", {"n": 1})
    db.store.delete(("gone",), "k")
    clock.advance(days=40)
    talk(db, threads=2, turns=2)
    db.store.put_many([(("many",), f"k{n}", {"n": n}) for n in range(1500)])
    db.store.put_many([(("many",), f"k{n}", {"n": -n}) for n in range(1500)])


@pytest.mark.parametrize("url", QUICK, indirect=True)
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize(
    "options",
    [
        {"older_than": timedelta(days=30)},
        {"older_than": timedelta(0)},
        {"keep": 2},
        {"keep": 3, "older_than": timedelta(days=30)},
        {"keep_versions": 1},
        {"keep_versions": 2, "threads": False},
        {"older_than": timedelta(days=30), "memory": False},
        {"older_than": timedelta(days=30), "threads": False},
        {"older_than": timedelta(days=300)},
        {"older_than": timedelta.max},
    ],
    ids=str,
)
def test_a_dry_run_tells_what_then_goes(url: str, key: str | None, options: dict[str, Any]) -> None:
    with FakeClock(BEGIN) as clock, perdure.connect(url, encryption=key, keep_history="all") as db:
        filled(db, clock)
        clock.advance(seconds=1)
        before = counts(db)
        living = [(item.key, item.value) for item in db.store.search((), limit=5000)]
        states = [talker(db).get_state({"configurable": {"thread_id": id}}).values for id in db.threads()]

        told = admin.prune(db, dry_run=True, **options)
        assert counts(db) == before
        seen: list[tuple[str, int]] = []
        gone = admin.prune(db, progress=lambda what, done: seen.append((what, done)), **options)

        assert gone == told
        after = counts(db)
        assert (before[0] - after[0], before[1] - after[1]) == (gone.checkpoints, gone.versions)
        assert admin.prune(db, **options) == admin.Pruned(0, 0, 0)
        assert [(item.key, item.value) for item in db.store.search((), limit=5000)] == living
        assert [
            talker(db).get_state({"configurable": {"thread_id": id}}).values for id in db.threads()
        ] == states
        assert admin.check(db) == []
        if "keep" in options and "older_than" not in options:
            for id in db.threads():
                listed = list(db.checkpointer.list({"configurable": {"thread_id": id, "checkpoint_ns": ""}}))
                assert len(listed) == options["keep"]
        steps = [done for what, done in seen if what == "versions"]
        assert steps[-1:] == ([gone.versions] if gone.versions else [])
        if "keep_versions" not in options and gone.versions > 1000:
            assert steps[0] == 1000, "in small commits"


@pytest.mark.parametrize(
    "options", [{}, {"keep": 0}, {"keep_versions": 0}, {"older_than": timedelta(-1)}], ids=str
)
def test_what_cannot_be_meant_is_refused_and_nothing_goes(options: dict[str, Any]) -> None:
    with perdure.connect("memory://") as db:
        talk(db, threads=1)
        before = counts(db)

        with pytest.raises(ValueError, match="Nothing was done"):
            admin.prune(db, **options)
        with pytest.raises(ValueError, match="at least 1"):
            db.checkpointer.prune(["t0"], keep=0)

        assert counts(db) == before
