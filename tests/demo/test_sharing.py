"""Two processes hear one play between them: each scene once, whatever happens to either; on a file and on a server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from databases import KINDS, POSTGRES
from perdure import Database, connect
from perdure.demo import run
from perdure.demo.play import hamlet
from perdure.demo.run import builder, hear, opened
from perdure.demo.sharing import CLAIMS, Claims, Lost
from perdure.testing import digest

SCENES = 3
SPEECHES = sum(len(scene.speeches) for scene in hamlet().scenes[:SCENES])
LASTING = pytest.mark.parametrize("kind", ["sqlite", POSTGRES])


def started(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "perdure", "demo", "--db", url, "--scenes", str(SCENES), "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def summary(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of a process that was alone."""
    return summary(started(f"sqlite:///{tmp_path_factory.mktemp('alone')}/play.db"))


def heard_once(url: str, alone: dict[str, Any]) -> None:
    """All is there, each memory was written once, and no claim is left."""
    with connect(url) as db:
        assert digest(db) == alone["digest"]
        assert db.store.count(("characters",)) == alone["memories"]
        with db.backend.read() as now:
            written = [row for row in now.changes(None, 1 << 30) if row.namespace != CLAIMS]
        assert len(written) == alone["memories"]
        assert db.store.search(CLAIMS) == []


@LASTING
def test_two_processes_hear_the_scenes_between_them(
    url_of: Callable[[str], str], kind: str, alone: dict[str, Any]
) -> None:
    url = url_of(kind)

    both = [summary(process) for process in [started(url), started(url)]]

    assert [found["digest"] for found in both] == [alone["digest"]] * 2
    assert sum(found["speeches_now"] for found in both) == SPEECHES
    assert all(found["speeches_now"] for found in both), "one of them heard everything"
    assert sum(found["steps_now"] for found in both) == alone["steps_now"]
    heard_once(url, alone)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("commits", [(40, 90), pytest.param((1, 2), marks=pytest.mark.slow)])
@LASTING
def test_what_a_killed_process_was_at_another_hears_to_its_end(
    url_of: Callable[[str], str], kind: str, commits: tuple[int, int], alone: dict[str, Any]
) -> None:
    assert sum(commits) < SPEECHES, "there is too little for both to get that far, however it is shared out"
    url = url_of(kind)
    killed = [started(url, "--crash-at", str(commit)) for commit in commits]

    for process in killed:
        process.communicate(timeout=100)
    found = summary(started(url))

    assert [process.returncode for process in killed] == [-signal.SIGKILL] * 2
    assert found["digest"] == alone["digest"]
    heard_once(url, alone)


# -- claims ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Database]:
    with connect(url_of(request.param)) as made:
        yield made


def test_of_two_who_want_a_scene_one_has_it_until_it_is_dropped(db: Database) -> None:
    one, other = Claims(db.store), Claims(db.store)

    assert one.take("scene")
    assert not other.take("scene")
    assert not other.is_free("scene")
    one.drop()

    assert other.take("scene")


def test_a_claim_that_is_not_kept_is_taken_over_and_its_owner_is_told(db: Database) -> None:
    one, other = Claims(db.store, silence=0), Claims(db.store, silence=0)
    one.take("scene")

    assert not other.take("scene"), "it was only just heard of"
    one.keep()
    assert not other.take("scene"), "it was kept meanwhile"
    assert other.take("scene")

    with pytest.raises(Lost):
        one.keep()
    one.drop()
    assert not one.is_free("scene"), "what another has is not dropped"


@pytest.mark.parametrize("url", ["sqlite", POSTGRES], indirect=True)
def test_a_scene_waits_for_those_before_it_that_have_a_voice_in_common(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = play = hamlet().scenes[:2]
    happened: list[tuple[str, int]] = []
    looked = run._hear

    def told(graph: Any, number: int, scene: Any, at: Any) -> Any:
        happened.append(("begins", number))
        while scene is first and db.store.get(CLAIMS, second.name) is None:
            time.sleep(0.01)  # until the other one wants the next
        yield from looked(graph, number, scene, at)
        happened.append(("ends", number))

    monkeypatch.setattr(run, "_hear", told)
    with opened(url) as (db, by), ThreadPoolExecutor(2) as pool:
        graph = builder(by).compile(db)
        both = [pool.submit(hear, graph, db.store, play) for _ in range(2)]
        heard = sorted(each.result(60)[0] for each in both)

    assert happened == [("begins", 1), ("ends", 1), ("begins", 2), ("ends", 2)]
    assert heard == sorted(len(scene.speeches) for scene in play)


def test_who_was_slow_hears_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thinks that a scene is his, while another hears all of it."""
    play = hamlet().scenes[:1]
    with opened(tmp_path / "play.db") as (db, by), opened(tmp_path / "clean.db") as (clean, _):
        hear(builder(by).compile(clean), clean.store, play)
        graph = builder(by).compile(db)
        looked, slow = run._hear, []

        def slowly(graph: Any, number: int, scene: Any, at: Any) -> Any:
            if not slow:
                slow.append(scene)
                for _ in looked(graph, number, scene, at):
                    pass
            yield from looked(graph, number, scene, at)

        monkeypatch.setattr(run, "_hear", slowly)
        hear(graph, db.store, play)

        assert slow
        assert digest(db) == digest(clean)
