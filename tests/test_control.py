"""Control messages as values, and the registry that decodes them.

Rule: what is malformed or unknown is a value, never an exception that would lose descriptors.
"""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import support
from interrupting import INTERRUPTIONS

from uds_cffi import (
    Credentials,
    OwnedFds,
    ScmCredentials,
    ScmRights,
    SocketAncillary,
    UnixDatagram,
    UnknownControlMessage,
    control,
    ffi,
    lib,
    register_decoder,
    unregister_decoder,
)
from uds_cffi.control import PIDFD, RIGHTS, decode, decode_one, encode_credentials, items

# No kernel sends it: a level of this test's own.
LEVEL, TYPE = 12345, 678
# include/uapi/asm-generic/socket.h; the same on every architecture but parisc and sparc.
SO_TIMESTAMP = 29
SO_PASSPIDFD = 76
SCM_PIDFD = 4


@pytest.fixture
def registry() -> Iterator[None]:
    """Leave the registry as it was."""
    before = dict(control._decoders)
    yield
    control._decoders.clear()
    control._decoders.update(before)


def control_of(*messages: tuple[int, int, bytes]) -> tuple[Any, int]:
    """Build a control buffer of several items, as C does."""
    control = ffi.new("char[]", 4096)
    length = 0
    for level, type_, data in messages:
        length = lib.uds_control_add(control, 4096, length, level, type_, data, len(data))
        assert length > 0
    return control, length


def ints(*numbers: int) -> bytes:
    return bytes(ffi.buffer(ffi.new("int[]", list(numbers))))


# --- Values -------------------------------------------------------------------------------------

VALUES = [
    (ScmCredentials(1, 2, 3), ScmCredentials(1, 2, 4), "ScmCredentials(pid=1, uid=2, gid=3)"),
    (ScmCredentials(None, 2, 3), ScmCredentials(0, 2, 3), "ScmCredentials(pid=None, uid=2, gid=3)"),
    (
        UnknownControlMessage(1, 2, b"x"),
        UnknownControlMessage(1, 2, b"y"),
        "UnknownControlMessage(level=1, type=2, data=b'x')",
    ),
]


@pytest.mark.parametrize(("value", "other", "shown"), VALUES)
def test_messages_are_values(value: Any, other: Any, shown: str) -> None:
    """Messages are equal, and hash alike, when their type and content are; the repr shows the content."""
    twin = type(value)(*value._fields())
    assert value == twin
    assert hash(value) == hash(twin)
    assert value != other
    assert value != value._fields()
    assert repr(value) == shown
    assert copy.copy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value


def test_fields_by_name() -> None:
    """Each field has its own place."""
    sender = ScmCredentials(1, 2, 3)
    assert (sender.pid, sender.uid, sender.gid) == (1, 2, 3)
    unknown = UnknownControlMessage(4, 5, b"6")
    assert (unknown.level, unknown.type, unknown.data) == (4, 5, b"6")


@pytest.mark.parametrize("value", [VALUES[0][0], VALUES[2][0], ScmRights(OwnedFds())])
def test_messages_are_frozen(value: Any) -> None:
    """A message's fields can be neither set nor deleted, and it takes no new ones."""
    name = value.__slots__[0]
    for change in (
        lambda: setattr(value, name, 1),
        lambda: delattr(value, name),
        lambda: setattr(value, "new", 1),
    ):
        with pytest.raises(AttributeError, match="is immutable"):
            change()


def test_rights_hold_their_descriptors() -> None:
    """ScmRights has the set that owns the descriptors, and equals only what has the same set."""
    fds = OwnedFds()
    assert ScmRights(fds).fds is fds
    assert ScmRights(fds) == ScmRights(fds)
    assert ScmRights(fds) != ScmRights(OwnedFds())
    assert repr(ScmRights(fds)) == "ScmRights(fds=<OwnedFds []>)"


# --- Decoding -----------------------------------------------------------------------------------


def test_items_of_a_buffer() -> None:
    """items() returns what was added, in order; data of no bytes is data."""
    messages = [(LEVEL, 1, b"one"), (LEVEL, 2, b""), (-1, -2, b"x" * 100)]
    assert items(*control_of(*messages)) == messages


