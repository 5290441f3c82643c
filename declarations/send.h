/* Sending.  No send that takes a handle raises SIGPIPE. */
#define UDS_ENOBUFS_IS_FULL ...
#define UDS_DATAGRAMS_NEVER_WAIT ...

ssize_t uds_sent(int fd, ssize_t result, size_t size);
ssize_t uds_handle_send(struct uds_handle *handle, const void *data, size_t size, int flags);
ssize_t uds_handle_sendto(struct uds_handle *handle, const void *data, size_t size, int flags,
                          const struct sockaddr_un *address, socklen_t length);
ssize_t uds_handle_sendmsg(struct uds_handle *handle, const struct msghdr *message, int flags);
ssize_t uds_handle_send_fds(struct uds_handle *handle, const void *data, size_t size, int flags,
                            const struct sockaddr_un *address, socklen_t length,
                            const int *fds, struct uds_handle **owners, int count);
ssize_t uds_handle_send_numbers(struct uds_handle *handle, const void *data, size_t size, int flags,
                                const int *fds, int count);
ssize_t uds_handle_send_packed(struct uds_handle *handle, const void *data, const void *packed);
