"""Options: each row of the table is read, set, refused, absent, and proven by a message.

Rule: that an option reads as it was set proves nothing; each has a test of what it does to messages.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterable
from typing import Any

import pytest
import support

import uds_cffi
from uds_cffi import (
    FeatureUnavailable,
    Options,
    UnixDatagram,
    UnixListener,
    UnixStream,
    calls,
    optionrows,
    options,
)

# A value that differs from the default, and what it reads as; feature is None where every system has the row.
BOOLEANS = {
    "pass_credentials": "credentials",
    "pass_pidfd": "pass_pidfd",
    "pass_rights": "pass_rights",
    "pass_security": "pass_security",
    "oob_inline": "out_of_band",
}
INTEGERS = {"peek_offset": "peek_offset", "send_buffer": None, "receive_buffer": None, "receive_low_water": None}
TIMEOUTS = ("receive_timeout", "send_timeout")
CHOICES = {"timestamps": "timestamps"}
WRITE_ONLY = {"inq": "inq", "send_buffer_force": "send_buffer_force"}
READ_ONLY = {"cookie": "cookie", "namespace_cookie": "namespace_cookie"}
BOTH_WAYS = {**BOOLEANS, **INTEGERS, **dict.fromkeys(TIMEOUTS), **CHOICES}
FEATURES = {**BOTH_WAYS, **WRITE_ONLY, **READ_ONLY}
NAMES = tuple(FEATURES)


def is_here(name: str) -> bool:
    """Tell whether this build has an option; a security module is not needed for it."""
    feature = FEATURES[name]
    return feature is None or uds_cffi.features()[feature].reason in ("", "no security module")


HERE = [name for name in NAMES if is_here(name)]
HERE_BOTH_WAYS = [name for name in HERE if name in BOTH_WAYS]

here = pytest.mark.parametrize("name", HERE_BOTH_WAYS)
kinds = pytest.mark.parametrize("kind", support.TYPES)

# What means nothing on one type of socket, or on a listener.
ALL_BUT_LISTENERS = frozenset(("stream", "datagram", "seqpacket"))
STREAMS = frozenset(("stream",))
SOCKETS = {
    "timestamps": {"datagram", "seqpacket"},
    **dict.fromkeys(("inq", "oob_inline", "receive_low_water"), STREAMS),
    **dict.fromkeys(("peek_offset", "send_buffer_force"), ALL_BUT_LISTENERS),
}
ROLES = {"UnixStream": "stream", "UnixDatagram": "datagram", "UnixSeqpacketConn": "seqpacket"}

DEFAULTS = {
    "pass_credentials": False,
    "pass_pidfd": False,
    "pass_security": False,
    "pass_rights": True,
    "peek_offset": -1,
    "oob_inline": False,
    "receive_low_water": 1,
    "timestamps": "off",
    "receive_timeout": None,
    "send_timeout": None,
}
VALUES = {
    "pass_credentials": True,
    "pass_pidfd": True,
    "pass_security": True,
    "pass_rights": False,
    "peek_offset": 3,
    "oob_inline": True,
    "receive_low_water": 7,
    "timestamps": "nanoseconds",
    "send_buffer": 20000,
    "receive_buffer": 20000,
    "receive_timeout": 1.5,
    "send_timeout": 2,
    "inq": True,
    "send_buffer_force": 20000,
}


def means_something(name: str, role: str) -> bool:
    return role in SOCKETS.get(name, {role})


def pair_for(name: str) -> tuple[Any, Any]:
    """Make a pair of sockets for which the option means something."""
    return UnixStream.pair() if means_something(name, "stream") else UnixDatagram.pair()


def as_read(name: str, value: object) -> object:
    """Return what the kernel makes of a value: it doubles the sizes of buffers."""
    return value * 2 if name.endswith("_buffer") else value


# --- The table ----------------------------------------------------------------------------------


def test_the_names():
    """The rows are these, each with the constant of the manual, a first kernel and sentences."""
    assert set(optionrows.ROWS_BY_NAME) == set(NAMES) == set(options.describe_options())
    for name, row in optionrows.ROWS_BY_NAME.items():
        assert row.name == name
        assert row.label.startswith("SO_")
        assert row.since[0] in "23456"
        assert row.description.endswith(".")
        assert set(row.sockets) == SOCKETS.get(name, {"stream", "datagram", "seqpacket", "listener"})
        assert row.feature == FEATURES[name]
        assert row.access == ("read" if name in READ_ONLY else "write" if name in WRITE_ONLY else "read and write")
        assert row.default == DEFAULTS.get(name, False if name == "inq" else None)


@kinds
def test_names_of_a_type(kind):
    """An object lists the options that mean something on its type of socket."""
    left, right = kind.pair()
    with left, right:
        assert dir(left.options) == sorted(name for name in NAMES if means_something(name, ROLES[kind.__name__]))


@here
@kinds
def test_each_option_is_read_and_set(name, kind):
    """An option has its default, takes a value, reads as the kernel has it, and goes back."""
    if not means_something(name, ROLES[kind.__name__]):
        return
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


@pytest.mark.parametrize("name", SOCKETS)
@pytest.mark.parametrize("kind", [*support.TYPES, UnixListener])
def test_option_on_another_type_of_socket(name, kind, short_dir):
    """An option that means nothing on a type of socket is refused with the reason, before anything is made."""
    path = os.path.join(short_dir, "s")
    role = ROLES.get(kind.__name__, "listener")
    if means_something(name, role):
        return
    made = (kind.bind(path),) if kind is UnixListener else kind.pair()
    reason = "do not inherit it" if role == "listener" else "only|never|whole"
    wanted = {name: VALUES[name]}
    with made[0] as one, made[-1]:
        for call in (
            lambda: getattr(one.options, name),
            lambda: setattr(one.options, name, VALUES[name]),
            lambda: kind.bind(path + "2", options=wanted) if kind is UnixListener else kind.pair(options=wanted),
        ):
            with pytest.raises(ValueError, match=rf"^option {name} is for .*, not {role}: .*({reason})"):
                call()
        assert name not in dir(one.options)
        assert name not in repr(one.options)
    assert os.listdir(short_dir) == (["s"] if kind is UnixListener else [])


@pytest.mark.parametrize("name", [name for name in HERE if name not in READ_ONLY])
def test_wrong_types_are_refused(name):
    """A value of another type is a TypeError that names the option, and the option keeps its value."""
    bad = {
        **dict.fromkeys([*BOOLEANS, "inq"], (0, 1, None, "yes", 1.0)),
        **dict.fromkeys([*INTEGERS, "send_buffer_force"], (True, None, "1", 1.0, b"1")),
        **dict.fromkeys(TIMEOUTS, (True, "1", b"1", [1])),
        **dict.fromkeys(CHOICES, (True, None, 1, b"off")),
    }
    left, right = pair_for(name)
    with left, right:
        before = getattr(left.options, name)
        for value in bad[name]:
            for call in (
                lambda value=value: setattr(left.options, name, value),
                lambda value=value: type(left).pair(options={name: value}),
            ):
                with pytest.raises(TypeError, match=f"option {name} is "):
                    call()
        assert getattr(left.options, name) == before


@support.needs("timestamps")
@pytest.mark.parametrize("value", ["", "on", "Nanoseconds", "seconds"])
def test_unknown_units_are_refused(value):
    """A unit that is none is a ValueError that names the three."""
    left, right = UnixDatagram.pair()
    with left, right, pytest.raises(ValueError, match='is "off", "microseconds" or "nanoseconds", not'):
        left.options.timestamps = value


@pytest.mark.parametrize("name", [name for name in (*INTEGERS, "send_buffer_force") if name in HERE])
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
    with left, right, pytest.raises(ValueError, match=f"option {name} is positive"):
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
            with pytest.raises(AttributeError, match=f"there is no option {name!r}; the options are cookie, inq, "):
                call()
        assert not hasattr(left.options, name)


@pytest.mark.parametrize("name", [1, None, ("pass_rights",), []], ids=repr)
def test_names_are_text(name):
    """What is no str names no option, also when it cannot be a key."""
    with pytest.raises(AttributeError, match="there is no option"):
        options._row(name, "stream")


@pytest.mark.parametrize("name", HERE)
def test_closed_socket(name):
    """The options of a closed socket are EBADF."""
    left, right = pair_for(name)
    with left, right:
        kept = left.options
    calls = []
    if name not in WRITE_ONLY:
        calls.append(lambda: getattr(kept, name))
    if name not in READ_ONLY:
        calls.append(lambda: setattr(kept, name, VALUES[name]))
    for call in calls:
        with support.raises_errno(errno.EBADF):
            call()
    assert repr(kept) == "<Options>"


def shown_as(sock: Any, names: Iterable[str]) -> str:
    return f"<{' '.join(['Options', *(f'{name}={getattr(sock.options, name)!r}' for name in names)])}>"


@kinds
def test_repr_shows_what_is_set(kind):
    """The repr of a new socket shows nothing; each option that is set is shown, and no more once it is as before."""
    left, right = kind.pair()
    # Where the kernel does not tell who set the buffers, both are always shown.
    always = () if calls.SO_BUF_LOCK > 0 else ("receive_buffer", "send_buffer")
    with left, right:
        assert type(left.options) is Options
        names = [name for name in HERE if name in VALUES and means_something(name, ROLES[kind.__name__])]
        for name in names:
            if name.endswith("_buffer") or name == "send_buffer_force":
                continue
            before = getattr(left.options, name)
            setattr(left.options, name, VALUES[name])
            shown = sorted({*always, name})
            assert repr(left.options) == shown_as(left, shown)
            setattr(left.options, name, before if before is not None or name in TIMEOUTS else False)
        assert repr(left.options) == shown_as(left, always)
        left.options.send_buffer = 20000
        assert "send_buffer=40000" in repr(left.options)
        if not always:
            assert repr(left.options) == "<Options send_buffer=40000>"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HERE] or [None])
def test_absent_options(name):
    """An option that the build lacks says so when it is read, set, or given to a constructor."""
    if name is None:
        assert set(HERE) == set(NAMES)
        return
    left, right = pair_for(name)
    reading = [lambda: getattr(left.options, name)]
    writing = [
        lambda: setattr(left.options, name, VALUES[name]),
        lambda: type(left).pair(options={name: VALUES[name]}),
    ]
    with left, right:
        for call in reading + ([] if name in READ_ONLY else writing):
            with pytest.raises(FeatureUnavailable) as caught:
                call()
            assert caught.value.feature == FEATURES[name]
            assert caught.value.reason == uds_cffi.features()[FEATURES[name]].reason
        assert name not in repr(left.options)


@pytest.mark.parametrize("name", [name for name in HERE if name not in (*TIMEOUTS, *CHOICES)])
@pytest.mark.parametrize("code", [errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EINVAL])
def test_option_on_an_older_kernel(name, code, monkeypatch):
    """A kernel that does not know the option makes a feature unavailable; all else is the plain error."""
    for function in ("getsockopt_or_code", "setsockopt_int_or_code"):
        monkeypatch.setattr(calls, function, lambda *_: -code)
    left, right = pair_for(name)
    with left, right:
        attempts = []
        if name not in WRITE_ONLY:
            attempts.append(lambda: getattr(left.options, name))
        if name not in READ_ONLY:
            attempts.append(lambda: setattr(left.options, name, VALUES[name]))
        for call in attempts:
            with support.raises_errno(code) as caught:
                call()
            if FEATURES[name] is None or code == errno.EINVAL:
                assert type(caught.value) is OSError
            else:
                assert type(caught.value) is FeatureUnavailable
                assert (caught.value.feature, caught.value.reason) == (FEATURES[name], "kernel")


@support.needs("timestamps")
def test_timestamps_on_an_older_kernel(monkeypatch):
    """A kernel without them makes the feature unavailable; one without the new spellings reads the old ones."""
    left, right = UnixDatagram.pair()
    with left, right:
        monkeypatch.setattr(calls, "MICROSECOND_STAMPS", (calls.MICROSECOND_STAMPS[0], 9999))
        monkeypatch.setattr(calls, "NANOSECOND_STAMPS", (calls.NANOSECOND_STAMPS[0], 9999))
        left.options.timestamps = "nanoseconds"
        assert left.options.timestamps == "nanoseconds"
        left.options.timestamps = "off"
        assert left.options.timestamps == "off"
        monkeypatch.setattr(calls, "MICROSECOND_STAMPS", (9999,))
        for call in (
            lambda: left.options.timestamps,
            lambda: setattr(left.options, "timestamps", "microseconds"),
        ):
            with pytest.raises(FeatureUnavailable) as caught:
                call()
            assert (caught.value.feature, caught.value.errno) == ("timestamps", errno.ENOPROTOOPT)


@pytest.mark.parametrize("name", [name for name in HERE if name in READ_ONLY])
def test_read_only_options(name):
    """An option that can only be read says so when it is set or given to a constructor."""
    left, right = UnixStream.pair()
    with left, right:
        value = getattr(left.options, name)
        assert value > 0
        for call in (lambda: setattr(left.options, name, value), lambda: UnixStream.pair(options={name: value})):
            with pytest.raises(AttributeError, match=f"option {name} can only be read"):
                call()


def test_write_only_options(monkeypatch):
    """An option that cannot be read reads as what this object set, and as None before."""
    row = optionrows.Option("once", "SO_RCVBUF", calls.SO_RCVBUF, "Played by another one.", access="write")
    monkeypatch.setitem(optionrows.ROWS_BY_NAME, "once", row)
    left, right = UnixStream.pair(options={"once": 5000})
    with left, right, left.try_clone() as clone:
        assert left.options.once == 5000
        left.options.once = 6000
        assert left.options.once == 6000
        assert "once=6000" in repr(left.options)
        assert right.options.once == 5000
        assert clone.options.once is None
        assert "once" not in repr(clone.options)
