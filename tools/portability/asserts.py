"""Write, from the cdef, what the compiler must confirm: cffi checks it when the module runs, or never.

cffi's generated C compiles although a field is declared with the wrong width or sign, the fields of a complete
struct are in the wrong order, or a function takes a wider integer: a mistake of that kind shows on the system that it
is about, and we run on few. Each statement here is a `_Static_assert`, for the end of the joined declarations.

Rule: a kind of declaration that this file does not know is an error, so that nothing passes unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cffi import cparser, model

# cffi forgets the sign of `typedef unsigned int... name;`. A plain `int...` promises none.
UNSIGNED_TYPEDEF = re.compile(r"\btypedef\s+unsigned\s+int\s*\.\.\.\s*(\w+)\s*;")

# Ours are functions. The others may be macros, whose arguments and results the generated C converts.
OURS = "uds_"


def asserts(cdefs: list[str]) -> list[str]:
    """Return the assertions about all that the texts declare, as statements of C."""
    parser = cparser.Parser()
    found: list[str] = []
    for cdef in cdefs:
        parser.parse(cdef)
        found += [is_unsigned(f"({name})1", "1", name) for name in UNSIGNED_TYPEDEF.findall(cdef)]
    # The one place where cffi keeps what it has read.
    declarations: dict[str, tuple[Any, int]] = getattr(parser, "_declarations")  # noqa: B009
    for key, (kind, _) in sorted(declarations.items()):
        found += of_declaration(key, kind)
    return found


def of_declaration(key: str, kind: Any) -> Iterator[str]:
    """Yield the assertions about one declaration."""
    sort, _, name = key.partition(" ")
    if isinstance(kind, model.StructOrUnion):
        yield from of_struct(kind)
    elif sort == "function":
        if name.startswith(OURS):
            yield says(f"__builtin_types_compatible_p(__typeof__(&{name}), {kind.get_c_name()})", f"{name}(): types")
    elif not (sort == "typedef" and isinstance(kind, model.UnknownIntegerType)) and sort != "macro":
        raise ValueError(f"cannot check this kind of declaration: {key}: {kind}")


def of_struct(kind: Any) -> Iterator[str]:
    """Yield the assertions about a struct's fields, and about its whole layout where the cdef gives all of it."""
    struct = kind.get_c_name()
    fields = list(zip(kind.fldnames or (), kind.fldtypes or ()))
    for field, field_kind in fields:
        yield from of_value(f"(({struct} *)0)->{field}", field_kind, f"{struct}.{field}")
    if fields and not kind.partial:
        mirror = "mirror_of_" + struct.replace(" ", "_")
        members = " ".join(f"{field_kind.get_c_name(field)};" for field, field_kind in fields)
        yield f"struct {mirror} {{ {members} }};"
        yield says(f"sizeof(struct {mirror}) == sizeof({struct})", f"{struct}: size")
        for field, _ in fields:
            same = f"__builtin_offsetof(struct {mirror}, {field}) == __builtin_offsetof({struct}, {field})"
            yield says(same, f"{struct}.{field}: offset")


def of_value(value: str, kind: Any, name: str) -> Iterator[str]:
    """Yield the assertions about a field's width and sign; the generated C already holds pointers to their types."""
    if isinstance(kind, model.ArrayType):
        if isinstance(kind.length, int):
            yield says(f"sizeof({value}) / sizeof({value}[0]) == {kind.length}", f"{name}: length")
        yield from of_value(f"{value}[0]", kind.item, name)
    elif isinstance(kind, (model.PrimitiveType, model.UnknownIntegerType)):
        declared = kind.get_c_name()
        yield says(f"sizeof({value}) == sizeof({declared})", f"{name}: width")
        # A char is a byte to Python, with or without a sign.
        if declared != "char":
            yield is_unsigned(f"(__typeof__({value}))1", f"({declared})-1 > ({declared})0", name)
    elif not isinstance(kind, (model.PointerType, model.StructOrUnion)):
        raise ValueError(f"cannot check this kind of field: {name}: {kind}")


def is_unsigned(one: str, expected: str, name: str) -> str:
    """Assert that the type of a 1 has no sign, or has one, as an expression of C says."""
    type_of = f"__typeof__({one})"
    return says(f"(({type_of})-1 > ({type_of})0) == ({expected})", f"{name}: sign")


def says(condition: str, text: str) -> str:
    """Return an assertion with its message, which names what the cdef declares."""
    return f'_Static_assert({condition}, "cdef: {text}");'
