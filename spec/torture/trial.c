/* SPDX-License-Identifier: MIT */
/*
 * trial.c - a scenario, one fault, and what must hold afterwards; see trial.h.
 *
 * The scenario ends well or with an error that the fault explains. Then it is run again, without a fault, and must end
 * well. Then the ledger is empty, the state can be closed, and nothing is left: no byte of Lua's, no block of eddy's or
 * libuv's, no descriptor.
 */
#include "trial.h"

#include <lauxlib.h>
#include <lualib.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "calls.h"
#include "core/cancel.h"
#include "core/ledger.h"
#include "core/runtime.h"
#include "eddy.h"
#include "fault.h"
#include "moments.h"

enum { KEPT_MORE = 16384 }; /* bytes that a fault may leave in caches, of coroutines for instance */
enum { MANY_TURNS = 300, FEW_TURNS = 20, A_WHILE = 5 }; /* ms */
enum { SCENARIO = 1, RUN, MAIN }; /* places on the state's stack: the scenario, stage.run, stage.main */

static lua_State *state;
static const trial *now;
static verdict *result;
static size_t usual_kept;
static const char *folder_of_files;
static int fds_before;
static bool may_take;      /* the scenario has said that main may take a cancellation */
static char may_report[60]; /* a text in errors that it does not wait for */
static bool may_deadlock;  /* or that it ends in a deadlock */
static long memory_errors; /* of the fault's, that a task has ended with, or reported: they explain what others miss */
static bool gc_failed;     /* Lua could not run a finalizer: what it would have counted stays counted */

/* --- what is wrong ------------------------------------------------------------------------------------ */

static void found(const char *format, ...) {
  size_t used = strlen(result->finding);
  if (used + 8 > sizeof result->finding) return;
  if (used > 0) used += (size_t)snprintf(result->finding + used, sizeof result->finding - used, "; ");
  va_list args;
  va_start(args, format);
  vsnprintf(result->finding + used, sizeof result->finding - used, format, args);
  va_end(args);
}

static bool says(const char *text, const char *part) { return text != NULL && strstr(text, part) != NULL; }

/* Whether anything on stderr was about memory: what could not be reported otherwise. */
static bool stderr_says_memory(void) {
  char text[4096];
  ssize_t n = pread(2, text, sizeof text - 1, 0);
  if (n <= 0) return false;
  text[n] = 0;
  return says(text, "not enough memory");
}

/* "stack overflow" is what luaL_checkstack says when the stack cannot grow for lack of memory. */
static bool is_about_memory(const char *text) {
  return says(text, "not enough memory") || says(text, "error in error handling") || says(text, "stack overflow");
}

static bool explained(lua_State *L, int idx, bool boom);

