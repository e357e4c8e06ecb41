#include "Private.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

int64_t gw_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

int gw_close(int fd) { return close(fd) < 0 ? -errno : 0; }

int gw_make_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : flags;
}

int gw_restore_flags(int fd, int flags) { return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0; }

intptr_t gw_read(int fd, void *first, size_t first_count, void *second, size_t second_count) {
    struct iovec parts[2] = {{first, first_count}, {second, second_count}};
    ssize_t n;
    do n = readv(fd, parts, second_count ? 2 : 1);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

intptr_t gw_write(int fd, const void *first, size_t first_count, const void *second, size_t second_count) {
    struct iovec parts[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    ssize_t n;
    do n = writev(fd, parts, second_count ? 2 : 1);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static intptr_t send_parts(
    int fd, const void *first, size_t first_count, const void *second, size_t second_count, int flags) {
    struct iovec parts[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = second_count ? 2 : 1};
    ssize_t n;
    do n = sendmsg(fd, &message, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

intptr_t gw_send(int fd, const void *first, size_t first_count, const void *second, size_t second_count) {
    return send_parts(fd, first, first_count, second, second_count, 0);
}

intptr_t gw_send_before_end(int fd, const void *first, size_t first_count, const void *second, size_t second_count) {
    return send_parts(fd, first, first_count, second, second_count, MSG_MORE);
}

int gw_has_hung_up(int fd) {
    struct pollfd entry = {.fd = fd, .events = 0};
    if (poll(&entry, 1, 0) < 0) return -errno;
    // POLLHUP alone: both ends have finished sending, and bytes may still be waiting to be read.
    return (entry.revents & POLLERR) != 0;
}

int gw_has_error(int fd) {
    struct pollfd entry = {.fd = fd, .events = 0};
    if (poll(&entry, 1, 0) < 0) return -errno;
    return (entry.revents & POLLERR) != 0;
}

const char *gw_error_name(int code) { return strerrorname_np(code); }
const char *gw_error_text(int code) {
    const char *text = strerrordesc_np(code);
    return text ? text : "unknown error";
}

void gw_ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }

void gw_begin_thread(const char *name) {
    char shortened[16] = {0};
    strncpy(shortened, name, sizeof shortened - 1);
    pthread_setname_np(pthread_self(), shortened);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

int gw_alarm_open(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int gw_alarm_set(int fd, int64_t nanoseconds) {
    // All zeros would take the alarm away.
    if (nanoseconds < 1) nanoseconds = 1;
    struct itimerspec when = {.it_value = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000}};
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) < 0 ? -errno : 0;
}

int gw_notifier_open(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int gw_notifier_signal(int fd) {
    uint64_t one = 1;
    ssize_t n;
    do n = write(fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    // A counter at its maximum is readable already.
    return n < 0 && errno != EAGAIN ? -errno : 0;
}

int gw_notifier_drain(int fd) {
    uint64_t count;
    ssize_t n;
    do n = read(fd, &count, sizeof count);
    while (n < 0 && errno == EINTR);
    return n < 0 && errno != EAGAIN ? -errno : 0;
}

int gw_notifier_wait(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int n;
    do n = poll(&entry, 1, -1);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}
