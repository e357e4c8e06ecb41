// Network interfaces whose packets a program carries (TUN), in network namespaces of its choice.
//
// Every function returns a result of zero or more, or a negated errno.
#ifndef GODWIT_CTUNNEL_H
#define GODWIT_CTUNNEL_H

#include <stddef.h>
#include <stdint.h>

/// Makes an interface in the namespace that a file such as /run/netns/NAME stands for; returns its descriptor.
int gwt_open(const char *namespace_path, const char *name);
/// Takes the next packet.
intptr_t gwt_read(int fd, void *bytes, size_t size);
/// Hands a packet to the namespace's kernel.
intptr_t gwt_write(int fd, const void *bytes, size_t size);
/// Gives the interface its carrier or takes it away.
int gwt_set_carrier(int fd, int present);
int gwt_close(int fd);

#endif
