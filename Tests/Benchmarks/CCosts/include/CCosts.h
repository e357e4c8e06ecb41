// What a program costs that is measured from inside.
#ifndef CCOSTS_H
#define CCOSTS_H

#include <stdint.h>

// How often the calling thread has asked for memory so far: malloc, calloc, realloc and aligned memory, of whoever in
// this process calls them. A program that calls this has the counting functions in place of the C library's.
uint64_t gw_allocation_count(void);

// Nanoseconds of processor time of the calling thread.
int64_t gw_thread_nanoseconds(void);

#endif
