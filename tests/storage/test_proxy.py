"""The proxy that tests put before a server: it passes everything, or exactly as much as it was told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from perdure.testing.proxy import DIRECTIONS, Direction, Proxy


class Echo:
    """A server that gives back what it reads, and remembers it."""

    def __init__(self) -> None:
        self.got: dict[int, bytearray] = {}
        self.ended: dict[int, threading.Event] = {}
        self._accepted = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            number = len(self.got)
            with self._accepted:
                self.got[number], self.ended[number] = bytearray(), threading.Event()
                self._accepted.notify_all()
            self._threads.append(threading.Thread(target=self._serve, args=(number, client), daemon=True))
            self._threads[-1].start()

    def _serve(self, number: int, client: socket.socket) -> None:
        with client:
            try:
                while piece := client.recv(65536):
                    self.got[number] += piece
                    client.sendall(piece)
            except OSError:
                pass
            self.ended[number].set()

    def end_of(self, number: int) -> bool:
        """Waits until that connection, which may not even be accepted yet, has ended; False: it does not."""
        with self._accepted:
            return self._accepted.wait_for(lambda: number in self.ended, 5) and self.ended[number].wait(5)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo.port) as made:
        yield made
    assert not [thread for thread in threading.enumerate() if thread.name == "perdure-proxy"]


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def read(client: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer if the stream ends before."""
    got = b""
    while len(got) < count and (piece := client.recv(count - len(got))):
        got += piece
    return got


def test_all_bytes_pass_both_ways_and_are_counted(proxy: Proxy, echo: Echo) -> None:
    sent = bytes(range(256)) * 4000

    with connected(proxy) as client:
        writer = threading.Thread(target=client.sendall, args=(sent,))
        writer.start()
        assert read(client, len(sent)) == sent
        writer.join()

    assert [proxy.passed(direction) for direction in DIRECTIONS] == [len(sent), len(sent)]
    assert proxy.accepted == 1


def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)

        assert read(client, 99) == b"last words"


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_a_cut_is_at_its_byte_and_what_came_before_arrives(
    proxy: Proxy, echo: Echo, direction: Direction, count: int
) -> None:
    cut = proxy.cut(direction, count)

    with connected(proxy) as client:
        client.sendall(b"0123456789")
        got = read(client, 10)
        assert client.recv(1) == b""

    assert cut.happened.wait(5)
    assert echo.end_of(0)
    if direction == "to server":
        assert bytes(echo.got[0]) == b"0123456789"[:count]
        assert b"0123456789"[:count].startswith(got)  # the answer may have been under way
    else:
        assert got == b"0123456789"[:count]
    assert proxy.passed(direction) == count


@pytest.mark.parametrize(("behind", "arrives"), [(0, b"one, two, "), (3, b"one, two, one"), (99, None)])
def test_a_cut_at_a_marker_is_where_it_comes_for_the_given_time(
    proxy: Proxy, behind: int, arrives: bytes | None
) -> None:
    cut = proxy.cut_at("to client", b"one", 2, behind=behind)

    with connected(proxy) as client:
        client.sendall(b"one, two, one, three")
        if arrives is None:  # behind all that has come: with what comes next
            assert read(client, 20) == b"one, two, one, three"
            assert not cut.happened.is_set()
            client.sendall(bytes(200))
            arrives = bytes(10 + 99 - 20)
        got = read(client, 999)

    assert cut.happened.wait(5)
    assert got == arrives


def test_a_cut_tells_what_it_took(proxy: Proxy) -> None:
    cut = proxy.cut("to client", 13)

    with connected(proxy) as client:
        client.sendall(b"0123456789")
        read(client, 10)
        client.sendall(b"0123456789")
        read(client, 10)

    assert cut.happened.wait(5)
    assert (cut.passed, cut.lost, cut.number) == (b"012", b"3456789", 13)


def test_a_cut_counts_from_now_and_spares_the_others_unless_told(proxy: Proxy) -> None:
    with connected(proxy) as first, connected(proxy) as second:
        for client in (first, second):
            client.sendall(b"abc")
            assert read(client, 3) == b"abc"

        proxy.cut("to server", 2)
        first.sendall(b"x")
        assert read(first, 1) == b"x"
        second.sendall(b"yz")
        assert read(second, 2) in (b"", b"y")
        first.sendall(b"!")
        assert read(first, 1) == b"!"

        proxy.cut("to server", 0, everyone=True)
        with connected(proxy) as third:
            third.sendall(b"?")
            assert (read(third, 1), read(first, 1)) == (b"", b"")


def test_after_a_cut_new_connections_work(proxy: Proxy) -> None:
    proxy.cut("to server", 0)
    with connected(proxy) as client:
        client.sendall(b"a")
        assert client.recv(1) == b""

    with connected(proxy) as client:
        client.sendall(b"b")
        assert read(client, 1) == b"b"


def test_killed_all_connections_end(proxy: Proxy) -> None:
    clients = [connected(proxy) for _ in range(3)]
    for client in clients:
        client.sendall(b"a")
        assert read(client, 1) == b"a"

    assert proxy.kill() == 3

    for client in clients:
        assert client.recv(1) == b""
        client.close()


def test_refused_a_connection_ends_before_a_byte_passes(proxy: Proxy, echo: Echo) -> None:
    proxy.refuse()
    with connected(proxy) as client:
        assert client.recv(1) == b""
    assert not echo.got

    proxy.forgive()
    with connected(proxy) as client:
        client.sendall(b"a")
        assert read(client, 1) == b"a"


def test_held_nothing_passes_until_forgiven(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"a")
        assert read(client, 1) == b"a"
        proxy.hold("to client")
        client.sendall(b"b")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)

        client.settimeout(10)
        proxy.forgive()

        assert read(client, 1) == b"b"


def test_delayed_every_piece_takes_its_time(proxy: Proxy) -> None:
    proxy.delay(0.1, "to client")
    with connected(proxy) as client:
        began = time.monotonic()
        client.sendall(b"a")

        assert read(client, 1) == b"a"

    assert time.monotonic() - began >= 0.1


def test_what_passes_can_be_rewritten(echo: Echo) -> None:
    def shout(direction: Direction, piece: bytes) -> bytes:
        return piece.upper() if direction == "to client" else piece

    with Proxy("127.0.0.1", echo.port, rewrite=shout) as proxy, connected(proxy) as client:
        client.sendall(b"quiet")
        assert read(client, 5) == b"QUIET"


def test_a_url_leads_through_the_proxy(proxy: Proxy) -> None:
    url = proxy.through("postgresql://ada:s%40crt@db.example.com:6543/agents?schema=x")

    assert url == f"postgresql://ada:s%40crt@127.0.0.1:{proxy.port}/agents?schema=x"


def test_a_server_that_is_not_there_looks_like_a_cut(echo: Echo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Proxy("127.0.0.1", port) as proxy, connected(proxy) as client:
        assert client.recv(1) == b""
