/* SPDX-License-Identifier: MIT */
/*
 * stop.c - how a call in another thread is stopped; see stop.h.
 * Touch:  with care. Only the thread that runs a Lua state may set its hook (Lua walks the frames of the running
 *         function while it does), but it may do so in a signal handler at any moment: that is what lua.c does for
 *         Ctrl-C. So the thread is sent a signal. A hook that is always set and looks at a flag would do without, but
 *         makes Lua code run at half its speed: it serves where there are no such signals.
 *
 * The hook raises one error, once. pcall and xpcall of a worker let that error through, so one is enough to unwind a
 * call, and its <close> handlers run in peace; so does coroutine.resume. Code that goes on all the same is told again,
 * at each instruction: when the loop has not turned for GRACE_NS, or when all takes longer than LIMIT_NS, and then its
 * wait is cancelled again as well. Home sends the stop each second, for a hook in code that has none.
 */
#include "threads/stop.h"

#include <lauxlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"

#if defined(__SANITIZE_THREAD__)
#define POLLS 1 /* it holds signals back until the program calls something that it knows */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define POLLS 1
#endif
#endif
#if defined(_WIN32) && !defined(POLLS)
#define POLLS 1
#endif

enum { INSTRUCTIONS = 1000 }; /* between two looks */
static const uint64_t GRACE_NS = 1000000000, LIMIT_NS = 5000000000;

static const char error_key; /* registry: the error that stops calls of this worker */

static void on_stop(lua_State *L, lua_Debug *ar);

/* --- the signal --------------------------------------------------------------------------------------------------- */

#ifdef POLLS

static void watch(lua_State *L, eddy__worker *w) {
  (void)w;
  lua_sethook(L, on_stop, LUA_MASKCOUNT, INSTRUCTIONS);
}
static void unwatch(lua_State *L) { (void)L; }
static void take_signal(void) {}
static void give_signal_back(void) {}
static void enter_thread(eddy__worker *w) { (void)w; }
static void interrupt_thread(eddy__worker *w) { (void)w; }
void eddy__stop_block_signals(eddy__signals *before) { *before = (eddy__signals){0}; }
void eddy__stop_inherit_signals(eddy__worker *w, const eddy__signals *before) { w->signals = *before; }
void eddy__stop_restore_signals(const eddy__signals *before) { (void)before; }

#else

#include <pthread.h>

enum { SIGNAL = SIGURG }; /* ignored by default, and hardly used by anybody */

static _Thread_local eddy__worker *here; /* the worker of this thread */

static pthread_mutex_t signal_lock = PTHREAD_MUTEX_INITIALIZER;
static int signal_users;
static struct sigaction signal_before;

static void watch(lua_State *L, eddy__worker *w) { (void)L, (void)w; }
static void unwatch(lua_State *L) { lua_sethook(L, NULL, 0, 0); }

static void on_signal(int sig, siginfo_t *info, void *context) {
  eddy__worker *w = here;
  if (w == NULL) { /* not for us */
    if ((signal_before.sa_flags & SA_SIGINFO) != 0)
      signal_before.sa_sigaction(sig, info, context);
    else if (signal_before.sa_handler != SIG_DFL && signal_before.sa_handler != SIG_IGN)
      signal_before.sa_handler(sig);
    return;
  }
  if (!w->in_call) return;
  eddy__runtime *rt = w->loop->rt;
  lua_State *L = rt->current != NULL ? rt->leaf : rt->L;
  if (L != NULL) lua_sethook(L, on_stop, LUA_MASKCOUNT, 1);
}

static void take_signal(void) {
  pthread_mutex_lock(&signal_lock);
  if (signal_users++ == 0) {
    struct sigaction mine;
    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = on_signal;
    mine.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigemptyset(&mine.sa_mask);
    sigaction(SIGNAL, &mine, &signal_before);
  }
  pthread_mutex_unlock(&signal_lock);
}

static void give_signal_back(void) {
  pthread_mutex_lock(&signal_lock);
  if (--signal_users == 0) sigaction(SIGNAL, &signal_before, NULL);
  pthread_mutex_unlock(&signal_lock);
}

