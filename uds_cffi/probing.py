"""What a probe is made of: a connected pair of its own, and an answer that is one of few.

Rule: a probe does the thing, on sockets of its own, and looks at what came of it.  It returns "" when that worked, else
the reason why it did not, and it leaves nothing open.  It raises only when this process can open no more descriptors,
because then it has learnt nothing.
"""

from __future__ import annotations

import errno

from . import calls
from ._lib import ffi, lib
from .metadata import DECODERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

KERNEL = "kernel"
NOT_PERMITTED = "not permitted"


class Pair:
    """Two connected sockets that are closed on exit; nothing here blocks."""

    __slots__ = ("one", "two", "fds", "pidfd")

    def __init__(self) -> None:
        self.one = calls.new_handle()
        self.two = calls.new_handle()
        self.fds = calls.new_fds()
        self.pidfd = calls.new_handle()

    def close(self) -> None:
        """Close both, and what was received."""
        calls.close(self.one)
        calls.close(self.two)
        calls.close(self.pidfd)
        calls.fds_close(self.fds, 0)

    def __del__(self) -> None:
        self.close()

    def receive(self) -> list[tuple[int, int, bytes]]:
        """Receive one message at the second socket and return its control messages."""
        receiver = ffi.new("struct uds_receiver *")
        data = ffi.new("char[]", 16)
        control = ffi.new("char[]", 256)
        receiver.handle, receiver.data, receiver.size = self.two, data, 16
        receiver.control, receiver.control_size = control, 256
        receiver.fds, receiver.most = self.fds, calls.SCM_MAX_FD
        receiver.pidfd = self.pidfd
        receiver.flags = calls.MSG_DONTWAIT
        if lib.uds_receive_message(receiver) < 0:
            return []
        found = []
        item = ffi.new("struct uds_control_item *")
        while lib.uds_control_next(control, receiver.control_length, item):
            found.append((item.level, item.type, bytes(ffi.buffer(control + item.offset, item.size))))
        return found

    def receive_values(self) -> list[object]:
        """Receive one message and return what the kernel added to it, as values."""
        values = []
        for level, kind, data in self.receive():
            decoder = DECODERS.get((level, kind))
            value = None if decoder is None else decoder(data)
            if value is not None:
                values.append(value)
        return values

    def send(self, data: bytes, fds: list[int] | None = None) -> int:
        """Send from the first socket: how many bytes went, or -errno."""
        numbers = fds or []
        result = lib.uds_handle_send_fds(
            self.one, data, len(data), calls.MSG_DONTWAIT, ffi.NULL, 0, numbers, ffi.NULL, len(numbers)
        )
        return int(result)

    def set(self, name: int, value: int, level: int = lib.SOL_SOCKET) -> bool:
        """Set an option of the second socket, and return whether the kernel took it."""
        return calls.setsockopt_int_or_code(self.two, level, name, value) == 0


def made(result: int) -> bool:
    """Whether a call has made a descriptor; raises when this process may open no more."""
    if result in (-errno.EMFILE, -errno.ENFILE):
        calls.check(result)
    return result >= 0


def probe(kind: int) -> Callable[[Callable[[Pair], object]], Callable[[], str]]:
    """Turn a function of a connected pair into a probe."""

    def decorate(function: Callable[[Pair], object]) -> Callable[[], str]:
        def probed() -> str:
            pair = Pair()
            try:
                opened = calls.open_pair(pair.one, pair.two, kind, 1)
                if opened in (-errno.EMFILE, -errno.ENFILE):
                    calls.check(opened)
                if opened < 0:
                    return KERNEL
                result = function(pair)
                return result if isinstance(result, str) else "" if result else KERNEL
            finally:
                pair.close()

        probed.__name__ = function.__name__
        probed.__doc__ = function.__doc__
        return probed

    return decorate
