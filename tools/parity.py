"""Writes docs/reference/parity.md: which test shows which numbered fact of the field's interface.

`python tools/parity.py` writes the page, `--check` compares it with the one that is there and fails on a fact that is
`due` and has neither a test nor a reason. A test says what it shows with `@pytest.mark.fact(35)`; the marks
are read from the source, nothing is imported. Where Perdure differs on purpose, `tools/parity_differences.toml` has
the reason.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "parity.md"
TABLES = ROOT / "tools" / "parity_differences.toml"

HEAD = """\
# Parity with the field's interface

The interface that Perdure shares with other graph libraries was written down as numbered facts before Perdure was
begun. This page says for each which test shows it, or why Perdure differs. It is generated: mark a test with
`@pytest.mark.fact(number)` and run `python tools/parity.py`.

"""


def main() -> int:
    """0, or 1 if the page is stale or a fact that is due has neither test nor reason."""
    with TABLES.open("rb") as file:
        tables = tomllib.load(file)
    due = [n for part in tables["due"] for n in _numbers(part)]
    begun = [n for part in tables["begun"] for n in _numbers(part)]
    later = {n: what for what, parts in tables["later"].items() for part in parts for n in _numbers(part)}
    known = sorted({*due, *begun, *later})
    differences = {int(n): why for n, why in tables["differences"].items()}
    shown = _shown()
    wrong = [
        f"{n} is no fact of tools/parity_differences.toml" for n in sorted({*shown, *differences} - {*known})
    ]
    wrong += [
        f"fact {n} has neither a test nor a reason" for n in due if n not in shown and n not in differences
    ]
    page = HEAD + _table(known, shown, differences, later)
    if "--check" not in sys.argv:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        wrong.append(f"{PAGE.relative_to(ROOT)} is not what the tests say: run `python tools/parity.py`")
    for line in wrong:
        print(line, file=sys.stderr)
    open_ = [n for n in begun if n not in shown and n not in differences]
    print(
        f"{len(shown)} facts have tests, {len(differences)} differ, {len(open_)} begun ones are still open."
    )
    return 1 if wrong and "--check" in sys.argv else 0


def _numbers(part: str | int) -> range:
    """`"7-11"` is 7, 8, 9, 10, 11; `5` is 5."""
    first, _, last = str(part).partition("-")
    return range(int(first), int(last or first) + 1)


def _shown() -> dict[int, list[str]]:
    """Fact -> ids of the tests that show it, in the order of files and lines."""
    shown: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name = path.relative_to(ROOT).as_posix()
        for facts, test in _marked(ast.parse(path.read_text(encoding="utf-8"), name), name, inherited=()):
            for fact in facts:
                shown.setdefault(fact, []).append(test)
    return shown


def _marked(
    parent: ast.AST, where: str, *, inherited: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], str]]:
    """(facts, test id) of each marked test; a mark on a class, or `pytestmark`, is each of its tests'."""
    inherited += tuple(
        fact
        for node in ast.iter_child_nodes(parent)
        if isinstance(node, ast.Assign) and "pytestmark" in map(ast.unparse, node.targets)
        for call in (node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value])
        for fact in _facts(call, where)
    )
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            facts = inherited + tuple(fact for call in node.decorator_list for fact in _facts(call, where))
            test = f"{where}::{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _marked(node, test, inherited=facts)
            elif node.name.startswith("test") and facts:
                yield facts, test


def _facts(call: ast.expr, where: str) -> tuple[int, ...]:
    if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.fact"):
        return ()
    numbers = tuple(
        arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, int)
    )
    if len(numbers) != len(call.args) or not numbers:
        raise SystemExit(f"{where}:{call.lineno}: `fact` takes plain numbers")
    return numbers


def _table(
    facts: list[int], shown: dict[int, list[str]], differences: dict[int, str], later: dict[int, str]
) -> str:
    rows = ["| fact | shown by | remark |", "|---|---|---|"]
    for fact in facts:
        tests = "<br>".join(f"`{test}`" for test in dict.fromkeys(shown.get(fact, [])))
        remark = differences.get(fact, "" if tests else later.get(fact, "**missing**"))
        rows.append(f"| {fact} | {tests} | {remark} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
