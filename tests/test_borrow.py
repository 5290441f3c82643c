"""borrow: working on a descriptor that belongs to somebody else.

Rule: a loan never closes, warns of nothing, and ends without the owner noticing.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import support

from uds_cffi import FeatureUnavailable, OwnedFd, UnixDatagram, UnixListener, UnixStream


@pytest.fixture
def owners() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make a pair that the standard library owns."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, two:
        yield one, two


@pytest.mark.parametrize("form", [lambda owner: owner, lambda owner: owner.fileno()], ids=["object", "number"])
def test_borrowed_socket_works(owners: tuple[socket.socket, socket.socket], form: Any) -> None:
    """A borrowed socket does what the type does, on the owner's number, and closing it closes nothing."""
    one, two = owners
    with UnixStream.borrow(form(one)) as borrowed:
        assert borrowed.fileno() == one.fileno()
        borrowed.sendall(b"hello")
        assert two.recv(9) == b"hello"
        assert f"fd={one.fileno()} borrowed " in repr(borrowed)
    assert borrowed.closed
    assert repr(borrowed) == "<UnixStream closed>"
    with pytest.raises(OSError, match="Bad file descriptor"):
        borrowed.send(b"x")
    one.sendall(b"open")
    assert two.recv(9) == b"open"


def test_loan_that_is_forgotten(owners: tuple[socket.socket, socket.socket]) -> None:
    """A loan that is collected without close() warns of nothing, and closes nothing."""
    one, two = owners
    UnixStream.borrow(one).sendall(b"x")
    gc.collect()
    gc.collect()
    one.sendall(b"y")
    assert two.recv(9) == b"xy"


def test_owner_lives_as_long_as_the_loan() -> None:
    """The result keeps the owner alive, which would close the number when collected."""
    one, two = UnixStream.pair()
    with two:
        borrowed = UnixStream.borrow(one)
        owner = weakref.ref(one)
        del one
        gc.collect()
        gc.collect()
        borrowed.sendall(b"alive")
        assert two.recv(9) == b"alive"
        alive = owner()
        assert alive is not None
        alive.close()


def test_every_object_with_a_fileno(owners: tuple[socket.socket, socket.socket]) -> None:
    """Anything whose fileno() gives an int can be borrowed from, objects of this library too."""
    one, two = owners
    with UnixStream.from_fd(os.dup(one.fileno())) as stream, OwnedFd(os.dup(one.fileno())) as owned:
        for lender in (stream, owned, one.makefile("rb")):
            with UnixStream.borrow(lender) as borrowed:
                borrowed.sendall(b"x")
                assert two.recv(1) == b"x"


@pytest.mark.parametrize("lender", ["3", None, True, 3.0, b"", object(), socket])
def test_what_nothing_can_be_borrowed_from(lender: Any) -> None:
    """What is neither an int nor has a fileno() is TypeError."""
    with pytest.raises(TypeError, match="fileno"):
        UnixStream.borrow(lender)


def test_object_whose_fileno_is_no_int() -> None:
    """A fileno() that gives something else is TypeError."""

    class Strange:
        def fileno(self) -> str:
            return "3"

    with pytest.raises(TypeError, match="Strange"):
        UnixStream.borrow(Strange())


def test_closed_object() -> None:
    """A closed lender is OSError (EBADF)."""
    lender = socket.socket(socket.AF_UNIX)
    lender.close()
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        UnixStream.borrow(lender)
    assert caught.value.errno == errno.EBADF


def test_socket_of_another_type(owners: tuple[socket.socket, socket.socket], socket_path: str) -> None:
    """Domain, type and listening state are checked, as in from_fd()."""
    with pytest.raises(ValueError, match="type"):
        UnixDatagram.borrow(owners[0])
    with pytest.raises(ValueError, match="not listening"):
        UnixListener.borrow(owners[0])
    with UnixListener.bind(socket_path) as listener, pytest.raises(ValueError, match="is listening"):
        UnixStream.borrow(listener)
    with socket.socket(socket.AF_INET) as foreign, pytest.raises(ValueError, match="AF_UNIX"):
        UnixStream.borrow(foreign)
    with support.raises_errno(errno.ENOTSOCK):
        UnixStream.borrow(0)


def test_mode_is_the_owners(owners: tuple[socket.socket, socket.socket]) -> None:
    """A nonblocking owner makes a nonblocking loan; timeouts of the loan are its own."""
    one, _ = owners
    one.setblocking(False)
    with UnixStream.borrow(one) as borrowed:
        assert borrowed.is_nonblocking()
        with pytest.raises(BlockingIOError):
            borrowed.recv(1)
    one.setblocking(True)
    with UnixStream.borrow(one) as borrowed:
        borrowed.set_read_timeout(0.01)
        with pytest.raises(TimeoutError):
            borrowed.recv(1)
    assert one.gettimeout() is None


def test_clone_of_a_loan_is_owned(owners: tuple[socket.socket, socket.socket]) -> None:
    """A clone of a loan has a number of its own, which it closes."""
    one, _ = owners
    with UnixStream.borrow(one) as borrowed, borrowed.try_clone() as clone:
        assert clone.fileno() != one.fileno()
        assert "borrowed" not in repr(clone)
        number = clone.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def ask_asyncio(path: str, question: Any) -> list[Any]:
    """Let an asyncio server ask something about each of its clients, as a program would."""
    answers: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers.append(question(UnixStream.borrow(writer.get_extra_info("socket"))))
        except Exception as error:
            answers.append(error)
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_unix_server(serve, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"still connected\n")
        answers.append(await asyncio.wait_for(reader.readline(), support.PATIENCE))
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    asyncio.run(main())
    assert threading.active_count() == 1
    return answers


@support.needs("peer_credentials")
def test_asyncio_server_asks_who_is_there(socket_path: str) -> None:
    """An asyncio server learns its client's credentials from a borrowed socket, which disturbs nothing."""
    credentials, answer = ask_asyncio(socket_path, lambda borrowed: borrowed.peer_credentials())
    assert (credentials.pid, credentials.euid, credentials.egid) == (os.getpid(), os.geteuid(), os.getegid())
    assert answer == b"still connected\n"


@support.lacks("peer_credentials")
def test_asyncio_server_asks_where_nobody_knows(socket_path: str) -> None:
    """Without the feature the borrowed socket says so, and the server goes on."""
    problem, *_ = ask_asyncio(socket_path, lambda borrowed: borrowed.peer_credentials())
    assert isinstance(problem, FeatureUnavailable)
    assert problem.feature == "peer_credentials"


def test_borrowed_socket_cannot_be_given_away(owners: tuple[socket.socket, socket.socket]) -> None:
    """detach() of a loan is a ValueError that says whose the number is, and the owner keeps it."""
    with UnixStream.borrow(owners[0]) as borrowed:
        with pytest.raises(ValueError, match="belongs to somebody else"):
            borrowed.detach()
        assert borrowed.fileno() == owners[0].fileno()
