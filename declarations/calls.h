/* The system calls under their man-page names.  Each returns its result or the negated errno. */
int uds_socket(int domain, int type, int protocol);
int uds_socketpair(int domain, int type, int protocol, int *sv);
int uds_bind(int fd, const struct sockaddr_un *address, socklen_t length);
int uds_connect(int fd, const struct sockaddr_un *address, socklen_t length);
int uds_listen(int fd, int backlog);
int uds_accept(int fd, struct sockaddr_un *address, socklen_t *length);
int uds_accept4(int fd, struct sockaddr_un *address, socklen_t *length, int flags);
int uds_getsockname(int fd, struct sockaddr_un *address, socklen_t *length);
int uds_getpeername(int fd, struct sockaddr_un *address, socklen_t *length);
int uds_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int uds_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int uds_shutdown(int fd, int how);
ssize_t uds_send(int fd, const void *data, size_t size, int flags);
ssize_t uds_sendto(int fd, const void *data, size_t size, int flags,
                   const struct sockaddr_un *address, socklen_t length);
ssize_t uds_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t uds_recv(int fd, void *data, size_t size, int flags);
ssize_t uds_recvfrom(int fd, void *data, size_t size, int flags,
                     struct sockaddr_un *address, socklen_t *length);
ssize_t uds_recvmsg(int fd, struct msghdr *message, int flags);
int uds_fcntl(int fd, int command, int argument);
int uds_dup(int fd);
int uds_poll(struct pollfd *fds, unsigned int count, int milliseconds);
int uds_close(int fd);
