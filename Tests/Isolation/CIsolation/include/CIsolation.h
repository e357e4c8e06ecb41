// Threads that share less with the other threads of the process.
#ifndef GODWIT_CISOLATION_H
#define GODWIT_CISOLATION_H

/// What a thread has for itself.
enum isolation_kind {
    /// A network with a loopback that is down, and nothing else. Needs root.
    ISOLATION_NETWORK,
    /// Its descriptors: at first 0, 1 and 2 of the process, and no other.
    ISOLATION_DESCRIPTORS,
};

/// Runs `body` on such a thread and waits for its end. Returns 0, or an errno where the system refuses.
int isolation_run(enum isolation_kind kind, void (*body)(void *), void *context);

/// On a thread that has its own descriptors: another one for what the process has under this number, closed on exec.
/// Returns it, or a negated errno.
int isolation_take(int fd);

#endif
