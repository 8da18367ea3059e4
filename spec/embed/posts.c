/* SPDX-License-Identifier: MIT */
/*
 * posts.c - what other threads send: eddy_post, each seen once and in order; promises kept, broken and given up.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define THREADS 4

static int posts_each = 20000; /* EDDY_DEEP_POSTS: more */
static eddy_loop *shared_loop;
static int next_of[THREADS], seen, dropped;

typedef struct post {
  int thread, number;
} post;

static void on_post(lua_State *L, void *data) {
  post *p = data;
  if (L == NULL) {
    dropped++;
  } else {
    CHECK_INT(next_of[p->thread], p->number);
    next_of[p->thread]++;
    seen++;
  }
  free(p);
}

static void *send_posts(void *number) {
  for (int i = 0; i < posts_each; i++) {
    post *p = malloc(sizeof *p);
    p->thread = *(int *)number;
    p->number = i;
    CHECK_INT(EDDY_OK, eddy_post(shared_loop, on_post, p));
  }
  return NULL;
}

static void posts_arrive_in_order(void) {
  lua_State *L = new_state();
  pthread_t threads[THREADS];
  int numbers[THREADS];
  shared_loop = open_loop(L, NULL);
  for (int i = 0; i < THREADS; i++) {
    numbers[i] = i;
    CHECK_INT(0, pthread_create(&threads[i], NULL, send_posts, &numbers[i]));
  }
  while (seen < THREADS * posts_each) {
    spawn(shared_loop, L, "=wait", "require('eddy').sleep(0.001)");
    CHECK_INT(EDDY_OK, eddy_run(shared_loop, L, -1));
    lua_settop(L, 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  post *late = malloc(sizeof *late); /* is dropped with the loop */
  late->thread = late->number = 0;
  CHECK_INT(EDDY_OK, eddy_post(shared_loop, on_post, late));
  CHECK_INT(EDDY_OK, eddy_close(shared_loop, L));
  CHECK_INT(1, dropped);
  lua_close(L);
}

static void raise_error(lua_State *L, void *data) {
  (void)data;
  luaL_error(L, "posted error");
}

static void errors_are_reported(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=errors",
        "local eddy = require 'eddy'\n"
        "local text\n"
        "eddy.get_running_loop():set_exception_handler(function(_, c) text = c.exception end)\n"
        "while not text do eddy.sleep(0.001) end\n"
        "return text");
  CHECK_INT(EDDY_OK, eddy_post(loop, raise_error, NULL));
  CHECK_INT(EDDY_OK, eddy_run(loop, L, 1));
  CHECK_HAS("posted error", lua_tostring(L, -1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* --- promises ----------------------------------------------------------------------------------------------------- */

static eddy_promise *given;
static atomic_int unwanted;

static int l_give(lua_State *L) {
  given = eddy_promise_new(L);
  return given != NULL ? 1 : lua_error(L);
}

static int push_two(lua_State *L, void *data) {
  if (L == NULL) {
    unwanted++;
    return 0;
  }
  lua_pushinteger(L, *(int *)data);
  lua_pushliteral(L, "two");
  return 2;
}

static int push_error(lua_State *L, void *data) {
  (void)data;
  lua_pushliteral(L, "rejected");
  return 1;
}

static int push_raising(lua_State *L, void *data) {
  (void)data;
  return luaL_error(L, "raised by push");
}

static int answer = 42;
static void *resolve(void *p) {
  eddy_promise_resolve(p, push_two, &answer);
  return NULL;
}
static void *reject(void *p) {
  eddy_promise_reject(p, push_error, NULL);
  return NULL;
}
static void *raise_error_later(void *p) {
  eddy_promise_resolve(p, push_raising, NULL);
  return NULL;
}
static void *forget(void *p) {
  eddy_promise_resolve(p, NULL, NULL);
  return NULL;
}

static int l_keep(lua_State *L) {
  static void *(*const ways[])(void *) = {resolve, reject, raise_error_later, forget};
  pthread_t thread;
  CHECK_INT(0, pthread_create(&thread, NULL, ways[lua_tointeger(L, 1)], given));
  pthread_detach(thread);
  return 0;
}

static int l_cancelled(lua_State *L) {
  lua_pushboolean(L, eddy_promise_cancelled(given));
  return 1;
}

static int l_resolve_here(lua_State *L) {
  (void)L;
  eddy_promise_resolve(given, push_two, &answer);
  return 0;
}

static const char promises[] =
  "local eddy = require 'eddy'\n"
  "local f = give()\n"
  "keep(0)\n"
  "local a, b = f:await()\n"
  "assert(a == 42 and b == 'two')\n"
  "for way, text in ipairs { 'rejected', 'raised by push', 'not kept' } do\n"
  "  f = give()\n"
  "  keep(way)\n"
  "  local ok, err = pcall(f.await, f)\n"
  "  assert(not ok and tostring(err):find(text, 1, true), tostring(err))\n"
  "end\n"
  "f = give()\n"
  "assert(not cancelled())\n"
  "f:cancel()\n"
  "assert(cancelled())\n"
  "resolve_here()\n"
  "eddy.sleep(0.001)\n"
  "assert(f:cancelled())\n";

static void promises_are_kept(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  lua_register(L, "give", l_give);
  lua_register(L, "keep", l_keep);
  lua_register(L, "cancelled", l_cancelled);
  lua_register(L, "resolve_here", l_resolve_here);
  CHECK(eddy_promise_new(L) == NULL); /* no loop runs */
  lua_settop(L, 0);
  spawn(loop, L, "=promises", promises);
  int status = eddy_run(loop, L, 1);
  if (status != EDDY_OK) check_failed("promises", 0, eddy_error_text(L, 1));
  CHECK_INT(1, unwanted);
  lua_settop(L, 0);
  spawn(loop, L, "=open", "give()"); /* its promise outlives the loop */
  CHECK_INT(EDDY_OK, eddy_run(loop, L, 1));
  lua_settop(L, 0);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  CHECK_INT(EDDY_MISUSE, eddy_promise_resolve(given, push_two, &answer));
  CHECK_INT(2, unwanted);
  lua_close(L);
}

/* --- the end, while some of it waits for its turn ---------------------------------------------------------------- */

enum { WAITING = 5 };

static int l_post(lua_State *L) {
  (void)L;
  for (int i = 0; i < WAITING; i++) {
    post *p = malloc(sizeof *p);
    p->thread = 0;
    p->number = i;
    CHECK_INT(EDDY_OK, eddy_post(shared_loop, on_post, p));
  }
  given = eddy_promise_new(L);
  CHECK(given != NULL);
  CHECK_INT(EDDY_OK, eddy_promise_resolve(given, push_two, &answer));
  return 1;
}

static void check_dropped(void) {
  if (seen == 0 && dropped == WAITING && unwanted == 1) return;
  fprintf(stderr, "seen %d, dropped %d of %d, promises %d of 1\n", seen, dropped, WAITING, (int)unwanted);
  _exit(9);
}

/* The process ends inside a task, as a script may end it, with all that was posted in this turn behind it. */
static void exit_with_posts(const char *code) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    lua_State *L = new_state();
    seen = dropped = 0;
    atomic_store(&unwanted, 0);
    atexit(check_dropped);
    shared_loop = open_loop(L, NULL);
    lua_register(L, "post", l_post);
    spawn(shared_loop, L, "=exit", code);
    eddy_run(shared_loop, L, 1);
    _exit(8);
  }
  int status = 0;
  CHECK_INT(child, waitpid(child, &status, 0));
  CHECK_INT(0, status);
}

static void posts_are_dropped_at_the_end(void) {
  exit_with_posts("post() os.exit(true, true)"); /* in the mail */
  exit_with_posts("local eddy = require 'eddy'\n" /* in the queue: the task that ends the process is before them */
                  "post()\n"
                  "eddy.create_task(function() os.exit(true, true) end)\n"
                  "eddy.ThreadPool():close()\n");
}

int main(void) {
  if (getenv("EDDY_DEEP_POSTS") != NULL) posts_each = atoi(getenv("EDDY_DEEP_POSTS"));
  posts_arrive_in_order();
  errors_are_reported();
  promises_are_kept();
  posts_are_dropped_at_the_end();
  return 0;
}
