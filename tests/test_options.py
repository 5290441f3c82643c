"""Options: each row of the table is read, set, refused, absent, and proven by a message.

Rule: that an option reads as it was set proves nothing; each has a test of what it does to messages.
"""

from __future__ import annotations

import errno
import math
import os

import pytest
import support

import uds_cffi
from uds_cffi import (
    FeatureUnavailable,
    Options,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    calls,
    options,
)

# A value that differs from the default, and what it reads as; feature is None where every system has the row.
BOOLEANS = {"pass_credentials": "credentials", "pass_pidfd": "pass_pidfd", "pass_rights": "pass_rights"}
INTEGERS = {"peek_offset": "peek_offset", "send_buffer": None, "receive_buffer": None}
TIMEOUTS = ("receive_timeout", "send_timeout")
FEATURES = {**BOOLEANS, **INTEGERS, **dict.fromkeys(TIMEOUTS)}
NAMES = tuple(FEATURES)

HERE = [name for name, feature in FEATURES.items() if feature is None or support.supported(feature)]

here = pytest.mark.parametrize("name", HERE)
kinds = pytest.mark.parametrize("kind", support.TYPES)

DEFAULTS = {
    "pass_credentials": False,
    "pass_pidfd": False,
    "pass_rights": True,
    "peek_offset": -1,
    "receive_timeout": None,
    "send_timeout": None,
}
VALUES = {
    "pass_credentials": True,
    "pass_pidfd": True,
    "pass_rights": False,
    "peek_offset": 3,
    "send_buffer": 20000,
    "receive_buffer": 20000,
    "receive_timeout": 1.5,
    "send_timeout": 2,
}


def as_read(name: str, value: object) -> object:
    """Return what the kernel makes of a value: it doubles the sizes of buffers."""
    return value * 2 if name.endswith("_buffer") else value


# --- The table ----------------------------------------------------------------------------------


def test_the_names():
    """The rows are these, and each is described with the constant of the manual."""
    left, right = UnixStream.pair()
    with left, right:
        assert dir(left.options) == sorted(NAMES)
    descriptions = options.describe_options()
    assert set(descriptions) == set(NAMES)
    for text in descriptions.values():
        assert "(SO_" in text
        assert text.endswith(".")


@here
@kinds
def test_each_option_is_read_and_set(name, kind):
    """An option has its default, takes a value, reads as the kernel has it, and goes back."""
    left, right = kind.pair()
    with left, right:
        before = getattr(left.options, name)
        assert before == DEFAULTS.get(name, before)
        setattr(left.options, name, VALUES[name])
        read = getattr(left.options, name)
        assert read == as_read(name, VALUES[name]) != before
        assert type(read) is (float if name in TIMEOUTS else type(VALUES[name]))
        # The other end has its own.
        assert getattr(right.options, name) == before
        if not name.endswith("_buffer"):
            setattr(left.options, name, before)
            assert getattr(left.options, name) == before


@here
def test_wrong_types_are_refused(name):
    """A value of another type is a TypeError that names the option, and the option keeps its value."""
    left, right = UnixStream.pair()
    bad = {
        **dict.fromkeys(BOOLEANS, (0, 1, None, "yes", 1.0)),
        **dict.fromkeys(INTEGERS, (True, None, "1", 1.0, b"1")),
        **dict.fromkeys(TIMEOUTS, (True, "1", b"1", [1])),
    }
    with left, right:
        before = getattr(left.options, name)
        for value in bad[name]:
            for call in (
                lambda value=value: setattr(left.options, name, value),
                lambda value=value: UnixStream.pair(options={name: value}),
            ):
                with pytest.raises(TypeError, match="timeout" if name in TIMEOUTS else f"option {name} is "):
                    call()
        assert getattr(left.options, name) == before


@pytest.mark.parametrize("name", [name for name in INTEGERS if name in HERE])
@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**80])
def test_integers_fit_into_a_c_int(name, value):
    """A number that no C int holds is refused, not cut."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(ValueError, match=f"option {name}: {value} is not within"):
        setattr(left.options, name, value)


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("value", [0, 0.0, -1, math.inf, math.nan])
def test_timeouts_are_positive(name, value):
    """A timeout of no time, of less, or without an end is refused; the kernel would take zero for "never"."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(ValueError, match="timeout"):
        setattr(left.options, name, value)


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize(("value", "least", "most"), [(1e-9, 1e-9, 0.02), (0.25, 0.25, 0.27), (1e12, 1e9, 1e12)])
def test_timeouts_are_rounded_up(name, value, least, most):
    """The shortest timeout is still one, and the kernel rounds up to its clock; a vast one stays vast."""
    left, right = UnixStream.pair()
    with left, right:
        setattr(left.options, name, value)
        assert least <= getattr(left.options, name) <= most
        setattr(left.options, name, None)
        assert getattr(left.options, name) is None


