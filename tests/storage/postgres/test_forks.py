"""A process that forks: the child opens connections of its own, and the parent's are as they were."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")
if not hasattr(os, "fork"):
    pytest.skip("this system has no fork", allow_module_level=True)

FORKS = "ignore:This process:DeprecationWarning"  # a thread of ours is no reason not to fork: that is what is shown here

PRELUDE = """
import os, sys, gc, threading
from perdure.storage import process
from perdure.storage.postgres.connections import Pool, place_of

class Owner:
    "As a backend does it."
    def __init__(self, url): self.pool = Pool(place_of(url)); process.track(self)
    def before_fork(self): self.pool.before_fork()
    def after_fork(self, *, child): self.pool.after_fork(child=child)
    def shut(self): self.pool.close()

owner = Owner(sys.argv[1])
pool = owner.pool

def one(connection, sql):
    return connection.execute(sql).fetchone()[0]

def forked(work):
    "The exit code of a child that did the work."
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    work()
    gc.collect()
    sys.exit(0)
"""


def run(program: str, url: str) -> list[str]:
    """What the program printed, line by line. It must end well and say nothing on the side; warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", FORKS, "-c", PRELUDE + textwrap.dedent(program), url],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_child_opens_its_own_and_the_parent_s_go_on(postgres_url: str) -> None:
    program = """
    used, idle = pool.take(), pool.take()
    pool.give(idle)
    used.execute("BEGIN")
    numbers = {one(used, "SELECT pg_backend_pid()"), idle.info.backend_pid}

    def work():
        mine = pool.take()
        print(one(mine, "SELECT pg_backend_pid()") not in numbers, len(pool))
        pool.give(mine)

    print(forked(work))
    print(one(used, "SELECT pg_backend_pid()") in numbers)
    used.execute("COMMIT")
    pool.give(used)
    print(len(pool))
    """

    assert run(program, postgres_url) == ["True 1", "0", "True", "2"]


def test_a_child_cannot_speak_on_its_parent_s_connection(postgres_url: str) -> None:
    program = """
    used = pool.take()
    used.execute("BEGIN")
    used.execute("CREATE TEMP TABLE t (n int)")

    def work():
        try:
            used.execute("INSERT INTO t VALUES (1)")
        except Exception as error:
            print(type(error).__name__)
        pool.give(used)
        print(len(pool))

    print(forked(work))
    used.execute("COMMIT")
    print(one(used, "SELECT count(*) FROM t"))
    pool.give(used)
    """

    assert run(program, postgres_url) == ["OperationalError", "0", "0", "0"]


def test_the_server_notices_that_the_parent_died_though_its_child_lives(
    postgres_url: str, postgres_admin: Any
) -> None:
    program = """
    import time
    used = pool.take()
    used.execute("BEGIN")
    print(one(used, "SELECT pg_backend_pid()"), flush=True)
    child = os.fork()
    if child:
        print(child, flush=True)
        os._exit(0)
    time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program), postgres_url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    with parent.stdout:
        session, child = int(parent.stdout.readline()), int(parent.stdout.readline())
    parent.wait(10)
    try:
        end = time.monotonic() + 10
        while postgres_admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (session,)).fetchone():
            assert time.monotonic() < end, "the session lives on"
            time.sleep(0.01)
    finally:
        os.kill(child, 9)


def test_a_fork_while_other_threads_take_and_give_leaves_a_child_that_works(postgres_url: str) -> None:
    program = """
    ending = threading.Event()

    def busy():
        while not ending.is_set():
            connection = pool.take()
            connection.execute("SELECT 1").fetchone()
            pool.give(connection)

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()

    def work():
        mine = pool.take()
        one(mine, "SELECT 1")
        pool.give(mine)
        os._exit(0)

    print([forked(work) for _ in range(10)])
    ending.set()
    for thread in threads:
        thread.join()
    """

    assert run(program, postgres_url) == [str([0] * 10)]


COMMITTING = """
import time
from perdure.storage.contract import PutItem, Commit
from perdure.storage.postgres import PostgresBackend
from perdure.storage.postgres.locks import keys_of
from perdure.storage.tables.rows import Prepared
from perdure import clock
import psycopg

def put(space, key="k"):
    return Commit(clock.uuid6().bytes, 1, items=[PutItem((space,), key, b"v")])

def there(space, *keys):
    "How many of these are."
    return sum(backend.item((space,), key) is not None for key in keys)
"""


def test_a_fork_does_not_wait_for_commits_that_wait_for_others(
    postgres_url: str, postgres_server: str
) -> None:
    """All lanes are in use, each by a commit of what another program has locked: for 30 seconds, if nobody lets go."""
    program = (
        COMMITTING
        + f"""
backend = PostgresBackend(sys.argv[1])
backend.commit(put("before"))
holder = psycopg.connect({postgres_server!r})
names = [f"held {{n}}" for n in range(12)]
for name in names:
    for key in keys_of([Prepared(put(name))], backend._place.schema, ()):
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
threads = [threading.Thread(target=backend.commit, args=(put(name),)) for name in names]
for thread in threads:
    thread.start()
until = time.monotonic() + 20
while sum(lane.turn.locked() for lane in backend._work._lanes) < backend._work.most - 1:
    assert time.monotonic() < until
    time.sleep(0.01)

def work():
    began = time.monotonic()
    for n in range(3):
        backend.commit(put("child", str(n)))
    print(time.monotonic() - began < 5)
    backend.close()
    sys.stdout.flush()
    os._exit(0)

began = time.monotonic()
print(forked(work), time.monotonic() - began < 8)
backend.commit(put("parent"))
holder.rollback()
for thread in threads:
    thread.join()
print(there("child", "0", "1", "2"), there("parent", "k"), sum(there(name, "k") for name in names))
holder.close()
backend.close()
pool.close()
"""
    )

    assert run(program, postgres_url) == ["True", "0 True", "3 1 12"]


def test_forks_in_the_middle_of_commits_lose_and_double_nothing(postgres_url: str) -> None:
    program = (
        COMMITTING
        + """
backend = PostgresBackend(sys.argv[1])
ending = threading.Event()
done = [[] for _ in range(4)]

def busy(number):
    while not ending.is_set():
        key = f"{number} {len(done[number])}"
        backend.commit(put("parent", key))
        done[number].append(key)

threads = [threading.Thread(target=busy, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()

def work():
    for n in range(3):
        backend.commit(put("children", f"{os.getpid()} {n}"))
    backend.close()
    os._exit(0)

print([forked(work) for _ in range(12)])
ending.set()
for thread in threads:
    thread.join()
made = sum(done, [])
print(there("parent", *made) == len(made) > 0)
with backend.read() as now:
    print(now.count("items") - len(made), now.count("history") - len(made))
backend.close()
pool.close()
"""
    )

    assert run(program, postgres_url) == [str([0] * 12), "True", "36 36"]
