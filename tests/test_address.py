"""UnixSocketAddr as a value: constructors, limits, refusals, properties, and what it looks like.

Rule: every refusal is an AddressError that names the value, its length and the limit.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

import pytest
import support
from address_samples import abstract_names, addresses
from hypothesis import given, settings

from uds_cffi import AddressError, AddressTypeError, UnixDatagram, UnixListener, UnixSocketAddr, UnixStream

HAS_ABSTRACT = UnixSocketAddr.has_abstract_addresses()
MAX_PATH = UnixSocketAddr.max_path_len()
MAX_ABSTRACT = UnixSocketAddr.max_abstract_len()

modest = settings(deadline=None, max_examples=30)


class Named:
    """An os.PathLike that is no Path."""

    def __init__(self, name: object) -> None:
        self.name = name

    def __fspath__(self) -> object:
        return self.name


# --- Limits -------------------------------------------------------------------------------------


def test_limits():
    """On Linux a path may fill the 108 bytes of sun_path, and an abstract name all but its leading NUL."""
    assert MAX_PATH == 108
    assert (107 if HAS_ABSTRACT else 0) == MAX_ABSTRACT


def test_build_and_report_agree():
    """The class and the capability table say the same of abstract addresses."""
    assert HAS_ABSTRACT is support.supported("abstract_addresses")


# --- Paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [UnixSocketAddr, UnixSocketAddr.from_path])
@pytest.mark.parametrize(
    "value",
    ["/run/x", b"/run/x", Path("/run/x"), PurePosixPath("/run/x"), Named("/run/x"), Named(b"/run/x")],
    ids=lambda value: type(value).__name__,
)
def test_path_from_everything(make, value):
    """A path is a str, bytes or any os.PathLike, of str or bytes."""
    address = make(value)
    assert address.kind == "path"
    assert address.name == b"/run/x"
    assert address.raw_bytes == b"/run/x"
    assert address.path == Path("/run/x")
    assert address.abstract_name is None
    assert (address.is_path, address.is_abstract, address.is_unnamed) == (True, False, False)
    assert (address.is_absolute_path, address.is_relative_path) == (True, False)


@pytest.mark.parametrize("name", ["x", "./x", "../x", "@x", "path=x", "unix:/x", " ", "\\0x"])
def test_path_is_taken_as_it_is(name):
    """``from_path`` reads nothing into a path, and changes nothing in it."""
    address = UnixSocketAddr.from_path(name)
    assert address.name == name.encode()
    assert (address.is_absolute_path, address.is_relative_path) == (False, True)
    assert str(address) == name


def test_path_is_not_normalised():
    """The name stays exact, and only the convenient ``path`` is normalised."""
    address = UnixSocketAddr(".//a/./b")
    assert address.name == b".//a/./b"
    assert address.path == Path("a/b")
    assert address != UnixSocketAddr("a/b")


def test_path_that_is_no_utf8():
    """A path is bytes; what is not UTF-8 has the file system's own form as a str."""
    raw = b"/tmp/\xff\xfe\xe4"
    address = UnixSocketAddr(raw)
    assert address.name == raw
    assert str(address) == os.fsdecode(raw)
    assert os.fsencode(address.path) == raw
    assert UnixSocketAddr(os.fsdecode(raw)) == address


@pytest.mark.parametrize("make", [UnixSocketAddr, UnixSocketAddr.from_path, UnixSocketAddr.from_c_str])
def test_path_of_the_greatest_length(make):
    """A path may have as many bytes as sun_path, and not one more."""
    assert make(b"x" * MAX_PATH).name == b"x" * MAX_PATH
    with pytest.raises(AddressError, match=rf"b'x{{{MAX_PATH + 1}}}' is 109 bytes long; the limit is 108"):
        make(b"x" * (MAX_PATH + 1))


def test_length_is_in_bytes():
    """The limit counts bytes, not characters."""
    text = "é" * 54
    assert UnixSocketAddr(text).name == text.encode()
    with pytest.raises(AddressError, match="is 110 bytes long; the limit is 108") as caught:
        UnixSocketAddr(text + "é")
    assert repr(text + "é") in str(caught.value)


