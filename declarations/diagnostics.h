/* The sockets of this network namespace, as the kernel lists them (sock_diag(7)).  Linux only. */
#define UDS_HAS_DIAGNOSTICS ...

/* The states in which a Unix socket can be, by number: bit 1 << number of a request. */
#define UDS_DIAG_ESTABLISHED ...
#define UDS_DIAG_UNCONNECTED ...
#define UDS_DIAG_LISTENING ...

/* Which fields of a struct uds_diag_socket the kernel has filled. */
#define UDS_DIAG_HAS_FILE ...
#define UDS_DIAG_HAS_QUEUES ...
#define UDS_DIAG_HAS_UID ...
#define UDS_DIAG_HAS_CLIENTS ...

/* One socket.  name and clients are places in the data that it was read from.  shutdown has bit 0 for receiving and
   bit 1 for sending. */
struct uds_diag_socket {
    uint64_t cookie;
    uint64_t device;
    uint32_t inode;
    uint32_t type;
    uint32_t state;
    uint32_t present;
    uint32_t file;
    uint32_t peer;
    uint32_t receive_queue;
    uint32_t send_queue;
    uint32_t shutdown;
    uint32_t uid;
    uint32_t name;
    uint32_t name_size;
    uint32_t clients;
    uint32_t client_count;
};

/* A conversation with the kernel.  The caller sets handle, data, room, sockets and most. */
struct uds_diag {
    struct uds_handle *handle;
    char *data;
    size_t room;
    struct uds_diag_socket *sockets;
    size_t most;
    size_t size;
    size_t place;
    uint32_t sequence;
    int ended;
    int changed;
    ...;
};

int uds_diag_open(struct uds_handle *handle);
int uds_diag_ask(struct uds_diag *diag, uint32_t inode, uint32_t states, int clients);
ssize_t uds_diag_receive(struct uds_diag *diag);
int uds_diag_read(struct uds_diag *diag);
int64_t uds_inode(int fd);
int64_t uds_handle_inode(struct uds_handle *handle);
