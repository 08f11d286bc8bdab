"""SQLite and several processes: one file, forks, kills, torn logs."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from perdure.errors import Busy, StorageError
from perdure.storage.contract import Backend, Revision, SegmentRow
from perdure.storage.memory import MemoryBackend
from perdure.storage.sqlite import SqliteBackend, open_backend
from perdure.testing.backends import checkpoint_of, commit_of, put_of
from storage import child

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def test_eight_processes_open_a_fresh_file_at_once_and_all_write(tmp_path: Path) -> None:
    path = tmp_path / "fresh.db"
    children = [
        child.start(
            """
            sys.stdin.readline()
            db = open_backend(sys.argv[1])
            for n in range(10):
                append(db, sys.argv[2], n)
            db.close()
            """,
            path,
            f"t{n}",
        )
        for n in range(8)
    ]
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    for process in children:
        child.finished(process)

    assert child.count_in(path) == 80


def test_two_processes_see_each_others_commits(tmp_path: Path) -> None:
    path = tmp_path / "two.db"
    db = SqliteBackend(path)
    db.commit(
        commit_of(checkpoints=[checkpoint_of("t", "000000")], segments=[SegmentRow("t", 1, 0, 1, 1, b"0")])
    )
    before = db.change_token()

    child.run("db = open_backend(sys.argv[1]); append(db, 't', 1); append(db, 'new', 0); db.close()", path)

    assert db.change_token() != before
    with db.read() as now:
        assert now.heads("t") == [("", "000001")]
    # What the writer remembers of heads and numbers is dropped: neither is repeated.
    stale = db.commit_group([commit_of(checkpoints=[checkpoint_of("other", "1")])])
    assert isinstance(stale[0], Revision)
    db.commit(commit_of(segments=[SegmentRow("new", 1, 1, 1, 1, b"1"), SegmentRow("t", 1, 2, 1, 1, b"2")]))
    with db.read() as now:
        assert [row.payload for row in now.segments("t", 1, 9)] == [b"0", b"s", b"2"]
        assert [row.payload for row in now.segments("new", 1, 9)] == [b"s", b"1"]
        assert now.threads(None, 9) == ["new", "other", "t"]
    db.close()


def test_a_lock_held_too_long_is_named_with_its_setting(tmp_path: Path) -> None:
    path = tmp_path / "busy.db"
    db = SqliteBackend(path, busy_timeout_seconds=0.05)
    told: list[object] = []
    holder = child.start(
        """
        import sqlite3
        held = sqlite3.connect(sys.argv[1], isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        print("held", flush=True)
        sys.stdin.readline()
        """,
        path,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"

    with pytest.raises(Busy, match=r"busy_timeout_seconds=0\.05") as raised:
        db.commit(commit_of(items=[put_of("k", b"1")]))
    db.enqueue(commit_of(items=[put_of("k", b"2")]), told.append)
    led = db.lead_now()

    assert raised.value.written is False
    assert not led
    with db.read() as now:  # a writer elsewhere is in no reader's way
        assert now.count("items") == 0
    child.finished(holder)
    assert isinstance(db.commit(commit_of(items=[put_of("k", b"3")])), Revision)
    db.close()
    assert len(told) == 1


@pytest.mark.slow
def test_no_commit_is_lost_where_checkpoints_meet_commits_of_other_processes(tmp_path: Path) -> None:
    path = tmp_path / "wal.db"
    children = [
        child.start(
            """
            from perdure.storage.sqlite import transactions
            transactions.WAL_PAGES = 20
            db = open_backend(sys.argv[1], synchronous="OFF")
            db._work._limit = 20
            for n in range(1500):
                append(db, sys.argv[2], n, b"x" * 500)
            db.close()
            """,
            path,
            f"t{n}",
        )
        for n in range(3)
    ]
    for process in children:
        child.finished(process)

    assert child.count_in(path) == 4500
    assert child.run("import sqlite3; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchall())", path) == "[('ok',)]"  # fmt: skip


@forks
def test_a_child_of_a_fork_commits_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "fork.db"

    out = child.run(
        """
        db = open_backend(sys.argv[1])
        append(db, "parent", 0)
        with db.read() as now:
            assert now.count("checkpoints") == 1
        db.change_token()
        to_child, from_child = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            for n in range(5):
                append(db, "child", n)
            os.write(from_child[1], b"1")
            os.read(to_child[0], 1)
            append(db, "child", 5)
            with db.read() as now:
                count = now.count("checkpoints")
            db.close()
            os._exit(0 if count == 9 else 1)
        append(db, "parent", 1)
        os.read(from_child[0], 1)
        append(db, "parent", 2)
        os.write(to_child[1], b"1")
        _, status = os.waitpid(pid, 0)
        with db.read() as now:
            print(os.waitstatus_to_exitcode(status), now.count("checkpoints"))
        db.close()  # the parent closes last
        """,
        path,
    )

    assert out == "0 9"
    assert child.count_in(path) == 9


@forks
def test_a_fork_waits_for_commits_and_readers_of_other_threads(tmp_path: Path) -> None:
    path = tmp_path / "fork.db"

    out = child.run(
        """
        db = open_backend(sys.argv[1], synchronous="OFF")
        stop = threading.Event()
        counts = {}

        def work(name):
            n = 0
            while not stop.is_set():
                append(db, name, n)
                n += 1
                with db.read() as now:
                    assert now.head(name, "") == f"{n - 1:06}"
            counts[name] = n

        workers = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
        for worker in workers: worker.start()
        pids = []
        for n in range(8):
            time.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                append(db, f"child{n}", 0)
                db.close()
                os._exit(0)
            pids.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        stop.set()
        for worker in workers: worker.join()
        db.close()
        assert codes == [0] * 8, codes
        print(sum(counts.values()) + 8)
        """,
        path,
    )

    assert child.count_in(path) == int(out)


@forks
@pytest.mark.parametrize("make", [MemoryBackend, SqliteBackend], ids=["memory", "sqlite"])
def test_memory_does_not_cross_a_fork(make: type[MemoryBackend | SqliteBackend]) -> None:
    out = child.run(
        """
        from perdure.storage.memory import MemoryBackend
        db = {"MemoryBackend": MemoryBackend, "SqliteBackend": SqliteBackend}[sys.argv[1]]()
        append(db, "t", 0)
        pid = os.fork()
        if pid == 0:
            for act in (lambda: append(db, "t", 1), lambda: db.read().__enter__()):
                try:
                    act()
                except StorageError as error:
                    assert "memory is" in str(error), error
                else:
                    os._exit(1)
            db.close()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        append(db, "t", 1)
        print(code)
        """,
        make.__name__,
    )

    assert out == "0"


@forks
def test_a_fork_inside_a_read_ends_that_snapshot_with_a_clear_error(tmp_path: Path) -> None:
    out = child.run(
        """
        db = open_backend(sys.argv[1])
        append(db, "t", 0)
        try:
            with db.read() as now:
                if os.fork() == 0:
                    append(db, "t", 1)
                    os._exit(0)
                os.wait()
                now.head("t", "")
        except StorageError as error:
            print("closed" in str(error))
        with db.read() as now:
            print(now.head("t", ""))
        db.close()
        """,
        tmp_path / "fork.db",
    )

    assert out.split() == ["True", "000001"]


@pytest.mark.parametrize("after", [40, 90])
def test_every_acknowledged_commit_survives_a_kill(tmp_path: Path, after: int) -> None:
    path = tmp_path / "kill.db"

    killed = child.start(
        """
        db = open_backend(sys.argv[1])
        lock, said = threading.Lock(), 0

        def work(name):
            global said
            for n in range(1000):
                append(db, name, n)
                with lock:
                    os.write(1, f"{name} {n}\\n".encode())
                    said += 1
                    if said == int(sys.argv[2]):
                        os.kill(os.getpid(), signal.SIGKILL)

        for n in range(6):
            threading.Thread(target=work, args=(f"t{n}",)).start()
        """,
        path,
        after,
    )
    out = child.finished(killed, code=-signal.SIGKILL)

    last = {name: int(n) for name, n in re.findall(r"(t\d) (\d+)", out)}
    assert len(out.splitlines()) == after
    db = SqliteBackend(path)
    with db.read() as now:
        for name, n in last.items():
            head = now.head(name, "")
            assert head is not None
            assert int(head) >= n
            assert len(now.checkpoints(name, "", None, None)) == int(head) + 1
            assert len(now.segments(name, 1, 1 << 30)) == int(head) + 1
    db.close()


def test_a_log_cut_off_opens_as_after_some_prefix_of_commits(tmp_path: Path) -> None:
    cut_log(tmp_path, commits=6, step=1501, around=1)


@pytest.mark.slow
@pytest.mark.timeout(1_000)
def test_a_log_cut_off_around_every_frame_opens_as_after_some_prefix_of_commits(tmp_path: Path) -> None:
    cut_log(tmp_path, commits=4, step=53, around=33)


def cut_log(tmp_path: Path, commits: int, step: int, around: int) -> None:
    """Opens the database with its log cut at every `step`-th byte, and at each byte `around` the edges of frames."""
    source = tmp_path / "source.db"
    child.run("open_backend(sys.argv[1]).close()", source)  # the schema is in the file, the log is empty
    child.run(
        """
        db = open_backend(sys.argv[1])
        for n in range(int(sys.argv[2])):
            db.commit(commit_of(checkpoints=[checkpoint_of("t", str(n))], segments=[SegmentRow("t", 1, n, 1, 1, b"s")],
                                items=[put_of("k", b"%d" % n)]))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        source,
        commits,
        code=-signal.SIGKILL,
    )
    log = Path(f"{source}-wal").read_bytes()  # nobody in this process has the database open
    whole = source.read_bytes()
    seen: list[int] = []
    edges = range(32, len(log) + 1, 24 + 8192)  # https://sqlite.org/fileformat2.html#walformat
    near = {edge + off for edge in edges for off in range(-around, around + 1)}
    for size in sorted({*range(0, len(log), step), *near, len(log)}):
        if not 0 <= size <= len(log):
            continue
        cut = tmp_path / "cut"
        shutil.rmtree(cut, ignore_errors=True)
        cut.mkdir()
        (cut / "source.db").write_bytes(whole)
        (cut / "source.db-wal").write_bytes(log[:size])

        db = SqliteBackend(cut / "source.db", synchronous="OFF")
        with db.read() as now:
            n = now.revision().seq
            assert now.checkpoints("t", "", None, None) == now.checkpoints(None, None, None, None)
            assert [row.id for row in now.checkpoints("t", "", None, None)] == [
                str(i) for i in reversed(range(n))
            ]
            assert [row.start for row in now.segments("t", 1, 99)] == list(range(n))
            assert [row.value for row in now.changes(None, 99)] == [b"%d" % i for i in range(n)]
        db.commit(commit_of(checkpoints=[checkpoint_of("u", "1")]))
        db.close()
        seen.append(n)
    assert seen == sorted(seen)
    assert set(seen) == set(range(commits + 1))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become somebody else"
)
def test_another_user_who_may_not_write_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.geteuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    db = open_backend(path)
    db.commit(commit_of(items=[put_of("k", b"1")]))

    said = child.run(
        """
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            db = open_backend(sys.argv[1])
            db.commit(commit_of(items=[put_of("k", b"2")]))
        except StorageError as error:
            print(error)
        """,
        path,
    )

    assert str(path) in said
    assert "may" in said or "permission" in said.lower()
    with db.read() as now:
        item = now.item(("users", "ada", "notes"), "k")
        assert item is not None
        assert item.value == b"1"
    db.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of files are POSIX")
