"""*Hamlet*, read from its plain text: scenes, who speaks, what is done.

Here: the values of a play, the table of who is meant by each printed abbreviation, the parser.
Not here: graphs, memory, printing (`run.py`, `report.py`).
Pure but for reading the one text that lies beside this file; imports nothing of Perdure.

The rules of this edition, each checked by `tests/demo/test_play.py`:
- paragraphs are separated by blank lines; what stands before the first act is the list of persons;
- a paragraph whose first line is an abbreviation in `VOICES` begins a speech;
- a paragraph wholly in square brackets is a stage direction;
- any other paragraph goes on with the speech before it, and so do the directions between the two: they are part of
  how that speech is given, as are brackets inside a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeAlias

__all__ = ["Direction", "Event", "Play", "PlayError", "Scene", "Speech", "hamlet", "parse"]


class PlayError(ValueError):
    """The text breaks a rule of the edition; the message names the line."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What is said before somebody else speaks.

    `voices`: full names, more than one if they speak together. `index`: 0, 1, 2 ... within the scene. `label`: the
    speaker's line as printed. `text`: all lines as printed, directions inside the speech included, in brackets.
    """

    voices: tuple[str, ...]
    text: str
    index: int
    label: str

    @property
    def speaker(self) -> str:
        """The voices as one would say them: `"Marcellus and Bernardo"`."""
        return " and ".join(self.voices)

    @property
    def source(self) -> str:
        """The paragraph as it stands in the book, label first."""
        return f"{self.label}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Direction:
    """A stage direction between speeches, with its brackets."""

    text: str

    @property
    def source(self) -> str:
        """The paragraph as it stands in the book."""
        return self.text


Event: TypeAlias = Speech | Direction


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: act and number count from 1; `title` is the heading's line, `heading` includes a new act's line."""

    act: int
    number: int
    title: str
    heading: str
    events: tuple[Event, ...]

    @property
    def name(self) -> str:
        """`"act-1-scene-1"`: what the demo uses as thread id."""
        return f"act-{self.act}-scene-{self.number}"

    @property
    def place(self) -> str:
        """As one would name it: `"Act III, Scene I. A room in the Castle"`."""
        roman = next(name for name, number in _ROMAN.items() if number == self.act)
        return f"Act {roman}, {self.title.rstrip('.')}"

    @property
    def speeches(self) -> tuple[Speech, ...]:
        """The speeches in order; `speeches[n].index == n`."""
        return tuple(event for event in self.events if isinstance(event, Speech))

    @property
    def source(self) -> str:
        """The scene as it stands in the book, paragraphs apart by one blank line."""
        return "\n\n".join([self.heading, *(event.source for event in self.events)])


@dataclass(frozen=True, slots=True)
class Play:
    """All scenes in order."""

    scenes: tuple[Scene, ...]

    @property
    def characters(self) -> tuple[str, ...]:
        """Everybody who speaks, sorted."""
        return tuple(sorted({v for scene in self.scenes for speech in scene.speeches for v in speech.voices}))


# Who is meant by each label of this edition. Several names: they speak together, and each remembers it.
VOICES: dict[str, tuple[str, ...]] = {
    "1 Ambassador.": ("First Ambassador",),
    "1 Clown.": ("First Clown",),
    "1 Priest.": ("First Priest",),
    "2 Clown.": ("Second Clown",),
    "Ber.": ("Bernardo",),
    "Capt.": ("Captain",),
    "Cor. and Volt.": ("Cornelius", "Voltimand"),
    "Danes.": ("Danes",),
    "For.": ("Fortinbras",),
    "Fort.": ("Fortinbras",),
    "Fran.": ("Francisco",),
    "Gent.": ("Gentleman",),
    "Ghost.": ("Ghost of Hamlet's Father",),
    "Guil.": ("Guildenstern",),
    "Ham.": ("Hamlet",),
    "Hor.": ("Horatio",),
    "Hor. and Mar.": ("Horatio", "Marcellus"),
    "I Play.": ("First Player",),
    "I Player.": ("First Player",),
    "I Sailor.": ("First Sailor",),
    "King.": ("Claudius",),
    "Laer.": ("Laertes",),
    "Lord.": ("Lord",),
    "Luc.": ("Player Lucianus",),
    "Mar.": ("Marcellus",),
    "Mar. and Ber.": ("Marcellus", "Bernardo"),
    "Mess.": ("Messenger",),
    "Oph.": ("Ophelia",),
    "Osr.": ("Osric",),
    "Osric and Lords.": ("Osric", "Lords"),
    "P. King.": ("Player King",),
    "P. Queen.": ("Player Queen",),
    "Pol.": ("Polonius",),
    "Pro.": ("Player Prologue",),
    "Queen.": ("Gertrude",),
    "Rey.": ("Reynaldo",),
    "Ros and Guil.": ("Rosencrantz", "Guildenstern"),
    "Ros.": ("Rosencrantz",),
    "Ros. and Guil.": ("Rosencrantz", "Guildenstern"),
    "Ros. and Guild.": ("Rosencrantz", "Guildenstern"),
    "Sailor.": ("First Sailor",),
    "Servant.": ("Servant",),
    "Volt.": ("Voltimand",),
}
# "Both" and "All" mean somebody else in every scene, so they are looked up by (act, scene, label).
TOGETHER: dict[tuple[int, int, str], tuple[str, ...]] = {
    (1, 2, "Both."): ("Marcellus", "Bernardo"),
    (1, 2, "All."): ("Horatio", "Marcellus", "Bernardo"),
    (3, 2, "All."): ("The Court",),
    (5, 1, "All."): ("The Mourners",),
}

