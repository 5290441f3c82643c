"""The capability table: what this build declares, and what the running kernel does.

Rule: each row is compared with a second opinion: the constants of the build, or the standard library's own sockets.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import socket
import threading

import pytest
import support

from uds_cffi import Feature, FeatureUnavailable, UnixListener, features, lib
from uds_cffi.capabilities import require

DECLARED = {
    "seqpacket": lib.UDS_HAS_SEQPACKET,
    "abstract_addresses": lib.UDS_HAS_ABSTRACT,
    "atomic_cloexec": lib.UDS_HAS_ATOMIC_CLOEXEC,
    "packet_length": lib.UDS_HAS_TRUNC_LENGTH,
    "packet_end": lib.UDS_HAS_PACKET_END,
    "credentials": lib.UDS_HAS_CREDENTIALS,
    "send_credentials": lib.UDS_HAS_SEND_CREDENTIALS,
    "peer_credentials": lib.UDS_HAS_PEER_CREDENTIALS,
    "peer_groups": lib.UDS_HAS_PEER_GROUPS,
    "peer_security_context": lib.UDS_HAS_PEER_SECURITY,
    "peer_audit_token": lib.UDS_HAS_PEER_AUDIT_TOKEN,
    "pidfd": lib.UDS_HAS_PIDFD,
    "pidfd_info": lib.UDS_HAS_PIDFD_INFO,
    "pidfd_identity": lib.UDS_HAS_PIDFD_IDENTITY,
    "peer_pidfd": lib.UDS_HAS_PEER_PIDFD,
    "pass_pidfd": lib.UDS_HAS_PASSPIDFD,
    "bound_file": lib.UDS_HAS_BOUND_FILE,
    "bindat": lib.UDS_HAS_BINDAT,
    "file_mode": lib.UDS_HAS_FILE_MODE,
    "pass_rights": lib.UDS_HAS_PASSRIGHTS,
    "timestamps": lib.UDS_HAS_TIMESTAMPS,
    "inq": lib.UDS_HAS_INQ,
    "pass_security": lib.UDS_HAS_PASS_SECURITY,
    "peek_offset": lib.UDS_HAS_PEEK_OFF,
    "out_of_band": lib.UDS_HAS_OUT_OF_BAND,
    "unsent_bytes": lib.UDS_HAS_UNSENT_BYTES,
    "send_buffer_force": lib.UDS_HAS_SEND_BUFFER_FORCE,
    "cookie": lib.UDS_HAS_COOKIE,
    "namespace_cookie": lib.UDS_HAS_NAMESPACE_COOKIE,
    "diagnostics": lib.UDS_HAS_DIAGNOSTICS,
}

rows = pytest.mark.parametrize("name", DECLARED)

IS_LINUX = platform.system() == "Linux"
SO_PASSRIGHTS = 83
SO_PEERSEC = 31
SO_PEERGROUPS = 59
SO_PASSPIDFD = 76
SO_PEERPIDFD = 77
SIOCUNIXFILE = 0x89E0
SO_COOKIE = 57
SO_NETNS_COOKIE = 71
SO_INQ = 84


def test_rows_are_known():
    """The table has a row for each capability, in a fixed order, and each row knows its name."""
    table = features()
    assert list(table) == list(DECLARED)
    for name, row in table.items():
        assert type(row) is Feature
        assert row.name == name
        assert row.description.endswith(".")
        assert len(row.description) > 20


@rows
def test_declared_is_what_was_built(name):
    """The first column is what the compiled module says."""
    row = features()[name]
    assert row.declared is bool(DECLARED[name])


@rows
def test_columns_agree(name):
    """What is supported is declared and needs no reason; what is not has one of the four reasons."""
    row = features()[name]
    assert type(row.supported) is bool
    if row.supported:
        assert row.declared
        assert row.reason == ""
    elif not row.declared:
        assert row.reason == "not built"
    else:
        assert row.reason in ("kernel", "no security module", "not permitted")


@pytest.mark.skipif(not lib.UDS_MINIMAL_BUILD, reason=f"{support.FEATURE_SKIP}minimal_build is absent")
def test_minimal_build_declares_nothing():
    """In the minimal build every capability is absent."""
    assert not any(row.declared or row.supported for row in features().values())


@pytest.mark.skipif(
    bool(lib.UDS_MINIMAL_BUILD) or not IS_LINUX, reason=f"{support.FEATURE_SKIP}minimal_build is present"
)
def test_whole_build_declares_everything_on_linux():
    """On Linux every capability but another system's is built in, however old the headers are."""
    assert {name for name, row in features().items() if not row.declared} == {"peer_audit_token"}


