/* SPDX-License-Identifier: MIT */
/*
 * call_graph.h - who awaits whom, and where: eddy.capture_call_graph, format_call_graph, print_call_graph.
 * Owns:   nothing.
 * Uses:   future.h, task.h, group.h, stack.h.      Used by: eddy.c.
 * Touch:  freely. Nothing is recorded for it while a program runs: it looks at who is linked into what.
 */
#ifndef EDDY_CORE_CALL_GRAPH_H
#define EDDY_CORE_CALL_GRAPH_H

#include "core/task.h"

void eddy__call_graph_room(lua_State *L, eddy__runtime *rt);

#endif
