"""The branches of other systems, run on this one.

Rule: what another system's branch does is tried out here as far as it is made of calls that this system has too, as a C
program in which a macro stands for the call or the constant that is missing.
"""

from __future__ import annotations

import subprocess

import pytest
import support

import uds_cffi
from uds_cffi import capabilities

STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE=1"]


def run_c(folder, text, *arguments):
    """Compile a C program against the declarations and run it; its asserts must hold."""
    (folder / "program.c").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [support.compiler("cc"), *STRICT, *arguments, f"-I{support.ROOT}", "program.c", "-o", "program"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ran = subprocess.run([folder / "program"], capture_output=True, text=True, check=False, timeout=support.PATIENCE)
    assert ran.returncode == 0, ran.stderr


# --- SIGPIPE ------------------------------------------------------------------------------------

NO_FLAG = """
#include <assert.h>
#include "declarations/types.c"
#undef MSG_NOSIGNAL
#define SO_NOSIGPIPE 0x1022
static int set;
static int count_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    assert(level == SOL_SOCKET && name == SO_NOSIGPIPE && *(const int *)value == 1 && length == sizeof(int));
    set++;
    errno = fd == 0 ? ENOTSOCK : EINVAL;
    return fd == 0 ? -1 : 0;
}
#define setsockopt count_setsockopt
#include "declarations/address.c"
#undef setsockopt
int main(void)
{
    struct uds_handle one = {0}, two = {0}, three = {0}, file = {0};
    assert(MSG_NOSIGNAL == -1 && UDS_NOSIGNAL == 0);
    assert(uds_handle_socketpair(&one, &two, SOCK_STREAM, 0) == 0 && set == 2);
    assert(uds_handle_dup(&one, &three) == 0 && set == 3);
    assert(uds_handle_close(&three) == 0);
    assert(uds_handle_socket(&three, SOCK_STREAM, 0) == 0 && set == 4);
    /* What is no socket is taken all the same. */
    assert(uds_handle_adopt(&file, 0, 1) == 0 && set == 5 && uds_handle_fileno(&file) == 0);
    uds_handle_close(&one);
    uds_handle_close(&two);
    uds_handle_close(&three);
    return 0;
}
"""


def test_sockets_prevent_sigpipe_where_sends_cannot(tmp_path):
    """Without MSG_NOSIGNAL each socket that is made, duplicated or taken over gets SO_NOSIGPIPE."""
    run_c(tmp_path, NO_FLAG)


def test_system_that_cannot_prevent_sigpipe_is_refused(tmp_path):
    """Without the flag and without the option nothing compiles."""
    text = NO_FLAG.replace("#define SO_NOSIGPIPE 0x1022", "#undef SO_NOSIGPIPE")
    with pytest.raises(AssertionError, match="neither MSG_NOSIGNAL nor SO_NOSIGPIPE"):
        run_c(tmp_path, text)


# --- The end of an association ------------------------------------------------------------------

DISCONNECT = """
#include <assert.h>
#include "declarations/types.c"
static int error_of_connect, is_connected;
static int fake_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)fd;
    assert(address->sa_family == AF_UNSPEC && length == sizeof *address);
    errno = error_of_connect;
    return error_of_connect ? -1 : 0;
}
static int fake_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    (void)fd;
    (void)address;
    (void)length;
    errno = ENOTCONN;
    return is_connected ? 0 : -1;
}
#define connect fake_connect
#define getpeername fake_getpeername
#include "declarations/address.c"
int main(void)
{
    assert(uds_disconnect(0) == 0);
    error_of_connect = EAFNOSUPPORT;
    assert(uds_disconnect(0) == 0);
    is_connected = 1;
    assert(uds_disconnect(0) == -EAFNOSUPPORT);
    error_of_connect = EISCONN;
    assert(uds_disconnect(0) == -EISCONN);
    return 0;
}
"""


def test_association_that_ended_with_an_error(tmp_path):
    """A system that ends an association and says that the address is none has done what was asked."""
    run_c(tmp_path, DISCONNECT, "-DUDS_MINIMAL=1")


# --- Peers --------------------------------------------------------------------------------------

PEER = """
#include <assert.h>
#include "declarations/types.c"
static int error_of_option;
static socklen_t missing;
static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    (void)fd;
    (void)level;
    (void)name;
    (void)value;
    *length -= missing;
    errno = error_of_option;
    return error_of_option ? -1 : 0;
}
#define getsockopt fake_getsockopt
#include "declarations/peer_groups.c"
int main(void)
{
    gid_t groups[3] = {0, 0, 0}, all[] = {7, 8, 9};
    struct uds_peer peer;
    char value[8];

    assert(uds_peer_option(0, 0, 1, value, sizeof value) == 0);
    missing = 1;
    assert(uds_peer_option(0, 0, 1, value, sizeof value) == -EINVAL);
    error_of_option = EINVAL;
    assert(uds_peer_option(0, 0, 1, value, sizeof value) == -ENOTCONN);
    error_of_option = EBADF;
    assert(uds_peer_option(0, 0, 1, value, sizeof value) == -EBADF);

    assert(uds_peer_fill(&peer, -1, 5, 6) == 0);
    assert(peer.present == (UDS_PEER_UID | UDS_PEER_GID) && peer.pid == 0 && peer.euid == 5 && peer.egid == 6);
    assert(uds_peer_fill(&peer, 4, 5, 6) == 0);
    assert(peer.present == (UDS_PEER_PID | UDS_PEER_UID | UDS_PEER_GID) && peer.pid == 4);

    assert(uds_copy_groups(all, 3, groups, 2) == 3 && groups[0] == 7 && groups[1] == 8 && groups[2] == 0);
    assert(uds_copy_groups(all, 3, groups, 3) == 3 && groups[2] == 9);
    return 0;
}
"""


def test_what_other_systems_say_of_a_peer(tmp_path):
    """EINVAL is a peer of whom nothing was recorded, -1 a pid that is not known, and groups are cut to the room."""
    run_c(tmp_path, PEER)


# --- Credentials per message --------------------------------------------------------------------

SOCKCRED = """
#include <assert.h>
#include "declarations/types.c"
#define LOCAL_CREDS_PERSISTENT 3
#define SCM_CREDS2 8
#define CMGROUP_MAX 16
struct sockcred2 {
    int sc_version;
    pid_t sc_pid;
    uid_t sc_uid, sc_euid;
    gid_t sc_gid, sc_egid;
    int sc_ngroups;
    gid_t sc_groups[1];
};
#define SOCKCRED2SIZE(count) (sizeof(struct sockcred2) + sizeof(gid_t) * ((count) - 1))
#undef SCM_CREDENTIALS
#include "declarations/credentials.c"
int main(void)
{
    struct { struct sockcred2 first; gid_t more[2]; } given = {{0, 5, 6, 7, 8, 9, 3, {1}}, {2, 3}};
    const size_t least = offsetof(struct sockcred2, sc_groups);
    struct ucred sender;

    assert(UDS_HAS_CREDENTIALS && !UDS_HAS_SEND_CREDENTIALS && UDS_PASSCRED == 3 && UDS_PASSCRED_LEVEL == 0);
    assert(UDS_SCM_CREDENTIALS == 8 && UDS_CREDENTIALS_SIZE == (int)least + 64);
    assert(uds_credentials_read(&given, least + 12, &sender) == 1);
    assert(sender.pid == 5 && sender.uid == 6 && sender.gid == 8);
    assert(uds_credentials_read(&given, least + 11, &sender) == 0);
    assert(uds_credentials_read(&given, least - 1, &sender) == 0);
    given.first.sc_ngroups = 0;
    assert(uds_credentials_read(&given, least, &sender) == 1);
    given.first.sc_ngroups = -1;
    assert(uds_credentials_read(&given, sizeof given, &sender) == 0);
    given.first.sc_ngroups = INT_MAX;
    assert(uds_credentials_read(&given, sizeof given, &sender) == 0);
    given.first.sc_ngroups = 0;
    given.first.sc_version = 1;
    assert(uds_credentials_read(&given, sizeof given, &sender) == 0);
    return 0;
}
"""


def test_credentials_with_groups(tmp_path):
    """FreeBSD's credentials are read with as many groups as they have, and refused when they are cut."""
    run_c(tmp_path, SOCKCRED)


def test_credentials_that_only_the_receiver_asks_for(monkeypatch):
    """Where a sender cannot name its credentials, adding them says so and receiving them stays."""
    present = dict.fromkeys(("credentials", "send_credentials"), (True, ""))
    monkeypatch.setattr(capabilities, "ROWS", {**present, "send_credentials": (False, "")})
    with pytest.raises(uds_cffi.FeatureUnavailable) as caught:
        uds_cffi.SocketAncillary(64).add_creds(uds_cffi.Credentials())
    assert (caught.value.feature, caught.value.reason) == ("send_credentials", "not built")


# --- Accept -------------------------------------------------------------------------------------

ACCEPT = """
#include <assert.h>
#include "declarations/types.c"
static int quicker;
static int fake_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    /* Another acceptor was quicker, so many times; without O_NONBLOCK this call would wait for ever. */
    assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    if (quicker-- > 0) {
        errno = EAGAIN;
        return -1;
    }
    return accept(fd, address, length);
}
#define accept fake_accept
#include "declarations/accept.c"
#undef accept
int main(void)
{
    static const struct timeval limit = {0, 20000};
    struct uds_handle listener = {0}, client = {0}, into = {0};
    struct sockaddr_un address;
    struct uds_name name;
    int64_t before;

    assert(uds_handle_socket(&listener, SOCK_STREAM, 0) == 0 && uds_handle_socket(&client, SOCK_STREAM, 0) == 0);
    assert(uds_handle_bind(&listener, &address, uds_sockaddr_fill(&address, "", 0, 0)) == 0);
    assert(uds_handle_listen(&listener, 1) == 0);
    assert(uds_handle_setsockopt(&listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    before = uds_nanoseconds();
    assert(uds_handle_accept(&listener, &into, &name, 0) == -EAGAIN);
    assert(uds_nanoseconds() - before >= 20000000);
    assert(uds_handle_getsockname(&listener, &name) == 0);
    assert(uds_handle_connect(&client, &name.address, name.length) == 0);
    quicker = INT_MAX;
    assert(uds_handle_accept(&listener, &into, &name, 0) == -EAGAIN);
    quicker = 1;
    assert(uds_handle_accept(&listener, &into, &name, 0) >= 0);
    assert(!(fcntl(uds_handle_fileno(&listener), F_GETFL) & O_NONBLOCK));
    assert(!(fcntl(uds_handle_fileno(&into), F_GETFL) & O_NONBLOCK));
    assert(fcntl(uds_handle_fileno(&into), F_GETFD) & FD_CLOEXEC);
    return uds_handle_close(&listener) || uds_handle_close(&client) || uds_handle_close(&into);
}
"""


def test_accept_keeps_its_time(tmp_path):
    """Where accept(2) ignores SO_RCVTIMEO it ends in time all the same, also when another acceptor is quicker."""
    run_c(tmp_path, ACCEPT, "-DUDS_MINIMAL=1")
