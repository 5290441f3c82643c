"""Probes: each does the thing on sockets of its own, and believes only what came of it.

Rule: a kernel that accepts an option and ignores it is "kernel", not supported.  Such kernels are played here by a pair
that loses what a real one does.
"""

from __future__ import annotations

import errno
import os
import struct
import time

import pytest
import support
from answers import Lib

from uds_cffi import calls, features, fileprobes, lib, naming, probes, probing

NAMES = tuple(features())

rows = pytest.mark.parametrize("name", NAMES)


options = pytest.mark.parametrize(
    "name",
    [
        "credentials",
        "send_credentials",
        "pass_pidfd",
        "pass_rights",
        "peek_offset",
        *[pytest.param(name, marks=support.needs(name)) for name in ("timestamps", "inq")],
    ],
)
labels = pytest.mark.skipif(not lib.UDS_HAS_PASS_SECURITY, reason=f"{support.FEATURE_SKIP}pass_security is absent")


def probe(name: str) -> str:
    return getattr(probes, name)()


@rows
def test_probe_is_the_row(name):
    """Where a capability is declared, the table says what its probe returns."""
    row = features()[name]
    if row.declared:
        assert probe(name) == row.reason


@rows
def test_probe_says_what_it_does(name):
    """Each probe has a name and a sentence."""
    function = getattr(probes, name)
    assert function.__name__ == name
    assert function.__doc__.endswith(".")


@rows
def test_probe_without_sockets(name, monkeypatch):
    """When no pair can be made, the answer is "kernel"."""
    monkeypatch.setattr(calls, "open_pair", lambda one, two, kind, nonblocking: -errno.EPROTONOSUPPORT)
    assert probe(name) == "kernel"


@options
def test_probe_of_an_unknown_option(name, monkeypatch):
    """A kernel that does not know the option has not got the feature."""
    monkeypatch.setattr(probing.Pair, "set", lambda pair, *option: False)
    assert probe(name) == "kernel"


@options
def test_probe_of_an_ignored_option(name, monkeypatch):
    """A kernel that accepts the option and ignores it has not got the feature either."""
    monkeypatch.setattr(probing.Pair, "set", lambda pair, *option: True)
    assert probe(name) == "kernel"


@pytest.mark.parametrize(
    "name",
    [
        *["atomic_cloexec", "credentials", "packet_length", "packet_end", "pass_pidfd", "peek_offset"],
        *[pytest.param(name, marks=support.needs(name)) for name in ("timestamps", "inq", "unsent_bytes")],
    ],
)
def test_probe_whose_message_is_lost(name, monkeypatch):
    """A probe whose message does not arrive does not find the feature."""
    monkeypatch.setattr(probing.Pair, "send", lambda pair, data, fds=None: -errno.EPERM)
    assert probe(name) == "kernel"


@support.needs("pass_rights")
def test_pass_rights_needs_the_refusal(monkeypatch):
    """Only the refusal of the sender shows that descriptors are refused."""
    monkeypatch.setattr(probing.Pair, "send", lambda pair, data, fds=None: 1)
    assert probe("pass_rights") == "kernel"


@support.needs("seqpacket")
def test_seqpacket_needs_the_boundaries(monkeypatch):
    """Packets that arrive as one are no packets."""
    monkeypatch.setattr(calls, "recv_packet", lambda handle, data, size, flags: 3)
    assert probe("seqpacket") == "kernel"


@support.needs("packet_end")
def test_packet_end_needs_both_answers(monkeypatch):
    """A kernel that says "a packet is waiting" whatever is the case cannot tell the end."""
    monkeypatch.setattr(calls, "packet_waiting", lambda handle: 1)
    assert probe("packet_end") == "kernel"


@support.needs("peer_groups")
@pytest.mark.parametrize("answer", [-errno.ENOPROTOOPT, [2**32 - 2]], ids=["unknown", "wrong"])
def test_peer_groups_are_compared(answer, monkeypatch):
    """Groups that are not this process's are not the peer's."""
    monkeypatch.setattr(calls, "peer_groups", lambda handle: answer)
    assert probe("peer_groups") == "kernel"


