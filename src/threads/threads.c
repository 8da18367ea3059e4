/* SPDX-License-Identifier: MIT */
/*
 * threads.c - opens all rooms of threads/; see threads.h.
 * Touch:  freely.
 */
#include "threads/threads.h"

#include "threads/buffer.h"
#include "threads/call.h"
#include "threads/executor.h"

/* [-0, +0, m] */
void eddy__threads_room(lua_State *L, eddy__runtime *rt) {
  eddy__buffer_room(L, rt);
  eddy__call_room(L, rt);
  eddy__executor_room(L, rt);
  eddy__thread_room(L, rt);
  eddy__channel_room(L, rt);
  eddy__wire_room(L, rt);
}
