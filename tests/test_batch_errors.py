"""What a batch refuses, and the errors that it meets.

Rule: bad input sends nothing and receives nothing; an error behind a packet leaves that packet where it went.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
import support

import uds_cffi
from uds_cffi import MSG_PEEK, AddressError, UnixDatagram, UnixStream


def test_error_behind_a_sent_packet_meets_the_next_call(packet_pair: tuple[Any, Any]) -> None:
    """A packet that is too large ends the batch before it, and is an error when it is the first."""
    one, two = packet_pair
    limit = one.options.send_buffer
    packets = [b"a", b"b", b"x" * (limit + 1), b"c"]
    assert one.send_batch(packets) == 2
    for beside in ({}, {"fds": [None, None]}):
        with support.raises_errno(errno.EMSGSIZE):
            one.send_batch(packets[2:], **beside)
    assert two.recv_batch(5, 5).data == [b"a", b"b"]
    two.close()
    with pytest.raises(ConnectionError):
        one.send_batch([b"a", b"b"])


def test_addresses_of_a_batch(short_dir: str) -> None:
    """Each packet goes to its address; one that nobody has ends the batch before it."""
    names = [f"{short_dir}/{name}" for name in "abc"]
    with UnixDatagram.bind(names[0]) as a, UnixDatagram.bind(names[1]) as b, UnixDatagram.unbound() as sender:
        order = [names[0], names[1], names[0]]
        assert sender.send_batch_to([b"1", b"2", b"3"], order) == 3
        assert a.recv_batch(5, 5).data == [b"1", b"3"]
        assert b.recv_batch(5, 5).data == [b"2"]
        assert sender.send_batch_to([b"1", b"2"], (names[1], names[2])) == 1
        with pytest.raises(FileNotFoundError) as caught:
            sender.send_batch_to([b"2", b"3"], [names[2], names[0]])
        assert caught.value.filename == names[2]
        assert b.recv_batch(5, 5).data == [b"1"]
        with pytest.raises(ValueError, match="2 addresses for 3 packets"):
            sender.send_batch_to([b"1", b"2", b"3"], names[:2])
        with pytest.raises(AddressError, match="unnamed"):
            sender.send_batch_to([b"1", b"2"], [names[0], ""])
        assert a.try_recv(1) is None


@pytest.mark.parametrize(
    ("packets", "kind", "text"),
    [
        (b"abc", TypeError, "an iterable of buffers is needed, not bytes"),
        ("abc", TypeError, "an iterable of buffers is needed, not str"),
        (5, TypeError, "an iterable of buffers is needed, not int"),
        ([b"a", "b"], TypeError, "packet 1 is str"),
        ([b"a", 1], TypeError, "packet 1 is int"),
        ([b"a", None], TypeError, "packet 1 is NoneType"),
        ([b"a", memoryview(b"abcdef")[::2]], BufferError, "packet 1 is memoryview: the data is not contiguous"),
    ],
)
def test_bad_packets_send_nothing(packet_pair: tuple[Any, Any], packets: Any, kind: Any, text: str) -> None:
    """Something that is no packet is refused with its place, and the packets before it do not go."""
    one, two = packet_pair
    with pytest.raises(kind, match=text):
        one.send_batch(packets)
    assert two.try_recv(1) is None


@pytest.mark.parametrize(
    ("beside", "kind", "text"),
    [
        ({"fds": 3}, TypeError, "fds is a sequence as long as packets, not int"),
        ({"fds": iter([None, None])}, TypeError, "fds is a sequence"),
        ({"fds": [None]}, ValueError, "1 items of fds for 2 packets"),
        ({"fds": [None, 0]}, TypeError, "an iterable of descriptors is needed, not int"),
        ({"fds": [[0], ["a"]]}, TypeError, "descriptor 0 is str"),
        ({"fds": [[0], [-1]]}, ValueError, "a descriptor is not negative"),
        ({"fds": [[0], [0] * 254]}, ValueError, "254 descriptors are more than the 253"),
        ({"credentials": b"ab"}, TypeError, "credentials is a sequence as long as packets, not bytes"),
        ({"credentials": [None]}, ValueError, "1 items of credentials for 2 packets"),
        ({"credentials": [None, 1]}, TypeError, "credentials 1 is a Credentials or None, not int"),
        ({"flags": uds_cffi.MSG_PEEK}, ValueError, "are not for this call"),
    ],
)
def test_bad_arguments_send_nothing(packet_pair: tuple[Any, Any], beside: Any, kind: Any, text: str) -> None:
    """Whatever is refused is refused before the first packet goes."""
    one, two = packet_pair
    with pytest.raises(kind, match=text):
        one.send_batch([b"a", b"b"], **beside)
    assert two.try_recv(1) is None


@pytest.mark.parametrize(
    ("arguments", "keywords", "kind", "text"),
    [
        ((0, 1), {}, ValueError, "a batch is of 1 to 1024 packets, not 0"),
        ((1025, 1), {}, ValueError, "a batch is of 1 to 1024 packets, not 1025"),
        (("1", 1), {}, TypeError, "a number of packets is an int, not str"),
        ((True, 1), {}, TypeError, "a number of packets is an int, not bool"),
        ((1, -1), {}, ValueError, "cannot be negative"),
        ((1, 2**40), {}, ValueError, "above the"),
        ((1, None), {}, TypeError, "a size in bytes is an int, not NoneType"),
        ((1, 1, MSG_PEEK), {}, ValueError, "MSG_PEEK is not for a batch"),
        ((1, 1, uds_cffi.MSG_WAITALL), {}, ValueError, "are not for this call"),
        ((1, 1, "x"), {}, TypeError, "flags is an int"),
        ((1, 1), {"max_fds": -1}, ValueError, "max_fds -1 is not within 0 to 253"),
        ((1, 1), {"max_fds": 254}, ValueError, "max_fds 254"),
        ((1, 1), {"max_fds": None}, TypeError, "max_fds is an int"),
    ],
)
def test_bad_arguments_receive_nothing(
    packet_pair: tuple[Any, Any], arguments: Any, keywords: Any, kind: Any, text: str
) -> None:
    """Bad arguments are refused, and a packet that waits stays."""
    one, two = packet_pair
    one.send(b"a")
    with pytest.raises(kind, match=text):
        two.recv_batch(*arguments, **keywords)
    assert two.recv_batch(1, 1).data == [b"a"]


def test_stream_refuses_and_says_why() -> None:
    """A stream has no packets, and names what has, and what does the same for it."""
    one, two = UnixStream.pair()
    with one, two:
        for call in (lambda: one.send_batch([b"a"]), lambda: two.recv_batch(1, 1, max_fds=1)):
            with pytest.raises(TypeError, match=r"a stream has no packets.*UnixSeqpacketConn.*FramedStream"):
                call()


def test_closed_socket(packet_pair: tuple[Any, Any]) -> None:
    """A closed socket is EBADF in each way of batching, and nothing is kept of it."""
    one, _ = packet_pair
    one.close()
    calls = [
        lambda: one.send_batch([b"a"]),
        lambda: one.send_batch([b"a"], fds=[[0]]),
        lambda: one.recv_batch(1, 1),
        lambda: one.recv_batch(1, 1, max_fds=1),
    ]
    for call in calls:
        with support.raises_errno(errno.EBADF):
            call()
