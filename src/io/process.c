/* SPDX-License-Identifier: MIT */
/*
 * process.c - the life of child processes, and the methods of Process; see process.h.
 * Touch:  with care.
 */
#include "io/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/args.h"
#include "base/carried.h"
#include "base/error.h"
#include "io/park.h"
#include "io/signal.h"
#include "io/spawn.h"

static const eddy__type type_process = {"Process"};

/* --- its end ------------------------------------------------------------------------------------------------- */

/* Whether the child has ended; it can still be waited for. */
static bool is_zombie(pid_t pid) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* It has ended, as waitpid tells it: that of the child itself, or -1 when there is no such child any more. */
static void note_end(eddy__process *p, pid_t reaped, int status) {
  p->has_ended = true;
  p->is_lost = reaped != p->pid;
  if (p->is_lost)
    p->returncode = 255;
  else
    p->returncode = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  eddy__park_wake_all(&p->waiters);
}

/* Reaps the child if it has ended, and returns whether it has. */
static bool check_end(eddy__process *p, bool waits) {
  int status = 0;
  pid_t reaped;
  if (p->has_ended) return true;
  if (p->ends_group && (waits || is_zombie(p->pid))) /* while the number is still its own */
    (void)kill(-p->pid, SIGKILL);
  do reaped = waitpid(p->pid, &status, waits ? 0 : WNOHANG);
  while (reaped < 0 && errno == EINTR);
  if (reaped == 0) return false;
  note_end(p, reaped, status);
  static const char warning[] = "eddy: a child process was reaped by somebody else: its end is told as 255";
  if (p->is_lost) lua_warning(p->handle.loop->rt->main, warning, 0);
  return true;
}

/* Sends a signal to the child, or its group, which has not been reaped. Returns 0 or a libuv code. */
static int send_signal(const eddy__process *p, int number) {
  if (p->pidfd >= 0 && !p->leads_group) return eddy__spawn_signal(p->pidfd, number);
  return kill(p->leads_group ? -p->pid : p->pid, number) == 0 ? 0 : -errno;
}

static void on_poll(uv_poll_t *uv, int status, int events) {
  (void)status, (void)events;
  eddy__process *p = uv->data;
  if (check_end(p, false)) eddy__handle_close(&p->handle);
}

static void on_child(uv_async_t *uv) {
  eddy__process *p = uv->data;
  while (eddy__catch_take(&p->catcher) != 0) continue;
  if (check_end(p, false)) eddy__handle_close(&p->handle);
}

static void describe(const eddy__handle *h, char *text, size_t size) {
  const eddy__process *p = (const eddy__process *)h;
  snprintf(text, size, "process %ld '%s'", (long)p->pid, p->name);
}

/* The loop ends, or a scope that cannot wait: a child that was not detached ends too. */
static void on_closing(eddy__handle *h) {
  eddy__process *p = (eddy__process *)h;
  eddy__catch_end(&p->catcher);
  if (!p->has_ended && !p->is_detached) {
    (void)send_signal(p, SIGKILL);
    (void)check_end(p, true);
  }
  if (!p->has_ended) eddy__spawn_forget(p->pid);
  eddy__park_wake_all(&p->waiters);
}

static void on_closed(eddy__handle *h) {
  eddy__process *p = (eddy__process *)h;
  if (p->pidfd >= 0) close(p->pidfd);
  p->pidfd = -1;
}

static void release(eddy__handle *h) { free(h); }

static const eddy__handle_kind kind_process = {describe, on_closing, on_closed, release};

/* --- birth and death ----------------------------------------------------------------------------------------- */

/* The loop ends: nobody is warned of a child that has ended. */
static void on_teardown(eddy__keeper *keeper) {
  eddy__process *p = (eddy__process *)eddy__container_of(keeper, eddy__handle, keeper);
  if (check_end(p, false)) p->handle.is_quiet = true;
  p->end_of_loop(keeper);
}

/* [-0, +1, v] */
eddy__process *eddy__process_new(lua_State *L, eddy__loop *loop, const char *name) {
  eddy__process **box = eddy__object_new(L, &type_process, sizeof *box, EDDY_UV_PROCESS);
  eddy__process *p = calloc(1, sizeof *p);
  if (p == NULL) eddy__raise(L, UV_ENOMEM, "start a process");
  *box = p;
  eddy__handle_init(&p->handle, &kind_process, loop, (uv_handle_t *)&p->uv);
  eddy__place_of_caller(L, p->handle.opened_at, sizeof p->handle.opened_at);
  eddy__list_init(&p->waiters);
  p->end_of_loop = p->handle.keeper.close;
  p->handle.keeper.close = on_teardown;
  p->pidfd = -1;
  snprintf(p->name, sizeof p->name, "%s", name);
  return p;
}

