"""The figures of Perdure side by side with LangGraph: `python dev.py bench [--quick]`.

Runs the programs of `programs/` in both interpreters in turn (A B A B), several rounds, prints what came out, and
writes `bench/results.json` and `docs/reference/benchmarks.md`. LangGraph gets an environment of its own, `.venv-bench`
beside `.venv`, made at the first run; delete it to measure a newer version.

`--memory`: the figures of memory instead (some ten minutes), into `bench/results-memory.json` and
`docs/reference/benchmarks-memory.md`.
`--retrieval`: how well search finds, instead (`retrieval.py`; prints only).
`--profile`: where our own time goes instead, into `docs/reference/profile.md` (`shares.py`).
`--quick`: fewer samples, prints only. `--only NAME`: some programs, prints only. `--theirs PYTHON`: take that interpreter
for LangGraph and install nothing. `--alone`: without LangGraph.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import retrieval
import shares
from figures import ENGINE, HEADINGS, MEMORY, Figure, Measured, Row, grown

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "bench" / "programs"
VENV = ROOT / ".venv-bench"
THEIR_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PACKAGES = ["langgraph", "langgraph-checkpoint-sqlite", "numpy"]  # its store in memory is faster with numpy
TIMEOUT_SECONDS = 1800
OURS, THEIRS = "perdure", "langgraph"

Sample: TypeAlias = float | Sequence[float]  # or with its floor
Facts: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Program:
    """A file of `programs/`. `rounds`: how often each library runs it. `ours`, `theirs`: the arguments of each run."""

    name: str
    rounds: int
    quick_rounds: int = 1
    ours: tuple[tuple[str, ...], ...] = ((),)
    theirs: tuple[tuple[str, ...], ...] = ((),)


LONG = 2000
SHORT = (100, 200)  # theirs: 2,000 turns would take gigabytes; its sizes are extrapolated from these two
KINDS = ("text", "bytes", "messages")

ENGINE_PROGRAMS = (
    Program("loop", 4, 2),
    Program("durable", 2),
    Program("crowd", 2),
    Program("sends", 3),
    Program("imports", 1),
    *(
        Program("turns", 1, 1, ((kind, str(LONG)),), tuple((kind, str(turns)) for turns in SHORT))
        for kind in KINDS
    ),
)

BACKENDS = (("memory",), ("sqlite",))
MEMORY_PROGRAMS = (
    Program("memory_gets", 3, 1, BACKENDS, BACKENDS),
    Program("memory_vectors", 1, 1, BACKENDS, BACKENDS),
    Program("memory_texts", 1, 1, theirs=()),
    Program("memory_listing", 1, 1, theirs=()),
    Program("memory_million", 1, 1, theirs=()),
)


@dataclass(frozen=True, slots=True)
class Suite:
    """Programs, the figures they answer, and where these are written."""

    command: str
    programs: tuple[Program, ...]
    figures: Sequence[Figure]
    results: Path
    page: Path
    text: str


def main() -> int:
    """0, whatever was met: a figure is no test. 1 if a program failed."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples; prints only")
    names = sorted({program.name for program in (*ENGINE_PROGRAMS, *MEMORY_PROGRAMS)})
    parser.add_argument("--only", choices=names, action="append", help="prints only")
    parser.add_argument("--memory", action="store_true", help="the figures of memory, instead")
    parser.add_argument(
        "--theirs", metavar="PYTHON", help="an interpreter that has LangGraph; installs nothing"
    )
    parser.add_argument("--alone", action="store_true", help="without LangGraph")
    parser.add_argument("--profile", action="store_true", help="where our own time goes, instead of figures")
    parser.add_argument("--retrieval", action="store_true", help="how well search finds, instead of figures")
    options = parser.parse_args()
    if options.profile:
        return shares.main()
    if options.retrieval:
        return retrieval.main()
    began = perf_counter()
    failures: list[str] = []
    theirs = None if options.alone else options.theirs or their_python()
    about = machine(theirs)
    print(*describe(about), sep="\n", flush=True)
    suite = MEMORY_SUITE if options.memory else ENGINE_SUITE
    programs = [p for p in suite.programs if p.name in (options.only or {p.name})]
    if options.quick:  # one kind of long thread shows whether all is well
        programs = [
            p for p in programs if p.ours not in ((("messages", str(LONG)),), (("bytes", str(LONG)),))
        ]
    rows, facts = measure(suite.figures, programs, theirs, failures, quick=options.quick)
    print(*table(rows), *remarks(facts), sep="\n")
    if not options.quick and not options.only:
        about["seconds"] = round(perf_counter() - began)
        about["load_after"] = load_average()
        write(suite, rows, facts, about)
    for failure in failures:
        print(f"\nFAILED, and missing above: {failure}", file=sys.stderr)
    return 1 if failures else 0


