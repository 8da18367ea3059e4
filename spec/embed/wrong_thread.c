/* SPDX-License-Identifier: MIT */
/*
 * wrong_thread.c - each function of eddy.h, called from a thread other than the one that runs the loop.
 */
#include <pthread.h>

#include "check.h"

static lua_State *the_state;
static eddy_loop *the_loop;
static eddy_promise *kept, *broken;
static int posted, is_closing;

static void on_post(lua_State *L, void *data) {
  (void)data;
  CHECK(L != NULL || is_closing);
  posted++;
}

static int push_number(lua_State *L, void *data) {
  (void)data;
  CHECK(L != NULL || is_closing);
  if (L == NULL) return 0;
  lua_pushinteger(L, 42);
  return 1;
}

/* What may not be called here is refused, and touches nothing; the rest works. */
static void *call_all(void *unused) {
  (void)unused;
  lua_State *L = the_state;
  int top = lua_gettop(L); /* the other thread waits for us, so we may look */
  CHECK(eddy_open(L, NULL) == NULL);
  CHECK_INT(EDDY_MISUSE, eddy_spawn(the_loop, L, 0));
  CHECK_INT(EDDY_MISUSE, eddy_run(the_loop, L, 1));
  CHECK_INT(EDDY_MISUSE, eddy_pump(the_loop, L, 0));
  CHECK_INT(EDDY_MISUSE, eddy_status(L, 1));
  CHECK_INT(0, eddy_cancel(L, 1));
  CHECK_INT(-1, eddy_backend_fd(the_loop));
  CHECK_INT(-1, eddy_backend_timeout(the_loop));
  CHECK(eddy_error_text(L, 1) == NULL);
  CHECK(eddy_promise_new(L) == NULL);
  CHECK_INT(EDDY_MISUSE, eddy_close(the_loop, L));
  CHECK_INT(top, lua_gettop(L));

  CHECK_INT(EDDY_OK, eddy_post(the_loop, on_post, NULL));
  CHECK_INT(0, eddy_promise_cancelled(kept));
  CHECK_INT(EDDY_OK, eddy_promise_resolve(kept, push_number, NULL));
  CHECK_INT(EDDY_OK, eddy_promise_reject(broken, push_number, NULL));

  lua_State *own = new_state(); /* a state of its own is its own to use */
  eddy_loop *loop = open_loop(own, NULL);
  spawn(loop, own, "=own", "return require('eddy').sleep(0.001, 7)");
  CHECK_INT(EDDY_OK, eddy_run(loop, own, 1));
  CHECK_INT(7, lua_tointeger(own, -1));
  CHECK_INT(EDDY_OK, eddy_close(loop, own));
  lua_close(own);
  return NULL;
}

/* From Lua, inside the loop: the other thread calls everything while it is waited for. Returns the two futures. */
static int l_call_all(lua_State *L) {
  pthread_t thread;
  kept = eddy_promise_new(L);
  broken = eddy_promise_new(L);
  CHECK(kept != NULL && broken != NULL);
  CHECK_INT(0, pthread_create(&thread, NULL, call_all, NULL));
  pthread_join(thread, NULL);
  return 2;
}

static const char work[] =
  "local kept, broken = call_all()\n"
  "assert(kept:await() == 42)\n"
  "local ok, err = pcall(broken.await, broken)\n"
  "assert(not ok and err == 42)\n"
  "require('eddy').sleep(0.001)\n"
  "return 'all is well'\n";

static void while_it_runs(void) {
  lua_State *L = the_state = new_state();
  the_loop = open_loop(L, NULL);
  lua_register(L, "call_all", l_call_all);
  spawn(the_loop, L, "=work", work);
  int status = eddy_run(the_loop, L, 1);
  if (status != EDDY_OK) check_failed("work", 0, eddy_error_text(L, 1));
  CHECK_HAS("all is well", lua_tostring(L, -1));
  CHECK_INT(1, posted);
  CHECK_INT(EDDY_OK, eddy_close(the_loop, L));
  lua_close(L);
}

/* The same while it is pumped, and while it is being closed. */
static void while_it_is_pumped_and_closed(void) {
  lua_State *L = the_state = new_state();
  the_loop = open_loop(L, NULL);
  lua_register(L, "call_all", l_call_all);
  posted = 0;
  spawn(the_loop, L, "=pumped", work);
  while (eddy_status(L, 1) == EDDY_PENDING) eddy_pump(the_loop, L, 0.001);
  CHECK_INT(EDDY_OK, eddy_status(L, 1));
  spawn(the_loop, L, "=closed",
        "local eddy = require 'eddy'\n"
        "local _ <close> = setmetatable({}, { __close = function() call_all() end })\n"
        "eddy.sleep(1000)\n");
  CHECK_INT(EDDY_PENDING, eddy_pump(the_loop, L, 0));
  is_closing = 1;
  CHECK_INT(EDDY_OK, eddy_close(the_loop, L));
  CHECK_INT(2, posted); /* once more, by the end of the loop at the latest */
  lua_close(L);
}

int main(void) {
  while_it_runs();
  while_it_is_pumped_and_closed();
  return 0;
}
