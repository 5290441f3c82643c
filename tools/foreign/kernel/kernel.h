/* The stand-in for another system's kernel: what its parts share.

   Rules:
   - A number of that system is written down here by hand, and none is taken from that system's headers: where the
     module that runs above and this text disagree, one of them is wrong.
   - A number that is not written down ends the process with a word about it.  So no constant of Linux passes.  Two are
     written down as numbers that no system has: the project's tests ask for those, to see what comes of it.
   - The work is done by Linux, with a Linux socket of the same number.  Only what that system does otherwise is done
     here.
   - errno and the flags of open(2) have Linux's numbers, because the interpreter's own modules have those.

   A system's call X is foreign_X() here; the module's symbols are renamed when it is linked. */
#ifndef FOREIGN_KERNEL_H
#define FOREIGN_KERNEL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- What they hand over; these have the same form on all four --- */

#define THEIR_SOL_SOCKET 0xffff
#define THEIR_SOL_LOCAL 0
#define THEIR_SCM_RIGHTS 1
/* sun_len and sun_family. */
#define THEIR_NAME_HEAD 2
/* What the tests take for an option, a level, a domain, or a kind of control data, and for a type of socket, that there
   is not. */
#define NOBODYS_TYPE 9
#define IS_NOBODYS(number) ((number) == 9999 || (number) == 12345)
/* Control data fits into one mbuf cluster (MCLBYTES). */
#define THEIR_MOST_CONTROL 2048

struct their_msghdr {
    void *name;
    uint32_t name_length;
    struct iovec *iov;
    int32_t iov_count;
    void *control;
    uint32_t control_length;
    int32_t flags;
};
_Static_assert(sizeof(struct their_msghdr) == 48, "x86-64");

struct their_cmsghdr {
    uint32_t length;
    int32_t level;
    int32_t type;
};

/* --- How a system differs --- */

/* One number of theirs and Linux's; a list ends with zeros. */
struct number {
    int theirs;
    int ours;
};

/* What happens to descriptors for which the control buffer has no room. */
enum too_small {
    STAYS_OPEN,   /* nobody is told their numbers */
    REFUSED,      /* EMSGSIZE, and the message is gone */
};

/* Where the fields of struct stat are; each has a size in bytes. */
struct field {
    unsigned char offset, size;
};
struct stat_form {
    size_t size;
    struct field device, inode, links, mode, owner, length;
};

/* Items of control data while they are put together. */
struct items {
    size_t length;
    unsigned char bytes[8192];
};

struct kernel {
    const char *name;

    const struct number *type_flags;     /* SOCK_CLOEXEC and its like, or an empty list */
    int has_seqpacket;
    int no_sigpipe;                      /* SO_NOSIGPIPE, or 0 */
    const struct number *own_options;    /* options of SOL_SOCKET that the others have not */
    int send_timeout, receive_timeout;   /* SO_SNDTIMEO, SO_RCVTIMEO */
    int short_microseconds;              /* tv_usec has 4 bytes, with as many behind it that mean nothing */

    int no_signal;                       /* MSG_NOSIGNAL */
    int close_on_exec;                   /* MSG_CMSG_CLOEXEC, or 0 */

    size_t control_alignment;
    enum too_small too_small;
    const int *sent_types;               /* of control data that the kernel knows and refuses, ends with 0 */

    size_t longest_path;
    uint32_t unnamed_length;             /* of the address of a socket without a name */
    int pads_names;                      /* reported paths are filled up with NULs */

    int dup_command;                     /* F_DUPFD_CLOEXEC */
    int monotonic;                       /* CLOCK_MONOTONIC */
    int hung_up;                         /* POLLRDHUP, or 0 */
    int at_cwd, at_nofollow, at_removedir;
    struct stat_form stat;

    /* Options of its own: 0, -errno, or NOT_MINE.  The length is what the caller has room for, or gives.  Without a
       function it has none that can be set. */
    int (*get)(int fd, int level, int name, void *value, uint32_t *length);
    int (*set)(int fd, int level, int name, const void *value, uint32_t length);
    /* Whether it fills in this item, which the sender has added, and with what; or NULL. */
    int (*fill)(int type, struct items *into);
    /* Adds what the receiver has asked for by an option. */
    void (*add_sender)(int fd, unsigned state, const struct ucred *sender, struct items *into);
};

extern const struct kernel kernel;

#define NOT_MINE 1

/* --- core.c --- */

_Noreturn void foreign_stop(const char *call, const char *what, long number);
int to_ours(const struct number *list, int theirs, const char *call, const char *what);
int to_theirs(const struct number *list, int ours);

/* What is known of a socket.  Linux keeps it, in an option that it does not use for these sockets, so that every
   duplicate has it, in every process. */
#define IS_PAIR 1u
#define WANTS_EACH 2u   /* LOCAL_CREDS_PERSISTENT */
#define WANTS_ONCE 4u   /* LOCAL_CREDS */
#define NO_SIGPIPE 8u
unsigned foreign_state(int fd);
void foreign_set_state(int fd, unsigned bits, int on);
int foreign_type(int fd);

/* --- names.c --- */

/* How Linux reaches what the caller has named. */
struct way {
    int binds;                /* given: whether the file is to be made */
    struct sockaddr_un ours;
    socklen_t size;
    int is_detour;            /* whether the file has to be given its name afterwards: end_detour() */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char wanted[4096];
};
int find_way(int directory, const void *theirs, uint32_t length, struct way *way);
int end_detour(const struct way *way);
uint32_t name_to_theirs(const struct sockaddr_un *ours, socklen_t size, void *into, uint32_t room);

/* --- control.c --- */

void add_item(struct items *items, int level, int type, const void *data, size_t size);
int control_to_ours(const void *control, size_t length, struct items *into);
int control_to_theirs(int fd, struct msghdr *ours, struct their_msghdr *theirs, int is_peek);

/* --- options.c --- */

int peer_of(int fd, struct ucred *peer);
int own_groups(uint32_t *groups, int most);
int give(const void *answer, size_t size, void *value, uint32_t *length);
int get_flag(int fd, unsigned bit, void *value, uint32_t *length);
int set_flag(int fd, unsigned bit, const void *value, uint32_t length);

#endif
