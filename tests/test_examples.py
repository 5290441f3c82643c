"""The programs in examples/: each is run as a user runs it, and shows what it is there to show.

Rule: an example ends with status 0, prints exactly what is written here, and nothing to standard error, where a
forgotten descriptor would be reported.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import support

EXAMPLES = support.ROOT / "examples"

OUTPUT = {
    "socket_file": """\
a killed server has left its file: True
the next one has replaced it, with mode 660
a client reads hello
another one is refused: Address already in use
closing it has removed the file: True
""",
    "takeover": """\
a client is answered by the old server
the file is service.socket, and was made elsewhere: True
who came before is answered by the old server
the old server has closed, and left the new one's file: True
a client is answered by the new server
and now it is gone: True
""",
    "add_fds_vectored": """\
room for two descriptors: True
6 bytes sent; the ancillary data is still there for another send: True
received b'a pipe' with 2 descriptors: pipe, pipe
read b'through the pipe'
""",
    "asyncio_peer_credentials": """\
the server knows this process: True
""",
    "batches": """\
sent: 5
received: [b'one', b'two']
received: [b'', b'a pipe']
in the pipe: b'through the pipe'
received: [b'five']
the connection has ended
""",
    "clone_shares_queue": """\
the original receives b'one'
the clone receives b'two'
with the original closed, the clone receives b'three'
the sender receives b'and it answers'
""",
    "connect_path_and_abstract": """\
path address: the server received b'Hello!'
  the client is connected to what it asked for: True
abstract address: the server received b'Hello!'
  the client is connected to what it asked for: True
""",
    "framed_messages": """\
5 bytes, files of []
0 bytes, files of []
6 bytes, files of [1000]
100000 bytes, files of []
""",
    "handover": """\
server 2, request 1: first request
server 3, request 2: second request
server 4, request 3: third request
""",
    "listen_backlog": """\
3 connections wait; for the next one connect() would block
connect() with a timeout waits for a place, in vain
after an accept() connection number 4 finds a place
""",
    "low_level_fd_passing": """\
sent 6 bytes
control messages were cut: False
received b'a pipe' with 1 descriptor, from which one reads b'through the pipe'
a call that would block returned -EAGAIN: True
""",
    "nonblocking_empty_and_full": """\
nonblocking: True and True
the queue is empty: recv() raises BlockingIOError
the queue is empty: try_recv() returns None
the queue is full: send() raises BlockingIOError
the queue is full: try_send() returns None
now it blocks: False, and there is something: 1000 bytes
""",
    "notify": """\
from the service: True {'FDSTORE': '1', 'FDNAME': 'state'}
from the service: True {'READY': '1', 'STATUS': 'waiting for clients'}
from the service: True {'BARRIER': '1'}
stored as 'state': b'what the service knows'
""",
    "out_of_band": """\
b'stopped by ! with 10 bytes of tasks left'
""",
    "packets_keep_boundaries": """\
received b'first', truncated: False
received b'second', truncated: False
received b'the third', truncated: True
""",
    "pass_stdio": """\
the server received b'my terminal' with 3 descriptors
the client has the server's user id: True
the client is another process: True
the client was told b'done'
""",
    "peek_then_read": """\
one byte:  Packet(data=b'h', truncated=True)
with room: Packet(data=b'hello world', truncated=False)
vectored:  PacketInto(nbytes=11, truncated=False), b'hello ' and b'world'
read:      Packet(data=b'hello world', truncated=False)
now there is nothing left: None
""",
    "read_timeout": """\
at first: None
as set: 2.0
TimeoutError: timed out
two seconds have passed: True
the socket works on: b'late, but there'
""",
    "receive_fds_ancillary": """\
received b'two files'; ancillary data was cut: False
a descriptor of a file, in which is b'the first file'
a descriptor of a file, in which is b'the second file'
""",
    "refuse_descriptors": """\
descriptors are accepted: False
all that the client sent: b'it was refused'
""",
    "reuse_ancillary": """\
cleared: 0 bytes used, empty: True
cleared: 0 bytes used, empty: True
two more do not fit, so add_fds() changes nothing and returns False
received b'file 1' with 1 descriptor
received b'file 2' with 1 descriptor
""",
    "replaced_listener": """\
