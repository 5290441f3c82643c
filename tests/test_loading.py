"""What is loaded, and when.

Rule: `import uds_cffi` loads the compiled module and nothing else; a public name loads its module when it is first
used, wherever that is.  Each test has a fresh interpreter, because in this one everything has been loaded.
"""

from __future__ import annotations

import ast
import collections
import importlib
import pickle
import pydoc
import socket
import sysconfig
import textwrap
from pathlib import Path

import pytest
import support

import uds_cffi
from uds_cffi import receiver

PACKAGE = Path(uds_cffi.__file__).parent

# What costs more to load than the library, and drags in more.
TOO_HEAVY = {
    "asyncio",
    "cffi",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "importlib",
    "inspect",
    "operator",
    "pathlib",
    "pycparser",
    "re",
    "socket",
    "threading",
    "typing",
    "urllib",
}

# What a program does not need that sends and receives bytes on streams.
NOT_FOR_A_STREAM = {
    "ancillary",
    "batch",
    "batching",
    "batchmemory",
    "bound",
    "control",
    "cut",
    "datagram",
    "diagnostics",
    "framed",
    "frames",
    "framesending",
    "metadata",
    "optionrows",
    "packet",
    "pidfd",
    "probes",
    "results",
    "seqpacket",
    "sockdiag",
    "streamfile",
    "survey",
}

# What is there at once.
AT_ONCE = {"__version__", "ffi", "lib"}


def fresh(program: str, *options: str) -> str:
    """Run a program that has loaded nothing of the library and return what it prints."""
    # Without `site`, so that nothing is loaded beforehand for other reasons. An editable install leaves the package
    # elsewhere than cffi's backend.
    folders = [str(PACKAGE.parent), sysconfig.get_path("platlib")]
    begin = f"import sys\nsys.path[:0] = {folders!r}\n"
    return support.python("-S", *options, "-c", begin + textwrap.dedent(program))


def loaded_by(program: str) -> set[str]:
    """Return the names of the modules that a program loads."""
    shown = fresh(
        "before = set(sys.modules)\n" + textwrap.dedent(program) + "\nprint(*sorted(set(sys.modules) - before))"
    )
    return set(shown.split())


def test_import_loads_the_compiled_module_only():
    """Importing the package loads the compiled module, so that a broken build is met at once, and no other room."""
    loaded = loaded_by("import uds_cffi")

    # The last is the compiled module's `lib`, which cffi enters there.
    ours = {"uds_cffi", "uds_cffi._lib", "uds_cffi._lib.lib"}
    assert {name for name in loaded if name.startswith("uds_cffi")} == ours
    assert {name.partition(".")[0] for name in loaded} & (TOO_HEAVY | {"errno", "os", "struct", "warnings"}) == set()


def test_stream_loads_what_it_needs():
    """A pair of streams that sends and receives loads nothing heavy, and no room of packets or ancillary data."""
    loaded = loaded_by(
        """
        import uds_cffi
        one, two = uds_cffi.UnixStream.pair()
        one.send(b"x")
        assert two.recv(10) == b"x"
        one.close()
        two.close()
        """
    )

    assert "uds_cffi.stream" in loaded
    assert {f"uds_cffi.{name}" for name in NOT_FOR_A_STREAM} & loaded == set()
    assert {name.partition(".")[0] for name in loaded} & TOO_HEAVY == set()


def test_rooms_in_these_lists_exist():
    """The list of what a stream does not need has no name of a module that is gone."""
    assert {path.stem for path in PACKAGE.glob("*.py")} >= NOT_FOR_A_STREAM


@pytest.mark.parametrize("name", sorted(uds_cffi._HOMES))
def test_name_is_its_modules_object(name):
    """A public name is the object of its module, or the module, and then an attribute of the package like any other."""
    home = uds_cffi._HOMES[name]
    module = importlib.import_module(f"uds_cffi.{home or name}")
    expected = getattr(module, name) if home else module

    assert getattr(uds_cffi, name) is expected
    assert vars(uds_cffi)[name] is expected


