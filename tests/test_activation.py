"""Sockets from a service manager: which there are, of what class, under what name, and whose they are."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest
import support
from activating import FIRST, classes, own_identity

from uds_cffi import (
    ListenFd,
    ListenFds,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    activation,
    listen_fds,
)

SEQPACKET = support.needs("seqpacket")


# --- What there is ------------------------------------------------------------------------------


def test_listener_and_datagram_socket(passed, listener, datagram, socket_path):
    """Each socket is of the class of its type and listening state, under its number, and not inheritable."""
    numbers = passed(listener, datagram, names="http:log")

    with listen_fds() as fds:
        assert type(fds) is ListenFds
        assert classes(fds) == [("http", UnixListener), ("log", UnixDatagram)]
        assert [sock.fileno() for _, sock in fds] == numbers
        assert [sock.local_addr().name for _, sock in fds] == [os.fsencode(socket_path), os.fsencode(socket_path + "d")]
        assert not any(os.get_inheritable(number) for number in numbers)
    assert not any(support.is_open(number) for number in numbers)
    assert os.path.exists(socket_path)


@SEQPACKET
def test_sequenced_packets(passed, socket_path):
    """A listening and a connected socket of sequenced packets are told from each other."""
    with UnixSeqpacketListener.bind(socket_path) as sock, UnixSeqpacketConn.connect(socket_path) as conn:
        passed(sock, conn)
        with listen_fds() as fds:
            assert classes(fds) == [("unknown", UnixSeqpacketListener), ("unknown", UnixSeqpacketConn)]


@support.lacks("seqpacket")
def test_without_sequenced_packets(passed, socket_path):
    """A build without sequenced packets says that it has no class for them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        passed(sock, names="p")
        with pytest.raises(ValueError, match=rf"descriptor {FIRST} \('p'\) .* type 5, for which this build has no"):
            listen_fds()


def test_accepted_connection(passed, listener, socket_path):
    """A connection that the manager accepted (Accept=yes) is a stream, also when the client has gone already."""
    client = UnixStream.connect(socket_path)
    conn, _ = listener.accept()
    passed(conn, names="connection")
    conn.close()
    client.send(b"and good-bye")
    client.close()

    with listen_fds() as fds:
        assert classes(fds) == [("connection", UnixStream)]
        assert fds.find("connection", kind=UnixStream).recv(100) == b"and good-bye"


def test_adopted_listener_accepts(passed, listener, socket_path):
    """A listener that the manager left blocking accepts, also with a timeout, and never removes its file."""
    listener.set_nonblocking(False)
    os.set_blocking(listener.fileno(), True)
    passed(listener)

    with listen_fds() as fds, UnixStream.connect(socket_path) as client:
        sock = fds.find()
        conn, _ = sock.accept(timeout=support.PATIENCE)
        with conn:
            client.sendall(b"hello")
            assert conn.recv(100) == b"hello"
        with pytest.raises(TimeoutError):
            sock.accept(timeout=0.01)
    assert os.path.exists(socket_path)


@pytest.mark.parametrize(
    "variables",
    [
        {"LISTEN_PID": None},
        {"LISTEN_FDS": None},
        {"LISTEN_FDS": "0"},
        {"LISTEN_PID": "1"},
        {"LISTEN_PID": str(os.getppid())},
        # What is said to another process is not looked at.
        {"LISTEN_PID": "1", "LISTEN_FDS": "many"},
    ],
)
def test_nothing_for_this_process(passed, listener, variables):
    """Without the variables, or when they are another process's, there is nothing, and nothing is touched."""
    numbers = passed(listener)
    passed.say(**variables)

    fds = listen_fds()

    assert fds == ()
    assert not fds
    assert os.get_inheritable(numbers[0])


@support.needs("pidfd_identity")
def test_process_with_the_number_of_another(passed, listener):
    """LISTEN_PIDFDID tells this process from another that had the same process id before."""
    passed(listener)
    identity = own_identity()

    passed.say(LISTEN_PIDFDID=identity + 1)
    assert listen_fds() == ()
    passed.say(LISTEN_PIDFDID=identity)
    with listen_fds() as fds:
        assert len(fds) == 1


def test_identity_that_the_kernel_does_not_tell(passed, listener, monkeypatch):
    """Before Linux 6.9 LISTEN_PIDFDID says nothing, and the process id alone counts."""
    passed(listener)
    passed.say(LISTEN_PIDFDID=1)
    monkeypatch.setattr(activation.pidfd, "pidfd_same", lambda one, two: -errno.EOPNOTSUPP)

    with listen_fds() as fds:
        assert len(fds) == 1


# --- Names --------------------------------------------------------------------------------------


