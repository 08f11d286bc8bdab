"""Several groups at once: nobody pays for what a neighbour has to wait for, and who touches the same keeps its order. No database here."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from callers import join, start, until
from perdure.errors import Busy, StorageError
from perdure.storage.contract import Outcome, Revision
from perdure.storage.tables.lanes import Lanes, Locked


class Desks:
    """Work on members such as `"tea+jam 1"`, which touch the names before the space. `locked` are names that others have.

    As on Postgres, who touches what one before it in the group has to wait for, waits too. `hook` runs inside each group, with
    its members. Who waits gives up after `gives_up` seconds.
    """

    def __init__(self, most: int = 3) -> None:
        self.most = most
        self.patience = 60.0
        self.gives_up = 20.0
        self.locked: set[str] = set()
        self.made: list[str] = []
        self.threads: dict[str, str] = {}
        self.hook: Callable[[Sequence[str]], None] = lambda members: None
        self.waits: list[str] = []
        self._changed = threading.Condition()
        self._busy: set[str] = set()

    def lock(self, *names: str) -> None:
        with self._changed:
            self.locked |= set(names)

    def unlock(self, *names: str) -> None:
        with self._changed:
            self.locked -= set(names)
            self._changed.notify_all()

    def names(self, members: Sequence[str]) -> frozenset[bytes]:
        return frozenset(name.encode() for member in members for name in touched(member))

    def write(self, members: Sequence[str], outcomes: list[Outcome], *, wait: bool) -> bool:
        raise AssertionError("nobody leads so")

    def write_units(self, units: Sequence[Sequence[str]], outcomes: list[Outcome], *, wait: bool) -> None:
        members = [member for unit in units for member in unit]
        names = {name for member in members for name in touched(member)}
        with self._changed:
            assert not names & self._busy, "one name in two groups at once"
            self._busy |= names
        try:
            self.hook(members)
            behind: set[str] = set()
            outcomes += [outcome for unit in units for outcome in self._unit(unit, wait, behind)]
        finally:
            with self._changed:
                self._busy -= names

    def _unit(self, unit: Sequence[str], wait: bool, behind: set[str]) -> Iterator[Outcome]:
        left = False
        for member in unit:
            names = touched(member)
            with self._changed:
                if wait and names & self.locked:
                    self.waits.append(member)
                    if not self._changed.wait_for(lambda names=names: not names & self.locked, self.gives_up):
                        yield Busy(f"{member} is locked.")
                        continue
                left = left or bool(names & (self.locked | behind))
                if left:
                    behind |= names
                else:
                    self.made.append(member)
                    self.threads[member] = threading.current_thread().name
                yield Locked(Busy(f"{member} is locked.")) if left else Revision(0, len(self.made))

    def untidy(self) -> bool:
        return False

    def tidy(self) -> bool:
        return True


def touched(member: str) -> set[str]:
    return set(member.split()[0].split("+"))


@pytest.fixture
def desks() -> Desks:
    return Desks()


@pytest.fixture
def queue(desks: Desks) -> Lanes[str]:
    return lanes(desks)


def lanes(desks: Desks) -> Lanes[str]:
    return Lanes(desks, lambda: StorageError("closed"))


def held(desks: Desks, member: str) -> tuple[threading.Event, threading.Event]:
    """Whoever commits this member stands still: (it is there, it may go on)."""
    inside, go = threading.Event(), threading.Event()

    def hold(members: Sequence[str]) -> None:
        if member in members:
            inside.set()
            assert go.wait(20)

    desks.hook = hold
    return inside, go


def test_who_touches_what_is_locked_waits_alone(desks: Desks, queue: Lanes[str]) -> None:
    desks.lock("tea")
    waiting = start(lambda: queue.commit(["tea 1"]))
    until(lambda: desks.waits == ["tea 1"])

    for n in range(5):
        assert queue.commit([f"jam {n}"]) == [Revision(0, n + 1)]
    desks.unlock("tea")
    join(waiting)

    assert desks.made[5:] == ["tea 1"]


def test_of_a_group_those_wait_that_touch_what_is_locked(desks: Desks, queue: Lanes[str]) -> None:
    inside, go = held(desks, "first 1")
    first = start(lambda: queue.commit(["first 1"]))
    assert inside.wait(20)
    desks.lock("tea", "ham")
    told: list[Outcome] = []
    others = start(*(lambda name=name: queue.commit([f"{name} 1"]) for name in ("jam", "rye", "fig")))
    locked = start(lambda: queue.commit(["tea 1"]))
    queue.commit_soon("ham 1", told.append)
    until(lambda: queue.waiting == 5)
    go.set()
    join([*first, *others])

    assert sorted(desks.made) == ["fig 1", "first 1", "jam 1", "rye 1"]
    desks.unlock("tea", "ham")
    join(locked)
    until(lambda: len(told) == 1)
    assert isinstance(told[0], Revision)


def test_who_touches_the_same_as_somebody_who_waits_stays_behind(desks: Desks, queue: Lanes[str]) -> None:
    desks.lock("tea")
    told: list[str] = []
    for n in range(5):
        queue.commit_soon(f"tea {n}", lambda _, n=n: told.append(f"tea {n}"))
    until(lambda: desks.waits == ["tea 0"])

    queue.commit(["jam 1"])
    assert told == []
    desks.unlock("tea")

    until(lambda: len(told) == 5)
    assert desks.made == ["jam 1", *(f"tea {n}" for n in range(5))]


def test_who_touches_the_same_as_somebody_who_has_to_stay_behind_stays_behind_that_one(
    desks: Desks, queue: Lanes[str]
) -> None:
    desks.lock("tea")
    threads = start(lambda: queue.commit(["tea 1"]))
    until(lambda: desks.waits == ["tea 1"])
    threads += start(lambda: queue.commit(["tea 2", "jam 2"]))
    until(lambda: queue.waiting == 1)
    threads += start(lambda: queue.commit(["jam 3"]))
    until(lambda: queue.waiting == 2)

    queue.commit(["rye 1"])
    desks.unlock("tea")
    join(threads)

    assert desks.made == ["rye 1", "tea 1", "tea 2", "jam 2", "jam 3"]


def test_of_one_caller_s_commits_those_before_are_made_and_those_behind_wait(
    desks: Desks, queue: Lanes[str]
) -> None:
    desks.lock("tea")
    found: list[Outcome] = []
    waiting = start(lambda: found.extend(queue.commit(["jam 1", "tea 1", "rye 1"])))
    until(lambda: desks.waits == ["tea 1"])
    assert desks.made == ["jam 1"]
    desks.unlock("tea")
    join(waiting)

    assert found == [Revision(0, n) for n in (1, 2, 3)]
    assert desks.made == ["jam 1", "tea 1", "rye 1"]


@pytest.mark.parametrize("soon", [False, True], ids=["a caller", "the helper"])
def test_a_leader_that_does_not_come_back_loses_the_lead(desks: Desks, queue: Lanes[str], soon: bool) -> None:
    inside, go = held(desks, "tea 1")
    told: list[Outcome] = []
    first = start(lambda: queue.commit(["tea 1"])) if not soon else []
    if soon:
        queue.commit_soon("tea 1", told.append)
    assert inside.wait(20)
    behind = start(lambda: queue.commit(["tea 2"]))
    until(lambda: queue.waiting == 1)

    join(start(lambda: queue.commit(["jam 1"])))
    queue.commit_soon("jam 2", told.append)
    until(lambda: desks.made == ["jam 1", "jam 2"])
    assert queue.commit(["jam 3"]) == [Revision(0, 3)]
    go.set()
    join([*first, *behind])

    assert desks.made == ["jam 1", "jam 2", "jam 3", "tea 1", "tea 2"]
    until(lambda: len(told) == (2 if soon else 1))
    assert queue.commit(["tea 3"]) == [Revision(0, 6)]


def test_where_all_lanes_are_taken_who_waits_is_tried_again(desks: Desks, queue: Lanes[str]) -> None:
    names = ["tea", "jam", "rye", "fig", "ham"]
    desks.lock(*names)
    waiting = start(*(lambda name=name: queue.commit([f"{name} 1"]) for name in names))
    until(lambda: len(desks.waits) == 2 and queue.waiting == 3)

    free = next(name for name in names if f"{name} 1" not in desks.waits)
    desks.unlock(free)
    until(lambda: desks.made == [f"{free} 1"])
    queue.commit(["cod 1"])
    desks.unlock(*names)
    join(waiting)

    assert sorted(desks.made) == sorted([*(f"{name} 1" for name in names), "cod 1"])


def test_who_is_tried_for_too_long_is_told(desks: Desks) -> None:
    desks.most, desks.patience = 1, 0.2
    queue = lanes(desks)
    desks.lock("tea")
    told: list[Outcome] = []
    queue.commit_soon("tea 1", told.append)

    (outcome,) = queue.commit(["tea 2"])

    assert isinstance(outcome, Busy)
    assert "tea 2 is locked" in str(outcome)
    until(lambda: [type(one) for one in told] == [Busy])
    assert queue.commit(["jam 1"]) == [Revision(0, 1)]


def test_a_signal_while_it_waits_frees_the_lane(desks: Desks) -> None:
    desks.most = 2
    queue = lanes(desks)
    desks.lock("tea")
    left = [KeyboardInterrupt()]

    def interrupt(members: Sequence[str]) -> None:
        if members == ["tea 1"] and len(left) < 2:
            left.append(KeyboardInterrupt())  # brief, the first time
        elif members == ["tea 1"]:
            raise left[0]

    desks.hook = interrupt
    with pytest.raises(KeyboardInterrupt):
        queue.commit(["tea 1"])

    waiting = start(lambda: queue.commit(["tea 2"]))
    until(lambda: desks.waits == ["tea 2"])
    desks.unlock("tea")
    join(waiting)
    queue.close()
    assert desks.made == ["tea 2"]


class Signalled:
    """The same lock; who gives it back the n-th time on this thread is hit by a signal as soon as it is free."""

    def __init__(self, lock: threading.Lock, at: int) -> None:
        self._lock = lock
        self._left = at
        self._thread = threading.get_ident()

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if threading.get_ident() == self._thread:
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_signal_beside_the_work_leaves_lead_and_lanes_free(desks: Desks, at: int) -> None:
    desks.most = 2
    queue = lanes(desks)
    desks.lock("tea")
    plain = queue._lock
    queue._lock = Signalled(plain, at)  # type: ignore[assignment]
    unlocking = start(lambda: (until(lambda: bool(desks.waits)), desks.unlock("tea"))) if at > 2 else []

    with pytest.raises(KeyboardInterrupt):
        queue.commit(["tea 1"])
    desks.unlock("tea")
    join(unlocking)
    queue._lock = plain

    desks.lock("jam")
    desks.waits.clear()
    waiting = start(lambda: queue.commit(["jam 1"]))
    until(lambda: desks.waits == ["jam 1"])
    assert isinstance(queue.commit(["tea 2"])[0], Revision)
    desks.unlock("jam")
    join(waiting)
    queue.close()


def test_closing_serves_who_waits(desks: Desks, queue: Lanes[str]) -> None:
    desks.lock("tea", "jam", "rye")
    told: list[Outcome] = []
    for name in ("tea", "jam", "rye", "tea"):
        queue.commit_soon(f"{name} {len(told)}", told.append)
    until(lambda: len(desks.waits) == 2)
    closing = start(queue.close)
    desks.unlock("tea", "jam", "rye")
    join(closing)

    until(lambda: len(told) == 4)
    with pytest.raises(StorageError):
        queue.commit(["late 1"])


def test_an_event_loop_never_leads(desks: Desks, queue: Lanes[str]) -> None:
    told: list[Outcome] = []
    queue.enqueue("tea 1", told.append)

    assert not queue.lead_now()

    until(lambda: len(told) == 1)
    assert desks.threads == {"tea 1": "perdure-commits"}


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_is_served_once_each_in_order_while_others_lock_and_stall(desks: Desks, seed: int) -> None:
    queue = lanes(desks)
    names = [f"n{n}" for n in range(6)]
    told: list[Outcome] = []
    over = threading.Event()
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
        for i in range(25):
            name = names[(n * 7 + i * (n + 1)) % len(names)]
            match (n + i) % 3:
                case 0:
                    queue.commit_soon(f"{name} {n}.{i:02}", told.append)
                case 1:
                    queue.commit([f"{name} {n}.{i:02}", f"{names[n % 6]} {n}.{i:02}+"])
                case _:
                    queue.commit([f"{name} {n}.{i:02}"])

    meanwhile = start(others)
    join(start(*(lambda n=n: work(n) for n in range(12))))
    queue.close()
    over.set()
    join(meanwhile)

    assert len(desks.made) == len(set(desks.made)) == 12 * 25 + 100
    until(lambda: len(told) == 100)
    assert all(isinstance(outcome, Revision) for outcome in told)
    for name in names:
        for n in range(12):  # of one caller and one name
            mine = [made for made in desks.made if made.startswith(f"{name} {n}.")]
            assert mine == sorted(mine)


def test_who_goes_back_to_the_queue_is_not_overtaken_by_who_came_behind(
    desks: Desks, queue: Lanes[str]
) -> None:
    """All three are in one group: the first gets a lane, the second waits for it, the third touches what the second does."""
    desks.lock("jam")
    inside, go = held(desks, "first 1")
    waiting = start(lambda: queue.commit(["first 1"]))
    assert inside.wait(20)
    for member in ("tea+jam 1", "oil+jam 2", "oil 3"):
        waiting += start(lambda member=member: queue.commit([member]))
        until(lambda member=member: any(member in entry.members for entry in queue._queue))
    go.set()
    until(lambda: "tea+jam 1" in desks.waits)
    queue.commit(["salt 4"])
    desks.unlock("jam")
    join(waiting)

    made = [member for member in desks.made if member.startswith("oil")]
    assert made == ["oil+jam 2", "oil 3"]


def test_all_who_wait_for_one_name_are_told_when_the_first_has_waited_long_enough(
    desks: Desks, queue: Lanes[str]
) -> None:
    desks.patience = desks.gives_up = 0.2
    desks.lock("tea")
    inside, go = held(desks, "first 1")
    waiting = start(lambda: queue.commit(["first 1"]))
    assert inside.wait(20)
    told: list[Outcome] = []
    for n in range(5):
        member = f"tea {n}"
        waiting += start(lambda member=member: told.extend(queue.commit([member])))
        until(lambda member=member: any(member in entry.members for entry in queue._queue))
    go.set()
    join(waiting)

    assert [type(outcome) for outcome in told] == [Busy] * 5
    assert desks.waits == ["tea 0"]  # the others did not begin to wait when it had


def test_a_caller_whom_a_signal_took_holds_nobody_up(desks: Desks) -> None:
    """It sleeps in somebody else's group, what it touches is locked, and Ctrl-C comes."""
    desks.most = 1  # so nobody takes the lead from who stands still here
    queue = lanes(desks)
    desks.lock("tea")
    first, after_first = threading.Event(), threading.Event()
    inside, go = threading.Event(), threading.Event()

    def hold(members: Sequence[str]) -> None:
        if "first 1" in members:
            first.set()
            assert after_first.wait(20)
        if "jam 1" in members:
            inside.set()
            assert go.wait(20)

    desks.hook = hold
    others = start(lambda: queue.commit(["first 1"]))
    assert first.wait(20)
    others += start(lambda: queue.commit(["jam 1"]))
    until(lambda: queue.waiting == 1)

    caller = threading.get_ident()

    def interrupt() -> None:
        until(lambda: queue.waiting == 2)
        after_first.set()
        assert inside.wait(20)
        signal.pthread_kill(caller, signal.SIGINT)  # to the thread that sleeps

    others += start(interrupt)
    with pytest.raises(KeyboardInterrupt):
        queue.commit(["tea 1"])
    go.set()
    join(others)
    desks.unlock("tea")
    join(start(lambda: queue.commit(["tea 2"]), queue.close))

    assert "tea 1" not in desks.made
    assert "tea 2" in desks.made
