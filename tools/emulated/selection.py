"""The part of the tests that runs in the guests: what a processor or a kernel can make different.

An emulated processor takes many times as long for a test, and runs the first part alone.

Rule: a module is named with the reason. What is not named is about Python alone, or about the machine's speed, or is
held by one of these.
"""

from __future__ import annotations

# What the processor makes different: widths and signs of numbers, layouts of structs, byte order, alignment, constants.
PROCESSOR = {
    "test_lib_control": "headers of control messages",
    "test_lib_forms": "struct ucred and the forms of time",
    "test_lib_frames": "the length before a frame, and atomic operations of 8 bytes",
    "test_lib_receive": "results packed into 64 bits",
    "test_lib_timed": "struct timeval",
    "test_lib_wait": "struct pollfd",
    "test_credentials_sent": "who sent a message",
    "test_seqpacket": "numbers of types",
}

# What the kernel makes different as well, and what needs Hypothesis, with which to collect the tests took four minutes.
KERNEL = {
    "test_lib_fds": "slots, and atomic operations on them",
    "test_lib_options": "numbers of options",
    "test_address_raw": "struct sockaddr_un",
    "test_lib_calls": "numbers of calls, errors and flags",
    "test_lib_handle": "one word of flags and counts",
    "test_ancillary": "control buffers as Python has them",
    "test_ancillary_credentials": "credentials among other messages",
    "test_ancillary_receive": "what arrives in control buffers, cut or whole",
    "test_batch_fds": "struct mmsghdr, with descriptors",
    "test_batch_messages": "struct mmsghdr, with every kind of message",
    "test_credentials": "who is at the other end",
    "test_features": "what the kernel has",
    "test_flags": "numbers of flags",
    "test_framed": "messages on a stream",
    "test_framed_fds": "messages with descriptors",
    "test_metadata": "times, counts and labels",
    "test_options_inherited": "what a connection has from its listener",
    "test_packet": "lengths of packets",
    "test_packet_end": "empty packets",
    "test_passing_fds": "descriptors",
}
