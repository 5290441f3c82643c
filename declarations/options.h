/* What a descriptor is, and the options whose C types differ between systems. */
struct uds_description {
    int domain;
    int type;
    int listening;
    ...;
};

int uds_describe(int fd, struct uds_description *description);
int uds_handle_describe(struct uds_handle *handle, struct uds_description *description);
int uds_handle_unread_bytes(struct uds_handle *handle);
int uds_handle_get_timeout(struct uds_handle *handle, int name, int64_t *microseconds);
int uds_handle_set_timeout(struct uds_handle *handle, int name, int64_t microseconds);
ssize_t uds_handle_readlink(struct uds_handle *handle, char *target, size_t size);
int uds_handle_mode(struct uds_handle *handle);
