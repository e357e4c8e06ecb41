#define _GNU_SOURCE
#include "CIsolation.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif

struct isolated {
    enum isolation_kind kind;
    void (*body)(void *);
    void *context;
    int error;
};

static int isolate(enum isolation_kind kind) {
    // One call: with `unshare` first, copies of all would be open for a while.
    if (kind == ISOLATION_DESCRIPTORS) return (int)syscall(SYS_close_range, 3U, UINT_MAX, CLOSE_RANGE_UNSHARE);
    return unshare(CLONE_NEWNET);
}

static void *run_isolated(void *argument) {
    struct isolated *run = argument;
    if (isolate(run->kind) < 0) {
        run->error = errno;
    } else {
        run->body(run->context);
    }
    return NULL;
}

int isolation_run(enum isolation_kind kind, void (*body)(void *), void *context) {
    struct isolated run = {kind, body, context, 0};
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run_isolated, &run);
    if (error) return error;
    pthread_join(thread, NULL);
    return run.error;
}

int isolation_take(int fd) {
    // The process's first thread has the descriptors that are shared.
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (process < 0) return -errno;
    int taken = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
    int error = errno;
    close(process);
    return taken < 0 ? -error : taken;
}
