"""SQLite in one process: one backend a file, settings, errors, memory of users' connections, bytes and statements."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from perdure.clock import micros, new_checkpoint_id, uuid6
from perdure.errors import Busy, SchemaTooNew, StaleThread, StorageError
from perdure.storage.contract import (
    CheckpointRow,
    Commit,
    Filed,
    HeadIs,
    Outcome,
    PutItem,
    Revision,
    RunRow,
    SegmentRow,
)
from perdure.storage.sqlite import SqliteBackend, open_backend, transactions
from perdure.storage.sqlite.files import needs_side_lock
from perdure.storage.tables import known
from perdure.storage.tables.packing import pack_id, time_in, unpack_id
from perdure.testing import hostile
from perdure.testing.backends import checkpoint_of, commit_of, put_of
from storage import child

ids = st.one_of(
    st.uuids().map(str),
    st.sampled_from(hostile.IDS),
    st.text(st.characters(codec=None), max_size=40),
    st.builds(lambda id, at, char: id[:at] + char + id[at + 1 :], st.uuids().map(str), st.integers(0, 40), st.text(max_size=2)),
)  # fmt: skip


# ---- ids


@given(a=ids, b=ids)
def test_packed_ids_order_as_their_texts(a: str, b: str) -> None:
    assert (pack_id(a) < pack_id(b)) == (a < b)
    assert unpack_id(pack_id(a)) == a


def test_a_uuid_takes_sixteen_bytes() -> None:
    assert [len(pack_id(id)) for id in hostile.UUIDS[1:]] == [16] * (len(hostile.UUIDS) - 1)


def test_all_hostile_ids_order_as_their_texts() -> None:
    assert sorted(set(hostile.IDS), key=pack_id) == sorted(set(hostile.IDS))


def test_the_time_in_an_id_is_when_it_was_made() -> None:
    # In a process of its own: here a test's clock may have been ahead, and ids never go back.
    apart = child.run(
        """
        from perdure.clock import micros, new_checkpoint_id
        from perdure.storage.tables.packing import pack_id, time_in
        before = micros()
        print(abs(time_in(pack_id(new_checkpoint_id())) - before))
        """
    )
    assert int(apart) < 10_000_000
    assert time_in(pack_id("x")) == 0


# ---- one backend a file


def test_two_spellings_are_one_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    first = open_backend(path)
    os.symlink(path, tmp_path / "link.db")
    os.link(path, tmp_path / "hard.db")
    monkeypatch.chdir(tmp_path)
    user = sqlite3.connect(path)

    others = [open_backend(spelling) for spelling in ("a.db", "./link.db", str(path), os.fsencode(path), "hard.db", user)]  # type: ignore[arg-type] # fmt: skip

    assert all(other is first for other in others)
    for other in others:
        other.close()
        assert not first.closed
    first.close()
    assert first.closed
    user.close()
    again = open_backend(path)
    assert again is not first
    assert again.identity == first.identity
    again.close()


def test_two_backends_on_one_file_are_told_to_be_one(tmp_path: Path) -> None:
    first, second = SqliteBackend(tmp_path / "a.db"), SqliteBackend(tmp_path / "a.db")

    assert first.identity == second.identity
    for n in range(10):
        db = (first, second)[n % 2]
        head = f"{n - 1}" if n else None
        db.commit(commit_of(heads=[HeadIs("t", "", head)], checkpoints=[checkpoint_of("t", str(n), head)]))
    first.close()
    with second.read() as now:
        assert now.count("checkpoints") == 10
    second.close()


def test_memory_is_private(tmp_path: Path) -> None:
    a, b = open_backend(None), open_backend(":memory:")

    a.commit(commit_of(items=[put_of("k", b"1")]))

    with b.read() as now:
        assert now.count("items") == 0
    assert a.identity != b.identity
    a.close()
    b.close()


def test_a_repr_answers_the_on_call_question(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db")
    with db.read():
        assert repr(db) == f"<SqliteBackend {tmp_path}/a.db open, 0 commits waiting, 1 readers>"
    db.close()
    assert "closed" in repr(db)


# ---- settings


def test_no_checkpoint_is_passive_and_none_is_automatic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "WAL_PAGES", 30)
    said: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        made = connect(*args, **kwargs)
        made.set_trace_callback(said.append)
        return made

    monkeypatch.setattr(sqlite3, "connect", traced)
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    db._work._limit = 30  # pyright: ignore[reportPrivateUsage]
    for n in range(200):
        db.commit(commit_of(items=[put_of(f"k{n}", b"x" * 500)]))
    with db.read():
        pass
    db.change_token()
    db.close()

    checkpoints = {text for text in said if "wal_checkpoint" in text}
    assert checkpoints == {"PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)"}
    opened = sum(text.startswith("PRAGMA synchronous") for text in said)
    assert opened == 3
    assert said.count("PRAGMA wal_autocheckpoint = 0") == opened
    assert not [text for text in said if "mmap_size" in text]
    assert not os.path.exists(tmp_path / "a.db-wal")


def test_the_log_is_begun_anew_and_stays_small(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    for n in range(1_500):
        db.commit(commit_of(items=[put_of("k", b"%d" % n + b"x" * 2_000)]))

    assert os.stat(tmp_path / "a.db-wal").st_size < 3 * transactions.WAL_PAGES * 8192
    db.close()


def test_a_paused_reader_stops_nobody(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db", readers=2, synchronous="OFF")
    db.commit(commit_of(items=[put_of("k", b"0")]))
    with db.read() as one, db.read() as two, db.read() as three:
        for n in range(1, 600):
            db.commit(commit_of(items=[put_of("k", b"%d" % n + b"x" * 9_000)]))
        for then in (one, two, three):
            item = then.item(("users", "ada", "notes"), "k")
            assert item is not None
            assert item.value == b"0"
    assert len(db._readers or ()) == 2  # pyright: ignore[reportPrivateUsage]
    db.close()


@pytest.mark.parametrize(
    ("version", "affected"),
    [((3, 40, 1), True), ((3, 44, 6), False), ((3, 45, 0), True), ((3, 50, 7), False), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 53, 0), False)],
)  # fmt: skip
def test_versions_with_the_log_reset_bug_are_known(version: tuple[int, int, int], affected: bool) -> None:
    assert needs_side_lock(version) is affected


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="synchronous='SOMETIMES'"):
        SqliteBackend(tmp_path / "a.db", synchronous="SOMETIMES")


# ---- threads


def test_sixty_four_threads_at_once(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db")
    begin = threading.Barrier(64)
    failed: list[Exception] = []

    def work(thread: str) -> None:
        try:
            begin.wait()
            for n in range(5):
                head = str(n - 1) if n else None
                db.commit(
                    commit_of(
                        heads=[HeadIs(thread, "", head)], checkpoints=[checkpoint_of(thread, str(n), head)]
                    )
                )
                with db.read() as now:
                    assert now.head(thread, "") == str(n)
        except Exception as error:  # noqa: BLE001 - told by the main thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failed
    with db.read() as now:
        assert now.count("checkpoints") == 320
        assert now.revision().seq == 320
    db.close()


def test_closing_under_use_serves_who_came_and_refuses_who_comes(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    outcomes: list[Outcome] = []
    refused: list[StorageError] = []
    went_wrong: list[Exception] = []
    ready = threading.Barrier(9)

    def work(n: int) -> None:
        ready.wait()
        try:
            while True:
                outcomes.append(db.commit(commit_of(items=[put_of(f"k{n}", b"v")])))
                with db.read() as now:
                    now.count("items")
        except StorageError as error:
            refused.append(error)
        except Exception as error:  # noqa: BLE001 - told by the main thread
            went_wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    ready.wait()
    told: list[Outcome] = []
    for n in range(20):
        db.commit_soon(commit_of(items=[put_of(f"soon{n}", b"v")]), told.append)
    db.close()
    for thread in threads:
        thread.join()

    assert not went_wrong
    assert len(refused) == 8
    assert all("is closed" in str(error) for error in refused)
    assert len(told) == 20
    assert all(isinstance(outcome, Revision) for outcome in told)
    again = SqliteBackend(tmp_path / "a.db")
    with again.read() as now:
        assert now.revision().seq == len(outcomes) + 20
    again.close()


def test_a_snapshot_used_after_its_block_says_so(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db")
    with db.read() as then:
        pass

    with pytest.raises(StorageError, match="snapshot"):
        then.head("t", "")
    db.close()


# ---- what can be wrong with a file


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere does not exist"):
        open_backend(tmp_path / "nowhere" / "a.db")
    with pytest.raises(StorageError, match="it is a directory"):
        open_backend(tmp_path)


def test_what_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"dear diary, " * 1_000)

    with pytest.raises(StorageError, match="is not an SQLite database"):
        open_backend(path)

    assert path.read_bytes() == b"dear diary, " * 1_000


@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.95])
def test_a_cut_off_database_is_an_error_that_says_so(tmp_path: Path, part: float) -> None:
    path = tmp_path / "cut.db"
    child.run(
        "db = open_backend(sys.argv[1])\nfor n in range(50): append(db, 't', n, b'x' * 3000)\ndb.close()",
        path,
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])

    with pytest.raises(StorageError) as raised:
        open_backend(path).close()

    assert str(path) in str(raised.value)
    assert not isinstance(raised.value, Busy)


def test_a_schema_that_is_no_text_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rust.db"
    child.run("open_backend(sys.argv[1]).close()", path)
    whole = bytearray(path.read_bytes())
    for word in (b"CREATE TABLE", b"CREATE INDEX"):
        whole = whole.replace(word, word[:-1] + b"\xf5")
    path.write_bytes(whole)

    with pytest.raises(StorageError, match="is damaged") as raised:
        open_backend(path).close()

    assert str(path) in str(raised.value)


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()

    db = open_backend(tmp_path / "a.db")
    db.commit(commit_of())
    db.close()


def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    child.run("open_backend(sys.argv[1]).close()", path)
    child.run(
        """
        import sqlite3
        db = sqlite3.connect(sys.argv[1])
        db.execute("INSERT INTO perdure_migrations VALUES (999, x'00', 0)")
        db.commit()
        db.execute("PRAGMA journal_mode = DELETE")
        """,
        path,
    )
    before = path.read_bytes()

    with pytest.raises(SchemaTooNew, match="Upgrade perdure") as raised:
        open_backend(path)

    assert raised.value.found == 999
    assert path.read_bytes() == before


def test_a_file_with_tables_of_others_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    child.run(
        """
        import sqlite3
        db = sqlite3.connect(sys.argv[1])
        db.execute("CREATE TABLE checkpoints (thread_id TEXT, checkpoint BLOB)")
        db.execute("INSERT INTO checkpoints VALUES ('mine', x'01')")
        db.commit()
        """,
        path,
    )

    db = open_backend(path)
    db.commit(commit_of(checkpoints=[checkpoint_of("t", "1")]))
    db.close()

    assert child.count_in(path) == 1
    assert child.run("import sqlite3; print(*sqlite3.connect(sys.argv[1]).execute('SELECT thread_id FROM checkpoints'))", path) == "('mine',)"  # fmt: skip


def test_a_full_disk_loses_nothing_and_the_next_call_works(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "full.db")
    db.commit(commit_of(checkpoints=[checkpoint_of("t", "1")]))
    writer = db._work.database()  # pyright: ignore[reportPrivateUsage]
    writer.execute("PRAGMA max_page_count = 40").fetchall()
    big = [commit_of(items=[put_of(f"big{n}", b"x" * 300_000)]) for n in range(2)]

    with pytest.raises(StorageError, match="full disk"):
        db.commit(big[0])
    small = [commit_of(heads=[HeadIs("t", "", "1")], checkpoints=[checkpoint_of("t", "2", "1")])]
    outcomes = db.commit_group([big[0], *small, big[1]])

    assert [type(outcome).__name__ for outcome in outcomes] == ["StorageError", "Revision", "StorageError"]
    with db.read() as now:
        assert (now.head("t", ""), now.count("items")) == ("2", 0)
        assert now.committed(big[0].id) is None
    writer.execute("PRAGMA max_page_count = 100000").fetchall()
    assert isinstance(db.commit_group(big)[1], Revision)
    db.close()


@pytest.mark.parametrize("number", hostile.TOO_LARGE)
def test_integers_beyond_64_bits_are_refused_and_harm_no_neighbour(tmp_path: Path, number: int) -> None:
    db = SqliteBackend(tmp_path / "a.db")
    bad = [
        commit_of(checkpoints=[checkpoint_of("t", "1", step=number)]),
        commit_of(segments=[SegmentRow("t", number, 0, 1, 0, b"")]),
        commit_of(segments=[SegmentRow("t", 1, number, 1, 0, b"")]),
        commit_of(runs=[RunRow("t", "r", number, b"")]),
    ]

    outcomes = db.commit_group([bad[0], commit_of(items=[put_of("k", b"")]), *bad[1:]])

    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["StorageError", "Revision", *["StorageError"] * 3]
    with db.read() as now:
        assert (now.segments("t", number, 9), now.items((), number, 0)) == ([], [])
    db.close()


def test_what_cannot_be_bound_fails_alone(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db")
    text: Any = "not bytes"
    wrong = commit_of(segments=[SegmentRow("t", 1, 0, 1, 0, text)])

    outcomes = db.commit_group(
        [commit_of(items=[put_of("a", b"")]), wrong, commit_of(items=[put_of("c", b"")])]
    )

    assert [type(outcome).__name__ for outcome in outcomes] == ["Revision", "StorageError", "Revision"]
    db.close()


# ---- users' connections in memory


def connection(**options: Any) -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False, **options)


def test_a_users_connection_is_used_as_it_is_whatever_its_factories(tmp_path: Path) -> None:
    user = connection()
    user.row_factory = sqlite3.Row
    user.text_factory = bytes
    first, second = open_backend(user), open_backend(user)
    told: list[Outcome] = []

    worker = threading.Thread(target=lambda: first.commit(commit_of(items=[put_of("k", b"1")])))
    worker.start()
    worker.join()
    second.commit_soon(commit_of(items=[put_of("l", b"1")]), told.append)

    assert first is second
    assert len(told) == 1
    with first.read() as now:
        assert now.count("items") == 2
    first.close()
    second.close()
    assert (
        user.execute("SELECT count(*) FROM perdure_items").fetchone()[0] == 2
    )  # it is the user's: still open
    again = open_backend(user)
    with again.read() as now:
        assert now.count("items") == 2
    again.close()
    user.close()


def test_a_transaction_of_the_user_is_theirs(tmp_path: Path) -> None:
    user = connection()
    db = open_backend(user)
    user.execute("CREATE TABLE mine (a)")
    user.execute("INSERT INTO mine VALUES (1)")  # begins one

    with pytest.raises(Busy, match=r"connection\.commit\(\)"):
        db.commit(commit_of(items=[put_of("k", b"1")]))
    user.commit()
    db.commit(commit_of(items=[put_of("k", b"1")]))

    assert user.execute("SELECT a FROM mine").fetchall() == [(1,)]
    db.close()
    user.close()


def test_a_connection_that_cannot_be_shared_is_refused_with_the_line_to_write() -> None:
    bound = sqlite3.connect(":memory:")
    with pytest.raises(ValueError, match="check_same_thread=False"):
        SqliteBackend(connection=bound)
    with pytest.raises(ValueError, match="standard library"):
        SqliteBackend(connection=object())  # type: ignore[arg-type]
    bound.close()


def test_a_connection_closed_by_the_user_is_a_clear_error() -> None:
    user = connection()
    db = open_backend(user)
    user.close()

    with pytest.raises(StorageError, match="closed"):
        db.commit(commit_of())
    with pytest.raises(StorageError, match="closed"), db.read():
        pass
    db.close()


# ---- a single commit


def step(n: int, **rows: Any) -> Commit:
    """The commit of step `n` of thread t."""
    before = None if n == 0 else f"{n - 1:03}"
    return commit_of(
        heads=[HeadIs("t", "", before)], checkpoints=[checkpoint_of("t", f"{n:03}", before)], **rows
    )


def segment(n: int) -> SegmentRow:
    return SegmentRow("t", 1, n, 1, 0, b"%d" % n)


def test_a_single_commit_of_a_usual_kind_is_one_statement(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    for n in range(5):
        db.commit(step(n, segments=[segment(n)], items=[put_of("k", b"%d" % n)]))
    said: list[str] = []
    db._work.database().set_trace_callback(said.append)  # type: ignore[attr-defined]

    db.commit(step(5, segments=[segment(5)], items=[put_of("k", b"5")]))

    assert said[0].startswith("INSERT INTO perdure_combined_")  # the others are its trigger's
    assert not [text for text in said if text.startswith(("BEGIN", "COMMIT", "PRAGMA", "SELECT", "WITH"))]
    with db.read() as now:
        assert now.head("t", "") == "005"
        assert [row.payload for row in now.segments("t", 1, 9)] == [b"%d" % n for n in range(6)]
        item = now.item(put_of("k", None).namespace, "k")
        assert item is not None
        assert (item.value, now.count("history")) == (b"5", 6)
    db.close()


def test_what_another_connection_committed_is_seen_by_a_single_commit(tmp_path: Path) -> None:
    one, two = (SqliteBackend(tmp_path / "a.db", synchronous="OFF") for _ in range(2))
    for n in range(8):
        one.commit(step(n))

    two.commit(step(8))
    with pytest.raises(StaleThread) as raised:
        one.commit(step(8))
    one.commit(step(9))
    for n in range(10, 30):
        (one, two)[n % 2].commit(step(n, items=[put_of("k", b"%d" % n)]))

    assert raised.value.found == "008"
    with one.read() as now:
        assert (now.count("checkpoints"), now.revision().seq) == (30, 30)
        assert [row.value for row in now.changes(None, 99)] == [b"%d" % n for n in range(10, 30)]
    two.close()
    one.close()


def test_a_single_commit_replaces_its_checkpoint_and_refuses_a_segment_that_exists(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    for n in range(8):
        db.commit(step(n, segments=[segment(n)]))

    db.commit(commit_of(checkpoints=[checkpoint_of("t", "007", "006", state=b"anew")]))
    with pytest.raises(StorageError, match="exists already"):
        db.commit(step(8, segments=[segment(7)]))
    db.commit(step(8, segments=[segment(8)]))

    with db.read() as now:
        row = now.checkpoint("t", "", "007")
        assert row is not None
        assert (row.state, row.parent) == (b"anew", "006")
        assert (now.count("checkpoints"), now.count("segments"), now.revision().seq) == (9, 9, 10)
    db.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_signal_in_a_single_commit_leaves_no_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    for n in range(5):
        db.commit(step(n))
    write = transactions.write_alone
    told: list[Outcome] = []

    def interrupted(*arguments: Any) -> Revision:
        monkeypatch.undo()
        if moment == "after":
            write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(transactions, "write_alone", interrupted)
    db._queue._recent.clear()  # pyright: ignore[reportPrivateUsage]
    db.enqueue(step(5), told.append)
    with pytest.raises(KeyboardInterrupt):
        db.lead_now()
    db.close()  # whoever was not told is served before

    assert told == [Revision(0, 6)]
    assert child.count_in(tmp_path / "a.db") == 6


@pytest.mark.parametrize("members", [1, 2])
def test_a_signal_between_begin_and_the_group_leaves_no_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: int
) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF", busy_timeout_seconds=0.2)

    def interrupted(self: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(known.Known, "trim", interrupted)
    with pytest.raises(KeyboardInterrupt):
        db.commit_group([commit_of(items=[put_of(f"k{n}", b"v")]) for n in range(members)])

    child.run(  # nobody is kept out
        """
        db = open_backend(sys.argv[1], busy_timeout_seconds=0)
        db.commit(commit_of(items=[put_of("k", b"v")]))
        db.close()
        """,
        tmp_path / "a.db",
    )
    assert db.commit(step(0)).seq == 2
    db.close()


# ---- an event loop's thread


def test_what_was_enqueued_is_one_transaction(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    db.commit(commit_of())
    said: list[str] = []
    db._work.database().set_trace_callback(said.append)  # type: ignore[attr-defined]
    told: list[Outcome] = []
    db._queue._recent.clear()  # pyright: ignore[reportPrivateUsage]

    for n in range(50):
        db.enqueue(commit_of(items=[put_of(f"k{n}", b"v")]), told.append)
    db.enqueue(commit_of(heads=[HeadIs("t", "", "x")]), told.append)

    assert db.lead_now()
    assert said.count("BEGIN IMMEDIATE") == said.count("COMMIT") == 1
    assert [type(outcome).__name__ for outcome in told] == ["Revision"] * 50 + ["StaleThread"]
    db.close()


def test_long_commits_are_left_to_a_thread(tmp_path: Path) -> None:
    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    db._queue._recent.extend([0.2] * 9)  # pyright: ignore[reportPrivateUsage]
    told: list[Outcome] = []
    done = threading.Event()

    def note(outcome: Outcome) -> None:
        told.append(outcome)
        done.set()

    db.enqueue(commit_of(items=[put_of("k", b"v")]), note)

    assert not db.lead_now()
    assert done.wait(30)
    assert isinstance(told[0], Revision)
    db.close()


# ---- bytes


def test_a_chat_turn_costs_few_bytes_beside_its_payload(tmp_path: Path) -> None:
    path = tmp_path / "bytes.db"
    db = SqliteBackend(path, synchronous="OFF")
    thread, run, turns, payload = str(uuid6()), new_checkpoint_id(), 1_000, 0
    ids = [new_checkpoint_id() for _ in range(3 * turns)]
    rows = [
        CheckpointRow(
            thread,
            "",
            id,
            "" if n else None,
            ids[n - 1] if n else None,
            n,
            "loop",
            micros(),
            run,
            True,
            os.urandom(30),
            None,
        )
        for n, id in enumerate(ids)
    ]
    for turn in range(
        turns
    ):  # a message comes in; the model's step and the end of the run are committed together
        for first, last in ((0, 1), (1, 3)):
            written = rows[3 * turn + first : 3 * turn + last]
            segment = SegmentRow(thread, 77, 2 * turn + first, 1, 1, os.urandom(200 + 400 * first))
            payload += sum(len(row.state) for row in written) + len(segment.payload)
            db.commit(Commit(uuid6().bytes, micros(), checkpoints=written, segments=[segment]))
    db.close()

    overhead = (os.stat(path).st_size - payload - 32 * 4096) / turns  # every table and index has a first page

    assert overhead < 400, f"{overhead:.0f} bytes a turn"


@pytest.mark.parametrize("close", [True, False])
def test_a_stale_head_is_told_with_both_heads(tmp_path: Path, close: bool) -> None:
    db = SqliteBackend(tmp_path / "a.db")
    first, second = new_checkpoint_id(), new_checkpoint_id()
    db.commit(commit_of(checkpoints=[checkpoint_of("t", first)]))
    if close:
        db.close()
        db = SqliteBackend(tmp_path / "a.db")

    with pytest.raises(StaleThread) as raised:
        db.commit(commit_of(heads=[HeadIs("t", "", second)]))

    assert (raised.value.expected, raised.value.found) == (second, first)
    db.close()


def test_one_way_of_indexing_too_many_is_refused_and_nothing_of_its_commit_is_written(tmp_path: Path) -> None:
    def filed(name: str, key: str) -> PutItem:
        return PutItem(("n",), key, b"v", filed=Filed(name, {"tea": 1}, 1))

    db = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    db.commit(commit_of(items=[filed(f"way {n}", f"{n}") for n in range(255)]))
    too_many = commit_of(items=[put_of("before", b"v"), filed("one more", "more"), put_of("after", b"v")])
    fine = commit_of(items=[filed("way 7", "fine")])

    outcomes = db.commit_group([too_many, fine])

    assert isinstance(outcomes[0], StorageError)
    assert "255" in str(outcomes[0])
    assert outcomes[1] == Revision(0, 2)
    with db.read() as now:
        assert now.committed(too_many.id) is None
        assert now.count("items") == 256
        assert [row.key for row in now.items((), None, 1)] == ["fine"]
    db.close()
