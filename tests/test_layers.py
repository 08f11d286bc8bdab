"""Who may import whom. When this test stops you, move the code, not the rule (docs/decisions/, design of the layers).

Read from the source, not from a running program: an import inside a function or under `TYPE_CHECKING` counts, too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "perdure"

# A room is a module or package directly under perdure. A row may import its own row and those above it.
LAYERS: list[tuple[str, ...]] = [
    ("types", "errors", "clock", "constants", "typing", "warnings", "version", "late", "current"),
    ("codec", "channels", "managed", "messages"),
    ("graph", "storage"),
    ("engine", "config", "runtime", "callbacks"),
    ("checkpoint", "store", "cache", "func", "pregel", "stream", "database", "admin"),
    ("prebuilt", "agents", "memory", "testing", "integrations", "sdk"),
    ("server", "demo"),
    ("cli", "__main__"),
]
# Modules that live in one room and belong to the layer of another.
ELSEWHERE = {
    "checkpoint.base": 0,  # abstract classes and plain values
    "store.base": 0,
    "runtime": 0,  # what a node is handed: plain values over the lowest rooms
    "graph.state": 4,  # the public StateGraph: the description plus `compile`
}
# The door of a package may lead higher than its rooms: `perdure.graph` hands out `StateGraph`.
DOORS = {"graph": 4}
# The only ways up, each in a function, each with its reason: (who, whom).
WAYS_UP = {
    (
        "checkpoint.base",
        "checkpoint.serde",
    ): "a saver's default serializer, fetched when the first saver is made",
}
# Rooms of one layer that know nothing of each other, and doors that are narrower than their layer: (who, not whom, why).
WALLS = [
    ("graph", "storage", "a description knows no database"),
    ("storage", "graph", "a database knows no graph"),
    ("engine", "graph.message", "the engine knows no messages"),
    ("config", "engine", "depends on the lowest rooms only"),
    ("runtime", "engine", "depends on the lowest rooms only"),
    *(
        (room, other, "depends on the lowest rooms only")
        for room in ("config", "runtime")
        for other in LAYERS[1]
    ),
    *(
        (room, other, "depends on the lowest rooms only")
        for room in ("config", "runtime")
        for other in LAYERS[2]
    ),
]
# What of storage the engine may know: the contract, and pure code over its rows; never a concrete backend (decision 0005).
ENGINE_SEES = (
    "storage.contract",
    "storage.chains",
    "storage.forgetting",
    "storage.ids",
    "storage.item_store",
    "storage.located",
    "storage.laid_over",
    "storage.outcome",
    "storage.past_store",
    "storage.refreshing",
    "storage.reverting",
    "storage.sealing",
    "storage.segments",
    "storage.staging",
    "storage.upkeep",
    "storage.watching",
)
# Which module may name a database's driver; as a type only (TYPE_CHECKING), the public faces of that database may, too.
DRIVERS = {"sqlite3": "storage.sqlite", "psycopg": "storage.postgres", "psycopg_pool": "storage.postgres"}
NEVER = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "aiosqlite", "apsw", "pysqlite3"}
# At module level, in any room: the core's four. Elsewhere: what the room's own extra brings.
CORE = {
    "ormsgpack",
    "typing_extensions",
    "backports",
    "compression",
    "snowballstemmer",
}  # the last is the standard library's, from 3.14
OWN = {
    "storage.postgres": {"psycopg", "psycopg_pool"},
    "server": {"starlette", "uvicorn", "orjson", "pydantic", "cronsim", "prometheus_client", "watchfiles"},
    "sdk": {"httpx"},
}
# Each of its files is about one library, which it may name.
FREE = "integrations"


@dataclass(frozen=True)
class Import:
    """One import statement: `module` imports `target`, both as dotted names."""

    module: str
    target: str
    line: int
    top: bool
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def within(module: str, room: str) -> bool:
    """`storage.sqlite_writer` counts as within `storage.sqlite`, because a long file becomes two."""
    return module == room or module.startswith((f"{room}.", f"{room}_"))


def layer(module: str) -> int:
    if module in DOORS:
        return DOORS[module]
    for room, number in ELSEWHERE.items():
        if module == room or module.startswith(f"{room}."):
            return number
    first = module.partition(".")[0]
    for number, rooms in enumerate(LAYERS):
        if first in rooms:
            return number
    raise AssertionError(f"the room perdure.{first} has no layer; give it one in tests/test_layers.py")


def modules() -> dict[str, Path]:
    """Every module under `perdure.`, without that prefix; `""` is the package itself."""
    found: dict[str, Path] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def imports_of(module: str, tree: ast.Module) -> Iterator[Import]:
    def visit(node: ast.AST, *, top: bool, typing_only: bool) -> Iterator[Import]:
        for target in targets(node):
            yield Import(module, target, cast(Any, node).lineno, top, typing_only)
        inner = top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            in_body = isinstance(node, ast.If) and child in node.body
            yield from visit(child, top=inner, typing_only=typing_only or (checking and in_body))

    def targets(node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = absolute(source, level)
                # `from perdure import codec` is an import of the room, not of the package.
                yield from (
                    f"{base}.{alias.name}" if is_module(f"{base}.{alias.name}") else base for alias in names
                )
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if called(func) in DYNAMIC:
                yield name
            case _:
                pass

    def absolute(source: str | None, level: int) -> str:
        if level == 0:
            return source or ""
        here = ["perdure", *module.split(".")] if module else ["perdure"]
        up = level - 1 if module in PACKAGES else level
        return ".".join([*here[: len(here) - up], *([source] if source else [])])

    yield from visit(tree, top=True, typing_only=False)


DYNAMIC = {"import_module", "__import__"}


def called(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def is_module(dotted: str) -> bool:
    return dotted.startswith("perdure.") and dotted.removeprefix("perdure.") in MODULES


def all_imports() -> list[Import]:
    # The package itself only hands out public names, each on demand.
    return [
        found
        for name, path in MODULES.items()
        if name
        for found in imports_of(name, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    ]


IMPORTS = all_imports()


def ours(found: Import) -> str | None:
    """The target without `perdure.`; `""` for the package itself; None for somebody else's module."""
    if found.target == "perdure":
        return ""
    return found.target.removeprefix("perdure.") if found.target.startswith("perdure.") else None


