"""makefile: file objects over a stream.

Rule: a file object borrows the stream.  Closing it, or forgetting it, leaves the stream open.
"""

from __future__ import annotations

import contextlib
import csv
import gc
import io
import json
from typing import Any

import pytest
import support

from uds_cffi import SHUT_WR, UnixListener, UnixStream


def test_lines_of_text(stream: tuple[UnixStream, UnixStream]) -> None:
    """The default mode reads lines of text, in the encoding asked for, to the end of the connection."""
    one, two = stream
    one.sendall("grüß\r\nGott\n\nno newline".encode())
    one.shutdown(SHUT_WR)
    with two.makefile(encoding="utf-8") as file:
        assert list(file) == ["grüß\n", "Gott\n", "\n", "no newline"]


@pytest.mark.parametrize(
    ("mode", "readable", "writable"),
    [("r", True, False), ("w", False, True), ("rw", True, True), ("wr", True, True)],
)
@pytest.mark.parametrize("binary", [False, True])
def test_modes(stream: tuple[UnixStream, UnixStream], mode: str, readable: bool, writable: bool, binary: bool) -> None:
    """A file object reads or writes as its mode says, text or bytes."""
    one, two = stream
    empty: Any = b"" if binary else ""
    text: Any = b"line\n" if binary else "line\n"
    with one.makefile(mode + "b" * binary, **({} if binary else {"encoding": "ascii"})) as file:
        assert (file.readable(), file.writable(), file.seekable()) == (readable, writable, False)
        assert isinstance(file, io.TextIOBase) is not binary
        if not binary:
            assert file.mode == mode
        if writable:
            assert file.write(text) == 5
            file.flush()
            assert two.recv(9) == b"line\n"
        else:
            with pytest.raises(io.UnsupportedOperation):
                file.write(text)
        if readable:
            two.send(b"line\n")
            assert file.readline() == text
        else:
            with pytest.raises(io.UnsupportedOperation):
                file.read(1)
        two.shutdown(SHUT_WR)
        if readable:
            assert file.read() == empty


@pytest.mark.parametrize("mode", ["", "b", "a", "r+", "x", "rU", "rwt", "read"])
def test_mode_that_makes_no_sense(stream: tuple[UnixStream, UnixStream], mode: str) -> None:
    """Another mode is ValueError."""
    with pytest.raises(ValueError, match="mode"):
        stream[0].makefile(mode)


@pytest.mark.parametrize("option", [{"encoding": "ascii"}, {"errors": "strict"}, {"newline": "\n"}])
def test_binary_mode_takes_no_encoding(stream: tuple[UnixStream, UnixStream], option: Any) -> None:
    """What belongs to text is ValueError for bytes."""
    with pytest.raises(ValueError, match="binary"):
        stream[0].makefile("rb", **option)


def test_text_cannot_be_unbuffered(stream: tuple[UnixStream, UnixStream]) -> None:
    """Unbuffered text is ValueError, as with open()."""
    with pytest.raises(ValueError, match="unbuffered"):
        stream[0].makefile("r", 0)


@pytest.mark.parametrize("buffering", [None, -1, 1, 3, 100_000])
def test_buffer_sizes(stream: tuple[UnixStream, UnixStream], buffering: int | None) -> None:
    """Whatever the size of the buffer, a file holds it back until flush() or close()."""
    one, two = stream
    with one.makefile("wb", buffering) as file:
        file.write(b"ab")
        file.flush()
        assert two.recv(9) == b"ab"
        file.write(b"cd")
    assert two.recv(9) == b"cd"
    with one.makefile("rb", buffering) as file:
        two.send(b"0123456789")
        assert file.read(10) == b"0123456789"


def test_unbuffered(stream: tuple[UnixStream, UnixStream]) -> None:
    """An unbuffered file reads and writes as the stream does, and shows its descriptor."""
    one, two = stream
    with one.makefile("rwb", 0) as file:
        assert isinstance(file, io.RawIOBase)
        assert file.fileno() == one.fileno()
        assert file.write(b"at once") == 7
        assert two.recv(9) == b"at once"
        two.send(b"12345")
        memory = bytearray(3)
        assert file.readinto(memory) == 3
        assert memory == b"123"
        assert file.read(9) == b"45"
        assert not file.isatty()


def test_unbuffered_in_one_direction(stream: tuple[UnixStream, UnixStream]) -> None:
    """An unbuffered file refuses the direction that it was not made for, and takes nothing."""
    one, two = stream
    two.send(b"kept")
    with one.makefile("rb", 0) as reader, one.makefile("wb", 0) as writer:
        with pytest.raises(io.UnsupportedOperation, match="not writable"):
            reader.write(b"x")
        with pytest.raises(io.UnsupportedOperation, match="not readable"):
            writer.readinto(bytearray(1))
    assert one.recv(9) == b"kept"
    assert two.try_recv(1) is None


