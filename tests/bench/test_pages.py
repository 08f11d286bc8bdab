"""The pages that the benchmarks write: what they point to is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the source distribution has no benchmarks")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark's module; its neighbours are imported by their bare names."""
    monkeypatch.syspath_prepend(str(BENCH))
    import run

    yield run
    for name in (
        "run",
        "plot",
        "figures",
        "suites",
        "shares",
        "retrieval",
        "hamlet_set",
        "text_index",
        "meanings",
    ):
        sys.modules.pop(name, None)


def test_the_page_of_postgres_has_its_picture_beside_it(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {**run.machine(None), "seconds": 1}
    monkeypatch.setattr(run, "ROOT", tmp_path)
    suite = replace(run.POSTGRES_SUITE, page=tmp_path / "page.md", results=tmp_path / "results.json")
    facts = {
        f"{run.WRITERS}, {library}": {"1": 300.0, "2": 500.0, "16": 900.0}
        for library in ("perdure", "langgraph")
    }

    run.write(suite, [], facts, about)

    assert "(postgres-writers.svg)" in suite.page.read_text(encoding="utf-8")
    assert (tmp_path / "postgres-writers.svg").read_text(encoding="utf-8").startswith("<svg")
