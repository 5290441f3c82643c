"""What several test modules need: features, child processes, threads, and fresh interpreters.

Rule: nothing here waits without an end. A test that would hang fails instead.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import os
import select
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import uds_cffi

# The checkout or the unpacked source distribution that these tests are part of.
ROOT = Path(__file__).resolve().parent.parent

# Longer than any test may take, also on a busy machine; reached only by one that hangs. A machine that is emulated
# needs many times as long.
PATIENCE = 30.0 * float(os.environ.get("UDS_TEST_PATIENCE", "1"))

# A report of a child stays below what a pipe holds, so that writing it cannot block.
LONGEST_REPORT = 32 * 1024

# --- Features -----------------------------------------------------------------------------------

# How the summary at the end of a run finds the skips that are about features.
FEATURE_SKIP = "feature "


@functools.cache
def _features() -> dict[str, Any]:
    # Every call asks the kernel anew, and the answer does not change during a run.
    return uds_cffi.features()


def supported(feature: str) -> bool:
    """Tell whether this build and this kernel have a feature; an unknown name is an error."""
    return bool(_features()[feature].supported)


def needs(feature: str) -> pytest.MarkDecorator:
    """Skip a test where a feature is absent."""
    return pytest.mark.skipif(not supported(feature), reason=f"{FEATURE_SKIP}{feature} is absent")


def lacks(feature: str) -> pytest.MarkDecorator:
    """Skip a test where a feature is present: the test is about its absence."""
    return pytest.mark.skipif(supported(feature), reason=f"{FEATURE_SKIP}{feature} is present")


# --- Sockets and descriptors --------------------------------------------------------------------

# The types that pair() makes, as parameters of a test.
TYPES = [
    uds_cffi.UnixStream,
    uds_cffi.UnixDatagram,
    pytest.param(uds_cffi.UnixSeqpacketConn, marks=needs("seqpacket")),
]
PACKET_TYPES = TYPES[1:]


def compiler(name: str) -> str:
    """Return a compiler's path.

    A user's machine may lack one. The environment in which all must be there says so,
    and then it is an error.
    """
    found = shutil.which(name)
    if found is None:
        if os.environ.get("UDS_REQUIRE_COMPILERS") == "1":
            pytest.fail(f"the compiler {name} is required here and is missing")
        pytest.skip(f"the compiler {name} is missing")
    return found


def raises_errno(code: int) -> Any:
    """Expect an OSError with this errno."""
    return pytest.raises(OSError, match=rf"\[Errno {code}\]")


def in_local_words(shown: str) -> str:
    """Return what the documentation shows with the words that this C library has for an error: musl's are others."""
    return shown.replace("Address already in use", os.strerror(errno.EADDRINUSE))


def is_open(number: int) -> bool:
    """Tell whether this process has a descriptor of this number."""
    try:
        os.fstat(number)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return False
    return True


def address_of(path: str) -> tuple[Any, int]:
    """Make a struct sockaddr_un of a path, and its length, with nothing but `ffi` and `lib`."""
    address = uds_cffi.ffi.new("struct sockaddr_un *")
    name = os.fsencode(path)
    return address, uds_cffi.lib.uds_sockaddr_fill(address, name, len(name), 1)


def collect() -> None:
    """Let the garbage collector run all finalizers."""
    gc.collect()
    if sys.implementation.name != "cpython":
        # PyPy runs finalizers after the first collection.
        gc.collect()


# --- Child processes ----------------------------------------------------------------------------


# The ends of the threads and the children that run beside the test: descriptors that become readable.
_beside: list[int] = []


class Event:
    """One thing that happens once, and that another process or thread waits for."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._read

    def set(self) -> None:
        os.write(self._write, b"!")

    def wait(self, patience: float = PATIENCE) -> None:
        """Return when the event has happened; it may be waited for several times."""
        if not readable(self._read, patience):
            raise AssertionError(f"the event did not happen within {patience} seconds")

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)

    def __enter__(self) -> Event:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def fork() -> int:
    """Fork, also beside threads: since CPython 3.12 that warns of locks which stay locked in the child.

    The children of the tests run a few lines and never return to the interpreter's shutdown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


