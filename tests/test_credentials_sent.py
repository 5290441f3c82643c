"""Credentials of messages: what a process says of itself, and what the kernel lets it say.

Rule: each message is sent for real and read at the other end.  A child gives its privileges up before it lies.
"""

from __future__ import annotations

import errno
import os

import pytest
import support

from uds_cffi import (
    ConnCredentials,
    Credentials,
    FeatureUnavailable,
    ScmCredentials,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixStream,
)

# Only root can become somebody else.
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its identity")

paired = pytest.mark.parametrize("kind", support.TYPES)


def read_credentials(sock: UnixStream | UnixDatagram) -> ScmCredentials:
    with sock.recv_ancillary(100, SocketAncillary.with_room_for(credentials=True)) as received:
        (message,) = received.messages
        assert type(message) is ScmCredentials
        return message


def send_credentials(sock: UnixStream | UnixDatagram, credentials: Credentials) -> None:
    with SocketAncillary.with_room_for(credentials=True) as ancillary:
        assert ancillary.add_creds(credentials) is True
        assert sock.send_ancillary([b"x"], ancillary) == 1


# --- Values -------------------------------------------------------------------------------------


def test_own_credentials_are_the_default():
    """Without arguments they are the process's own: its pid, real uid and real gid."""
    assert Credentials() == Credentials(os.getpid(), os.getuid(), os.getgid())
    assert Credentials(uid=7) == Credentials(os.getpid(), 7, os.getgid())
    assert Credentials(gid=0).gid == 0
    assert Credentials(pid=0, uid=0, gid=0) == Credentials(0, 0, 0)


def check_own_after_fork(parent: int) -> None:
    assert Credentials().pid == os.getpid() != parent


def test_own_credentials_after_a_fork():
    """In a forked child the default is the child."""
    assert Credentials().pid == os.getpid()
    support.run_child(check_own_after_fork, os.getpid())


def check_real_ids() -> None:
    os.setresgid(1001, 1002, 1003)
    os.setresuid(2001, 2002, 2003)
    assert Credentials() == Credentials(os.getpid(), 2001, 1001)


@as_root
def test_own_credentials_are_the_real_ones():
    """The default ids are the real ones, as the kernel itself would put them into a message."""
    support.run_child(check_real_ids)


@pytest.mark.parametrize("name", ["pid", "uid", "gid"])
@pytest.mark.parametrize("value", ["1", 1.0, True, b"1", [1]], ids=repr)
def test_ids_are_ints(name, value):
    """An id of another type is refused, and named."""
    with pytest.raises(TypeError, match=f"{name} is an int, not {type(value).__name__}"):
        Credentials(**{name: value})


@pytest.mark.parametrize(("name", "most"), [("pid", 2**31 - 1), ("uid", 2**32 - 1), ("gid", 2**32 - 1)])
def test_ids_have_a_range(name, most):
    """An id that fits into the kernel's type is accepted, and one that does not is refused with the range."""
    assert getattr(Credentials(**{name: most}), name) == most
    for value in (-1, most + 1):
        with pytest.raises(ValueError, match=f"{name} {value} is not within 0 to {most}"):
            Credentials(**{name: value})


# --- Sending ------------------------------------------------------------------------------------


@support.needs("credentials")
@paired
def test_own_credentials_arrive(kind):
    """Credentials of the process itself, given or not, arrive with its message."""
    left, right = kind.pair(options={"pass_credentials": True})
    own = ScmCredentials(os.getpid(), os.getuid(), os.getgid())
    with left, right:
        send_credentials(left, Credentials())
        assert read_credentials(right) == own
        left.send(b"x")
        assert read_credentials(right) == own


def send_own(sock: UnixStream | UnixDatagram) -> None:
    send_credentials(sock, Credentials())


@support.needs("credentials")
@paired
def test_own_credentials_of_a_child_arrive(kind):
    """In a child the default names the child, and the kernel agrees."""
    left, right = kind.pair(options={"pass_credentials": True})
    with left, right:
        child = support.Child(send_own, left)
        child.join()
        assert read_credentials(right) == ScmCredentials(child.pid, os.getuid(), os.getgid())


