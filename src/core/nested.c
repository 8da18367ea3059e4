/* SPDX-License-Identifier: MIT */
/*
 * nested.c - coroutines inside a task through which waiting passes; see nested.h.
 * Touch:  with care. While a coroutine of these runs, rt->leaf is its thread: that is where the task may be suspended.
 *         A wait suspends it like a yield; whoever resumed it sees that the task is not running any more, suspends
 *         itself with a continuation, and so on down to the task's own thread. When the task is woken the continuations
 *         resume their coroutines again, outermost first.
 *         A resume that is deep inside others takes no C stack: it hands the coroutine over, by a yield, to drive(),
 *         which has resumed its own coroutine, and which gives it the results later. A chain tells who has handed over.
 */
#include "core/nested.h"

#include <lauxlib.h>
#include <lualib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"
#include "core/preempt.h"

enum { DEEPEST = 10000 }; /* so many may hand over, one to the next */

static const char raise_key; /* registry: what eddy__nested_raise is about to raise */

/* --- coroutines that have handed over ---------------------------------------------------------------- */

/* A chain is a table in the extras of its task: at 0 how many coroutines have handed over, at i one of them, at -i the
 * one that it has handed over to, and under each that has handed over `true`. It keeps all of them alive: a script may
 * close one whose frame did that. */

/* Pushes the chain of the running task, or nil.   [-0, +1, -] */
static void push_chain(lua_State *L, eddy__task *task) {
  eddy__task_push(L, task);
  eddy__future_extra(L, -1, EDDY_EX_CHAIN);
  lua_remove(L, -2);
}

