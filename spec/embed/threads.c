/* SPDX-License-Identifier: MIT */
/*
 * threads.c - many states, each with a loop of its own, on as many threads of one process.
 */
#include <pthread.h>

#include "check.h"

#define THREADS 4
#define ROUNDS 20 /* states that each of them opens and closes */

static const char work[] =
  "local eddy = require 'eddy'\n"
  "local n = ...\n"
  "local tasks = {}\n"
  "for i = 1, 50 do\n"
  "  tasks[i] = eddy.create_task(function() eddy.sleep(i % 3 / 1000); return i * n end)\n"
  "end\n"
  "local sum = 0\n"
  "for _, product in ipairs(eddy.gather(tasks)) do sum = sum + product end\n"
  "local ok, err = pcall(eddy.await, eddy.create_task(error, eddy.TimeoutError('late')))\n"
  "assert(not ok and eddy.is_error(err, eddy.TimeoutError))\n"
  "return sum\n";

/* The life of a thread: a state and a loop for each round. */
static void *live(void *number) {
  int n = *(int *)number;
  for (int round = 0; round < ROUNDS; round++) {
    lua_State *L = new_state();
    eddy_loop *loop = open_loop(L, NULL);
    CHECK_INT(LUA_OK, luaL_loadstring(L, work));
    lua_pushinteger(L, n);
    CHECK_INT(EDDY_OK, eddy_spawn(loop, L, 1));
    int status = eddy_run(loop, L, 1);
    if (status != EDDY_OK) check_failed("work", round, eddy_error_text(L, 1));
    CHECK_INT(1275 * n, lua_tointeger(L, -1));
    CHECK_INT(EDDY_OK, eddy_close(loop, L));
    lua_close(L);
  }
  return NULL;
}

/* A state may move to another thread, as long as one at a time uses it. */
struct guest {
  lua_State *L;
  eddy_loop *loop;
};

static void *finish(void *argument) {
  struct guest *guest = (struct guest *)argument;
  CHECK_INT(EDDY_OK, eddy_run(guest->loop, guest->L, 1));
  return NULL;
}

static void move_between_threads(void) {
  struct guest guest = {.L = new_state()};
  guest.loop = open_loop(guest.L, NULL);
  spawn(guest.loop, guest.L, "=mover", "require('eddy').sleep(0.005); return 'moved'");
  CHECK_INT(EDDY_PENDING, eddy_pump(guest.loop, guest.L, 0));
  pthread_t thread;
  CHECK_INT(0, pthread_create(&thread, NULL, finish, &guest));
  pthread_join(thread, NULL);
  CHECK_HAS("moved", lua_tostring(guest.L, -1));
  CHECK_INT(EDDY_OK, eddy_close(guest.loop, guest.L));
  lua_close(guest.L);
}

int main(void) {
  pthread_t threads[THREADS];
  int numbers[THREADS];
  for (int i = 0; i < THREADS; i++) {
    numbers[i] = i + 1;
    CHECK_INT(0, pthread_create(&threads[i], NULL, live, &numbers[i]));
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  move_between_threads();
  return 0;
}
