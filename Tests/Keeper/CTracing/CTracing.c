#include "CTracing.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// A signal that nobody else uses, so that a mark is told from a step.
enum { MARK = SIGWINCH };

int tracing_start(void (*body)(void *), void *context) {
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0) _exit(120);
        body(context);
        _exit(0);
    }
    return pid;
}

void tracing_mark(void) { raise(MARK); }

// 1: stopped by `*signal`; 0: ended.
static int wait_for(int pid, int *signal) {
    int status;
    pid_t got;
    do got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -errno;
    if (!WIFSTOPPED(status)) return 0;
    *signal = WSTOPSIG(status);
    return 1;
}

int tracing_run(int pid) {
    static int has_started;
    int signal = 0;
    if (has_started && ptrace(PTRACE_CONT, pid, 0, 0) < 0) return -errno;
    has_started = 1;
    for (;;) {
        int result = wait_for(pid, &signal);
        if (result <= 0 || signal == MARK) return result;
        if (ptrace(PTRACE_CONT, pid, 0, signal) < 0) return -errno;
    }
}

#ifdef __x86_64__
// Whether the child's next instruction is a system call. Code stays what it is, so each place is looked at once.
static int is_next_call(int pid) {
    enum { PLACES = 1 << 16 };
    static long seen[PLACES];
    static char was_call[PLACES];
    errno = 0;
    long address = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0);
    if (errno) return 0;
    unsigned long slot = (unsigned long)address % PLACES;
    if (seen[slot] != address) {
        long code = ptrace(PTRACE_PEEKTEXT, pid, address, 0);
        seen[slot] = address;
        was_call[slot] = (code & 0xffff) == 0x050f;
    }
    return was_call[slot];
}
#endif

int tracing_step(int pid) {
#ifdef __x86_64__
    int is_call = is_next_call(pid);
#else
    // Not told apart: each could be one.
    int is_call = 1;
#endif
    int signal = 0;
    if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) < 0) return 0;
    int result = wait_for(pid, &signal);
    if (result <= 0) return 0;
    return signal == SIGTRAP ? 1 + is_call : 0;
}

void tracing_end(int pid) {
    int status;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}