@pytest.mark.parametrize(
    ("path", "place", "size"),
    [("/a\0b", 2, 4), (b"a\0", 1, 2), (Named("\0a"), 0, 2), (Named(b"a\0\0b"), 1, 4)],
    ids=repr,
)
def test_path_with_a_nul(path, place, size):
    """A NUL inside a path is refused, and the place is named: the kernel would cut the path there."""
    with pytest.raises(AddressError, match=f"has a NUL at byte {place} of {size}") as caught:
        UnixSocketAddr(path)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize("path", ["", b"", Named(""), Named(b"")], ids=lambda value: type(value).__name__)
def test_empty_path(path):
    """A path cannot be empty, and the error says what to use instead."""
    with pytest.raises(AddressError, match=re.escape("UnixSocketAddr.unnamed()")):
        UnixSocketAddr.from_path(path)


def test_path_of_characters_that_no_file_has():
    """A str that cannot be encoded as a file name is refused."""
    with pytest.raises(AddressError, match=re.escape(repr("/\ud800"))):
        UnixSocketAddr("/\ud800")


@pytest.mark.parametrize(
    "value", [None, 0, 1.5, True, bytearray(b"/x"), memoryview(b"/x"), ["/x"], ("/x",), object], ids=repr
)
def test_wrong_types(value):
    """What is no str, bytes or os.PathLike is refused, by every constructor and every call that takes an address."""
    with UnixDatagram.unbound() as sock:
        for take in (
            UnixSocketAddr,
            UnixSocketAddr.from_path,
            UnixStream.connect,
            UnixListener.bind,
            UnixDatagram.bind,
            sock.bind_to,
            sock.connect_to,
            lambda address: sock.send_to(b"x", address),
        ):
            with pytest.raises(
                AddressTypeError, match=r"an address is a UnixSocketAddr, str, bytes or os\.PathLike"
            ) as e:
                take(value)
            assert type(value).__name__ in str(e.value)
            assert repr(value) in str(e.value)


def test_pathlike_that_is_none():
    """An object whose ``__fspath__`` returns something else is refused."""
    with pytest.raises(AddressTypeError, match="not Named"):
        UnixSocketAddr(Named(3))


def test_pathlike_is_always_a_path():
    """A PathLike never means an abstract name: its "@" is a character."""
    assert UnixSocketAddr(Named("@x")).name == b"@x"
    assert UnixSocketAddr(Named("@x")).is_path
    assert UnixSocketAddr(Path("@x")).is_path


# --- Abstract names -----------------------------------------------------------------------------


@support.needs("abstract_addresses")
@pytest.mark.parametrize("name", [b"", b"x", b"\0", b"a\0b", b"a\0", b"\0\0", b"@", b"/x", b"\xff\xfe"], ids=repr)
def test_abstract_names_are_exact(name):
    """An abstract name is any bytes, NULs at its end and none at all included."""
    address = UnixSocketAddr.from_abstract(name)
    assert address.kind == "abstract"
    assert address.name == name
    assert address.abstract_name == name
    assert address.raw_bytes == b"\0" + name
    assert address.path is None
    assert (address.is_path, address.is_abstract, address.is_unnamed) == (False, True, False)
    assert (address.is_absolute_path, address.is_relative_path) == (False, False)
    assert UnixSocketAddr(b"\0" + name) == address
    assert UnixSocketAddr.from_raw_bytes(b"\0" + name) == address


@support.needs("abstract_addresses")
def test_abstract_names_from_text():
    """In a str a leading "@" or NUL means an abstract name, in bytes only the NUL does."""
    address = UnixSocketAddr.from_abstract("é")
    assert address.name == "é".encode()
    assert UnixSocketAddr("@é") == address
    assert UnixSocketAddr("\0é") == address
    assert UnixSocketAddr("\0é".encode()) == address
    assert UnixSocketAddr("@").name == b""
    assert UnixSocketAddr("@").is_abstract
    assert UnixSocketAddr("@@").name == b"@"
    assert UnixSocketAddr(b"@x").is_path


