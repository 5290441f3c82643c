/* Framed messages: sending.  The lengths of messages are packed uint32_t. */

struct uds_frame_writer {
    struct uds_handle *handle;
    uint32_t limit;
    int flags;
    char *wire;
    size_t size;
    int64_t owner;
    ...;
};

int64_t uds_frames_claim(struct uds_frame_writer *writer);
int64_t uds_frames_put(struct uds_frame_writer *writer, int64_t ticket, const void *data, size_t size,
                       const char *lengths, int count, const void *large, size_t large_size);
int64_t uds_frames_send(struct uds_frame_writer *writer, const void *data, size_t size, int count);
int64_t uds_frames_push(struct uds_frame_writer *writer, int64_t ticket, int flags);
int64_t uds_frames_push_fds(struct uds_frame_writer *writer, int64_t ticket, const int *fds,
                            struct uds_handle **owners, int count, int flags);
int64_t uds_frames_settle(struct uds_frame_writer *writer, int64_t ticket);
int64_t uds_frames_pending(struct uds_frame_writer *writer);
int64_t uds_frames_keep(struct uds_frame_writer *writer, int64_t ticket, char *memory, size_t size);
