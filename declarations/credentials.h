/* Credentials that travel with a message. */
struct ucred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    ...;
};
#define UDS_HAS_CREDENTIALS ...
#define SO_PASSCRED ...
#define SCM_CREDENTIALS ...
