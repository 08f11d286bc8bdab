"""Leaders and followers: who commits, who waits, who is told, whatever happens to the leader. No database here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from callers import join, start, until
from perdure.errors import StorageError
from perdure.storage.contract import Outcome, Revision
from perdure.storage.tables.entries import Entry
from perdure.storage.tables.group import GroupQueue


class Desk:
    """Work that takes down what it is given; `hook` runs inside each group."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.threads: list[str] = []
        self.hook: Callable[[Sequence[str]], None] = lambda members: None
        self.after: Callable[[], None] = lambda: None
        self.free = True
        self.tidied = 0
        self.dirty = False
        self._busy = threading.Lock()

    def write(self, members: Sequence[str], outcomes: list[Outcome], *, wait: bool) -> bool:
        assert self._busy.acquire(blocking=False), "two leaders at once"
        try:
            if not self.free and not wait:
                return False
            self.hook(members)
            self.groups.append(list(members))
            self.threads.append(threading.current_thread().name)
            outcomes += [Revision(0, len(self.groups)) for _ in members]
            self.after()
            return True
        finally:
            self._busy.release()

    def untidy(self) -> bool:
        return self.dirty

    def tidy(self) -> bool:
        self.tidied += 1
        self.dirty = False
        return True


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def queue(desk: Desk) -> GroupQueue[str]:
    return GroupQueue(desk, lambda: StorageError("closed"))


def test_who_finds_nobody_at_work_leads_on_its_own_thread(desk: Desk, queue: GroupQueue[str]) -> None:
    assert queue.commit(["a", "b"]) == [Revision(0, 1)] * 2
    assert desk.threads == [threading.current_thread().name]


def test_who_comes_meanwhile_is_one_group(desk: Desk, queue: GroupQueue[str]) -> None:
    inside, go = threading.Event(), threading.Event()

    def hold(members: Sequence[str]) -> None:
        if members == ["first"]:
            inside.set()
            assert go.wait(20)

    desk.hook = hold
    leader = start(lambda: queue.commit(["first"]))
    assert inside.wait(20)
    told: list[Outcome] = []
    followers = start(*(lambda n=n: queue.commit([f"f{n}"]) for n in range(10)))
    queue.commit_soon("soon", told.append)
    until(lambda: queue.waiting == 11)
    go.set()
    join([*leader, *followers])

    assert desk.groups[0] == ["first"]
    assert sorted(desk.groups[1]) == sorted([*(f"f{n}" for n in range(10)), "soon"])
    assert len(desk.groups) == 2
    until(lambda: told == [Revision(0, 2)])


def test_a_signal_before_the_commit_hits_its_own_thread_only(desk: Desk, queue: GroupQueue[str]) -> None:
    told: list[Outcome] = []
    queue.enqueue("other", told.append)

    def interrupt(members: Sequence[str]) -> None:
        if "mine" in members:
            raise KeyboardInterrupt

    desk.hook = interrupt
    with pytest.raises(KeyboardInterrupt):
        queue.commit(["mine"])

    until(lambda: len(told) == 1)
    assert desk.groups == [["other"]]
    assert queue.commit(["next"])


class Signalled:
    """The same lock; who gives it back the n-th time is hit by a signal as soon as it is free."""

    def __init__(self, lock: threading.Lock, at: int) -> None:
        self._lock = lock
        self._left = at

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("way", "at"),
    [
        (way, at)
        for way, most in (("alone", 2), ("with others", 4), ("an event loop", 3))
        for at in range(1, most + 1)
    ],
)
def test_a_signal_beside_the_work_leaves_the_lead_free(queue: GroupQueue[str], way: str, at: int) -> None:
    told: list[Outcome] = []
    if way != "alone":
        queue.enqueue("other", told.append)
    plain = queue._lock  # pyright: ignore[reportPrivateUsage]
    queue._lock = Signalled(plain, at)  # type: ignore[assignment]

    with pytest.raises(KeyboardInterrupt):
        queue.lead_now() if way == "an event loop" else queue.commit(["mine"])
    queue._lock = plain  # pyright: ignore[reportPrivateUsage]

    join(start(lambda: queue.commit(["next"])))
    until(lambda: len(told) == (way != "alone"))
    queue.close()