def drop_privileges() -> None:
    if os.geteuid() == 0:
        os.setgroups([3001])
        os.setresgid(1001, 1002, 1003)
        os.setresuid(2001, 2002, 2003)


def forge(sock: UnixStream | UnixDatagram, parent: int) -> None:
    drop_privileges()
    # A group that one is only a member of is nobody's real, effective or saved one.
    lies = [Credentials(pid=parent), Credentials(pid=1), Credentials(uid=0), Credentials(gid=0), Credentials(gid=3001)]
    for lie in lies:
        if lie == Credentials():
            continue
        with pytest.raises(PermissionError) as caught:
            send_credentials(sock, lie)
        assert caught.value.errno == errno.EPERM
    send_credentials(sock, Credentials())


@support.needs("credentials")
@paired
def test_forged_credentials_are_refused(kind):
    """Another process's pid, or an id that one does not have, is EPERM, and nothing is sent."""
    left, right = kind.pair(options={"pass_credentials": True})
    with left, right:
        child = support.Child(forge, left, os.getpid())
        child.join()
        # The first message that arrives is the honest one.
        assert read_credentials(right).pid == child.pid
        assert right.try_recv(1, 0) is None


def send_each_own_id(sock: UnixDatagram) -> None:
    drop_privileges()
    for uid in (2001, 2002, 2003):
        for gid in (1001, 1002, 1003):
            send_credentials(sock, Credentials(uid=uid, gid=gid))


@support.needs("credentials")
@as_root
def test_real_effective_and_saved_ids_may_be_named():
    """A process may name any of its three user ids and any of its three group ids."""
    left, right = UnixDatagram.pair(options={"pass_credentials": True})
    with left, right:
        child = support.Child(send_each_own_id, left)
        child.join()
        seen = [read_credentials(right) for _ in range(9)]
        assert seen == [ScmCredentials(child.pid, u, g) for u in (2001, 2002, 2003) for g in (1001, 1002, 1003)]


@support.needs("credentials")
def test_pid_that_nobody_has():
    """A pid that does not exist is refused as such."""
    left, right = UnixDatagram.pair()
    with left, right:
        with pytest.raises(ProcessLookupError if os.geteuid() == 0 else PermissionError):
            send_credentials(left, Credentials(pid=2**31 - 1))
        assert right.try_recv(1) is None


def become_and_connect(path: str) -> None:
    os.setgroups([7, 8])
    os.setresgid(1001, 1002, 0)
    os.setresuid(2001, 2002, 0)
    with UnixStream.connect(path) as conn:
        # What comes afterwards changes nothing.
        os.seteuid(0)
        conn.send(b"x")


@support.needs("peer_credentials")
@support.needs("credentials")
@as_root
def test_ids_of_a_connection_are_effective_and_those_of_a_message_real(socket_path, short_dir):
    """The peer's ids are the effective ones when it connected; a message has the real ones."""
    os.chmod(short_dir, 0o755)
    with UnixListener.bind(socket_path, options={"pass_credentials": True}) as listener:
        os.chmod(socket_path, 0o666)
        child = support.Child(become_and_connect, socket_path)
        child.join()
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            groups = (7, 8) if support.supported("peer_groups") else None
            assert conn.peer_credentials() == ConnCredentials(child.pid, 2002, 1002, groups)
            assert read_credentials(conn) == ScmCredentials(child.pid, 2001, 1001)


@support.needs("credentials")
def test_credentials_recorded_by_nobody():
    """A message that was sent before either end asked for credentials has no pid, and nobody's ids."""
    left, right = UnixStream.pair()
    with left, right:
        left.send(b"x")
        right.options.pass_credentials = True
        assert read_credentials(right) == ScmCredentials(None, 65534, 65534)


@support.lacks("credentials")
def test_without_credentials():
    """Where the build has none they cannot be added, and the ancillary stays as it was."""
    with SocketAncillary.with_room_for(credentials=True) as ancillary:
        with pytest.raises(FeatureUnavailable) as caught:
            ancillary.add_creds(Credentials())
        assert (caught.value.feature, caught.value.reason) == ("credentials", "not built")
        assert ancillary.is_empty
