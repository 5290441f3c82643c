"""The demonstration: each step of two real processes is in the output, and the output is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

import pytest
import support

from uds_cffi import demo
from uds_cffi.__main__ import main

GREETING = "Hello from the client.\\n"
NUMBERS = "1 2 3 4 5\\n"


class Output:
    """The lines of a run, by the process that wrote them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = {"server": [], "client": []}
        self.pids = {}
        for line in text.splitlines():
            who, pid, what = re.fullmatch(r"\[(server|client) (\d+)\] (.+)", line).groups()
            assert self.pids.setdefault(who, int(pid)) == int(pid)
            self.lines[who].append(what)

    def found(self, who: str, pattern: str) -> tuple[str, ...]:
        """Return the groups of a pattern that exactly one line of a process matches."""
        matches = [match for match in (re.fullmatch(pattern, line) for line in self.lines[who]) if match]
        assert len(matches) == 1, self.text
        return matches[0].groups()


def check(text: str, folder: str) -> Output:
    """Compare each step of the output with what it must be."""
    output = Output(text)
    assert output.pids["server"] != output.pids["client"]

    kind, address = output.found("server", r"(\w+) listens at (.+)")
    assert kind == ("UnixSeqpacketListener" if support.supported("seqpacket") else "UnixListener")
    if support.supported("abstract_addresses"):
        assert re.fullmatch(r"@[0-9a-f]{5}", address)
    else:
        assert address.startswith(folder + "/uds")
    assert output.found("client", r"connected to (.+)") == (address,)
    output.found("server", r"accepted a connection from unnamed")

    if support.supported("peer_credentials"):
        pid, uid, gid = map(int, output.found("server", r"the peer is pid (\d+), uid (\d+), gid (\d+)"))
        assert (pid, uid, gid) == (output.pids["client"], os.geteuid(), os.getegid())
        (groups,) = output.found("server", r"its supplementary groups: (.+)")
        assert groups == (", ".join(map(str, os.getgroups())) or "none")
    else:
        assert "the peer is" not in text

    (sent,) = output.found("client", r"sent 'two files' with descriptors \[(\d+, \d+)\], their names already removed")
    assert len(set(sent.split(", "))) == 2
    (numbers,) = output.found("server", r"received b'two files' with 2 descriptors: \[(\d+, \d+)\]")
    first, second = numbers.split(", ")
    output.found("server", rf"descriptor {first} is a file with 23 bytes: b'{re.escape(GREETING)}'")
    output.found("server", rf"descriptor {second} is a file with 10 bytes: b'{re.escape(NUMBERS)}'")
    output.found("client", r"the answer: 'read 2 files, 33 bytes'")
    assert output.lines["server"][-1] == "the client has ended"
    return output


def test_command(short_dir):
    """The command runs both processes to their end, shows each step, succeeds, and leaves no file behind."""
    done = subprocess.run(
        [sys.executable, "-Im", "uds_cffi", "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=support.PATIENCE * 4,
        env={**os.environ, "TMPDIR": short_dir},
    )
    assert (done.returncode, done.stderr) == (0, "")
    check(done.stdout, short_dir)
    assert os.listdir(short_dir) == []


def test_reader_that_goes_early():
    """When the reader goes after the first line, both processes do their part to the end, which the status says."""
    command = [sys.executable, "-Im", "uds_cffi", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "listens at" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(support.PATIENCE * 4) == 0


def test_lines_are_whole(monkeypatch, capfd):
    """Each line is one write, so that those of two processes do not run into one another on an unbuffered output."""
    written = []
    monkeypatch.setattr(sys.stdout, "write", lambda text: written.append(text) or len(text))
    demo._say("server", "something")
    monkeypatch.undo()
    assert [text for text in written if text] == [f"[server {os.getpid()}] something\n"]
    assert capfd.readouterr().out == ""


def test_in_this_process(capfd):
    """Called as a function it does the same, in a fork of this process."""
    assert main(["demo"]) == 0
    output = check(capfd.readouterr().out, tempfile.gettempdir())
    assert output.pids["server"] == os.getpid()


@support.needs("abstract_addresses")
def test_without_abstract_addresses(capfd, monkeypatch):
    """On a kernel without abstract addresses the server listens at a path, in a folder that is removed."""
    lacking(monkeypatch, "abstract_addresses")
    assert demo.run() == 0
    output = Output(capfd.readouterr().out)
    _, address = output.found("server", r"(\w+) listens at (.+)")
    assert address.startswith(tempfile.gettempdir() + "/uds")
    assert not os.path.exists(os.path.dirname(address))


@support.needs("seqpacket")
@support.needs("peer_credentials")
def test_without_the_rest(capfd, monkeypatch):
    """Without sequenced packets it uses streams, and without credentials it does not say who the peer is."""
    lacking(monkeypatch, "seqpacket", "peer_credentials")
    assert demo.run() == 0
    output = Output(capfd.readouterr().out)
    assert output.found("server", r"(\w+) listens at .+") == ("UnixListener",)
    assert output.found("client", r"the answer: (.+)") == ("'read 2 files, 33 bytes'",)
    assert "the peer is" not in output.text


def lacking(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Play a kernel that lacks features."""
    table = demo.features()
    for name in names:
        table[name] = table[name]._replace(supported=False, reason="kernel")
    monkeypatch.setattr(demo, "features", lambda: table)


def test_client_that_fails_late(capfd, monkeypatch):
    """A client that fails after its part was done is reported, and the status is 1."""
    ask = demo._ask

    def fail(*arguments: object) -> None:
        ask(*arguments)
        raise RuntimeError("played")

    monkeypatch.setattr(demo, "_ask", fail)
    assert demo.run() == 1
    output = Output(capfd.readouterr().out)
    output.found("client", r"failed: RuntimeError\('played'\)")
    output.found("server", r"the client failed with status \d+")


def test_client_that_never_connects(capfd, monkeypatch):
    """A client that fails at once is reported, and the server gives up instead of waiting for ever."""

    def fail(*arguments: object) -> None:
        raise RuntimeError("played")

    monkeypatch.setattr(demo, "_ask", fail)
    monkeypatch.setattr(demo, "_TIMEOUT", 0.05)
    with pytest.raises(TimeoutError):
        demo.run()
    output = Output(capfd.readouterr().out)
    output.found("client", r"failed: RuntimeError\('played'\)")


@pytest.mark.parametrize(("groups", "shown"), [(None, "unknown"), ((), "none"), ((4, 5), "4, 5")])
def test_what_the_system_does_not_say(groups, shown, capfd, monkeypatch):
    """What is unknown of the peer is called unknown."""
    from uds_cffi import ConnCredentials, identity

    table = demo.features()
    table["peer_credentials"] = table["peer_credentials"]._replace(supported=True)
    monkeypatch.setattr(demo, "features", lambda: table)
    monkeypatch.setattr(identity.credentials, "peer_credentials", lambda handle: ConnCredentials(groups=groups))
    assert demo.run() == 0
    output = Output(capfd.readouterr().out)
    output.found("server", r"the peer is pid unknown, uid unknown, gid unknown")
    assert output.found("server", r"its supplementary groups: (.+)") == (shown,)
