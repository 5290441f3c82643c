"""Control messages of batches: each packet has its own, decoded as every other receive decodes them.

Rules: a batch ends before a packet whose messages might find no room, and no pidfd is left by whatever ends a call.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import time
from collections.abc import Iterator
from typing import Any

import passing
import pytest
import support
from interrupting import interrupt_everywhere

from uds_cffi import (
    MSG_DONTWAIT,
    ScmCredentials,
    ScmPidfd,
    ScmRights,
    ScmSecurity,
    ScmTimestamp,
    SocketAncillary,
    UnixDatagram,
    UnknownControlMessage,
    batchmemory,
    control,
    lib,
    metadata,
    register_decoder,
    unregister_decoder,
)

needs_pidfd = support.needs("pass_pidfd")
needs_timestamps = support.needs("timestamps")


@pytest.fixture
def registry() -> Iterator[None]:
    """Leave the decoders as they were."""
    decoders, replaced = dict(control._decoders), set(control.replaced)
    yield
    control._decoders.clear()
    control._decoders.update(decoders)
    control.replaced.clear()
    control.replaced.update(replaced)


def open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def kinds(packets: Any) -> list[list[type]]:
    return [[type(message) for message in packet.messages] for packet in packets]


def enable_all(sock: Any) -> list[type]:
    """Turn on all that brings messages with packets here, and return what comes then."""
    wanted: list[type] = []
    for feature, option, value, kind in (
        ("timestamps", "timestamps", "nanoseconds", ScmTimestamp),
        ("credentials", "pass_credentials", True, ScmCredentials),
        ("pass_security", "pass_security", True, ScmSecurity),
        ("pass_pidfd", "pass_pidfd", True, ScmPidfd),
    ):
        if support.supported(feature):
            setattr(sock.options, option, value)
            wanted.append(kind)
    return wanted


# --- What comes ---------------------------------------------------------------------------------


def test_each_packet_has_its_messages(packet_pair: tuple[Any, Any], number: int) -> None:
    """All kinds that are on come with each packet, and descriptors are in the packet's set alone."""
    one, two = packet_pair
    wanted = enable_all(two)
    before = time.time_ns() - 10**9
    one.send_batch([b"a", b"b", b"", b"d"], fds=[None, [number] * 2, [number], None])
    with two.recv_batch(9, 9, max_fds=2, messages=True) as batch:
        assert batch.data == [b"a", b"b", b"", b"d"]
        assert kinds(batch) == [wanted] * 4
        assert [len(packet.fds) for packet in batch] == [0, 2, 1, 0]
        assert passing.same(batch[1].fds, [number] * 2)
        assert batch[1].messages is batch[1].messages
        for packet in batch:
            for message in packet.messages:
                if type(message) is ScmTimestamp:
                    assert before < message.ns < time.time_ns() + 10**9
                elif type(message) is ScmCredentials:
                    assert message == ScmCredentials(os.getpid(), os.getuid(), os.getgid())
                elif type(message) is ScmPidfd:
                    assert message.error is None
                    with message.fd as process:
                        assert process.pid() == os.getpid()


def test_the_same_as_other_receives(packet_pair: tuple[Any, Any], number: int) -> None:
    """A batch has the messages of ``recv_ancillary``, but for the descriptors."""
    one, two = packet_pair
    enable_all(two)
    with SocketAncillary.with_room_for(fds=1, credentials=True, pidfd=True, timestamp=True, security=True) as ancillary:
        one.send_batch([b"a", b"b"], fds=[[number]] * 2)
        received = two.recv_ancillary(9, ancillary)
        found = [type(message) for message in ancillary._received._messages]
        assert received.ancillary_truncated is False
        received.close()
        with two.recv_batch(9, 9, messages=True) as batch:
            assert kinds(batch) == [[kind for kind in found if kind is not ScmRights]]
            assert len(found) == len(batch[0].messages) + 1
            assert (len(batch[0].fds), batch[0].lost) == (0, 1)


def test_nobody_asked(packet_pair: tuple[Any, Any], number: int) -> None:
    """Without the keyword there are none, whatever else is asked for, and pidfds are closed."""
    one, two = packet_pair
    enable_all(two)
    before = open_count()
    for options in ({}, {"addresses": True}, {"max_fds": 1}):
        one.send_batch([b"a", b"b"])
        with two.recv_batch(9, 9, **options) as batch:
            assert [packet.messages for packet in batch] == [(), ()]
            assert open_count() == before


def test_no_message_came(packet_pair: tuple[Any, Any], number: int) -> None:
    """With nothing turned on there is no message, and where the packets end there is no packet."""
    one, two = packet_pair
    one.send_batch([b"a", b"b"], fds=[None, [number]])
    found = two.recv_batch(9, 9, messages=True)
    assert [(packet.data, packet.messages, packet.lost) for packet in found] == [(b"a", (), 0), (b"b", (), 1)]
    if not isinstance(two, UnixDatagram) and support.supported("packet_end"):
        one.close()
        found = two.recv_batch(9, 9, messages=True)
        assert (list(found), found.ended) == ([], True)