/* Whether every error of the group is explained, and one of them by the fault.   [-0, +0, m] */
static bool group_explained(lua_State *L, int idx, bool boom) {
  lua_getfield(L, idx, "errors");
  bool good = lua_istable(L, -1), any = boom;
  for (lua_Integer i = 1; good && i <= luaL_len(L, -1); i++) {
    lua_rawgeti(L, -1, i);
    any = any || explained(L, lua_gettop(L), false);
    good = explained(L, lua_gettop(L), true);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return good && any;
}

/* Whether the scenario has provoked it itself.   [-0, +0, m] */
static bool expected(lua_State *L, int idx) {
  const char *text = eddy__error_text(L, idx);
  bool is = says(text, "boom") || (may_report[0] != 0 && says(text, may_report));
  lua_pop(L, 1);
  return is;
}

/* The name of the errno (or of getaddrinfo's code) that a call has failed with. */
static const char *calls_code(void) {
  switch (calls_error()) {
  case EAI_MEMORY: return "EAI_MEMORY";
  case EAI_FAIL: return "EAI_FAIL";
  default: return uv_err_name(-calls_error());
  }
}

/* What one side of a connection hears when the other has gone.   [-0, +0, m] */
static bool is_about_connection(lua_State *L, int idx) {
  if (eddy__error_is(L, idx, EDDY_E_INCOMPLETE_READ)) return true;
  const char *text = eddy__error_text(L, idx);
  bool is = says(text, "ECONNRESET") || says(text, "EPIPE");
  lua_pop(L, 1);
  return is;
}

/* The same for a call of the system that has failed: with its errno, or what others see of it.   [-0, +0, m] */
static bool explained_by_call(lua_State *L, int idx, bool boom) {
  if (boom && expected(L, idx)) return true;
  if (calls_error() == 0 || calls_are_harmless()) return false;
  if (eddy__error_is(L, idx, EDDY_E_GROUP)) return group_explained(L, idx, boom);
  if (eddy__error_is(L, idx, EDDY_E_DEADLOCK) || eddy__error_is(L, idx, EDDY_E_CANCELLED)) return memory_errors > 0;
  if (memory_errors > 0 && is_about_connection(L, idx)) return true;
  const char *text = eddy__error_text(L, idx);
  bool good = says(text, calls_code()) || says(text, "the other side");
  lua_pop(L, 1);
  return good;
}

/* Whether the fault explains the error at idx; `boom`: or the scenario, whose own errors say so.   [-0, +0, m] */
static bool explained(lua_State *L, int idx, bool boom) {
  if (now->kind == K_SYSCALL) return explained_by_call(L, idx, boom);
  bool starves = now->kind == K_LUA || now->kind == K_MALLOC || now->kind == K_GC; /* luaL_Buffer does not ask twice */
  if (lua_type(L, idx) == LUA_TSTRING) {
    const char *text = lua_tostring(L, idx);
    if (boom && expected(L, idx)) return true;
    return starves && is_about_memory(text);
  }
  if (eddy__error_is(L, idx, EDDY_E_GROUP)) return group_explained(L, idx, boom);
  if (boom && expected(L, idx)) return true;
  if (eddy__error_is(L, idx, EDDY_E_CANCELLED))
    return moments.asked > 0 || now->kind == K_CLOSE;
  if (!starves) return false;
  if (eddy__error_is(L, idx, EDDY_E_DEADLOCK)) return memory_errors > 0 || stderr_says_memory();
  if (!eddy__error_is(L, idx, EDDY_E_ERROR)) return false;
  if (memory_errors > 0 && is_about_connection(L, idx)) return true;
  const char *text = luaL_tolstring(L, idx, NULL);
  bool good = says(text, "not enough memory") || says(text, "out of memory") || says(text, "ENOMEM");
  lua_pop(L, 1);
  return good;
}

/* --- what scenarios and the stage call ---------------------------------------------------------------- */

/* torture.check(good, text): what must hold, whatever goes wrong   [-0, +0, -] */
static int l_check(lua_State *L) {
  if (!lua_toboolean(L, 1)) found("%s", lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "a check has failed");
  return 0;
}

/* torture.began(task): it is the main task   [-0, +0, -] */
static int l_began(lua_State *L) {
  moments.main = lua_touserdata(L, 1);
  return 0;
}

/* torture.may_take(): main may end well although it was cancelled   [-0, +0, -] */
static int l_may_take(lua_State *L) {
  (void)L;
  may_take = true;
  return 0;
}

/* torture.may_report(text): errors with that text are no surprise   [-0, +0, v] */
static int l_may_report(lua_State *L) {
  snprintf(may_report, sizeof may_report, "%s", luaL_checkstring(L, 1));
  return 0;
}

/* torture.may_deadlock()   [-0, +0, -] */
static int l_may_deadlock(lua_State *L) {
  (void)L;
  may_deadlock = true;
  return 0;
}

/* The exception handler   [-0, +0, m] */
static int l_on_report(lua_State *L) {
  lua_getfield(L, 2, "exception");
  int idx = lua_gettop(L);
  bool was_armed = fault.armed;
  fault.armed = false; /* the verdict is ours */
  if (!explained(L, idx, true))
    found("reported: %s", luaL_tolstring(L, idx, NULL));
  else if (!eddy__error_is(L, idx, EDDY_E_CANCELLED) && !expected(L, idx))
    memory_errors++;
  fault.armed = was_armed;
  return 0;
}

void __real_eddy__future_fail(lua_State *L, eddy__future *f, int idx);
void __wrap_eddy__future_fail(lua_State *L, eddy__future *f, int idx);

/* Something ends with an error: perhaps nobody will ever hear of it, but what others miss is explained.  [-1, +0, m] */
void __wrap_eddy__future_fail(lua_State *L, eddy__future *f, int idx) {
  if (now->kind == K_SYSCALL && fault.armed)
    memory_errors += explained_by_call(L, lua_gettop(L), false);
  else if (lua_type(L, -1) == LUA_TSTRING && is_about_memory(lua_tostring(L, -1)))
    memory_errors++;
  __real_eddy__future_fail(L, f, idx);
}

void __real_eddy__future_settle(eddy__future *f, uint8_t how);
void __wrap_eddy__future_settle(eddy__future *f, uint8_t how);

/* From outside of future.c a future fails so only when there is no memory to do it properly. */
void __wrap_eddy__future_settle(eddy__future *f, uint8_t how) {
  if (how == EDDY_F_FAILED) memory_errors++;
  __real_eddy__future_settle(f, how);
}

/* torture.folder(): where the scenario's files go   [-0, +1, m] */
static int l_folder(lua_State *L) {
  result->has_files = true;
  lua_pushstring(L, folder_of_files);
  return 1;
}

/* torture.is_harmless(): whether the fault is one that eddy makes up for   [-0, +1, -] */
static int l_is_harmless(lua_State *L) {
  lua_pushboolean(L, now->kind == K_SYSCALL && calls_are_harmless());
  return 1;
}

/* torture.explains(err)   [-0, +1, m] */
static int l_explains(lua_State *L) {
  bool was_armed = fault.armed;
  fault.armed = false;
  lua_pushboolean(L, explained(L, 1, true));
  fault.armed = was_armed;
  return 1;
}

/* torture.starved(): whether memory has failed somebody   [-0, +1, -] */
static int l_starved(lua_State *L) {
  bool by_call = now->kind == K_SYSCALL && calls_error() != 0 && !calls_are_harmless();
  lua_pushboolean(L, by_call || memory_errors > 0 || stderr_says_memory());
  return 1;
}

/* Lua's warnings: about things left open.   [-0, +0, -] */
static void on_warning(void *ud, const char *text, int to_be_continued) {
  (void)ud, (void)to_be_continued;
  if (says(text, "not enough memory")) memory_errors++;
  if (says(text, "__gc")) gc_failed = true;
  fputs(text, stderr);
}

static const luaL_Reg functions[] = {{"check", l_check},
                                     {"began", l_began},
                                     {"may_take", l_may_take},
                                     {"may_deadlock", l_may_deadlock},
                                     {"may_report", l_may_report},
                                     {"on_report", l_on_report},
                                     {"starved", l_starved},
                                     {"explains", l_explains},
                                     {"folder", l_folder},
                                     {"is_harmless", l_is_harmless},
                                     {NULL, NULL}};

/* --- before the fork ---------------------------------------------------------------------------------- */

/* 1: the folder, 2: the scenario's name; leaves scenario, run and main.   [-2, +3, v] */
static int load_protected(lua_State *L) {
  const char *folder = lua_tostring(L, 1);
  luaL_openlibs(L);
  luaL_requiref(L, "eddy", luaopen_eddy, 1);
  lua_getglobal(L, "package");
  lua_pushfstring(L, "%s/../../lua/?.lua", folder);
  lua_setfield(L, -2, "path");
  lua_settop(L, 2);
  if (luaL_loadfile(L, lua_pushfstring(L, "%s/stage.lua", folder)) != LUA_OK) return lua_error(L);
  luaL_newlib(L, functions);
#ifdef EDDY_TORTURE_HARD
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "is_hard");
#endif
  lua_call(L, 1, 3); /* 4 to 6: stage, run, main */
  if (luaL_loadfile(L, lua_pushfstring(L, "%s/scenarios/%s.lua", folder, lua_tostring(L, 2))) != LUA_OK)
    return lua_error(L);
  lua_pushvalue(L, 4);
  lua_call(L, 1, 1);
  luaL_checktype(L, -1, LUA_TFUNCTION);
  lua_pushvalue(L, 5);
  lua_pushvalue(L, 6);
  return 3;
}

