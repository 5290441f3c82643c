/* Plain C that breaks the rules of the four systems, for the tests of the stand-in.

   It is compiled with a system's headers and linked as the module is.  main() runs the case that its argument names.
   A case returns 0 when the stand-in has kept the rule, and else the line that saw otherwise; the cases "stray_" use a
   number of Linux, and never return. */
#include "credentials.c"
#include "messages.c"
#include "numbers.c"
#include "sockets.c"

#define CASE(name) {#name, name}
static const struct {
    const char *name;
    int (*run)(void);
} CASES[] = {
    CASE(stray_send_flag), CASE(stray_receive_flag), CASE(stray_option), CASE(stray_level), CASE(stray_type),
    CASE(stray_domain), CASE(stray_request), CASE(stray_command), CASE(stray_control), CASE(stray_clock),
    CASE(stray_at_flag), CASE(stray_event), CASE(two_rights), CASE(longer_control),
    CASE(more_control_than_a_cluster), CASE(out_of_band), CASE(broken_pipe), CASE(no_signal), CASE(full_datagram),
    CASE(small_control), CASE(flags_come_back), CASE(peeked_control), CASE(close_on_exec), CASE(peer_of_a_pair),
    CASE(length_of_a_name), CASE(no_abstract_names), CASE(unnamed), CASE(padded_name), CASE(long_name),
    CASE(full_backlog), CASE(accept_inherits), CASE(accept_waits), CASE(end_of_an_association), CASE(seqpacket),
    CASE(bits_of_options), CASE(times_of_options), CASE(status_of_files),
#if defined(__APPLE__)
    CASE(stray_directory), CASE(audit_token),
#endif
#if defined(LOCAL_CREDS)
    CASE(credentials_once),
#endif
#if defined(__FreeBSD__)
    CASE(credentials_exclude_each_other), CASE(credentials_are_filled_in), CASE(times_are_filled_in),
    CASE(name_in_a_directory),
#endif
};

int main(int count, char **arguments)
{
    size_t index;
    if (count != 3 || pair(SOCK_STREAM) < 0)
        return 255;
    folder = arguments[2];
    for (index = 0; index < sizeof CASES / sizeof CASES[0]; index++)
        if (same(CASES[index].name, arguments[1]))
            return CASES[index].run();
    return 254;
}
