"""LangChain absent, installed but not loaded, loaded before Perdure, loaded after the objects were made."""

from __future__ import annotations

import pytest

from with_langchain.states import PLAIN, WITH_LANGCHAIN, needs_langchain, said

# ---- without LangChain


@PLAIN
def test_a_run_with_threads_and_memory_loads_nothing_of_langchain(state: str) -> None:
    program = """
    from perdure import InMemorySaver, InMemoryStore
    def remember(state, store):
        store.put(("n",), "last", {"n": state["n"]})
        return Command(update={"n": state["n"] + 1})
    drawing = StateGraph(State).add_node("remember", remember)
    drawing.add_edge("__start__", "remember")
    graph = drawing.compile(InMemorySaver(), store=InMemoryStore())
    config = {"configurable": {"thread_id": "1"}, "tags": ["a"], "callbacks": []}
    print(graph.invoke({"n": 1}, config), graph.get_state(config).values)
    heavy = ("langchain_core", "langsmith", "pydantic", "numpy")
    print([name for name in sys.modules if name.partition(".")[0] in heavy or "integrations" in name])
    """

    assert said(state, program) == ["{'n': 2} {'n': 2}", "[]"]


@PLAIN
def test_looking_at_a_graph_loads_nothing(state: str) -> None:
    program = """
    import copy
    graph = counting()
    print(isinstance(graph, StateGraph), isinstance(graph, type(graph)), graph.__class__ is type(graph))
    print(copy.copy(graph).invoke({"n": 1}), graph.with_config(tags=["a"]).config, "langchain_core" in sys.modules)
    """

    assert said(state, program) == ["False True True", "{'n': 2} {'tags': ['a']} False"]


@pytest.mark.parametrize(
    "asked", ["graph.pipe", "graph | print", "print | graph", "graph.map", "graph.as_tool"]
)
def test_a_name_of_langchain_s_says_what_to_install(asked: str) -> None:
    program = f"""
    graph = counting()
    try:
        {asked}
    except AttributeError as error:
        print(error)
    """

    (line,) = said("absent", program)

    assert "pip install 'perdure[langchain]'" in line


def test_whether_a_graph_has_such_a_name_can_be_asked() -> None:
    assert said("absent", "print(hasattr(counting(), 'pipe'))") == ["False"]


@pytest.mark.parametrize(
    "asked",
    [
        "counting().as_runnable()",
        "from perdure.callbacks import GraphCallbackHandler",
        "counting().invoke({'n': 1}, {'callbacks': [object()]})",
    ],
)
def test_what_cannot_be_without_langchain_is_an_import_error(asked: str) -> None:
    program = f"""
    try:
        {asked}
    except ImportError as error:
        print(error)
    """

    (line,) = said("absent", program)

    assert "pip install 'perdure[langchain]'" in line


@needs_langchain
@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("(graph | (lambda state: state['n'])).invoke({'n': 1})", "2"),
        ("((lambda n: {'n': n}) | graph).invoke(4)", "{'n': 5}"),
        ("graph.map().invoke([{'n': 1}, {'n': 2}])", "[{'n': 2}, {'n': 3}]"),
        ("graph.as_runnable().invoke({'n': 1})", "{'n': 2}"),
    ],
)
def test_a_name_of_langchain_s_imports_it_if_it_is_installed(asked: str, given: str) -> None:
    program = f"""
    graph = counting()
    before = "langchain_core" in sys.modules
    print({asked})
    from langchain_core.runnables import Runnable
    print(before, isinstance(graph, Runnable))
    """

    assert said("installed, not loaded", program) == [given, "False True"]


# ---- with LangChain


@needs_langchain
@WITH_LANGCHAIN
def test_a_graph_is_a_runnable(state: str) -> None:
    program = """
    from langchain_core.runnables import Runnable
    print(isinstance(graph, Runnable), isinstance(counting(), Runnable), issubclass(type(counting()), Runnable))
    print(type(graph).__name__, type(graph).__module__, graph)
    """

    assert said(state, program) == [
        "True True True",
        "CompiledStateGraph perdure.graph.state <CompiledStateGraph 'counter', nodes count; no checkpointer>",
    ]


@needs_langchain
@WITH_LANGCHAIN
def test_a_graph_is_piped_from_both_sides(state: str) -> None:
    program = """
    from langchain_core.runnables import RunnableLambda
    print((graph | (lambda state: state["n"])).invoke({"n": 1}), ((lambda n: {"n": n}) | graph).invoke(4))
    print((RunnableLambda(lambda n: {"n": n}) | graph | graph).invoke(4), graph.pipe(graph).batch([{"n": 1}, {"n": 2}]))
    """

    assert said(state, program) == ["2 {'n': 5}", "{'n': 6} [{'n': 3}, {'n': 4}]"]