def test_each_name_can_be_the_first():
    """Each public name loads alone, whatever has been used before it."""
    shown = fresh(
        """
        import os
        import uds_cffi
        for name in uds_cffi.__all__:
            if os.fork() == 0:
                getattr(uds_cffi, name)
                os._exit(0)
            if os.wait()[1] != 0:
                print(name)
        """
    )

    assert shown == ""


def imports_for_type_checkers() -> dict[str, str]:
    """Return the module of each name that type checkers see imported."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    assert isinstance(guarded.test, ast.Name)
    assert guarded.test.id == "TYPE_CHECKING"
    return {
        name.name: node.module or "" for node in guarded.body if isinstance(node, ast.ImportFrom) for name in node.names
    }


def test_tables_of_names_agree():
    """What is loaded on demand is what type checkers see, and with what is there at once it is `__all__`."""
    assert imports_for_type_checkers() == uds_cffi._HOMES
    assert {*uds_cffi._HOMES, *AT_ONCE} == set(uds_cffi.__all__)


def test_no_public_name_is_a_modules():
    """No public name but a module's own is that of a module, whose import would take the place of what has the name."""
    modules = {name for name, home in uds_cffi._HOMES.items() if not home}

    assert {path.stem for path in PACKAGE.glob("*.py")} & set(uds_cffi.__all__) == modules


@pytest.mark.parametrize("program", ["uds_cffi.diagnostics", "from uds_cffi import diagnostics"])
def test_public_module_is_loaded_by_its_name(program):
    """A module that is public is there after a plain import, whichever way it is named."""
    program = f"import uds_cffi\n{program}\nassert uds_cffi.diagnostics is sys.modules['uds_cffi.diagnostics']"

    assert {"uds_cffi.diagnostics", "uds_cffi.sockdiag"} <= loaded_by(program)


def test_unknown_name_is_an_attribute_error():
    """A name that is not there is the error, with the text, that every module gives."""
    with pytest.raises(AttributeError, match=r"^module 'uds_cffi' has no attribute 'UnixSocket'$"):
        _ = uds_cffi.UnixSocket
    with pytest.raises(ImportError, match="cannot import name 'UnixSocket' from 'uds_cffi'"):
        from uds_cffi import UnixSocket  # noqa: F401
    assert not hasattr(uds_cffi, "__path_hooks__")


def test_names_are_listed_before_they_are_used():
    """`dir()` lists every public name, once each, and `import *` brings them all."""
    shown = fresh(
        """
        import uds_cffi
        names = dir(uds_cffi)
        assert set(uds_cffi.__all__) <= set(names), names
        uds_cffi.UnixStream
        assert len(dir(uds_cffi)) == len(set(dir(uds_cffi)))
        from uds_cffi import *
        print(*sorted(name for name in uds_cffi.__all__ if globals()[name] is not getattr(uds_cffi, name)))
        """
    )

    assert shown.strip() == ""


def test_help_shows_everything():
    """`help(uds_cffi)` shows the public classes and functions."""
    text = pydoc.plain(pydoc.render_doc(uds_cffi))

    assert "class UnixStream(" in text
    assert "features() -> " in text