bool trial_load(const char *folder, const char *scenario) {
  state = lua_newstate(fault_lua_alloc, NULL);
  if (state == NULL) return false;
  lua_setwarnf(state, on_warning, NULL);
  lua_pushcfunction(state, load_protected);
  lua_pushstring(state, folder);
  lua_pushstring(state, scenario);
  if (lua_pcall(state, 2, 3, 0) != LUA_OK) {
    fprintf(stderr, "%s: %s\n", scenario, luaL_tolstring(state, -1, NULL));
    lua_close(state);
    return false;
  }
  moments.rt = eddy__runtime_find(state);
  lua_gc(state, LUA_GCCOLLECT);
  return true;
}

void trial_unload(void) { lua_close(state); }

/* --- one run ------------------------------------------------------------------------------------------ */

static int count_fds(void) {
  enum { ALL = 256 };
  struct pollfd fds[ALL];
  int n = 0;
  for (int i = 0; i < ALL; i++) fds[i] = (struct pollfd){.fd = i};
  poll(fds, ALL, 0);
  for (int i = 0; i < ALL; i++) n += (fds[i].revents & POLLNVAL) == 0;
  return n;
}

/* The state is closed: nothing may be left. Ends the process. */
static _Noreturn void finish(void) {
  result->phase = 'c';
  uv_library_shutdown();
  if (fault.lua_bytes != 0) found("%zu bytes of Lua's memory were not given back", fault.lua_bytes);
  if (fault.blocks != 0) {
    char sizes[200];
    fault_describe_blocks(sizes, sizeof sizes);
    found("%ld blocks of eddy or libuv were not given back, of sizes%s", fault.blocks, sizes);
  }
  int fds = count_fds();
  int spared = now->kind == K_SYSCALL && fds == fds_before + 1 && calls_hit_loop();
  if (fds != fds_before && !spared) found("%d descriptors were left open", fds - fds_before);
  result->is_done = true;
  _exit(0);
}