def test_message_without_decoder_is_unknown() -> None:
    """A level and type that nobody registered give the bytes."""
    assert decode_one(LEVEL, TYPE, b"abc") == UnknownControlMessage(LEVEL, TYPE, b"abc")


@support.needs("credentials")
def test_credentials_are_decoded() -> None:
    """The bytes of a struct ucred are credentials, and pid 0, which no process has, is None."""
    data = encode_credentials(Credentials(7, 8, 2**32 - 1))
    assert decode_one(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, data) == ScmCredentials(7, 8, 2**32 - 1)
    nobody = encode_credentials(Credentials(0, 8, 9))
    assert decode_one(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, nobody) == ScmCredentials(None, 8, 9)


@support.needs("send_credentials")
@pytest.mark.parametrize("size", [0, 11, 12, 13])
def test_credentials_are_decoded_as_c_does(size: int) -> None:
    """What is a struct ucred is the same by the decoder that looks at its bytes and by that of all systems."""
    data = (encode_credentials(Credentials(7, 8, 9)) + b"x")[:size]
    assert control._decode_ucred(data) == control._decode_credentials(data)
    assert (control._decode_ucred(data) is None) == (size != 12)


@support.needs("credentials")
@pytest.mark.parametrize("size", [0, 1, 4, 11, 13])
def test_credentials_of_another_length_are_unknown(size: int) -> None:
    """Credentials that were cut, or are too long, are bytes and not credentials."""
    data = (encode_credentials(Credentials(7, 8, 9)) + b"more")[:size]
    message = decode_one(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, data)
    assert message == UnknownControlMessage(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, data)


@support.lacks("credentials")
def test_credentials_are_unknown_where_they_are_absent() -> None:
    """A build without credentials per message leaves them as bytes."""
    assert decode_one(lib.SOL_SOCKET, 2, b"x" * 12) == UnknownControlMessage(lib.SOL_SOCKET, 2, b"x" * 12)


@support.needs("credentials")
def test_invented_credentials_are_left_out() -> None:
    """What a caller knows to be nobody's credentials is not in the messages; the rest is."""
    ucred = encode_credentials(Credentials(0, 0, 0))
    control, length = control_of((lib.SOL_SOCKET, lib.SCM_CREDENTIALS, ucred), (LEVEL, TYPE, b"x"))
    assert decode(items(control, length), None, True) == (UnknownControlMessage(LEVEL, TYPE, b"x"),)
    assert decode(items(control, length), None, False)[0] == ScmCredentials(None, 0, 0)


def claimed(sizes: list[int]) -> tuple[Any, int, OwnedFds]:
    """Build a received control buffer with several messages of descriptors, moved into their slots."""
    read, write = os.pipe()
    os.close(write)
    numbers = [[os.dup(read) for _ in range(size)] for size in sizes]
    os.close(read)
    control, length = control_of(*((*RIGHTS, ints(*some)) for some in numbers))
    fds = OwnedFds._with_slots()
    assert lib.uds_control_claim(control, length, fds._slots, 253) == 0
    fds._count = fds._slots.count
    return control, length, fds


@pytest.mark.parametrize("sizes", [[3], [1, 2], [2, 0, 1], [0]])
def test_each_message_of_descriptors_has_its_own(sizes: list[int]) -> None:
    """Where a system does not merge them, each SCM_RIGHTS gets its share of the descriptors, in order."""
    control, length, fds = claimed(sizes)
    expected = fds.numbers()
    messages = decode(items(control, length), fds, False)
    assert [len(message.fds) for message in messages] == sizes
    found = []
    for message in messages:
        with message.fds as share:
            found += share.numbers()
    assert found == expected
    assert all(number == -1 for number in fds.numbers())


def test_only_message_of_descriptors_has_the_set_itself() -> None:
    """One SCM_RIGHTS, which is what Linux delivers, takes the set as it is."""
    control, length, fds = claimed([2])
    with fds:
        (message,) = decode(items(control, length), fds, False)
        assert message.fds is fds