static void enter_thread(eddy__worker *w) {
  sigset_t set;
  here = w;
  sigemptyset(&set);
  sigaddset(&set, SIGNAL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void interrupt_thread(eddy__worker *w) { pthread_kill(w->thread, SIGNAL); }

void eddy__stop_block_signals(eddy__signals *before) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, before);
}

void eddy__stop_inherit_signals(eddy__worker *w, const eddy__signals *before) {
  w->signals = here != NULL ? here->signals : *before; /* a worker starts one of its own */
}

void eddy__stop_restore_signals(const eddy__signals *before) { pthread_sigmask(SIG_SETMASK, before, NULL); }

#endif

/* --- in the worker ------------------------------------------------------------------------------------------------ */

/* Which worker a state belongs to: beside its error in the registry.   [-0, +0, -] */
eddy__worker *eddy__stop_worker(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  lua_rawgeti(L, -1, 1);
  eddy__worker *w = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return w;
}

/* [-0, +1, -] */
void eddy__stop_push(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  lua_rawgeti(L, -1, 2);
  lua_remove(L, -2);
}

/* [-0, +0, -] */
bool eddy__stop_is(lua_State *L, int idx, eddy__worker *w) {
  if (w->call == NULL || !atomic_load(&w->call->stop)) return false;
  lua_pushvalue(L, idx);
  eddy__stop_push(L);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

/* [-0, +0, -] */
static bool is_stop(lua_State *L, int idx) {
  eddy__worker *w = eddy__stop_worker(L);
  return w != NULL && eddy__stop_is(L, idx, w);
}

/* Each time that the worker acts on it. The task that carries out the call is cancelled, and with it what it waits for,
 * as often as the one at home was, and when it takes too long.   [-0, +0, -] */
static void cancel_task(lua_State *L, eddy__worker *w, bool again) {
  bool first = w->told_at == 0;
  if (first) w->told_at = uv_hrtime();
  if (w->call == NULL) return;
  atomic_store(&w->call->heard, true);
  int asked = atomic_load(&w->call->asked);
  if (!first && !again && asked <= w->cancelled) return;
  w->cancelled = asked > 0 ? asked : 1;
  eddy__stop_push(L);
  eddy__task_push(L, w->task);
  eddy__cancel(L, &w->task->future, lua_gettop(L), lua_gettop(L) - 1);
  lua_pop(L, 2);
}

/* Whether something that runs here is to be stopped. */
static bool is_wanted(eddy__worker *w) {
  return (w->call != NULL && atomic_load(&w->call->stop)) || atomic_load(&w->ending);
}

/* Whether the call has had its time to unwind: to compute, or in all. A nudge that has not come yet may be that of a
 * call before this one, which was told later. */
static bool is_late(eddy__worker *w) {
  uint64_t now = uv_hrtime(), nudged = atomic_load(&w->nudged), told = now - w->told_at;
  return (nudged != 0 && now > nudged && now - nudged > GRACE_NS && told > GRACE_NS) || told > LIMIT_NS;
}

static void on_stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  eddy__worker *w = eddy__stop_worker(L);
  if (w == NULL) return;
  if (!is_wanted(w)) {
    unwatch(L);
    return;
  }
  luaL_checkstack(L, 12, NULL);
  cancel_task(L, w, false);
  eddy__task *running = w->loop->rt->current;
  bool is_due = running != NULL && eddy__wake_cancelled(running);
  bool insists = is_late(w);
  lua_sethook(L, on_stop, LUA_MASKCOUNT, insists ? 1 : INSTRUCTIONS);
  if (!is_due && !insists) return;
  if (running != NULL) eddy__wake_settle(running);
  eddy__stop_push(L);
  lua_error(L);
}

