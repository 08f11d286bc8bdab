"""The developer's commands: `python3 dev.py demo | test | setup | check | bench | docs`.

Needs Python >= 3.11 with pip and nothing else; prints each command before it runs it; CI calls the same. Everything is
installed into `.venv` beside this file, never into the machine's Python, so it works on machines whose Python is
"externally managed" (PEP 668) and needs no rights. A second call finds the environment done and starts at once.
PERDURE_PYTHON=/path/to/python takes that interpreter as it is instead, and installs nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "perdure-installed.json"
FAST = "not slow"
EVERYTHING = ["tests", "dev"]


class Stop(Exception):
    """A command can't go on; the message says why and what to do."""


def main() -> int:
    """The exit code of the command that was asked for."""
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("setup", help="make .venv with all that development needs")
    commands.add_parser("check", help="lint, format, types, layers, generated pages")
    # Those that pass arguments on pass `--help` on, too.
    test = commands.add_parser(
        "test", help="the fast tests; what follows goes to pytest", allow_abbrev=False, add_help=False
    )
    test.add_argument("--all", action="store_true", help="the exhaustive ones, too")
    commands.add_parser("bench", help="the figures; what follows goes to the benchmark", add_help=False)
    commands.add_parser("docs", help="write generated pages, then run the code of all pages")
    commands.add_parser("demo", help="perdure demo; what follows goes to it", add_help=False)
    known, rest = parser.parse_known_args()
    if rest and known.command in {"setup", "check", "docs"}:
        parser.error(f"{known.command} takes no arguments, but got {shlex.join(rest)}")
    run = {"setup": setup, "check": check, "test": test_, "bench": bench, "docs": docs, "demo": demo}[
        known.command
    ]
    try:
        return run([*(["--all"] if getattr(known, "all", False) else []), *rest])
    except Stop as stop:
        print(f"dev.py: {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def setup(_: list[str]) -> int:
    """An environment for all commands."""
    python(EVERYTHING)
    return 0


def check(_: list[str]) -> int:
    """Everything a machine can say about the code without running much of it. Goes on after a failure, to say all."""
    py = python(EVERYTHING)
    pyright = [py, "-m", "pyright", "--pythonpath", py]
    commands = [
        [py, "-m", "ruff", "check", "."],
        [py, "-m", "ruff", "format", "--check", "."],
        pyright,
        [py, "-m", "pytest", "-q", "tests/test_layers.py", "tests/test_import_is_light.py"],
        [py, "tools/parity.py", "--check"],
    ]
    failed = [command for command in commands if call(command)]
    for command in failed:
        print(f"dev.py: failed: {shlex.join(command)}", file=sys.stderr)
    return 1 if failed else 0


def test_(args: list[str]) -> int:
    """The tests: the fast ones, or with `--all` all of them."""
    marks = [] if "--all" in args else ["-m", FAST]
    return call([python(["tests"]), "-m", "pytest", *marks, *(arg for arg in args if arg != "--all")])


def bench(args: list[str]) -> int:
    """The figures of this machine."""
    return call([python(["tests"]), "bench/run.py", *args])


def docs(_: list[str]) -> int:
    """Generated pages written anew, and proof that the code in all pages runs."""
    py = python(["tests"])
    return call([py, "tools/parity.py"]) or call([py, "-m", "pytest", "-q", "tests/docs"])


def demo(args: list[str]) -> int:
    """The main job on real input."""
    return call([python(["search"]), "-m", "perdure", "demo", *args], where=Path.cwd())


def python(extras: list[str]) -> str:
    """The interpreter of an environment in which Perdure and these extras are installed; makes it if need be."""
    if given := os.environ.get("PERDURE_PYTHON"):
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])
        )
        return given
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this may have any Python
        raise Stop(
            f"Perdure needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})."
        )
    wanted = {name: _fingerprint() for name in ["", *extras]}
    done = _installed()
    if not wanted.items() <= done.items():
        # What was there stays: an environment with `dev` keeps it when only `tests` is asked for.
        names = sorted({*extras, *(name for name, mark in done.items() if name and mark == _fingerprint())})
        STAMP.unlink(missing_ok=True)
        pip = _pip(fresh=not done)
        target = f".[{','.join(names)}]" if names else "."
        call([*pip, "install", "--quiet", "--disable-pip-version-check", "--editable", target], quiet=True)
        STAMP.write_text(json.dumps(dict.fromkeys(["", *names], _fingerprint()), indent=1), encoding="utf-8")
    return str(PYTHON)


def _fingerprint() -> str:
    facts = [(ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(facts)).hexdigest()


def _installed() -> dict[str, str]:
    """What the stamp says is installed. Nothing, if the environment doesn't start (its Python is gone)."""
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text(encoding="utf-8"))
        subprocess.run([PYTHON, "-c", ""], check=True, capture_output=True)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}
    return stamp


def _pip(*, fresh: bool) -> list[str]:
    """The environment's pip. Some systems ship `venv` without `ensurepip`: then this Python's own pip reaches in."""
    if importlib.util.find_spec("venv") is None:
        raise Stop(
            "this Python has no `venv` module. Install it (Debian: apt install python3-venv) and try again."
        )
    with_pip = importlib.util.find_spec("ensurepip") is not None
    if not with_pip and importlib.util.find_spec("pip") is None:
        raise Stop(
            "this Python has neither `ensurepip` nor `pip`. Install one (Debian: apt install python3-pip)."
        )
    if fresh:
        make = [sys.executable, "-m", "venv", "--clear", *([] if with_pip else ["--without-pip"]), str(VENV)]
        call(make, quiet=True)
    if with_pip:
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]  # pip >= 22.3


def call(command: list[str], *, where: Path = ROOT, quiet: bool = False) -> int:
    """The exit code of a command, printed before it runs. With `quiet`: its output only if it fails, and then Stop."""
    print("$", shlex.join(command), file=sys.stderr, flush=True)
    if quiet:
        done = subprocess.run(command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            raise Stop("that command failed; what it said is above. Mend it and run the same command again.")
        return 0
    child = subprocess.Popen(command, cwd=where)
    while True:
        try:
            code = child.wait()
            break
        except KeyboardInterrupt:
            continue  # the child got it, too, and says goodbye in its own way
    if code < 0:
        print(f"dev.py: that process was ended by signal {-code}.", file=sys.stderr)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
