// The part of libevent that the event loop uses.
//
// libevent's own headers are not shown to Swift: they define _GNU_SOURCE, which changes the C library's structures, and a
// module that sees them contradicts every other module.
#ifndef GODWIT_CEVENT_H
#define GODWIT_CEVENT_H

#include <stdint.h>

struct event;
struct event_base;
struct evdns_base;
struct evdns_request;

typedef void (*gw_event_callback)(int fd, short what, void *context);

/// What an event waits for; `fd` is the signal's number for GW_SIGNAL and -1 for timers.
enum { GW_TIMER = 0, GW_READ = 1, GW_WRITE = 2, GW_WRITE_EDGE = 3, GW_SIGNAL = 4, GW_READ_EDGE = 5 };

/// A base for one thread: without locks, with timers that are rounded up to milliseconds.
struct event_base *gw_base_new(void);
/// The events must have been freed.
void gw_base_free(struct event_base *base);
/// Runs until `gw_base_stop`, also without events.
void gw_base_run(struct event_base *base);
void gw_base_stop(struct event_base *base);

struct event *gw_event_new(struct event_base *base, int fd, int kind, gw_event_callback callback, void *context);
/// Whether what GW_READ told holds the end of what the peer sends: it comes now, or behind bytes that are there.
int gw_event_is_closed(short what);
void gw_event_free(struct event *event);
/// Waits from now on. Negative when the system cannot wait for the descriptor.
int gw_event_add(struct event *event);
/// Fires once after the next look at what is ready, which does not wait.
int gw_event_add_next(struct event *event);
void gw_event_remove(struct event *event);
/// Puts the event behind those that are ready now.
void gw_event_activate(struct event *event);

/// What became of a query.
enum {
    GW_DNS_OK = 0,
    GW_DNS_NO_SUCH_NAME = 1,
    GW_DNS_NO_ADDRESS = 2,
    GW_DNS_TIMED_OUT = 3,
    GW_DNS_FAILED = 4,
};

/// Called exactly once for a query, also for a cancelled one. `addresses` are `count` addresses of the family in network
/// order; `reason` is a static text.
typedef void (*gw_dns_callback)(int result, const char *reason, int count, const void *addresses, void *context);

/// A resolver without name servers; what libevent would write to standard error is dropped.
struct evdns_base *gw_dns_new(struct event_base *base);
/// The queries must have been cancelled.
void gw_dns_free(struct evdns_base *dns);
int gw_dns_set_option(struct evdns_base *dns, const char *name, const char *value);
/// Adds a name server, "address" or "address:port".
int gw_dns_add_server(struct evdns_base *dns, const char *address);
int gw_dns_server_count(struct evdns_base *dns);
/// Replaces name servers and search domains by those of a file; queries under way go to the new ones.
void gw_dns_read_servers(struct evdns_base *dns, const char *path);
/// Asks for the addresses of a name, `family` 4 or 6. NULL: there is no query, and no call.
struct evdns_request *gw_dns_query(
    struct evdns_base *dns, int family, const char *name, gw_dns_callback callback, void *context);
void gw_dns_cancel(struct evdns_base *dns, struct evdns_request *request);

#endif
