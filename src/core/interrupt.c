/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - SIGINT: wakes the loop that runs, and raises out of Lua code that never waits; see interrupt.h.
 * Touch:  with care. The handler does what lua.c's does: it sets a hook on the thread that runs, which raises at a safe
 *         place; and it wakes the poll through uv_async_send, which libuv allows in signal handlers. The first SIGINT
 *         leaves the running code a moment to come back to the loop, which cancels the main task; the second does not;
 *         the third finds the disposition of before and is the process's.
 */
#include "core/interrupt.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "core/disposition.h"
#include "core/task.h"

enum { INSTRUCTIONS = 1000 };
static const uint64_t GRACE_NS = 200000000; /* what code may take to come back to the loop by itself */

static _Atomic(eddy__interrupt *) active;

/* Raises in Lua code that has not come back to the loop.   [-0, +0, v] */
static void on_instructions(lua_State *L, lua_Debug *ar) {
  (void)ar;
  eddy__interrupt *i = atomic_load(&active);
  if (i == NULL || i->count == i->seen) { /* none, or the loop has acted on it */
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (i->count < 2) {
    if (i->first == 0) i->first = uv_hrtime();
    if (uv_hrtime() - i->first < GRACE_NS) return;
  }
  i->seen = i->count; /* if it is caught, that was all */
  i->first = 0;
  lua_pushnil(L);
  eddy__error_wrap(L, EDDY_E_INTERRUPTED);
  lua_error(L);
}

/* From the signal handler, so no handler of a script's is there. */
static void restore(const eddy__interrupt *i) {
#ifndef _WIN32
  sigaction(SIGINT, &i->before, NULL);
#else
  signal(SIGINT, i->before);
#endif
}

static void on_signal(int sig) {
  (void)sig;
  eddy__interrupt *i = atomic_load(&active);
  if (i == NULL) return;
  i->count++;
  if (i->count >= 2) restore(i);
#ifdef _WIN32
  else
    signal(SIGINT, on_signal);
#endif
  eddy__runtime *rt = i->loop->rt;
  lua_State *L = rt->current != NULL ? rt->leaf : rt->L;
  i->hooked = L;
  if (L != NULL) lua_sethook(L, on_instructions, LUA_MASKCOUNT, i->count < 2 ? INSTRUCTIONS : 1);
  if (i->loop->is_open && !i->loop->is_closing) uv_async_send(&i->loop->async);
}

void eddy__interrupt_open(eddy__interrupt *i, eddy__loop *loop) {
  memset(i, 0, sizeof *i);
  i->loop = loop;
  eddy__interrupt *outer = atomic_load(&active);
  if (outer != NULL && outer->loop->rt != loop->rt) return; /* another state's */
#ifndef _WIN32
  struct sigaction mine;
  memset(&mine, 0, sizeof mine);
  mine.sa_handler = on_signal;
  sigemptyset(&mine.sa_mask);
  if (eddy__disposition_exchange(SIGINT, NULL, &i->before) != 0) return;
  if (i->before.sa_handler == SIG_IGN) return;
  i->outer = outer;
  atomic_store(&active, i);
  if (eddy__disposition_exchange(SIGINT, &mine, NULL) != 0) {
    atomic_store(&active, outer);
    return;
  }
#else
  i->outer = outer;
  atomic_store(&active, i);
  i->before = signal(SIGINT, on_signal);
#endif
  i->taken = true;
}

void eddy__interrupt_close(eddy__interrupt *i) {
  if (!i->taken) return;
  i->taken = false;
#ifndef _WIN32
  eddy__disposition_exchange(SIGINT, &i->before, NULL);
#else
  restore(i);
#endif
  atomic_store(&active, i->outer);
}

/* [-0, +0, m] */
void eddy__interrupt_left(lua_State *L, const eddy__loop *loop, int idx) {
  eddy__interrupt *i = loop->interrupt;
  if (i != NULL && i->count > 0 && eddy__error_is(L, idx, EDDY_E_INTERRUPTED)) i->left = true;
}

bool eddy__interrupt_hurries(const eddy__loop *loop) {
  const eddy__interrupt *i = loop->interrupt;
  return loop->is_hurried || (i != NULL && i->count >= 2);
}

int eddy__interrupt_news(eddy__interrupt *i) {
  int news = i->count - i->seen;
  if (news == 0) return 0;
  i->seen = i->count;
  i->first = 0;
  return news;
}
