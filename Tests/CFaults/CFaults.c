#define _GNU_SOURCE
#include "CFaults.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static _Thread_local int messages_left = -1;
static _Thread_local int segmentation_error = 0;
static _Thread_local int refused_accepts = 0;
static _Thread_local int accept_error = 0;
static _Thread_local int registrations = 0;

void faults_limit_sends(int messages) { messages_left = messages; }
void faults_refuse_segmentation(int error) { segmentation_error = error; }
void faults_refuse_accepts(int count, int error) {
    refused_accepts = count;
    accept_error = error;
}

int faults_take_registrations(void) {
    int taken = registrations;
    registrations = 0;
    return taken;
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    registrations++;
    return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

// The error that a message is to fail with, or 0. Counts the message when it is let through.
static int fault(const struct msghdr *message) {
    if (segmentation_error)
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR((struct msghdr *)message, c))
            if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT) return segmentation_error;
    if (messages_left == 0) return EAGAIN;
    if (messages_left > 0) messages_left--;
    return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    int error = fault(message);
    if (error) {
        errno = error;
        return -1;
    }
    return syscall(SYS_sendmsg, fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags) {
    unsigned int allowed = 0;
    int error = 0;
    while (allowed < count && (error = fault(&messages[allowed].msg_hdr)) == 0) allowed++;
    if (allowed == 0 && count > 0) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_sendmmsg, fd, messages, allowed, flags);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    if (refused_accepts > 0) {
        refused_accepts--;
        errno = accept_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address, length, flags);
}
