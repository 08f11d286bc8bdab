"""Hamlet, heard and remembered: the tutorial's last chapter as one program.

A scene is a thread: it has a state of its own, saved step by step. A character is a user: what one said in a scene is
remembered across all scenes. Before each speech we recall what the speaker said in *earlier* scenes that fits it best; in
the end we ask all of them a question. Run: `python hamlet_memory.py [DATABASE [QUESTION]]`, with `perdure[search]` installed.

Stop it with Ctrl-C or kill it, run it again: it goes on where it was, and nothing is remembered twice.
"""

import operator
import sys
from typing import Annotated, NotRequired, TypedDict

import perdure
from perdure.demo.likeness import DIMS, Spelling
from perdure.demo.play import Scene, hamlet
from perdure.graph import END, START, StateGraph
from perdure.graph.state import CompiledStateGraph
from perdure.store.base import BaseStore


# 1. The state of a thread. An update of `transcript` and `echoes` is appended, because `operator.add` says so.
class SceneState(TypedDict):
    scene: int
    speaker: str
    text: str
    transcript: NotRequired[Annotated[list[str], operator.add]]
    echoes: NotRequired[Annotated[list[str], operator.add]]


# 2. Memory has a place for each character. A prefix of it, ("characters",), is the memory of all of them.
def memories_of(character: str) -> tuple[str, ...]:
    return ("characters", character, "speeches")


# 3. Two nodes. A parameter named `store` is given the store; what a node returns is an update of the state.
def recall(state: SceneState, *, store: BaseStore) -> dict[str, list[str]]:
    earlier = {"scene": {"$lt": state["scene"]}}
    found = store.search(memories_of(state["speaker"]), query=state["text"], filter=earlier, limit=1)
    return {"echoes": [item.key for item in found]}


def listen(state: SceneState, *, store: BaseStore) -> dict[str, list[str]]:
    # `put` writes nothing yet: it becomes durable in one commit with the state that this node returns.
    # The key follows from the play, so that a second hearing would replace the memory and not add one.
    number = len(state.get("transcript", []))
    key = f"{state['scene']:02d}-{number:04d}"
    store.put(memories_of(state["speaker"]), key, {"scene": state["scene"], "text": state["text"]})
    return {"transcript": [f"{state['speaker']}: {state['text']}"]}


# 4. The graph: recall, then listen.
def build() -> StateGraph[SceneState]:
    builder = StateGraph(SceneState)
    builder.add_node("recall", recall)
    builder.add_node("listen", listen)
    builder.add_edge(START, "recall")
    builder.add_edge("recall", "listen")
    builder.add_edge("listen", END)
    return builder


# 5. The play. The thread itself knows how far it is; there is no other book-keeping.
def hear(graph: CompiledStateGraph[SceneState], number: int, scene: Scene) -> dict:
    thread = {"configurable": {"thread_id": scene.name}}
    if graph.get_state(thread).next:  # stopped in the middle of a speech
        graph.invoke(None, thread)
    done = len(graph.get_state(thread).values.get("transcript", []))
    for speech in scene.speeches[done:]:
        graph.invoke({"scene": number, "speaker": speech.speaker, "text": speech.text}, thread)
    return graph.get_state(thread).values


def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "hamlet-memory.db"
    question = sys.argv[2] if len(sys.argv) > 2 else "poisned cup"
    # What is searched by: words, and here how they are spelt. With a model of your own it is what they mean; without
    # `embed` and `dims` it is words alone.
    db = perdure.connect(
        f"sqlite:///{database}", index={"fields": ["text"], "embed": Spelling(), "dims": DIMS}
    )
    graph = build().compile(db)

    for number, scene in enumerate(hamlet().scenes, start=1):
        values = hear(graph, number, scene)
        print(
            f"{scene.name}: {len(values['transcript'])} speeches, {len(values['echoes'])} echoes of earlier scenes"
        )

    # 6. What is left when all threads are over. A prefix is the memory of all: what did anybody say of this?
    print(f"\n{question}?")
    for item in db.store.search(("characters",), query=question, limit=3):
        print(
            f"{item.score:.2f} {item.namespace[1]}, in scene {item.value['scene']}: {item.value['text'][:80]!r}"
        )

    # 7. Without a question the newest comes first: the last thing that Ophelia said.
    (last,) = db.store.search(memories_of("Ophelia"), limit=1)
    print(f"\nOphelia, at last, in scene {last.value['scene']}:\n{last.value['text']}")
    db.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped. Run it again to go on.")
