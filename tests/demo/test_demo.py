"""`perdure demo` as a process: heard once, whatever happens to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import perdure
from perdure.demo.play import hamlet

PERDURE = [sys.executable, "-m", "perdure"]
# As on a machine where NumPy is not installed.
BY_WORDS = [
    sys.executable,
    "-c",
    "import sys; sys.modules['numpy'] = None; from perdure.cli import main; sys.exit(main())",
]
SCENES = 2
SPEECHES = sum(len(scene.speeches) for scene in hamlet().scenes[:SCENES])
# Not of what was done, but of how, and by which run.
OF_THE_RUN = {"database", "disk_bytes", "seconds", "speeches_now", "step_microseconds", "steps_now"}

posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def demo(db: Path | str, *arguments: str, code: int = 0, program: list[str] = PERDURE) -> str:
    done = subprocess.run(
        [*program, "demo", "--db", str(db), "--scenes", str(SCENES), *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def summary(db: Path | str, *arguments: str, program: list[str] = PERDURE) -> dict[str, Any]:
    return json.loads(demo(db, "--json", *arguments, program=program))


def lasting(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in OF_THE_RUN}


@pytest.fixture(scope="module")
def unhurt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of a run that nothing happened to."""
    return summary(tmp_path_factory.mktemp("unhurt") / "play.db")


def test_every_speech_is_heard_and_remembered_by_all_who_speak_it(unhurt: dict[str, Any]) -> None:
    speeches = [speech for scene in hamlet().scenes[:SCENES] for speech in scene.speeches]

    assert unhurt["speeches"] == unhurt["speeches_now"] == SPEECHES
    assert unhurt["memories"] == sum(len(speech.voices) for speech in speeches)
    assert unhurt["characters"] == len({voice for speech in speeches for voice in speech.voices})
    assert unhurt["recalled"] > 0


def test_a_second_run_finds_all_done_and_doubles_nothing(tmp_path: Path) -> None:
    first, second = summary(tmp_path / "play.db"), summary(tmp_path / "play.db")

    assert second["speeches_now"] == second["steps_now"] == 0
    assert lasting(second) == lasting(first)


@posix
@pytest.mark.parametrize("commit", [1, 2, 3, 4, 5, 77, 200])
def test_killed_at_a_commit_it_goes_on_as_if_nothing_had_been(
    tmp_path: Path, commit: int, unhurt: dict[str, Any]
) -> None:
    demo(tmp_path / "play.db", "--crash-at", str(commit), code=-signal.SIGKILL)

    after = summary(tmp_path / "play.db")

    assert after["speeches_now"] > 0
    assert lasting(after) == lasting(unhurt)


def test_on_postgres_it_is_the_same_play_and_no_password_is_told(
    postgres_url: str, unhurt: dict[str, Any]
) -> None:
    url = postgres_url.replace("postgres@", "postgres:hunter2@", 1)

    table, found = demo(url), summary(url)

    assert lasting(found) == lasting(unhurt)
    assert found["speeches_now"] == 0
    assert found["disk_bytes"] is None
    assert found["database"] in table
    assert "hunter2" not in table + found["database"]


@posix
@pytest.mark.parametrize("commit", [1, 2, 77])
def test_killed_at_a_commit_on_postgres_it_goes_on_as_if_nothing_had_been(
    postgres_url: str, commit: int, unhurt: dict[str, Any]
) -> None:
    demo(postgres_url, "--crash-at", str(commit), code=-signal.SIGKILL)

    after = summary(postgres_url)

    assert after["speeches_now"] > 0
    assert lasting(after) == lasting(unhurt)


def test_without_numpy_it_recalls_by_words_and_says_so(tmp_path: Path, unhurt: dict[str, Any]) -> None:
    db = tmp_path / "play.db"
    table = demo(db, program=BY_WORDS)

    (said,) = [line for line in table.splitlines() if line.split()[:1] == ["search"]]
    assert said.endswith("by words alone (this Python has no NumPy: pip install 'perdure[search]')")
    again = summary(db, program=BY_WORDS)
    assert again["speeches_now"] == 0
    assert again["recalled_by"] == ["words alone"]
    assert again["memories"] == unhurt["memories"]
    assert 0 < again["recalled"] < unhurt["recalled"]
    assert summary(tmp_path / "other.db", program=BY_WORDS)["digest"] == again["digest"]