/* os.exit(true, true) inside a task. */
static void exit_now(void) {
  moments_disarm();
  lua_close(state);
  finish();
}

/* Runs the scenario from its beginning to its end; leaves the error, if any.   [-0, +(0|1), -] */
static int attempt(void) {
  may_take = may_deadlock = false;
  lua_pushvalue(state, RUN);
  lua_pushvalue(state, SCENARIO);
  lua_pushinteger(state, (lua_Integer)now->seed);
  moments_arm();
  fault_arm();
  int rc = lua_pcall(state, 2, 0, 0);
  fault_disarm();
  moments.armed = false;
  return rc;
}

/* Looks at how it has ended.   [-(0|1), +0, -] */
static void judge(int rc) {
  if (rc == LUA_OK) {
    if (moments.asked > 0 && !may_take) found("main was cancelled, and has ended well");
    return;
  }
  int error = lua_gettop(state);
  if (!explained(state, error, false) && !(may_deadlock && eddy__error_is(state, error, EDDY_E_DEADLOCK)))
    found("it has failed: %s", luaL_tolstring(state, error, NULL));
  lua_settop(state, MAIN);
}

static void check_ledger(void) {
  eddy__ledger all = eddy__ledger_of(moments.rt);
  const struct {
    const char *name;
    size_t n;
  } lines[] = {
    {"loops", all.loops},
    {"tasks", all.tasks},
    {"ready", all.ready},
    {"timers", all.timers},
    {"generators", all.generators},
    {"handles", all.handles},
    {"requests", all.requests},
    {"anchors", all.anchors},
    {"slots", all.slots},
    {"slots, kept for good", all.kept},
    {"unretrieved errors", all.unretrieved},
  };
  const size_t LAST = sizeof lines / sizeof *lines - 1;
  for (size_t i = 0; i <= LAST; i++)
    if (lines[i].n != 0 && !(gc_failed && i == LAST)) found("left behind: %zu %s", lines[i].n, lines[i].name);
}

/* Collects until there is nothing more: what a finalizer lets go of is free a collection later. */
static void collect(void) {
  size_t before;
  int n = 0;
  do {
    before = fault.lua_bytes;
    lua_gc(state, LUA_GCCOLLECT);
  } while (++n < 2 || fault.lua_bytes < before);
}

