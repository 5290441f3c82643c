"""The declarations: each compiles alone, and each name in them exists everywhere it should.

The names are read from the `.h` files here by other means than cffi's, so that cffi's parser,
the compiled module and the stub are checked against something that is none of them.
"""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import support

from uds_cffi import ffi, lib

BUILD = runpy.run_path(str(support.ROOT / "build_ffi.py"), run_name="build_ffi")
DECLARATIONS = support.ROOT / "declarations"
C_FILES = [f"declarations/{concern}.c" for concern in BUILD["CONCERNS"]]
MACROS = [f"-D{name}={value}" for name, value in BUILD["FEATURE_MACROS"]]
STUB = support.ROOT / "uds_cffi" / "_lib.pyi"

STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
MODES = {"normal": (), "minimal": ("-DUDS_MINIMAL=1",)}


# --- The C --------------------------------------------------------------------------------------


@pytest.mark.any_interpreter
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_each_file_compiles_alone(name, mode):
    """Every C file compiles by itself, without a warning."""
    # One call for all files; a compiler takes each as a unit of its own.
    done = subprocess.run(
        [support.compiler(name), *STRICT, *MACROS, *MODES[mode], *C_FILES],
        cwd=support.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_each_file_belongs_to_a_listed_pair():
    """`declarations/` holds exactly the pairs that are joined."""
    listed = {f"{concern}.{end}" for concern in BUILD["CONCERNS"] for end in ("h", "c")}

    assert {path.name for path in DECLARATIONS.iterdir()} == listed


def copy_of_the_build(folder: Path) -> Path:
    """Copy what is needed to generate the C, and return the place of the declarations."""
    shutil.copy(support.ROOT / "build_ffi.py", folder)
    shutil.copytree(DECLARATIONS, folder / "declarations")
    return folder / "declarations"


def generate(folder: Path, out: str = "out.c", **environment: str) -> str:
    """Run `python build_ffi.py OUT.c`, as a person does, and return the C."""
    environment = {**os.environ, "UDS_MINIMAL": "", **environment}
    support.python("build_ffi.py", out, cwd=folder, env=environment)
    return (folder / out).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Generate the C once for all; yields the text, and what appeared in the folder beside the copy."""
    folder = tmp_path_factory.mktemp("generated")
    copy_of_the_build(folder)
    before = set(folder.rglob("*"))
    text = generate(folder, PYTHONHASHSEED="1")
    return text, [path.relative_to(folder) for path in set(folder.rglob("*")) - before]


def test_generated_source_is_the_same_every_time(tmp_path, generated):
    """The same declarations give the same C, byte for byte."""
    copy_of_the_build(tmp_path)

    assert generate(tmp_path, PYTHONHASHSEED="2") == generated[0]


def test_generating_writes_only_what_was_asked_for(generated):
    """Nothing is compiled in place, where it would hide every later build."""
    assert generated[1] == [Path("out.c")]


def test_minimal_switch_is_in_the_source(tmp_path, generated):
    """The two builds differ in their text, so that neither takes the other's objects."""
    copy_of_the_build(tmp_path)
    normal, minimal = generated[0], generate(tmp_path, UDS_MINIMAL="1")
    switch = "#define UDS_MINIMAL 1\n"

    assert switch not in normal
    assert minimal.replace(switch, "") == normal
    assert minimal.index(switch) < minimal.index("declarations/")


@pytest.mark.parametrize("arguments", [(), ("a.c", "b.c"), ("uds_cffi",)])
def test_wrong_usage_is_refused(tmp_path, arguments):
    """Without exactly one path that ends in .c, the script prints its usage and exits with 2."""
    copy_of_the_build(tmp_path)
    with pytest.raises(AssertionError, match=r"(?s)exited with 2.*usage: python build_ffi\.py"):
        support.python("build_ffi.py", *arguments, cwd=tmp_path)


def test_unknown_value_of_the_switch_is_refused(tmp_path):
    """A mistyped UDS_MINIMAL is an error and not a build of the other kind."""
    copy_of_the_build(tmp_path)
    with pytest.raises(AssertionError, match="UDS_MINIMAL must be 1, 0 or empty, not 'yes'"):
        generate(tmp_path, UDS_MINIMAL="yes")


def test_errors_in_c_name_the_true_line(tmp_path):
    """A compile error in the joined text is reported for the file and line that caused it."""
    declarations = copy_of_the_build(tmp_path)
    expected = []
    for concern in BUILD["CONCERNS"]:
        path = declarations / f"{concern}.c"
        lines = path.read_text(encoding="utf-8").splitlines()
        # After the last line, for only there is every comment, function and #if closed.
        path.write_text("\n".join([*lines, f"planted {concern};"]) + "\n", encoding="utf-8")
        expected.append(f"declarations/{concern}.c:{len(lines) + 1}:")
    joined = runpy.run_path(str(tmp_path / "build_ffi.py"))["joined_source"](False)
    done = subprocess.run(
        [support.compiler("gcc"), "-fsyntax-only", *MACROS, "-x", "c", "-"],
        input=joined,
        capture_output=True,
        text=True,
        check=False,
    )

    assert [place for place in expected if place not in done.stderr] == []


@pytest.mark.parametrize("concern", BUILD["CONCERNS"])
def test_errors_in_cdef_name_the_true_file(tmp_path, concern):
    """An error in what cffi reads is reported for the file that caused it."""
    path = copy_of_the_build(tmp_path) / f"{concern}.h"
    path.write_text(path.read_text(encoding="utf-8") + "int planted error;\n", encoding="utf-8")
    # The line may be too low: cffi swallows the empty lines before a #define.
    with pytest.raises(Exception, match=rf"declarations/{concern}\.h:\d+") as caught:
        runpy.run_path(str(tmp_path / "build_ffi.py"))

    assert type(caught.value).__name__ == "CDefError"


# --- The names ----------------------------------------------------------------------------------


def declared_text() -> str:
    """Return all that is declared, without comments."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(DECLARATIONS.glob("*.h")))
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def declared_structs() -> list[str]:
    """Return each struct and union that is declared with its contents, as cffi spells it."""
    found = re.findall(r"\b(struct|union)\s+(\w+)\s*\{", declared_text())
    return sorted({f"{kind} {name}" for kind, name in found})


def declared_names() -> set[str]:
    """Return each name that `lib` must have: macros, enumerators, functions, constants."""
    text = declared_text()
    macros = set(re.findall(r"^\s*#\s*define\s+(\w+)", text, re.MULTILINE))
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    enumerators = {
        part.split("=")[0].strip()
        for body in re.findall(r"\benum\b\s*\w*\s*\{([^}]*)\}", text)
        for part in body.split(",")
    }
    while "{" in text:
        text = re.sub(r"\{[^{}]*\}", " ", text)
    return {name for name in macros | enumerators | set(names_of_statements(text)) if name != "..."}


def names_of_statements(text: str) -> Iterator[str]:
    """Yield what each statement outside of any braces declares, except types."""
    for statement in text.split(";"):
        words = statement.split()
        if not words or words[0] == "typedef":
            continue
        if "(" in statement:
            yield statement.partition("(")[0].split()[-1].lstrip("*")
        elif not (words[0] in ("struct", "union", "enum") and len(words) <= 2):
            for declarator in statement.split(","):
                yield declarator.partition("[")[0].split()[-1].lstrip("*")


def stub_members() -> dict[str, ast.stmt]:
    """Return what the stub says `lib` has."""
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    (class_name,) = [
        node.annotation.id for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == "lib"
    ]
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name]
    members: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            members[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            members[node.target.id] = node
    return members


def functions() -> list[str]:
    return [name for name in dir(lib) if callable(getattr(lib, name))]


def test_lib_has_exactly_the_declared_names():
    """Every declared name is on `lib` in every build, and nothing else is."""
    assert set(dir(lib)) == declared_names()


def test_stub_has_exactly_the_names_of_lib():
    """The stub that type checkers read names all of `lib` and nothing else."""
    assert set(stub_members()) == set(dir(lib))


@pytest.mark.parametrize("name", functions())
def test_stub_agrees_on_arguments(name):
    """A function takes as many arguments in the stub as it does in C."""
    member = stub_members()[name]

    assert isinstance(member, ast.FunctionDef)
    # The first one is `self`, unless the method is static.
    bound = 0 if member.decorator_list else 1
    assert len(member.args.posonlyargs + member.args.args) - bound == len(ffi.typeof(getattr(lib, name)).args)


def test_stub_agrees_on_constants():
    """What is no function in C is no function in the stub."""
    variables = {name for name, node in stub_members().items() if isinstance(node, ast.AnnAssign)}

    assert variables == set(dir(lib)) - set(functions())


def test_every_struct_is_found():
    """The structs that are tried out below are all that cffi knows, and no less."""
    _, structs, unions = ffi.list_types()
    known = {f"struct {name}" for name in structs} | {f"union {name}" for name in unions}

    assert set(declared_structs()) <= known
    assert {name for name in known if is_complete(name)} == set(declared_structs())


def is_complete(name: str) -> bool:
    try:
        return ffi.sizeof(name) > 0
    except ffi.error as error:
        # A width that disagrees with the compiler's is also an ffi.error, and not this one.
        if "opaque" in str(error) or "unknown size" in str(error):
            return False
        raise


@pytest.mark.parametrize("name", declared_structs())
def test_every_struct_can_be_allocated(name):
    """The compiler agrees with each declared field: cffi checks that on the first use only."""
    value = ffi.new(f"{name} *")

    assert ffi.sizeof(value[0]) == ffi.sizeof(name) > 0


@pytest.mark.parametrize("name", ffi.list_types()[0])
def test_every_named_type_has_a_size(name):
    """Each typedef is a type that the compiler knows."""
    assert ffi.typeof(name).kind in ("void", "function") or ffi.sizeof(name) > 0
