"""Write C whose object file tells the layouts that the compiler chose, and read them from there.

Each note is an array of characters in which the compiler has put numbers as decimal digits. They survive in an
object file of any format and byte order, and nothing has to run.
"""

from __future__ import annotations

import re
from typing import NamedTuple

FREEBSD = "defined(__FreeBSD__)"
NETBSD = "defined(__NetBSD__)"
LINUX = "defined(__linux__)"
EVERYWHERE = "1"
# The systems whose addresses begin with their length.
HAS_LENGTH = f"defined(__APPLE__) || {FREEBSD} || {NETBSD} || defined(__OpenBSD__)"


class Struct(NamedTuple):
    """A struct of the system, the fields that matter, and the condition under which it is there."""

    condition: str
    name: str
    fields: str


STRUCTS = (
    Struct(EVERYWHERE, "struct iovec", "iov_base iov_len"),
    Struct(
        EVERYWHERE,
        "struct msghdr",
        "msg_name msg_namelen msg_iov msg_iovlen msg_control msg_controllen msg_flags",
    ),
    Struct(EVERYWHERE, "struct cmsghdr", "cmsg_len cmsg_level cmsg_type"),
    Struct(f"!({HAS_LENGTH})", "struct sockaddr_un", "sun_family sun_path"),
    Struct(HAS_LENGTH, "struct sockaddr_un", "sun_len sun_family sun_path"),
    Struct(EVERYWHERE, "struct pollfd", "fd events revents"),
    Struct(EVERYWHERE, "struct timeval", "tv_sec tv_usec"),
    Struct(EVERYWHERE, "struct timespec", "tv_sec tv_nsec"),
    Struct(LINUX, "struct ucred", "pid uid gid"),
    Struct("defined(__OpenBSD__)", "struct sockpeercred", "uid gid pid"),
    Struct("defined(__APPLE__)", "struct xucred", "cr_version cr_uid cr_ngroups cr_groups"),
    Struct(FREEBSD, "struct xucred", "cr_version cr_uid cr_ngroups cr_groups cr_pid"),
    Struct(FREEBSD, "struct cmsgcred", "cmcred_pid cmcred_uid cmcred_euid cmcred_gid cmcred_ngroups cmcred_groups"),
    Struct(FREEBSD, "struct sockcred", "sc_uid sc_euid sc_gid sc_egid sc_ngroups sc_groups"),
    Struct(FREEBSD, "struct sockcred2", "sc_version sc_pid sc_uid sc_euid sc_gid sc_egid sc_ngroups sc_groups"),
    Struct(NETBSD, "struct unpcbid", "unp_pid unp_euid unp_egid"),
    Struct(NETBSD, "struct sockcred", "sc_pid sc_uid sc_euid sc_gid sc_egid sc_ngroups sc_groups"),
)

TYPES = "size_t socklen_t sa_family_t pid_t uid_t gid_t time_t uds_iovlen_t uds_controllen_t uds_cmsglen_t"

# Sizes of what is sent: nothing, a byte, a descriptor, two, and credentials.
CONTROL_SIZES = (0, 1, 4, 8, 12)

# `declarations/` has numbers of its own for those that headers lack; they must be those of headers that have them.
LINUX_CONSTANTS = (
    "SO_PASSCRED SO_PEERCRED SO_PASSSEC SO_PEERGROUPS SO_PASSPIDFD SO_PEERPIDFD SO_PASSRIGHTS SO_INQ SO_COOKIE "
    "SO_NETNS_COOKIE SO_BUF_LOCK SCM_CREDENTIALS SCM_SECURITY SCM_PIDFD SCM_INQ "
    "SO_TIMESTAMP_OLD SO_TIMESTAMPNS_OLD SO_TIMESTAMP_NEW SO_TIMESTAMPNS_NEW"
)

# What the structs need beyond the headers of the declarations, and the form of a number.
HEAD = r"""
#if defined(__APPLE__) || defined(__FreeBSD__)
#  include <sys/param.h>
#  include <sys/ucred.h>
#endif
#define NOTE_DIGIT(v, k) (char)('0' + (char)(((unsigned long long)(v) / k) % 10ULL))
#define NOTE(v) ' ', NOTE_DIGIT(v, 10000000ULL), NOTE_DIGIT(v, 1000000ULL), NOTE_DIGIT(v, 100000ULL), \
    NOTE_DIGIT(v, 10000ULL), NOTE_DIGIT(v, 1000ULL), NOTE_DIGIT(v, 100ULL), NOTE_DIGIT(v, 10ULL), NOTE_DIGIT(v, 1ULL)
"""

RECORD = re.compile(rb"@UDS ([\w ]+):((?: \d{8})+)\n\0")


def note(number: int, key: str, values: list[str], condition: str) -> str:
    """Return the C of one note."""
    name = ", ".join(f"'{letter}'" for letter in f"@UDS {key}:")
    numbers = ", ".join(f"NOTE({value})" for value in values)
    text = f"__attribute__((used)) const char uds_note_{number}[] = {{{name}, {numbers}, '\\n', 0}};"
    return f"#if {condition}\n{text}\n#endif\n"


def c_text() -> str:
    """Return the C of all notes, which comes after the joined declarations."""
    notes: list[tuple[str, list[str], str]] = []
    for condition, struct, names in STRUCTS:
        values = [f"sizeof({struct})", f"_Alignof({struct})"]
        for field in names.split():
            values += [f"offsetof({struct}, {field})", f"sizeof((({struct} *)0)->{field})"]
        notes.append((struct, values, condition))
    notes += [(f"type {name}", [f"sizeof({name})", f"({name})-1 < ({name})1"], EVERYWHERE) for name in TYPES.split()]
    control = [f"{macro}({size})" for size in CONTROL_SIZES for macro in ("CMSG_LEN", "CMSG_SPACE")]
    notes.append(("control", control, EVERYWHERE))
    notes.append(("big endian", ["__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__"], EVERYWHERE))
    # Minus one says that the declarations have none here.
    notes += [(f"constant {name}", [name, f"({name}) == -1"], LINUX) for name in LINUX_CONSTANTS.split()]
    return HEAD + "".join(note(number, *each) for number, each in enumerate(notes))


def read(content: bytes) -> dict[str, str]:
    """Return what the notes in an object file say, each in the words of the table."""
    found = {}
    for key, numbers in RECORD.findall(content):
        found[key.decode()] = described(key.decode(), [int(number) for number in numbers.split()])
    return found


def described(key: str, numbers: list[int]) -> str:
    """Say in one line what a note's numbers mean."""
    sort = key.partition(" ")[0]
    pairs = [f"{one}/{two}" for one, two in zip(numbers[::2], numbers[1::2])]
    if sort == "struct":
        # Where a struct has two sets of fields, they differ in number.
        (fields,) = [
            struct.fields.split()
            for struct in STRUCTS
            if struct.name == key and len(struct.fields.split()) == len(pairs) - 1
        ]
        return ", ".join([pairs[0], *(f"{field} {pair}" for field, pair in zip(fields, pairs[1:]))])
    if sort == "type":
        return f"{numbers[0]} {'signed' if numbers[1] else 'unsigned'}"
    if sort == "control":
        return ", ".join(f"{size}: {pair}" for size, pair in zip(CONTROL_SIZES, pairs))
    if sort == "constant":
        return "absent" if numbers[1] else str(numbers[0])
    return "yes" if numbers[0] else "no"
