"""Statements on a connection: who is interrupted among them leaves none that another may use."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from perdure import clock
from perdure.storage.contract import Commit, PutItem

pytest.importorskip("psycopg")

from perdure.storage.postgres import PostgresBackend, talking
from perdure.storage.postgres.readings import Reading
from perdure.storage.postgres.talking import say


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals")
def test_after_a_signal_in_the_middle_of_an_answer_the_database_is_read_as_before(postgres_url: str) -> None:
    """The server has prepared a statement meanwhile that this process does not know of."""
    backend = PostgresBackend(f"{postgres_url}&pool_max=1")
    backend.commit(Commit(clock.uuid6().bytes, 1, items=[PutItem(("s",), "k", b"v")]))
    for _ in range(3):
        with backend.read() as now:
            now.revision()
    reading = Reading(backend._line)

    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), reading:
        say(reading.connection, b"SELECT pg_sleep(30)")

    with backend.read() as now:
        assert now.item(("s",), "k") is not None
    backend.close()


def test_after_a_signal_between_an_answer_and_what_is_known_by_it_the_connection_is_closed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the server would have a statement under a name that this process gives to the next."""
    backend = PostgresBackend(f"{postgres_url}&pool_max=1")
    connection = backend._line.take()
    monkeypatch.setattr(talking, "_answers", interrupted)

    with pytest.raises(KeyboardInterrupt):
        say(connection, b"SELECT 'never said before'")
    monkeypatch.undo()

    assert connection.closed
    backend._line.give(connection)
    with backend.read() as now:
        now.revision()
    backend.close()


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_behind_a_pooler_each_transaction_is_told_how_to_plan_beside_its_limits(postgres_url: str) -> None:
    backend = PostgresBackend(f"{postgres_url}&prepare=off&lock_timeout=7s")
    names = ("enable_seqscan", "plan_cache_mode", "lock_timeout")
    asked = ", ".join(f"current_setting('{name}')" for name in names)
    reading = Reading(backend._line)

    with reading:
        rows = say(reading.connection, f"SELECT {asked}".encode())

    assert rows == [("off", "force_generic_plan", "7s")]
    backend.close()
