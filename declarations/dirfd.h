/* Files by a directory's descriptor and a name in it.  A directory below 0 is the working directory. */
#define UDS_HAS_BINDAT ...
#define UDS_HAS_FILE_MODE ...
#define UDS_MAX_NAME_LEN ...
#define UDS_HAS_LONG_NAMES ...
#define UDS_O_PATH ...

struct uds_status {
    uint64_t device, inode, links, size;
    unsigned int mode, owner;
};

int uds_handle_openat(struct uds_handle *into, int directory, const char *name, int flags, int mode);
int uds_handle_flock(struct uds_handle *handle);
int uds_handle_funlock(struct uds_handle *handle);
int uds_fstatat(int directory, const char *name, struct uds_status *into);
int uds_handle_fstat(struct uds_handle *handle, struct uds_status *into);
int uds_mkdirat(int directory, const char *name, int mode);
int uds_unlinkat(int directory, const char *name);
int uds_rmdirat(int directory, const char *name);
int uds_linkat(int directory, const char *name, int other, const char *new_name);
int uds_renameat(int directory, const char *name, int other, const char *new_name);
int uds_read_beginning(const char *path, char *into, int size);
int uds_handle_bindat(struct uds_handle *handle, int directory, const struct sockaddr_un *address,
                      socklen_t length);
int uds_handle_connectat(struct uds_handle *handle, int directory, const struct sockaddr_un *address,
                         socklen_t length);
int uds_fchmodat(int directory, const char *name, int mode);
int uds_chmod_by_descriptor(int directory, const char *name, int mode);
int uds_fchownat(int directory, const char *name, unsigned int owner, unsigned int group);
int uds_handle_bindat_briefly(struct uds_handle *handle, struct uds_handle *other, const char *folder,
                              const char *name);
