// libevent's public API, with its function-like macros as inline functions.
#ifndef GODWIT_CEVENT_H
#define GODWIT_CEVENT_H

#include <event2/event.h>
#include <event2/dns.h>
#include <event2/util.h>

#endif
