"""Many runs of one program, each in a process of its own that is born with everything imported.

`serve(main)` is the end of such a program: with `--nursery` it reads jobs (a line of JSON each) and answers with lines.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any


def serve(main: Callable[[list[str]], Any]) -> None:
    """Runs `main` with this process's arguments and prints what it returns; `--nursery`: once a job, in children."""
    if sys.argv[1:] != ["--nursery"]:
        print(json.dumps(main(sys.argv[1:])))
        return
    with suppress(ImportError):  # whoever needs it finds it imported
        import_module("perdure.storage.postgres")
    for line in sys.stdin:
        print(json.dumps(_run(main, **json.loads(line))), flush=True)


def _run(
    main: Callable[[list[str]], Any], arguments: list[str], kill_after: float | None = None
) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = 1
        try:
            _write(writer, json.dumps(main(arguments)))
            code = 0
        except BaseException:  # noqa: BLE001 - the parent reads what it was
            _write(writer, traceback.format_exc())
        finally:
            os._exit(code)
    os.close(writer)
    if kill_after is not None:
        threading.Event().wait(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as pipe:
        out = pipe.read()
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "out": out}


def _write(to: int, text: str) -> None:
    with os.fdopen(to, "w") as pipe:
        pipe.write(text)
