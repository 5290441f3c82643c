"""Credentials that travel with a message.

Rules: the kernel checks what is claimed; what it invents at the end of a stream is nobody's; and a struct that was cut
is bytes, not credentials.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import support

from uds_cffi import (
    Credentials,
    ScmCredentials,
    ScmRights,
    SocketAncillary,
    UnixStream,
    UnknownControlMessage,
    ffi,
    lib,
    register_decoder,
    unregister_decoder,
)

pytestmark = support.needs("credentials")

NOBODY = 65534


@pytest.fixture
def pair(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """Let the second of each pair receive credentials."""
    pair[1].options.pass_credentials = True
    return pair


def mine() -> ScmCredentials:
    return ScmCredentials(os.getpid(), os.getuid(), os.getgid())


def room() -> SocketAncillary:
    return SocketAncillary.with_room_for(fds=1, credentials=True)


def ints(*numbers: int) -> bytes:
    return bytes(ffi.buffer(ffi.new("int[]", list(numbers))))


# --- Sending ------------------------------------------------------------------------------------


def test_senders_own_credentials_arrive(pair: tuple[Any, Any]) -> None:
    """With pass_credentials on every message brings its sender's, also when it sent none."""
    one, two = pair
    one.send(b"x")
    assert two.recv_ancillary(1, room()).messages == (mine(),)


def test_credentials_of_another_process(pair: tuple[Any, Any]) -> None:
    """The credentials are those of the process that sends, though it inherited the socket."""
    one, two = pair
    with support.Child(one.send, b"x") as child:
        (credentials,) = two.recv_ancillary(1, room()).messages
        assert credentials == ScmCredentials(child.pid, os.getuid(), os.getgid())


def test_credentials_are_sent_explicitly(pair: tuple[Any, Any]) -> None:
    """Credentials that a process sends of itself arrive; without arguments they are its own."""
    one, two = pair
    with room() as ancillary:
        assert ancillary.add_creds(Credentials())
        one.send_ancillary([b"x"], ancillary)
    assert two.recv_ancillary(1, room()).messages == (mine(),)


def test_explicit_credentials_need_no_option_at_the_time(pair: tuple[Any, Any]) -> None:
    """What was sent explicitly is kept with the message, for a receiver that turns the option on later."""
    one, two = pair
    two.options.pass_credentials = False
    ancillary = room()
    ancillary.add_creds(Credentials())
    one.send_ancillary([b"x"], ancillary)
    one.send_ancillary([b"y"], ancillary)
    assert two.recv_ancillary(1, room()).messages == ()
    two.options.pass_credentials = True
    assert two.recv_ancillary(1, room()).messages == (mine(),)


def test_message_without_recorded_credentials(pair: tuple[Any, Any]) -> None:
    """A message from before anybody asked has the kernel's nobody, whose pid is None."""
    one, two = pair
    two.options.pass_credentials = False
    one.send(b"x")
    two.options.pass_credentials = True
    assert two.recv_ancillary(1, room()).messages == (ScmCredentials(None, NOBODY, NOBODY),)


@pytest.mark.parametrize("forged", [{"pid": 1}, {"uid": 0}, {"gid": 0}])
def test_forged_credentials_are_refused(pair: tuple[Any, Any], forged: dict[str, int]) -> None:
    """A process without privileges cannot claim to be another: PermissionError, and nothing was sent."""
    one, two = pair

    def child() -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        ancillary = room()
        ancillary.add_creds(Credentials(**forged))
        with pytest.raises(PermissionError):
            one.send_ancillary([b"x"], ancillary)
        ancillary.clear()
        ancillary.add_creds(Credentials())
        one.send_ancillary([b"y"], ancillary)

    support.run_child(child)
    assert two.recv_ancillary(1, room()).data == b"y"


# --- Beside descriptors -------------------------------------------------------------------------


def test_credentials_and_descriptors(pair: tuple[Any, Any], number: int) -> None:
    """Credentials come first and descriptors after them, in whichever order they were added."""
    one, two = pair
    ancillary = room()
    ancillary.add_fds([number])
    ancillary.add_creds(Credentials())
    one.send_ancillary([b"x"], ancillary)
    with two.recv_ancillary(1, ancillary) as received:
        credentials, rights = received.messages
        assert credentials == mine()
        assert type(rights) is ScmRights
        assert os.path.sameopenfile(rights.fds.numbers()[0], number)
        assert received.ancillary_truncated is False


def test_credentials_push_no_descriptors_out(pair: tuple[Any, Any], number: int) -> None:
    """recv_fds() has room for credentials beside 253 descriptors."""
    one, two = pair
    one.send_fds(b"x", [number] * 253)
    result = two.recv_fds(1, 253)
    with result[-1] as fds:
        assert len(fds) == 253


