"""Sockets from the real systemd-socket-activate, in all its modes, beside what libsystemd says of them."""

from __future__ import annotations

import os
import socket

import pytest
import support
import systemd

from uds_cffi import UnixDatagram, UnixSeqpacketConn, UnixSocketAddr, UnixStream

SEQPACKET = support.needs("seqpacket")
ABSTRACT = support.needs("abstract_addresses")

# Reports what there is, as this library sees it, and with an argument as libsystemd does too; and serves one client of
# each socket.
PROGRAM = """
import ctypes, json, os, sys
from uds_cffi import UnixDatagram, UnixListener, UnixSeqpacketListener, listen_fds

class Libsystemd:
    def __init__(self):
        self.lib = ctypes.CDLL("libsystemd.so.0")
    def names(self):
        names = ctypes.POINTER(ctypes.c_char_p)()
        count = self.lib.sd_listen_fds_with_names(0, ctypes.byref(names))
        return [names[place].decode() for place in range(max(count, 0))]
    def is_unix(self, number, kind, listening, address):
        name = address.raw_bytes
        return self.lib.sd_is_socket_unix(number, kind, listening, name, ctypes.c_size_t(len(name)))

theirs = Libsystemd() if sys.argv[1:] == ["libsystemd"] else None
named = theirs and theirs.names()
with listen_fds(clear=True) as fds:
    report = {
        "classes": [type(sock).__name__ for _, sock in fds],
        "names": [name for name, _ in fds],
        "numbers": [sock.fileno() for _, sock in fds],
        "addresses": [str(sock.local_addr()) for _, sock in fds],
        "inheritable": [os.get_inheritable(sock.fileno()) for _, sock in fds],
        "variables afterwards": [name for name in os.environ if name.startswith("LISTEN_")],
    }
    if theirs:
        report["libsystemd"] = {
            "names": named,
            "agrees": [
                theirs.is_unix(
                    sock.fileno(),
                    sock._kind,
                    isinstance(sock, (UnixListener, UnixSeqpacketListener)),
                    sock.local_addr(),
                )
                for _, sock in fds
            ],
            "names afterwards": theirs.names(),
        }
    print(json.dumps(report), flush=True)
    for _, sock in fds:
        if isinstance(sock, UnixDatagram):
            data, _, sender = sock.recv_from(100)
            sock.send_to(data.upper(), sender)
        else:
            conn = sock.accept(timeout=30)[0] if hasattr(sock, "accept") else sock
            with conn:
                data = conn.recv(100)
                conn.send(getattr(data, "data", data).upper())
"""

CLASSES = {
    "stream": ("UnixListener", "UnixStream", UnixStream),
    "datagram": ("UnixDatagram", None, UnixDatagram),
    "seqpacket": ("UnixSeqpacketListener", "UnixSeqpacketConn", UnixSeqpacketConn),
}
OPTIONS = {"stream": [], "datagram": ["--datagram"], "seqpacket": ["--seqpacket"]}


@pytest.fixture
def addresses(short_dir):
    """Name two addresses of each kind, as systemd writes them."""
    unique = f"@uds_cffi-test-{os.getpid()}-{os.path.basename(short_dir)}"
    return {"path": [f"{short_dir}/a", f"{short_dir}/b"], "abstract": [f"{unique}-a", f"{unique}-b"]}


@pytest.fixture(params=["alone", "libsystemd"])
def beside(request):
    """Name what else looks at the sockets; whether it is there is asked here: the program cannot skip a test."""
    if request.param == "alone":
        return []
    systemd.library()
    return [request.param]


def ask(kind, addresses, folder):
    """Let each address answer one client: first all ask, then all listen."""
    cls = CLASSES[kind][2]
    clients = []
    try:
        for place, address in enumerate(addresses):
            clients.append(cls.connect(UnixSocketAddr(address), bind=f"{folder}/client{place}"))
            clients[-1].set_read_timeout(support.PATIENCE)
            clients[-1].send(b"hello %d" % place)
        answers = [client.recv(100) for client in clients]
    finally:
        for client in clients:
            client.close()
    return [getattr(answer, "data", answer) for answer in answers]


def expected(kind, addresses, names, beside, place=0):
    count = len(addresses)
    seen_by = {"libsystemd": {"names": names, "agrees": [1] * count, "names afterwards": []}}
    return {
        "classes": [CLASSES[kind][place]] * count,
        "names": names,
        "numbers": list(range(3, 3 + count)),
        "addresses": addresses,
        "inheritable": [False] * count,
        "variables afterwards": [],
        **{name: seen_by[name] for name in beside},
    }


KINDS = ["stream", "datagram", pytest.param("seqpacket", marks=SEQPACKET)]


