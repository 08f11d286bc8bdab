"""The graph that listens to a play, and the loop that finds out what is still to be heard.

Here: a scene as a thread, a character as a user, memory across scenes; going on after any kind of stop, and beside other
processes. Not here: the play (`play.py`), who hears which scene (`sharing.py`), what its search knows of spelling (`likeness.py`), questions about it (`asking.py`), what is
printed (`report.py`), arguments (`perdure.cli`).
Uses public names only; `perdure.testing` for the crash and for the digest.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter, sleep
from typing import Annotated, Any, NotRequired, TypedDict, cast

import perdure
from perdure.demo.likeness import DIMS, Spelling
from perdure.demo.play import Scene, Speech, hamlet
from perdure.demo.sharing import CLAIMS, Claims, Lost
from perdure.errors import StaleThread
from perdure.graph import END, START, StateGraph
from perdure.graph.state import CompiledStateGraph
from perdure.store.base import BaseStore, IndexConfig
from perdure.testing import crash_at as crash_process_at
from perdure.testing import digest

__all__ = ["WORDS", "WORDS_AND_SPELLING", "Summary", "builder", "hear", "listen", "opened"]

PAUSE_SECONDS = 0.03  # between two looks at what others do
RECALLED = 3  # memories looked up before a speech, for each voice
WORDS_AND_SPELLING = "words and spelling"
WORDS = "words alone"


def _either(some: set[str], others: set[str]) -> set[str]:
    return some | others


class Heard(TypedDict):
    """A line of the transcript."""

    key: str
    speaker: str
    text: str


class Spoken(TypedDict):
    """A speech on its way in. `scene` counts through the whole play from 1, so that "earlier" is a number."""

    scene: int
    index: int
    voices: list[str]
    text: str


class Listening(TypedDict):
    """What a scene's thread knows: the speech at hand, all speeches so far, the keys of all memories recalled.

    `recalled_by`: how they were looked for; both ways if the scene was begun with NumPy and ended without it, or the other way
    round.
    """

    speech: Spoken
    heard: NotRequired[Annotated[list[Heard], operator.add]]
    recalled: NotRequired[Annotated[list[str], operator.add]]
    recalled_by: NotRequired[Annotated[set[str], _either]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands in the database in the end, and what this run did for it."""

    database: str
    scenes: int
    speeches: int
    characters: int
    memories: int
    recalled: int
    recalled_by: tuple[str, ...]  # by all runs so far
    searches_by: str  # as the next speech would be
    speeches_now: int  # heard by this run; the others were found done
    steps_now: int
    seconds: float
    disk_bytes: int | None  # of a file
    digest: str

    @property
    def step_microseconds(self) -> float | None:
        """Time of this run per step it made, recall and commit included. None if all was done already."""
        return self.seconds / self.steps_now * 1e6 if self.steps_now else None


def memories_of(character: str) -> tuple[str, ...]:
    """The namespace of what a character said."""
    return ("characters", character, "speeches")


@contextmanager
def opened(place: Path | str, *, crash_at: int | None = None) -> Generator[tuple[perdure.Database, str]]:
    """The database, made if it isn't there, and how it searches: by words and spelling, or by words alone without NumPy.

    Memories of a run that had no NumPy get their vectors now. One that has none finds all by their words.

    Args:
        place: as of `listen`, and so is `crash_at`.

    Raises:
        PerdureError: the database can't be used; the message says why.
        ValueError: it is a URL that cannot be right.
    """
    index: IndexConfig = {"fields": ["text"]}
    by = WORDS
    if _has_numpy():
        index |= {"embed": Spelling(), "dims": DIMS}
        by = WORDS_AND_SPELLING
    with perdure.connect(str(place) if is_url(place) else f"sqlite:///{place}", index=index) as db:
        if crash_at is not None:
            crash_process_at(db, crash_at)  # before anybody has taken hold of the backend
        db.store.reindex(("characters",))
        yield db, by