/* How many have handed over in the chain at the top.   [-0, +0, -] */
static int chain_length(lua_State *L) {
  if (lua_isnil(L, -1)) return 0;
  lua_rawgeti(L, -1, 0);
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

/* [-0, +0, -] */
static void set_length(lua_State *L, int n) {
  lua_pushinteger(L, n);
  lua_rawseti(L, -2, 0);
}

/* The i-th that has handed over in the chain at the top.   [-0, +0, -] */
static lua_State *chain_at(lua_State *L, int i) {
  lua_rawgeti(L, -1, i);
  lua_State *co = lua_tothread(L, -1);
  lua_pop(L, 1);
  return co;
}

/* Whether the coroutine at idx has handed over to another, which has not come back: its status is "normal".
 *   [-0, +0, -] */
static bool has_handed_over(lua_State *L, eddy__runtime *rt, int idx) {
  if (rt->current == NULL) return false;
  push_chain(L, rt->current);
  bool has = false;
  if (!lua_isnil(L, -1)) {
    lua_pushvalue(L, idx);
    has = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return has;
}

/* L, which is deep inside others, yields to who has resumed it, who resumes co for it.   [-0, +0, m] */
static int hand_over(lua_State *L, eddy__runtime *rt, lua_State *co, int n) {
  luaL_checkstack(L, 8, NULL);
  if (!lua_checkstack(co, 1)) luaL_error(L, "not enough memory");
  push_chain(L, rt->current);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    eddy__task_push(L, rt->current);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    eddy__future_set_extra(L, -3, EDDY_EX_CHAIN);
    lua_remove(L, -2);
    set_length(L, 0);
  }
  int length = chain_length(L) + 1;
  lua_pushthread(L);
  lua_rawseti(L, -2, length);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  lua_rawseti(L, -2, -length);
  lua_pushthread(L);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  set_length(L, length);
  lua_pop(L, 1);
  rt->nest.next = co;
  rt->nest.n = n;
  return EDDY_NESTED_WAITS;
}

/* Takes the last one out of the chain.   [-0, +0, -] */
static lua_State *take_back(lua_State *L, eddy__task *task) {
  push_chain(L, task);
  int length = chain_length(L);
  lua_State *co = chain_at(L, length);
  set_length(L, length - 1);
  lua_rawgeti(L, -1, length);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return co;
}

/* The one to go on with after a wait in which co was resumed, or has handed over: the innermost; or the outermost that
 * a script has closed meanwhile, so that those around it hear of that. *length: how many have handed over to it.
 *   [-0, +0, -] */
static lua_State *innermost(lua_State *L, eddy__task *task, lua_State *co, int *length) {
  int i = 0;
  push_chain(L, task);
  int n = chain_length(L);
  if (n > 0 && chain_at(L, 1) == co) {
    while (i < n && lua_status(chain_at(L, i + 1)) == LUA_YIELD) i++;
    co = i == n ? task->at : chain_at(L, i + 1);
  }
  lua_pop(L, 1);
  for (*length = i; n > i; n--) take_back(L, task);
  return co;
}

/* [-0, +0, -] */
const char *eddy__nested_check_chain(lua_State *L, eddy__runtime *rt) {
  if (rt->current == NULL) return NULL;
  push_chain(L, rt->current);
  int length = chain_length(L);
  lua_pop(L, 1);
  return length < DEEPEST ? NULL : "C stack overflow: too many coroutines have resumed each other";
}

/* --- resuming ------------------------------------------------------------------------------------------ */

/* lua_resume; but its complaint about a coroutine that a script has closed needs memory, and an error of that would be
 * raised on co, where nobody catches it.   [-0, +0, m] */
static int resume_once(lua_State *L, eddy__runtime *rt, lua_State *co, int n, lua_State *outer, int *nresults) {
  if (lua_status(co) != LUA_OK || lua_gettop(co) != n) return lua_resume(co, L, n, nresults);
  rt->leaf = outer;
  rt->nest.depth--;
  lua_pushliteral(L, "cannot resume dead coroutine");
  rt->nest.depth++;
  lua_settop(co, 0);
  lua_xmove(L, co, 1);
  *nresults = 1;
  return LUA_ERRRUN;
}

/* Resumes co, and whatever is handed over meanwhile, until co itself yields, ends or waits.   [-0, +0, m] */
static int drive(lua_State *L, eddy__runtime *rt, lua_State *co, int n, bool again, int *nresults) {
  eddy__nesting *nest = &rt->nest;
  eddy__task *task = rt->current;
  lua_State *outer = rt->leaf;
  int rc, length = 0; /* of the chain */
  if (++nest->depth >= EDDY_NESTED_DEEP) {
    lua_State *from = again ? co : NULL; /* NULL: a chain that is there was left by a coroutine that was closed */
    lua_State *innermost_one = innermost(L, task, from, &length);
    if (again) co = innermost_one;
  }
  for (;;) {
    rt->leaf = co;
    rt->refused = NULL;
    if (task->future.loop->preempts) eddy__preempt_go_on(task, co);
    rc = resume_once(L, rt, co, n, outer, nresults);
    nest->given_to = NULL;
    if (task->at != NULL && task->phase == EDDY_T_RUNNING) eddy__task_leave_wait(task); /* closed by a script */
    if (rc == LUA_YIELD && task->phase != EDDY_T_RUNNING) {
      rc = EDDY_NESTED_WAITS;
      break;
    }
    if (rc == LUA_YIELD && nest->next != NULL) {
      co = nest->next;
      n = nest->n;
      nest->next = NULL;
      length++;
      continue;
    }
    if (rc == LUA_YIELD && rt->refused == co) {
      rc = EDDY_NESTED_REFUSED;
      *nresults = 0;
    }
    if (length == 0) break;
    length--;
    nest->rc = rc;
    nest->nresults = *nresults;
    nest->given_to = co = take_back(L, task);
    n = 0;
  }
  rt->refused = NULL;
  rt->leaf = outer;
  nest->depth--;
  return rc;
}

/* The same where the task cannot wait, as a C function is in between or no task runs.   [-0, +0, -] */
static int resume_plainly(lua_State *L, eddy__runtime *rt, lua_State *co, int n, int *nresults) {
  rt->refused = NULL;
  int rc = lua_resume(co, L, n, nresults);
  if (rc != LUA_YIELD || rt->refused != co) return rc;
  rt->refused = NULL;
  *nresults = 0;
  return EDDY_NESTED_REFUSED;
}

/* [-0, +0, m] */
int eddy__nested_resume(lua_State *L, eddy__runtime *rt, lua_State *co, int n, bool again, int *nresults) {
  eddy__task *task = rt->current;
  bool may_wait = task != NULL && rt->leaf == L && lua_isyieldable(L);
  if (again && rt->nest.given_to == L) {
    *nresults = rt->nest.nresults;
    return rt->nest.rc;
  }
  if (again && (!may_wait || task->at == NULL)) { /* it waits for a task, and it was not that task which resumed it */
    rt->refused = L;
    return EDDY_NESTED_WAITS;
  }
  if (!may_wait) return resume_plainly(L, rt, co, n, nresults);
  if (!again && rt->nest.depth >= EDDY_NESTED_DEEP && L != task->co) return hand_over(L, rt, co, n);
  return drive(L, rt, co, n, again, nresults);
}

/* [-0, +n, y] */
static int k_body(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 1;
}

/* [-n, +m, y] */
int eddy__nested_body(lua_State *L) {
  lua_pushcfunction(L, eddy__task_msgh);
  lua_insert(L, 1);
  return k_body(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, k_body), 0);
}

