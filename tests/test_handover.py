"""A server that hands everything to its successor: examples/handover.py under load, and when one of the two dies.

Rule: whatever happens to one of the two, at each moment exactly one of them serves, and clients get each answer once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import resource
import signal
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import support

from uds_cffi import SHUT_WR, FramedStream, UnixStream

CLIENTS = 20
HANDOVERS = 5
REQUESTS = 300

_spec = importlib.util.spec_from_file_location("handover", support.ROOT / "examples" / "handover.py")
handover: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(handover)
Server, HandoverError = handover.Server, handover.HandoverError


def serve(make: Callable[[], Any], framed: Any = FramedStream) -> None:
    """Be a server process."""
    handover.FramedStream = framed
    with contextlib.closing(make()) as server:
        server.serve()


@contextlib.contextmanager
def first_server(path: str, clients: int = 0, framed: Any = FramedStream) -> Iterator[tuple[support.Child, list[Any]]]:
    """Start a server process that has some clients, and yield it with them; the block leads it to its end."""
    server = Server.bind(path)
    with contextlib.ExitStack() as stack:
        conns = []
        for _ in range(clients):
            conns.append(stack.enter_context(UnixStream.connect(path)))
            conns[-1].set_read_timeout(support.PATIENCE)
            server.clients.append(handover.Client(server.listener.accept()[0]))
        yield stack.enter_context(serving(server, framed)), conns


@contextlib.contextmanager
def process(make: Callable[[], Any], framed: Any = FramedStream) -> Iterator[support.Child]:
    """Start a server process; the block leads to its end."""
    child = support.Child(serve, make, framed)
    try:
        yield child
    finally:
        child.kill()


def successor(path: str) -> Any:
    """Start a server process that takes over from the one that is running."""
    return process(lambda: Server.take_over(path))


@contextlib.contextmanager
def serving(server: Any, framed: Any = FramedStream) -> Iterator[support.Child]:
    """Start a process that has a server; this one has it no more."""
    with process(lambda: server, framed) as child:
        server.close()
        yield child


def ask(conn: UnixStream, text: str) -> list[str]:
    """Send a request and return the server's number, the request's number, and its text."""
    conn.sendall(f"{text}\n".encode())
    with conn.makefile("rb") as answers:
        return answers.readline().decode().split()


# --- Under load ---------------------------------------------------------------------------------


def be_a_client(path: str, seed: int, servers: int, met: int) -> None:
    """Ask on one connection until every server has answered, and now and then on a new one."""
    rng = random.Random(seed)
    asked = server = 0
    with UnixStream.connect(path) as conn, conn.makefile("rb") as answers:
        conn.set_read_timeout(support.PATIENCE)
        while server < servers or asked < REQUESTS:
            count = rng.randrange(1, 8)
            requests = b"".join(b"request-%d-%d\n" % (seed, asked + place) for place in range(count))
            # Cut anywhere: the rest of a request may meet another server.
            cut = rng.randrange(1, len(requests))
            conn.sendall(requests[:cut])
            conn.sendall(requests[cut:])
            for _ in range(count):
                number, place, text = answers.readline().split()
                assert (int(place), text) == (asked + 1, b"request-%d-%d" % (seed, asked))
                assert server <= int(number) <= servers
                asked += 1
                if int(number) > server:
                    server = int(number)
                    os.write(met, b"!")
            if rng.random() < 0.2:
                with UnixStream.connect(path) as other:
                    other.set_read_timeout(support.PATIENCE)
                    assert ask(other, "new")[1:] == ["1", "new"]
        conn.shutdown(SHUT_WR)
        assert answers.read() == b""


def test_no_client_notices(socket_path):
    """Of twenty clients each gets every answer once and in order, on one connection, from six servers one by one."""
    servers = HANDOVERS + 1
    read, write = os.pipe()
    with contextlib.ExitStack() as stack, open(read, "rb") as met, open(write, "wb", buffering=0):
        stack.enter_context(first_server(socket_path))
        clients = [support.Child(be_a_client, socket_path, seed, servers, write) for seed in range(CLIENTS)]
        for client in clients:
            stack.push(client)
        for _ in range(HANDOVERS):
            # Each client has had an answer of this server, and is asking on.
            assert len(met.read(CLIENTS)) == CLIENTS
            stack.enter_context(successor(socket_path))
        assert len(met.read(CLIENTS)) == CLIENTS
        for client in clients:
            client.join()


def test_many_connections_move(socket_path):
    """More connections than descriptors fit into one message move, each with its own state."""
    with first_server(socket_path, clients=300) as (old, conns):
        for place, conn in enumerate(conns):
            for time in range(place % 3):
                assert ask(conn, "x") == ["1", str(time + 1), "x"]
        with successor(socket_path):
            old.join()
            for place, conn in enumerate(conns):
                assert ask(conn, "x") == ["2", str(place % 3 + 1), "x"]


# --- What moves ---------------------------------------------------------------------------------


@contextlib.contextmanager
def moved(path: str, prepare: Callable[[Any, Any], None]) -> Iterator[tuple[Any, UnixStream]]:
    """Prepare a connection and its client's end, let a server hand it over to this process, and yield both."""
    with contextlib.closing(Server.bind(path)) as server:
        conn = UnixStream.connect(path)
        conn.set_read_timeout(support.PATIENCE)
        server.clients.append(handover.Client(server.listener.accept()[0]))
        prepare(server.clients[0], conn)
        with conn, serving(server), contextlib.closing(Server.take_over(path)) as new:
            yield new, conn


