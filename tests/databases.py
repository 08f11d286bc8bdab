"""The kinds of databases that tests run on.

`@pytest.fixture(params=KINDS)` with the fixture `url_of`, or `@pytest.mark.parametrize("url", KINDS, indirect=True)`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings

POSTGRES: Final = pytest.param("postgres", marks=pytest.mark.postgres)
KINDS: Final[list[Any]] = ["memory", "sqlite", POSTGRES]
QUICK: Final[list[Any]] = ["memory", "sqlite-memory", POSTGRES]
ALL_KINDS: Final[list[Any]] = ["memory", "sqlite", "sqlite-memory", POSTGRES]

# Of random operations that a server is asked for: to shrink what fails would take minutes. `print_blob` says it again.
UNSHRUNK: Final = (Phase.explicit, Phase.reuse, Phase.generate)


def on_a_server(examples: int) -> settings:
    """For random values with which a test asks a server, each time in a schema of its own."""
    return settings(
        max_examples=examples,
        deadline=None,
        print_blob=True,
        phases=UNSHRUNK,
        suppress_health_check=list(HealthCheck),
    )


def url_by(folder: Path, postgres: Callable[[], str]) -> Callable[[str], str]:
    """Gives the URL of an empty database of a kind, another one at each call.

    Args:
        folder: for files.
        postgres: gives the URL of an empty schema.
    """
    numbers = count()

    def url_of(kind: str) -> str:
        match kind:
            case "memory":
                return "memory://"
            case "sqlite":
                return f"sqlite:///{folder}/test{next(numbers)}.db"
            case "sqlite-memory":
                return "sqlite:///:memory:"
            case "postgres":
                return postgres()
            case _:
                raise ValueError(kind)

    return url_of
