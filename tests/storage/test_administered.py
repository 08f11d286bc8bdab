"""What operators ask of a backend: the checks of the suite, over every backend of ours."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from perdure.storage.contract import Backend
from perdure.storage.memory import MemoryBackend
from perdure.storage.sqlite import SqliteBackend
from perdure.storage.sqlite.administering import reset_bug
from perdure.testing.backends.administered import ADMINISTERED_CHECKS
from perdure.testing.backends.kit import Make


@pytest.mark.parametrize("kind", ["memory", "sqlite in memory", "sqlite"])
@pytest.mark.parametrize("check", ADMINISTERED_CHECKS, ids=lambda check: check.__name__)
def test_a_backend_tells_its_operator(check: Callable[[Make], None], kind: str, tmp_path: Path) -> None:
    numbers = count()

    def make() -> Backend:
        if kind == "memory":
            return MemoryBackend()
        return SqliteBackend(tmp_path / f"{next(numbers)}.db" if kind == "sqlite" else None)

    check(make)


def test_the_version_with_the_bug_of_the_log_is_named_with_what_is_done_about_it() -> None:
    assert reset_bug("/data/a.db", (3, 51, 2)).startswith("in SQLite 3.51.2; kept off")
    assert "a.db-perdure.lock" in reset_bug("/data/a.db", (3, 40, 1))
    assert reset_bug("/data/a.db", (3, 51, 3)) == "not in SQLite 3.51.3"
    assert reset_bug(None, (3, 40, 1)).endswith("of no concern in memory")