class Child:
    """A forked process that runs one function and exits.

    The function's exception, or an exit with anything but 0, is raised from `join()` in the
    parent. Leaving the `with` block joins; after an exception in the block it kills first.
    """

    def __init__(self, function: Callable[..., object], *arguments: Any) -> None:
        self._report, write = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            _be_the_child(function, arguments, write)
        os.close(write)
        self._joined = False
        _beside.append(self._report)

    def join(self, patience: float = PATIENCE) -> None:
        """Wait for the child's end and raise what went wrong in it."""
        if self._joined:
            return
        # Readable when the child has reported, and also when it died without a word.
        in_time = readable(self._report, patience)
        if not in_time:
            os.kill(self.pid, signal.SIGKILL)
        status, text = self._reap()
        if not in_time:
            raise AssertionError(f"the child did not end within {patience} seconds")
        if status != 0:
            raise AssertionError(f"the child {_describe(status)}\n{text}")

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """Kill the child and reap it, whatever it was doing."""
        if not self._joined:
            os.kill(self.pid, signal_number)
            self._reap()

    def _reap(self) -> tuple[int, str]:
        self._joined = True
        _beside.remove(self._report)
        try:
            _, status = os.waitpid(self.pid, 0)
            os.set_blocking(self._report, False)
            # A process that the child left behind may hold the pipe open: read what is there.
            with contextlib.suppress(BlockingIOError):
                return status, os.read(self._report, LONGEST_REPORT).decode()
            return status, ""
        finally:
            os.close(self._report)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, exc_type: object, *exc_info: object) -> None:
        if exc_type is None:
            self.join()
        else:
            self.kill()


def run_child(function: Callable[..., object], *arguments: Any) -> None:
    """Run a function in a forked process, to its end."""
    with Child(function, *arguments):
        pass


def _be_the_child(function: Callable[..., object], arguments: tuple[Any, ...], write: int) -> None:
    code = 1
    try:
        function(*arguments)
        os.write(write, b"done")
        code = 0
    except BaseException:
        os.write(write, traceback.format_exc().encode("utf-8", "replace")[-LONGEST_REPORT:])
    finally:
        # Never return into pytest, which the parent goes on running.
        os._exit(code)


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exited with {os.WEXITSTATUS(status)}"


def readable(fd: Any, patience: float) -> bool:
    """Tell whether a descriptor, an int or an object that has one, is readable within so many seconds."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(patience * 1000))


# --- Threads ------------------------------------------------------------------------------------


class Outcome(list[Any]):
    """What a function in a thread has returned, once it has; nothing after an exception."""

    def __init__(self, ended: Event) -> None:
        super().__init__()
        self._ended = ended

    def wait(self, patience: float = PATIENCE) -> None:
        """Return when the function has ended."""
        self._ended.wait(patience)


@contextlib.contextmanager
def in_thread(function: Callable[..., Any], *arguments: Any) -> Iterator[Outcome]:
    """Run a function in a thread beside the `with` block, and join the thread at the block's end.

    Yields a list that holds the function's result once it has returned. What the function raises is raised from the
    block.
    """
    with Event() as ended:
        outcome = Outcome(ended)
        failure: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(function(*arguments))
            except BaseException as error:
                failure.append(error)
            finally:
                ended.set()

        # A daemon, so that a thread which hangs makes its test fail and not the whole run hang.
        thread = threading.Thread(target=run, name=f"test {getattr(function, '__name__', 'call')}", daemon=True)
        thread.start()
        _beside.append(ended.fileno())
        try:
            yield outcome
        finally:
            _beside.remove(ended.fileno())
            thread.join(PATIENCE)
            if failure:
                # Why the block failed, if it did.
                raise failure.pop()
        if thread.is_alive():
            raise AssertionError(f"the thread did not end within {PATIENCE} seconds")


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Look each millisecond until a condition holds, and at once when a thread or a child beside the test ends.

    Only for what nothing announces.  The kernel tells nobody that a thread goes to sleep in a call: such a thread can
    say only what it is about to do. An event that was there before the sleep would be one too early, and a test of
    a call that waits would then pass without one. What ends, wait for with an `Event`, `Outcome.wait()` or `join()`.
    """
    poll = select.poll()
    for fd in _beside:
        poll.register(fd, select.POLLIN)
    running = len(_beside)
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {patience} seconds: {condition!r}")
        for fd, _ in poll.poll(1):
            poll.unregister(fd)
            running -= 1
            if running == 0 and not condition():
                raise AssertionError(f"not so, and nothing is left that could make it so: {condition!r}")


# --- Fresh interpreters -------------------------------------------------------------------------


def python(*arguments: str, **options: Any) -> str:
    """Run the interpreter in isolated mode and return what it prints; a failure shows its stderr.

    Isolated, because otherwise the current folder comes first on sys.path, and the package's
    sources would be imported instead of the installed package.
    """
    import subprocess

    options.setdefault("timeout", PATIENCE * 4)
    done = subprocess.run([sys.executable, "-I", *arguments], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(
            f"python {' '.join(arguments)} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done.stdout