def test_descriptors_beyond_the_kept_ones_are_not_promised() -> None:
    """A message whose descriptors were closed as surplus has only those that are there."""
    read, write = os.pipe()
    os.close(write)
    control, length = control_of((*RIGHTS, ints(read, os.dup(read))), (*RIGHTS, ints(os.dup(read))))
    fds = OwnedFds._with_slots()
    assert lib.uds_control_claim(control, length, fds._slots, 1) == 2
    fds._count = fds._slots.count
    first, second = decode(items(control, length), fds, False)
    with first.fds:
        assert (len(first.fds), len(second.fds)) == (1, 0)


def test_claim_leaves_no_number_behind() -> None:
    """After the descriptors were moved, -1 stands in the buffer, and claiming again finds none."""
    control, length, fds = claimed([2])
    with fds:
        assert items(control, length) == [(*RIGHTS, ints(-1, -1))]
        assert lib.uds_control_claim(control, length, fds._slots, 253) == 0
        assert len(fds) == 2


def test_part_of_a_descriptor_is_none() -> None:
    """Bytes that are not a whole int at the end of SCM_RIGHTS are no descriptor."""
    read, write = os.pipe()
    os.close(write)
    control, length = control_of((*RIGHTS, ints(read) + b"\0\0\0"))
    with OwnedFds._with_slots() as fds:
        assert lib.uds_control_claim(control, length, fds._slots, 253) == 0
        fds._count = fds._slots.count
        assert fds.numbers() == [read]


# --- Kinds that only others ask for -------------------------------------------------------------


def test_unknown_kind_then_known_kind(datagrams: tuple[UnixDatagram, UnixDatagram], registry: None) -> None:
    """A timestamp that nobody here decodes arrives as bytes, and as a value once a decoder is registered."""
    one, two = datagrams
    control._decoders.pop((lib.SOL_SOCKET, SO_TIMESTAMP), None)
    two.set_option(lib.SOL_SOCKET, SO_TIMESTAMP, 1)
    ancillary = SocketAncillary(256)
    one.send(b"x")
    (message,) = two.recv_ancillary(10, ancillary).messages
    assert type(message) is UnknownControlMessage
    assert (message.level, message.type) == (lib.SOL_SOCKET, SO_TIMESTAMP)
    assert len(message.data) == 2 * ffi.sizeof("long")
    register_decoder(
        lib.SOL_SOCKET, SO_TIMESTAMP, lambda data: ("time", tuple(ffi.cast("long *", ffi.from_buffer(data))[0:2]))
    )
    one.send(b"x")
    ((word, (seconds, microseconds)),) = two.recv_ancillary(10, ancillary).messages
    assert word == "time"
    assert seconds > 0
    assert 0 <= microseconds < 1_000_000


def ask_for_pidfds(sock: UnixDatagram) -> None:
    try:
        sock.set_option(lib.SOL_SOCKET, SO_PASSPIDFD, 1)
    except OSError:
        pytest.skip("feature SO_PASSPIDFD is absent")


def test_pidfd_that_nobody_here_asked_for(datagrams: tuple[UnixDatagram, UnixDatagram]) -> None:
    """A build without pidfds closes one that SO_PASSPIDFD brings, and shows -1; it is not called lost."""
    if lib.UDS_HAS_PASSPIDFD:
        pytest.skip(f"{support.FEATURE_SKIP}pass_pidfd is declared")
    one, two = datagrams
    ask_for_pidfds(two)
    ancillary = SocketAncillary(256)
    one.send(b"x")
    received = two.recv_ancillary(10, ancillary)
    assert UnknownControlMessage(lib.SOL_SOCKET, SCM_PIDFD, ints(-1)) in received.messages
    assert not received.ancillary_truncated


