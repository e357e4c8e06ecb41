// Faults of the kernel that cannot be provoked on loopback, and what it was asked for, for the calling thread only.
//
// Linked into the tests, these functions take the place of the C library's; without a fault they make the system call.
#ifndef GODWIT_CFAULTS_H
#define GODWIT_CFAULTS_H

/// After `messages` more messages each send fails with EAGAIN; a negative number takes the fault away.
void faults_limit_sends(int messages);
/// Sends that ask the kernel to cut (UDP_SEGMENT) fail with `error`; 0 takes the fault away.
void faults_refuse_segmentation(int error);
/// The next `count` accepts fail with `error`.
void faults_refuse_accepts(int count, int error);
/// How often `epoll_ctl` was called since this was last asked.
int faults_take_registrations(void);

#endif
