"""URIs: the forms that configuration files use, and the one that is written."""

from __future__ import annotations

import re

import pytest
import support
from address_samples import abstract_names, addresses, path_names
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import AddressError, AddressTypeError, UnixSocketAddr, UnixStream

modest = settings(deadline=None, max_examples=40)


@modest
@given(address=addresses)
def test_round_trip(address):
    """What ``to_uri`` writes is ASCII without blanks, and ``from_uri`` reads it back to an equal address."""
    uri = address.to_uri()
    assert uri.startswith("unix:")
    assert re.fullmatch(r"[!-~]+", uri)
    assert UnixSocketAddr.from_uri(uri) == address


@pytest.mark.parametrize(
    "name",
    [b"/x", b"//x", b"///x", b"x", b"@x", b"path=x", b"abstract=x", b"%41", b"a%", b"a b?c#d", b"/x,y;z:=", b"/\xff"],
    ids=repr,
)
def test_paths_that_look_like_something_else(name):
    """A path that looks like another form is still that path when it is read back."""
    address = UnixSocketAddr.from_path(name)
    assert UnixSocketAddr.from_uri(address.to_uri()) == address


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("unix:/run/x", b"/run/x"),
        ("unix:///run/x", b"/run/x"),
        ("UNIX:/run/x", b"/run/x"),
        ("unix:x", b"x"),
        ("unix:./x", b"./x"),
        ("unix:path=/run/x", b"/run/x"),
        ("unix:path=x", b"x"),
        ("unix:/a%20b", b"/a b"),
        ("unix:/%e4%FF", b"/\xe4\xff"),
        ("unix:/é", "/é".encode()),
        ("unix:/a+b", b"/a+b"),
        ("unix:path=%2Fx", b"/x"),
        ("unix:/x?y#z", b"/x?y#z"),
    ],
)
def test_paths_are_read(uri, name):
    """Every documented form of a path is read, with its escaped bytes."""
    assert UnixSocketAddr.from_uri(uri) == UnixSocketAddr.from_path(name)


@support.needs("abstract_addresses")
@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("unix:@x", b"x"),
        ("unix:@", b""),
        ("unix:abstract=x", b"x"),
        ("unix:abstract=", b""),
        ("unix:@a%00b%00", b"a\0b\0"),
        ("unix:abstract=/tmp/dbus-x", b"/tmp/dbus-x"),
        ("unix:@@", b"@"),
    ],
)
def test_abstract_names_are_read(uri, name):
    """Every documented form of an abstract name is read, with its escaped bytes."""
    assert UnixSocketAddr.from_uri(uri) == UnixSocketAddr.from_abstract(name)


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        (b"/run/x", "unix:/run/x"),
        (b"x", "unix:path=x"),
        (b"//x", "unix:path=//x"),
        (b"/a b\xff%", "unix:/a%20b%FF%25"),
    ],
)
def test_paths_are_written(name, uri):
    """An absolute path is written plainly, any other with its key, and odd bytes are escaped."""
    assert UnixSocketAddr.from_path(name).to_uri() == uri


@support.needs("abstract_addresses")
def test_abstract_names_are_written():
    """An abstract name is written with "@"."""
    assert UnixSocketAddr.from_abstract(b"a\0b").to_uri() == "unix:@a%00b"
    assert UnixSocketAddr.from_abstract(b"").to_uri() == "unix:@"


def test_unnamed_is_written():
    """The unnamed address is the bare scheme."""
    assert UnixSocketAddr.unnamed().to_uri() == "unix:"


def test_text_is_encoded_as_file_names_are():
    """Characters in a URI are encoded as those in a path, so that the bytes of any file name can stand there."""
    assert UnixSocketAddr.from_uri("unix:/\udcff").name == b"/\xff"


@pytest.mark.parametrize(
    "uri",
    ["", "unix", "/x", "x", "unixs:/x", "tcp:/x", "http+unix:/x", " unix:/x", "@x"],
)
def test_other_schemes(uri):
    """What does not begin with the scheme is refused, and named."""
    with pytest.raises(AddressError, match="does not begin with 'unix:'") as caught:
        UnixSocketAddr.from_uri(uri)
    assert repr(uri) in str(caught.value)


@pytest.mark.parametrize("rest", ["/%", "/%4", "/%zz", "/%+1", "/%%41", "@%", "path=%", "abstract=%G0", "/%4\n1"])
def test_malformed_escapes(rest):
    """A "%" that two hexadecimal digits do not follow is refused instead of being taken for a character."""
    with pytest.raises(AddressError, match="has a '%' that two hexadecimal digits do not follow") as caught:
        UnixSocketAddr.from_uri("unix:" + rest)
    assert repr("unix:" + rest) in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("unix:/a%00b", "has a NUL at byte 2 of 4"),
        ("unix:path=", "cannot be empty"),
        ("unix:/" + "x" * 108, "is 109 bytes long; the limit is 108"),
        ("unix:/" + "%41" * 108, "is 109 bytes long; the limit is 108"),
        ("unix:/\ud800", "characters"),
        ("unix:tmpdir=/tmp", "tells a D-Bus server where to choose an address"),
        ("unix:dir=/tmp", "tells a D-Bus server where to choose an address"),
        ("unix:runtime=yes", "tells a D-Bus server where to choose an address"),
        ("unix://host/path", "names a host"),
    ],
)
def test_malformed(uri, reason):
    """A URI of a path that cannot be one is refused for the same reason as the path."""
    with pytest.raises(AddressError, match=reason):
        UnixSocketAddr.from_uri(uri)


@pytest.mark.parametrize("uri", [None, b"unix:/x", 3, UnixSocketAddr("/x")], ids=repr)
def test_uris_are_text(uri):
    """A URI is a str."""
    with pytest.raises(AddressTypeError, match=f"a URI is str, not {type(uri).__name__}"):
        UnixSocketAddr.from_uri(uri)


def test_calls_take_no_uri():
    """Where an address is taken, a URI is just a path: only ``from_uri`` reads one."""
    with pytest.raises(FileNotFoundError) as caught:
        UnixStream.connect("unix:/nowhere")
    assert caught.value.filename == "unix:/nowhere"


@modest
@given(text=st.text(max_size=30))
def test_arbitrary_text(text):
    """Whatever text is read as a URI, the outcome is an address or an AddressError."""
    try:
        address = UnixSocketAddr.from_uri("unix:" + text)
    except AddressError:
        return
    assert UnixSocketAddr.from_uri(address.to_uri()) == address


@modest
@given(name=path_names)
def test_escaped_paths_are_read_whole(name):
    """A path of which every byte is escaped is read in each form."""
    escaped = "".join(f"%{byte:02x}" for byte in name)
    for prefix in ("unix:", "unix:path="):
        assert UnixSocketAddr.from_uri(prefix + escaped).name == name


@support.needs("abstract_addresses")
@modest
@given(name=abstract_names)
def test_escaped_abstract_names_are_read_whole(name):
    """An abstract name of which every byte is escaped is read in both forms."""
    escaped = "".join(f"%{byte:02X}" for byte in name)
    for prefix in ("unix:@", "unix:abstract="):
        assert UnixSocketAddr.from_uri(prefix + escaped).abstract_name == name
