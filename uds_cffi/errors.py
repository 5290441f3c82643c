"""Errors.

Rule: what the kernel refuses is the ``OSError`` subclass that Python users know, with errno and, where one was given,
the address.  A class of our own exists only for what the kernel cannot say, and inherits the builtin that fits.
"""

from __future__ import annotations

import errno
import os


class UdsError(Exception):
    """Base of the errors that only this library raises; it is never raised itself."""


class FeatureUnavailable(UdsError, OSError, NotImplementedError):
    """A feature that this build or this kernel does not have.

    Attributes:
        errno: the kernel's answer, or ENOSYS when the build has no such feature.
        feature: its name in ``features()``.
        reason: "not built", "kernel" or "no security module".
    """

    feature: str
    reason: str

    def __init__(self, feature: str, reason: str, code: int = errno.ENOSYS) -> None:
        super().__init__(code, f"{feature} is not available ({reason}: {os.strerror(code)})")
        self.feature = feature
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.feature, self.reason, self.errno)


class AddressError(UdsError, ValueError):
    """A value that cannot be a Unix socket address; the message names it, its length and the limit."""


class AddressTypeError(AddressError, TypeError):
    """A value of a type that cannot be an address, so that ``except TypeError`` finds it too."""


class IncompleteReadError(UdsError, EOFError):
    """The connection ended before the wanted number of bytes had arrived.

    Attributes:
        partial: the bytes that did arrive.
        expected: how many bytes were wanted.
    """

    partial: bytes
    expected: int

    def __init__(self, partial: bytes, expected: int) -> None:
        super().__init__(f"the connection ended after {len(partial)} of {expected} bytes")
        self.partial = partial
        self.expected = expected

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.partial, self.expected)


class FrameError(UdsError, ValueError):
    """What cannot be a framed message: too long to be sent, or sent by a peer that does not keep to the wire format.

    Attributes:
        length: the length of the message, or None when it is not about a length.
        limit: the ``max_size`` of the FramedStream.
    """

    length: int | None
    limit: int

    def __init__(self, text: str, length: int | None, limit: int) -> None:
        super().__init__(text)
        self.length = length
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.args[0], self.length, self.limit)


def error(code: int, address: object = None) -> OSError:
    """Make the exception for a kernel error; Python picks the ``OSError`` subclass by the code."""
    # strerror() says "Connection timed out", also of a connection that is well.
    text = "timed out" if code == errno.ETIMEDOUT else os.strerror(code)
    return OSError(code, text) if address is None else OSError(code, text, str(address))
