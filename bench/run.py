"""The figures of Perdure side by side with LangGraph: `python dev.py bench [--quick]`.

Runs the programs of `programs/` in both interpreters in turn (A B A B), several rounds, prints what came out, and
writes `bench/results.json` and `docs/reference/benchmarks.md`. LangGraph gets an environment of its own, `.venv-bench`
beside `.venv`, made at the first run; delete it to measure a newer version.

`--memory`: the figures of memory instead (some ten minutes), into `bench/results-memory.json` and
`docs/reference/benchmarks-memory.md`.
`--postgres`: the figures on Postgres instead, on a server that is started for them, into `bench/results-postgres.json` and
`docs/reference/benchmarks-postgres.md`.
`--retrieval`: how well search finds, instead (`retrieval.py`; prints only).
`--scale`: what Postgres holds for very many threads and items, instead (`scale.py`; prints only).
`--settings`, `--partitions`: what an operator's choices cost there (`operating.py`; prints only).
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
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import operating
import plot
import retrieval
import scale
import shares
from figures import HEADINGS, Figure, Measured, Row, grown
from suites import ENGINE_SUITE, LONG, MEMORY_SUITE, POSTGRES_SUITE, SUITES, Program, Suite

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "bench" / "programs"
VENV = ROOT / ".venv-bench"
THEIR_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PACKAGES = [
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "langgraph-checkpoint-postgres",
    "psycopg[binary,pool]",
    "numpy",  # its store in memory is faster with it
    # for Pythons whose sqlite3 loads no extensions; there are wheels for Linux
    *(["pysqlite3-binary"] if sys.platform == "linux" and platform.machine() == "x86_64" else []),
]
TIMEOUT_SECONDS = 1800
OURS, THEIRS = "perdure", "langgraph"
WRITERS = "steps a second by the number of writers"

Sample: TypeAlias = float | Sequence[float]  # or with its floor
Facts: TypeAlias = dict[str, Any]


def main() -> int:
    """0, whatever was met: a figure is no test. 1 if a program failed."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples; prints only")
    names = sorted({program.name for suite in SUITES for program in suite.programs})
    parser.add_argument("--only", choices=names, action="append", help="prints only")
    parser.add_argument("--memory", action="store_true", help="the figures of memory, instead")
    parser.add_argument("--postgres", action="store_true", help="the figures on Postgres, instead")
    parser.add_argument(
        "--theirs", metavar="PYTHON", help="an interpreter that has LangGraph; installs nothing"
    )
    parser.add_argument("--alone", action="store_true", help="without LangGraph")
    parser.add_argument("--profile", action="store_true", help="where our own time goes, instead of figures")
    parser.add_argument("--retrieval", action="store_true", help="how well search finds, instead of figures")
    parser.add_argument("--settings", action="store_true", help="settings of Postgres, instead")
    parser.add_argument("--partitions", action="store_true", help="partitioned tables of Postgres, instead")
    parser.add_argument("--scale", action="store_true", help="bytes and depths of very many rows, instead")
    options = parser.parse_args()
    if options.settings:
        return operating.settings(quick=options.quick)
    if options.partitions:
        return operating.partitions(quick=options.quick)
    if options.scale:
        return scale.main(quick=options.quick)
    if options.profile:
        return shares.main()
    if options.retrieval:
        return retrieval.main()
    began = perf_counter()
    failures: list[str] = []
    theirs = None if options.alone else options.theirs or their_python()
    about = machine(theirs)
    print(*describe(about), sep="\n", flush=True)
    suite = MEMORY_SUITE if options.memory else POSTGRES_SUITE if options.postgres else ENGINE_SUITE
    programs = [p for p in suite.programs if p.name in (options.only or {p.name})]
    if options.quick:  # one kind of long thread shows whether all is well
        programs = [
            p for p in programs if p.ours not in ((("messages", str(LONG)),), (("bytes", str(LONG)),))
        ]
    with server(suite):
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
            if program.name == "postgres_turns":
                given = long_thread_on_postgres(library, given, facts, remarks_)
            for answer in given:
                for key, value in answer.items():
                    if key == "import_packages":
                        facts[f"third-party packages, {library}"] = value
                    elif key == "recall":
                        facts.update({f"recall@10 of {what}": share for what, share in value.items()})
                    elif key == "writers":
                        facts[f"{WRITERS}, {library}"] = value
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


def long_thread_on_postgres(
    library: str, given: list[dict[str, Any]], facts: Facts, remarks_: dict[str, str]
) -> list[dict[str, Any]]:
    """As `long_thread`, of what a long thread takes on Postgres."""
    if not given or not all(given):
        return []
    last = given[-1]
    turns = [run["turns"] for run in given]
    raw = last["raw_bytes"] / last["turns"] * LONG
    found = {"pg_turn": [last["turn_last"] - last["turn_100"]]}
    if library == THEIRS:
        remarks_["pg_turn"] = f"turn {last['turns']} above turn 100"
    for figure, name in (("pg_size", "bytes"), ("pg_size_in_use", "bytes_in_use")):
        if library == THEIRS:
            size = grown(turns, [run[name] for run in given], LONG)
            remarks_[figure] = f"from {' and '.join(map(str, turns))} turns"
        else:
            size = last[name]
            tables = {table: grew for table, grew in last[f"{name}_per_table"].items() if grew}
            facts[f"{name.replace('_', ' ')} by table, {LONG:,} turns"] = tables
        found[figure] = [size / raw]
    return [found]


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
        for figure in ENGINE_SUITE.figures:
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


@contextmanager
def server(suite: Suite) -> Iterator[None]:
    """A Postgres server for the programs of a suite that needs one, with its own settings; its URL is in the environment."""
    if not suite.server:
        yield
        return
    from perdure.testing.postgres import PostgresServer

    folder = Path(tempfile.mkdtemp(prefix="perdure-bench-"))
    folder.chmod(0o755)  # root's server runs as another user
    settings = {"fsync": "on", "full_page_writes": "on", "max_wal_size": "1GB", "shared_buffers": "512MB"}
    try:
        running = PostgresServer(folder / "server", settings=settings)
        os.environ["BENCH_POSTGRES"] = running.url
        try:
            yield
        finally:
            running.remove()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
for name in (
    "langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres", "langchain-core",
    "ormsgpack", "psycopg",
):
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
        if name.startswith(WRITERS):
            lines.append(f"- {name}: {', '.join(f'{n}: {rate:,.0f}' for n, rate in fact.items())}.")
        elif isinstance(fact, dict):
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
    writers = {library: found for library in (OURS, THEIRS) if (found := facts.get(f"{WRITERS}, {library}"))}
    if writers:
        drawn = suite.page.with_name("postgres-writers.svg")
        drawn.write_text(plot.lines(writers, "writers", "steps a second"), encoding="utf-8")
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
