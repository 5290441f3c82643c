"""Which tests run over a stand-in, and why the others do not; also a plugin of pytest that keeps to that.

Rule: a test is left out by its name and with a reason, and a name that fits no test is an error. What a build lacks is
no reason: the tests look at the features themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import settings

EVERY = "freebsd netbsd openbsd macos"

# The modules about what differs between systems, which run for every change; the others, on demand.
SOME = (
    "test_acceptors",
    "test_address_names",
    "test_ancillary",
    "test_ancillary_credentials",
    "test_ancillary_receive",
    "test_ancillary_send",
    "test_calls",
    "test_control",
    "test_credentials",
    "test_credentials_sent",
    "test_datagram_addresses",
    "test_features",
    "test_lib_options",
    "test_lib_receive",
    "test_listener",
    "test_listener_modes",
    "test_packet",
    "test_packet_end",
    "test_passing_fds",
    "test_probes",
    "test_receiving",
    "test_socket_file_mode",
    "test_stream_pair",
    "test_stream_sigpipe",
    "test_waiting_lies",
)


class Absence(NamedTuple):
    """Tests that do not run.

    Attributes:
        why: The reason, for people.
        systems: Where it holds.
        tests: Names of modules, of functions, or of functions with how their first parameters begin.
    """

    why: str
    systems: str
    tests: str


LEFT_OUT = (
    Absence(
        "it is about the checkout, or builds with the headers of this machine",
        EVERY,
        "test_architecture test_benchmarks test_benchmarks_operations test_branches test_census test_declarations "
        "test_loading test_packaging",
    ),
    # --- About Linux ---------------------------------------------------------------------------------
    Absence(
        "it gives the kernel numbers that are Linux's, those of Python's module socket among them",
        EVERY,
        "test_base::test_options_of_any_level test_calls::test_constants_are_the_systems "
        "test_control::test_pidfd_beside_descriptors test_control::test_pidfd_that_nobody_here_asked_for "
        "test_control::test_unknown_kind_then_known_kind test_credentials::test_junk_is_what_the_kernel_says "
        "test_docs::test_block_runs_and_prints_what_is_shown[options.md "
        "test_features::test_supported_is_what_the_kernel_does "
        "test_features::test_whole_build_declares_everything_on_linux test_flags::test_flags_of_the_standard_library "
        "test_options_given::test_any_option_that_is_unknown test_receiving::test_flags_of_the_standard_library",
    ),
    Absence(
        "it gives the kernel a constant that this build has not, and sees that nothing comes of it",
        EVERY,
        "test_lib_calls::test_fcntl_and_dup test_probes::test_probe_of_an_ignored_option "
        "test_probes::test_probe_whose_message_is_lost test_signals_answers::test_probes",
    ),
    Absence(
        "it asks /proc what a descriptor is, which this build does not",
        EVERY,
        "test_calls::test_readlink test_fd::test_kind_of_a_pidfd test_fd::test_kind_says_what_it_is "
        "test_lib_options::test_readlink",
    ),
    Absence(
        "it expects Linux's 108 bytes of a path, or an address in Linux's form",
        EVERY,
        "test_address::test_length_is_in_bytes test_address::test_limits "
        "test_address::test_path_of_the_greatest_length test_address_names::test_name_longer_than_the_struct "
        "test_address_names::test_pairs_have_no_names test_address_raw::test_length_beyond_the_struct "
        "test_address_raw::test_raw_path_beyond_the_struct test_address_uri::test_malformed[uri2 "
        "test_address_uri::test_malformed[uri3 test_docs::test_block_runs_and_prints_what_is_shown[addresses.md "
        "test_docs::test_block_runs_and_prints_what_is_shown[socket-files.md "
        "test_lib_calls::test_a_connection_by_hand test_lib_calls::test_sendto_and_recvfrom "
        "test_lib_options::test_disconnect test_lib_options::test_names_of_sockets "
        "test_socket_files_elsewhere::test_library_does_what_the_table_says[longest_path-uds_cffi "
        "test_socket_files_elsewhere::test_library_does_what_the_table_says[path_too_long-uds_cffi",
    ),
    Absence("it takes away what only Linux's chmod(2) lacks", EVERY, "test_lib_dirfd::test_fchmodat[descriptor"),
    Absence(
        "it expects that a path of more than 108 bytes needs a directory's descriptor",
        "netbsd openbsd macos",
        "test_socket_file_long_paths",
    ),
    Absence(
        "it expects that the kernel doubles the size of a buffer",
        EVERY,
        "test_datagram::test_options_from_the_start test_options::test_each_option_is_read_and_set "
        "test_options::test_repr_shows_what_is_set test_options_given::test_any_option "
        "test_options_given::test_every_constructor_takes_options test_options_inherited::test_own",
    ),
    Absence(
        "Linux alone passes over control data that it does not know",
        EVERY,
        "test_ancillary_send::test_several_buffers_and_messages_arrive_as_one "
        "test_ancillary_send::test_stream_needs_a_byte",
    ),
    Absence("it compares with the minimal build of Linux", EVERY, "test_lib_forms"),
    Absence(
        "it sends credentials, which no other kernel takes from a sender",
        "freebsd netbsd",
        "test_ancillary::test_adding_credentials test_ancillary_credentials::test_credentials_and_descriptors "
        "test_ancillary_credentials::test_credentials_are_sent_explicitly "
        "test_ancillary_credentials::test_explicit_credentials_need_no_option_at_the_time "
        "test_ancillary_credentials::test_forged_credentials_are_refused "
        "test_batch_fds::test_credentials_of_each_packet test_credentials_sent::test_forged_credentials_are_refused "
        "test_credentials_sent::test_own_credentials_arrive "
        "test_credentials_sent::test_own_credentials_of_a_child_arrive "
        "test_credentials_sent::test_pid_that_nobody_has "
        "test_credentials_sent::test_real_effective_and_saved_ids_may_be_named "
        "test_fork::test_child_sends_its_own_credentials test_notify::test_own_pid test_notify::test_pid_of_another "
        "test_notify::test_pid_of_nobody test_notify::test_pid_that_may_not_be_named "
        "test_notify_systemd::test_same_pid_as_libsystemd[path",
    ),
    Absence(
        "it takes credentials of a message apart as Linux has them: 12 bytes, of nobody too, behind the descriptors",
        "freebsd netbsd",
        "test_ancillary::test_with_room_for[True test_ancillary_credentials::test_credentials_that_were_cut "
        "test_ancillary_credentials::test_decoder_that_is_interrupted_leaks_nothing "
        "test_ancillary_credentials::test_message_without_recorded_credentials "
        "test_ancillary_credentials::test_no_room_for_a_header "
        "test_ancillary_credentials::test_room_for_descriptors_alone test_control::test_credentials_are_decoded "
        "test_control::test_invented_credentials_are_left_out "
        "test_control::test_own_decoder_does_not_swallow_what_a_handler_raises "
        "test_credentials_sent::test_credentials_recorded_by_nobody test_hot_path::test_decoders_of_the_moment_count "
        "test_lib_batch::test_control_messages_are_copied test_lib_receive::test_credentials_among_the_facts "
        "test_metadata_room::test_room_for_each_kind test_receiver::test_items_beyond_the_facts",
    ),
    Absence(
        "a name in a directory has 103 bytes at most there, and is reported without the directory",
        "freebsd",
        "test_socket_file_every_step::test_from_a_folder[name1 "
        "test_socket_file_long_paths::test_from_a_folder[stream-name3 "
        "test_socket_file_long_paths::test_from_a_folder[seqpacket-name3 "
        "test_socket_file_long_paths::test_from_a_folder[datagram-name3 "
        "test_lib_dirfd::test_longest_name test_lib_dirfd::test_without_proc "
        "test_socket_file_long_paths::test_names_that_cannot_be "
        "test_socket_file_long_paths::test_any_length[stream-102 "
        "test_socket_file_long_paths::test_any_length[stream-103 "
        "test_socket_file_long_paths::test_any_length[stream-300-120 "
        "test_socket_file_long_paths::test_any_length[stream-275 "
        "test_socket_file_long_paths::test_any_length[seqpacket-102 "
        "test_socket_file_long_paths::test_any_length[seqpacket-103 "
        "test_socket_file_long_paths::test_any_length[seqpacket-300-120 "
        "test_socket_file_long_paths::test_any_length[seqpacket-275 "
        "test_socket_file_long_paths::test_any_length[datagram-102 "
        "test_socket_file_long_paths::test_any_length[datagram-103 "
        "test_socket_file_long_paths::test_any_length[datagram-300-120 "
        "test_socket_file_long_paths::test_any_length[datagram-275 "
        "test_socket_file_long_paths::test_stale_file_at_a_long_path[stream-300-120 "
        "test_socket_file_long_paths::test_stale_file_at_a_long_path[stream-275 "
        "test_socket_file_long_paths::test_stale_file_at_a_long_path[seqpacket-300-120 "
        "test_socket_file_long_paths::test_stale_file_at_a_long_path[seqpacket-275 "
        "test_socket_file_long_paths::test_stale_file_at_a_long_path[datagram-300-120 "
        "test_socket_file_long_paths::test_stale_file_at_a_long_path[datagram-275",
    ),
    # --- What these kernels do otherwise -------------------------------------------------------------
    Absence(
        "a full backlog refuses a connection at once, so nothing waits for a place in it",
        EVERY,
        "test_connect::test_blocked_connect_ends_when_the_listener_closes "
        "test_connect::test_connect_waits_for_room_in_the_backlog "
        "test_connect::test_kernel_timeout_of_the_options_holds_too "
        "test_connect::test_nonblocking_connect_with_a_full_backlog test_connect::test_standard_library_peer "
        "test_connect::test_timeout_beyond_the_longest_that_the_kernel_is_given "
        "test_connect::test_timeout_holds_while_the_backlog_is_full test_connect::test_timeout_leaves_no_trace "
        "test_examples::test_example_prints_what_it_shows[listen_backlog test_listener::test_backlog "
        "test_signals::test_call_goes_on_after_signals test_signals::test_ctrl_c_ends_a_blocked_process "
        "test_signals::test_handler_that_raises_ends_the_call test_signals::test_handler_that_raises_ends_the_wait "
        "test_signals::test_timeout_is_not_restarted_by_signals test_signals_interrupts::test_connect_and_accept "
        "test_socket_file_stale::test_full_backlog_is_alive test_waiting::test_call_with_a_timeout_is_woken "
        "test_waiting::test_timeout_passes test_waiting_lies::test_connect_to_a_full_backlog",
    ),
    Absence(
        "a receiver that is full does not make the sender sleep in the kernel",
        EVERY,
        "test_conformance::test_send_waits_until_there_is_room "
        "test_waiting_lies::test_receiver_that_goes_away_ends_the_wait "
        "test_waiting_lies::test_send_to_a_full_receiver_goes_on_when_it_is_drained",
    ),
    Absence(
        "accept(2) knows no timeout, and another process sees the O_NONBLOCK that stands in for one",
        EVERY,
        "test_acceptors::test_four_processes_and_one_client[stream-adopted "
        "test_acceptors::test_four_processes_and_one_client[seqpacket-adopted",
    ),
    Absence(
        "a receive with MSG_PEEK brings no descriptors",
        EVERY,
        "test_ancillary_receive::test_peeking_brings_descriptors_of_its_own "
        "test_passing_fds::test_peeking_opens_them_anew "
        "test_passing_fds::test_peeking_with_too_little_room_leaks_nothing",
    ),
    Absence(
        "nothing is recorded of the peer of a pair",
        "netbsd openbsd macos",
        "test_calls::test_peer_credentials test_credentials::test_peer_after_shutdown "
        "test_docs::test_block_runs_and_prints_what_is_shown[credentials.md "
        "test_fork::test_peer_of_a_pair_is_who_made_it test_lib_options::test_peer_credentials "
        "test_once::test_nothing_is_imported_twice[peer_credentials "
        "test_processes_every_step::test_peers[peer_credentials",
    ),
    Absence(
        "nothing is recorded of the groups of the peer of a pair",
        "macos",
        "test_calls::test_peer_groups test_credentials::test_groups_on_an_older_kernel "
        "test_lib_options::test_peer_groups test_once::test_nothing_is_imported_twice[peer_groups "
        "test_processes_every_step::test_peers[peer_groups",
    ),
    Absence(
        "credentials come with the first message of a connection alone",
        "netbsd",
        "test_batch_messages::test_credentials_in_both_places[UnixSeqpacketConn "
        "test_batch_messages::test_each_packet_has_its_messages[UnixSeqpacketConn "
        "test_batch_messages::test_no_room_ends_a_batch[UnixSeqpacketConn "
        "test_batch_messages::test_receives_in_turn_see_nothing_of_each_other[UnixSeqpacketConn "
        "test_batch_messages::test_the_same_as_other_receives[UnixSeqpacketConn",
    ),
    Absence(
        "the groups of a peer are not told",
        "netbsd openbsd",
        "test_demo::test_command test_demo::test_in_this_process",
    ),
    Absence(
        "nobody can tell an empty packet from the end of the connection",
        "freebsd netbsd openbsd",
        "test_batch::test_cut_packets_are_reported[UnixSeqpacketConn "
        "test_batch::test_packets_may_hold_what_stands_between_them[UnixSeqpacketConn-packets2 "
        "test_batch::test_packets_may_hold_what_stands_between_them[UnixSeqpacketConn-packets4 "
        "test_examples::test_example_prints_what_it_shows[batches",
    ),
    Absence(
        "the stand-in gives a connection the listener's wish for credentials when it is accepted, not when it connects",
        "freebsd netbsd",
        "test_options_inherited::test_value_when_the_client_connects[pass_credentials",
    ),
    Absence(
        "the stand-in does not know the groups of another process",
        "freebsd macos",
        "test_credentials::test_groups_of_any_number "
        "test_credentials_sent::test_ids_of_a_connection_are_effective_and_those_of_a_message_real",
    ),
    Absence(
        "nothing is recorded of the peer of a datagram socket, or of any pair",
        EVERY,
        "test_credentials::test_absent_features_say_so test_credentials::test_peer_of_a_pair",
    ),
)


def left_out(system: str) -> Iterator[str]:
    """Yield the names of the tests that do not run for a system."""
    for absence in LEFT_OUT:
        if system in absence.systems.split():
            yield from absence.tests.split()


def fits(name: str, test: str) -> bool:
    """Tell whether a name of the table is that of a test, of its module, or of its first parameters."""
    return test == name or test.startswith((f"{name}::", f"{name}[") if "[" not in name else name)


def pytest_configure() -> None:
    """Let each example take its time: these modules are not optimized, and several calls stand for one."""
    settings.register_profile("foreign", deadline=None)
    settings.load_profile("foreign")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the table says."""
    tests = {item: item.nodeid.replace("tests/", "").replace(".py", "") for item in items}
    modules = {test.partition("::")[0] for test in tests.values()}
    gone = set()
    for name in left_out(os.environ["UDS_FOREIGN_SYSTEM"]):
        found = {item for item, test in tests.items() if fits(name, test)}
        if not found and name.partition("::")[0] in modules:
            raise pytest.UsageError(f"foreign: no test has the name {name}")
        gone |= found
    items[:] = [item for item in items if item not in gone]
    config.hook.pytest_deselected(items=list(gone))