# -- running -----------------------------------------------------------------------------------------------------------


class Failed(Exception):
    """A program did not answer; the message says which and what it said."""


def measure(
    figures: Sequence[Figure],
    programs: Sequence[Program],
    theirs: str | None,
    failures: list[str],
    *,
    quick: bool,
) -> tuple[list[Row], Facts]:
    """All rows in the order of `figures`, and what is told beside them. A program that fails doesn't stop the others."""
    samples: dict[tuple[str, str], list[Sample]] = {}
    remarks_: dict[str, str] = {}
    facts: Facts = {}
    for program in programs:
        began = perf_counter()
        answers: dict[str, list[dict[str, Any]]] = {OURS: [], THEIRS: []}
        try:
            for _ in range(program.quick_rounds if quick else program.rounds):
                answers[OURS] += [
                    ask(sys.executable, OURS, program.name, args, quick) for args in program.ours
                ]
                for args in program.theirs if theirs else ():
                    assert theirs
                    answers[THEIRS].append(ask(theirs, THEIRS, program.name, args, quick))
        except Failed as failed:
            failures.append(str(failed))
            if not answers[OURS]:
                continue
        for library, given in answers.items():
            if program.name == "turns":
                given = long_thread(program.ours[0][0], library, given, facts, remarks_)
            for answer in given:
                for key, value in answer.items():
                    if key == "import_packages":
                        facts[f"third-party packages, {library}"] = value
                    elif key == "recall":
                        facts.update({f"recall@10 of {what}": share for what, share in value.items()})
                    elif key == "not_measured":
                        facts[f"not measured, {library}"] = f"{', '.join(value['figures'])}: {value['why']}"
                    else:
                        samples.setdefault((key, library), []).extend(value)
        name = " ".join([program.name, *program.ours[0]])
        print(f"  {name}: {perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    rows = [
        Row(
            figure,
            Measured.of(samples[figure.key, OURS]),
            Measured.of(found) if (found := samples.get((figure.key, THEIRS))) else None,
            remarks_.get(figure.key, ""),
        )
        for figure in figures
        if (figure.key, OURS) in samples
    ]
    return rows, facts


