"""The play is read whole, and everybody in it is somebody."""

from __future__ import annotations

from importlib.resources import files

import pytest

from perdure.demo.play import TOGETHER, VOICES, Direction, PlayError, Speech, hamlet, parse

BOOK = files("perdure.demo").joinpath("hamlet.txt").read_text(encoding="utf-8-sig")
ACT = "ACT I.\n\nScene I. A room.\n\n"


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_the_play_has_twenty_scenes_in_five_acts() -> None:
    scenes = [(scene.act, scene.number) for scene in hamlet().scenes]

    numbers_by_act = {1: 5, 2: 2, 3: 4, 4: 7, 5: 2}
    assert scenes == [(act, n) for act, last in numbers_by_act.items() for n in range(1, last + 1)]


def test_the_play_has_its_speeches_and_characters() -> None:
    play = hamlet()

    assert sum(len(scene.speeches) for scene in play.scenes) == 1137
    assert len(play.characters) == 37
    assert sum("Hamlet" in s.voices for scene in play.scenes for s in scene.speeches) == 358
    assert play.scenes[0].speeches[0] == Speech(("Bernardo",), "Who's there?", 0, "Ber.")


def test_no_line_after_the_list_of_persons_is_lost_doubled_or_moved() -> None:
    read_back = "\n\n".join(scene.source for scene in hamlet().scenes)

    assert lines_of(read_back) == lines_of(BOOK[BOOK.index("ACT I.") :])


def test_speeches_are_numbered_within_their_scene() -> None:
    for scene in hamlet().scenes:
        assert [speech.index for speech in scene.speeches] == list(range(len(scene.speeches)))


def test_every_label_of_the_tables_is_met_in_the_book() -> None:
    met = {
        (scene.act, scene.number, speech.label.partition(" [")[0])
        for scene in hamlet().scenes
        for speech in scene.speeches
    }

    assert {label for _, _, label in met} == set(VOICES) | {label for _, _, label in TOGETHER}
    assert met.issuperset(TOGETHER)


def test_those_who_speak_together_are_all_named() -> None:
    play = parse("ACT I.\n\nScene I. A.\n\nHor. and Mar.\nAy.\n")

    (speech,) = play.scenes[0].speeches
    assert speech.voices == ("Horatio", "Marcellus")
    assert speech.speaker == "Horatio and Marcellus"


def test_a_speech_that_goes_on_after_a_direction_is_one_speech() -> None:
    (scene,) = parse(ACT + "Ham.\nSo.\n\n[A bell.]\n\nAnd so.\n\n[Exit.]\n").scenes

    assert scene.events == (
        Speech(("Hamlet",), "So.\n\n[A bell.]\n\nAnd so.", 0, "Ham."),
        Direction("[Exit.]"),
    )


def test_a_label_nobody_knows_is_refused_with_its_line() -> None:
    with pytest.raises(PlayError, match=r"Line 5: nobody is known as 'Yor\.'"):
        parse(ACT + "Yor.\nAlas!\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ACT + "Who goes?\n", "before anybody speaks"),
        ("ACT I.\n\nHam.\nSo.\n", "between an act's line and its first scene"),
        (ACT + "Ham.\nSo.\n\nScene III. A hall.\n", "not number 2"),
        ("ACT II.\n", "not number 1"),
    ],
)
def test_a_text_out_of_order_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(PlayError, match=complaint):
        parse(text)
