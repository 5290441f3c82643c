"""Addresses.

Rules:
- A value is checked once, when the address is made; below that only bytes travel.
- The length counts.  A path may fill ``sun_path`` without a NUL, an abstract name may contain and end in NULs.
- Nothing is shortened, and nothing works round a limit behind the caller's back.
"""

from __future__ import annotations

import os
import sys

from ._lib import ffi, lib
from .errors import AddressError, AddressTypeError
from .once import once, path_class
from .values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Union

    from ._lib import CData

    AddressLike = Union["UnixSocketAddr", str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

_MAX_PATH: int = lib.UDS_MAX_PATH_LEN
# What some systems take beyond the struct, for who asks for long paths.
_LONG_PATH: int = lib.UDS_LONG_PATH_LEN
_MAX_ABSTRACT: int = lib.UDS_SUN_PATH_SIZE - 1
_OFFSET: int = lib.UDS_SUN_PATH_OFFSET
_SOCKADDR = ffi.typeof("struct sockaddr_un *")
# What an error about a path says where there is one.
WAY_OUT = "; bind() and connect() take longer ones with long_path=True"
_WAY_OUT = WAY_OUT if lib.UDS_HAS_BINDAT or _LONG_PATH else ""
_HAS_ABSTRACT = bool(lib.UDS_HAS_ABSTRACT)
_HEXADECIMAL = frozenset("0123456789ABCDEFabcdef")
# What a str or bytes begins with that is no path.
_NO_PATH = (b"", b"\0")
_new = object.__new__
# How os.fsencode() encodes.
ENCODING = sys.getfilesystemencoding()
ENCODING_ERRORS = sys.getfilesystemencodeerrors()


def path_bytes(path: Any) -> bytes:
    """Return a path of any kind as bytes, or raise AddressError."""
    if type(path) is bytes:
        return path
    try:
        return path.encode(ENCODING, ENCODING_ERRORS) if type(path) is str else os.fsencode(path)
    except TypeError:
        raise AddressTypeError(
            f"an address is a UnixSocketAddr, str, bytes or os.PathLike, not {type(path).__name__}: {path!r}"
        ) from None
    except UnicodeEncodeError as error:
        raise AddressError(f"{path!r} has characters that a file name cannot have: {error}") from None


class UnixSocketAddr(Value):
    """The address of a Unix domain socket: a path, an abstract name, or unnamed.  Immutable and hashable.

    ``UnixSocketAddr(x)`` takes another address, or a path as str, bytes or os.PathLike; in a str or bytes a leading
    NUL means an abstract name, in a str a leading "@" too ("./@x" is the path), and "" the unnamed address.

    Two addresses are equal when their kind and their name are; a path is not normalised.

    Raises:
        AddressError: a path or name that is too long, a NUL inside a path, an empty path, an abstract name where the
            system has none, a value of another type (then also a TypeError).  Nothing is ever shortened.
    """

    __slots__ = ("kind", "name", "_sockaddr")

    kind: str
    name: bytes
    _sockaddr: tuple[CData, int]

    def __new__(cls, value: AddressLike = "") -> UnixSocketAddr:
        """Make an address; see the class."""
        if isinstance(value, UnixSocketAddr):
            return value
        if isinstance(value, str) and value.startswith("@"):
            return cls.from_abstract(value[1:])
        return cls._coerce(value)

    @classmethod
    def _make(cls, kind: str, name: bytes) -> UnixSocketAddr:
        self: UnixSocketAddr = _new(cls)
        _set_kind(self, kind)
        _set_name(self, name)
        return self

    @classmethod
    def _coerce(cls, value: AddressLike) -> UnixSocketAddr:
        """Read an address as every call takes it: "@" means nothing here."""
        if isinstance(value, UnixSocketAddr):
            return value
        raw = path_bytes(value)
        if raw and b"\0" not in raw and len(raw) <= _MAX_PATH:
            return cls._make("path", raw)
        if raw[:1] in _NO_PATH and isinstance(value, (str, bytes)):
            return cls.from_raw_bytes(raw)
        return cls._of_path(raw, value)

    @classmethod
    def _of_path(cls, raw: bytes, path: Any) -> UnixSocketAddr:
        """Make the address of a file of this name, for which the caller gave that path."""
        if not raw:
            raise AddressError("a path address cannot be empty; UnixSocketAddr.unnamed() is the unnamed address")
        if b"\0" in raw:
            raise AddressError(f"the path {path!r} has a NUL at byte {raw.index(0)} of {len(raw)}")
        if len(raw) > _MAX_PATH:
            raise AddressError(f"the path {path!r} is {len(raw)} bytes long; the limit is {_MAX_PATH}{_WAY_OUT}")
        return cls._make("path", raw)

    @classmethod
    def from_path(cls, path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> UnixSocketAddr:
        """Make the address of a file (unix(7), pathname).

        Args:
            path: the path as str (encoded as file names are), bytes or os.PathLike; up to ``max_path_len()`` bytes.

        Raises:
            AddressError: empty, too long, with a NUL inside, or of another type.
        """
        return cls._of_path(path_bytes(path), path)

    @classmethod
    def from_abstract(cls, name: str | bytes) -> UnixSocketAddr:
        """Make an abstract address (unix(7), Linux): a name outside the file system, without permissions.

        Args:
            name: the exact name, without the leading NUL, as bytes, or str (encoded as file names are); up to
                ``max_abstract_len()`` bytes.  NULs are part of it, and the empty name is a name.

        Raises:
            AddressError: too long, of another type, or on a system without abstract addresses.
        """
        if not isinstance(name, (str, bytes)):
            raise AddressTypeError(f"an abstract name is str or bytes, not {type(name).__name__}: {name!r}")
        raw = path_bytes(name)
        if not _HAS_ABSTRACT:
            raise AddressError(f"the abstract name {name!r}: this build or system has no abstract addresses")
        if len(raw) > _MAX_ABSTRACT:
            raise AddressError(f"the abstract name {name!r} is {len(raw)} bytes long; the limit is {_MAX_ABSTRACT}")
        return cls._make("abstract", raw)

    @classmethod
    def unnamed(cls) -> UnixSocketAddr:
        """Make the unnamed address.  Binding to it lets Linux choose an abstract name (autobind)."""
        return UNNAMED

    @classmethod
    def from_c_str(cls, text: bytes) -> UnixSocketAddr:
        """Make a path address from a C string (bytes): it ends at its first NUL; an empty one is unnamed."""
        if not isinstance(text, bytes):
            raise AddressTypeError(f"a C string is bytes, not {type(text).__name__}: {text!r}")
        path = text.split(b"\0", 1)[0]
        return cls.from_path(path) if path else cls.unnamed()

    @classmethod
    def from_raw_bytes(cls, raw: bytes) -> UnixSocketAddr:
        """Make an address from the used part of ``sun_path``, as ``raw_bytes`` gives it.

        Empty is unnamed, a leading NUL begins an abstract name, anything else is a path.
        """
        if not isinstance(raw, bytes):
            raise AddressTypeError(f"sun_path is bytes, not {type(raw).__name__}: {raw!r}")
        if not raw:
            return cls.unnamed()
        return cls.from_abstract(raw[1:]) if raw[0] == 0 else cls.from_path(raw)

    @classmethod
    def from_raw(cls, sockaddr: CData, length: int) -> UnixSocketAddr:
        """Read a ``struct sockaddr_un`` of ``length`` bytes (a cdata pointer) that the kernel has written.

        Names may be one byte longer than the struct (Linux), padded with NULs (OpenBSD), or all zeros for an unnamed
        peer (macOS).

        Raises:
            AddressError: the family is not AF_UNIX.
        """
        if not isinstance(sockaddr, ffi.CData):
            raise AddressTypeError(f"an address in C is a cdata pointer, not {type(sockaddr).__name__}: {sockaddr!r}")
        if length < 0:
            raise AddressError(f"an address cannot have {length} bytes")
        if length <= _OFFSET:
            return cls.unnamed()
        if sockaddr == ffi.NULL:
            raise AddressError(f"a NULL pointer cannot be an address of {length} bytes")
        if ffi.typeof(sockaddr) is _SOCKADDR:
            # The kernel counts a NUL behind a path that fills the struct.
            length = min(length, ffi.sizeof("struct sockaddr_un"))
        raw = bytes(ffi.buffer(ffi.cast("char *", sockaddr), length))
        family = ffi.cast("struct sockaddr_un *", sockaddr).sun_family
        if family != lib.AF_UNIX:
            raise AddressError(f"address family {family} is not AF_UNIX ({lib.AF_UNIX})")
        return cls._decode(raw[_OFFSET:])

    @classmethod
    def _decode(cls, sun_path: bytes) -> UnixSocketAddr:
        if sun_path[:1] != b"\0":
            path = sun_path.split(b"\0", 1)[0]
            return cls._make("path", path) if path else cls.unnamed()
        return cls._make("abstract", sun_path[1:]) if _HAS_ABSTRACT else cls.unnamed()

    @classmethod
    def _from_name(cls, name: CData) -> UnixSocketAddr:
        """Read a ``struct uds_name``."""
        length = name.length
        return UNNAMED if length <= _OFFSET else cls.from_raw(name.bytes, length)

    @classmethod
    def from_stdlib(cls, value: str | bytes | None) -> UnixSocketAddr:
        """Read an address as ``socket.socket`` gives it: a str, bytes for an abstract name, "" or None for none."""
        return cls.unnamed() if not value else cls._coerce(value)

    @classmethod
    def from_uri(cls, uri: str) -> UnixSocketAddr:
        """Read the form that configuration files use; ``%XX`` is an escaped byte.

        ``unix:/path`` and ``unix:///path`` are paths, ``unix:@name`` is abstract (as in gRPC and systemd), and so are
        ``unix:path=...`` and ``unix:abstract=...`` (as in D-Bus, whose further keys are ignored); ``unix:`` is unnamed.

        Raises:
            AddressError: it does not begin with "unix:", an escape is malformed, or the name is refused.
        """
        if not isinstance(uri, str):
            raise AddressTypeError(f"a URI is str, not {type(uri).__name__}: {uri!r}")
        scheme, colon, rest = uri.partition(":")
        if not colon or scheme.lower() != "unix":
            raise AddressError(f"{uri!r} does not begin with 'unix:'")
        key, equals, value = rest.partition("=")
        if equals and key in ("path", "abstract"):
            # D-Bus may add further keys, such as the server's guid.
            name = _unescape(value.partition(",")[0], uri)
            return cls.from_path(name) if key == "path" else cls.from_abstract(name)
        if equals and key in ("runtime", "dir", "tmpdir"):
            raise AddressError(f"{uri!r} tells a D-Bus server where to choose an address, and is none")
        if rest.startswith("//") and not rest.startswith("///"):
            raise AddressError(f"{uri!r} names a host, which a Unix socket does not have")
        if rest.startswith("@"):
            return cls.from_abstract(_unescape(rest[1:], uri))
        if not rest:
            return cls.unnamed()
        return cls.from_path(_unescape(rest[2:] if rest.startswith("///") else rest, uri))

    def to_uri(self) -> str:
        """Write the form that ``from_uri`` reads back to an equal address (str, ASCII)."""
        quoted: str = _urllib_parse().quote_from_bytes(self.name, "/:.-_~@=")
        if self.kind == "abstract":
            return "unix:@" + quoted
        # A path that begins with // would read as an empty host.
        plain = self.is_absolute_path and not self.name.startswith(b"//")
        prefix = "unix:" if plain or self.kind == "unnamed" else "unix:path="
        return prefix + quoted

    @property
    def is_path(self) -> bool:
        """Whether it is a path (bool)."""
        return self.kind == "path"

    @property
    def is_abstract(self) -> bool:
        """Whether it is an abstract name (bool)."""
        return self.kind == "abstract"

    @property
    def is_unnamed(self) -> bool:
        """Whether it is the unnamed address (bool)."""
        return self.kind == "unnamed"

    @property
    def is_absolute_path(self) -> bool:
        """Whether it is a path that begins with "/" (bool)."""
        return self.kind == "path" and self.name.startswith(b"/")

    @property
    def is_relative_path(self) -> bool:
        """Whether it is a path that does not begin with "/" (bool)."""
        return self.kind == "path" and not self.name.startswith(b"/")

    @property
    def path(self) -> Path | None:
        """The path as ``pathlib.Path``, which normalises it ("./x" becomes "x"; ``name`` is exact), or None."""
        if self.kind != "path":
            return None
        return path_class()(os.fsdecode(self.name))

    @property
    def abstract_name(self) -> bytes | None:
        """The exact abstract name without its leading NUL (bytes), or None."""
        return self.name if self.kind == "abstract" else None

    @property
    def raw_bytes(self) -> bytes:
        """The used part of ``sun_path`` (bytes): a path without NUL, an abstract name with its leading NUL."""
        return b"\0" + self.name if self.kind == "abstract" else self.name

    def as_raw(self) -> tuple[CData, int]:
        """Return a new ``struct sockaddr_un *`` (cdata, which owns its memory) and its length in bytes.

        For a path that is longer than the struct, which some systems take, it is an array with room for that.

        Raises:
            AddressError: the path is too long for this system.
        """
        raw = self.raw_bytes
        if _MAX_PATH < len(raw) <= _LONG_PATH:
            room = ffi.new("struct sockaddr_un[3]")
            return room, lib.uds_sockaddr_fill_long(room, raw, len(raw))
        sockaddr = ffi.new("struct sockaddr_un *")
        length = lib.uds_sockaddr_fill(sockaddr, raw, len(raw), self.kind == "path")
        if not length:
            raise AddressError(f"the name {self.name!r} is {len(self.name)} bytes long; the limit is {_MAX_PATH}")
        return sockaddr, length

    def _raw(self) -> tuple[CData, int]:
        """Return the same as ``as_raw()``, made once: nothing writes to it."""
        try:
            return self._sockaddr
        except AttributeError:
            self._set(_sockaddr=self.as_raw())
            return self._sockaddr

    def _peer(self) -> UnixSocketAddr:
        """Return the address if one can connect or send to it."""
        if self.kind == "unnamed":
            raise AddressError("the unnamed address cannot be connected or sent to; only bind() takes it (autobind)")
        return self

    def to_stdlib(self) -> str | bytes:
        """Return the address as ``socket.socket`` takes and gives it: str for a path, bytes for an abstract name."""
        return self.raw_bytes if self.kind == "abstract" else os.fsdecode(self.name)

    @staticmethod
    def max_path_len() -> int:
        """Return how many bytes a path may have: 108 on Linux, where no NUL is needed (int)."""
        return _MAX_PATH

    @staticmethod
    def max_abstract_len() -> int:
        """Return how many bytes an abstract name may have: 107 on Linux (int); 0 where there are none."""
        return _MAX_ABSTRACT if _HAS_ABSTRACT else 0

    @staticmethod
    def has_abstract_addresses() -> bool:
        """Return whether this build has abstract addresses; ``features()`` asks the kernel too (bool)."""
        return _HAS_ABSTRACT

    def _fields(self) -> tuple[str, bytes]:
        return self.kind, self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return UnixSocketAddr.from_raw_bytes, (self.raw_bytes,)

    def __repr__(self) -> str:
        if self.kind == "path":
            return f"UnixSocketAddr(Path({os.fsdecode(self.name)!r}))"
        if self.kind == "abstract":
            return f"UnixSocketAddr(Abstract({self.name!r}))"
        return "UnixSocketAddr(Unnamed)"

    def __str__(self) -> str:
        if self.kind == "abstract":
            text = self.name.decode("utf-8", "backslashreplace")
            return "@" + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        return os.fsdecode(self.name) if self.kind == "path" else "unnamed"


@once
def _urllib_parse() -> Any:
    from urllib import parse

    return parse


def _unescape(text: str, uri: str) -> bytes:
    if not all(len(piece) >= 2 and _HEXADECIMAL.issuperset(piece[:2]) for piece in text.split("%")[1:]):
        raise AddressError(f"{uri!r} has a '%' that two hexadecimal digits do not follow")
    unescaped: bytes = _urllib_parse().unquote_to_bytes(path_bytes(text))
    return unescaped


# The shortest way round __setattr__, which refuses.
_set_kind, _set_name = (vars(UnixSocketAddr)[name].__set__ for name in ("kind", "name"))

# Immutable, and the commonest: clients seldom have a name.
UNNAMED = UnixSocketAddr._make("unnamed", b"")