def ask(python: str, library: str, program: str, args: Sequence[str], quick: bool) -> dict[str, Any]:
    """What one run of a program answers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["BENCH_QUICK"] = "1" if quick else "0"
    if library == OURS:
        environment["PYTHONPATH"] = str(ROOT / "src")  # this tree, whatever else is installed
    command = [python, str(PROGRAMS / f"{program}.py"), library, *args]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{shlex.join(command[1:])} took more than {TIMEOUT_SECONDS} seconds.") from late
    if done.returncode:
        raise Failed(f"{shlex.join(command[1:])} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def long_thread(
    kind: str, library: str, given: list[dict[str, Any]], facts: Facts, remarks_: dict[str, str]
) -> list[dict[str, Any]]:
    """The figures of a long thread from what its runs answered: ours one run, theirs two shorter ones."""
    if not all(given) or not given:
        return []
    last = given[-1]
    size, raw = last["bytes"], last["raw_bytes"]
    if library == THEIRS:
        turns, sizes = [run["turns"] for run in given], [run["bytes"] for run in given]
        size, raw = grown(turns, sizes, LONG), raw / last["turns"] * LONG
        for figure in ENGINE:
            if figure.key.startswith(f"{kind}_"):
                remarks_[figure.key] = figure.apart.format(turns=last["turns"])
        remarks_[f"{kind}_size"] = f"from {' and '.join(map(str, turns))} turns"
    else:
        facts[f"bytes per table after {LONG:,} turns, {kind}"] = last["bytes_per_table"]
        facts[f"longest log while it was written, bytes, {kind}"] = last["log_bytes_most"]
    cold_turn = median(last["cold_turn"]) - median(last["cold_turn_100"])
    bare = last["bare_decode"]  # of ours; theirs has to do with its own decoding
    decode = min(bare) if bare else median(last["cold_get_state"])
    return [
        {
            f"{kind}_size": [size / raw],
            f"{kind}_turn": [last["turn_last"] - last["turn_100"]],
            f"{kind}_cold_turn": [cold_turn - decode],
            f"{kind}_get_state": last["get_state"],
            f"{kind}_cold_get_state": last["cold_get_state"],
            **({f"{kind}_bare_decode": bare} if bare else {}),
            f"{kind}_history": last["history"],
        }
    ]


# -- the environment and the machine -----------------------------------------------------------------------------------


def their_python() -> str | None:
    """The interpreter of LangGraph's environment, made if need be; None, with a word why, where it can't be."""
    stamp = VENV / "installed.json"
    wanted = json.dumps([PACKAGES, sys.version])
    try:
        if stamp.read_text(encoding="utf-8") == wanted and THEIR_PYTHON.exists():
            return str(THEIR_PYTHON)
    except OSError:
        pass
    with_pip = importlib.util.find_spec("ensurepip") is not None
    own = [] if with_pip else ["--without-pip"]
    pip = (
        [str(THEIR_PYTHON), "-m", "pip"]
        if with_pip
        else [sys.executable, "-m", "pip", "--python", str(THEIR_PYTHON)]
    )
    for command in (
        [sys.executable, "-m", "venv", "--clear", *own, str(VENV)],
        [*pip, "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ):
        print("$", shlex.join(command), file=sys.stderr, flush=True)
        if subprocess.run(command, stdout=sys.stderr).returncode:
            print("LangGraph could not be installed, so ours is measured alone.", file=sys.stderr)
            return None
    stamp.write_text(wanted, encoding="utf-8")
    return str(THEIR_PYTHON)


VERSIONS = """
import importlib.metadata as m, json, platform, sqlite3
found = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
for name in ("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langchain-core", "ormsgpack"):
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def machine(theirs: str | None) -> dict[str, Any]:
    """What the figures depend on; nothing that names this machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": f"{platform.system()}, {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "load_before": load_average(),
        OURS: {OURS: our_version(), **versions(sys.executable)},
        THEIRS: versions(theirs) if theirs else None,
    }


def versions(python: str) -> dict[str, str]:
    done = subprocess.run([python, "-c", VERSIONS], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def our_version() -> str:
    text = (ROOT / "src/perdure/version.py").read_text(encoding="utf-8")
    found = re.search(r"""^__version__\b.*=\s*["']([^"']+)["']""", text, re.MULTILINE)
    return found[1] if found else "unknown"


def memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, OSError, ValueError):
        return None


def load_average() -> float | None:
    """Of the last minute: programs that wanted a core, ours included."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


# -- telling -----------------------------------------------------------------------------------------------------------


def describe(about: dict[str, Any]) -> list[str]:
    def told(found: dict[str, str]) -> str:
        return ", ".join(f"{name} {version}" for name, version in found.items())

    memory = f", {about['memory_gib']} GiB" if about["memory_gib"] else ""
    lines = [
        f"{about['date']}; {about['system']}, {about['cores']} cores{memory}.",
        f"Ours: {told(about[OURS])}.",
        f"Theirs: {told(about[THEIRS])}." if about[THEIRS] else "Theirs: not measured.",
    ]
    load = about["load_before"]
    if load is not None and load > (about["cores"] or 1) / 4:
        lines.append(f"NOISY: other programs were at work (load {load} before the first program).")
    return lines


