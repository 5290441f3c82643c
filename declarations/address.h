/* Addresses: what the kernel is given, and the room that it writes names into. */
#define UDS_SUN_PATH_OFFSET ...
#define UDS_SUN_PATH_SIZE ...
#define UDS_MAX_PATH_LEN ...
#define UDS_LONG_PATH_LEN ...
#define UDS_HAS_ABSTRACT ...
#define UDS_NO_NAME ...

/* A name that the kernel wrote.  length is its length, never more than the room in bytes. */
struct uds_name {
    socklen_t length;
    unsigned char bytes[...];
    ...;
};

socklen_t uds_sockaddr_fill(struct sockaddr_un *address, const char *path, size_t size, int terminated);
socklen_t uds_sockaddr_fill_long(struct sockaddr_un *address, const char *path, size_t size);
int uds_handle_bind(struct uds_handle *handle, const struct sockaddr_un *address, socklen_t length);
int uds_handle_connect(struct uds_handle *handle, const struct sockaddr_un *address, socklen_t length);
int uds_handle_open_connected(struct uds_handle *handle, int type, const char *name, size_t size);
int uds_handle_disconnect(struct uds_handle *handle);
int uds_handle_getsockname(struct uds_handle *handle, struct uds_name *name);
int uds_handle_getpeername(struct uds_handle *handle, struct uds_name *name);
