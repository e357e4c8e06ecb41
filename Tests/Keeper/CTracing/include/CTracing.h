// A child process that is run one instruction at a time, so that it can be looked at as if it had been killed after each.
#ifndef GODWIT_CTRACING_H
#define GODWIT_CTRACING_H

#include <stdint.h>

/// Runs `body` in a child that stands still at its first `tracing_mark`. Returns its process number or a negated errno.
int tracing_start(void (*body)(void *), void *context);
/// In the child: from here on it is looked at. To be called before and after what is of interest.
void tracing_mark(void);
/// Runs the child on to its next mark. 1: it stands there; 0: it has ended; else a negated errno.
int tracing_run(int pid);
/// One instruction of the child. 1: done; 2: done, and it was a system call; 0: it has ended or reached a mark.
int tracing_step(int pid);
void tracing_end(int pid);

#endif
