"""A retrieval set made of *Hamlet*: every speech is a document, every query knows which speeches are right.

`fragments`, `who`, `scene` and `small words` are drawn from the play with a fixed seed and judged by its structure, by
plain comparison of words, never by the analyser under test. `questions` were written and judged by hand
(`hamlet_questions.jsonl`): several speeches may be right, and each is named by act, scene and opening words.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from perdure.demo.play import hamlet

QUESTIONS = Path(__file__).resolve().parent / "hamlet_questions.jsonl"
SEED = 1603  # the year of the first printed Hamlet
DRAWN = 200  # queries of each kind
SMALL_WORDS = """
    a all am an and are as at be been but by can did do does for from had has have he her him his how i if in into is
    it its me my no nor not now of on or our out shall she should so such than that the thee their them then there
    these they this thou thy to too upon us was we were what when where which who why will with would you your
"""
SMALL = frozenset(SMALL_WORDS.split())


@dataclass(frozen=True, slots=True)
class Document:
    """A speech. `words`: all of them in small letters, for judging."""

    number: int
    act: int
    scene: int
    speaker: str
    text: str
    words: tuple[str, ...]

    @property
    def value(self) -> dict[str, str]:
        """As an item of a store would hold it."""
        return {"speaker": self.speaker, "place": f"act {self.act}, scene {self.scene}", "text": self.text}


@dataclass(frozen=True, slots=True)
class Query:
    """A text, and the numbers of all documents that answer it."""

    text: str
    right: frozenset[int]


Queries: TypeAlias = dict[str, list[Query]]


def documents() -> list[Document]:
    """All speeches in order; a document's number is its place in the list."""
    speeches = [(scene, speech) for scene in hamlet().scenes for speech in scene.speeches]
    return [
        Document(
            number, scene.act, scene.number, speech.speaker, text, tuple(re.findall(r"[a-z']+", text.lower()))
        )
        for number, (scene, speech) in enumerate(speeches)
        for text in [" ".join(speech.text.split())]
    ]


def queries(play: list[Document]) -> Queries:
    """All kinds, the same at every call."""
    return {
        "questions": list(questions(play)),
        "fragments": drawn(play, fragment),
        "who": drawn(play, who),
        "scene": drawn(play, scene),
        "small words": drawn(play, small_words),
    }


def questions(play: list[Document]) -> Iterator[Query]:
    """Those written by hand; stops the program if a judged speech does not exist or could be two."""
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        right: set[int] = set()
        for answer in asked["answers"]:
            found = [
                document.number
                for document in play
                if (document.act, document.scene) == (answer["act"], answer["scene"])
                and document.text.startswith(answer["opening"])
            ]
            if not found or (len(found) > 1 and len({play[number].text for number in found}) > 1):
                raise SystemExit(f"{asked['question']!r}: {answer} names {len(found)} speeches, not one.")
            right.update(found)
        yield Query(asked["question"], frozenset(right))


Draw: TypeAlias = Callable[[random.Random, Document, list[Document]], Query | None]


def drawn(play: list[Document], draw: Draw) -> list[Query]:
    """The queries of one kind: speeches in a random order, each asked for at most once."""
    chance = random.Random(SEED)
    made: dict[str, Query] = {}
    for document in chance.sample(play, len(play)):
        if len(made) < DRAWN and (query := draw(chance, document, play)) and query.right:
            made.setdefault(query.text, query)
    return list(made.values())


def fragment(chance: random.Random, document: Document, play: list[Document]) -> Query | None:
    """Ten words in a row, four of them dropped. Right is who says all that are left in this order."""
    if len(document.words) < 10:
        return None
    start = chance.randrange(len(document.words) - 9)
    left = [document.words[start + at] for at in sorted(chance.sample(range(10), 6))]

    def says(other: Document) -> bool:
        words = iter(other.words)
        return all(word in words for word in left)

    return Query(" ".join(left), frozenset(other.number for other in play if says(other)))


def who(chance: random.Random, document: Document, play: list[Document]) -> Query | None:
    """ "Who said it": two words of a speech that stand close together. Right are all speeches that have both."""
    telling = [word for word in document.words if len(word) > 4 and word not in SMALL]
    if len(telling) < 2:
        return None
    at = chance.randrange(len(telling) - 1)
    pair = set(telling[at : at + 2])
    right = frozenset(other.number for other in play if pair <= set(other.words))
    return Query(f"Who speaks of {' and '.join(sorted(pair))}?", right) if len(pair) == 2 else None


def scene(chance: random.Random, document: Document, play: list[Document]) -> Query | None:
    """ "Which scene": a speaker, a place and a word. Right is what this speaker says with this word in this scene."""
    telling = sorted({word for word in document.words if len(word) > 3 and word not in SMALL})
    if not telling:
        return None
    word = chance.choice(telling)
    right = frozenset(
        other.number
        for other in play
        if (other.act, other.scene, other.speaker) == (document.act, document.scene, document.speaker)
        if word in other.words
    )
    return Query(
        f"What does {document.speaker} say of {word} in act {document.act}, scene {document.scene}?", right
    )


def small_words(chance: random.Random, document: Document, play: list[Document]) -> Query | None:
    """Five or more small words in a row, as in "to be, or not to be". Right is who says them in this order."""
    runs: list[list[str]] = [[]]
    for word in document.words:
        if word in SMALL:
            runs[-1].append(word)
        elif runs[-1]:
            runs.append([])
    long = [run for run in runs if len(run) >= 5]
    if not long:
        return None
    text = f" {' '.join(chance.choice(long))} "
    right = frozenset(other.number for other in play if text in f" {' '.join(other.words)} ")
    return Query(text.strip(), right)