def kernel_takes(option: int, value: int) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, value)
        except OSError as error:
            return error.errno != errno.ENOPROTOOPT
        return True


def kernel_gives(option: int, size: int = 1024) -> bool:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        try:
            left.getsockopt(socket.SOL_SOCKET, option, size)
        except OSError as error:
            return error.errno == errno.ERANGE
        return True


def kernel_gives_pidfds() -> bool:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        try:
            number = left.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
        except OSError as error:
            return error.errno != errno.ENOPROTOOPT
        os.close(number)
        return True


def kernel_tells_files() -> str:
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(OSError, match="Errno") as caught:
        fcntl.ioctl(sock.fileno(), SIOCUNIXFILE, 0)
    return {errno.ENOENT: "", errno.EPERM: "not permitted"}.get(caught.value.errno, "kernel")


@pytest.mark.skipif(
    bool(lib.UDS_MINIMAL_BUILD) or not IS_LINUX, reason=f"{support.FEATURE_SKIP}minimal_build is present"
)
def test_supported_is_what_the_kernel_does():
    """The second column agrees with what the standard library's sockets meet on this kernel."""
    table = features()
    assert table["pass_rights"].supported is kernel_takes(SO_PASSRIGHTS, 1)
    assert table["inq"].supported is kernel_takes(SO_INQ, 1)
    assert table["cookie"].supported is kernel_gives(SO_COOKIE, 8)
    assert table["namespace_cookie"].supported is kernel_gives(SO_NETNS_COOKIE, 8)
    # A security module labels both, or neither.
    assert table["pass_security"].supported is kernel_gives(SO_PEERSEC)
    assert table["peer_groups"].supported is kernel_gives(SO_PEERGROUPS)
    assert table["peer_security_context"].supported is kernel_gives(SO_PEERSEC)
    assert table["pass_pidfd"].supported is kernel_takes(SO_PASSPIDFD, 1)
    assert table["peer_pidfd"].supported is kernel_gives_pidfds()
    assert table["bound_file"].reason == kernel_tells_files()
    # These are as old as the oldest kernel that the interpreters run on.
    for name in ("seqpacket", "abstract_addresses", "atomic_cloexec", "packet_length", "credentials"):
        assert table[name].supported
    for name in ("packet_end", "peer_credentials", "peek_offset", "timestamps", "unsent_bytes", "send_buffer_force"):
        assert table[name].supported


def test_rows_are_tuples():
    """A row is a named tuple, so it equals the plain one."""
    row = Feature("x", True, False, "kernel", "What it is.")
    assert row == ("x", True, False, "kernel", "What it is.")
    assert row._asdict()["reason"] == "kernel"


def test_each_call_asks_anew():
    """The table is made anew by each call: changing one changes no other."""
    one = features()
    one.clear()
    assert list(features()) == list(DECLARED)


@rows
def test_require(name):
    """``require`` is silent where the build has the feature, and raises where it does not."""
    if DECLARED[name]:
        assert require(name) is None
    else:
        with pytest.raises(FeatureUnavailable) as caught:
            require(name)
        assert (caught.value.feature, caught.value.reason) == (name, "not built")
        assert caught.value.errno == errno.ENOSYS


def test_unknown_feature():
    """A name without a row is an error of the caller."""
    with pytest.raises(KeyError):
        require("unheard_of")


def without_descriptors() -> None:
    import resource

    last = os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))
    with contextlib.suppress(OSError):
        while True:
            os.dup(0)
    if lib.UDS_MINIMAL_BUILD:
        # There is nothing to ask the kernel for.
        assert {row.reason for row in features().values()} == {"not built"}
    else:
        with support.raises_errno(errno.EMFILE):
            features()


def test_nothing_can_be_found_out_without_descriptors():
    """Where no descriptor can be opened, features() says so, instead of calling everything unsupported."""
    support.run_child(without_descriptors)


def test_table_in_many_threads(socket_path):
    """Asking in several threads at once, beside a server, gives each the same table."""
    expected = features()
    seen = []
    with UnixListener.bind(socket_path):
        threads = [threading.Thread(target=lambda: seen.append(features())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [expected] * 4