@posix
def test_without_numpy_it_goes_on_after_a_kill_as_well(tmp_path: Path) -> None:
    unhurt = summary(tmp_path / "unhurt.db", program=BY_WORDS)
    demo(tmp_path / "play.db", "--crash-at", "300", code=-signal.SIGKILL, program=BY_WORDS)

    assert lasting(summary(tmp_path / "play.db", program=BY_WORDS)) == lasting(unhurt)


@pytest.mark.parametrize("ways", [(PERDURE, BY_WORDS), (BY_WORDS, PERDURE)])
def test_what_one_way_began_the_other_goes_on_with(
    tmp_path: Path, ways: tuple[list[str], list[str]], unhurt: dict[str, Any]
) -> None:
    db = tmp_path / "play.db"
    summary(db, "--scenes", "1", program=ways[0])
    found = summary(db, program=ways[1])

    assert found["recalled_by"] == ["words alone", "words and spelling"]
    assert found["speeches"] == unhurt["speeches"]
    assert found["memories"] == unhurt["memories"]
    # With vectors for all, every speech has likest ones; those of the first scene got theirs, if they had none.
    assert (found["recalled"] == unhurt["recalled"]) == (ways[1] is PERDURE)
    assert summary(db, program=ways[0])["speeches_now"] == 0


def test_what_is_recalled_was_said_by_the_same_in_an_earlier_scene_and_fits(tmp_path: Path) -> None:
    db = tmp_path / "play.db"
    demo(db)
    with perdure.connect(f"sqlite:///{db}") as opened:
        first, second = (
            opened.checkpointer.get({"configurable": {"thread_id": scene.name}})
            for scene in hamlet().scenes[:SCENES]
        )
        assert first is not None
        assert second is not None
        assert first["channel_values"].get("recalled", []) == []
        recalled: list[str] = second["channel_values"]["recalled"]
        assert {key[:2] for key in recalled} == {"01"}
        who = {voice for speech in hamlet().scenes[1].speeches for voice in speech.voices}
        before = {voice for speech in hamlet().scenes[0].speeches for voice in speech.voices}
        # The newest three of each would be the same before every speech.
        assert len(set(recalled)) > 3 * len(who & before)


@posix
def test_stopped_by_ctrl_c_it_says_so_in_a_line_and_can_go_on(tmp_path: Path) -> None:
    db = tmp_path / "play.db"
    running = subprocess.Popen(
        [*PERDURE, "demo", "--db", str(db)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while running.poll() is None and not db.exists():
        time.sleep(0.01)  # the file is the first thing to be seen of it from outside
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert said.strip().splitlines() == [
        "Stopped. What was done is saved; the same command goes on from there."
    ]
    assert summary(db)["speeches"] == SPEECHES


def test_a_summary_is_for_people_unless_asked_otherwise(tmp_path: Path) -> None:
    table, line = demo(tmp_path / "play.db"), demo(tmp_path / "play.db", "--quiet")

    assert f"{SPEECHES} speeches in {SCENES} scenes" in table
    assert "microseconds each" in table
    assert len(line.splitlines()) == 1


def test_a_file_that_is_no_database_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Horatio, " * 1000, encoding="utf-8")

    done = subprocess.run(
        [*PERDURE, "demo", "--db", str(tmp_path / "letter.txt")], capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr.startswith("perdure: ")
    assert "Traceback" not in done.stderr


def test_the_command_knows_its_version() -> None:
    done = subprocess.run([*PERDURE, "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"perdure {perdure.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["--scenes", "0"], ["--crash-at", "-1"], ["--scenes", "x"], ["--what"]]
)
def test_arguments_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    done = subprocess.run([*PERDURE, "demo", *arguments], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: perdure")
    assert " _" not in done.stderr, "an inner name"