def table(rows: Sequence[Row]) -> list[str]:
    """For a terminal: columns padded to their widest cell."""
    cells = [list(HEADINGS), *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    padded = [
        "  ".join(
            cell.ljust(width) if column in (0, 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    judged = [row.met for row in rows if row.met is not None]
    return [
        "",
        padded[0],
        "-" * len(padded[0]),
        *padded[1:],
        "",
        f"{sum(judged)} of {len(judged)} targets met.",
    ]


def remarks(facts: Facts) -> list[str]:
    lines: list[str] = []
    for name, fact in facts.items():
        if isinstance(fact, dict):
            large = {key: size for key, size in fact.items() if size > 10_000}
            rest = sum(fact.values()) - sum(large.values())
            told = ", ".join(f"{key} {size:,}" for key, size in large.items())
            lines.append(f"- {name}: {told}, all others {rest:,}.")
        elif isinstance(fact, list):
            lines.append(f"- {name}: {', '.join(fact) or 'none'}.")
        elif isinstance(fact, str):
            lines.append(f"- {name}: {fact}.")
        elif fact is not None:
            lines.append(f"- {name}: {fact:,}.")
    return lines


PAGE_TEXT = """# Benchmarks

Perdure side by side with LangGraph, both measured in one run. This page is generated by `python dev.py bench`
({seconds} seconds; the same figures for programs are in `bench/results.json`).

{about}

Each program of `bench/programs/` runs in both interpreters in turn, several rounds. *Best* is the least disturbed sample,
*median* that of all samples of all rounds. *Floor* is what the machine takes by itself, measured in the same process
right before each sample: one raw insert-and-commit for a step on SQLite (synchronous=FULL), a start of Python for an
import. *Above floor* is the median of the differences. *Ratio* compares the best of both. A target in multiples is judged
by the ratio, one in units by the median, or by what is above the floor; *noise* means that the floor swung too much to
say. Where theirs has a remark in brackets, it was measured on a shorter thread, because 2,000 turns would take
gigabytes; its size is extrapolated as a*n + b*n*n.

{rows}

{met} of {judged} targets met.

{facts}
"""


MEMORY_TEXT = """# Benchmarks of memory

Stores of Perdure side by side with LangGraph's, where theirs can do the same, both measured in one run. This page is generated by
`python dev.py bench --memory` ({seconds} seconds; the same figures for programs are in `bench/results-memory.json`).

{about}

Each program of `bench/programs/memory_*.py` says in its first lines what it measures. *Best* is the least disturbed sample,
*median* that of all samples. A target in multiples is judged by the ratio of the best, one in units by the median.

{rows}

{met} of {judged} targets met.

{facts}
"""

ENGINE_SUITE = Suite(
    "dev.py bench",
    ENGINE_PROGRAMS,
    ENGINE,
    ROOT / "bench" / "results.json",
    ROOT / "docs" / "reference" / "benchmarks.md",
    PAGE_TEXT,
)
MEMORY_SUITE = Suite(
    "dev.py bench --memory",
    MEMORY_PROGRAMS,
    MEMORY,
    ROOT / "bench" / "results-memory.json",
    ROOT / "docs" / "reference" / "benchmarks-memory.md",
    MEMORY_TEXT,
)


def write(suite: Suite, rows: Sequence[Row], facts: Facts, about: dict[str, Any]) -> None:
    """The two files of a full run."""
    judged = [row.met for row in rows if row.met is not None]
    lines = [HEADINGS, ["---", "---", *["---:"] * (len(HEADINGS) - 2)], *(row.cells for row in rows)]
    page = suite.text.format(
        seconds=about["seconds"],
        about="  \n".join(describe(about)),
        rows="\n".join(f"| {' | '.join(cells)} |" for cells in lines),
        met=sum(judged),
        judged=len(judged),
        facts="\n".join(remarks(facts)),
    )
    suite.page.write_text(page, encoding="utf-8")
    results = {
        "about": about,
        "figures": {
            row.figure.key: {
                "title": row.figure.title,
                "unit": row.figure.unit,
                "ours": asdict(row.ours),
                "theirs": asdict(row.theirs) if row.theirs else None,
                "remark": row.remark,
                "ratio": row.ratio,
                "target": row.target,
                "met": row.met,
            }
            for row in rows
        },
        "facts": facts,
    }
    suite.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\nWritten: {suite.page.relative_to(ROOT)}, {suite.results.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