@support.needs("abstract_addresses")
def test_abstract_name_of_the_greatest_length():
    """An abstract name may have 107 bytes, and not one more."""
    assert UnixSocketAddr.from_abstract(b"x" * MAX_ABSTRACT).name == b"x" * MAX_ABSTRACT
    for make in (
        lambda: UnixSocketAddr.from_abstract(b"x" * (MAX_ABSTRACT + 1)),
        lambda: UnixSocketAddr(b"\0" + b"x" * (MAX_ABSTRACT + 1)),
        lambda: UnixSocketAddr("@" + "x" * (MAX_ABSTRACT + 1)),
    ):
        with pytest.raises(AddressError, match=r"'x{108}' is 108 bytes long; the limit is 107"):
            make()


@pytest.mark.parametrize("name", [None, 3, bytearray(b"x"), Path("x"), Named("x")], ids=lambda v: type(v).__name__)
def test_abstract_names_are_text_or_bytes(name):
    """A name is no path: a PathLike is refused, like every other type."""
    with pytest.raises(
        AddressTypeError, match=f"an abstract name is str or bytes, not {type(name).__name__}"
    ) as caught:
        UnixSocketAddr.from_abstract(name)
    assert repr(name) in str(caught.value)


@support.lacks("abstract_addresses")
def test_without_abstract_addresses():
    """Where there are none, every way to write an abstract name is refused, and so is autobind."""
    for make in (
        lambda: UnixSocketAddr.from_abstract("x"),
        lambda: UnixSocketAddr.from_abstract(b"x" * 500),
        lambda: UnixSocketAddr("@x"),
        lambda: UnixSocketAddr("\0x"),
        lambda: UnixSocketAddr(b"\0x"),
        lambda: UnixSocketAddr.from_raw_bytes(b"\0x"),
        lambda: UnixSocketAddr.from_stdlib(b"\0x"),
        lambda: UnixSocketAddr.from_uri("unix:@x"),
        lambda: UnixStream.connect("\0x"),
        lambda: UnixListener.bind(b"\0x"),
        lambda: UnixListener.bind(""),
        lambda: UnixDatagram.bind(UnixSocketAddr.unnamed()),
    ):
        with pytest.raises(AddressError, match="this build or system has no abstract addresses"):
            make()


# --- Unnamed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        UnixSocketAddr,
        UnixSocketAddr.unnamed,
        lambda: UnixSocketAddr(""),
        lambda: UnixSocketAddr(b""),
        lambda: UnixSocketAddr.from_raw_bytes(b""),
        lambda: UnixSocketAddr.from_c_str(b""),
        lambda: UnixSocketAddr.from_c_str(b"\0x"),
        lambda: UnixSocketAddr.from_stdlib(""),
        lambda: UnixSocketAddr.from_stdlib(b""),
        lambda: UnixSocketAddr.from_stdlib(None),
        lambda: UnixSocketAddr.from_uri("unix:"),
    ],
)
def test_unnamed(make):
    """The unnamed address has no name of any kind."""
    address = make()
    assert address.kind == "unnamed"
    assert (address.name, address.raw_bytes, address.path, address.abstract_name) == (b"", b"", None, None)
    assert (address.is_path, address.is_abstract, address.is_unnamed) == (False, False, True)
    assert (address.is_absolute_path, address.is_relative_path) == (False, False)
    assert str(address) == "unnamed"


@pytest.mark.parametrize("unnamed", ["", b"", UnixSocketAddr.unnamed()], ids=repr)
def test_unnamed_is_no_target(unnamed):
    """Nothing can be connected or sent to the unnamed address."""
    with UnixDatagram.unbound() as sock:
        for call in (
            lambda: UnixStream.connect(unnamed),
            lambda: UnixDatagram.connect(unnamed),
            lambda: sock.connect_to(unnamed),
            lambda: sock.send_to(b"x", unnamed),
            lambda: sock.send_vectored_to([b"x"], unnamed),
            lambda: sock.send_fds_to(b"x", [0], unnamed),
        ):
            with pytest.raises(AddressError, match="the unnamed address cannot be connected or sent to"):
                call()


