"""Class methods that make a new object."""

from __future__ import annotations

from types import MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class constructor:  # noqa: N801 - used as a decorator, like classmethod.
    """A class method that refuses to be called through an instance, where it would not do what one reads."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        # The last class that it was asked for by, and what that got: mostly it is the same again.
        self._last: tuple[type | None, Any] = (None, None)

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            last = self._last
            if last[0] is owner:
                return last[1]
            bound = MethodType(self.__wrapped__, owner)
            self._last = owner, bound
            return bound
        name = self.__wrapped__.__name__
        instead = owner._instead.get(name)  # type: ignore[attr-defined]
        hint = f"; on an existing socket it is {instead}()" if instead else ""
        text = f"{name}() makes a new {owner.__name__}: call {owner.__name__}.{name}(){hint}"

        def refuse(*arguments: object, **keywords: object) -> None:
            raise TypeError(text)

        return refuse


if TYPE_CHECKING:
    constructor = classmethod  # type: ignore[misc, assignment]
