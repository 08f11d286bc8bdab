"""`perdure memory watch` as a process: what other processes write, in order, until somebody stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import perdure
from perdure.cli import main
from perdure.cli.watching import watch as run_watch
from perdure.database import Database
from perdure.store.base import PutOp
from perdure.testing.fake_clock import FakeClock

SOURCE = Path(__file__).parents[1] / "src"
ADA = ("users", "ada")

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals and pipes")


class Watcher:
    """The command in a process of its own. Its first line tells that it watches: nothing written later is missed."""

    def __init__(self, url: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perdure", "memory", "watch", "--db", url, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"},
        )

    @property
    def out(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def err(self) -> IO[str]:
        assert self.process.stderr is not None
        return self.process.stderr

    def told(self, count: int) -> list[dict[str, Any]]:
        """The next lines."""
        return [json.loads(self.out.readline()) for _ in range(count)]

    def ended(self) -> tuple[int, str]:
        """The exit code, and what was said on stderr."""
        said = self.err.read()
        return self.process.wait(timeout=60), said

    def stopped(self, by: int = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(by)
        return self.ended()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with perdure.connect(url, ttl={}) as made:
        made.store.put(ADA, "old", {"n": 0})
        yield made


@pytest.fixture
def watching(url: str) -> Iterator[Any]:
    started: list[Watcher] = []

    def start(*arguments: str) -> Watcher:
        started.append(Watcher(url, *arguments))
        return started[-1]

    yield start
    for watcher in started:
        watcher.process.kill()
        watcher.process.communicate()


@posix
def test_what_others_write_below_the_prefix_is_told_in_order(watching: Any, db: Database) -> None:
    watcher = watching("users", "--json")
    (begin,) = watcher.told(1)
    assert begin["kind"] == "progress"

    with FakeClock() as clock:
        db.store.put(ADA, "tea", {"text": "likes tea"})
        db.store.put(("other",), "tea", {"n": 1})
        db.store.put(ADA, "short", {"n": 1}, ttl=1)
        db.store.delete(ADA, "tea")
        clock.advance(minutes=2)
        db.store.sweep_ttl()

    told = watcher.told(4)
    assert [(row["kind"], row["key"], row["value"]) for row in told] == [
        ("put", "tea", {"text": "likes tea"}),
        ("put", "short", {"n": 1}),
        ("delete", "tea", None),
        ("expire", "short", None),
    ]
    assert all(row["namespace"] == list(ADA) for row in told)
    assert told[3]["origin"] == {"actor": "ttl"}
    assert [row["version"] for row in told] == sorted(row["version"] for row in told)
    assert [row["resume"] for row in told] == [row["revision"] for row in told]
    assert db.store.at(told[0]["revision"]).get(ADA, "tea") is not None


@posix
@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal_it_says_where_to_go_on(watching: Any, db: Database, by: int, code: int) -> None:
    watcher = watching("--json")
    watcher.told(1)
    db.store.put(ADA, "tea", {"n": 1})
    (row,) = watcher.told(1)

    assert watcher.stopped(by) == (code, f"\nStopped. To go on from here: --since {row['revision']}\n")

    db.store.put(ADA, "tea", {"n": 2})
    later = watching("--json", "--since", row["resume"])
    assert [row["kind"] for row in later.told(2)] == ["progress", "put"]


@posix
def test_going_on_in_the_midst_of_a_commit_tells_the_whole_commit_again(watching: Any, db: Database) -> None:
    watcher = watching("--json")
    watcher.told(1)
    db.store.batch([PutOp(ADA, key, {"n": 1}) for key in "abc"])
    rows = watcher.told(3)

    again = watching("--json", "--since", rows[1]["resume"]).told(4)
    assert [row.get("key") for row in again] == [None, "a", "b", "c"]
    db.store.put(ADA, "d", {"n": 1})
    after = watching("--json", "--since", rows[2]["resume"]).told(2)
    assert [row.get("key") for row in after] == [None, "d"]


@posix
def test_people_read_short_lines_without_control_characters(watching: Any, db: Database) -> None:
    watcher = watching("users")
    begin = watcher.err.readline()
    assert begin.startswith('Watching "users" from revision 0.')
    db.store.put(ADA, "\x1b[31m", {"text": "tea " * 100})
    db.store.delete(ADA, "\x1b[31m")

    put, delete = watcher.out.readline().rstrip("\n"), watcher.out.readline().rstrip("\n")
    assert ' put "users" "ada" "\\u001b[31m": {"text": "tea tea' in put
    assert put.endswith("...")
    assert len(put) == 100
    assert delete.endswith(' delete "users" "ada" "\\u001b[31m"')


@posix
def test_a_quiet_prefix_moves_on_by_marks_of_progress(watching: Any, db: Database) -> None:
    watcher = watching("quiet", "--json", "--progress", "0.01")
    (begin,) = watcher.told(1)
    db.store.put(ADA, "tea", {"n": 1})
    item = db.store.get(ADA, "tea")
    assert item is not None

    row = begin
    while row["revision"] != item.revision:
        (row,) = watcher.told(1)
        assert row == {"kind": "progress", "revision": row["revision"], "resume": row["revision"]}


@posix
@pytest.mark.parametrize("writes", [False, True])
def test_a_reader_that_has_seen_enough_ends_it_quietly(watching: Any, db: Database, writes: bool) -> None:
    watcher = watching("--json")
    watcher.told(1)
    watcher.out.close()
    if writes:
        db.store.put(ADA, "tea", {"n": 1})

    assert watcher.ended() == (1, "")


@posix
def test_what_was_pruned_is_an_error_with_the_oldest_revision_that_is_left(
    url: str, watching: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with perdure.connect(url, keep_history=1) as db:
        db.store.put(ADA, "tea", {"n": 0})
        first = db.store.search(())[0].revision or ""
        for n in range(4):
            db.store.put_many([(ADA, f"{key}", {"n": n}) for key in range(600)])

    assert main(["memory", "watch", "--db", url, "--since", first]) == 1
    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith(f"perdure: changes after revision {first} were pruned")
    oldest = said.partition("--since ")[2].partition(" ")[0]

    assert watching("--json", "--since", oldest).told(1)[0]["revision"] == oldest


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--since", "x"], 1, "'x' is no revision"),
        (["--since", "0.999999"], 1, "perdure: "),
        (["--db", "sqlite:///never.db"], 1, "there is no such database"),
        (["--progress", "0"], 2, "0 is not above 0"),
        (["--progress", "x"], 2, "'x' is not a number"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], code: int, said: str, url: str, db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    del db
    try:
        ended = main(["memory", "watch", "--db", url, *arguments])
    except SystemExit as stopped:
        ended = stopped.code
    assert ended == code
    assert said in capsys.readouterr().err


def test_a_program_keeps_its_own_way_with_signals(
    db: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    asked: list[Any] = []

    def interrupted(*args: Any, **options: Any) -> Any:
        asked.append((args, options, signal.getsignal(signal.SIGTERM)))
        raise KeyboardInterrupt

    monkeypatch.setattr(db.store, "watch", interrupted, raising=False)
    options: Any = type("Options", (), {"prefix": ["a"], "since": None, "json": True, "progress": 1.0})
    assert run_watch(db.store, options) == 130
    assert asked[0][2] is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err == "\nStopped.\n"