@support.needs("peer_credentials")
@pytest.mark.parametrize("connects", [True, False])
def test_peer_of_a_connection_where_a_pair_has_none(connects, monkeypatch):
    """A kernel that records nothing of a pair is asked of a connection; where none can be made, nobody knows."""
    ask, asked = lib.uds_handle_peer_credentials, []

    def of_connections(handle, peer):
        asked.append(naming.peer_name(handle).kind)
        return ask(handle, peer) if asked[-1] == "path" else -errno.ENOTCONN

    playing = Lib()
    playing.uds_handle_peer_credentials = of_connections
    monkeypatch.setattr(probes, "lib", playing)
    if not connects:
        monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_connect_briefly=-errno.EACCES))
    assert probe("peer_credentials") == ("" if connects else "not permitted")
    assert asked == ["unnamed", "path"][: 1 + connects]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"label", ""),
        (-errno.ENOPROTOOPT, "no security module"),
        (-errno.EINVAL, "kernel"),
    ],
)
def test_security_module_and_kernel_are_told_apart(answer, reason, monkeypatch):
    """An unknown option means that no security module labels sockets; any other error is the kernel's."""
    monkeypatch.setattr(calls, "peer_security", lambda handle: answer)
    assert probe("peer_security_context") == reason


@pytest.mark.parametrize("more", [0, 1])
def test_audit_tokens_are_compared(more, monkeypatch):
    """A token of another process is none of the peer's."""
    token = struct.pack("8i", 0, 0, 0, 0, 0, os.getpid() + more, 0, 0)
    monkeypatch.setattr(calls, "peer_audit_token", lambda handle: token)
    assert probe("peer_audit_token") == ("kernel" if more else "")


@support.needs("timestamps")
@pytest.mark.parametrize("offset", [-61, 61])
def test_timestamps_are_compared(offset, monkeypatch):
    """A time that is not the present one is no timestamp; a malformed one is none either."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + offset * 10**9)
    assert probe("timestamps") == "kernel"


@support.needs("timestamps")
def test_malformed_timestamps_are_none(monkeypatch):
    """A message of the right type with other bytes shows nothing."""
    kinds = [(lib.SOL_SOCKET, kind, b"\0") for kind in calls.NANOSECOND_STAMPS]
    monkeypatch.setattr(probing.Pair, "receive", lambda pair: kinds)
    assert probe("timestamps") == "kernel"


@support.needs("timestamps")
def test_both_units_are_tried(monkeypatch):
    """A kernel with one of the two options is not enough."""
    real = probing.Pair.set
    monkeypatch.setattr(
        probing.Pair, "set", lambda pair, name, value: name in calls.NANOSECOND_STAMPS and real(pair, name, value)
    )
    assert probe("timestamps") == "kernel"


@support.needs("inq")
@pytest.mark.parametrize("unread", [0, 3, 20])
def test_unread_bytes_are_compared(unread, monkeypatch):
    """A number that is not what is left is no number of unread bytes."""
    found = [(lib.SOL_SOCKET, lib.SCM_INQ, struct.pack("=i", unread))]
    monkeypatch.setattr(probing.Pair, "receive", lambda pair: found)
    assert probe("inq") == "kernel"


@labels
@pytest.mark.parametrize(
    ("known", "label", "peer", "reason"),
    [
        (False, [], -errno.ENOPROTOOPT, "kernel"),
        (True, [], -errno.ENOPROTOOPT, "no security module"),
        (True, [], b"label", "kernel"),
        (True, [b"label"], b"label", ""),
    ],
)
def test_old_kernel_and_no_module_are_told_apart(known, label, peer, reason, monkeypatch):
    """Of a label that does not come, the option and the peer's own label tell why."""
    found = [(lib.SOL_SOCKET, lib.SCM_SECURITY, data) for data in label]
    monkeypatch.setattr(probing.Pair, "set", lambda pair, *option: known)
    monkeypatch.setattr(probing.Pair, "receive", lambda pair: found)
    monkeypatch.setattr(calls, "peer_security", lambda handle: peer)
    assert probe("pass_security") == reason


