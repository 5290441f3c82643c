/* Slots for received descriptors.  Memory of zeros has no slot in use; an emptied slot holds -1. */
struct uds_fds {
    int count;
    ...;
};
#define UDS_HAS_CLOSE_RANGE ...

int uds_fds_number(struct uds_fds *fds, int index);
int uds_fds_take(struct uds_fds *fds, int index, struct uds_handle *into);
int uds_fds_move(struct uds_fds *from, int first, int count, struct uds_fds *into);
int uds_fds_detach(struct uds_fds *fds, int *numbers);
int uds_fds_close(struct uds_fds *fds);
int uds_fds_adopt(struct uds_fds *fds, int fd);
