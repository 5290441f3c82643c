"""Descriptors that do not get through: too many, without a byte, at a receiver that may open no more, unwanted.

Rules: what cannot be delivered is closed and reported, with what did arrive.  A short send has sent its descriptors,
and nothing sends them again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from typing import Any

import passing
import pytest
import support

from uds_cffi import (
    MSG_DONTWAIT,
    AncillaryTruncated,
    OwnedFd,
    SocketAncillary,
    UnixStream,
)

MOST = 253


# --- More than was asked for --------------------------------------------------------------------


@pytest.mark.parametrize("max_fds", [0, 1, 3])
@pytest.mark.parametrize("method", ["recv_fds", "try_recv_fds"])
def test_surplus_is_closed_and_reported(pair: tuple[Any, Any], files: list[int], max_fds: int, method: str) -> None:
    """Beyond max_fds descriptors are closed; the error has the data, those that were kept, and how many were lost."""
    one, two = pair
    originals = [*files, *files]
    one.send_fds(b"data", originals)
    with pytest.raises(AncillaryTruncated) as caught:
        getattr(two, method)(100, max_fds)
    error = caught.value
    with error.fds as fds:
        assert (error.data, error.lost, error.errno) == (b"data", 4 - max_fds, errno.EMSGSIZE)
        assert passing.same(fds, originals[:max_fds])
        assert isinstance(error, OSError)


def test_socket_works_after_a_surplus(pair: tuple[Any, Any], files: list[int]) -> None:
    """The next receive starts with empty hands."""
    one, two = pair
    one.send_fds(b"data", files)
    with pytest.raises(AncillaryTruncated):
        two.recv_fds(100, 0)
    one.send_fds(b"more", files)
    data, fds = passing.receive(two, 100, 2)
    with fds:
        assert data == b"more"
        assert passing.same(fds, files)


# --- Without a byte -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["send_fds", "try_send_fds", "sendall_fds"])
def test_stream_needs_a_byte(stream: tuple[UnixStream, UnixStream], files: list[int], method: str) -> None:
    """Descriptors without a byte would be dropped by the kernel on a stream: a ValueError, and nothing was sent."""
    one, two = stream
    with pytest.raises(ValueError, match="at least one byte"):
        getattr(one, method)(b"", files)
    assert two.try_recv(1) is None


def test_stream_sends_nothing_at_all(stream: tuple[UnixStream, UnixStream]) -> None:
    """No bytes and no descriptors are no error: nothing goes."""
    one, two = stream
    assert one.send_fds(b"", []) == 0
    one.sendall_fds(b"", [])
    assert two.try_recv(1) is None


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_empty_packet_carries_descriptors(kind: Any, files: list[int]) -> None:
    """An empty packet is a packet, and brings its descriptors."""
    one, two = kind.pair()
    with one, two:
        assert one.send_fds(b"", files) == 0
        data, fds = passing.receive(two, 100, 2)
        with fds:
            assert data == b""
            assert passing.same(fds, files)


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_truncated_packet_still_brings_descriptors(kind: Any, files: list[int]) -> None:
    """A packet that was cut says so, and its descriptors arrive."""
    one, two = kind.pair()
    with one, two:
        one.send_fds(b"data", files)
        with two.recv_fds(3, 2)[2] as fds:
            assert passing.same(fds, files)
        one.send_fds(b"data", files)
        data, truncated, fds = two.recv_fds(0, 2)
        with fds:
            assert (data, truncated) == (b"", True)
            assert passing.same(fds, files)


# --- Short sends --------------------------------------------------------------------------------

LONG = bytes(range(256)) * 4096


def receive_all(sock: UnixStream, size: int) -> tuple[bytes, list[int]]:
    """Receive that many bytes, and close the descriptors that come with them: how many in each receive."""
    pieces, counts = [], []
    while size:
        data, fds = sock.recv_fds(min(size, 65536), MOST)
        pieces.append(data)
        counts.append(len(fds))
        fds.close()
        size -= len(data)
    return b"".join(pieces), counts


@pytest.mark.parametrize("how", ["nonblocking", "MSG_DONTWAIT", "try", "timeout"])
def test_short_send_has_sent_its_descriptors(files: list[int], how: str) -> None:
    """When only a part of the bytes goes, the descriptors have gone, once; the rest is sent without them."""
    one, two = UnixStream.pair(nonblocking=how == "nonblocking", options={"send_buffer": 16384})
    with one, two:
        if how == "timeout":
            one.set_write_timeout(10)
        if how == "try":
            sent = one.try_send_fds(LONG, files)
        else:
            sent = one.send_fds(LONG, files, MSG_DONTWAIT if how == "MSG_DONTWAIT" else 0)
        assert sent is not None
        assert 0 < sent < len(LONG)
        data, counts = receive_all(two, sent)
        assert data == LONG[:sent]
        assert counts[0] == 2
        assert not any(counts[1:])


@pytest.mark.parametrize("timeout", [None, 20])
def test_sendall_fds_sends_them_once(files: list[int], timeout: float | None) -> None:
    """sendall_fds() sends every byte, and the descriptors with the first of them alone."""
    one, two = UnixStream.pair(options={"send_buffer": 16384})
    with one, two:
        one.set_write_timeout(timeout)
        with support.in_thread(receive_all, two, len(LONG)) as received:
            one.sendall_fds(LONG, files)
        data, counts = received[0]
        assert data == LONG
        assert len(counts) > 1
        assert counts[0] == 2
        assert not any(counts[1:])


def test_sendall_fds_says_how_far_it_got(files: list[int]) -> None:
    """When the time is over, .sent is what went: the descriptors have gone unless it is 0."""
    one, two = UnixStream.pair(options={"send_buffer": 16384})
    with one, two:
        one.set_write_timeout(0.02)
        with pytest.raises(TimeoutError) as caught:
            one.sendall_fds(LONG, files)
        sent: int = caught.value.sent  # type: ignore[attr-defined]
        assert sent > 0
        with pytest.raises(TimeoutError) as caught:
            one.sendall_fds(LONG, files)
        assert caught.value.sent == 0  # type: ignore[attr-defined]
        data, counts = receive_all(two, sent)
        assert data == LONG[:sent]
        assert sum(counts) == 2


def test_try_send_fds_to_a_full_queue_sends_nothing(pair: tuple[Any, Any], files: list[int]) -> None:
    """try_send_fds() is None when the queue is full, and then no descriptor went."""
    one, two = pair
    one.options.send_buffer = 4096
    sent = 0
    while one.try_send(b"x" * 100):
        sent += 1
    assert sent > 0
    assert one.try_send_fds(b"y", files) is None
    while (result := two.try_recv_fds(100, 2)) is not None:
        assert len(result[-1]) == 0
        assert b"y" not in result[0]


# --- A receiver that may open no more -----------------------------------------------------------


@contextlib.contextmanager
def room_for(count: int) -> Iterator[None]:
    """Let this process, which must be a child, open so many descriptors and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        full = []
        with contextlib.suppress(OSError):
            while True:
                full.append(os.dup(0))
        for number in full[:count]:
            os.close(number)
        yield
    finally:
        # What reports a failure opens files.
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("room", [0, 3])
def test_receiver_at_its_limit_is_told(pair: tuple[Any, Any], files: list[int], room: int) -> None:
    """With RLIMIT_NOFILE reached, the error has the data and what did arrive; the kernel does not say what it lost."""
    one, two = pair

    def child() -> None:
        with room_for(room):
            one.send_fds(b"data", [*files, *files, *files])
            with pytest.raises(AncillaryTruncated) as caught:
                two.recv_fds(100, MOST)
        assert caught.value.data == b"data"
        assert caught.value.lost is None
        assert passing.same(caught.value.fds, [*files, *files][:room])

    support.run_child(child)


