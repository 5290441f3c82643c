/* Batches: many packets for one call.  Each packet is still a system call of its own. */

/* What is known of one received packet beside its bytes. */
struct uds_batch_packet {
    int truncated;
    int fds;
    int surplus;
    int cut;
    int has_credentials;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    size_t name;
    size_t control;
    int pidfds;
    ...;
};

#define UDS_BATCH_TAKEN ...
#define UDS_BATCH_EACH ...
#define UDS_BATCH_CONTROL ...

struct uds_batch {
    struct uds_handle *handle;
    void *data;
    size_t room;
    size_t size;
    int count;
    int flags;
    int connection;
    int whole;
    int credentials;
    unsigned int *starts;
    unsigned int *lengths;
    struct uds_batch_packet *packets;
    struct uds_fds *fds;
    int most;
    unsigned char *names;
    unsigned char *control;
    size_t control_room;
    struct uds_fds *pidfds;
    int ended;
    int error;
    int plain;
    int each;
    size_t used;
    ...;
};

int uds_handle_receive_batch(struct uds_handle *handle, struct uds_batch *batch);

int64_t uds_batch_receive(struct uds_batch *batch);

struct uds_outgoing_batch {
    struct uds_handle *handle;
    const void *data;
    const void *lengths;
    int count;
    int flags;
    int *fds;
    struct uds_handle **owners;
    const int *fd_counts;
    const struct ucred *credentials;
    const int *with_credentials;
    const struct sockaddr_un **addresses;
    const socklen_t *address_lengths;
    ...;
};

int uds_handle_send_batch(struct uds_handle *handle, const void *data, const void *lengths, int first, int count,
                          int flags);
int uds_handle_send_joined(struct uds_handle *handle, const void *data, size_t size, int count, int flags);
int uds_batch_send(struct uds_outgoing_batch *batch, int first);