@pytest.mark.parametrize("where", ["path", pytest.param("abstract", marks=ABSTRACT)])
@pytest.mark.parametrize("kind", KINDS)
def test_one_socket(kind, where, beside, addresses, short_dir):
    """A listener, or a datagram socket, at a path or an abstract address, works, and is what libsystemd says."""
    address = addresses[where][:1]
    with systemd.Activated([*OPTIONS[kind], "-l", address[0]], PROGRAM, *beside) as service:
        assert ask(kind, address, short_dir) == [b"HELLO 0"]
        assert service.report() == expected(kind, address, ["unknown"], beside)
        service.join()
    assert where == "abstract" or os.path.exists(address[0])


@ABSTRACT
@pytest.mark.parametrize("kind", KINDS)
def test_several_sockets_with_names(kind, beside, addresses, short_dir):
    """Of several sockets each has its name, in the order of the command line."""
    both = [addresses["path"][0], addresses["abstract"][0]]
    options = [*OPTIONS[kind], "-l", both[0], "-l", both[1], "--fdname=http:log"]
    with systemd.Activated(options, PROGRAM, *beside) as service:
        assert ask(kind, both, short_dir) == [b"HELLO 0", b"HELLO 1"]
        assert service.report() == expected(kind, both, ["http", "log"], beside)
        service.join()


@pytest.mark.parametrize("kind", ["stream", pytest.param("seqpacket", marks=SEQPACKET)])
def test_accepted_connections(kind, beside, addresses, short_dir):
    """With --accept each client has a process of its own, which gets the connection."""
    address = addresses["path"][:1]
    options = [*OPTIONS[kind], "--accept", "-l", address[0], "--fdname=connection"]
    with systemd.Activated(options, PROGRAM, *beside) as service:
        for turn in range(2):
            folder = f"{short_dir}/{turn}"
            os.mkdir(folder)
            assert ask(kind, address, folder) == [b"HELLO 0"]
            assert service.report() == expected(kind, address, ["connection"], beside, place=1)


def test_inetd(addresses, short_dir):
    """With --inetd the connection is standard input, of which the variables say nothing; from_fd() takes that."""
    code = """
from uds_cffi import UnixStream, listen_fds
assert listen_fds() == ()
with UnixStream.from_fd(0) as conn:
    conn.sendall(conn.recv(100).upper())
"""
    address = addresses["path"][:1]
    with systemd.Activated(["--accept", "--inetd", "-l", address[0]], code):
        assert ask("stream", address, short_dir) == [b"HELLO 0"]


def test_behind_a_shell(addresses):
    """A program that is a child of what was activated gets nothing, because LISTEN_PID is its parent's."""
    code = "from uds_cffi import listen_fds; print(len(listen_fds()), flush=True)"
    shell = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
    address = addresses["path"][0]
    with systemd.Activated(["-l", address], code, wrapper=shell) as service, UnixStream.connect(address):
        assert service.report() == 0
        service.join()


def test_internet_socket_beside(addresses):
    """A TCP socket among the passed ones is an error that names it; the names of the others leave it alone."""
    code = """
import json, socket
from uds_cffi import OwnedFd, listen_fds
try:
    listen_fds()
except ValueError as error:
    problem = str(error)
with listen_fds(["control"]) as fds:
    classes = [type(sock).__name__ for _, sock in fds]
    with listen_fds(others=True) as rest, rest.find("web", kind=OwnedFd).to_stdlib_socket() as web:
        print(json.dumps([problem, classes, web.family == socket.AF_INET]), flush=True)
"""
    address = addresses["path"][0]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["-l", address, "-l", f"127.0.0.1:{port}", "--fdname=control:web"]
    with systemd.Activated(options, code) as service, UnixStream.connect(address):
        problem, classes, is_inet = service.report()
        service.join()

    assert problem.startswith("descriptor 4 ('web') of LISTEN_FDS is no Unix socket, but: socket of address family 2;")
    assert (classes, is_inet) == (["UnixListener"], True)


def test_machine_without_systemd(monkeypatch):
    """Without systemd the tests are skipped, except where it is required."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(systemd, "LIBRARY", "libsystemd-nonexistent.so.0")
    monkeypatch.setenv("UDS_REQUIRE_SYSTEMD", "1")
    with pytest.raises(pytest.fail.Exception, match="systemd is required here: systemd-notify is missing"):
        systemd.program("systemd-notify")
    with pytest.raises(pytest.fail.Exception, match="required here: this interpreter cannot load libsystemd"):
        systemd.library()
    monkeypatch.delenv("UDS_REQUIRE_SYSTEMD")
    with pytest.raises(pytest.skip.Exception, match="systemd-notify is missing"):
        systemd.program("systemd-notify")
    with pytest.raises(pytest.skip.Exception, match="no systemd here: this interpreter cannot load libsystemd"):
        systemd.library()
