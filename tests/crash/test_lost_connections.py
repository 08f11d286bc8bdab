"""Connections that are lost at any byte, in either direction, while programs run: nothing is lost, nothing stands twice.

A proxy before the server cuts them: before, during and after COMMIT, in reads, and while it is connected again. After so
many cuts as the test is told, the program ends, and everything is as if nobody had cut: each value of each checkpoint, each
version of each item. The hundreds: `python3 dev.py test --all tests/crash/test_lost_connections.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

from crash import memory_program
from crash.kit import Kept, in_turn
from crash.program import checked_chains, drawn, go_on, memory_of, thread
from crash.saboteur import KINDS, Saboteur, greeting_of, only_reads, whole
from crash.test_concurrency import begin, check, counts, looping
from crash.test_faults import over
from perdure import connect
from perdure.engine.headcache import HEADS
from perdure.storage.postgres import PostgresBackend
from perdure.testing.digests import digest
from perdure.testing.proxy import Proxy

COUNTS = ("counts",)
MANY = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def proxy(postgres_server: str) -> Iterator[Proxy]:
    with Proxy.of(postgres_server) as made:
        yield made


@pytest.fixture
def saboteur(proxy: Proxy, postgres_server: str) -> Saboteur:
    through = proxy.through(postgres_server)
    return Saboteur(proxy, 2026, greeting_of(proxy, lambda: psycopg.connect(through).close()))


def report(saboteur: Saboteur) -> None:
    print(f"\n{saboteur.happened()} cuts: {dict(saboteur.hit)}, {len(saboteur.errors)} errors told")


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("cuts", [16, pytest.param(150, marks=MANY)])
def test_a_program_ends_as_if_nobody_had_cut_its_connections(
    postgres_url: str, proxy: Proxy, saboteur: Saboteur, kept: Kept, durability: str, cuts: int
) -> None:
    names: list[str] = []
    with connect(proxy.through(postgres_url)) as db:
        while saboteur.happened() < cuts:
            saboteur.plan(min(16, cuts))
            names.append(f"t{len(names)}")
            graph: Any = drawn().compile(db)
            saboteur.stubbornly(partial(go_on, graph, names[-1], durability=durability))
        proxy.forgive()
        ends = [graph.get_state(thread(name)).values for name in names]
    report(saboteur)
    only_reads(saboteur.errors)

    with kept("memory") as backend:
        clean = over(backend)
        graph = drawn().compile(clean)
        assert ends == [go_on(graph, name, durability=durability) for name in names]
        HEADS.clear()
        with connect(postgres_url) as db:
            assert in_turn(memory_of(db)) == in_turn(memory_of(clean))
            # A run that is to be written at its end is written where it fails, too: then there are more checkpoints.
            if durability != "exit":
                assert checked_chains(db) == checked_chains(clean)
                assert digest(db, without=[COUNTS]) == digest(clean, without=[COUNTS])
    whole(postgres_url)
    if cuts >= 150:
        assert set(saboteur.hit) == set(KINDS)


@pytest.mark.parametrize("cuts", [16, pytest.param(150, marks=MANY)])
def test_memory_of_all_kinds_agrees_with_itself_when_its_connections_were_cut(
    postgres_urls: Callable[[], str], proxy: Proxy, saboteur: Saboteur, kept: Kept, cuts: int
) -> None:
    with kept("memory") as backend:
        memory_program.go_on(backend)
        clean = memory_program.remembered(backend)
    while saboteur.happened() < cuts:
        url = postgres_urls()
        backend = PostgresBackend(proxy.through(url))
        saboteur.plan(min(24, cuts))
        saboteur.stubbornly(partial(memory_program.go_on, backend))
        proxy.forgive()

        assert memory_program.remembered(backend) == clean
        memory_program.verify(backend)
        backend.close()
        whole(url)
    report(saboteur)
    only_reads(saboteur.errors)


@pytest.mark.parametrize("cuts", [12, pytest.param(150, marks=MANY)])
def test_a_crowd_of_threads_whose_connections_are_cut_counts_right(
    postgres_url: str, proxy: Proxy, saboteur: Saboteur, cuts: int
) -> None:
    names: list[str] = []
    with connect(proxy.through(postgres_url)) as db, ThreadPoolExecutor(8) as pool:
        graph = looping(counts).compile(db)

        def to_its_end(name: str) -> None:
            def goes_on() -> None:
                state = graph.get_state(thread(name))
                if state.created_at is None or state.next:
                    graph.invoke(
                        begin(name) if state.created_at is None else None, thread(name), durability="sync"
                    )

            saboteur.stubbornly(goes_on)

        while saboteur.happened() < cuts:
            saboteur.plan(min(12, cuts))
            now = [f"t{len(names) + number}" for number in range(16)]
            list(pool.map(to_its_end, now))
            names += now
        proxy.forgive()
    report(saboteur)
    only_reads(saboteur.errors)

    HEADS.clear()
    with connect(postgres_url) as db:
        check(db, names)
    whole(postgres_url)