@support.needs("credentials")
def test_credentials_in_both_places(packet_pair: tuple[Any, Any]) -> None:
    """Credentials are a message of their own whether or not they are asked for by name."""
    one, two = packet_pair
    two.options.pass_credentials = True
    one.send_batch([b"a", b"b"])
    named, unnamed = (two.recv_batch(1, 9, credentials=wanted, messages=True)[0] for wanted in (True, False))
    assert named.messages == unnamed.messages == (named.credentials,)
    assert unnamed.credentials is None


def test_receives_in_turn_see_nothing_of_each_other(packet_pair: tuple[Any, Any], number: int) -> None:
    """What one batch asked for, the next one with the same memory does not get."""
    one, two = packet_pair
    wanted = enable_all(two)
    batchmemory._pool.clear()
    for _ in range(2):
        for messages in (True, False, True, True):
            for max_fds in (0, 1):
                one.send_batch([b"a", b"b"], fds=[[number], None])
                with two.recv_batch(9, 9, max_fds=max_fds, messages=messages) as batch:
                    assert kinds(batch) == [wanted if messages else []] * 2
                    assert [len(packet.fds) for packet in batch] == [max_fds, 0]
        one.send_batch([b"a", b"b"])
        assert two.recv_batch(9, 9).data == [b"a", b"b"]
    assert len(batchmemory._pool) == 1


# --- Decoders -----------------------------------------------------------------------------------


def one_message(sock: Any) -> Any:
    ((message,),) = (packet.messages for packet in sock.recv_batch(1, 9, messages=True))
    return message


def fail(data: bytes) -> object:
    """Raise what decoders may raise."""
    raise RuntimeError(data)


@needs_timestamps
@pytest.mark.usefixtures("registry")
def test_decoders_of_the_time_of_the_receive(packet_pair: tuple[Any, Any]) -> None:
    """The decoder of the time of the receive reads a message, which is unknown when that raises; then the library's."""
    one, two = packet_pair
    two.options.timestamps = "nanoseconds"
    one.send_batch([b"x"] * 4)
    batch = two.recv_batch(1, 9, messages=True)
    for key in metadata.DECODERS:
        register_decoder(*key, len)
    assert type(batch[0].messages[0]) is ScmTimestamp
    size = one_message(two)
    assert size in (8, 16)
    for key in metadata.DECODERS:
        register_decoder(*key, fail)
    failed = one_message(two)
    for key in metadata.DECODERS:
        unregister_decoder(*key)
    assert type(failed) is UnknownControlMessage
    assert (failed.level, len(failed.data)) == (lib.SOL_SOCKET, size)
    assert type(one_message(two)) is ScmTimestamp


