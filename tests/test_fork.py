"""Processes that share sockets after a fork.

Rule: parent and child use the same objects without any ceremony. The calls that other threads of the parent were making
do not exist in the child, and nothing that the library keeps is shared with it.
"""

from __future__ import annotations

import os

import blocked
import pytest
import support
from blocked import KINDS, LISTENERS, MARKS

import uds_cffi
from uds_cffi import Credentials, OwnedFd, SocketAncillary, UnixListener, UnixStream

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])


@EACH_KIND
def test_parent_and_child_use_the_same_objects(kind):
    """A child talks to its parent over a pair that the parent made, and closing in the child closes nothing here."""
    one, two = KINDS[kind].pair()
    with one, two:
        # The receivers that are kept from before must not be shared.
        one.send(b"before")
        assert blocked.data_of(two.recv(100)) == b"before"

        def child():
            one.close()
            assert blocked.data_of(two.recv(100)) == b"question"
            two.send(b"answer")
            two.close()
            assert two.closed

        with support.Child(child):
            one.send(b"question")
            assert blocked.data_of(one.recv(100)) == b"answer"
        assert not one.closed
        assert not two.closed
        one.send(b"after")
        assert blocked.data_of(two.recv(100)) == b"after"


@EACH_KIND
def test_running_call_of_the_parent_does_not_keep_the_child_from_closing(kind):
    """In the child nobody is receiving: close() closes at once, although a thread of the parent was in a call."""
    one, two = KINDS[kind].pair()
    with one, two, support.in_thread(two.recv, 1):
        support.until(lambda: blocked.running(two) == 1)

        def child():
            assert blocked.running(two) == 0
            number = two.fileno()
            two.close()
            assert two.closed
            assert not support.is_open(number)

        support.run_child(child)
        assert blocked.running(two) == 1
        assert not two.closed
        one.send(b"x")
    assert blocked.running(two) == 0


def test_child_may_detach_what_a_thread_of_the_parent_uses():
    """detach() is refused in the parent, where the call runs, and not in the child."""
    one, two = UnixStream.pair()
    with one, two, support.in_thread(two.recv, 1):
        support.until(lambda: blocked.running(two) == 1)
        with pytest.raises(OSError, match="busy"):
            two.detach()
        support.run_child(lambda: os.close(two.detach()))
        with pytest.raises(OSError, match="busy"):
            two.detach()
        one.send(b"x")


def test_calls_of_the_child_count_there():
    """In the child a call that runs keeps the number from being closed, as everywhere."""
    one, two = UnixStream.pair()

    def child():
        number = one.fileno()
        with support.in_thread(one.recv, 1):
            support.until(lambda: blocked.running(one) == 1)
            with pytest.raises(OSError, match="busy"):
                one.detach()
            one.close()
            assert support.is_open(number)
            two.send(b"x")
        assert not support.is_open(number)

    with one, two:
        support.run_child(child)


def test_close_that_waits_in_the_parent_is_done_by_the_child():
    """What the parent closed during a call is closed by the child's own close(), which has no call to wait for."""
    one, two = UnixStream.pair()
    number = two.fileno()
    with one, two, support.in_thread(two.recv, 1):
        support.until(lambda: blocked.running(two) == 1)
        two.close()
        assert support.is_open(number)

        def child():
            assert two.closed
            with pytest.raises(OSError, match="Bad file descriptor"):
                two.recv(1)
            two.close()
            assert not support.is_open(number)

        support.run_child(child)
        assert support.is_open(number)
        one.send(b"x")
    assert not support.is_open(number)


def test_grandchild():
    """A fork within a fork starts anew too."""
    one, two = UnixStream.pair()

    def child():
        with support.in_thread(two.recv, 1):
            support.until(lambda: blocked.running(two) == 1)
            support.run_child(grandchild)
            assert blocked.running(two) == 1
            one.send(b"x")

    def grandchild():
        number = two.fileno()
        assert blocked.running(two) == 0
        two.close()
        assert not support.is_open(number)

    with one, two:
        support.run_child(child)
        assert not two.closed