# --- Other forms --------------------------------------------------------------------------------


def test_c_string_ends_at_its_nul():
    """A C string is a path up to its first NUL, and never an abstract name."""
    assert UnixSocketAddr.from_c_str(b"/x") == UnixSocketAddr("/x")
    assert UnixSocketAddr.from_c_str(b"/x\0junk") == UnixSocketAddr("/x")
    assert UnixSocketAddr.from_c_str(b"@x").is_path


@pytest.mark.parametrize("make", [UnixSocketAddr.from_c_str, UnixSocketAddr.from_raw_bytes])
@pytest.mark.parametrize("value", [None, "/x", bytearray(b"/x"), 3], ids=repr)
def test_raw_forms_are_bytes(make, value):
    """What stands for memory is bytes, and nothing else."""
    with pytest.raises(AddressTypeError, match=f"is bytes, not {type(value).__name__}") as caught:
        make(value)
    assert repr(value) in str(caught.value)


def test_raw_path_with_a_nul():
    """The used part of sun_path has no terminator: a NUL in a path is refused there too."""
    with pytest.raises(AddressError, match="has a NUL at byte 2 of 3"):
        UnixSocketAddr.from_raw_bytes(b"/x\0")


@modest
@given(address=addresses)
def test_an_address_is_an_address(address):
    """An address is taken as it is, and comes back from its raw bytes and its text in the standard library."""
    assert UnixSocketAddr(address) is address
    assert UnixSocketAddr.from_raw_bytes(address.raw_bytes) == address
    assert UnixSocketAddr.from_stdlib(address.to_stdlib()) == address
    assert (address.kind == "abstract") is isinstance(address.to_stdlib(), bytes)


# --- Equality and text --------------------------------------------------------------------------


@modest
@given(one=addresses, two=addresses)
def test_equality_is_by_kind_and_name(one, two):
    """Two addresses are equal when kind and name are, and then hash alike."""
    same = (one.kind, one.name) == (two.kind, two.name)
    assert (one == two) is same
    assert (one != two) is not same
    assert len({one, two}) == (1 if same else 2)


def test_used_address_stays_equal(socket_path):
    """An address that was bound equals one that never was."""
    address = UnixSocketAddr(socket_path)
    with UnixDatagram.bind(address):
        assert address == UnixSocketAddr(socket_path)
        assert hash(address) == hash(UnixSocketAddr(socket_path))


@modest
@given(address=addresses)
def test_repr_shows_kind_and_name(address):
    """The repr shows the kind, and the name exactly."""
    if address.is_path:
        assert repr(address) == f"UnixSocketAddr(Path({os.fsdecode(address.name)!r}))"
    elif address.is_abstract:
        assert repr(address) == f"UnixSocketAddr(Abstract({address.name!r}))"
    else:
        assert repr(address) == "UnixSocketAddr(Unnamed)"


@support.needs("abstract_addresses")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"", "@"),
        (b"name", "@name"),
        ("é".encode(), "@é"),
        (b"a\0b\n", r"@a\x00b\n"),
        (b"\xff\x7f", r"@\xff\x7f"),
        ("\u2028".encode(), r"@\u2028"),
    ],
)
def test_abstract_text_is_escaped(name, text):
    """As text an abstract name begins with "@", and what cannot be printed is escaped."""
    assert str(UnixSocketAddr.from_abstract(name)) == text


@support.needs("abstract_addresses")
@modest
@given(name=abstract_names)
def test_abstract_text_is_printable(name):
    """The text of an abstract name is one printable line, whatever is in the name."""
    text = str(UnixSocketAddr.from_abstract(name))
    assert text[0] == "@"
    assert text.isprintable()