@pytest.mark.parametrize(
    "value",
    [
        uds_cffi.UnixSocketAddr("/run/x"),
        uds_cffi.Packet(b"x", False),
        uds_cffi.Credentials(1, 2, 3),
        uds_cffi.FrameError("too long", 5, 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_pickles_load_what_they_need(value):
    """A pickled value can be read where nothing has been loaded."""
    shown = fresh(f"import pickle\nvalue = pickle.loads({pickle.dumps(value)!r})\nprint(repr(value))")

    assert shown.strip() == repr(value)


def test_threads_use_names_for_the_first_time():
    """Threads that use the library for the first time at the same moment all get the same objects, and each works."""
    shown = fresh(
        """
        import threading
        import uds_cffi
        sys.setswitchinterval(1e-6)
        names = list(uds_cffi.__all__)
        begin = threading.Barrier(8)
        found = []
        def look(first):
            begin.wait()
            order = names[first:] + names[:first]
            one, two = uds_cffi.UnixStream.pair()
            with one, two:
                one.send_fds(b"x", [0])
                two.recv_fds(1, 1)[1].close()
                two.local_addr().path, repr(two.options), uds_cffi.UnixSocketAddr.from_uri("unix:/x")
            found.append({name: getattr(uds_cffi, name) for name in order})
        threads = [threading.Thread(target=look, args=[place * 6]) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        print(*[name for name in names if len({id(seen[name]) for seen in found}) != 1])
        """
    )

    assert shown.strip() == ""


def test_signal_handler_uses_a_name_for_the_first_time():
    """The first use may be in a signal handler."""
    shown = fresh(
        """
        import signal
        import uds_cffi
        def handler(*_):
            one, two = uds_cffi.UnixStream.pair()
            with one, two:
                one.send(b"from the handler")
                print(two.recv(100))
        signal.signal(signal.SIGUSR1, handler)
        signal.raise_signal(signal.SIGUSR1)
        """
    )

    assert shown.strip() == "b'from the handler'"


# A first use, and a trace function that raises at one of the lines that it loads.
INTERRUPTED = """
import os
import uds_cffi
def use():
    one, two = uds_cffi.UnixStream.pair()
    with one, two:
        one.send(b"x")
        assert two.recv(10) == b"x"
    uds_cffi.UnixSeqpacketListener, uds_cffi.FramedStream
lines = 0
last = None
def trace(frame, event, argument):
    global lines
    if not frame.f_globals.get("__name__", "").startswith("uds_cffi"):
        return None
    if event == "line":
        lines += 1
        if lines == last:
            raise KeyboardInterrupt
    return trace
"""


def test_first_use_that_is_interrupted_can_be_repeated():
    """A first use into which a signal handler raises, at whatever line of what is loaded, can be repeated."""
    count = int(fresh(INTERRUPTED + "sys.settrace(trace)\nuse()\nsys.settrace(None)\nprint(lines)"))
    assert count > 1000

    failed = fresh(
        INTERRUPTED
        + textwrap.dedent(
            f"""
            # The lines are never quite as many: the collector runs finalizers when it likes.
            for last in range(1, {count * 9 // 10}, {count // 25}):
                if os.fork() == 0:
                    sys.settrace(trace)
                    try:
                        use()
                    except KeyboardInterrupt:
                        sys.settrace(None)
                        use()
                        os._exit(0)
                    # It was not interrupted.
                    os._exit(1)
                if os.wait()[1] != 0:
                    print(last)
            """
        )
    )

    assert failed == ""


def test_owners_are_collected_at_the_end():
    """What a program forgot warns and is closed while the interpreter shuts down, where no module can be loaded."""
    program = """
        import os
        import uds_cffi
        # The warnings go where the test looks.
        os.dup2(1, 2)
        class Forgotten:
            def __del__(self):
                os.write(1, b"collected\\n")
        one, two = uds_cffi.UnixStream.pair()
        packets = uds_cffi.UnixDatagram.unbound()
        one.send_fds(b"x", [0])
        data, fds = two.recv_fds(10, 1)
        owned = uds_cffi.OwnedFd(two.try_clone().detach())
        # Not every interpreter collects what is left at the end.
        forgotten = Forgotten()
        """
    shown = fresh(program, "-W", "always::ResourceWarning")

    assert shown.count("unclosed") == (5 if "collected" in shown else 0)
    assert len(shown.splitlines()) in (0, 6)


@pytest.mark.parametrize(
    ("kind", "turn", "made"),
    [
        (socket.SOCK_STREAM, "as_stream", "UnixStream"),
        (socket.SOCK_DGRAM, "as_datagram", "UnixDatagram"),
        pytest.param(socket.SOCK_SEQPACKET, "as_seqpacket", "UnixSeqpacketConn", marks=support.needs("seqpacket")),
    ],
)
def test_owned_descriptor_loads_the_socket_that_it_becomes(kind, turn, made):
    """An OwnedFd becomes a socket of a type that nothing has used before."""
    shown = fresh(
        f"""
        import socket
        import uds_cffi
        one, two = socket.socketpair(socket.AF_UNIX, {int(kind)})
        with two, uds_cffi.OwnedFd(one.detach()).{turn}() as made:
            print(type(made).__name__)
        """
    )

    assert shown.strip() == made


def test_pool_is_a_deque():
    """The pool's class, which is not taken from `collections`, is the one that is there."""
    assert type(receiver._small) is collections.deque
