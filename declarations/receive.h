/* Receiving: one struct holds everything that a receive reads and writes. */
struct uds_receiver {
    struct uds_handle *handle;
    void *data;
    size_t size;
    int flags;
    struct iovec *iov;
    size_t iovcnt;
    void *control;
    size_t control_size;
    struct uds_fds *fds;
    int most;
    struct uds_handle *pidfd;
    struct uds_name *name;
    size_t control_length;
    int message_flags;
    int surplus;
    int facts[...];
    ...;
};
#define UDS_MOST_ITEMS ...
#define UDS_ONE_FD ...
#define UDS_CUT ...
#define UDS_ANCILLARY_CUT ...
#define UDS_SURPLUS ...

ssize_t uds_handle_recv(struct uds_handle *handle, void *data, size_t size, int flags);
ssize_t uds_handle_recv_packet(struct uds_handle *handle, void *data, size_t size, int flags);
ssize_t uds_receive(struct uds_receiver *receiver);
ssize_t uds_receive_packet(struct uds_receiver *receiver);
ssize_t uds_receive_message(struct uds_receiver *receiver);
int64_t uds_receive_fds(struct uds_receiver *receiver);
int64_t uds_receive_packed(struct uds_receiver *receiver);
