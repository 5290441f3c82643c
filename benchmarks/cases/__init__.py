"""The operations, by theme: importing this package registers them all."""

from __future__ import annotations

from . import plain

__all__ = ["plain"]
