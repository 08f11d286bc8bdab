"""Copies among processes: killed at any time, of a database that others write."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

import perdure
from admin import processes
from admin.equal import assert_equal
from admin.rooms import talk
from perdure import admin

KILLED = -9


def killed_until_it_is_done(source: str, target: str, luck: random.Random) -> int:
    """How often the command was killed before it came to its end."""
    for kills in range(60):
        process = processes.perdure("db", "copy", source, target)
        time.sleep(luck.uniform(0.25, 0.9) + kills * 0.15)
        process.kill()
        out, err = process.communicate(timeout=60)
        if process.returncode != KILLED:
            assert process.returncode == 0, err
            assert "are equal" in out
            return kills
    raise AssertionError("it never came to its end")


PAIRS = [
    ("sqlite", "sqlite"),
    pytest.param(("sqlite", "postgres"), marks=pytest.mark.postgres),
    pytest.param(("postgres", "sqlite"), marks=pytest.mark.postgres),
    pytest.param(("postgres", "postgres"), marks=pytest.mark.postgres),
]


@pytest.fixture(params=PAIRS, ids=" to ".join)
def urls(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> tuple[str, str]:
    return url_of(request.param[0]), url_of(request.param[1])


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_copy_that_is_killed_at_any_time_goes_on_where_it_was(urls: tuple[str, str], seed: int) -> None:
    source, target = urls
    with perdure.connect(source) as db:
        talk(db, threads=12, turns=3)
        for n in range(300):
            db.store.put(("many", f"s{n % 5}"), f"k{n % 70}", {"text": f"number {n}"})
        db.store.put_many([(("more",), f"k{n}", {"text": f"number {n}"}) for n in range(1500)])

    kills = killed_until_it_is_done(source, target, random.Random(seed))

    assert kills > 0
    with perdure.connect(source) as here, perdure.connect(target) as there:
        assert_equal(here, there)
        assert admin.check(there) == []


def test_a_database_that_another_process_writes_is_copied_and_frozen_for_a_moment(
    urls: tuple[str, str],
) -> None:
    url, other = urls
    with perdure.connect(url) as source, perdure.connect(other) as target:
        talk(source)
        with processes.writing(url, pause_seconds=0.02):
            admin.copy(source, target)
            then: list[str] = []

            def look() -> None:
                with source.backend.read() as now:
                    then.append(str(now.revision()))
                assert_equal(source, target)
                with source.backend.read() as now:
                    then.append(str(now.revision()))

            frozen = admin.copy(source, target, freeze=True, while_frozen=look)
            time.sleep(0.3)

        assert frozen.complete
        assert then[0] == then[1]
        with source.backend.read() as now:
            assert str(now.revision()) != then[0], "the writer went on"
        assert admin.copy(source, target).complete
        assert_equal(source, target)
