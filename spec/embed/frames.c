/* SPDX-License-Identifier: MIT */
/*
 * frames.c - a host with a loop of its own, a game for instance: it pumps in each frame.
 */
#include <time.h>

#ifndef _WIN32
#include <poll.h>
#endif

#include "check.h"

static double seconds_now(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char three_naps[] =
  "local eddy = require 'eddy'\n"
  "local start = eddy.get_running_loop():time()\n"
  "for i = 1, 3 do eddy.sleep(nap); naps = i end\n"
  "return eddy.get_running_loop():time() - start\n";

/* The first result of the ended Task at the top. */
static double result_of(eddy_loop *loop, lua_State *L) {
  CHECK_INT(EDDY_OK, eddy_run(loop, L, lua_gettop(L)));
  double result = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return result;
}

/* Time jumps: three hours take a few frames. */
static void virtual_clock(void) {
  lua_State *L = new_state();
  eddy_options options = {.size = sizeof options, .virtual_clock = 1};
  eddy_loop *loop = open_loop(L, &options);
  lua_pushnumber(L, 3600);
  lua_setglobal(L, "nap");
  spawn(loop, L, "=naps", three_naps);
  int frames = 0;
  while (eddy_status(L, -1) == EDDY_PENDING) {
    int left = eddy_pump(loop, L, 0.005);
    CHECK(left == EDDY_PENDING || (left == EDDY_OK && eddy_status(L, -1) == EDDY_OK));
    CHECK(++frames < 100);
  }
  CHECK_INT(1, lua_gettop(L));
  CHECK_INT(EDDY_OK, eddy_pump(loop, L, 0));
  CHECK(result_of(loop, L) == 3 * 3600.0);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* Pumps until the Task at the top has ended, in so many frames at most; sleeps between two of them. */
static void pump_and_sleep(eddy_loop *loop, lua_State *L, int most) {
  while (eddy_status(L, -1) == EDDY_PENDING) {
    eddy_pump(loop, L, 0.005);
#ifndef _WIN32
    struct pollfd wake = {.fd = eddy_backend_fd(loop), .events = POLLIN};
    int timeout = eddy_backend_timeout(loop);
    if (eddy_status(L, -1) != EDDY_PENDING) break;
    CHECK(poll(&wake, 1, timeout >= 0 ? timeout : 10000) == 1 || timeout >= 0);
    CHECK(--most > 0);
#endif
  }
  (void)most;
}

/* While a thread works, time stands still, and the host sleeps; before it jumps, sockets are asked. */
static void virtual_clock_waits(void) {
  lua_State *L = new_state();
  eddy_options options = {.size = sizeof options, .virtual_clock = 1};
  eddy_loop *loop = open_loop(L, &options);
  spawn(loop, L, "=waits",
        "local eddy = require 'eddy'\n"
        "local loop = eddy.get_running_loop()\n"
        "eddy.wait_for(function() return eddy.to_thread(os.execute, 'sleep 0.1') end, 1)\n"
        "assert(loop:time() == 0)\n"
        "local reader, writer = eddy.pipe()\n"
        "local task = eddy.create_task(reader.read_exactly, reader, 1)\n"
        "eddy.sleep(0)\n"
        "writer:write 'x'\n"
        "assert(eddy.wait_for(task, 1) == 'x')\n"
        "reader:close() writer:close()\n"
        "local begun = eddy.Channel(1)\n"
        "local call = eddy.create_task(eddy.to_thread, function(ch)\n"
        "  ch:send(1)\n"
        "  os.execute 'exec sleep 3 >/dev/null 2>&1 </dev/null'\n"
        "end, begun)\n"
        "begun:recv()\n"
        "local before = os.time()\n"
        "call:cancel()\n"
        "pcall(eddy.await, call)\n"
        "assert(os.time() - before < 3)\n"
        "return 1\n");
  pump_and_sleep(loop, L, 60);
  CHECK(result_of(loop, L) == 1);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* A thread that was at work when a run ended wakes the host, too. */
static void threads_wake_after_run(void) {
#ifndef _WIN32
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=call", "return (require('eddy').to_thread(os.execute, 'sleep 0.2'))");
  spawn(loop, L, "=nap", "require('eddy').sleep(0.02)");
  CHECK_INT(EDDY_OK, eddy_run(loop, L, 2));
  lua_settop(L, 1);
  struct pollfd wake = {.fd = eddy_backend_fd(loop), .events = POLLIN};
  CHECK_INT(1, poll(&wake, 1, 5000));
  CHECK_INT(EDDY_OK, eddy_run(loop, L, 1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
#endif
}

/* Nothing but a thread is at work: its result wakes the host. */
static void threads_wake(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=calls", "for i = 1, 3 do require('eddy').to_thread(os.execute, 'sleep 0.05') end return 1");
  pump_and_sleep(loop, L, 20);
  CHECK(result_of(loop, L) == 1);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

static void on_post(lua_State *L, void *data) { (void)L, *(int *)data = 1; }

/* So does a post, before the first frame, too. */
static void posts_wake(void) {
#ifndef _WIN32
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  for (int i = 0; i < 3; i++) {
    int told = 0;
    struct pollfd wake = {.fd = eddy_backend_fd(loop), .events = POLLIN};
    CHECK_INT(0, poll(&wake, 1, 0));
    eddy_post(loop, on_post, &told);
    CHECK_INT(1, poll(&wake, 1, 10000));
    eddy_pump(loop, L, 0);
    CHECK_INT(1, told);
  }
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
#endif
}

/* Time passes. The host sleeps until the loop wants to be pumped: no frame is drawn in vain, or hardly one. */
static void real_clock(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  lua_pushnumber(L, 0.01);
  lua_setglobal(L, "nap");
  spawn(loop, L, "=naps", three_naps);
  CHECK_INT(0, eddy_backend_timeout(loop)); /* there is a task to start */
  int frames = 0;
  while (eddy_status(L, -1) == EDDY_PENDING) {
    eddy_pump(loop, L, 0.005);
#ifndef _WIN32
    struct pollfd wake = {.fd = eddy_backend_fd(loop), .events = POLLIN};
    CHECK(wake.fd >= 0);
    if (eddy_status(L, -1) == EDDY_PENDING) {
      int timeout = eddy_backend_timeout(loop);
      CHECK(timeout >= 0 && timeout <= 11);
      poll(&wake, 1, timeout);
    }
    CHECK(++frames < 50);
#endif
  }
  (void)frames;
  CHECK(result_of(loop, L) >= 0.03);
  CHECK_INT(EDDY_OK, eddy_pump(loop, L, 0));
  CHECK_INT(-1, eddy_backend_timeout(loop)); /* nothing to do, for ever */
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* Tasks that are always ready cannot hold a frame up for longer than its budget. */
static void budget(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=spin", "turns = 0 while true do turns = turns + 1 require('eddy').sleep(0) end");
  double start = seconds_now();
  for (int frame = 0; frame < 10; frame++) {
    CHECK_INT(EDDY_PENDING, eddy_pump(loop, L, 0.002));
    CHECK_INT(0, eddy_backend_timeout(loop));
  }
  CHECK(seconds_now() - start < 5); /* 0.02 s on a machine that does nothing else */
  lua_getglobal(L, "turns");
  CHECK(lua_tointeger(L, -1) >= 10);
  lua_Integer turns = lua_tointeger(L, -1);
  CHECK_INT(EDDY_PENDING, eddy_pump(loop, L, 0)); /* without a budget: one turn */
  lua_getglobal(L, "turns");
  CHECK(lua_tointeger(L, -1) >= turns);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* A task that fails stays pending to nobody: the pump tells the host's loop to go on, the status tells the rest. */
static void failing_task(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=boom", "error('boom', 0)");
  while (eddy_pump(loop, L, 0.01) == EDDY_PENDING) {}
  CHECK_INT(EDDY_FAILED, eddy_status(L, 1));
  CHECK_INT(EDDY_FAILED, eddy_run(loop, L, 1));
  CHECK_HAS("boom", lua_tostring(L, -1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

int main(void) {
  virtual_clock();
  virtual_clock_waits();
  threads_wake_after_run();
  threads_wake();
  posts_wake();
  real_clock();
  budget();
  failing_task();
  return 0;
}