void eddy__process_started(eddy__process *p, pid_t pid) {
  eddy__loop *loop = p->handle.loop;
  p->pid = pid;
  p->pidfd = eddy__spawn_watch(pid);
  bool is_gone = p->pidfd == UV_ESRCH; /* already reaped by the system, as SIGCHLD is ignored */
  if (p->pidfd >= 0 && uv_poll_init(loop->uv, &p->uv.poll, p->pidfd) == 0) {
    eddy__handle_opened(&p->handle);
    uv_poll_start(&p->uv.poll, UV_READABLE, on_poll);
    return;
  }
  if (p->pidfd >= 0) close(p->pidfd);
  p->pidfd = -1;
  (void)uv_async_init(loop->uv, &p->uv.async, on_child); /* the loop has one already, so this cannot fail */
  eddy__handle_opened(&p->handle);
  p->catcher.async = &p->uv.async;
  if (!is_gone) (void)eddy__catch(&p->catcher, SIGCHLD);
  uv_async_send(&p->uv.async); /* it may have ended before */
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__process **box = eddy__object_test(L, 1, &type_process), *p = box == NULL ? NULL : *box;
  if (p == NULL) return 0;
  *box = NULL;
  p->handle.is_dropped = true;
  if (!p->handle.is_open) free(p); /* else when it has ended and was reaped */
  return 0;
}

/* [-0, +0, v] */
static eddy__process *check(lua_State *L) {
  eddy__process **box = eddy__object_check(L, 1, &type_process);
  eddy__arg_check(L, *box != NULL, 1, "the process was collected");
  return *box;
}

/* [-0, +0, -] */
static eddy__process *at(lua_State *L, int idx) { return *(eddy__process **)lua_touserdata(L, idx); }

/* --- its streams --------------------------------------------------------------------------------------------- */

/* Closes those of the process at 1: all, or those from which nothing more can come.   [-0, +0, -] */
static void close_streams(lua_State *L, bool all) {
  for (int i = EDDY_UV_STDIN; i <= EDDY_UV_STDERR; i++) {
    if (lua_getiuservalue(L, 1, i) == LUA_TUSERDATA) {
      eddy__stream **box = lua_touserdata(L, -1);
      bool at_end = *box != NULL && (*box)->in.eof && eddy__input_size(&(*box)->in) == 0;
      if (*box != NULL && (all || at_end)) eddy__stream_abort(*box);
    }
    lua_pop(L, 1);
  }
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

static const eddy__wait wait_end = {"Process:wait", eddy__park_cancel, true};

static int k_wait(lua_State *L, int status, lua_KContext ctx);

/* The end of the process at 1, waited for.   [-0, +1, y] */
static int wait_for_end(lua_State *L, eddy__task *task) {
  eddy__process *p = at(L, 1);
  if (!p->has_ended && p->handle.is_open && !p->handle.is_closing)
    return eddy__park(L, task, &p->waiters, &wait_end, k_wait);
  if (!p->has_ended) eddy__error_throw(L, EDDY_E_RUNTIME, "'wait': the loop of the process is closed");
  close_streams(L, false);
  lua_pushinteger(L, p->returncode);
  return 1;
}

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)eddy__handle_again(L, 1, (eddy__task *)ctx);
  eddy__wake_check(L, (eddy__task *)ctx);
  return wait_for_end(L, (eddy__task *)ctx);
}

/* process:wait() -> returncode   [-0, +1, y] */
static int l_wait(lua_State *L) {
  eddy__process *p = check(L);
  lua_settop(L, 1);
  return wait_for_end(L, p->has_ended ? NULL : eddy__running_on(L, p->handle.loop, "wait"));
}

/* Sends it unless the process at 1 has ended.   [-0, +0, v] */
static int send_checked(lua_State *L, int number) {
  eddy__process *p = check(L);
  bool is_watched = p->handle.is_open && !p->handle.is_closing;
  if (is_watched && check_end(p, false)) eddy__handle_close(&p->handle);
  if (!p->has_ended && !is_watched)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the loop of the process is closed", eddy__arg_function(L));
  int rc = p->has_ended ? UV_ESRCH : send_signal(p, number);
  if (rc < 0) eddy__raise(L, rc, "kill");
  return 0;
}