def test_every_room_has_a_layer() -> None:
    for module in MODULES:
        if module:
            layer(module)


def test_lower_rooms_never_import_higher_ones() -> None:
    def way_up(i: Import, target: str) -> bool:
        named = any(within(i.module, who) and within(target, whom) for who, whom in WAYS_UP)
        return named and (not i.top or i.typing_only)

    wrong = [
        str(i)
        for i in IMPORTS
        if (target := ours(i)) and layer(target) > layer(i.module) and not way_up(i, target)
    ]

    assert not wrong, "\n".join(wrong)


def test_only_programs_use_the_package_itself() -> None:
    """It fetches its names from everywhere, so importing it from within would be a ring."""
    programs = layer("demo")
    wrong = [str(i) for i in IMPORTS if ours(i) == "" and layer(i.module) < programs]

    assert not wrong, "\n".join(wrong)


def test_walls_between_rooms_hold() -> None:
    wrong = [
        f"{i}: {why}"
        for i in IMPORTS
        for who, whom, why in WALLS
        if (target := ours(i))
        and layer(i.module) == layer(who)
        and within(i.module, who)
        and within(target, whom)
    ]

    assert not wrong, "\n".join(wrong)


def test_the_engine_sees_the_contract_of_storage_and_no_database() -> None:
    wrong = [
        str(i)
        for i in IMPORTS
        if within(i.module, "engine") and (target := ours(i)) and within(target, "storage")
        if not any(within(target, door) for door in ENGINE_SEES)
    ]

    assert not wrong, "\n".join(wrong)


def test_nobody_imports_an_integration() -> None:
    wrong = [
        str(i) for i in IMPORTS if (target := ours(i)) and within(target, FREE) and not within(i.module, FREE)
    ]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_is_imported_in_one_place(driver: str) -> None:
    home = DRIVERS[driver]
    face = home.partition(".")[2]
    wrong = [
        str(i)
        for i in IMPORTS
        if i.target.partition(".")[0] == driver and not within(i.module, home)
        if not (i.typing_only and layer(i.module) == layer("checkpoint") and face in i.module)
    ]

    assert not wrong, "\n".join(wrong)


def test_nothing_that_runs_code_from_data_or_a_second_sqlite_is_imported() -> None:
    wrong = [str(i) for i in IMPORTS if i.target.partition(".")[0] in NEVER]

    assert not wrong, "\n".join(wrong)


def test_importing_a_room_imports_no_library_but_the_core_s() -> None:
    def allowed(found: Import) -> bool:
        first = found.target.partition(".")[0]
        if first in sys.stdlib_module_names or first == "perdure" or first in CORE:
            return True
        own = (names for room, names in OWN.items() if within(found.module, room))
        return within(found.module, FREE) or any(first in names for names in own)

    wrong = [str(i) for i in IMPORTS if i.top and not i.typing_only and not allowed(i)]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("import perdure.cli", "perdure.cli"),
        ("from perdure import cli", "perdure.cli"),
        ("from .. import cli", "perdure.cli"),
        ("from ..cli import main", "perdure.cli"),
        ("def f():\n    from perdure.cli import main", "perdure.cli"),
        ("if TYPE_CHECKING:\n    import perdure.cli", "perdure.cli"),
        ("importlib.import_module('perdure.cli')", "perdure.cli"),
    ],
)
def test_every_way_to_import_is_seen(source: str, target: str) -> None:
    (found,) = imports_of("storage.chains", ast.parse(source))

    assert found.target == target


def test_a_type_only_import_is_told_from_one_that_happens() -> None:
    source = "if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    import c"

    assert [(i.target, i.top, i.typing_only) for i in imports_of("graph", ast.parse(source))] == [
        ("a", True, True),
        ("b", True, False),
        ("c", False, False),
    ]