def test_pidfd_beside_descriptors(datagrams: tuple[UnixDatagram, UnixDatagram]) -> None:
    """Beside a pidfd descriptors arrive as ever, and plain receives leave nothing open."""
    one, two = datagrams
    ask_for_pidfds(two)
    for _ in range(4):
        one.send_fds(b"x", [one])
    with two.recv_fds(1, 1).fds as fds:
        assert os.path.sameopenfile(fds.numbers()[0], one.fileno())
    assert two.peek(1).data == b"x"
    assert two.recv(1).data == b"x"
    assert two.recv_from(1).data == b"x"
    assert two.recv_packet() == b"x"


# --- The registry -------------------------------------------------------------------------------


def test_decoder_makes_the_message(registry: None) -> None:
    """What a decoder returns stands for the message; a later one replaces it, and without one it is unknown."""
    register_decoder(LEVEL, TYPE, len)
    assert decode_one(LEVEL, TYPE, b"abc") == 3
    assert decode_one(LEVEL, TYPE + 1, b"abc") == UnknownControlMessage(LEVEL, TYPE + 1, b"abc")
    register_decoder(LEVEL, TYPE, bytes.upper)
    assert decode_one(LEVEL, TYPE, b"abc") == b"ABC"
    unregister_decoder(LEVEL, TYPE)
    assert decode_one(LEVEL, TYPE, b"abc") == UnknownControlMessage(LEVEL, TYPE, b"abc")


def test_decoder_that_raises_loses_nothing(registry: None) -> None:
    """When a decoder raises, the bytes are there, and so is the rest of the message."""

    def decoder(data: bytes) -> object:
        raise LookupError(data)

    register_decoder(LEVEL, TYPE, decoder)
    control, length = control_of((LEVEL, TYPE, b"abc"), (LEVEL, 1, b"d"))
    assert decode(items(control, length), None, False) == (
        UnknownControlMessage(LEVEL, TYPE, b"abc"),
        UnknownControlMessage(LEVEL, 1, b"d"),
    )


@support.needs("credentials")
@pytest.mark.parametrize("kind", INTERRUPTIONS)
def test_own_decoder_does_not_swallow_what_a_handler_raises(kind: type[Exception], monkeypatch: Any) -> None:
    """An Exception that comes out of one of the library's own decoders is a signal handler's, and goes through."""

    def interrupted(*_: object) -> None:
        raise kind

    monkeypatch.setattr(control, "credentials_of", interrupted)
    with pytest.raises(kind):
        decode_one(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, encode_credentials(Credentials(7, 8, 9)))


def test_decoder_does_not_swallow_an_interrupt(registry: None) -> None:
    """What is no Exception, such as Ctrl-C in a decoder, goes through."""

    def decoder(data: bytes) -> object:
        raise KeyboardInterrupt

    register_decoder(LEVEL, TYPE, decoder)
    with pytest.raises(KeyboardInterrupt):
        decode_one(LEVEL, TYPE, b"")


def test_descriptors_cannot_have_a_decoder(registry: None) -> None:
    """SCM_RIGHTS and SCM_PIDFD belong to the library, which owns the descriptors."""
    for kind in (RIGHTS, PIDFD):
        with pytest.raises(ValueError, match="must own"):
            register_decoder(*kind, bytes)


@pytest.mark.parametrize(
    "arguments",
    [(LEVEL, TYPE, None), (LEVEL, TYPE, b"x"), ("1", TYPE, bytes), (LEVEL, None, bytes), (1.0, TYPE, bytes)],
)
def test_bad_arguments_of_the_registry(registry: None, arguments: Any) -> None:
    """A level and a type are ints, and a decoder can be called."""
    with pytest.raises(TypeError):
        register_decoder(*arguments)


@pytest.mark.parametrize("key", [(LEVEL, TYPE), *sorted(control._OWN)])
def test_forgetting_what_is_not_registered(registry: None, key: tuple[int, int]) -> None:
    """There is nothing to forget, of the library's own decoders neither: KeyError."""
    before = dict(control._decoders)
    register_decoder(*key, len)
    unregister_decoder(*key)
    with pytest.raises(KeyError, match=f"no decoder is registered for level {key[0]} and type {key[1]}"):
        unregister_decoder(*key)
    assert control._decoders == before
    assert not control.replaced