/* process:send_signal(signal), process:terminate(), process:kill()   [-0, +0, v] */
static int l_send_signal(lua_State *L) {
  check(L);
  return send_checked(L, eddy__signal_check(L, 2));
}

static int l_terminate(lua_State *L) { return send_checked(L, SIGTERM); }

static int l_kill(lua_State *L) { return send_checked(L, SIGKILL); }

/* process:_end_group(): when it ends, what is left of its group is killed   [-0, +0, v] */
static int l_end_group(lua_State *L) {
  eddy__process *p = check(L);
  p->ends_group = p->leads_group;
  return 0;
}

/* The scope of `local p <close>` ends: kills it, waits for that, closes its streams   [-0, +0, y] */
static int l_scope_end(lua_State *L) {
  eddy__process *p = check(L);
  lua_settop(L, 1);
  close_streams(L, true);
  if (!p->handle.is_open || p->handle.is_closing) return 0;
  if (p->has_ended || !eddy__may_wait(L, p->handle.loop)) {
    p->is_detached = false;
    eddy__handle_close(&p->handle);
    return 0;
  }
  (void)send_signal(p, SIGKILL);
  return wait_for_end(L, eddy__running(L, "close"));
}

/* A function of the module in Lua, called with what is there.   [-n, +n, y] */
static int call_lua(lua_State *L, const char *name) {
  eddy__carried_require(L, "process");
  lua_getfield(L, -1, name);
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, eddy__k_return);
  return lua_gettop(L);
}

/* process:communicate(input) -> stdout, stderr   [-0, +2, y] */
static int l_communicate(lua_State *L) {
  eddy__process *p = check(L);
  if (!lua_isnoneornil(L, 2) && !lua_isstring(L, 2)) eddy__arg_expected(L, 2, "string");
  eddy__running_on(L, p->handle.loop, "communicate");
  lua_settop(L, 2);
  return call_lua(L, "communicate");
}

/* A field, or a method: upvalue 2 is the table of those.   [-0, +1, v] */
static int l_index(lua_State *L) {
  static const char *const streams[] = {"stdin", "stdout", "stderr"};
  eddy__process *p = check(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  for (int i = 0; i < 3; i++) {
    if (!eddy__arg_is(L, 2, streams[i])) continue;
    lua_getiuservalue(L, 1, EDDY_UV_STDIN + i);
    return 1;
  }
  if (eddy__arg_is(L, 2, "pid"))
    lua_pushinteger(L, p->pid);
  else if (eddy__arg_is(L, 2, "returncode") && p->has_ended)
    lua_pushinteger(L, p->returncode);
  else
    return 0;
  return 1;
}

/* "<Process 1234 'sleep' running>"   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__process *p = check(L);
  lua_pushfstring(L, "<Process %I '%s' ", (LUAI_UACINT)p->pid, p->name);
  const char *signal_name = p->has_ended && p->returncode < 0 ? eddy__signal_name(-p->returncode) : NULL;
  if (!p->has_ended)
    lua_pushliteral(L, "running>");
  else if (signal_name != NULL)
    lua_pushfstring(L, "ended by %s>", signal_name);
  else
    lua_pushfstring(L, "ended with %d>", p->returncode);
  lua_concat(L, 2);
  return 1;
}

/* [-0, +0, m] */
void eddy__process_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"wait", l_wait},
                                     {"communicate", l_communicate},
                                     {"send_signal", l_send_signal},
                                     {"terminate", l_terminate},
                                     {"kill", l_kill},
                                     {"_end_group", l_end_group},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__gc", l_gc}, {"__close", l_scope_end}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"create_subprocess_exec", eddy__process_l_exec},
                                       {"create_subprocess_shell", eddy__process_l_shell},
                                       {"environ", eddy__process_l_environ},
                                       {NULL, NULL}};
  int top = lua_gettop(L);
  eddy__object_type(L, &type_process, NULL, methods, meta, top - 1);
  eddy__runtime_push(L);
  if (lua_getfield(L, -2, "__index") == LUA_TTABLE) { /* not yet ours */
    lua_pushcclosure(L, l_index, 2);
    lua_setfield(L, -2, "__index");
  }
  lua_settop(L, top);
  eddy__runtime_functions(L, rt, functions);
}