clients come here: True
the path leads to another socket now
our own file has 0 names
a client reaches the other server
""",
    "security_label": """\
received b'hello'
it has a label, or there is a reason why not: True
""",
    "socket_activation": """\
activated with: greeter, log
logged: b'somebody came'
the client was told b'hello'
started by hand
listening: True
""",
    "stream_echo": """\
HELLO FROM THE CLIENT
AND GOOD-BYE
""",
    "take_error": """\
the peer is gone, so send() raised: Broken pipe
nothing was stored: None
the peer left data unread, so this was stored: ConnectionResetError (Connection reset by peer)
and taking it has cleared it: None
""",
    "timestamps": """\
b'the first' is from the process that wrote it: True
  and was sent while that ran, in order: True
b'the second' is from the process that wrote it: True
  and was sent while that ran, in order: True
""",
    "unnamed_pair": """\
the addresses are unnamed and unnamed
You said: Hello, child!
after the child's end: b''
""",
    "who_is_connected": """\
1 of 5 places are taken
the client that waits is a stream socket, its user is this one: True
it has a peer: False
accepted; the peer is that socket: True
12 bytes wait to be read
""",
    "watch_client": """\
the client is the process that was started: True
it is alive: True
the client has ended: True
the connection is still open: True
the pid means nothing any more: None
""",
    "who_reports": """\
the first service reports b'READY=1' and has ended: True
the second service reports b'READY=1' and has ended: True
""",
    "unread_bytes": """\
received b'a header; ', and 5000 bytes are left
received 5000 bytes more, and then (ScmInq(unread=0),)
""",
    "write_timeout_full_queue": """\
the timeout is 0.1 seconds
TimeoutError: timed out
everything that was sent waits to be read: True
room is made: True
sendall() says how much it sent: True
""",
}

NEEDS = {
    "asyncio_peer_credentials": "peer_credentials",
    "batches": "seqpacket",
    "clone_shares_queue": "seqpacket",
    "connect_path_and_abstract": "abstract_addresses",
    "notify": "credentials",
    "out_of_band": "out_of_band",
    "packets_keep_boundaries": "seqpacket",
    "pass_stdio": "peer_credentials",
    "peek_then_read": "seqpacket",
    "who_is_connected": "diagnostics",
    "replaced_listener": "bound_file",
    "watch_client": "peer_pidfd",
    "who_reports": "pass_pidfd",
    "refuse_descriptors": "pass_rights",
    "timestamps": "timestamps",
    "unread_bytes": "inq",
}


def run(name: str, folder: str) -> subprocess.CompletedProcess[str]:
    """Run an example in isolated mode, in an empty folder, with every warning shown."""
    return subprocess.run(
        [sys.executable, "-I", "-W", "always", str(EXAMPLES / f"{name}.py")],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=support.PATIENCE,
    )


def marked(name: str, mark: object) -> object:
    return pytest.param(name, marks=[mark(NEEDS[name])] if name in NEEDS else [])


@pytest.mark.many_processes
@pytest.mark.parametrize("name", [marked(name, support.needs) for name in OUTPUT])
def test_example_prints_what_it_shows(name, short_dir):
    """The example runs to its end and prints what is written here, and only that."""
    done = run(name, short_dir)

    assert (done.stderr, done.stdout, done.returncode) == ("", support.in_local_words(OUTPUT[name]), 0)


@pytest.mark.parametrize("name", [marked(name, support.lacks) for name in NEEDS])
def test_example_without_its_feature_says_which(name, short_dir):
    """Where the feature is absent, the example ends in an error that says so; only such examples are skipped."""
    done = run(name, short_dir)

    said = ("is not available (", "no abstract addresses", "only with CAP_NET_ADMIN")
    assert any(text in done.stderr for text in said)


def test_every_example_is_run():
    """No program in examples/ is without its output here, and none is named here that does not exist."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(OUTPUT)


@pytest.mark.parametrize("name", sorted(OUTPUT))
def test_example_says_what_it_is_for(name):
    """Each example opens with a docstring, and can be imported without running."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")

    assert text.startswith('"""')
    assert text.endswith('\n\nif __name__ == "__main__":\n    main()\n')
