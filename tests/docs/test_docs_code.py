"""The code in the pages runs: a page is a program, its blocks one after the other in one namespace.

A block marked ```python no-run is a fragment, not a program; it must at least be Python.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"^(?P<indent> *)```python(?P<marks>[^\n]*)\n(?P<code>.*?)^(?P=indent)```\s*$", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """A block of code; `line` is that of its first line of code, in the page."""

    line: int
    code: str
    runs: bool


def blocks(page: str) -> list[Block]:
    found: list[Block] = []
    for fence in _FENCE.finditer(page):
        marks = fence["marks"].split()
        assert marks in ([], ["no-run"]), f"unknown marks {marks} of a python block"
        code = re.sub(f"^{fence['indent']}", "", fence["code"], flags=re.MULTILINE)
        found.append(Block(page.count("\n", 0, fence.start("code")) + 1, code, not marks))
    return found


def program(page: str) -> str:
    """The page's blocks at the lines where they stand in it, so that a traceback points into the page."""
    lines = [""] * (page.count("\n") + 1)
    for block in blocks(page):
        if block.runs:
            code = block.code.splitlines()
            lines[block.line - 1 : block.line - 1 + len(code)] = code
    return "\n".join(lines)


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.runs for b in blocks(p.read_text("utf-8")))], ids=named
)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program(page.read_text("utf-8")), encoding="utf-8")

    # In a process of its own: a page may make files, threads and warnings like any program.
    done = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, f"{named(page)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_fragments_are_python(page: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        compile(block.code, f"{named(page)}:{block.line}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{named(page)} links to {target}"


def test_blocks_are_found_with_their_lines() -> None:
    page = (
        "Text.\n\n```python\na = 1\n```\n\n- item\n\n  ```python no-run\n  a.b\n  ```\n\n```bash\nls\n```\n"
    )

    assert blocks(page) == [Block(4, "a = 1\n", True), Block(10, "a.b\n", False)]
    assert program(page).splitlines()[3] == "a = 1"