@needs_langchain
@WITH_LANGCHAIN
def test_a_graph_has_what_runnables_have(state: str) -> None:
    program = """
    import warnings
    warnings.simplefilter("ignore")
    print(graph.map().invoke([{"n": 1}]), graph.bind().invoke({"n": 1}), graph.pick("n").invoke({"n": 1}))
    print(graph.with_retry().invoke({"n": 1}), graph.with_fallbacks([graph]).invoke({"n": 1}))
    tool = graph.as_tool(description="counts")
    print(tool.name, tool.args, tool.invoke({"n": 1}))
    print(graph.input_schema.__name__, graph.get_input_jsonschema()["required"])
    """

    assert said(state, program) == [
        "[{'n': 2}] {'n': 2} 2",
        "{'n': 2} {'n': 2}",
        "counter {'n': {'title': 'N', 'type': 'integer'}} {'n': 2}",
        "counter_input ['n']",
    ]


@needs_langchain
@WITH_LANGCHAIN
def test_a_graph_fits_a_pydantic_field_for_runnables(state: str) -> None:
    program = """
    import pydantic
    from langchain_core.runnables import Runnable
    class Holds(pydantic.BaseModel, arbitrary_types_allowed=True):
        runs: Runnable
    print(Holds(runs=graph).runs is graph)
    """

    assert said(state, program) == ["True"]


@needs_langchain
@WITH_LANGCHAIN
def test_the_class_a_graph_was_made_of_can_have_its_own_way(state: str) -> None:
    program = """
    from langchain_core.runnables import Runnable
    from perdure.graph.state import CompiledStateGraph
    class Mine(CompiledStateGraph):
        def map(self):
            return "mine"
        def invoke(self, *args, **kwargs):
            return {"mine": super().invoke(*args, **kwargs)}
    mine = Mine(graph.builder, graph.spec)
    print(isinstance(mine, Runnable), mine.map(), mine.invoke({"n": 1}), isinstance(mine, Mine))
    """

    assert said(state, program) == ["True mine {'mine': {'n': 2}} True"]


@needs_langchain
@WITH_LANGCHAIN
def test_a_tool_hands_a_command_on(state: str) -> None:
    program = """
    from langchain_core.messages.tool import ToolOutputMixin
    from langchain_core.tools import tool
    @tool
    def leave():
        "Leaves."
        return command
    call = {"type": "tool_call", "id": "1", "name": "leave", "args": {}}
    print(isinstance(command, ToolOutputMixin), leave.invoke(call) is command, command)
    """

    assert said(state, program) == ["True True Command(goto='count')"]


@needs_langchain
@WITH_LANGCHAIN
def test_a_command_is_the_same_value_as_before(state: str) -> None:
    program = """
    import copy, dataclasses, pickle
    other = Command(goto="count")
    print(command == other, hash(command) == hash(other), isinstance(other, Command), other.__class__.__name__)
    print(pickle.loads(pickle.dumps(command)) == command, copy.deepcopy(other) == command)
    print(dataclasses.replace(command, goto="away"))
    """

    assert said(state, program) == ["True True True Command", "True True", "Command(goto='away')"]


@needs_langchain
@WITH_LANGCHAIN
def test_a_command_in_the_state_is_saved(state: str) -> None:
    program = """
    from typing import Any
    from perdure import InMemorySaver
    class Keeps(TypedDict):
        kept: Any
    drawing = StateGraph(Keeps).add_node("keep", lambda state: {"kept": [command, Command(goto="b")]})
    drawing.add_edge("__start__", "keep")
    keeping = drawing.compile(InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    keeping.invoke({"kept": None}, config)
    print(drawing.compile(keeping.checkpointer).get_state(config).values)
    """

    assert said(state, program) == ["{'kept': [Command(goto='count'), Command(goto='b')]}"]


@needs_langchain
@WITH_LANGCHAIN
def test_copies_of_a_graph_are_runnables_too(state: str) -> None:
    program = """
    import copy
    from langchain_core.runnables import Runnable
    copies = [copy.copy(graph), graph.with_config(tags=["a"]), graph.copy({"debug": False})]
    print([isinstance(each, Runnable) and each.invoke({"n": 1}) for each in copies], copies[1].config)
    """

    assert said(state, program) == ["[{'n': 2}, {'n': 2}, {'n': 2}] {'tags': ['a']}"]


@needs_langchain
def test_a_node_that_is_the_first_to_import_langchain_is_watched_from_the_next_task_on() -> None:
    program = """
    def first(state):
        from langchain_core.runnables import RunnableLambda
        return {"n": 1}
    def second(state):
        from langchain_core.runnables.config import var_child_runnable_config
        return {"n": (var_child_runnable_config.get() or {}).get("metadata", {}).get("langgraph_node")}
    drawing = StateGraph(State).add_node("first", first).add_node("second", second)
    drawing.add_edge("__start__", "first").add_edge("first", "second")
    print(drawing.compile().invoke({"n": 0}))
    """

    assert said("installed, not loaded", program) == ["{'n': 'second'}"]