static void on_instruction(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &raise_key);
  lua_error(L);
}

/* [-1, +0, m] */
void eddy__nested_raise(lua_State *L, lua_State *co) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raise_key);
  lua_sethook(co, on_instruction, LUA_MASKCOUNT | LUA_MASKRET, 1); /* as its yield returns */
}

/* --- the functions of Lua's coroutine library -------------------------------------------------------- */

/* [-0, +0, v] */
static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (co == NULL) eddy__arg_expected(L, 1, "coroutine");
  return co;
}

/* [-0, +0, -] */
static const char *look_closely(lua_State *L, eddy__runtime *rt, int idx, lua_State *co) {
  lua_Debug ar;
  if (L == co) return "running";
  if (lua_status(co) == LUA_YIELD) return has_handed_over(L, rt, idx) ? "normal" : NULL;
  if (lua_status(co) != LUA_OK) return "dead";
  if (lua_getstack(co, 0, &ar)) return "normal";
  return lua_gettop(co) == 0 ? "dead" : NULL;
}

/* Why the coroutine co, which stands at idx, cannot be resumed or closed, or NULL.   [-0, +0, -] */
static inline const char *not_suspended(lua_State *L, eddy__runtime *rt, int idx, lua_State *co) {
  if (lua_status(co) == LUA_YIELD && rt->nest.depth < EDDY_NESTED_DEEP) return NULL;
  return look_closely(L, rt, idx, co);
}

/* Pushes what makes Lua's resume return false.   [-0, +1, m] */
static void push_refusal(lua_State *L, const char *status) {
  lua_pushfstring(L, "cannot resume %s coroutine", *status == 'd' ? status : "non-suspended");
}

/* Moves the n values at the top of L to co; returns how many of those there are its next step's. Outside of tasks
 * nothing waits, and a coroutine that begins there needs no pcall, which takes C stack.   [-n, +0, -] */
static inline int move_arguments(lua_State *L, eddy__runtime *rt, lua_State *co, int n) {
  lua_xmove(L, co, n);
  if (lua_status(co) == LUA_YIELD) return n;
  if (rt->current == NULL && lua_tocfunction(co, 1) == eddy__nested_body) lua_remove(co, 1);
  return lua_gettop(co) - 1; /* not begun: all that stands above its function */
}