@pytest.mark.parametrize("name", ["unheard_of", "PASS_CREDENTIALS", "_handles", "__deepcopy__", ""])
def test_unknown_names(name):
    """A name without a row is an AttributeError that lists the rows."""
    left, right = UnixStream.pair()
    with left, right:
        for call in (
            lambda: getattr(left.options, name),
            lambda: setattr(left.options, name, 1),
            lambda: UnixStream.pair(options={name: 1}),
        ):
            with pytest.raises(
                AttributeError, match=f"there is no option {name!r}; the options are pass_credentials, "
            ):
                call()
        assert not hasattr(left.options, name)


@pytest.mark.parametrize("name", [1, None, ("pass_rights",), []], ids=repr)
def test_names_are_text(name):
    """What is no str names no option, also when it cannot be a key."""
    with pytest.raises(AttributeError, match="there is no option"):
        options._row(name)


@here
def test_closed_socket(name):
    """The options of a closed socket are EBADF."""
    left, right = UnixStream.pair()
    with left, right:
        kept = left.options
    for call in (lambda: getattr(kept, name), lambda: setattr(kept, name, VALUES[name])):
        with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
            call()
    assert repr(kept) == "<Options >"


def test_repr_shows_what_is_here():
    """The repr shows the value of each option that this build has."""
    left, right = UnixStream.pair()
    with left, right:
        shown = " ".join(f"{name}={getattr(left.options, name)!r}" for name in sorted(HERE))
        assert repr(left.options) == f"<Options {shown}>"
        assert type(left.options) is Options


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HERE] or [None])
def test_absent_options(name):
    """An option that the build lacks says so when it is read, set, or given to a constructor."""
    if name is None:
        assert set(HERE) == set(NAMES)
        return
    left, right = UnixStream.pair()
    with left, right:
        for call in (
            lambda: getattr(left.options, name),
            lambda: setattr(left.options, name, VALUES[name]),
            lambda: UnixStream.pair(options={name: VALUES[name]}),
        ):
            with pytest.raises(FeatureUnavailable) as caught:
                call()
            assert caught.value.feature == FEATURES[name]
            assert caught.value.reason == uds_cffi.features()[FEATURES[name]].reason
        assert name not in repr(left.options)


@pytest.mark.parametrize("name", [name for name in HERE if name not in TIMEOUTS])
def test_option_on_an_older_kernel(name, monkeypatch):
    """A kernel that does not know the option makes a feature unavailable; of any other row it is the plain error."""
    monkeypatch.setattr(options._TABLE[name], "constant", 9999)
    left, right = UnixStream.pair()
    with left, right:
        for call in (lambda: getattr(left.options, name), lambda: setattr(left.options, name, VALUES[name])):
            with pytest.raises(OSError, match=rf"\[Errno {errno.ENOPROTOOPT}\]") as caught:
                call()
            if FEATURES[name] is None:
                assert type(caught.value) is OSError
            else:
                assert type(caught.value) is FeatureUnavailable
                assert (caught.value.feature, caught.value.reason) == (FEATURES[name], "kernel")


def test_write_only_options(monkeypatch):
    """An option that cannot be read reads as what this object set, and as None before."""
    row = options.Option("once", calls.SO_RCVBUF, "Played by another one.", readable=False)
    monkeypatch.setitem(options._TABLE, "once", row)
    left, right = UnixStream.pair(options={"once": 5000})
    with left, right, left.try_clone() as clone:
        assert left.options.once == 5000
        left.options.once = 6000
        assert left.options.once == 6000
        assert right.options.once == 5000
        assert clone.options.once is None


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


@pytest.mark.parametrize("value", [None, "1", 1.0, [1]], ids=repr)
def test_value_of_wrong_type(value):
    """The value of an option is an int or bytes."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(TypeError):
        left.set_option(calls.SOL_SOCKET, calls.SO_SNDBUF, value)
