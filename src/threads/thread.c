/* SPDX-License-Identifier: MIT */
/*
 * thread.c - eddy.thread: a thread for one call; and pools that belong to a loop and end with it.
 * Uses:   pool.h, call.h.      Used by: threads.c.
 * Touch:  freely.
 */
#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "threads/executor.h"

static const uint64_t LEAST_NS = 2000000; /* with each pool of a loop that ends, when that with all is used up */

/* --- pools of a loop ---------------------------------------------------------------------------------------------- */

static void on_loop_end(eddy__keeper *keeper);

void eddy__pool_disown(eddy__pool *pool) {
  eddy__list_remove(&pool->keeper.link);
  pool->on_end = NULL;
  eddy__pool_release(pool);
}

/* The loop is closed. All are told before the first is waited for. */
static void on_loop_end(eddy__keeper *keeper) {
  eddy__pool *pool = eddy__container_of(keeper, eddy__pool, keeper);
  eddy__loop *loop = keeper->loop;
  uint64_t now = uv_hrtime();
  if (loop->patience == 0) {
    loop->patience = now + eddy__pool_patience(loop->rt);
    for (eddy__list *l = loop->handles.next; l != &loop->handles; l = l->next) {
      eddy__keeper *other = eddy__container_of(l, eddy__keeper, link);
      if (other->close == on_loop_end) eddy__pool_close(eddy__container_of(other, eddy__pool, keeper), true);
    }
  }
  eddy__pool_end(pool, loop->rt, loop, loop->patience > now + LEAST_NS ? loop->patience - now : LEAST_NS);
  eddy__pool_disown(pool);
}

void eddy__pool_own(eddy__pool *pool, eddy__loop *loop) {
  eddy__pool_retain(pool);
  pool->keeper.close = on_loop_end;
  pool->keeper.loop = loop;
  eddy__list_push(&loop->handles, &pool->keeper.link);
}

/* --- eddy.thread -------------------------------------------------------------------------------------------------- */

static const eddy__wait wait_thread = {"thread", eddy__call_cancel, true};

/* Its call is over, and so is the thread. */
static void on_end(eddy__pool *pool) {
  (void)eddy__pool_alive(pool); /* joins it */
  eddy__pool_disown(pool);
}

/* eddy.thread(f, ...) -> Task: the call f(...) in a thread of its own   [-0, +1, v] */
static int l_thread(lua_State *L) {
  eddy__check_function(L, 1);
  eddy__loop *loop = eddy__loop_running(L, "thread");
  eddy__call *call = eddy__call_new(L, loop, 1, &wait_thread);
  eddy__pool *pool = eddy__pool_new(eddy__setup_new(L), 1, 0);
  if (pool == NULL) return luaL_error(L, "not enough memory");
  int rc = eddy__pool_grow(pool, NULL);
  if (rc < 0) {
    eddy__pool_release(pool);
    return eddy__raise(L, rc, "start a thread");
  }
  eddy__pool_own(pool, loop);
  (void)eddy__pool_notify(pool, call->home);
  pool->on_end = on_end;
  const char *problem = eddy__pool_submit(pool, call, false, false);
  eddy__pool_close(pool, false); /* when the call is over */
  eddy__pool_release(pool);      /* the loop has it now */
  if (problem != NULL) return eddy__error_throw(L, EDDY_E_BROKEN_WORKER, "'thread': %s", problem);
  eddy__call_task(L, loop);
  return 1;
}

/* [-0, +0, m] */
void eddy__thread_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"thread", l_thread}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
