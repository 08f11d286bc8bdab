"""A process that may start no more threads: who commits is served all the same, and nobody waits for ever. No database here."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from callers import join, start, until
from perdure.errors import Busy, StorageError
from perdure.storage.contract import Outcome, Revision
from perdure.storage.tables import lanes
from perdure.storage.tables.group import GroupQueue
from perdure.storage.tables.lanes import Lanes
from storage.test_group import Desk
from storage.test_lanes import Desks, held


def CLOSED() -> Exception:
    return StorageError("closed")


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """No thread of ours can be started; called with a share, so many of them cannot."""
    real, dice, share = threading.Thread.start, random.Random(1), [1.0]

    def start(self: threading.Thread) -> None:
        if self.name.startswith("perdure-") and dice.random() < share[0]:
            raise RuntimeError("can't start new thread")
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start)

    def refuse(how_many: float) -> None:
        share[0] = how_many

    return refuse


def test_who_cannot_wait_is_served_by_whoever_came() -> None:
    desk, told = Desk(), list[Outcome]()
    queue = GroupQueue(desk, CLOSED)

    queue.commit_soon("a", told.append)
    queue.commit_soon("b", told.append)

    assert told == [Revision(0, 1), Revision(0, 2)]
    assert set(desk.threads) == {threading.current_thread().name}
    assert queue.commit(["c"]) == [Revision(0, 3)]
    queue.close()


@pytest.mark.parametrize(
    "why", ["commits take long", "there is something to tidy", "another process is at it"]
)
def test_an_event_loop_leads_where_nobody_else_can(why: str) -> None:
    desk, told = Desk(), list[Outcome]()
    queue = GroupQueue(desk, CLOSED)
    if why == "commits take long":
        desk.hook = lambda members: time.sleep(0.01)
        queue.commit(["slow"])
    elif why == "there is something to tidy":
        desk.dirty = True
    else:
        desk.free = False
    queue.enqueue("a", told.append)

    queue.lead_now()

    assert len(told) == 1
    assert queue.commit(["b"])[0] == Revision(0, len(desk.groups))
    queue.close()


def test_who_came_while_another_committed_is_served_by_that_one() -> None:
    desk, told = Desk(), list[Outcome]()
    queue = GroupQueue(desk, CLOSED)
    inside, go = threading.Event(), threading.Event()

    def hold(members: Sequence[str]) -> None:
        if "first" in members:
            inside.set()
            assert go.wait(20)

    desk.hook = hold
    first = start(lambda: queue.commit(["first"]))
    assert inside.wait(20)
    for n in range(3):
        queue.commit_soon(f"soon {n}", told.append)
    assert told == []
    go.set()
    join(first)

    assert told == [Revision(0, 2)] * 3
    queue.close()


def test_closing_serves_who_came() -> None:
    desk, told = Desk(), list[Outcome]()
    queue = GroupQueue(desk, CLOSED)
    for n in range(3):
        queue.enqueue(f"soon {n}", told.append)

    join(start(queue.close))

    assert len(told) == 3


def test_a_callback_that_commits_is_served_too() -> None:
    desk, told = Desk(), list[Outcome]()
    queue = GroupQueue(desk, CLOSED)

    queue.commit_soon("a", lambda _: queue.commit_soon("b", lambda _: told.extend(queue.commit(["c"]))))

    assert desk.groups == [["a"], ["b"], ["c"]]
    assert told == [Revision(0, 3)]
    queue.close()


def test_who_does_not_wait_is_told_at_once_what_is_locked() -> None:
    desks, told = Desks(), list[Outcome]()
    queue = Lanes(desks, CLOSED)
    desks.lock("tea")

    queue.commit_soon("tea 1", told.append)

    assert [type(one) for one in told] == [Busy]
    queue.commit_soon("jam 1", told.append)
    assert told[1] == Revision(0, 1)
    desks.unlock("tea")
    assert queue.commit(["tea 2"]) == [Revision(0, 2)]
    queue.close()


def test_where_all_lanes_are_taken_who_sleeps_looks() -> None:
    desks = Desks()
    queue = Lanes(desks, CLOSED)
    names = ["tea", "jam", "rye", "fig", "ham"]
    desks.lock(*names)
    waiting = start(*(lambda name=name: queue.commit([f"{name} 1"]) for name in names))
    until(lambda: len(desks.waits) == 2 and queue.waiting == 3)
    told: list[Outcome] = []
    queue.commit_soon("fig 2", told.append)  # behind, or put aside where no lane is free

    free = next(name for name in names if f"{name} 1" not in desks.waits)
    desks.unlock(free)
    until(lambda: f"{free} 1" in desks.made)
    desks.unlock(*names)
    join(waiting)

    until(lambda: len(told) == 1)
    assert {f"{name} 1" for name in names} <= set(desks.made)
    queue.close()


def test_a_leader_that_does_not_come_back_loses_the_lead_to_who_sleeps() -> None:
    desks = Desks()
    queue = Lanes(desks, CLOSED)
    inside, go = held(desks, "tea 1")
    first = start(lambda: queue.commit(["tea 1"]))
    assert inside.wait(20)

    join(start(lambda: queue.commit(["jam 1"])))

    assert desks.made == ["jam 1"]
    go.set()
    join(first)
    queue.close()


def test_who_fell_asleep_while_somebody_watched_looks_when_nobody_does_any_more(
    refused: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_LOOKS_IN_VAIN", 0)
    refused(0.0)
    desks = Desks(most=1)
    queue = Lanes(desks, CLOSED)
    inside = {name: threading.Event() for name in ("first", "second")}
    go = {name: threading.Event() for name in inside}

    def hold(members: Sequence[str]) -> None:
        for name in inside:
            if f"{name} 1" in members:
                inside[name].set()
                assert go[name].wait(20)

    desks.hook = hold
    waiting: list[threading.Thread] = []
    for number, name in enumerate(["first", "second", "tea"]):
        waiting += start(lambda name=name: queue.commit([f"{name} 1"]))
        until(lambda number=number: queue.waiting == number if number else inside["first"].is_set())
    go["first"].set()
    assert inside["second"].wait(20)  # in one group with the last, who sleeps
    until(lambda: queue._watcher is None)
    desks.lock("tea")
    refused(1.0)
    go["second"].set()
    until(lambda: "second 1" in desks.made)
    desks.unlock("tea")
    join(waiting)

    assert desks.made == ["first 1", "second 1", "tea 1"]
    queue.close()


@pytest.mark.parametrize("share", [1.0, 0.5], ids=["no thread", "every other thread"])
@pytest.mark.parametrize("seed", range(4))
def test_a_crowd_is_served_once_each_while_others_lock_and_stall(
    refused: Callable[[float], None], share: float, seed: int
) -> None:
    refused(share)
    desks, told, found, over = Desks(), list[Outcome](), list[Outcome](), threading.Event()
    queue: Lanes[str] = Lanes(desks, CLOSED)
    names = [f"n{n}" for n in range(6)]
    dice = random.Random(seed)

    def stalls(members: Sequence[str]) -> None:
        if dice.random() < 0.02:
            time.sleep(0.15)

    desks.hook = stalls

    def others() -> None:
        while not over.is_set():
            some = dice.sample(names, 2)
            desks.lock(*some)
            over.wait(0.03)
            desks.unlock(*some)
            over.wait(0.005)

    def work(n: int) -> None:
        for i in range(20):
            member = f"{names[(n * 7 + i * (n + 1)) % len(names)]} {n}.{i:02}"
            if (n + i) % 3:
                found.extend(queue.commit([member]))
            else:
                queue.commit_soon(member, told.append)

    meanwhile: list[Any] = start(others)
    join(start(*(lambda n=n: work(n) for n in range(9))), 60)
    join(start(queue.close))
    over.set()
    join(meanwhile)

    assert (len(found), len(told)) == (120, 60)
    assert all(isinstance(outcome, Revision) for outcome in found)
    assert all(isinstance(outcome, Revision | Busy) for outcome in told)
    assert len(desks.made) == len(set(desks.made)) == 120 + sum(isinstance(one, Revision) for one in told)
