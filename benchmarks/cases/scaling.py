"""One thread serves more and more open connections: what a message costs must not grow with them.

A client asks, the poller names its connection, the server answers, and then it is the next client's turn, round and
round.  All ways use the same connections.
"""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack
from functools import partial
from typing import Any

import uds_cffi

from .. import floor
from ..limits import allow_descriptors
from ..measure import WrongResult
from ..operation import FLOOR, OURS, SCALING, STDLIB, Operation, Trial, Way, of_its_own, register
from .pairs import payload

ROOM = 4096


def _prepare(stack: ExitStack, connections: int) -> Trial:
    count = allow_descriptors(stack, 2 * connections) // 2
    notes = [] if count == connections else [f"only {count} connections: RLIMIT_NOFILE allows no more"]
    poller = stack.enter_context(select.epoll(count))
    data = payload(64)
    clients: list[Any] = []
    served: dict[int, Any] = {}
    for _ in range(count):
        one, two = uds_cffi.UnixStream.pair()
        stack.callback(one.close)
        stack.callback(two.close)
        clients.append(one)
        served[two.fileno()] = two
        poller.register(two.fileno(), select.EPOLLIN)
    made = floor.load()
    numbers = made.ffi.new("int[]", [client.fileno() for client in clients])
    into = made.ffi.new("char[]", ROOM)

    def serving(clients: list[Any], served: dict[int, Any]) -> Way:
        turn = 0

        def serve(rounds: int) -> bytes:
            nonlocal turn
            got = b""
            for place in range(turn, turn + rounds):
                client = clients[place % count]
                client.send(data)
                for number, _ in poller.poll():
                    end = served[number]
                    end.send(end.recv(ROOM))
                got = client.recv(ROOM)
            turn = (turn + rounds) % count
            return got

        return of_its_own(serve)

    turn_in_c = 0

    def in_c(rounds: int) -> bytes:
        nonlocal turn_in_c
        got = floor.check(
            made.lib.floor_serve(poller.fileno(), numbers, count, turn_in_c, data, len(data), into, ROOM, rounds)
        )
        turn_in_c = (turn_in_c + rounds) % count
        return bytes(made.ffi.buffer(into, got))

    def borrowed(number: int) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=number)
        stack.callback(made.detach)
        return made

    others = [borrowed(client.fileno()) for client in clients]
    other_served = {number: borrowed(number) for number in served}
    ways: dict[str, Way] = {OURS: serving(clients, served), STDLIB: serving(others, other_served), FLOOR: in_c}

    def verify() -> None:
        # The first message on each connection is another matter: whatever a socket makes then, it keeps.
        for name, way in ways.items():
            if way(count) != data:
                raise WrongResult(f"{name}: a connection did not answer")

    return Trial(ways, data, verify, notes)


def _missing() -> str | None:
    return None if hasattr(select, "epoll") else "this system has no epoll"


for _connections in (1, 10, 100, 1000, 10000):
    register(
        Operation(
            f"{_connections} connection{'s' * (_connections > 1)}",
            SCALING,
            partial(_prepare, connections=_connections),
            _missing,
        )
    )
