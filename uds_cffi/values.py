"""Small bases: immutable values, compared by type and content, and things that one closes.

Rule: a value names its fields once, in ``__slots__``, or in ``_names`` when it is made on a hot path.  ``dataclasses``
would do the same, but importing it costs more than importing the rest of this library.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

    from typing_extensions import Self


class Value:
    """Base of the frozen value types: equality, hash and repr by the fields in ``__slots__``."""

    __slots__: tuple[str, ...] = ()
    # Those of its fields, where they are not the slots.
    _names: tuple[str, ...] | None = None

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        names = self._names or self.__slots__
        fields = ", ".join(f"{name}={value!r}" for name, value in zip(names, self._fields()))
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._fields()


class Closing:
    """Base of what has a ``close()``: leaving a ``with`` block calls it."""

    __slots__ = ()

    def close(self) -> None:
        """Give up what this object owns."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
