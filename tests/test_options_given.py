"""Options that are given to constructors, and options by number."""

from __future__ import annotations

import copy
import errno
import os
import pickle

import pytest
import support

from uds_cffi import (
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    calls,
)

# --- Where options are given --------------------------------------------------------------------


@pytest.mark.parametrize("bad", [5, "pass_rights", [1], [("send_buffer",)]], ids=repr)
def test_options_are_a_mapping(bad):
    """What is no mapping is refused before anything is made."""
    with pytest.raises((TypeError, ValueError)):
        UnixStream.pair(options=bad)


@pytest.mark.parametrize("bad", [{"send_buffer": "1"}, {"unheard_of": 1}, {"send_timeout": 0}], ids=repr)
def test_bad_options_make_nothing(bad, short_dir):
    """A constructor with a bad option raises before it makes a socket or a file."""
    path = os.path.join(short_dir, "s")
    with UnixListener.bind(path) as listener:
        makers = [
            lambda: UnixStream.connect(path, options=bad),
            lambda: UnixStream.pair(options=bad),
            lambda: UnixDatagram.unbound(options=bad),
            lambda: UnixDatagram.bind(path + "d", options=bad),
            lambda: UnixListener.bind(path + "l", options=bad),
        ]
        for make in makers:
            with pytest.raises((TypeError, AttributeError, ValueError)):
                make()
        assert os.listdir(short_dir) == ["s"]
        assert listener.try_accept() is None


def test_every_constructor_takes_options(short_dir):
    """Each constructor sets the options before it binds or connects."""
    wanted = {"send_buffer": 30000, "receive_timeout": 1.5}
    path = os.path.join(short_dir, "s")
    made = [UnixListener.bind(path, options=wanted), UnixStream.connect(path, options=wanted)]
    made += [UnixDatagram.bind(path + "d", options=wanted), UnixDatagram.connect(path + "d", options=wanted)]
    made += [UnixDatagram.unbound(options=wanted), *UnixStream.pair(options=wanted), *UnixDatagram.pair(options=wanted)]
    if support.supported("seqpacket"):
        made += [UnixSeqpacketListener.bind(path + "q", options=wanted), *UnixSeqpacketConn.pair(options=wanted)]
    for sock in made:
        with sock:
            assert sock.options.send_buffer == 60000
            assert sock.options.receive_timeout == 1.5
    assert len(made) >= 9


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_options_are_of_one_socket(make):
    """The options of a socket are neither copied nor pickled, as the socket itself is not."""
    left, right = UnixStream.pair(options={"send_buffer": 20000})
    with left, right, pytest.raises(TypeError, match="cannot pickle or copy Options"):
        make(left.options)


# --- Any option ---------------------------------------------------------------------------------


def test_any_option():
    """Every option of the system can be read and set as an int or as bytes."""
    left, right = UnixStream.pair()
    with left, right:
        left.set_option(calls.SOL_SOCKET, calls.SO_SNDBUF, 30000)
        assert left.get_option(calls.SOL_SOCKET, calls.SO_SNDBUF) == 60000
        raw = left.get_option(calls.SOL_SOCKET, calls.SO_SNDBUF, 4)
        assert type(raw) is bytes
        left.set_option(calls.SOL_SOCKET, calls.SO_SNDBUF, bytearray(raw))
        assert left.get_option(calls.SOL_SOCKET, calls.SO_SNDBUF, 100)[:4] == left.get_option(
            calls.SOL_SOCKET, calls.SO_SNDBUF, 4
        )
        assert left.get_option(calls.SOL_SOCKET, calls.SO_SNDBUF) == 120000
        assert left.get_option(calls.SOL_SOCKET, calls.SO_SNDBUF, 0) == b""


def test_any_option_that_is_unknown():
    """The kernel's refusal of an unknown option, level or socket is the plain error."""
    left, right = UnixStream.pair()
    with left, right:
        for level, code in ((calls.SOL_SOCKET, errno.ENOPROTOOPT), (6, errno.EOPNOTSUPP)):
            for call in (
                lambda level=level: left.get_option(level, 9999),
                lambda level=level: left.get_option(level, 9999, 4),
                lambda level=level: left.set_option(level, 9999, 1),
                lambda level=level: left.set_option(level, 9999, b"1234"),
            ):
                with pytest.raises(OSError, match=rf"\[Errno {code}\]"):
                    call()


@pytest.mark.parametrize("size", ["4", 1.0, True, b"4"], ids=repr)
def test_size_of_wrong_type(size):
    """The size of an option is an int."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(TypeError):
        left.get_option(calls.SOL_SOCKET, calls.SO_SNDBUF, size)


@pytest.mark.parametrize("size", [-1, 65537])
def test_size_out_of_range(size):
    """The size of an option has a range, which the error names."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(ValueError, match="within 0 to 65536"):
        left.get_option(calls.SOL_SOCKET, calls.SO_SNDBUF, size)


@pytest.mark.parametrize("place", ["level", "name"])
@pytest.mark.parametrize(
    ("number", "error"), [("1", TypeError), (1.0, TypeError), (None, TypeError), (True, TypeError), (2**31, ValueError)]
)
def test_bad_numbers(place, number, error):
    """A level and a name are ints that C can hold, and the error says which is none."""
    left, right = UnixStream.pair()
    numbers = {"level": calls.SOL_SOCKET, "name": calls.SO_SNDBUF, place: number}
    with left, right:
        before = left.options.send_buffer
        for call in (left.get_option, lambda **numbers: left.set_option(**numbers, value=30000)):
            with pytest.raises(error, match=f"the {place} of an option"):
                call(**numbers)
        assert left.options.send_buffer == before


@pytest.mark.parametrize("value", [None, "1", 1.0, [1]], ids=repr)
def test_value_of_wrong_type(value):
    """The value of an option is an int or bytes."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(TypeError):
        left.set_option(calls.SOL_SOCKET, calls.SO_SNDBUF, value)