def test_after_a_limit_of_the_disk_nothing_is_lost_and_the_next_call_works(tmp_path: Path) -> None:
    path = tmp_path / "full.db"

    said = child.run(
        """
        import resource
        db = open_backend(sys.argv[1])
        append(db, "t", 0)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, hard))
        failed = 0
        n = 1
        while not failed:
            try:
                append(db, "t", n, b"x" * 20_000)
                n += 1
            except StorageError as error:
                assert sys.argv[1] in str(error), error
                failed += 1
        outcomes = db.commit_group([commit_of(items=[put_of("big", b"x" * 1_000_000)]), commit_of(items=[put_of("too", b"x" * 1_000_000)])])
        assert all(isinstance(outcome, StorageError) for outcome in outcomes), outcomes
        with db.read() as now:
            assert now.head("t", "") == f"{n - 1:06}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        append(db, "t", n)
        db.close()
        print(n + 1)
        """,
        path,
    )

    assert child.count_in(path) == int(said) > 3


def test_a_read_only_backend_reads_beside_a_writer_and_never_writes(tmp_path: Path) -> None:
    path = tmp_path / "both.db"
    db = open_backend(path)
    db.commit(commit_of(checkpoints=[checkpoint_of("t", "1")]))

    reader = open_backend(path, read_only=True)
    with reader.read() as now:
        assert now.head("t", "") == "1"
    db.commit(commit_of(checkpoints=[checkpoint_of("t", "2")]))
    with reader.read() as now:
        assert now.head("t", "") == "2"
    with pytest.raises(StorageError, match="read_only=True"):
        reader.commit(commit_of())
    reader.close()
    db.close()
    with pytest.raises(StorageError, match="read_only=True"):
        open_backend(tmp_path / "none.db", read_only=True)
    assert not (tmp_path / "none.db").exists()


def as_backend(backend: SqliteBackend) -> Backend:
    """It has every method of the contract, with its types: a checker reads this, too."""
    return backend
