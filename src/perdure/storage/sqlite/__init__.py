"""SQLite: the backend for one machine, any number of threads and processes.

Public: `SqliteBackend`, `open_backend`, `due`, `back_up`, `restore`. The rest of this package is its inside.
"""

from perdure.storage.sqlite.backend import SqliteBackend, open_backend
from perdure.storage.sqlite.backups import back_up, restore
from perdure.storage.sqlite.looking import due

__all__ = ["SqliteBackend", "back_up", "due", "open_backend", "restore"]