@support.needs("out_of_band")
@pytest.mark.parametrize("step", ["send", "end", "mark", "take"])
def test_out_of_band_needs_each_step(step, monkeypatch):
    """A kernel that refuses MSG_OOB, ignores it, has no mark, or loses the byte has no out-of-band data."""
    real = calls.recv

    class Lib:
        def __getattr__(self, name: str) -> object:
            return (lambda *arguments: -errno.EOPNOTSUPP) if name == "uds_handle_send" else getattr(lib, name)

    if step == "send":
        monkeypatch.setattr(probes, "lib", Lib())
    elif step == "mark":
        monkeypatch.setattr(calls, "at_mark", lambda handle: -errno.ENOTTY)
    else:
        wrong = {"end": (2, 2), "take": (1, -errno.EINVAL)}[step]

        def recv(handle: object, data: object, size: int, flags: int) -> int:
            return wrong[1 if flags & lib.MSG_OOB else 0] if real(handle, data, size, flags) >= 0 else -1

        monkeypatch.setattr(calls, "recv", recv)
    assert probe("out_of_band") == "kernel"


@support.needs("unsent_bytes")
def test_unsent_bytes_go_down(monkeypatch):
    """A number that stays when all was read counts something else."""
    monkeypatch.setattr(calls, "unsent_bytes", lambda handle: 768)
    assert probe("unsent_bytes") == "kernel"


@pytest.mark.parametrize(("name", "answers"), [("cookie", [1, 1]), ("cookie", [0, 1]), ("namespace_cookie", [1, 2])])
def test_cookies_are_compared(name, answers, monkeypatch):
    """Two sockets have different cookies, not 0, and the same namespace."""
    numbers = iter(answers)
    monkeypatch.setattr(probes, "_number", lambda handle, constant: next(numbers))
    assert probe(name) == "kernel"


@pytest.mark.parametrize("name", ["cookie", "namespace_cookie"])
@pytest.mark.parametrize("code", [errno.ENOPROTOOPT, errno.EINVAL])
def test_cookie_that_is_refused(name, code, monkeypatch):
    """A kernel that does not know the option has no cookie."""
    monkeypatch.setattr(probes, "lib", Lib(uds_handle_getsockopt=-code))
    assert probe(name) == "kernel"


@support.needs("send_buffer_force")
@pytest.mark.parametrize(
    ("code", "reason"), [(-errno.EPERM, ""), (0, "kernel"), (-errno.ENOPROTOOPT, "kernel")], ids=str
)
def test_forced_buffer_grows(code, reason, monkeypatch):
    """Who may not force a buffer is refused; a kernel that accepts it and leaves the buffer as it was ignores it."""

    class Lib:
        def __getattr__(self, name: str) -> object:
            real = getattr(lib, name)
            if name != "uds_handle_setsockopt":
                return real
            return lambda *arguments: code if arguments[2] == lib.SO_SNDBUFFORCE else real(*arguments)

    monkeypatch.setattr(probes, "lib", Lib())
    assert probe("send_buffer_force") == reason


@support.needs("abstract_addresses")
@pytest.mark.parametrize("nth", [1, 2])
def test_abstract_addresses_without_a_socket(nth, monkeypatch):
    """A socket that cannot be made has no address."""
    made = []
    real = calls.open_socket

    def open_socket(handle: object, kind: int, nonblocking: int) -> int:
        made.append(kind)
        return -errno.EMFILE if len(made) == nth else real(handle, kind, nonblocking)

    monkeypatch.setattr(calls, "open_socket", open_socket)
    assert probe("abstract_addresses") == "kernel"
    assert len(made) == nth


@support.needs("abstract_addresses")
@pytest.mark.parametrize("answer", [0, -errno.EINVAL])
def test_abstract_addresses_of_another_kind(answer, monkeypatch):
    """Where binding to no name is refused, or gives no abstract one, there are none."""
    monkeypatch.setattr(probes, "lib", Lib(uds_handle_bind=answer))
    assert probe("abstract_addresses") == "kernel"


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_nothing_received_is_nothing(kind):
    """Receiving where nothing was sent finds no control messages."""
    pair = probing.Pair()
    assert calls.open_pair(pair.one, pair.two, getattr(lib, kind), 1) == 0
    assert pair.receive() == []
    pair.close()
    pair.close()


@pytest.mark.parametrize(("code", "expected"), [(errno.ESOCKTNOSUPPORT, "kernel"), (errno.EMFILE, None)])
def test_probe_without_a_pair(code, expected, monkeypatch):
    """A kernel that cannot make the pair lacks the feature; a process that may open no more learns just that."""
    monkeypatch.setattr(calls, "open_pair", lambda *arguments: -code)
    if expected is None:
        with support.raises_errno(code):
            probe("atomic_cloexec")
    else:
        assert probe("atomic_cloexec") == expected
