/* A descriptor of a process: opening one, and what the kernel says of it. */
#define UDS_HAS_PIDFD ...
#define UDS_HAS_PIDFD_INFO ...
#define UDS_HAS_PIDFD_IDENTITY ...
#define UDS_LAST_SIGNAL ...
#define UDS_PIDFD_INFO_PID ...
#define UDS_PIDFD_INFO_CREDS ...
#define UDS_PIDFD_INFO_CGROUPID ...
#define UDS_PIDFD_INFO_EXIT ...
#define UDS_PIDFD_INFO_COREDUMP ...

struct uds_pidfd_info {
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t pid;
    uint32_t tgid;
    uint32_t ppid;
    uint32_t ruid;
    uint32_t rgid;
    uint32_t euid;
    uint32_t egid;
    uint32_t suid;
    uint32_t sgid;
    uint32_t fsuid;
    uint32_t fsgid;
    int32_t exit_code;
    uint32_t coredump_mask;
    ...;
};

int uds_pidfd_check(int fd);
int uds_handle_pidfd_open(struct uds_handle *into, pid_t pid);
int uds_handle_pidfd_signal(struct uds_handle *handle, int number);
int uds_handle_pidfd_info(struct uds_handle *handle, struct uds_pidfd_info *info);
int uds_handle_pidfd_pid(struct uds_handle *handle);
int uds_handle_pidfd_same(struct uds_handle *one, struct uds_handle *two);
