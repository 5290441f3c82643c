"""The systems that the C is compiled for, as `zig cc -target` names them."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """One system, C library and processor.

    Attributes:
        triple: Its name, also in the table of layouts.
        flags: What the compiler is given here only. Each is an exception, and the list below says why.
    """

    triple: str
    flags: tuple[str, ...] = ()


TARGETS = (
    Target("x86_64-macos"),
    Target("aarch64-macos"),
    Target("x86_64-freebsd"),
    # It has no sequenced packets that keep their promises (`declarations/constants.c`).
    Target("x86_64-freebsd.15.0"),
    Target("aarch64-freebsd"),
    Target("powerpc64-freebsd"),
    Target("riscv64-freebsd"),
    Target("x86-freebsd"),
    Target("arm-freebsd-eabihf"),
    Target("x86_64-netbsd"),
    Target("aarch64-netbsd"),
    Target("x86-netbsd"),
    Target("sparc64-netbsd"),
    Target("arm-netbsd-eabi"),
    Target("x86_64-openbsd"),
    Target("aarch64-openbsd"),
    Target("x86-openbsd"),
    Target("sparc64-openbsd"),
    Target("x86_64-linux-musl"),
    Target("aarch64-linux-musl"),
    Target("x86-linux-musl"),
    Target("s390x-linux-musl"),
    Target("powerpc64-linux-musl"),
    Target("arm-linux-musleabihf"),
    Target("x86_64-linux-muslx32"),
    Target("x86_64-linux-gnu"),
    # The glibc of manylinux2014: what is newer there must not be called.
    Target("x86_64-linux-gnu.2.17"),
    Target("aarch64-linux-gnu"),
    Target("x86-linux-gnu"),
    Target("s390x-linux-gnu"),
    # This compiler's long double is IEEE's here, and glibc has printf() for that since 2.32.
    Target("powerpc64le-linux-gnu.2.32"),
    Target("riscv64-linux-gnu"),
    Target("loongarch64-linux-gnu"),
    Target("sparc64-linux-gnu"),
    Target("arm-linux-gnueabihf"),
    # A processor without atomic operations on 8 bytes: a build needs libatomic (see stub.c), and the compiler says so.
    Target("mips-linux-gnueabihf", ("-Wno-atomic-alignment",)),
    Target("mips64-linux-gnuabi64"),
    Target("x86_64-linux-gnux32"),
)
