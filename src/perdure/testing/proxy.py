"""A TCP proxy for tests: passes bytes both ways, and fails where it is told to.

Here: `Proxy`. Bytes are counted over all connections, in each direction apart, so a fault at byte n is the same fault
every time the same program runs. It knows nothing of what passes.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

__all__ = ["DIRECTIONS", "Cut", "Direction", "Proxy"]

Direction = Literal["to server", "to client"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("to server", "to client")
_CHUNK: Final = 65536


class Cut:
    """A fault that waits for its byte.

    Attributes:
        happened: set once it did. From then on:
        passed: of the piece in which it was, what still arrived.
        lost: the rest of that piece, which never did.
        number: of bytes that had come from the server on that connection, this piece included.
    """

    def __init__(
        self, direction: Direction, at: int, everyone: bool, marker: bytes = b"", turn: int = 0
    ) -> None:
        self.direction: Direction = direction
        self.at = at  # of a marker: behind its beginning, until it comes
        self.marker, self.turn = marker, turn
        self.everyone = everyone
        self.happened = threading.Event()
        self.passed = self.lost = b""
        self.number = 0

    def __repr__(self) -> str:
        return f"<Cut {self.direction} at byte {self.at}{', happened' if self.happened.is_set() else ''}>"


class Proxy:
    """Listens on 127.0.0.1 and passes on to a server, until `close` or the end of a `with`. Safe from any thread.

    Args:
        host: of the server; or the path of its socket, with port 0.
        port: of the server.
        rewrite: gives what is passed on in place of a piece that came; of the same length, or counts are meaningless.
    """

    def __init__(
        self, host: str, port: int, *, rewrite: Callable[[Direction, bytes], bytes] | None = None
    ) -> None:
        self._server = (host, port)
        self._rewrite = rewrite
        self._changed = threading.Condition()
        self._passed = dict.fromkeys(DIRECTIONS, 0)
        self._delays = dict.fromkeys(DIRECTIONS, 0.0)
        self._held: set[Direction] = set()
        self._cuts: list[Cut] = []
        self._pairs: set[_Pair] = set()
        self._accepted = 0
        self._refusing = False
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @classmethod
    def of(cls, url: str, *, rewrite: Callable[[Direction, bytes], bytes] | None = None) -> Self:
        """A proxy before the server that a URL names; `through` gives the URL to use."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 5432, rewrite=rewrite)

    def through(self, url: str) -> str:
        """The same URL, with the proxy in the server's place."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Proxy 127.0.0.1:{self.port} to {self._server}, {len(self._pairs)} open, {self._passed}>"

    # -- counting ----------------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many are open."""
        with self._changed:
            return len(self._pairs)

    @property
    def accepted(self) -> int:
        """How many there ever were."""
        return self._accepted

    def passed(self, direction: Direction) -> int:
        """Bytes that were passed on, over all connections."""
        with self._changed:
            return self._passed[direction]

    # -- failing -----------------------------------------------------------------------------------------------------

    def cut(self, direction: Direction, after: int, *, everyone: bool = False) -> Cut:
        """The connection that carries it is cut once so many more bytes have passed; not one byte further.

        What came before arrives; then both sides read the end of the stream. Whatever is still sent is swallowed.

        Args:
            direction: whose bytes are counted.
            after: 0: as soon as one more wants to pass.
            everyone: all connections that are open then are cut, not only that one.
        """
        with self._changed:
            made = Cut(direction, self._passed[direction] + after, everyone)
            self._cuts.append(made)
            return made

    def cut_at(
        self, direction: Direction, marker: bytes, turn: int = 1, *, behind: int = 0, everyone: bool = False
    ) -> Cut:
        """The connection that carries it is cut where these bytes come for the `turn`-th time from now.

        Args:
            direction: whose bytes are looked at.
            marker: bytes that a piece has to have in it whole: what was sent at once mostly is.
            turn: 1 is the next time.
            behind: so many bytes behind its beginning; 0: nothing of it arrives.
            everyone: as of `cut`.
        """
        with self._changed:
            made = Cut(direction, behind, everyone, marker, turn)
            self._cuts.append(made)
            return made

    def forgive(self) -> None:
        """All cuts that have not happened will not; nothing is held, delayed or refused any more."""
        with self._changed:
            self._cuts.clear()
            self._held.clear()
            self._delays = dict.fromkeys(DIRECTIONS, 0.0)
            self._refusing = False
            self._changed.notify_all()

    def kill(self) -> int:
        """All connections are cut, now. How many there were."""
        with self._changed:
            pairs = list(self._pairs)
            for pair in pairs:
                pair.end()
            self._changed.notify_all()
            return len(pairs)

    def hold(self, *directions: Direction) -> None:
        """Nothing passes any more, and nobody is told: the network is gone without a word. Until `forgive`."""
        with self._changed:
            self._held.update(directions or DIRECTIONS)

    def delay(self, seconds: float, *directions: Direction) -> None:
        """Every piece waits so long before it is passed on."""
        with self._changed:
            self._delays.update(dict.fromkeys(directions or DIRECTIONS, seconds))

    def refuse(self, yes: bool = True) -> None:
        """Whoever connects from now on is cut before a byte has passed."""
        with self._changed:
            self._refusing = yes

    # -- passing -----------------------------------------------------------------------------------------------------

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="perdure-proxy", daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._accepted += 1
                refused = self._refusing or self._closed
            server = None if refused else self._reach()
            if server is None:
                client.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(client, server)
            with self._changed:
                self._pairs.add(pair)
                self._start(lambda pair=pair: self._pump(pair, "to server"))
                self._start(lambda pair=pair: self._pump(pair, "to client"))

    def _reach(self) -> socket.socket | None:
        host, port = self._server
        try:
            if host.startswith("/"):
                made = socket.socket(socket.AF_UNIX)
                made.connect(host)
            else:
                made = socket.create_connection((host, port), timeout=10)
                made.settimeout(None)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return None
        return made

    def _pump(self, pair: _Pair, direction: Direction) -> None:
        source, sink = pair.sides(direction)
        with suppress(OSError):
            while piece := source.recv(_CHUNK):
                if not pair.ended:
                    self._pass(pair, direction, piece, sink)
            if not pair.ended:
                sink.shutdown(socket.SHUT_WR)  # half closed: the other direction may still speak
        with self._changed:
            pair.done(direction)
            if pair.finished:
                self._pairs.discard(pair)
                pair.close()
            self._changed.notify_all()

    def _pass(self, pair: _Pair, direction: Direction, piece: bytes, sink: socket.socket) -> None:
        if self._rewrite is not None:
            piece = self._rewrite(direction, piece)
        if pause := self._delays[direction]:
            time.sleep(pause)
        with self._changed:
            self._changed.wait_for(lambda: direction not in self._held or pair.ended or self._closed)
            if pair.ended or self._closed:
                return
            at = self._passed[direction]
            mine = [cut for cut in self._cuts if cut.direction == direction]
            for cut in [cut for cut in mine if cut.turn]:
                _find(cut, piece, at)
            due = [cut for cut in mine if not cut.turn and cut.at < at + len(piece)]
            first = min(due, key=lambda cut: cut.at, default=None)
            allowed = piece if first is None else piece[: max(0, first.at - at)]
            self._passed[direction] += len(allowed)
            if direction == "to client":
                pair.answered += len(allowed)
            # Sent under the lock: what is counted first is passed first. A reader that never reads would stop all here,
            # which no database's client does for long.
            if allowed:
                sink.sendall(allowed)
            if first is not None:
                self._cuts.remove(first)
                for other in list(self._pairs) if first.everyone else [pair]:
                    other.end()
                first.passed, first.lost, first.number = allowed, piece[len(allowed) :], pair.answered
                first.happened.set()

    def close(self) -> None:
        """Cuts everything and waits until all threads of the proxy have ended."""
        with self._changed:
            self._closed = True
            for pair in self._pairs:
                pair.end()
                pair.abort()
            self._changed.notify_all()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


def _find(cut: Cut, piece: bytes, at: int) -> None:
    """Looks for the cut's marker in a piece that begins at byte `at`."""
    place = -1
    while cut.turn:
        place = piece.find(cut.marker, place + 1)
        if place < 0:
            return
        cut.turn -= 1
    cut.at += at + place


class _Pair:
    """The two halves of a connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        self._going: set[Direction] = set(DIRECTIONS)
        self.ended = False
        self.answered = 0  # bytes that came from the server

    def sides(self, direction: Direction) -> tuple[socket.socket, socket.socket]:
        """Where bytes of that direction come from, and go."""
        return (self._client, self._server) if direction == "to server" else (self._server, self._client)

    def end(self) -> None:
        """Both sides read the end of the stream.

        What they still send is read and dropped: a reset would take with it what they have not read yet.
        """
        self.ended = True
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Reads nothing any more, either."""
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def done(self, direction: Direction) -> None:
        """The side that sends in that direction has closed."""
        self._going.discard(direction)

    @property
    def finished(self) -> bool:
        """Whether both have."""
        return not self._going

    def close(self) -> None:
        """Lets go of both sockets."""
        self._client.close()
        self._server.close()
