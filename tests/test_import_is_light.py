"""What an import costs: nothing that the program did not ask for."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Big, or optional, or both. `import perdure` gives lazy names, so not even the event loop is due.
HEAVY = [
    "asyncio",
    "concurrent.futures",
    "cryptography",
    "langchain_core",
    "numpy",
    "openai",
    "orjson",
    "perdure.engine",
    "perdure.storage",
    "psycopg",
    "pydantic",
    "snowballstemmer",
    "sqlite3",
    "starlette",
]
OPTIONAL = [
    "cryptography",
    "Crypto",
    "httpx",
    "langchain_core",
    "numpy",
    "openai",
    "psycopg",
    "pydantic",
    "starlette",
]


def modules_after(program: str) -> set[str]:
    """The names in `sys.modules` of a fresh process that ran the program."""
    code = f"{program}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_perdure_loads_nothing_heavy() -> None:
    assert modules_after("import perdure") & set(HEAVY) == set()


@pytest.mark.parametrize(
    "program",
    [
        "from perdure import StateGraph, connect, interrupt, Command, Runtime, InMemorySaver, InMemoryStore",
        "import perdure; db = perdure.connect('memory://'); db.close()",
    ],
)
def test_using_perdure_loads_no_optional_library(program: str) -> None:
    assert modules_after(program) & set(OPTIONAL) == set()
