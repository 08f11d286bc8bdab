"""What an operator does with a database: look at it, check it, prune it, copy it, save it, bring it back.

Functions, not methods of `Database`: most of them are about a database that is not open, or about two of them, and none is
needed by a program that runs graphs. `perdure db` is these functions at a terminal.

Here: the door. Not here: memory by itself (`store.check`, `export`, `forget` ...), arguments and lines (`perdure.cli.db`).
"""

from perdure.admin.checking import Finding, check
from perdure.admin.copying import CopyReport, copy
from perdure.admin.migrating import Migrated, migrate
from perdure.admin.pruning import Pruned, prune
from perdure.admin.saving import backup, restore
from perdure.admin.statistics import Statistics, stats
from perdure.admin.status import Status, due, status

__all__ = [
    "CopyReport",
    "Finding",
    "Migrated",
    "Pruned",
    "Statistics",
    "Status",
    "backup",
    "check",
    "copy",
    "due",
    "migrate",
    "prune",
    "restore",
    "stats",
    "status",
]
