// The socket calls that Swift cannot express: control messages, batches, options whose names are macros.
#ifndef GODWIT_CSOCKETS_H
#define GODWIT_CSOCKETS_H

#include <sys/types.h>

#endif
