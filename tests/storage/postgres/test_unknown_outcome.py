"""A connection that is lost before, during or after COMMIT: the commit is made once, or an error says so. Never twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure import clock
from perdure.errors import Unavailable
from perdure.storage.contract import Commit, HeadIs, PutItem, SegmentRow
from perdure.testing.backends import checkpoint_of
from perdure.testing.proxy import DIRECTIONS, Direction, Proxy

pytest.importorskip("psycopg")

import psycopg

from perdure.storage.postgres import PostgresBackend, attempts, gathering, remembered

SPACE = ("s",)


def step(n: int, memory: bool = True) -> Commit:
    before = f"{n - 1:04}" if n else None
    return Commit(
        clock.uuid6().bytes,
        1,
        heads=[HeadIs("t", "", before)],
        checkpoints=[checkpoint_of("t", f"{n:04}", before)],
        segments=[SegmentRow("t", 1, n, 1, 0, b"x" * 50)],
        items=[PutItem(SPACE, "count", b"%d" % n)] if memory else [],
    )


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    with Proxy.of(postgres_url) as made:
        yield made


def bytes_of_a_step(
    proxy: Proxy, backend: PostgresBackend, n: int, memory: bool = True
) -> dict[Direction, int]:
    before = {way: proxy.passed(way) for way in DIRECTIONS}
    backend.commit(step(n, memory))
    return {way: proxy.passed(way) - before[way] for way in DIRECTIONS}


@pytest.mark.parametrize("parts", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("memory", [True, False], ids=["two round trips", "one round trip"])
@pytest.mark.parametrize("way", DIRECTIONS)
def test_a_step_is_made_once_wherever_the_connection_is_cut(
    postgres_url: str, proxy: Proxy, way: Direction, memory: bool, parts: int
) -> None:
    backend = PostgresBackend(proxy.through(postgres_url))
    for n in range(4):  # statements are prepared
        backend.commit(step(n, memory))
    size = bytes_of_a_step(proxy, backend, 4, memory)[way]
    n, cuts = 5, 0
    for at in range(0, size, max(1, size // parts)):
        for _ in range(3):  # what comes first on a connection is longer
            backend.commit(step(n, memory))
            n += 1
        cut = proxy.cut(way, at)
        again = step(n, memory)
        revision = backend.commit(again)
        n += 1
        cuts += cut.happened.is_set()
        with backend.read() as now:
            assert now.committed(again.id) == revision
            # What was cut off may be under way on the server for a moment: then all before it is told.
            assert now.revision() <= revision
    with backend.read() as now:
        assert now.count("checkpoints") == now.count("segments") == n
        versions = [int(row.value or b"") for row in now.history(SPACE, "count", 1 << 20).versions]
        assert versions == (list(range(n - 1, -1, -1)) if memory else [])
    backend.close()

    assert cuts >= min(size, parts) * 3 // 4


@pytest.mark.parametrize("parts", [12, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", DIRECTIONS)
def test_a_connection_that_is_lost_while_it_is_made_or_looked_at_is_made_again(
    postgres_url: str, proxy: Proxy, way: Direction, parts: int
) -> None:
    backend = PostgresBackend(proxy.through(postgres_url))
    for n in range(4):
        backend.commit(step(n))
    proxy.kill()
    size = bytes_of_a_step(proxy, backend, 4)[way]
    n, cuts = 5, 0
    for at in range(0, size, max(1, size // parts)):
        proxy.kill()  # so another connection is made, and cut on its way
        cut = proxy.cut(way, at)
        again = step(n)
        revision = backend.commit(again)
        cuts += cut.happened.is_set()

        proxy.kill()
        proxy.cut(way, at)
        item = backend.item(SPACE, "count")
        assert item is not None
        assert item.value == b"%d" % n
        proxy.forgive()
        with backend.read() as now:
            assert now.committed(again.id) == revision
        n += 1
    with backend.read() as now:
        assert now.count("checkpoints") == n
    backend.close()

    assert cuts >= parts * 3 // 4


def test_an_outcome_that_nobody_can_tell_is_said_to_be_unknown(
    postgres_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PATIENCE_SECONDS", 0.5)
    backend = PostgresBackend(f"{proxy.through(postgres_url)}&pool_timeout=0.5")
    for n in range(3):
        backend.commit(step(n))
    sizes = bytes_of_a_step(proxy, backend, 3)
    cut = proxy.cut("to client", sizes["to client"] - 20, everyone=True)
    threading.Thread(
        target=lambda: cut.happened.wait(30) and proxy.close()
    ).start()  # and nobody answers again

    with pytest.raises(Unavailable) as raised:
        backend.commit(step(4))

    assert raised.value.written is None
    assert "unknown" in str(raised.value)
    backend.close()


def test_a_group_that_is_cut_off_is_made_once_with_its_neighbours_errors(
    postgres_url: str, proxy: Proxy, postgres_urls: Callable[[], str]
) -> None:
    backend = PostgresBackend(proxy.through(postgres_url))
    for n in range(4):
        backend.commit(step(n))
    group = [step(4), step(4), step(5)]
    size = bytes_of_a_step(proxy, backend, 4)["to client"]
    proxy.cut("to client", size + 40)

    outcomes = backend.commit_group([step(5), *group, step(6)])

    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["Revision", "StaleThread", "StaleThread", "StaleThread", "Revision"]
    with backend.read() as now:
        assert now.count("checkpoints") == 7
    backend.close()


@pytest.mark.parametrize("memory", [True, False], ids=["two round trips", "one round trip"])
def test_a_pooler_that_lost_the_server_at_the_commit_is_no_reason_to_say_that_nothing_was_written(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    """PgBouncer answers 08P01 then, as for all errors of its own; the server may have committed."""
    backend = PostgresBackend(postgres_url)
    for n in range(3):
        backend.commit(step(n, memory))
    module = gathering if memory else remembered
    say_all, left = module.say_all, [psycopg.errors.ProtocolViolation("server conn crashed?")]

    def loses(connection: Any, said: Any) -> Any:
        answers = say_all(connection, said)
        if said[-1][0] == b"COMMIT" and left:
            raise left.pop()
        return answers

    monkeypatch.setattr(module, "say_all", loses)
    again = step(3, memory)

    revision = backend.commit(again)

    assert not left
    with backend.read() as now:
        assert now.committed(again.id) == revision
        assert now.count("checkpoints") == now.count("segments") == 4
        versions = [int(row.value or b"") for row in now.history(SPACE, "count", 1 << 20).versions]
        assert versions == ([3, 2, 1, 0] if memory else [])
    backend.close()