_ACT = re.compile(r"act ([ivx]+)\.", re.IGNORECASE)
_SCENE = re.compile(r"Scene ([IVX]+)\. \S.*")
_DIRECTION = re.compile(r"(?:\[[^\[\]]*\]\.?\s*)+")
# What a label looks like: a line of one to three short words, the first one capital, ending in a full stop. Prose that
# begins a paragraph and looks like this would be taken for an unknown label and refused, which is the safe side.
_LABEL = re.compile(r"((?:[1-9I] |[A-Z]\. )?[A-Z][a-z]+\.?(?: and [A-Z][a-z]+)?\.)(?: \[[^\]]*\])?")
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "X": 10}


@cache
def hamlet() -> Play:
    """The play that comes with the package: 5 acts, 20 scenes."""
    return parse(files("perdure.demo").joinpath("hamlet.txt").read_text(encoding="utf-8-sig"))


def parse(text: str) -> Play:
    """The play in `text`, with every paragraph after the list of persons in exactly one place.

    Raises:
        PlayError: a label that is not in the tables, words before anybody speaks, a scene out of order.
    """
    scenes: list[Scene] = []
    act = 0
    act_line = ""
    draft: _Draft | None = None
    for line_number, paragraph in _paragraphs(text):
        if found := _ACT.fullmatch(paragraph):
            act, act_line = _number(found[1], line_number, expected=act + 1), paragraph
            scenes += [draft.done()] if draft else []
            draft = None
        elif not act:
            continue  # the list of persons
        elif found := _SCENE.fullmatch(paragraph):
            scenes += [draft.done()] if draft else []
            number = _number(found[1], line_number, expected=draft.number + 1 if draft else 1)
            draft = _Draft(act, number, paragraph, f"{act_line}\n\n{paragraph}" if act_line else paragraph)
            act_line = ""
        elif draft is None:
            raise PlayError(
                f"Line {line_number}: {paragraph[:40]!r} stands between an act's line and its first scene."
            )
        else:
            draft.add(line_number, paragraph)
    scenes += [draft.done()] if draft else []
    return Play(tuple(scenes))


class _Draft:
    """A scene while it is read. Directions wait until it is known whether the speech before them goes on."""

    def __init__(self, act: int, number: int, title: str, heading: str) -> None:
        self.act, self.number, self.title, self.heading = act, number, title, heading
        self.events: list[Event] = []
        self.speaking: Speech | None = None
        self.waiting: list[str] = []
        self.count = 0

    def add(self, line_number: int, paragraph: str) -> None:
        first, _, rest = paragraph.partition("\n")
        if _DIRECTION.fullmatch(paragraph):
            self.waiting.append(paragraph)
        elif label := _LABEL.fullmatch(first):
            self._close()
            voices = VOICES.get(label[1]) or TOGETHER.get((self.act, self.number, label[1]))
            if voices is None:
                raise PlayError(
                    f"Line {line_number}: nobody is known as {label[1]!r} in this scene; add it to VOICES."
                )
            self.speaking = Speech(voices, rest, self.count, first)
            self.count += 1
        elif self.speaking is None:
            raise PlayError(f"Line {line_number}: {first[:40]!r} is said before anybody speaks.")
        else:
            before = self.speaking
            text = "\n\n".join([before.text, *self.waiting, paragraph])
            self.speaking = Speech(before.voices, text, before.index, before.label)
            self.waiting.clear()

    def done(self) -> Scene:
        self._close()
        return Scene(self.act, self.number, self.title, self.heading, tuple(self.events))

    def _close(self) -> None:
        if self.speaking is not None:
            self.events.append(self.speaking)
        self.events += [Direction(text) for text in self.waiting]
        self.speaking = None
        self.waiting.clear()


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, paragraph), blank lines left out."""
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            lines.append(line)
        elif lines:
            yield number - len(lines), "\n".join(lines)
            lines = []


def _number(roman: str, line_number: int, *, expected: int) -> int:
    if _ROMAN.get(roman.upper()) != expected:
        raise PlayError(f"Line {line_number}: {roman!r} is not number {expected}, which is due here.")
    return expected