def test_find(passed, listener, datagram, socket_path):
    """A socket is found by name, class and address, and by any of them."""
    passed(listener, datagram, datagram, names="http:log:log")

    with listen_fds() as fds:
        http, log, other = (sock for _, sock in fds)
        assert fds.find("http") is http
        assert fds.find(kind=UnixListener) is http
        assert fds.find(addr=socket_path) is http
        assert fds.find("http", kind=UnixListener, addr=socket_path) is http
        assert fds.find_all("log") == [log, other]
        assert fds.find_all(addr=socket_path + "d") == [log, other]
        assert fds.find_all("log", kind=UnixListener) == []
        assert fds.find_all() == [http, log, other]
        # It is a tuple of named tuples.
        assert fds[0] == ("http", http)
        assert isinstance(fds[0], ListenFd)
        assert fds[0].name == "http"
        assert fds[0].socket is http
        assert dict(fds[:1]) == {"http": http}
        assert repr(fds).startswith("ListenFds([ListenFd(name='http', socket=<UnixListener fd=")


def test_find_says_what_there_is(passed, listener, datagram, socket_path):
    """The error of a search names what was asked for, and what there is instead."""
    passed(listener, datagram, names="a:b")

    with listen_fds() as fds:
        with pytest.raises(LookupError) as no:
            fds.find("c", kind=UnixStream, addr="/x")
        with pytest.raises(LookupError, match=r"^2 passed sockets; there are: 'a' "):
            fds.find()
    there = f"'a' (UnixListener at '{socket_path}'), 'b' (UnixDatagram at '{socket_path}d')"
    assert str(no.value) == f"no passed sockets with name 'c', class UnixStream, address '/x'; there are: {there}"
    with pytest.raises(LookupError, match=r"there are: 'a' \(UnixListener\), 'b' \(UnixDatagram\)$"):
        fds.find("c")
    with pytest.raises(LookupError, match=r"^no passed sockets with name 'x'; there are: none$"):
        ListenFds().find("x")


def test_search_among_many(passed, listener):
    """The error of a search does not list hundreds of sockets."""
    passed(*[listener] * 20)

    with listen_fds() as fds, pytest.raises(LookupError, match=r", \.\.\.$"):
        fds.find("x")


def test_names_that_are_asked_for(passed, listener, datagram):
    """Only sockets of the given names are taken, whatever the others are; a later call returns what is left."""
    passed(listener, datagram, sys.stderr, names="http:log:terminal")

    with listen_fds(["log", "absent"]) as fds:
        assert classes(fds) == [("log", UnixDatagram)]
        assert listen_fds(iter(["log"])) == ()
        assert listen_fds([]) == ()
        with listen_fds({"http"}) as rest:
            assert classes(rest) == [("http", UnixListener)]
    assert os.get_inheritable(FIRST + 2) is False


@pytest.mark.parametrize("names", ["http", b"http", 3, [b"http"], [None]])
def test_names_of_a_wrong_type(names):
    """One str is no iterable of names, and a name is a str."""
    with pytest.raises(TypeError, match="str, not"):
        listen_fds(names)


# --- Once ---------------------------------------------------------------------------------------


def test_each_is_given_out_once(passed, listener, number):
    """A second call finds nothing, also when the number is another file's by then; that is left as it is."""
    numbers = passed(listener)
    with listen_fds() as fds:
        assert len(fds) == 1
        assert listen_fds() == ()

    os.dup2(number, numbers[0], inheritable=True)

    assert listen_fds() == ()
    assert os.get_inheritable(numbers[0])


def test_threads_share_nothing(passed, listener):
    """Of several threads that ask at once each descriptor goes to exactly one."""
    numbers = passed(*[listener] * 50)
    with support.Event() as go:

        def take():
            go.wait()
            return listen_fds()

        with support.in_thread(take) as one, support.in_thread(take) as two:
            go.set()
    with one[0], two[0]:
        assert sorted(sock.fileno() for _, sock in (*one[0], *two[0])) == numbers


def test_child_of_a_fork_gets_nothing(passed, listener):
    """The variables are this process's, and not its child's."""
    passed(listener)

    def in_child():
        assert listen_fds() == ()

    support.run_child(in_child)


def test_clear(passed, listener):
    """The variables go on request, and only then."""
    passed(listener, names="a")
    passed.say(LISTEN_PIDFDID="1", LISTEN_PID="1")
    assert listen_fds(clear=False) == ()
    assert os.environ["LISTEN_FDNAMES"] == "a"

    # Those for another process too: nobody else can want them.
    assert listen_fds(clear=True) == ()

    assert [name for name in os.environ if name.startswith("LISTEN_")] == []
    passed.say(LISTEN_PID=os.getpid(), LISTEN_FDS="1")
    with listen_fds(clear=True) as fds:
        assert len(fds) == 1
    assert [name for name in os.environ if name.startswith("LISTEN_")] == []