def test_half_a_request_moves(socket_path):
    """Of a request that has come in part, the successor has that part, and answers when the rest comes."""

    def prepare(client, conn):
        conn.sendall(b"whole\nha")
        client.step(1, handover.READ)

    with moved(socket_path, prepare) as (new, conn):
        (client,) = new.clients
        assert (client.answered, client.received) == (1, b"ha")
        with serving(new), conn.makefile("rb") as answers:
            conn.sendall(b"lf\n")
            assert [answers.readline(), answers.readline()] == [b"1 1 whole\n", b"2 2 half\n"]


def test_answers_that_wait_move(socket_path):
    """Answers that a slow client has no room for yet move, and come behind those that it has."""
    asked = 0

    def prepare(client, conn):
        nonlocal asked
        while client.wanted() & handover.READ:
            conn.sendall(b"%0100d\n" % asked)
            asked += 1
            client.step(1, handover.READ)
        # In the queue of the socket, which moves by itself.
        conn.sendall(b"%0100d\n" % asked)
        asked += 1

    with moved(socket_path, prepare) as (new, conn):
        (client,) = new.clients
        assert len(client.unsent) >= handover.MOST_UNSENT
        with serving(new), conn.makefile("rb") as answers:
            for number in range(asked):
                server = 2 if number == asked - 1 else 1
                assert answers.readline() == b"%d %d %0100d\n" % (server, number + 1, number)


def test_client_that_has_ended_its_requests_gets_its_answers(socket_path):
    """A client that sends no more and has answers to come is served to the end, and then closed."""

    def prepare(client, conn):
        while len(client.unsent) < 1000:
            conn.sendall(b"%01000d\n" % 0)
            client.step(1, handover.READ)
        conn.shutdown(SHUT_WR)
        client.step(1, handover.READ)
        assert client.ended

    with moved(socket_path, prepare) as (new, conn):
        (client,) = new.clients
        assert client.ended
        with serving(new), conn.makefile("rb") as answers:
            lines = answers.read().splitlines()
            assert [int(line.split()[1]) for line in lines] == list(range(1, client.answered + 1))


# --- One of them dies ---------------------------------------------------------------------------

# What the old server of two clients sends: its two listeners, the two connections, and the word that this is all.
MESSAGES = 5


def dies_at(send: int = -1, receive: int = -1) -> Any:
    """Return a FramedStream whose process is killed before this message that it sends or receives."""

    class Dying(FramedStream):
        sent = received = 0

        def send_message(self, *arguments):
            if self.sent == send:
                os.kill(os.getpid(), signal.SIGKILL)
            self.sent += 1
            return super().send_message(*arguments)

        def recv_message(self, flags=0):
            if self.received == receive:
                os.kill(os.getpid(), signal.SIGKILL)
            self.received += 1
            return super().recv_message(flags)

        def __next__(self):
            message = self.recv_message()
            if message is None:
                raise StopIteration
            return message

    return Dying


def killed(child: support.Child) -> None:
    with pytest.raises(AssertionError, match="the child was killed by SIGKILL"):
        child.join()


@pytest.mark.parametrize("sent", range(MESSAGES))
def test_old_server_is_killed_before_it_has_sent_all(socket_path, sent):
    """The successor says how far it came and keeps nothing; clients see the end; the next server can start afresh."""
    with first_server(socket_path, 2, dies_at(send=sent)) as (old, conns):
        with pytest.raises(HandoverError, match=f"the old server ended after {sent} sockets"):
            Server.take_over(socket_path)
        killed(old)
        for conn in conns:
            assert conn.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        Server.take_over(socket_path)
    for name in (socket_path, socket_path + ".handover"):
        os.unlink(name)
    with first_server(socket_path, 1) as (_, (conn,)):
        assert ask(conn, "again") == ["1", "1", "again"]


