"""A process that writes memory of all kinds dies at any instant: all that is made of the items agrees with them.

After each kill, in new processes: on a copy of the database nothing is found wrong, and searches by words, by meaning and by
both find what a fresh store of the same items finds; then the program goes on, and remembers in the end what one that
nobody killed does. The program: `memory_program.py`.
"""

from __future__ import annotations

import random
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import pytest

from crash.kit import KILLED, Nursery, Run
from databases import POSTGRES


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery("crash.memory_program") as nursery:
        yield nursery


@pytest.fixture(scope="module")
def clean(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is remembered if nobody is killed."""
    return nursery.run(tmp_path_factory.mktemp("clean") / "a.db").result


class Place(Protocol):
    """Where fresh databases can be had, and copied."""

    def fresh(self) -> str:
        """What the program is given for an empty one."""
        ...

    def copied(self) -> str:
        """A copy of the last one as it is now, whoever died in the middle of it."""
        ...


class Files:
    """Databases of SQLite."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "a.db"
        self.copy = directory / "copy.db"

    def fresh(self) -> str:
        for path in self.file.parent.glob("*"):
            path.unlink()
        return str(self.file)

    def copied(self) -> str:
        for end in ("", "-wal", "-shm"):
            Path(f"{self.copy}{end}").unlink(missing_ok=True)
        for end in ("", "-wal"):
            if Path(f"{self.file}{end}").exists():
                shutil.copy(f"{self.file}{end}", f"{self.copy}{end}")
        return str(self.copy)


class Served:
    """Databases of a server of Postgres."""

    def __init__(self, url: str, admin: Any) -> None:
        self.url = urlsplit(url)
        self.admin = admin
        self.made: list[str] = []

    def fresh(self) -> str:
        return self._new("")

    def copied(self) -> str:
        origin = self.made.pop()
        # Nobody may be in it: the server notices at its next word that a killed process is gone.
        self.admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (origin,)
        )
        copy = self._new(f"TEMPLATE {origin}")
        self.made.append(origin)  # it stays the last one
        return copy

    def _new(self, how: str) -> str:
        name = f"killed_{secrets.token_hex(8)}"
        self.admin.execute(f"CREATE DATABASE {name} {how}")
        self.made.append(name)
        return urlunsplit(self.url._replace(path=f"/{name}"))

    def drop(self) -> None:
        for name in self.made:
            self.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Kills:
    """Kills, each on a fresh database."""

    def __init__(self, nursery: Nursery, clean: dict[str, Any], place: Place) -> None:
        self.nursery = nursery
        self.clean = clean
        self.place = place

    def leave_memory_that_agrees(self, *kill: object, after: float | None = None) -> Run:
        """Kills, looks, goes on, compares; how the first process ended."""
        at = self.place.fresh()
        first = self.nursery.run(at, *kill, kill_after=after)
        assert first.code in (0, KILLED), first.out
        found = self.nursery.run(
            self.place.copied(), "--verify"
        )  # of a copy: looking closely changes what is filed
        assert found.code == 0, (kill, after, found.out)
        again = self.nursery.run(at, *[option for option in kill if option == "--sweeping"]).result
        assert again["remembered"] == self.clean["remembered"], (kill, after)
        return first


@pytest.fixture(params=["sqlite", POSTGRES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield Files(tmp_path)
        return
    served = Served(request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_admin"))
    yield served
    served.drop()


@pytest.fixture
def kills(nursery: Nursery, clean: dict[str, Any], place: Place) -> Kills:
    return Kills(nursery, clean, place)


def test_the_program_does_all_it_says_and_leaves_memory_that_agrees(
    kills: Kills, clean: dict[str, Any]
) -> None:
    assert clean["step"] == 11
    assert clean["commits"] > 50
    assert not kills.leave_memory_that_agrees().killed
    assert not kills.leave_memory_that_agrees("--sweeping").killed


def test_killed_at_a_commit(kills: Kills) -> None:
    few = 4 if isinstance(kills.place, Files) else 2
    for place, number in enumerate(random.Random(6).sample(range(1, kills.clean["commits"] + 1), few)):
        when = "before" if place % 2 else "after"
        assert kills.leave_memory_that_agrees("--kill", when, "--at", number).killed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_commit(kills: Kills, when: str) -> None:
    number = 1
    while kills.leave_memory_that_agrees("--kill", when, "--at", number).killed:
        number += 1

    assert number > 50


@pytest.mark.parametrize("number", [90, 420])
def test_killed_inside_a_transaction(kills: Kills, number: int) -> None:
    assert kills.leave_memory_that_agrees("--at-statement", number).killed


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_every_fifth_statement(kills: Kills) -> None:
    number = 1
    while kills.leave_memory_that_agrees("--at-statement", number).killed:
        number += 5

    assert number > 300


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_a_random_instant_while_a_thread_sweeps(kills: Kills, seed: int) -> None:
    kills.leave_memory_that_agrees("--sweeping", after=0.05 + 0.3 * random.Random(seed).random())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("options", [(), ("--sweeping",)])
def test_killed_at_many_random_instants(kills: Kills, options: tuple[str, ...]) -> None:
    delays = random.Random(2026)
    before = kills.nursery.kills

    for _ in range(60):
        kills.leave_memory_that_agrees(*options, after=0.02 + 0.5 * delays.random())

    assert kills.nursery.kills - before > 20


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_killed_again_and_again_on_the_way(
    nursery: Nursery, clean: dict[str, Any], place: Place, seed: int
) -> None:
    chance, at, count = random.Random(seed), place.fresh(), 0

    while count < 200:
        # The longest step makes ten commits: fewer than that, and it is never done.
        fate = ("--kill", chance.choice(["before", "after"]), "--at", chance.randrange(4, 24))
        run = nursery.run(at, *fate)
        if not run.killed:
            break
        count += 1

    assert count > 2
    assert run.result["remembered"] == clean["remembered"]
    assert nursery.run(at, "--verify").code == 0
