"""pair, and the options that every constructor sets on what it makes.

Rule: an option that cannot be is refused before a socket is made, and one that the kernel refuses leaves nothing open.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
import support

from uds_cffi import FeatureUnavailable, UnixSeqpacketConn, UnixSeqpacketListener


@pytest.mark.parametrize("kind", support.TYPES)
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"no_such_option": 1}, AttributeError),
        ({"send_buffer": "1"}, TypeError),
        ({"send_buffer": True}, TypeError),
        ({"send_buffer": 2**31}, ValueError),
        ({"send_timeout": 0}, ValueError),
        ({"send_buffer": 10000, "receive_timeout": -1.0}, ValueError),
        (5, TypeError),
    ],
)
def test_bad_options_are_refused_first(
    kind: Any, options: Any, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad name or value in options= is refused before a socket is made, by every constructor."""

    def never(*_: object) -> int:
        raise AssertionError("a socket was made")

    monkeypatch.setattr("uds_cffi.calls.open_socket", never)
    monkeypatch.setattr("uds_cffi.calls.open_connected", never)
    monkeypatch.setattr("uds_cffi.calls.open_pair", never)
    with pytest.raises(error):
        kind.connect("nowhere", options=options)
    with pytest.raises(error):
        kind.pair(options=options)


@pytest.mark.parametrize("kind", support.TYPES)
def test_pair_has_the_options_on_both_ends(kind: Any) -> None:
    """pair() sets the options on both ends, which are unnamed and perhaps nonblocking."""
    one, two = kind.pair(nonblocking=True, options={"send_buffer": 50_000, "receive_timeout": 2.0})
    with one, two:
        for end in (one, two):
            assert end.options.send_buffer >= 50_000
            assert end.options.receive_timeout == 2.0
            assert end.is_nonblocking()
            assert end.local_addr().is_unnamed
            assert end.peer_addr().is_unnamed


@pytest.mark.parametrize("kind", support.TYPES)
def test_option_that_the_kernel_refuses_leaves_nothing_open(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an option cannot be set, the sockets that were made for it are closed."""
    monkeypatch.setattr("uds_cffi.calls.setsockopt_int_or_code", lambda *_: -errno.EPERM)
    for make in (kind.pair, lambda **options: kind.connect("nowhere", **options)):
        with pytest.raises(PermissionError):
            make(options={"send_buffer": 50_000})


@support.needs("seqpacket")
@pytest.mark.parametrize("code", [errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPROTOTYPE])
def test_sequenced_packets_that_the_kernel_refuses(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no sequenced packets connect, pair and bind say so, with the kernel's errno."""
    monkeypatch.setattr("uds_cffi.calls.open_socket", lambda *_: -code)
    monkeypatch.setattr("uds_cffi.calls.open_connected", lambda *_: -code)
    monkeypatch.setattr("uds_cffi.calls.open_pair", lambda *_: -code)
    for make in (
        UnixSeqpacketConn.pair,
        lambda: UnixSeqpacketConn.connect("nowhere"),
        lambda: UnixSeqpacketListener.bind("nowhere"),
    ):
        with pytest.raises(FeatureUnavailable) as caught:
            make()
        error = caught.value
        assert (error.feature, error.reason, error.errno) == ("seqpacket", "kernel", code)


@support.lacks("seqpacket")
def test_sequenced_packets_where_there_are_none() -> None:
    """Without sequenced packets connect and pair say which feature is missing."""
    for make in (UnixSeqpacketConn.pair, lambda: UnixSeqpacketConn.connect("nowhere")):
        with pytest.raises(FeatureUnavailable) as caught:
            make()
        assert (caught.value.feature, caught.value.reason) == ("seqpacket", "not built")
