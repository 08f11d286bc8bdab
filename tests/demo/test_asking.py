"""`perdure demo --ask`: first all is heard, then the memories that fit are shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import perdure
from perdure.cli import main
from perdure.demo.play import hamlet

SCENES = 2


def asked(db: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["demo", "--db", str(db), "--scenes", str(SCENES), *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes, heard."""
    db = tmp_path_factory.mktemp("play") / "play.db"
    assert main(["demo", "--db", str(db), "--scenes", str(SCENES), "--quiet"]) == 0
    return db


def digest(db: Path, capsys: pytest.CaptureFixture[str]) -> str:
    return json.loads(asked(db, "--json", capsys=capsys))["digest"]


def test_what_is_not_heard_yet_is_heard_first(
    tmp_path: Path, play: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.db"
    out = asked(new, "--ask", "the frailty of women", capsys=capsys)

    assert "Frailty, thy name is woman!" in out
    assert digest(new, capsys) == digest(play, capsys)
    assert asked(play, "--ask", "the frailty of women", capsys=capsys) == out


def test_an_answer_has_speaker_act_scene_and_the_words_around_what_matters(
    play: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    lines = asked(play, "--ask", "frailty", capsys=capsys).splitlines()

    assert lines[0] == "Hamlet, Act I, Scene II. Elsinore. A room of state in the Castle"
    assert lines[1].startswith("    ... ")
    assert lines[1].endswith(" ...")
    assert "Frailty, thy name is woman!" in lines[1]
    assert all(len(line) <= 70 for line in lines)


def test_a_misspelt_question_is_understood(play: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Welcome, Horatio" in asked(play, "--ask", "wellcome horashio", capsys=capsys)


def test_programs_get_whole_speeches_and_not_more_than_five(
    play: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: dict[str, Any] = json.loads(asked(play, "--ask", "my lord", "--json", capsys=capsys))

    assert found["question"] == "my lord"
    answers = found["answers"]
    assert len(answers) == 5
    scores = [answer["score"] for answer in answers]
    assert scores == sorted(scores, reverse=True)
    for answer in answers:
        scene = hamlet().scenes[int(answer["key"][:2]) - 1]
        speech = scene.speeches[int(answer["key"][3:])]
        assert (answer["act"], answer["scene"], answer["place"]) == (scene.act, scene.number, scene.place)
        assert (answer["speaker"], answer["text"]) == (speech.speaker, speech.text)


def test_those_who_speak_together_are_one_answer(play: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(asked(play, "--ask", "our duty to your honour", "--json", capsys=capsys))

    (together,) = [answer for answer in found["answers"] if answer["text"] == "Our duty to your honour."]
    assert together["speaker"] == "Horatio and Marcellus and Bernardo"


def test_a_question_that_nothing_fits_says_so(play: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        asked(play, "--ask", "quantum xyzzy", capsys=capsys)
        == 'Nothing that is remembered fits "quantum xyzzy".\n'
    )
    assert json.loads(asked(play, "--ask", "quantum", "--json", capsys=capsys))["answers"] == []


@pytest.mark.parametrize("question", ["", "  ", "?!"])
def test_an_empty_question_is_refused_before_anything_is_done(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--db", str(tmp_path / "new.db"), "--ask", question])

    assert stopped.value.code == 2
    assert "is an empty question" in capsys.readouterr().err
    assert not (tmp_path / "new.db").exists()


def test_memories_that_are_not_of_the_play_are_no_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with perdure.connect(f"sqlite:///{tmp_path / 'play.db'}") as db:
        for number, value in enumerate(({}, {"scene": 99, "index": 0}, {"scene": 1, "index": -1})):
            db.store.put(("characters", "Yorick"), f"{number}", {**value, "text": "gambols"})

    assert "Nothing" in asked(tmp_path / "play.db", "--ask", "gambols", capsys=capsys)


def test_without_numpy_answers_are_found_by_words(play: Path, tmp_path: Path) -> None:
    del play
    program = "import sys; sys.modules['numpy'] = None; from perdure.cli import main; sys.exit(main())"
    arguments = ["demo", "--db", str(tmp_path / "play.db"), "--scenes", "2", "--ask", "frailty"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Frailty, thy name is woman!" in done.stdout
