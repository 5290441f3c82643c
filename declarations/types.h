/* The integer types whose widths differ between C libraries are named by the compiler. */
typedef unsigned int... sa_family_t;
typedef unsigned int... socklen_t;
typedef int... pid_t;
typedef unsigned int... uid_t;
typedef unsigned int... gid_t;
typedef int... uds_iovlen_t;
typedef int... uds_controllen_t;
typedef int... uds_cmsglen_t;

struct iovec {
    void *iov_base;
    size_t iov_len;
    ...;
};

struct msghdr {
    void *msg_name;
    socklen_t msg_namelen;
    struct iovec *msg_iov;
    uds_iovlen_t msg_iovlen;
    void *msg_control;
    uds_controllen_t msg_controllen;
    int msg_flags;
    ...;
};

struct cmsghdr {
    uds_cmsglen_t cmsg_len;
    int cmsg_level;
    int cmsg_type;
    ...;
};

struct sockaddr_un {
    sa_family_t sun_family;
    char sun_path[...];
    ...;
};

struct pollfd {
    int fd;
    short events;
    short revents;
    ...;
};

size_t CMSG_LEN(size_t);
size_t CMSG_SPACE(size_t);
struct cmsghdr *CMSG_FIRSTHDR(struct msghdr *);
struct cmsghdr *CMSG_NXTHDR(struct msghdr *, struct cmsghdr *);
unsigned char *CMSG_DATA(struct cmsghdr *);
void uds_iov_fill(struct iovec *iov, void **bases, const size_t *sizes, size_t count);