def is_url(place: Path | str) -> bool:
    """Whether a database is named by a URL, and not by a file's path."""
    return isinstance(place, str) and "://" in place


def _has_numpy() -> bool:
    try:
        import_module("numpy")
    except ImportError:
        return False
    return True


def remember(state: Listening, *, store: BaseStore) -> dict[str, list[Heard]]:
    """The speech goes into the transcript, and into the memory of each who spoke it: in one commit."""
    speech = state["speech"]
    key = f"{speech['scene']:02d}-{speech['index']:04d}"
    for voice in speech["voices"]:
        store.put(
            memories_of(voice),
            key,
            {"scene": speech["scene"], "index": speech["index"], "text": speech["text"]},
        )
    return {"heard": [{"key": key, "speaker": " and ".join(speech["voices"]), "text": speech["text"]}]}


def builder(by: str = WORDS) -> StateGraph[Listening]:
    """The graph, not yet bound to a database. `by`: how that one searches, to be remembered with what was found."""

    def recall(state: Listening, *, store: BaseStore) -> dict[str, list[str] | set[str]]:
        """Before a speech: what did those who speak now say in *earlier* scenes that fits it best?"""
        speech = state["speech"]
        earlier = {"scene": {"$lt": speech["scene"]}}
        found = [
            item.key
            for voice in speech["voices"]
            for item in store.search(memories_of(voice), query=speech["text"], filter=earlier, limit=RECALLED)
        ]
        return {"recalled": found, "recalled_by": {by}}

    graph = StateGraph(Listening)
    graph.add_node("recall", recall)
    graph.add_node("listen", remember)
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "listen")
    graph.add_edge("listen", END)
    return graph


def listen(
    place: Path | str,
    *,
    scenes: int | None = None,
    crash_at: int | None = None,
    on_speech: Callable[[int, int], None] | None = None,
) -> Summary:
    """The play heard to its end, or to the end of its first scenes; speeches heard by earlier runs stay as they are.

    Processes that do this at the same time share the scenes between them.

    Args:
        place: path of the SQLite database, made if it isn't there; or the URL of any database, as `perdure.connect` takes it.
        scenes: how many, from the first on; None: all.
        crash_at: SIGKILL to this process at its n-th commit, counted from 1.
        on_speech: called with (speeches done, speeches in all) after each one heard.

    Raises:
        PerdureError: the database can't be used; the message says why.
        ValueError: it is a URL that cannot be right.
    """
    play = hamlet().scenes[:scenes]
    began = perf_counter()
    with opened(place, crash_at=crash_at) as (db, by):
        graph = builder(by).compile(db)
        speeches_now, steps_now = hear(graph, db.store, play, on_speech)
        seconds = perf_counter() - began
        positions = [_position(graph, scene) for scene in play]
        characters = db.store.list_namespaces(prefix=("characters",), max_depth=2, limit=10_000)
        memories = db.store.count(("characters",))
        found, name = digest(db, without=[CLAIMS]), db.name
    # It is closed: the write-ahead log went into the file, and both shrank to what is needed.
    return Summary(
        database=name if is_url(place) else str(place),
        scenes=len(play),
        speeches=sum(position.heard for position in positions),
        characters=len(characters),
        memories=memories,
        recalled=sum(position.recalled for position in positions),
        recalled_by=tuple(sorted(set[str]().union(*(position.recalled_by for position in positions)))),
        searches_by=by,
        speeches_now=speeches_now,
        steps_now=steps_now,
        seconds=seconds,
        disk_bytes=None if is_url(place) else _size_bytes(Path(place)),
        digest=found,
    )


