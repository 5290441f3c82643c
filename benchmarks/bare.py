"""Operations as bare calls through cffi: numbers instead of owners, no method around a call, no look at an error.

That is what any library that calls C through cffi can reach.  What the objects and the rules of this one add is the
distance to it, and what cffi itself costs is its distance to the floor.  Each way uses the cheapest form of call that
is known for it.
"""

from __future__ import annotations

import struct
from typing import Any

from uds_cffi import UnixSocketAddr, ffi, lib
from uds_cffi.vectors import scatter

from .operation import Way

_CLOEXEC = max(lib.SOCK_CLOEXEC, 0)


def _preset(number: int, room: int, control: int = 0) -> tuple[Any, Any, Any, Any]:
    """Make a receive of one argument: it, its bytes, its control messages, and what must be kept alive."""
    handle = ffi.new("struct uds_handle *")
    assert lib.uds_handle_adopt(handle, number, 1) == 0
    receiver = ffi.new("struct uds_receiver *")
    data = ffi.new("char[]", room)
    messages = ffi.new("char[]", max(control, 1))
    receiver.handle, receiver.data, receiver.size = handle, data, room
    receiver.control, receiver.control_size = messages, control
    return receiver, ffi.buffer(data), ffi.buffer(messages), (handle, data, messages)


def send_recv(from_: int, to: int, data: bytes, room: int) -> Way:
    """Send bytes, and receive them as bytes."""
    receiver, view, _, keep = _preset(to, room)
    send, receive, size, flags = lib.uds_send, lib.uds_receive, len(data), lib.MSG_NOSIGNAL

    def bare(rounds: int, keep: Any = keep) -> bytes:
        got = b""
        for _ in range(rounds):
            send(from_, data, size, flags)
            got = view[: receive(receiver)]
        return got

    return bare


def recv_into(from_: int, to: int, data: bytearray, buffer: bytearray) -> Way:
    """Send from a buffer and receive into another, which are exported for each call."""
    send, recv, export, size, flags = lib.uds_send, lib.uds_recv, ffi.from_buffer, len(data), lib.MSG_NOSIGNAL

    def bare(rounds: int) -> bytes:
        buffer[:1] = b"\0"
        for _ in range(rounds):
            send(from_, export(data), size, flags)
            recv(to, export(buffer), size, 0)
        return bytes(buffer)

    return bare


def vectored(from_: int, to: int, parts: list[bytes], buffers: list[bytearray]) -> Way:
    """Send several buffers as one and fill several: small ones by copies, others through an iovec made of exports."""
    small = sum(map(len, parts)) <= 4096
    receiver, view, _, keep = _preset(to, sum(map(len, parts)))
    send, receive, flags = lib.uds_send, lib.uds_receive, lib.MSG_NOSIGNAL
    fill, recvmsg, export, count, null = lib.uds_iov_fill, lib.uds_recvmsg, ffi.from_buffer, len(parts), ffi.NULL
    sizes = [len(buffer) for buffer in buffers]
    iov = ffi.new("struct iovec[]", count)
    message = ffi.new("struct msghdr *", {"msg_iov": iov, "msg_iovlen": count, "msg_control": null})

    def bare(rounds: int, keep: Any = keep) -> bytes:
        for _ in range(rounds):
            data = b"".join(parts)
            send(from_, data, len(data), flags)
            if small:
                scatter(view[: receive(receiver)], buffers)
            else:
                exports = [export(buffer) for buffer in buffers]
                fill(iov, exports, sizes, count)
                recvmsg(to, message, 0)
                del exports
        got = b"".join(buffers)
        for buffer in buffers:
            buffer[:1] = b"\0"
        return got

    return bare


def credentials(from_: int, to: int, data: bytes, room: int) -> Way:
    """Receive bytes and the sender's pid, which is read where the first control message has it."""
    space = lib.CMSG_SPACE(ffi.sizeof("struct ucred"))
    receiver, view, messages, keep = _preset(to, room, space)
    send, receive, size, flags = lib.uds_send, lib.uds_receive_packed, len(data), lib.MSG_NOSIGNAL
    unpack = struct.Struct("iII").unpack_from
    offset = lib.CMSG_LEN(0)

    def bare(rounds: int, keep: Any = keep) -> tuple[bytes, int]:
        got, pid = b"", 0
        for _ in range(rounds):
            send(from_, data, size, flags)
            got = view[: receive(receiver)]
            pid, _, _ = unpack(messages, offset)
        return got, pid

    return bare


def socketpair(kind: int) -> Way:
    """Make two sockets and close them."""
    numbers = ffi.new("int[2]")
    kind |= _CLOEXEC
    make, close, domain = lib.uds_socketpair, lib.uds_close, lib.AF_UNIX

    def bare(rounds: int) -> None:
        for _ in range(rounds):
            make(domain, kind, 0, numbers)
            close(numbers[0])
            close(numbers[1])

    return bare


def connect_accept(kind: int, listener: int, path: str) -> Way:
    """Make a socket, connect it, accept it, and close both; the address was made before."""
    sockaddr, length = UnixSocketAddr(path).as_raw()
    domain, flags = lib.AF_UNIX, _CLOEXEC
    kind |= _CLOEXEC
    make, connect, accept, close, null = lib.uds_socket, lib.uds_connect, lib.uds_accept4, lib.uds_close, ffi.NULL

    def bare(rounds: int) -> None:
        for _ in range(rounds):
            client = make(domain, kind, 0)
            connect(client, sockaddr, length)
            close(accept(listener, null, null, flags))
            close(client)

    return bare
