"""The programs that measure on Postgres: each figure of the page comes from one of them, and searches are judged by what they find."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the source distribution has no benchmarks")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark's module; its neighbours are imported by their bare names."""
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)
    import run

    yield run
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and Path(sys.modules[name].__file__ or "").parent == BENCH
        ):
            del sys.modules[name]


def test_each_figure_of_the_page_is_answered_by_one_program(run: Any) -> None:
    texts = [
        (BENCH / "programs" / f"{one.name}.py").read_text("utf-8") for one in run.POSTGRES_SUITE.programs
    ]
    texts.append((BENCH / "run.py").read_text("utf-8"))  # of long threads
    for figure in run.POSTGRES_SUITE.figures:
        assert sum(f'"{figure.key}"' in text or f"{figure.key}=" in text for text in texts) == 1, figure.key


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_searches_are_exact_unless_an_index_was_asked_for(
    run: Any, postgres_server: str, postgres_admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "?" in postgres_server:
        pytest.skip("the program makes databases beside the one of a plain URL")
    if not postgres_admin.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchall():
        pytest.skip("this server has no extension vector")
    monkeypatch.setenv("BENCH_POSTGRES", postgres_server)

    found = run.ask(sys.executable, "perdure", "postgres_search", (), quick=True)

    assert found["pg_recall"] == found["pg_recall_all"] == [1.0]
    assert 0.2 < found["pg_hnsw_recall"][0] < 1.0  # of random vectors; an index was asked
    assert all(sample > 0 for samples in found.values() for sample in samples)
    assert set(found) <= {figure.key for figure in run.POSTGRES_SUITE.figures}