def hear(
    graph: CompiledStateGraph[Listening],
    store: BaseStore,
    play: Sequence[Scene],
    on_speech: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Hears all of the scenes that is not heard yet, alone or between several processes; returns when all is.

    How many speeches this process heard, and in how many steps. Arguments as of `listen`; `store`: of the same database.
    """
    total = sum(len(scene.speeches) for scene in play)
    claims = Claims(store)
    left = dict(enumerate(play, start=1))
    heard_now = steps_now = done = 0
    while left := {number: scene for number, scene in left.items() if not _is_done(graph, scene)}:
        done = total - sum(len(scene.speeches) for scene in left.values())
        mine = next((number for number, scene in left.items() if claims.take(scene.name)), None)
        if mine is None:
            sleep(PAUSE_SECONDS)
            continue
        scene = left[mine]
        try:
            if not _may_begin(graph, claims, scene, [left[number] for number in left if number < mine]):
                continue
            before = _position(graph, scene)
            for position in _hear(graph, mine, scene, before):
                heard_now += position.heard - before.heard
                steps_now += position.step - before.step
                before = position
                if on_speech:
                    on_speech(done + position.heard, total)
                claims.keep()
        except (StaleThread, Lost):
            continue  # we were slow, and another has taken it over: look again who is where
        finally:
            claims.drop()
    return heard_now, steps_now


def _is_done(graph: CompiledStateGraph[Listening], scene: Scene) -> bool:
    position = _position(graph, scene)
    return position.heard >= len(scene.speeches) and not position.unfinished


def _may_begin(
    graph: CompiledStateGraph[Listening], claims: Claims, scene: Scene, earlier: Sequence[Scene]
) -> bool:
    """Waits until everybody in the scene is done with earlier ones, so that all can be recalled of what was said there.

    False: somebody has to hear one of those first, and nobody is at it.
    """
    voices = _voices(scene)
    waits_for = [other for other in earlier if voices & _voices(other)]
    while waits_for := [other for other in waits_for if not _is_done(graph, other)]:
        if any(claims.is_free(other.name) for other in waits_for):
            return False
        claims.keep()
        sleep(PAUSE_SECONDS)
    return True


def _voices(scene: Scene) -> set[str]:
    return {voice for speech in scene.speeches for voice in speech.voices}


@dataclass(frozen=True, slots=True)
class _Position:
    """How far a scene's thread is. A thread that doesn't exist has made no step: the first one is -1."""

    heard: int
    recalled: int
    recalled_by: frozenset[str]
    step: int
    unfinished: bool
    head: str | None  # its newest checkpoint


# The contract's `config` is a mapping with a name of LangChain's; this is the part of it that anybody needs here.
def _thread(scene: Scene, **more: str | None) -> Any:  # noqa: ANN401 - see above
    return {"configurable": {"thread_id": scene.name, **more}}


def _position(graph: CompiledStateGraph[Listening], scene: Scene) -> _Position:
    found = graph.get_state(_thread(scene))
    values = cast(Listening, found.values)
    step = found.metadata.get("step", -2) if found.metadata else -2
    return _Position(
        len(values.get("heard", [])),
        len(values.get("recalled", [])),
        frozenset(values.get("recalled_by", ())),
        step,
        bool(found.next),
        found.config.get("configurable", {}).get("checkpoint_id"),
    )


def _hear(
    graph: CompiledStateGraph[Listening], number: int, scene: Scene, at: _Position
) -> Iterator[_Position]:
    """Hears all that is left of a scene, from where it stands; gives where it stands after each speech.

    A speech in the middle of which a run was stopped is finished, not begun again. `if_head`: who looked before another went
    on with the scene gets `StaleThread`, and hears nothing twice.
    """
    while at.unfinished or at.heard < len(scene.speeches):
        speech = None if at.unfinished else {"speech": _spoken(number, scene.speeches[at.heard])}
        graph.invoke(speech, _thread(scene, if_head=at.head))
        at = _position(graph, scene)
        yield at


def _spoken(scene: int, speech: Speech) -> Spoken:
    return {"scene": scene, "index": speech.index, "voices": list(speech.voices), "text": speech.text}


def _size_bytes(file: Path) -> int:
    """The database and its log. By `stat`: opening the file would drop SQLite's locks on it."""
    return sum(os.stat(path).st_size for path in (str(file), f"{file}-wal") if os.path.exists(path))
