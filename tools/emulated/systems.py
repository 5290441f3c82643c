"""The guests: which kernel, on which processor, and what runs there.

A kernel is Debian's own, unchanged: the machine's that this runs on (for processors that it executes itself),
user-mode Linux, which is a process of this machine, that of an emulated machine, or gVisor's, which is no Linux.
"""

from __future__ import annotations

from typing import NamedTuple


class Processor(NamedTuple):
    """A processor, and Debian's release for it.

    Attributes:
        debian: Its architecture as Debian calls it.
        triple: As the cross compiler calls it.
        suite: The release that the root is of.
    """

    debian: str
    triple: str
    suite: str = "trixie"


class Guest(NamedTuple):
    """One guest.

    Attributes:
        name: Its name here and in the table of features.
        processor: What it runs on.
        kind: "native", "uml", "gvisor" or "machine".
        tests: Whether the tests run there, or only the exercises.
        kernel: The package and the suite of the kernel, or of gVisor.
        command: For an emulated machine, qemu and its machine.
        console: Its console, as the kernel calls it.
        modules: Whether its kernel bears the module that lists sockets.
    """

    name: str
    processor: Processor
    kind: str
    tests: bool
    kernel: tuple[str, str] = ("", "")
    command: tuple[str, ...] = ()
    console: str = ""
    modules: bool = True


AMD64 = Processor("amd64", "x86_64-linux-gnu")
I386 = Processor("i386", "x86-linux-gnu")
S390X = Processor("s390x", "s390x-linux-gnu")
# The last release for it.
MIPS64EL = Processor("mips64el", "mips64el-linux-gnuabi64", "bookworm")
ARM64 = Processor("arm64", "aarch64-linux-gnu")
ARMHF = Processor("armhf", "arm-linux-gnueabihf")
PPC64EL = Processor("ppc64el", "powerpc64le-linux-gnu.2.32")
RISCV64 = Processor("riscv64", "riscv64-linux-gnu")

NATIVE = "native"
UML = "uml"
GVISOR = "gvisor"
MACHINE = "machine"

GUESTS = (
    Guest("i386", I386, NATIVE, tests=True, modules=False),
    # Here the first request to the module ends in a fault of the kernel.
    Guest("linux-5.10", AMD64, UML, tests=True, kernel=("user-mode-linux", "bullseye"), modules=False),
    Guest("linux-6.1", AMD64, UML, tests=True, kernel=("user-mode-linux", "bookworm")),
    Guest("linux-6.12", AMD64, UML, tests=True, kernel=("user-mode-linux", "trixie")),
    Guest("linux-7.2", AMD64, UML, tests=True, kernel=("user-mode-linux", "sid")),
    Guest("gvisor", AMD64, GVISOR, tests=False, kernel=("runsc", "sid"), modules=False),
    # Big endian.
    Guest(
        "s390x",
        S390X,
        MACHINE,
        tests=True,
        kernel=("linux-image-s390x", "trixie"),
        command=("qemu-system-s390x", "-M", "s390-ccw-virtio", "-cpu", "max"),
        console="ttysclp0",
    ),
    # Other numbers for types of sockets, options and errors.
    Guest(
        "mips64el",
        MIPS64EL,
        MACHINE,
        tests=True,
        kernel=("linux-image-5kc-malta", "bookworm"),
        command=("qemu-system-mips64el", "-M", "malta", "-cpu", "MIPS64R2-generic", "-vga", "none"),
        console="ttyS0",
    ),
    Guest(
        "arm64",
        ARM64,
        MACHINE,
        tests=True,
        kernel=("linux-image-arm64", "trixie"),
        command=("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72"),
        console="ttyAMA0",
    ),
    Guest(
        "armhf",
        ARMHF,
        MACHINE,
        tests=True,
        kernel=("linux-image-armmp", "trixie"),
        command=("qemu-system-arm", "-M", "virt", "-cpu", "cortex-a15"),
        console="ttyAMA0",
    ),
    Guest(
        "ppc64el",
        PPC64EL,
        MACHINE,
        tests=True,
        kernel=("linux-image-powerpc64le", "trixie"),
        command=("qemu-system-ppc64", "-M", "pseries", "-cpu", "power9", "-vga", "none"),
        console="hvc0",
    ),
    Guest(
        "riscv64",
        RISCV64,
        MACHINE,
        tests=True,
        kernel=("linux-image-riscv64", "trixie"),
        command=("qemu-system-riscv64", "-M", "virt"),
        console="ttyS0",
    ),
)

# Those that run if none is named.
ALWAYS = ("s390x", "mips64el", "i386", "linux-7.2", "linux-5.10", "linux-6.1", "linux-6.12", "gvisor")
