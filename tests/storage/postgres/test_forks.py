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
