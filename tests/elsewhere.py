"""Servers of several libraries at a path, all with one interface: what the table in docs/socket-files.md compares.

Each listens once it is made, as its library's documentation shows, and is never made to run: clients wait in its
backlog. They are made in processes of their own, because some keep threads.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import socketserver
from typing import Any, ClassVar

import anyio
import anyio.abc

from uds_cffi import UnixDatagram, UnixListener, calls, places, publish


class Server:
    """What they have in common: none is closed before its process ends unless a test closes it."""

    made: ClassVar[list[Server]] = []
    # What calls bind(2) and listen(2), for a test that looks at the file at that moment.
    binder: ClassVar[Any] = socket.socket
    starter: ClassVar[Any] = socket.socket

    def __new__(cls, *arguments: object, **keywords: object) -> Server:
        self = super().__new__(cls)
        cls.made.append(self)
        return self

    def rename(self, old: str, new: str) -> None:
        """Give the server's file another name."""
        os.rename(old, new)


class Asyncio(Server):
    """`asyncio.start_unix_server`."""

    # It has no argument for the mode.
    has_mode = False

    def __init__(self, path: str | None, mode: int | None = None, sock: socket.socket | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._start(path, sock))

    async def _start(self, path: str | None, sock: socket.socket | None) -> Any:
        return await asyncio.start_unix_server(lambda reader, writer: None, path, sock=sock)

    @classmethod
    def adopt(cls, sock: socket.socket) -> Asyncio:
        return cls(None, sock=sock)

    def close(self) -> None:
        self._server.close()
        self._loop.run_until_complete(self._server.wait_closed())

    @staticmethod
    def datagram(path: str, mode: int) -> Any:
        loop = asyncio.new_event_loop()
        making = loop.create_datagram_endpoint(asyncio.DatagramProtocol, path, family=socket.AF_UNIX)
        return loop.run_until_complete(making)


class Anyio(Server):
    """`anyio.create_unix_listener`, on asyncio."""

    has_mode = True

    def __init__(self, path: str, mode: int | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._listener = self._loop.run_until_complete(anyio.create_unix_listener(path, mode=mode))

    @classmethod
    def adopt(cls, sock: socket.socket) -> Anyio:
        self = cls.__new__(cls)
        self._loop = asyncio.new_event_loop()
        self._listener = self._loop.run_until_complete(anyio.abc.SocketListener.from_socket(sock))
        return self

    def close(self) -> None:
        self._loop.run_until_complete(self._listener.aclose())

    @staticmethod
    def datagram(path: str, mode: int) -> Any:
        loop = asyncio.new_event_loop()
        making = anyio.create_unix_datagram_socket(local_path=path, local_mode=mode)
        return loop.run_until_complete(making)


class Socketserver(Server):
    """`socketserver.UnixStreamServer`."""

    # It has no argument for the mode.
    has_mode = False

    def __init__(self, path: str, mode: int | None = None) -> None:
        self._server = socketserver.UnixStreamServer(path, socketserver.BaseRequestHandler)

    @classmethod
    def adopt(cls, sock: socket.socket) -> Socketserver:
        self = cls.__new__(cls)
        self._server = socketserver.UnixStreamServer("", socketserver.BaseRequestHandler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = sock
        return self

    def close(self) -> None:
        self._server.server_close()

    @staticmethod
    def datagram(path: str, mode: int) -> Any:
        return socketserver.UnixDatagramServer(path, socketserver.BaseRequestHandler)


class Uds(Server):
    """This library, asked to do what the others do unasked."""

    has_mode = True
    binder = places.Place
    starter = calls

    def __init__(self, path: str, mode: int | None = None) -> None:
        self._listener = UnixListener.bind(path, mode=mode, replace_stale=True, unlink_on_close=True)

    @classmethod
    def adopt(cls, sock: socket.socket) -> Uds:
        self = cls.__new__(cls)
        self._listener = UnixListener.from_stdlib(sock)
        return self

    def rename(self, old: str, new: str) -> None:
        publish(self._listener, new)

    def close(self) -> None:
        self._listener.close()

    @staticmethod
    def datagram(path: str, mode: int) -> Any:
        return UnixDatagram.bind(path, mode=mode)


# asyncio of 3.13 and newer removes files, and is a column of its own.
_cleans = "cleanup_socket" in inspect.signature(asyncio.AbstractEventLoop.create_unix_server).parameters or (
    "cleanup_socket" in inspect.signature(asyncio.SelectorEventLoop.create_unix_server).parameters
)

# By the heads of their columns.
LIBRARIES: dict[str, Any] = {
    "asyncio of Python 3.13" if _cleans else "asyncio before": Asyncio,
    "anyio": Anyio,
    "socketserver": Socketserver,
    "uds_cffi": Uds,
}
