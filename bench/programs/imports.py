"""What an import costs a fresh process above a bare start of Python, and which third-party packages it brings along."""

from __future__ import annotations

import json
import subprocess
import sys

from common import OURS, QUICK, answer, seconds

TIMES = 2 if QUICK else 8
GRAPHS = (
    "perdure.graph, perdure.checkpoint.sqlite" if OURS else "langgraph.graph, langgraph.checkpoint.sqlite"
)

# A package counts as third-party if it lies where installers put packages and a bare start hasn't loaded it.
LIST = """
import sys
before = set(sys.modules)
import {modules}
import json
found = {{
    name.partition(".")[0] for name in set(sys.modules) - before
    if "site-packages" in (getattr(sys.modules[name], "__file__", None) or "")
}}
print(json.dumps(sorted(found)))
"""


def start(code):
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def milliseconds(modules):
    """(of a process that imports, of a bare one right before), after one round that fills the caches."""
    importing, bare = start(f"import {modules}"), start("pass")
    rounds = [(seconds(bare), seconds(importing)) for _ in range(TIMES + 1)]
    return [(with_it * 1e3, without * 1e3) for without, with_it in rounds[1:]]


def packages(modules):
    code = LIST.format(modules=modules)
    listed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return [name for name in json.loads(listed) if name not in ("perdure", "langgraph")]


answer(
    # `import langgraph` is an empty namespace, so theirs begins with its graphs.
    import_root=milliseconds("perdure") if OURS else milliseconds("langgraph.graph"),
    import_graphs=milliseconds(GRAPHS),
    import_packages=packages(GRAPHS),
)
