"""Parts of memory as text that a terminal can show: always JSON, so no control character in them reaches it.

Here: one part, labels, an object a line. Not here: what is told of them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["labels_of", "say", "text_of"]


def say(found: dict[str, Any], indent: int | None = None) -> None:
    """Prints the object as JSON."""
    print(json.dumps(found, indent=indent))


def text_of(part: object) -> str:
    """JSON that the terminal can show."""
    encoding = sys.stdout.encoding or "ascii"
    return json.dumps(part, ensure_ascii=False).encode(encoding, "backslashreplace").decode(encoding)


def labels_of(namespace: tuple[str, ...]) -> str:
    """The namespace, label by label."""
    return " ".join(map(text_of, namespace)) or "(everything)"