def test_room_for_descriptors_alone(pair: tuple[Any, Any], number: int) -> None:
    """Where credentials push descriptors out of a small ancillary, that is reported, and none is left open."""
    one, two = pair
    one.send_fds(b"x", [number])
    received = two.recv_ancillary(1, SocketAncillary.with_room_for(credentials=True))
    assert received.messages == (mine(),)
    assert received.ancillary_truncated is True


@pytest.mark.parametrize("size", range(13))
def test_credentials_that_were_cut(pair: tuple[Any, Any], size: int) -> None:
    """Credentials that were cut by the end of the buffer are bytes, and truncated; with all 12 they are whole."""
    one, two = pair
    one.send(b"x")
    ancillary = SocketAncillary(lib.CMSG_LEN(0) + size)
    received = two.recv_ancillary(1, ancillary)
    whole = ints(os.getpid(), os.getuid(), os.getgid())
    if size == len(whole):
        assert received.messages == (mine(),)
        assert received.ancillary_truncated is False
    else:
        expected = UnknownControlMessage(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, whole[:size])
        assert received.messages == (expected,)
        assert received.ancillary_truncated is True


@pytest.mark.parametrize("capacity", [0, 1, 15])
def test_no_room_for_a_header(pair: tuple[Any, Any], capacity: int) -> None:
    """Without room for a header nothing comes, and that is reported."""
    one, two = pair
    one.send(b"x")
    received = two.recv_ancillary(1, SocketAncillary(min(capacity, lib.CMSG_LEN(0) - 1)))
    assert (received.data, received.messages, received.ancillary_truncated) == (b"x", (), True)


# --- The end of a connection --------------------------------------------------------------------


@pytest.fixture
def stream() -> Iterator[tuple[UnixStream, UnixStream]]:
    """Make a pair of streams, of which the second receives credentials."""
    one, two = UnixStream.pair()
    with one, two:
        two.options.pass_credentials = True
        yield one, two


@pytest.mark.parametrize(
    "make_room", [lambda: 10, lambda: [bytearray(10)], lambda: 0, list], ids=["size", "buffers", "size 0", "no buffers"]
)
def test_end_of_a_stream_has_no_sender(stream: tuple[UnixStream, UnixStream], make_room: Any) -> None:
    """At its end Linux says that root sent nothing; that is not shown, however much was asked for."""
    one, two = stream
    one.close()
    for _ in range(2):
        received = two.recv_ancillary(make_room(), room())
        assert (received.nbytes, received.messages) == (0, ())


def test_own_end_has_no_sender_either(stream: tuple[UnixStream, UnixStream]) -> None:
    """After shutting down one's own reading it is the same."""
    _, two = stream
    two.shutdown(lib.SHUT_RD)
    assert two.recv_ancillary(10, room()).messages == ()


def test_last_bytes_of_a_stream_have_their_sender(stream: tuple[UnixStream, UnixStream]) -> None:
    """What was sent before the end has its credentials."""
    one, two = stream
    one.send(b"last")
    one.close()
    received = two.recv_ancillary(10, room())
    assert (received.data, received.messages) == (b"last", (mine(),))


def test_looking_at_a_stream_without_reading(stream: tuple[UnixStream, UnixStream]) -> None:
    """A receive of no bytes shows the credentials of the bytes that wait, and takes none of them."""
    one, two = stream
    one.send(b"x")
    received = two.recv_ancillary(0, room())
    assert (received.data, received.messages) == (b"", (mine(),))
    assert two.recv(1) == b"x"


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_empty_packet_has_its_sender(kind: Any) -> None:
    """An empty packet is not the end: its credentials are real."""
    one, two = kind.pair(options={"pass_credentials": True})
    with one, two:
        one.send(b"")
        received = two.recv_ancillary(10, room())
        assert (received.data, received.messages) == (b"", (mine(),))


# --- Interrupted --------------------------------------------------------------------------------


def test_decoder_that_is_interrupted_leaks_nothing(pair: tuple[Any, Any], number: int) -> None:
    """When Ctrl-C comes while messages are decoded, the descriptors are closed, and the ancillary is empty."""
    one, two = pair

    def decoder(data: bytes) -> object:
        raise KeyboardInterrupt

    key = (lib.SOL_SOCKET, lib.SCM_CREDENTIALS)
    register_decoder(*key, decoder)
    try:
        one.send_fds(b"x", [number])
        with room() as ancillary:
            count = len(os.listdir("/dev/fd"))
            with pytest.raises(KeyboardInterrupt):
                two.recv_ancillary(1, ancillary)
            assert len(os.listdir("/dev/fd")) == count
            assert ancillary.is_empty
            assert ancillary.messages() == ()
    finally:
        unregister_decoder(*key)