/* From the loop's turn: the call may be waiting. */
static void on_ready(eddy__ready *r) {
  eddy__worker *w = eddy__container_of(r, eddy__worker, stopping);
  w->is_stopping = false;
  if (w->call == NULL || !atomic_load(&w->call->stop)) return;
  bool insists = w->told_at != 0 && uv_hrtime() - w->told_at > LIMIT_NS;
  cancel_task(w->loop->rt->L, w, insists);
  if (!insists) return;
  lua_sethook(w->task->co, on_stop, LUA_MASKCOUNT, 1);
  if (w->task->at != NULL && w->task->at != w->task->co) lua_sethook(w->task->at, on_stop, LUA_MASKCOUNT, 1);
}

/* In the worker's thread: home has nudged it. */
static void on_nudge(eddy__mail *mail, eddy__loop *loop) {
  eddy__worker *w = eddy__container_of(mail, eddy__worker, nudge);
  eddy__pool_lock(w->pool);
  atomic_store(&w->nudged, 0);
  eddy__pool_unlock(w->pool);
  if (loop == NULL || w->is_stopping) return;
  w->is_stopping = true;
  w->stopping.run = on_ready;
  eddy__loop_ready(loop, &w->stopping);
}

void eddy__stop_send(eddy__worker *w) {
  if (w->box != NULL && atomic_load(&w->nudged) == 0) {
    w->nudge.deliver = on_nudge;
    atomic_store(&w->nudged, uv_hrtime());
    if (!eddy__mailbox_post(w->box, &w->nudge)) atomic_store(&w->nudged, 0);
  }
  interrupt_thread(w);
}

void eddy__stop_open(eddy__worker *w) {
  take_signal();
  enter_thread(w);
}

void eddy__stop_close(eddy__worker *w) {
  w->in_call = 0;
  enter_thread(NULL);
  give_signal_back();
}

/* [-0, +0, -] */
bool eddy__stop_begin(eddy__worker *w, lua_State *L) {
  w->told_at = 0;
  w->cancelled = 0;
  watch(L, w);
  return !atomic_load(&w->call->stop);
}

/* [-0, +0, -] */
void eddy__stop_end(eddy__worker *w, lua_State *L) {
  unwatch(L);
  eddy__wake_settle(w->task);
  w->task->cancelling = 0;
}

/* [-0, +0, -] */
void eddy__stop_deadlock(lua_State *L, eddy__worker *w) {
  if (w->call == NULL) return;
  lua_pushvalue(L, -1); /* the error that the caller has pushed */
  eddy__task_push(L, w->task);
  eddy__cancel(L, &w->task->future, lua_gettop(L), lua_gettop(L) - 1);
  lua_pop(L, 2);
}

/* --- pcall and xpcall --------------------------------------------------------------------------------------------- */

/* What stands above ctx is what the function has returned or raised.   [-0, +n, v] */
static int k_pcall(lua_State *L, int status, lua_KContext ctx) {
  int base = (int)ctx;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - base;
  if (is_stop(L, -1)) return lua_error(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

/* pcall(f, ...) -> true, results; or false, error   [-0, +n, y] */
static int l_pcall(lua_State *L) {
  eddy__arg_any(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  return k_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, k_pcall), 0);
}

/* xpcall(f, handler, ...) -> true, results; or false, what the handler returns   [-0, +n, y] */
static int l_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  if (!lua_isfunction(L, 2)) return eddy__arg_expected(L, 2, "function");
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
  return k_pcall(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, k_pcall), 2);
}

/* [-0, +0, m] */
void eddy__stop_functions(lua_State *L, eddy__worker *w) {
  static const luaL_Reg functions[] = {{"pcall", l_pcall}, {"xpcall", l_xpcall}, {NULL, NULL}};
  lua_createtable(L, 2, 0);
  lua_pushlightuserdata(L, w);
  lua_rawseti(L, -2, 1);
  lua_pushnil(L);
  eddy__error_wrap(L, EDDY_E_CANCELLED);
  lua_rawseti(L, -2, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
  w->loop->rt->is_stop = is_stop;
  watch(L, w); /* where hooks have to be polled, all threads that are made from now on inherit it */
  lua_pushglobaltable(L);
  eddy__runtime_functions(L, w->loop->rt, functions);
  lua_pop(L, 1);
  eddy__programs_functions(L);
}
