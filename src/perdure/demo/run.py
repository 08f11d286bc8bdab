"""The graph that listens to a play, and the loop that finds out what is still to be heard.

Here: a scene as a thread, a character as a user, memory across scenes; going on after any kind of stop.
Not here: the play (`play.py`), what is printed (`report.py`), arguments (`perdure.cli`).
Uses public names only; `perdure.testing` for the crash and for the digest.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NotRequired, TypedDict, cast

import perdure
from perdure.demo.play import Scene, Speech, hamlet
from perdure.graph import END, START, StateGraph
from perdure.graph.state import CompiledStateGraph
from perdure.store.base import BaseStore
from perdure.testing import crash_at as crash_process_at
from perdure.testing import digest

__all__ = ["Summary", "builder", "listen"]

RECALLED = 3  # memories looked up before a speech, for each voice


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
    """What a scene's thread knows: the speech at hand, all speeches so far, the keys of all memories recalled."""

    speech: Spoken
    heard: NotRequired[Annotated[list[Heard], operator.add]]
    recalled: NotRequired[Annotated[list[str], operator.add]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands in the database in the end, and what this run did for it."""

    database: str
    scenes: int
    speeches: int
    characters: int
    memories: int
    recalled: int
    speeches_now: int  # heard by this run; the others were found done
    steps_now: int
    seconds: float
    disk_bytes: int
    digest: str

    @property
    def step_microseconds(self) -> float | None:
        """Time of this run per step it made, recall and commit included. None if all was done already."""
        return self.seconds / self.steps_now * 1e6 if self.steps_now else None


def memories_of(character: str) -> tuple[str, ...]:
    """The namespace of what a character said."""
    return ("characters", character, "speeches")


def recall(state: Listening, *, store: BaseStore) -> dict[str, list[str]]:
    """Before a speech: what did those who speak now say last, in *earlier* scenes?"""
    speech = state["speech"]
    earlier = {"scene": {"$lt": speech["scene"]}}
    found = [
        item.key
        for voice in speech["voices"]
        for item in store.search(memories_of(voice), filter=earlier, limit=RECALLED)
    ]
    return {"recalled": found}


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


def builder() -> StateGraph[Listening]:
    """The graph, not yet bound to a database."""
    graph = StateGraph(Listening)
    graph.add_node("recall", recall)
    graph.add_node("listen", remember)
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "listen")
    graph.add_edge("listen", END)
    return graph


def listen(
    file: Path,
    *,
    scenes: int | None = None,
    crash_at: int | None = None,
    on_speech: Callable[[int, int], None] | None = None,
) -> Summary:
    """The play heard to its end, or to the end of its first scenes; speeches heard by earlier runs stay as they are.

    Args:
        file: the SQLite database; made if it isn't there.
        scenes: how many, from the first on; None: all.
        crash_at: SIGKILL to this process at its n-th commit, counted from 1.
        on_speech: called with (speeches done, speeches in all) after each one heard.

    Raises:
        PerdureError: the file can't be used; the message says why.
    """
    play = hamlet().scenes[:scenes]
    total = sum(len(scene.speeches) for scene in play)
    began = perf_counter()
    db = perdure.connect(f"sqlite:///{file}")
    try:
        if crash_at is not None:
            crash_process_at(db, crash_at)
        graph = builder().compile(db)
        done = heard_now = steps_now = 0
        for number, scene in enumerate(play, start=1):
            before = _position(graph, scene)
            for heard in _hear(graph, number, scene):
                if on_speech:
                    on_speech(done + heard, total)
            after = _position(graph, scene)
            done += after.heard
            heard_now += after.heard - before.heard
            steps_now += after.step - before.step
        seconds = perf_counter() - began
        recalled = sum(_position(graph, scene).recalled for scene in play)
        characters = db.store.list_namespaces(prefix=("characters",), max_depth=2, limit=10_000)
        memories = len(db.store.search(("characters",), limit=1_000_000))
        found = digest(db)
        db.close()  # the write-ahead log goes into the file, and both shrink to what is needed
        return Summary(
            database=str(file),
            scenes=len(play),
            speeches=done,
            characters=len(characters),
            memories=memories,
            recalled=recalled,
            speeches_now=heard_now,
            steps_now=steps_now,
            seconds=seconds,
            disk_bytes=_size_bytes(file),
            digest=found,
        )
    finally:
        db.close()


@dataclass(frozen=True, slots=True)
class _Position:
    """How far a scene's thread is. A thread that doesn't exist has made no step: the first one is -1."""

    heard: int
    recalled: int
    step: int
    unfinished: bool


# The contract's `config` is a mapping with a name of LangChain's; this is the part of it that anybody needs here.
def _thread(scene: Scene) -> Any:  # noqa: ANN401 - see above
    return {"configurable": {"thread_id": scene.name}}


def _position(graph: CompiledStateGraph[Listening], scene: Scene) -> _Position:
    found = graph.get_state(_thread(scene))
    values = cast(Listening, found.values)
    step = found.metadata.get("step", -2) if found.metadata else -2
    return _Position(len(values.get("heard", [])), len(values.get("recalled", [])), step, bool(found.next))


def _hear(graph: CompiledStateGraph[Listening], number: int, scene: Scene) -> Iterator[int]:
    """Hears all that is left of a scene; gives how many of its speeches are done after each.

    A speech in the middle of which a run was stopped is finished, not begun again.
    """
    if _position(graph, scene).unfinished:
        graph.invoke(None, _thread(scene))
    for speech in scene.speeches[_position(graph, scene).heard :]:
        graph.invoke({"speech": _spoken(number, speech)}, _thread(scene))
        yield speech.index + 1


def _spoken(scene: int, speech: Speech) -> Spoken:
    return {"scene": scene, "index": speech.index, "voices": list(speech.voices), "text": speech.text}


def _size_bytes(file: Path) -> int:
    """The database and its log. By `stat`: opening the file would drop SQLite's locks on it."""
    return sum(os.stat(path).st_size for path in (str(file), f"{file}-wal") if os.path.exists(path))