def test_new_sockets_work_in_the_child():
    """A child makes sockets, uses and closes them, though its library was loaded by its parent."""

    def child():
        one, two = UnixStream.pair()
        number = one.fileno()
        with two, OwnedFd(os.dup(0)) as owned:
            two.send_fds(b"x", [owned])
            data, fds = one.recv_fds(1, 1)
            assert (data, len(fds)) == (b"x", 1)
            fds.close()
        one.close()
        assert not support.is_open(number)

    support.run_child(child)


def test_own_credentials_are_the_childs():
    """Credentials() asks anew in each process."""
    before = Credentials()
    assert before.pid == os.getpid()

    def child():
        assert Credentials().pid == os.getpid() != before.pid

    support.run_child(child)


@support.needs("credentials")
def test_child_sends_its_own_credentials():
    """The kernel accepts a child's credentials and shows them to the parent."""
    one, two = UnixStream.pair()
    with one, two, SocketAncillary.with_room_for(credentials=True) as ancillary:
        two.options.pass_credentials = True

        def child():
            with SocketAncillary.with_room_for(credentials=True) as mine:
                mine.add_creds(Credentials())
                one.send_ancillary([b"x"], mine)

        with support.Child(child) as process:
            (message,) = two.recv_ancillary(1, ancillary).messages
            assert message.pid == process.pid


@support.needs("peer_credentials")
def test_peer_of_a_pair_is_who_made_it():
    """A child's end of its parent's pair shows the parent: the kernel recorded it when the pair was made."""
    one, two = UnixStream.pair()
    parent = os.getpid()

    def child():
        assert one.peer_credentials().pid == parent
        assert one.peer_credentials().pid != os.getpid()

    with one, two:
        support.run_child(child)


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in LISTENERS])
def test_child_accepts_on_the_parents_listener(socket_path, name):
    """A listener that was made before the fork serves the child, timeout and mode included."""
    listener_type = LISTENERS[name]
    with listener_type.bind(socket_path) as listener:
        listener.set_timeout(support.PATIENCE)

        def child():
            assert listener.timeout() == support.PATIENCE
            assert not listener.is_nonblocking()
            conn, _ = listener.accept()
            with conn:
                conn.send(blocked.data_of(conn.recv(100)))

        with support.Child(child), listener_type._connection.connect(socket_path) as client:
            client.send(b"echo")
            assert blocked.data_of(client.recv(100)) == b"echo"


def test_end_comes_when_the_last_copy_is_closed():
    """The peer sees the end of a connection only when the child's copy is closed too."""
    one, two = UnixStream.pair()
    with one, two, support.Event() as close, support.Event() as closed:

        def child():
            close.wait()
            one.close()
            closed.set()

        with support.Child(child):
            one.close()
            assert two.try_recv(1) is None
            close.set()
            closed.wait()
            assert two.recv(1) == b""


def test_shutdown_in_the_child_reaches_the_parent():
    """shutdown() acts on all copies of a socket, and wakes the parent's blocked call."""
    one, two = UnixStream.pair()
    with one, two, support.in_thread(two.recv, 1) as result:
        support.until(lambda: blocked.running(two))
        support.run_child(two.shutdown, uds_cffi.SHUT_RD)
    assert result == [b""]


def test_blocking_mode_is_shared_and_timeouts_are_not():
    """O_NONBLOCK belongs to the open file, which both processes have; a timeout belongs to the object."""
    one, two = UnixStream.pair()
    with one, two:

        def child():
            two.set_nonblocking(True)
            two.set_read_timeout(1.0)

        support.run_child(child)
        assert two.is_nonblocking()
        assert two.read_timeout() is None


def test_mode_of_a_listener_is_not_shared(socket_path):
    """The mode of a listener that the library made is kept by the object: a child's change stays in the child."""
    with UnixListener.bind(socket_path) as listener:
        support.run_child(listener.set_nonblocking, True)
        assert not listener.is_nonblocking()
