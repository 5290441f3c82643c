"""Errors: which builtins they are, what they carry, and what survives pickling."""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import pickle
import socket

import pytest
import support

import uds_cffi
from uds_cffi import (
    AddressError,
    AddressTypeError,
    AncillaryTruncated,
    FeatureUnavailable,
    FrameError,
    IncompleteReadError,
    UdsError,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSocketAddr,
    UnixStream,
)

BUILTINS = {
    FeatureUnavailable: (OSError, NotImplementedError),
    AddressError: (ValueError,),
    AddressTypeError: (ValueError, TypeError),
    AncillaryTruncated: (OSError,),
    IncompleteReadError: (EOFError,),
    FrameError: (ValueError,),
}


@pytest.mark.parametrize(("error", "bases"), BUILTINS.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_errors_are_builtins_too(error, bases):
    """Each error of the library is a UdsError, and the builtin that Python users catch."""
    assert issubclass(error, UdsError)
    for base in bases:
        assert issubclass(error, base)
    others = {OSError, ValueError, TypeError, EOFError, NotImplementedError} - set(bases)
    assert not any(issubclass(error, other) for other in others)


def test_the_list_is_complete():
    """Every public error class is in the table above."""
    public = {
        value
        for value in (getattr(uds_cffi, name) for name in uds_cffi.__all__)
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert public == {UdsError, *BUILTINS}


# --- FeatureUnavailable -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("peer_groups", "not built"), errno.ENOSYS),
        (("peer_groups", "kernel", errno.ENOPROTOOPT), errno.ENOPROTOOPT),
        (("peer_security_context", "no security module", errno.ENOPROTOOPT), errno.ENOPROTOOPT),
    ],
)
def test_feature_unavailable_says_which_and_why(arguments, code):
    """The error has the feature, the reason and the errno, also in its text and after pickling."""
    error = FeatureUnavailable(*arguments)

    for made in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(made) is FeatureUnavailable
        assert (made.feature, made.reason, made.errno) == (*arguments[:2], code)
        assert made.strerror == str(made).partition("] ")[2]
        assert made.filename is None
        for part in (f"[Errno {code}]", *arguments[:2], os.strerror(code)):
            assert part in str(made)


# --- AncillaryTruncated -------------------------------------------------------------------------


def test_surplus_descriptors_are_reported_with_what_arrived():
    """More descriptors than asked for: the error owns the first ones and counts the others, which are closed."""
    left, right = UnixStream.pair()
    read, write = os.pipe()
    with left, right:
        right.send_fds(b"data", [write, write, write])
        os.close(write)
        with pytest.raises(AncillaryTruncated) as caught:
            left.recv_fds(100, 1)
    error = caught.value
    with error.fds as fds:
        assert error.data == b"data"
        assert len(fds) == 1
        assert error.lost == 2
        assert error.errno == errno.EMSGSIZE
        assert "more descriptors than max_fds arrived: 2 closed, 1 kept" in str(error)
        with pytest.raises(TypeError):
            pickle.dumps(error)
    # Nobody holds the other end any more.
    assert os.read(read, 1) == b""
    os.close(read)


def receive_at_the_limit(left: UnixStream) -> None:
    import resource

    last = os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))
    # All numbers are in use now, but for the one that is freed here.
    with contextlib.suppress(OSError):
        while True:
            os.dup(0)
    os.close(last)
    with pytest.raises(AncillaryTruncated) as caught:
        left.recv_fds(100, 5)
    assert caught.value.data == b"data"
    assert caught.value.fds.numbers() == [last]
    assert caught.value.lost is None
    assert "the kernel dropped descriptors of this message; 1 arrived" in str(caught.value)
    caught.value.fds.close()


def test_descriptors_that_the_kernel_dropped_are_reported():
    """When this process may open no more, what did arrive is reported, and the loss, whose size nobody knows."""
    left, right = UnixStream.pair()
    with left, right:
        right.send_fds(b"data", [0, 0, 0])
        support.run_child(receive_at_the_limit, left)


# --- IncompleteReadError ------------------------------------------------------------------------


def test_incomplete_read_has_what_came():
    """A stream that ends too early: the error has the bytes and the number that was wanted."""
    left, right = UnixStream.pair()
    with left, right:
        right.sendall(b"abc")
        right.close()
        with pytest.raises(IncompleteReadError) as caught:
            left.recv_exactly(5)

    for made in (caught.value, pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert type(made) is IncompleteReadError
        assert (made.partial, made.expected) == (b"abc", 5)
        assert str(made) == "the connection ended after 3 of 5 bytes"


# --- What the kernel says -----------------------------------------------------------------------


def missing(path: str) -> None:
    UnixStream.connect(path)


def refused(path: str) -> None:
    UnixListener.bind(path).close()
    UnixStream.connect(path)


def used(path: str) -> None:
    UnixListener.bind(path).close()
    UnixListener.bind(path)


def no_folder(path: str) -> None:
    UnixDatagram.bind(path + "/x")


def nobody_there(path: str) -> None:
    with UnixDatagram.unbound() as sock:
        sock.send_to(b"x", path)


def another_type(path: str) -> None:
    with UnixListener.bind(path):
        UnixDatagram.connect(path)


@pytest.mark.parametrize(
    ("action", "kind", "code"),
    [
        (missing, FileNotFoundError, errno.ENOENT),
        (refused, ConnectionRefusedError, errno.ECONNREFUSED),
        (used, OSError, errno.EADDRINUSE),
        (no_folder, FileNotFoundError, errno.ENOENT),
        (nobody_there, FileNotFoundError, errno.ENOENT),
        (another_type, OSError, errno.EPROTOTYPE),
    ],
)
def test_kernel_errors_name_the_address(action, kind, code, socket_path):
    """An error of the kernel is the subclass of OSError for its errno, and names the address."""
    with pytest.raises(kind) as caught:
        action(socket_path)
    assert type(caught.value) is kind
    assert caught.value.errno == code
    assert caught.value.strerror == os.strerror(code)
    assert caught.value.filename in (socket_path, socket_path + "/x")
    assert str(caught.value).endswith(f"{caught.value.filename!r}")


@support.needs("abstract_addresses")
def test_kernel_errors_name_an_abstract_address():
    """In an error an abstract address is what ``str`` makes of it."""
    address = UnixSocketAddr.from_abstract(b"nobody\0\xff%d" % os.getpid())
    with pytest.raises(ConnectionRefusedError) as caught:
        UnixStream.connect(address)
    assert caught.value.filename == str(address)


def test_errors_without_an_address_have_no_filename():
    """Where no address was given, the error has none."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(BlockingIOError) as caught:
        left.recv(1, uds_cffi.MSG_DONTWAIT)
    assert caught.value.filename is None
    assert caught.value.errno == errno.EAGAIN


def test_adopting_another_family_names_it():
    """A socket of another address family is refused, and stays its owner's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        with pytest.raises(ValueError, match="not AF_UNIX"):
            UnixDatagram.from_fd(other.fileno())
        assert other.getsockname() == ("0.0.0.0", 0)


def open_seqpackets(_: str) -> None:
    UnixSeqpacketConn.pair()


@support.lacks("seqpacket")
def test_absent_socket_type(socket_path):
    """Without sequenced packets in the build, making one says so."""
    for make in (open_seqpackets, UnixSeqpacketConn.connect, uds_cffi.UnixSeqpacketListener.bind):
        with pytest.raises(FeatureUnavailable) as caught:
            make(socket_path)
        assert (caught.value.feature, caught.value.reason) == ("seqpacket", "not built")
