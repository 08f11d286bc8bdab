"""Checks over time: snapshots, change tokens, many threads at once, the end, and space given back."""

from __future__ import annotations

import threading

from perdure.errors import StorageError, VersionConflict
from perdure.storage.contract import HeadIs, ItemIs, Outcome, PruneHistory, SegmentRow
from perdure.testing.backends.kit import NOTES, Make, checkpoint_of, commit_of, opened, put_of
from perdure.testing.raised import raised


def check_a_snapshot_does_not_move(make: Make) -> None:
    """What is committed after it began, it does not see; a later one does."""
    with opened(make) as db:
        db.commit(commit_of(checkpoints=[checkpoint_of("t", "1")], items=[put_of("k", b"1")]))
        later = threading.Thread(
            target=lambda: db.commit(
                commit_of(
                    checkpoints=[checkpoint_of("t", "2", "1")], items=[put_of("k", b"2"), put_of("l", b"")]
                )
            )
        )

        with db.read() as then:
            later.start()
            later.join(0.05)  # a backend may make it wait for this snapshot
            item = then.item(NOTES, "k")
            assert item is not None
            assert (then.head("t", ""), item.value, then.count("items")) == ("1", b"1", 1)
            assert then.revision().seq == 1
        later.join()
        with db.read() as now:
            assert (now.head("t", ""), now.count("items"), now.revision().seq) == ("2", 2, 2)


def check_a_token_tells_of_every_commit(make: Make) -> None:
    """It differs after a commit and stays without one."""
    with opened(make) as db:
        tokens = [db.change_token()]
        for n in range(3):
            assert db.change_token() == tokens[-1]
            db.commit(commit_of(items=[put_of("k", b"%d" % n)]))
            tokens.append(db.change_token())

        assert len({repr(token) for token in tokens}) == 4


def check_many_threads_lose_nothing(make: Make) -> None:
    """Each appends to its own chain and all count in one item: compare and set, again on conflict."""
    with opened(make) as db:
        failures: list[Exception] = []

        def count_up() -> None:
            while True:
                with db.read() as now:
                    item = now.item(NOTES, "counter")
                number = 0 if item is None else int(item.value or b"0")
                try:
                    db.commit(
                        commit_of(
                            versions=[ItemIs(NOTES, "counter", None if item is None else item.version)],
                            items=[put_of("counter", b"%d" % (number + 1))],
                        )
                    )
                except VersionConflict:
                    continue
                return

        def work(thread: str) -> None:
            try:
                head = None
                for n in range(10):
                    row = checkpoint_of(thread, f"{n:03}", head)
                    segment = SegmentRow(thread, 1, n, 1, 1, b"%d" % n)
                    db.commit(
                        commit_of(heads=[HeadIs(thread, "", head)], checkpoints=[row], segments=[segment])
                    )
                    head = row.id
                count_up()
            except Exception as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

        workers = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(12)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        assert not failures, failures
        with db.read() as now:
            assert (now.count("checkpoints"), now.count("segments")) == (120, 120)
            item = now.item(NOTES, "counter")
            assert item is not None
            assert item.value == b"12"
            assert now.revision().seq >= 132  # a commit that failed may have taken a number


def check_a_closed_backend_says_so(make: Make) -> None:
    """Every call is a StorageError; closing again is nothing."""
    db = make()
    db.commit(commit_of(items=[put_of("k", b"1")]))
    assert not db.closed

    db.close()
    db.close()

    assert db.closed
    raised(StorageError, lambda: db.commit(commit_of()))
    raised(StorageError, lambda: db.commit_group([commit_of()]))
    raised(StorageError, lambda: db.read().__enter__())
    outcomes: list[Outcome] = []
    try:
        db.commit_soon(commit_of(), outcomes.append)
    except StorageError as error:
        outcomes.append(error)
    assert [isinstance(outcome, StorageError) for outcome in outcomes] == [True]


def check_space_is_given_back(make: Make) -> None:
    """After it, everything is as before."""
    with opened(make) as db:
        db.commit(commit_of(items=[put_of(f"k{n}", b"x" * 1_000) for n in range(300)]))
        db.commit(commit_of(items=[put_of(f"k{n}", None) for n in range(299)], removals=[]))
        db.commit(commit_of(removals=[PruneHistory(1 << 60, limit=10_000)]))

        db.vacuum()

        with db.read() as now:
            assert [row.key for row in now.items((), None, 9)] == ["k299"]
        db.commit(commit_of(items=[put_of("k299", b"2")]))
