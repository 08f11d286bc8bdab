"""What `print_mode=` and `debug=True` show on standard output."""

from __future__ import annotations

import pprint
import sys
from typing import Any


def printed(mode: str, payload: Any) -> None:
    """Prints one item of a stream."""
    sys.stdout.write(f"[{mode}] {pprint.pformat(payload, width=100, sort_dicts=False)}\n")