def test_who_was_taken_by_a_signal_is_not_queued_again_when_the_leader_is_taken_too(
    desk: Desk, queue: GroupQueue[str]
) -> None:
    """Both are in one group, of which nothing was committed."""
    gone = Entry(["theirs"])
    queue._queue.append(gone)

    def hook(members: Sequence[str]) -> None:
        if "theirs" in members:
            queue._leave(gone)
            desk.hook = lambda members: None
            raise KeyboardInterrupt

    desk.hook = hook
    with pytest.raises(KeyboardInterrupt):
        queue.commit(["mine"])

    assert queue.waiting == 0
    assert queue.commit(["later"]) == [Revision(0, 1)]


def test_a_signal_after_the_commit_still_tells_the_others(desk: Desk, queue: GroupQueue[str]) -> None:
    told: list[Outcome] = []
    queue.enqueue("other", told.append)

    def interrupt() -> None:
        desk.after = lambda: None
        raise KeyboardInterrupt

    desk.after = interrupt
    with pytest.raises(KeyboardInterrupt):
        queue.commit(["mine"])

    assert told == [Revision(0, 1)]
    assert desk.groups == [["other", "mine"]]
    assert queue.commit(["next"]) == [Revision(0, 2)]


def test_a_callback_may_commit_and_may_fail(
    desk: Desk, queue: GroupQueue[str], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Outcome] = []

    def fails(outcome: Outcome) -> None:
        told.append(outcome)
        queue.commit(["from a callback"])
        raise RuntimeError("not our business")

    queue.enqueue("a", fails)
    queue.enqueue("b", told.append)

    assert queue.lead_now()
    assert told == [Revision(0, 1)] * 2
    assert desk.groups == [["a", "b"], ["from a callback"]]
    assert "not our business" in caplog.text


def test_an_event_loop_never_waits_for_a_lock(desk: Desk, queue: GroupQueue[str]) -> None:
    told: list[Outcome] = []
    desk.free = False
    queue.enqueue("a", told.append)

    assert not queue.lead_now()

    until(lambda: len(told) == 1)
    assert desk.threads == ["perdure-commits"]


def test_an_event_loop_does_not_tidy(desk: Desk, queue: GroupQueue[str]) -> None:
    told: list[Outcome] = []
    desk.dirty = True
    queue.enqueue("a", told.append)

    queue.lead_now()

    assert desk.threads == [threading.current_thread().name]
    assert told
    until(lambda: desk.tidied == 1)
    desk.dirty = True
    queue.commit(["b"])
    assert desk.tidied == 2


def test_closing_serves_who_came(desk: Desk, queue: GroupQueue[str]) -> None:
    told: list[Outcome] = []
    for n in range(5):
        queue.enqueue(f"{n}", told.append)

    queue.close()

    assert desk.groups == [["0", "1", "2", "3", "4"]]
    until(lambda: len(told) == 5)
    with pytest.raises(StorageError):
        queue.commit(["late"])
    with pytest.raises(StorageError):
        queue.commit_soon("late", told.append)


def test_a_crowd_is_served_once_each(desk: Desk, queue: GroupQueue[str]) -> None:
    told: list[Outcome] = []

    def work(n: int) -> None:
        for i in range(40):
            match (n + i) % 4:
                case 0:
                    queue.commit_soon(f"{n}.{i}", told.append)
                case 1:
                    queue.enqueue(f"{n}.{i}", told.append)
                    queue.lead_now()
                case _:
                    queue.commit([f"{n}.{i}"])

    join(start(*(lambda n=n: work(n) for n in range(16))))
    queue.close()

    members = [member for group in desk.groups for member in group]
    assert len(members) == len(set(members)) == 640
    until(lambda: len(told) == 320)
