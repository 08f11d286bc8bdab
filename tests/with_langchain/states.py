"""The four states a process can be in with regard to LangChain, each a fresh process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest

installed = find_spec("langchain_core") is not None
needs_langchain = pytest.mark.skipif(
    not installed, reason="langchain-core is not installed: pip install langchain-core"
)

# As if it were not installed, for Python: importing it and any of its modules fails.
ABSENT = """
import sys
class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("langchain_core", "langsmith"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuses())
"""
# A graph that counts, and what the tests look at.
GRAPH = """
import sys
from typing import TypedDict
from perdure.graph.state import StateGraph
from perdure.types import Command

class State(TypedDict):
    n: int

def counting():
    drawing = StateGraph(State)
    drawing.add_node("count", lambda state: {"n": state["n"] + 1})
    drawing.add_edge("__start__", "count")
    return drawing.compile(name="counter")
"""
LOADED = "import langchain_core.runnables.base, langchain_core.messages.tool\n"
STATES = {
    "absent": ABSENT + GRAPH,
    "installed, not loaded": GRAPH,
    "loaded first": LOADED + GRAPH + "graph, command = counting(), Command(goto='count')\n",
    "loaded last": GRAPH + "graph, command = counting(), Command(goto='count')\n" + LOADED,
}
PLAIN = pytest.mark.parametrize(
    "state", ["absent", pytest.param("installed, not loaded", marks=needs_langchain)]
)
WITH_LANGCHAIN = pytest.mark.parametrize("state", ["loaded first", "loaded last"])


def said(state: str, program: str) -> list[str]:
    """What the program prints in a fresh process of that state, line by line; its errors are the test's."""
    code = STATES[state] + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