def test_ancillary_at_the_limit_is_truncated(pair: tuple[Any, Any], files: list[int]) -> None:
    """recv_ancillary() reports it as truncated, with what did arrive."""
    one, two = pair

    def child() -> None:
        ancillary = SocketAncillary.with_room_for(fds=MOST)
        with room_for(1):
            one.send_fds(b"data", files)
            received = two.recv_ancillary(100, ancillary)
        assert received.data == b"data"
        assert received.ancillary_truncated
        assert ancillary.truncated
        (rights,) = ancillary.messages()
        assert passing.same(rights.fds, files[:1])

    support.run_child(child)


def test_duplicating_at_the_limit_is_refused(files: list[int]) -> None:
    """A duplicate that cannot be made is EMFILE, and the original stays."""

    def child() -> None:
        owner = OwnedFd(files[0])
        with room_for(0), pytest.raises(OSError, match=rf"\[Errno {errno.EMFILE}\]"):
            owner.dup()
        assert owner.kind() == "file"

    support.run_child(child)


# --- A receiver that wants none -----------------------------------------------------------------


@support.needs("pass_rights")
def test_receiver_that_refuses_descriptors(pair: tuple[Any, Any], files: list[int]) -> None:
    """With pass_rights off the sender gets PermissionError and nothing is queued; bytes alone go through."""
    one, two = pair
    two.options.pass_rights = False
    with pytest.raises(PermissionError):
        one.send_fds(b"x", files)
    assert two.try_recv(1) is None
    one.send(b"y")
    data, fds = passing.receive(two, 1, 1)
    assert (data, len(fds)) == (b"y", 0)
