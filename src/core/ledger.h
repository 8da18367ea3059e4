/* SPDX-License-Identifier: MIT */
/*
 * ledger.h - what one Lua state holds at this moment, to be compared before and after.
 * Owns:   nothing: it adds up what others count anyway, so it costs nothing until somebody asks.
 * Uses:   loop.h.      Used by: eddy.c, eddy.testing, the torture driver.
 * Touch:  freely. When all loops are closed, and garbage was collected, every number but `kept` is 0.
 */
#ifndef EDDY_CORE_LEDGER_H
#define EDDY_CORE_LEDGER_H

#include "core/loop.h"

typedef struct eddy__ledger {
  size_t loops;       /* that are open */
  size_t tasks;       /* that have not ended */
  size_t ready;       /* in the ready queues */
  size_t timers;
  size_t generators;  /* begun and not ended */
  size_t handles;     /* sockets, servers, files */
  size_t requests;    /* operations under way */
  size_t anchors;     /* Lua values that loops keep: callbacks and the like */
  size_t slots;       /* of the registry: live tasks, their coroutines, timeouts, failed tasks that a group has */
  size_t kept;        /* slots of tasks that were closed or abandoned while they waited, and stay */
  size_t unretrieved; /* failed futures whose error nobody has looked at */
} eddy__ledger;

eddy__ledger eddy__ledger_of(const eddy__runtime *rt);

void eddy__ledger_room(lua_State *L, eddy__runtime *rt);

#endif