def test_nonblocking_stream(stream: tuple[UnixStream, UnixStream]) -> None:
    """On a nonblocking stream reading and writing return None instead of waiting, as io's files do."""
    one, _ = stream
    one.set_nonblocking(True)
    with one.makefile("rb", 0) as raw, one.makefile("rb") as buffered:
        assert raw.readinto(bytearray(1)) is None
        assert raw.read(1) is None
        assert buffered.read(1) is None
    with one.makefile("wb", 0) as raw:
        while raw.write(bytes(50_000)) is not None:
            pass
    with pytest.raises(BlockingIOError):
        one.send(b"x")


def test_timeouts_of_the_stream_apply(stream: tuple[UnixStream, UnixStream]) -> None:
    """A file has the timeouts of its stream; after one it refuses to read on: bytes may be lost in its buffer."""
    one, two = stream
    one.set_read_timeout(0.01)
    with one.makefile("rb") as file:
        with pytest.raises(TimeoutError):
            file.read(1)
        two.send(b"late")
        with pytest.raises(OSError, match="cannot read from timed out object"):
            file.read(4)
    assert one.recv(4) == b"late"


def test_closing_leaves_the_stream_open(stream: tuple[UnixStream, UnixStream]) -> None:
    """Closing a file flushes it, closes it for good, and leaves the stream alone."""
    one, two = stream
    reader, writer = one.makefile("rb"), one.makefile("w", encoding="ascii")
    writer.write("flushed")
    reader.close()
    writer.close()
    assert two.recv(9) == b"flushed"
    for call in (lambda: reader.read(1), lambda: writer.write("x"), reader.fileno):
        with pytest.raises(ValueError, match="closed"):
            call()
    one.send(b"open")
    assert two.recv(9) == b"open"


def test_closed_unbuffered_file(stream: tuple[UnixStream, UnixStream]) -> None:
    """A closed file of the lowest layer refuses everything, and says so."""
    raw = stream[0].makefile("rwb", 0)
    raw.close()
    raw.close()
    assert raw.closed
    assert (raw.readable(), raw.writable()) == (False, False)
    for call in (lambda: raw.readinto(bytearray(1)), lambda: raw.write(b"x"), raw.fileno):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_forgotten_file(stream: tuple[UnixStream, UnixStream]) -> None:
    """A file that is collected closes nothing, and warns of nothing."""
    one, two = stream
    one.makefile("rb").read(0)
    one.makefile("rw", encoding="ascii")
    gc.collect()
    gc.collect()
    one.send(b"open")
    assert two.recv(9) == b"open"


def test_closed_stream(stream: tuple[UnixStream, UnixStream]) -> None:
    """When the stream is closed its files raise OSError (EBADF)."""
    one, _ = stream
    with one.makefile("rb") as reader, one.makefile("wb", 0) as writer:
        one.close()
        for call in (lambda: reader.read(1), lambda: writer.write(b"x")):
            with pytest.raises(OSError, match="Bad file descriptor"):
                call()


def test_peer_that_left(stream: tuple[UnixStream, UnixStream]) -> None:
    """Writing to a peer that left is BrokenPipeError."""
    one, two = stream
    two.close()
    with one.makefile("wb", 0) as writer, pytest.raises(BrokenPipeError):
        writer.write(b"x")


@pytest.mark.parametrize(("newline", "expected"), [(None, b"a\nb"), ("\n", b"a\nb"), ("\r\n", b"a\r\nb")])
def test_newlines(stream: tuple[UnixStream, UnixStream], newline: str | None, expected: bytes) -> None:
    """The newline of text is translated as open() does."""
    one, two = stream
    with one.makefile("w", encoding="ascii", newline=newline) as file:
        file.write("a\nb")
    assert two.recv(9) == expected


def test_errors_of_the_encoding(stream: tuple[UnixStream, UnixStream]) -> None:
    """The errors argument decides what happens to bytes that are no text."""
    one, two = stream
    one.send(b"\xff\n")
    with two.makefile("r", encoding="utf-8", errors="replace") as file:
        assert file.readline() == "\ufffd\n"


def test_large_amounts(stream: tuple[UnixStream, UnixStream]) -> None:
    """A buffered file moves more than any queue holds."""
    one, two = stream
    data = bytes(range(256)) * 20_000

    def write() -> None:
        with one.makefile("wb") as file:
            file.write(data)
        one.shutdown(SHUT_WR)

    with support.in_thread(write), two.makefile("rb") as file:
        assert file.read() == data


def test_other_modules_of_the_standard_library(socket_path: str) -> None:
    """What reads and writes files works over a connection: json and csv, question and answer."""

    def serve(listener: UnixListener) -> None:
        with listener.accept()[0] as conn, conn.makefile("rw", encoding="utf-8", newline="") as file:
            question = json.loads(file.readline())
            csv.writer(file).writerow([question["a"], "x,y"])

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(UnixListener.bind(socket_path))
        stack.enter_context(support.in_thread(serve, listener))
        client = stack.enter_context(UnixStream.connect(socket_path))
        file = stack.enter_context(client.makefile("rw", encoding="utf-8", newline=""))
        json.dump({"a": "ä"}, file)
        file.write("\n")
        file.flush()
        assert list(csv.reader(file)) == [["ä", "x,y"]]