/* coroutine.create(f)   [-0, +1, v] */
static int l_create(lua_State *L) {
  if (!lua_isfunction(L, 1)) return eddy__arg_expected(L, 1, "function");
  lua_settop(L, 1);
  eddy__coroutine_unwrap(L, 1);
  lua_State *co = lua_newthread(L);
  lua_pushcfunction(co, eddy__nested_body);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

/* Resumes the coroutine, whose error is raised when `raises` is true and returned after false else. Everything above
 * `base` on L has been moved to it; it is the thread co.   [-0, +n, y] */
static int resume(lua_State *L, eddy__runtime *rt, lua_State *co, int n, bool again, bool raises,
                  lua_KFunction k) {
  int nresults = 0;
  int rc = eddy__nested_resume(L, rt, co, n, again, &nresults);
  if (rc == EDDY_NESTED_WAITS) return lua_yieldk(L, 0, 0, k);
  if (rc == LUA_OK || rc == LUA_YIELD) {
    luaL_checkstack(L, nresults + 1, "too many results to resume");
    if (!raises) lua_pushboolean(L, 1);
    lua_xmove(co, L, nresults);
    return nresults + !raises;
  }
  if (!raises) lua_pushboolean(L, 0);
  if (rc == EDDY_NESTED_REFUSED) {
    lua_pushliteral(L, "cannot resume a coroutine that waits: it belongs to another task");
  } else {
    bool dead = lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD;
    if (raises && dead) lua_resetthread(co); /* its <close> variables, if it is one of Lua's own */
    lua_xmove(co, L, 1);
  }
  if (rt->is_stop != NULL && rt->is_stop(L, -1)) raises = true;
  return raises ? lua_error(L) : 2;
}

static int k_resume(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return resume(L, eddy__runtime_of(L), lua_tothread(L, 1), 0, true, false, k_resume);
}

/* coroutine.resume(co, ...) -> true, ...; or false, error   [-n, +m, y] */
static int l_resume(lua_State *L) {
  lua_State *co = check_thread(L);
  eddy__runtime *rt = eddy__runtime_of(L);
  int n = lua_gettop(L) - 1;
  const char *status = not_suspended(L, rt, 1, co), *too_deep = eddy__nested_too_deep(L, rt);
  if (status == NULL && too_deep == NULL && lua_checkstack(co, n))
    return resume(L, rt, co, move_arguments(L, rt, co, n), false, false, k_resume);
  lua_pushboolean(L, 0);
  if (status != NULL)
    push_refusal(L, status);
  else
    lua_pushstring(L, too_deep != NULL ? too_deep : "too many arguments to resume");
  return 2;
}

static int k_wrapped(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return resume(L, eddy__runtime_of(L), lua_tothread(L, lua_upvalueindex(2)), 0, true, true, k_wrapped);
}

/* The function that wrap returns; upvalues: the record, the coroutine. Errors are raised as they are.  [-n, +m, y] */
static int l_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  eddy__runtime *rt = eddy__runtime_of(L);
  int n = lua_gettop(L);
  const char *status = not_suspended(L, rt, lua_upvalueindex(2), co), *too_deep = eddy__nested_too_deep(L, rt);
  if (status != NULL) {
    luaL_where(L, 1);
    push_refusal(L, status);
    lua_concat(L, 2);
    return lua_error(L);
  }
  if (too_deep != NULL) return luaL_error(L, "%s", too_deep);
  if (!lua_checkstack(co, n)) return luaL_error(L, "too many arguments to resume");
  return resume(L, rt, co, move_arguments(L, rt, co, n), false, true, k_wrapped);
}

/* coroutine.wrap(f)   [-0, +1, v] */
static int l_wrap(lua_State *L) {
  l_create(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, -2);
  lua_pushcclosure(L, l_wrapped, 2);
  return 1;
}

/* Closes what is still open, without waiting, and returns as coroutine.close does.   [-0, +n, -] */
static int finish_close(lua_State *L, lua_State *co) {
  int rc = lua_resetthread(co);
  lua_pushboolean(L, rc == LUA_OK);
  if (rc == LUA_OK) return 1;
  lua_xmove(co, L, 1);
  return 2;
}

/* [-0, +0, v] */
static int refuse_close(lua_State *L) {
  return luaL_error(L, "cannot close a coroutine that waits: it belongs to another task");
}