def test_old_server_is_killed_when_it_has_sent_all(socket_path):
    """The successor has all, and serves, although the old server never heard that it does."""
    with first_server(socket_path, 2, dies_at(receive=0)) as (old, conns), successor(socket_path):
        killed(old)
        for conn in conns:
            assert ask(conn, "on") == ["2", "1", "on"]
        with UnixStream.connect(socket_path) as conn:
            assert ask(conn, "new") == ["2", "1", "new"]


@pytest.mark.parametrize("received", range(MESSAGES))
def test_successor_is_killed_before_it_has_all(socket_path, received):
    """The old server goes on as if nothing had happened, and the next successor takes over."""
    with first_server(socket_path, 2) as (old, conns):
        dying = dies_at(receive=received)
        killed(support.Child(serve, lambda: Server.take_over(socket_path), dying))
        for conn in conns:
            assert ask(conn, "on") == ["1", "1", "on"]
        with successor(socket_path):
            old.join()
            for conn in conns:
                assert ask(conn, "on") == ["2", "2", "on"]


def test_successor_that_hangs_holds_things_up_until_it_is_gone(socket_path):
    """Clients wait while a successor has all and says nothing; once it is gone, the next one is served."""

    def hang(has_all):
        old = FramedStream(UnixStream.connect(socket_path + ".handover"), max_fds=1)
        old.send_message(b"hand over")
        while old.recv_message().data != b"1":
            pass
        has_all.set()
        signal.pause()

    with contextlib.ExitStack() as stack:
        old, (conn,) = stack.enter_context(first_server(socket_path, 1))
        has_all = stack.enter_context(support.Event())
        with support.Child(hang, has_all) as hanging:
            has_all.wait()
            conn.sendall(b"on\n")
            conn.set_read_timeout(0.05)
            with successor(socket_path):
                with pytest.raises(TimeoutError):
                    conn.peek(100)
                hanging.kill()
                conn.set_read_timeout(support.PATIENCE)
                old.join()
                with conn.makefile("rb") as answers:
                    assert answers.readline().split()[1:] == [b"1", b"on"]
                assert ask(conn, "on") == ["2", "2", "on"]


@pytest.mark.parametrize("sent", [0, 1])
def test_successor_is_killed_before_it_says_anything(socket_path, sent):
    """Before it has asked, and before it has said that it serves, the old server serves."""
    with first_server(socket_path, 2) as (_, conns):
        killed(support.Child(serve, lambda: Server.take_over(socket_path), dies_at(send=sent)))
        for conn in conns:
            assert ask(conn, "on") == ["1", "1", "on"]


def filled() -> Iterator[int]:
    """Open descriptors until no more may be opened."""
    with contextlib.suppress(OSError):
        while True:
            yield os.dup(0)


def test_successor_without_room_gives_up(socket_path):
    """A successor that may not open enough files says so, and the old server goes on."""

    def child():
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, most))
        # The table is full but for five places.
        taken = list(filled())
        for number in taken[:5]:
            os.close(number)
        with pytest.raises(HandoverError, match=r"the handover failed after \d sockets"):
            Server.take_over(socket_path)

    with first_server(socket_path, 9) as (_, conns):
        support.run_child(child)
        for conn in conns:
            assert ask(conn, "on") == ["1", "1", "on"]


def test_stranger_at_the_door_changes_nothing(socket_path):
    """Who connects to the door and goes, or says nothing or something else, neither stops the server nor takes over."""
    with first_server(socket_path, 1) as (old, (conn,)), UnixStream.connect(socket_path + ".handover") as silent:
        for word in (b"", b"\0\0\0\4what", b"\xff\xff\xff\xff", b"\0\0"):
            with UnixStream.connect(socket_path + ".handover") as stranger:
                stranger.sendall(word)
                stranger.shutdown(SHUT_WR)
                assert stranger.recv(100) == b""
        assert ask(conn, "on") == ["1", "1", "on"]
        with successor(socket_path):
            old.join()
            assert silent.recv(100) == b""
            assert ask(conn, "on") == ["2", "2", "on"]


def test_without_a_server_there_is_nothing_to_take_over(socket_path):
    """Where no server has been, the successor is told so by the kernel's own error."""
    with pytest.raises(FileNotFoundError, match=socket_path):
        Server.take_over(socket_path)


def test_endless_request_is_cut_off(socket_path):
    """A client whose request has no end is closed, so that what moves with a connection has a limit."""
    with first_server(socket_path, 1) as (_, (conn,)), pytest.raises((ConnectionResetError, BrokenPipeError)):
        conn.sendall(b"x" * 10_000_000)
