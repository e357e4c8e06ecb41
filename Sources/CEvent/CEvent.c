#include "CEvent.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <stdlib.h>

// libevent prints a line to standard error for what the caller handles, such as a descriptor that cannot be watched.
static void ignore_message(int severity, const char *message) {
    (void)severity;
    (void)message;
}

struct event_base *gw_base_new(void) {
    event_set_log_callback(ignore_message);
    struct event_config *configuration = event_config_new();
    if (!configuration) return NULL;
    // Precise timers of libevent's would cost a timerfd_settime at each wait.
    event_config_set_flag(configuration, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(configuration);
    event_config_free(configuration);
    return base;
}

void gw_base_free(struct event_base *base) {
    // Calls that evdns still owes for cancelled queries are made now: each lets go of what it was given.
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
}
void gw_base_run(struct event_base *base) { event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY); }
void gw_base_stop(struct event_base *base) { event_base_loopbreak(base); }

struct event *gw_event_new(struct event_base *base, int fd, int kind, gw_event_callback callback, void *context) {
    short flags = 0;
    switch (kind) {
    case GW_READ: flags = EV_READ | EV_CLOSED | EV_PERSIST; break;
    case GW_READ_EDGE: flags = EV_READ | EV_ET | EV_PERSIST; break;
    case GW_WRITE: flags = EV_WRITE | EV_PERSIST; break;
    case GW_WRITE_EDGE: flags = EV_WRITE | EV_ET | EV_PERSIST; break;
    case GW_SIGNAL: flags = EV_SIGNAL | EV_PERSIST; break;
    }
    return event_new(base, fd, flags, callback, context);
}

int gw_event_is_closed(short what) { return (what & EV_CLOSED) != 0; }

void gw_event_free(struct event *event) { event_free(event); }
int gw_event_add(struct event *event) { return event_add(event, NULL); }

int gw_event_add_next(struct event *event) {
    struct timeval none = {0};
    return event_add(event, &none);
}

void gw_event_remove(struct event *event) { event_del(event); }
void gw_event_activate(struct event *event) { event_active(event, 0, 0); }

struct evdns_base *gw_dns_new(struct event_base *base) {
    evdns_set_log_fn(ignore_message);
    return evdns_base_new(base, 0);
}

void gw_dns_free(struct evdns_base *dns) { evdns_base_free(dns, 0); }

int gw_dns_set_option(struct evdns_base *dns, const char *name, const char *value) {
    return evdns_base_set_option(dns, name, value);
}

int gw_dns_add_server(struct evdns_base *dns, const char *address) {
    return evdns_base_nameserver_ip_add(dns, address);
}

int gw_dns_server_count(struct evdns_base *dns) { return evdns_base_count_nameservers(dns); }

void gw_dns_read_servers(struct evdns_base *dns, const char *path) {
    evdns_base_clear_nameservers_and_suspend(dns);
    evdns_base_search_clear(dns);
    int what = DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_NAMESERVERS_NO_DEFAULT;
    evdns_base_resolv_conf_parse(dns, what, path);
    evdns_base_resume(dns);
}

// What a query calls back, kept until then.
typedef struct {
    gw_dns_callback callback;
    void *context;
} query;

static void answered(int code, char type, int count, int ttl, void *addresses, void *argument) {
    (void)type;
    (void)ttl;
    query asked = *(query *)argument;
    free(argument);
    int result = GW_DNS_FAILED;
    switch (code) {
    case DNS_ERR_NONE: result = GW_DNS_OK; break;
    case DNS_ERR_NOTEXIST: result = GW_DNS_NO_SUCH_NAME; break;
    case DNS_ERR_NODATA: result = GW_DNS_NO_ADDRESS; break;
    case DNS_ERR_TIMEOUT: result = GW_DNS_TIMED_OUT; break;
    }
    asked.callback(result, evdns_err_to_string(code), count > 0 && addresses ? count : 0, addresses, asked.context);
}

struct evdns_request *gw_dns_query(
    struct evdns_base *dns, int family, const char *name, gw_dns_callback callback, void *context) {
    query *asked = malloc(sizeof *asked);
    if (!asked) return NULL;
    *asked = (query){callback, context};
    struct evdns_request *request = family == 4 ? evdns_base_resolve_ipv4(dns, name, 0, answered, asked)
                                                : evdns_base_resolve_ipv6(dns, name, 0, answered, asked);
    if (!request) free(asked);
    return request;
}

void gw_dns_cancel(struct evdns_base *dns, struct evdns_request *request) { evdns_cancel_request(dns, request); }
