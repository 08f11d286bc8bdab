"""A question to all that was heard: the memories that fit it best, whoever has them.

Here: one search over all characters, and where in the play its answers stand. Not here: hearing (`run.py`), what is printed
(`report.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import perdure
from perdure.demo.excerpt import has_something_of
from perdure.demo.play import Scene, Speech, hamlet
from perdure.demo.run import builder, hear, opened
from perdure.store.base import SearchItem

__all__ = ["Answer", "ask"]

BEST = 5
_LOOKED_AT = 50  # several can be one speech, and the likest of all need not be like


@dataclass(frozen=True, slots=True)
class Answer:
    """A speech that was remembered. `score`: greater is better, comparable within one answer."""

    speaker: str
    act: int
    scene: int
    place: str
    text: str
    key: str
    score: float


def ask(
    place: Path | str,
    question: str,
    *,
    scenes: int | None = None,
    crash_at: int | None = None,
    on_speech: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """The memories of all characters that fit the question best, at most five; what is not heard yet is heard first.

    By words and by spelling, or by words alone without NumPy. Some speech is always the most alike, so one that has no
    word of the question, and none that is spelt like one, is no answer.

    Args:
        place: the database, as of `listen`.
        question: any text; `"words in quotes"` have to stand one after the other.
        scenes: only so many are heard first; all that is remembered is asked.
        crash_at: as of `listen`, and so is `on_speech`.

    Raises:
        PerdureError: the database can't be used; the message says why.
        ValueError: it is a URL that cannot be right.
    """
    with opened(place, crash_at=crash_at) as (db, by):
        graph = builder(by).compile(db)
        hear(graph, db.store, hamlet().scenes[:scenes], on_speech)
        found = _found(db, question)
    answers: dict[str, Answer] = {}
    for item in found:
        at = _where(item)
        if at is not None and (_has_a_word(item) or has_something_of(at[1].text, question)):
            # Those who speak together remember one speech each; it is one answer.
            answers.setdefault(item.key, _answer(item, *at))
    return list(answers.values())[:BEST]


def _found(db: perdure.Database, question: str) -> list[SearchItem]:
    return db.store.search(("characters",), query=question, limit=_LOOKED_AT, explain=True)


def _has_a_word(item: SearchItem) -> bool:
    """Whether one of the question's words was found in it, by the store's text index."""
    return item.explanation is not None and item.explanation["text"] is not None


def _where(item: SearchItem) -> tuple[Scene, Speech] | None:
    """Where in the play it stands; None: it is no memory of this play."""
    number, index = item.value.get("scene"), item.value.get("index")
    scenes = hamlet().scenes
    if not isinstance(number, int) or not isinstance(index, int) or not 0 < number <= len(scenes):
        return None
    scene = scenes[number - 1]
    return (scene, scene.speeches[index]) if 0 <= index < len(scene.speeches) else None


def _answer(item: SearchItem, scene: Scene, speech: Speech) -> Answer:
    score = 0.0 if item.score is None else item.score
    return Answer(speech.speaker, scene.act, scene.number, scene.place, speech.text, item.key, score)
