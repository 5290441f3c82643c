/* The control buffer: what a message carries beside its bytes. */
struct uds_control_item {
    int level;
    int type;
    size_t offset;
    size_t size;
    size_t next;
    ...;
};

ssize_t uds_control_add(void *control, size_t capacity, size_t length, int level, int type,
                        const void *data, size_t size);
int uds_control_next(const void *control, size_t length, struct uds_control_item *item);
int uds_control_claim(void *control, size_t length, struct uds_fds *fds, int most);
int uds_control_claim_all(void *control, size_t length, struct uds_fds *fds, int most, struct uds_handle *pidfd);
ssize_t uds_control_unite(const void *control, size_t length, void *into, size_t capacity);
size_t uds_control_fit(const void *control, size_t length, void *into, size_t capacity, int *cut);
size_t uds_control_copy(const void *control, size_t length, void *into);