/* Goes on with a close: 1: the coroutine, 2: the error that is raised in it to unwind it.   [-0, +n, y] */
static int close_on(lua_State *L, lua_State *co, bool again);

static int k_close(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return close_on(L, lua_tothread(L, 1), true);
}

static int close_on(lua_State *L, lua_State *co, bool again) {
  eddy__runtime *rt = eddy__runtime_of(L);
  int nresults = 0;
  int rc = eddy__nested_resume(L, rt, co, 0, again, &nresults);
  if (rc == EDDY_NESTED_WAITS) return lua_yieldk(L, 0, 0, k_close);
  lua_sethook(co, NULL, 0, 0);
  if (rc == EDDY_NESTED_REFUSED) return refuse_close(L);
  if (rc == LUA_OK || rc == LUA_YIELD) return finish_close(L, co); /* it took the error, or never came to it */
  lua_xmove(co, L, 1);
  bool ours = lua_rawequal(L, -1, 2);
  lua_resetthread(co);
  lua_settop(co, 0); /* it leaves the error there */
  lua_pushboolean(L, ours);
  if (ours) return 1;
  lua_insert(L, -2);
  return 2;
}

/* coroutine.close(co) -> true; or false, error. Inside a task its <close> variables may wait.   [-0, +n, y] */
static int l_close(lua_State *L) {
  lua_State *co = check_thread(L);
  eddy__runtime *rt = eddy__runtime_of(L);
  const char *status = not_suspended(L, rt, 1, co);
  if (status != NULL && *status != 'd')
    return luaL_error(L, "cannot close a %s coroutine", status);
  if (eddy__preempt_holds(co)) return refuse_close(L);
  lua_settop(L, 1);
  bool may_wait = rt->current != NULL && rt->leaf == L && lua_isyieldable(L);
  if (!may_wait || lua_status(co) != LUA_YIELD || eddy__nested_too_deep(L, rt) != NULL) return finish_close(L, co);
  eddy__error_push(L, EDDY_E_CANCELLED, "the coroutine was closed"); /* unwinds it, and may be waited through */
  lua_pushvalue(L, 2);
  eddy__nested_raise(L, co);
  return close_on(L, co, false);
}

/* coroutine.status(co)   [-0, +1, v] */
static int l_status(lua_State *L) {
  lua_State *co = check_thread(L);
  const char *status = not_suspended(L, eddy__runtime_of(L), 1, co);
  lua_pushstring(L, status != NULL ? status : "suspended");
  return 1;
}

/* coroutine.yield(...): not in the task itself, which nobody would resume   [-n, +m, y] */
static int l_yield(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_of(L);
  if (rt->current != NULL && rt->current->co == L)
    eddy__error_throw(L, EDDY_E_RUNTIME,
                      "'yield' outside of a coroutine: a task itself waits, with eddy's functions");
  return lua_yield(L, lua_gettop(L));
}

/* eddy.coroutine.install(): makes these the global `coroutine`   [-0, +0, m] */
static int l_install(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setglobal(L, LUA_COLIBNAME);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setfield(L, -2, LUA_COLIBNAME);
  return 0;
}

/* [-0, +0, m] */
void eddy__nested_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"create", l_create},
                                       {"resume", l_resume},
                                       {"wrap", l_wrap},
                                       {"close", l_close},
                                       {"status", l_status},
                                       {"yield", l_yield},
                                       {NULL, NULL}};
  static const char *const as_they_are[] = {"isyieldable", "running", NULL};
  lua_newtable(L);
  eddy__runtime_functions(L, rt, functions);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_COLIBNAME);
  for (int i = 0; lua_istable(L, -1) && as_they_are[i] != NULL; i++) {
    lua_getfield(L, -1, as_they_are[i]);
    lua_setfield(L, -4, as_they_are[i]);
  }
  lua_pop(L, 2);
  eddy__runtime_push(L);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, l_install, 2);
  lua_setfield(L, -2, "install");
  lua_setfield(L, -2, "coroutine");
}