@pytest.mark.skipif(not lib.UDS_HAS_PASS_SECURITY, reason=f"{support.FEATURE_SKIP}pass_security is absent")
def test_label(packet_pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A label, which no kernel without a security module sends, is a message as any other."""
    one, two = packet_pair
    two.options.pass_credentials = True
    one.send(b"x")
    found = [(lib.SOL_SOCKET, lib.SCM_SECURITY, b"user_t:s0\0")]
    monkeypatch.setattr("uds_cffi.batch.items", lambda memory, length: control.items(memory, length) + found)
    messages = two.recv_batch(1, 9, messages=True)[0].messages
    assert [type(message) for message in messages] == [ScmCredentials, ScmSecurity]
    assert messages[1].label == b"user_t:s0\0"


class Stop(BaseException):
    """What no decoder may raise, and one does."""


@needs_pidfd
@pytest.mark.usefixtures("registry")
def test_decoder_that_stops_everything(packet_pair: tuple[Any, Any], number: int) -> None:
    """When decoding ends in the midst of a batch, its pidfds and descriptors are closed at once."""
    one, two = packet_pair
    enable_all(two)
    left = [3]

    def stop(data: bytes) -> object:
        left[0] -= 1
        if not left[0]:
            raise Stop
        return data

    register_decoder(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, stop)
    one.send_batch([b"x"] * 4, fds=[[number]] * 4)
    before = open_count()
    with pytest.raises(Stop):
        two.recv_batch(4, 9, max_fds=1, messages=True)
    assert open_count() == before
    one.send(b"y")
    with two.recv_batch(4, 9, messages=True) as batch:
        assert batch.data == [b"y"]


# --- Limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 3])
def test_no_room_ends_a_batch(packet_pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """A batch ends before a packet whose messages might not fit, and all of them come with the next ones."""
    one, two = packet_pair
    wanted = enable_all(two)
    used = 0
    if wanted:
        with SocketAncillary(1024) as ancillary:
            one.send(b"x")
            two.recv_ancillary(9, ancillary).close()
            used = len(ancillary)
    space = lib.UDS_BATCH_CONTROL + (room - 1) * used
    monkeypatch.setattr(batchmemory, "_CONTROL_ROOM", space)
    batchmemory._pool.clear()
    one.send_batch([b"%d" % place for place in range(8)])
    sizes, data = [], []
    while len(data) < 8:
        with two.recv_batch(8, 9, messages=True) as batch:
            assert kinds(batch) == [wanted] * len(batch)
            sizes.append(len(batch))
            data += batch.data
    batchmemory._pool.clear()
    assert data == [b"%d" % place for place in range(8)]
    assert max(sizes) == (room if wanted else 8)


@needs_pidfd
def test_no_slot_ends_a_batch() -> None:
    """A batch brings at most 253 pidfds; the others come with the next one."""
    one, two = UnixDatagram.pair(options={"pass_pidfd": True, "receive_buffer": 2**20})
    with one, two:
        sizes = []
        sent = 0
        with contextlib.ExitStack() as stack:
            while sum(sizes) < 300:
                if sent < 300:
                    sent += one.send_batch([b"x"] * (300 - sent), MSG_DONTWAIT)
                if not sizes and sent < 260:
                    pytest.skip(f"only {sent} packets fit into a queue here")
                batch = stack.enter_context(two.recv_batch(1024, 9, messages=True))
                assert {message.error for packet in batch for message in packet.messages} == {None}
                sizes.append(len(batch))
        assert max(sizes) == 253


@needs_pidfd
def test_errors_instead_of_pidfds() -> None:
    """Where no descriptor is free each packet says so, and its bytes arrive."""
    support.run_child(without_descriptors)


def without_descriptors() -> None:
    one, two = UnixDatagram.pair(options={"pass_pidfd": True})
    one.send_batch([b"a", b"b", b"c"])
    # One number is free.
    free = os.dup(two.fileno())
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    with two.recv_batch(9, 9, messages=True) as batch:
        # Before Linux 6.13 a pid is read from a file.
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        errors = [message.error for packet in batch for message in packet.messages]
        assert errors[0] is None
        assert [problem.errno for problem in errors[1:]] == [errno.EMFILE] * 2
        assert batch.data == [b"a", b"b", b"c"]
        with batch[0].messages[0].fd as process:
            assert process.pid() == os.getpid()
    one.close()
    two.close()


# --- Owners -------------------------------------------------------------------------------------


@needs_pidfd
def test_what_was_read_stays(packet_pair: tuple[Any, Any]) -> None:
    """Closing a batch closes the pidfds that nobody has read."""
    one, two = packet_pair
    two.options.pass_pidfd = True
    one.send_batch([b"a", b"b"])
    before = open_count()
    with two.recv_batch(9, 9, messages=True) as batch:
        assert open_count() == before + 2
        taken = batch[1].messages[0].fd
    assert open_count() == before + 1
    with taken:
        assert taken.pid() == os.getpid()
    batch.close()


@needs_pidfd
def test_forgotten_batch_warns_and_closes(packet_pair: tuple[Any, Any]) -> None:
    """The garbage collector closes what nobody took, with a warning."""
    one, two = packet_pair
    two.options.pass_pidfd = True
    one.send(b"a")
    before = open_count()
    kept = [two.recv_batch(9, 9, messages=True)]

    def forget() -> None:
        kept.clear()
        support.collect()

    with pytest.warns(ResourceWarning, match="unclosed"):
        forget()
    assert open_count() == before


@pytest.mark.usefixtures("finalizers_may_speak")
def test_interrupted_at_every_step(packet_pair: tuple[Any, Any], number: int) -> None:
    """Wherever a handler raises, no descriptor is lost, and the next batch brings its own."""
    one, two = packet_pair
    # The library takes what is raised in a decoder for the decoder's, so there is none for what comes here.
    wanted = [ScmPidfd] if support.supported("pass_pidfd") else []
    if wanted:
        two.options.pass_pidfd = True

    def receive() -> None:
        with two.recv_batch(4, 9, max_fds=1, messages=True):
            pass

    def send() -> None:
        one.send_batch([b"a", b"b"], fds=[[number], None])

    def check() -> None:
        while two.try_recv(9) is not None:
            pass
        send()
        with two.recv_batch(4, 9, max_fds=1, messages=True) as batch:
            assert kinds(batch) == [wanted] * 2
            assert passing.same(batch[0].fds, [number])
            for packet in batch:
                for message in packet.messages:
                    if type(message) is ScmPidfd:
                        with message.fd as process:
                            assert process.pid() == os.getpid()

    interrupt_everywhere(receive, send, check)
    gc.collect()