/* Nothing goes wrong now. */
static void repeat(void) {
  result->phase = 'a';
  fault.kind = FAULT_NONE;
  moments.kind = MOMENT_NONE;
  moments.asked = 0;
  int rc = attempt();
  bool good = rc == LUA_OK || (may_deadlock && eddy__error_is(state, -1, EDDY_E_DEADLOCK));
  if (!good) found("run again without a fault: %s", luaL_tolstring(state, -1, NULL));
  lua_settop(state, MAIN);
  collect();
  check_ledger();
  result->kept = fault.lua_bytes;
  result->phase = 'c';
  if (usual_kept > 0 && result->kept > usual_kept + KEPT_MORE)
    found("%zu bytes more than usual stay in use", result->kept - usual_kept);
}

/* Turns a host's loop n times, 0: until main has ended (or is stuck), and closes the loop or the state over it. */
static void close_at(void) {
  eddy_options options = {.size = sizeof options, .virtual_clock = 1, .seed = now->seed};
  eddy_loop *loop = eddy_open(state, &options);
  if (loop == NULL) {
    found("eddy_open: %s", lua_tostring(state, -1));
    return;
  }
  lua_pushvalue(state, MAIN);
  lua_pushvalue(state, SCENARIO);
  if (eddy_spawn(loop, state, 1) != EDDY_OK) found("eddy_spawn: %s", lua_tostring(state, -1));
  long last = now->n == 0 ? MANY_TURNS : now->n;
  while (result->events < last && eddy_status(state, MAIN + 1) == EDDY_PENDING) {
    if (may_deadlock && result->events >= FEW_TURNS) break; /* nothing more will happen */
    result->events++;
    struct pollfd wake = {.fd = eddy_backend_fd(loop), .events = POLLIN};
    int timeout = eddy_backend_timeout(loop);
    poll(&wake, 1, timeout < 0 || timeout > A_WHILE ? A_WHILE : timeout);
    eddy_pump(loop, state, 0);
  }
  if (now->mode == M_STATE && now->n != 0) return;
  if (eddy_close(loop, state) != EDDY_OK) found("eddy_close: %s", lua_tostring(state, -1));
  int status = eddy_status(state, MAIN + 1);
  if (status == EDDY_FAILED && !may_deadlock) found("main has failed: %s", eddy_error_text(state, MAIN + 1));
  lua_settop(state, MAIN);
}

static void set_fault(void) {
  static const fault_mode modes[M_COUNT] = {[M_FROM] = FAULT_FROM, [M_BYTES] = FAULT_BYTES};
  fault.kind = now->kind == K_LUA      ? FAULT_LUA
               : now->kind == K_MALLOC ? FAULT_MALLOC
               : now->kind == K_GC     ? FAULT_GC
               : now->kind == K_SYSCALL ? FAULT_CALL
                                        : FAULT_NONE;
  fault.mode = modes[now->mode];
  if (now->kind == K_SYSCALL) calls_set((call_way)(now->mode - M_CALLS), result->call, sizeof result->call);
  fault.n = now->n;
  moments.n = now->n;
  moments.n2 = now->n2;
  moments.on_exit = exit_now;
  moments.kind = now->kind == K_CANCEL  ? MOMENT_CANCEL
                 : now->mode == M_EXIT  ? MOMENT_EXIT
                 : now->mode == M_TURN  ? MOMENT_COLLECT
                                       : MOMENT_NONE;
  if (now->mode == M_TURN) fault.kind = FAULT_NONE;
}

_Noreturn void trial_run(const trial *t, verdict *v, size_t usual, const char *scratch) {
  now = t;
  result = v;
  result->phase = 'r';
  folder_of_files = scratch;
  usual_kept = usual;
  fds_before = count_fds();
  set_fault();
  if (t->kind == K_CLOSE && t->mode != M_EXIT) {
    close_at();
    if (t->mode == M_STATE && t->n != 0) {
      lua_close(state);
      finish();
    }
  } else {
    judge(attempt());
    bool by_moment = moments.kind != MOMENT_NONE;
    result->events = by_moment ? moments.count : fault.count;
    if (t->kind == K_LUA && t->mode == M_BYTES) result->events = (long)(fault.lua_peak - fault.lua_start);
  }
  repeat();
  lua_close(state);
  finish();
}
