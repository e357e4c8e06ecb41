#include "Private.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int gw_memory_open(const char *name, uint64_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int64_t gw_memory_extend(int fd, uint64_t size) {
    struct stat status;
    if (fstat(fd, &status) < 0) return -errno;
    if (!S_ISREG(status.st_mode)) return -EINVAL;
    if ((uint64_t)status.st_size < size && ftruncate(fd, (off_t)size) < 0) return -errno;
    return status.st_size;
}

void *gw_memory_map(int fd, uint64_t size, int *error) {
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base != MAP_FAILED) return base;
    *error = errno;
    return NULL;
}

int gw_memory_unmap(void *base, uint64_t size) { return munmap(base, size) < 0 ? -errno : 0; }

int gw_memory_punch(int fd, uint64_t offset, uint64_t length) {
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return fallocate(fd, mode, (off_t)offset, (off_t)length) < 0 ? -errno : 0;
}

static int tcp_information(int fd, struct tcp_info *info) {
    socklen_t length = sizeof *info;
    memset(info, 0, sizeof *info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) < 0) return -errno;
    return length < offsetof(struct tcp_info, tcpi_segs_out) ? -EOPNOTSUPP : 0;
}

int gw_tcp_count(int fd, gw_tcp_counters *out) {
    // Three calls cannot see one moment, but two equal answers before and after the others say that nothing happened in
    // between: while nobody here reads or writes, each counter only grows. A sender that never rests fills the window soon.
    enum { TRIES = 100000, CLOSED = 7 };  // TCP_CLOSE; its header has another struct tcp_info
    struct tcp_info before, after;
    int result = tcp_information(fd, &before);
    for (int i = 0; i < TRIES && result == 0; i++, before = after) {
        int unread = 0, unacknowledged = 0;
        // EINVAL: a listener.
        if (ioctl(fd, SIOCINQ, &unread) < 0 || ioctl(fd, SIOCOUTQ, &unacknowledged) < 0) return -errno;
        result = tcp_information(fd, &after);
        if (before.tcpi_bytes_received != after.tcpi_bytes_received || before.tcpi_state != after.tcpi_state
            || before.tcpi_bytes_acked != after.tcpi_bytes_acked)
            continue;
        out->received = after.tcpi_bytes_received;
        out->acknowledged = after.tcpi_bytes_acked;
        out->unread = unread > 0 ? (uint32_t)unread : 0;
        out->unacknowledged = unacknowledged > 0 ? (uint32_t)unacknowledged : 0;
        out->state = after.tcpi_state;
        // A connection that failed is closed, and the error waits to be taken.
        out->has_error = after.tcpi_state == CLOSED && gw_has_error(fd) == 1;
        return result;
    }
    return result < 0 ? result : -EAGAIN;
}

int gw_socket_cookie(int fd, uint64_t *cookie) {
    socklen_t length = sizeof *cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &length) < 0 ? -errno : 0;
}

int gw_channel_open(int ends[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

typedef union gw_control {
    struct cmsghdr header;
    char space[CMSG_SPACE(GW_MOST_DESCRIPTORS * sizeof(int))];
} gw_control;

intptr_t gw_channel_send(int fd, const void *bytes, size_t count, const int *descriptors, int descriptor_count) {
    if (descriptor_count < 0 || descriptor_count > GW_MOST_DESCRIPTORS) return -EINVAL;
    struct iovec part = {(void *)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    gw_control control;
    if (descriptor_count > 0) {
        size_t length = (size_t)descriptor_count * sizeof(int);
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(length);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(length);
        memcpy(CMSG_DATA(header), descriptors, length);
    }
    ssize_t n;
    do n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

intptr_t gw_channel_receive(int fd, void *bytes, size_t capacity, int *descriptors, int *descriptor_count) {
    struct iovec part = {bytes, capacity};
    gw_control control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int room = *descriptor_count;
    *descriptor_count = 0;
    ssize_t n;
    /* A peer that dies before it has read everything is told once, ahead of what it said before. */
    do n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0) return -errno;
    int is_cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int received;
            memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
            if (*descriptor_count < room && !is_cut) {
                descriptors[(*descriptor_count)++] = received;
            } else {
                close(received);
            }
        }
    }
    return is_cut ? -EMSGSIZE : n;
}

int gw_notify_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length < 2 || length >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '@' ? 0 : 1));
    if (connect(fd, (struct sockaddr *)&address, size) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int gw_wait_readable(int first, int second, int milliseconds) {
    struct pollfd entries[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    int n;
    do n = poll(entries, 2, milliseconds);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    return (entries[0].revents ? 1 : 0) | (entries[1].revents ? 2 : 0);
}

int gw_wait_writable(int fd, int milliseconds) {
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    int n;
    do n = poll(&entry, 1, milliseconds);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int gw_program_open(const char *path) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int is_named(const char *entry, const char *name, size_t length) {
    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

// The environment of a worker; its strings are not copied.
static char **worker_environment(const char *variable) {
    static const char *const dropped[] = {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    size_t count = 0, kept = 0;
    while (environ[count]) count++;
    char **copy = calloc(count + 2, sizeof *copy);
    if (!copy) return NULL;
    for (size_t i = 0; i < count; i++) {
        int is_dropped = is_named(environ[i], variable, strcspn(variable, "="));
        for (size_t d = 0; d < sizeof dropped / sizeof *dropped; d++)
            is_dropped |= is_named(environ[i], dropped[d], strlen(dropped[d]));
        if (!is_dropped) copy[kept++] = environ[i];
    }
    copy[kept] = (char *)variable;
    return copy;
}

int gw_spawn(int program, char *const arguments[], const char *variable, int inherited) {
    char **environment = worker_environment(variable);
    if (!environment) return -ENOMEM;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", program);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    pid_t pid = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // Onto itself: stays open over exec.
    posix_spawn_file_actions_adddup2(&actions, inherited, inherited);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // A group of its own: the terminal's signals come once, from the parent, and not twice.
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int result = posix_spawn(&pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return result != 0 ? -result : pid;
}

int gw_process_watch(int pid) {
    int fd = pidfd_open(pid, 0);
    return fd < 0 ? -errno : fd;
}

int gw_process_end(int pid, int *status) {
    int word = 0;
    pid_t ended;
    do ended = waitpid(pid, &word, WNOHANG);
    while (ended < 0 && errno == EINTR);
    if (ended < 0) return -errno;
    if (ended == 0) return 0;
    *status = WIFEXITED(word) ? WEXITSTATUS(word) : -WTERMSIG(word);
    return 1;
}

int gw_process_signal(int pid, int signal) { return kill(pid, signal) < 0 ? -errno : 0; }

int gw_die_with_parent(int parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return -errno;
    // The program was started from a descriptor, and its name is a number until it says another.
    prctl(PR_SET_NAME, program_invocation_short_name);
    return getppid() == parent ? 0 : -ESRCH;
}

int gw_close_on_exec(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0; }
