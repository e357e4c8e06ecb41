#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CTunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int make_interface(const char *name) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

int gwt_open(const char *namespace_path, const char *name) {
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) return -errno;
    int there = open(namespace_path, O_RDONLY | O_CLOEXEC);
    int result = there < 0 ? -errno : 0;
    if (there >= 0) {
        result = setns(there, CLONE_NEWNET) < 0 ? -errno : make_interface(name);
        if (setns(home, CLONE_NEWNET) < 0 && result >= 0) {
            close(result);
            result = -errno;
        }
        close(there);
    }
    close(home);
    return result;
}

intptr_t gwt_read(int fd, void *bytes, size_t size) {
    ssize_t n;
    do n = read(fd, bytes, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

intptr_t gwt_write(int fd, const void *bytes, size_t size) {
    ssize_t n;
    do n = write(fd, bytes, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int gwt_set_carrier(int fd, int present) { return ioctl(fd, TUNSETCARRIER, &present) < 0 ? -errno : 0; }
int gwt_close(int fd) { return close(fd) < 0 ? -errno : 0; }
