/* SPDX-License-Identifier: MIT */
/*
 * sync.c - Lock, Semaphore, Event, Condition; see sync.h.
 * Uses:   line.h, coroutine.h.      Used by: eddy.c.
 * Touch:  with care: what was taken must be given back before anything can raise.
 *
 * A Lock is a semaphore of one permit. A release hands its permit to the first in line at once, so that nobody who
 * comes later gets it first; until the task runs, the permit is neither free nor taken, which `told` remembers.
 */
#include "core/sync.h"

#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/coroutine.h"

/* Pushes what a text says about n waiters.   [-0, +1, m] */
static void push_waiters(lua_State *L, size_t n) {
  if (n == 0)
    lua_pushliteral(L, "");
  else
    lua_pushfstring(L, ", waiters:%I", (LUAI_UACINT)n);
}

/* --- permits: Lock and Semaphore ---------------------------------------------------------------------------------- */

static const eddy__type type_lock = {"Lock"}, type_semaphore = {"Semaphore"}, type_hold = {"Hold"};
static const eddy__type type_condition = {"Condition"};

typedef struct permits {
  const eddy__type *type; /* type_lock or type_semaphore */
  eddy__line line;
  eddy__list told;   /* each of these was handed a permit that it does not know of yet */
  size_t handed;     /* how many permits; more than `told` has tasks if a script has closed one of those */
  lua_Integer value; /* free permits; with a line only while somebody is told, who will see to them */
  lua_Integer bound; /* the most there may be */
} permits;

enum { UV_HOLD = 1 }; /* of a Lock or Semaphore: its Hold, made when it is first asked for */
enum { UV_LOCK = 1 }; /* of a Hold or a Condition: the Lock or Semaphore */

/* The Lock or Semaphore at 1; a Condition there is replaced by its Lock.   [-0, +0, v] */
static permits *check(lua_State *L) {
  void *p;
  uint64_t stamp = eddy__object_look(L, 1, &p);
  if (stamp == eddy__object_stamp(&type_lock) || stamp == eddy__object_stamp(&type_semaphore)) return p;
  if (eddy__object_test(L, 1, &type_condition) == NULL)
    eddy__arg_expected(L, 1, "Lock, Semaphore or Condition");
  lua_getiuservalue(L, 1, UV_LOCK);
  lua_replace(L, 1);
  return lua_touserdata(L, 1);
}

static bool is_lock(const permits *p) { return p->type == &type_lock; }

/* Hands a free permit to the first in line. Returns whether there were both. */
static bool hand_one(permits *p) {
  if (p->value == 0 || eddy__line_tell(&p->line, &p->told) == NULL) return false;
  p->value--;
  p->handed++;
  return true;
}

static void hand_out(permits *p) {
  while (hand_one(p)) continue;
}

/* Whether a task holds the Lock, or all permits are out. */
static bool is_locked(const permits *p) {
  if (is_lock(p)) return p->value == 0 && p->handed == 0;
  return p->value == 0 || p->handed > 0 || !eddy__list_empty(&p->line.tasks);
}

/* Takes a free permit, unless somebody came before.   [-0, +0, -] */
static bool take(permits *p) {
  if (p->value == 0 || p->handed > 0 || !eddy__list_empty(&p->line.tasks)) return false;
  p->value--;
  return true;
}

/* Takes back the permits of those who will never know of them.   [-0, +0, -] */
static void recover(permits *p) {
  size_t told = eddy__line_count(&p->told);
  if (p->handed == told) return;
  p->value += (lua_Integer)(p->handed - told);
  p->handed = told;
  hand_out(p);
}

/* [-0, +0, v] */
static void release(lua_State *L, permits *p) {
  if (is_lock(p) && !is_locked(p))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'release': the Lock is not locked");
  if (p->value >= p->bound)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'release': the Semaphore was released too many times");
  p->value++;
  (void)hand_one(p);
}

static const eddy__wait wait_lock = {"Lock:acquire", eddy__line_cancel, true};
static const eddy__wait wait_semaphore = {"Semaphore:acquire", eddy__line_cancel, true};

/* Takes a permit, at once or after a wait that goes on in k. Returns whether it was at once; otherwise the caller
 * returns suspend_for.   [-0, +0, v] */
static bool take_or_join(lua_State *L, permits *p, const char *name) {
  if (take(p)) return true;
  eddy__task *task = eddy__running(L, name);
  eddy__line_check(L, &p->line, &p->told, task, name);
  recover(p);
  if (take(p)) return true;
  eddy__line_join(&p->line, task);
  return false;
}

/* Suspends the running task, which has joined the line.   [-0, +n, y] */
static int suspend_for(lua_State *L, const permits *p, lua_KFunction k) {
  eddy__task *task = eddy__runtime_of(L)->current;
  return eddy__suspend(L, task, is_lock(p) ? &wait_lock : &wait_semaphore, k);
}

/* In the task again: it has a permit now, or raises.   [-0, +0, v] */
static void take_over(lua_State *L, eddy__task *task) {
  permits *p = lua_touserdata(L, 1);
  eddy__list_remove(&task->waiter.link); /* from told */
  if (eddy__line_was_told(task)) {
    p->handed--;
    if (eddy__wake_cancelled(task)) p->value++;
  }
  hand_out(p); /* who came while there was a free permit, but we were told first */
  eddy__wake_check(L, task);
}

static int k_acquire(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  take_over(L, (eddy__task *)ctx);
  lua_pushboolean(L, 1);
  return 1;
}

/* lock:acquire() -> true   [-0, +1, y] */
static int l_acquire(lua_State *L) {
  permits *p = check(L);
  lua_settop(L, 1);
  if (!take_or_join(L, p, "acquire")) return suspend_for(L, p, k_acquire);
  lua_pushboolean(L, 1);
  return 1;
}

/* lock:release()   [-0, +0, v] */
static int l_release(lua_State *L) {
  release(L, check(L));
  return 0;
}

/* lock:locked() -> whether an acquire would have to wait for a release   [-0, +1, v] */
static int l_locked(lua_State *L) {
  lua_pushboolean(L, is_locked(check(L)));
  return 1;
}

/* --- hold and with ------------------------------------------------------------------------------------------- */

/* Makes the Hold of the object at 1 unless it has one. It has no state, so that one is enough for all who
 * hold.   [-0, +0, m] */
static void make_hold(lua_State *L) {
  if (lua_getiuservalue(L, 1, UV_HOLD) == LUA_TNIL) {
    eddy__object_new(L, &type_hold, 1, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, UV_LOCK);
    lua_setiuservalue(L, 1, UV_HOLD);
  }
  lua_pop(L, 1);
}

/* The scope ends.   [-0, +0, v] */
static int l_hold_close(lua_State *L) {
  if (eddy__object_test(L, 1, &type_hold) == NULL) return eddy__arg_expected(L, 1, "Hold");
  lua_getiuservalue(L, 1, UV_LOCK);
  release(L, lua_touserdata(L, -1));
  return 0;
}

static int k_hold(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  take_over(L, (eddy__task *)ctx);
  lua_getiuservalue(L, 1, UV_HOLD);
  return 1;
}

/* lock:hold() -> a closing value, which releases it   [-0, +1, y] */
static int l_hold(lua_State *L) {
  permits *p = check(L);
  lua_settop(L, 1);
  make_hold(L);
  if (!take_or_join(L, p, "hold")) return suspend_for(L, p, k_hold);
  lua_getiuservalue(L, 1, UV_HOLD);
  return 1;
}

/* 1: the object, which is held now; f and its arguments.   [-0, +n, y] */
static int call_held(lua_State *L) {
  lua_getiuservalue(L, 1, UV_HOLD);
  lua_replace(L, 1);
  lua_toclose(L, 1);
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, eddy__k_return);
  return eddy__k_return(L, LUA_OK, 1);
}

static int k_with(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  take_over(L, (eddy__task *)ctx);
  return call_held(L);
}

/* lock:with(f, ...) -> f's results   [-0, +n, y] */
static int l_with(lua_State *L) {
  permits *p = check(L);
  eddy__check_function(L, 2);
  eddy__coroutine_unwrap(L, 2);
  luaL_checkstack(L, 8, NULL);
  make_hold(L);
  if (!take_or_join(L, p, "with")) return suspend_for(L, p, k_with);
  return call_held(L);
}

/* --- Lock and Semaphore: made and shown -------------------------------------------------------------------------- */

/* [-0, +1, v] */
static int l_permits_tostring(lua_State *L) {
  permits *p = check(L);
  const char *name = "Lock", *state = is_locked(p) ? "locked" : "unlocked";
  push_waiters(L, eddy__line_length(&p->line) + eddy__line_count(&p->told));
  const char *waiters = lua_tostring(L, -1);
  if (!is_lock(p)) name = p->bound < LUA_MAXINTEGER ? "BoundedSemaphore" : "Semaphore";
  if (is_lock(p) || is_locked(p))
    lua_pushfstring(L, "<%s %s%s>", name, state, waiters);
  else
    lua_pushfstring(L, "<%s %s, value:%I%s>", name, state, (LUAI_UACINT)p->value, waiters);
  return 1;
}

/* [-0, +0, v] */
static int l_permits_gc(lua_State *L) {
  permits *p = check(L);
  eddy__line_drop(&p->line, &p->told);
  return 0;
}

/* [-0, +1, m] */
static permits *push_permits(lua_State *L, const eddy__type *type, lua_Integer value,
                             lua_Integer bound) {
  permits *p = eddy__object_new(L, type, sizeof *p, 1);
  eddy__line_init(&p->line);
  eddy__list_init(&p->told);
  p->value = value;
  p->bound = bound;
  p->type = type;
  return p;
}

/* eddy.Lock() -> Lock   [-0, +1, m] */
static int l_lock(lua_State *L) {
  push_permits(L, &type_lock, 1, 1);
  return 1;
}

/* How many permits; 1 if that is not said.   [-0, +0, v] */
static lua_Integer check_value(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return 1;
  if (lua_type(L, 1) != LUA_TNUMBER) eddy__arg_expected(L, 1, "integer");
  lua_Integer value = eddy__check_integer(L, 1);
  eddy__arg_check(L, value >= 0, 1, "a semaphore cannot have less than 0 permits");
  return value;
}

/* eddy.Semaphore([n]), eddy.BoundedSemaphore([n]) -> Semaphore   [-0, +1, v] */
static int l_semaphore(lua_State *L) {
  push_permits(L, &type_semaphore, check_value(L), LUA_MAXINTEGER);
  return 1;
}

static int l_bounded_semaphore(lua_State *L) {
  lua_Integer value = check_value(L);
  push_permits(L, &type_semaphore, value, value);
  return 1;
}

/* --- Event --------------------------------------------------------------------------------------------------- */

static const eddy__type type_event = {"Event"};

typedef struct event {
  eddy__line line;
  bool is_set;
} event;

static const eddy__wait wait_event = {"Event:wait", eddy__line_cancel, true};

static int k_event(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__wake_check(L, (eddy__task *)ctx);
  lua_pushboolean(L, 1);
  return 1;
}

/* event:wait() -> true   [-0, +1, y] */
static int l_event_wait(lua_State *L) {
  event *e = eddy__object_check(L, 1, &type_event);
  lua_settop(L, 1);
  if (e->is_set) {
    lua_pushboolean(L, 1);
    return 1;
  }
  eddy__task *task = eddy__running(L, "wait");
  eddy__line_check(L, &e->line, NULL, task, "wait");
  eddy__line_join(&e->line, task);
  return eddy__suspend(L, task, &wait_event, k_event);
}

/* event:set(): wakes all who wait   [-0, +0, v] */
static int l_event_set(lua_State *L) {
  event *e = eddy__object_check(L, 1, &type_event);
  e->is_set = true;
  while (eddy__line_tell(&e->line, NULL) != NULL) continue;
  return 0;
}

/* event:clear()   [-0, +0, v] */
static int l_event_clear(lua_State *L) {
  event *e = eddy__object_check(L, 1, &type_event);
  e->is_set = false;
  return 0;
}

/* event:is_set()   [-0, +1, v] */
static int l_event_is_set(lua_State *L) {
  event *e = eddy__object_check(L, 1, &type_event);
  lua_pushboolean(L, e->is_set);
  return 1;
}

/* [-0, +1, v] */
static int l_event_tostring(lua_State *L) {
  event *e = eddy__object_check(L, 1, &type_event);
  push_waiters(L, eddy__line_length(&e->line));
  lua_pushfstring(L, "<Event %s%s>", e->is_set ? "set" : "unset", lua_tostring(L, -1));
  return 1;
}

/* [-0, +0, v] */
static int l_event_gc(lua_State *L) {
  event *e = eddy__object_check(L, 1, &type_event);
  eddy__line_drop(&e->line, NULL);
  return 0;
}

/* eddy.Event() -> Event   [-0, +1, m] */
static int l_event(lua_State *L) {
  event *e = eddy__object_new(L, &type_event, sizeof *e, 0);
  eddy__line_init(&e->line);
  return 1;
}

/* --- Condition ------------------------------------------------------------------------------------------------- */

typedef struct condition {
  eddy__line line;
  permits *lock; /* the user value keeps it */
} condition;

/* The frame of wait and wait_for: the predicate is nil for wait; NOTIFIED, whether a notification has reached us, which
 * must be passed on if we raise. */
enum { CONDITION = 1, PREDICATE, NOTIFIED };

static const eddy__wait wait_condition = {"Condition:wait", eddy__line_cancel, true};

/* Waiting for the lock again, a task keeps its place however often it is cancelled: it may not leave without the lock.
 * The last request is raised when it has it. */
static void cancel_relock(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  task->must_cancel = true;
}

static const eddy__wait wait_relock = {"Condition:wait", cancel_relock, true};

static int k_wait(lua_State *L, int status, lua_KContext ctx);
static int k_relock(lua_State *L, int status, lua_KContext ctx);
static int k_predicate(lua_State *L, int status, lua_KContext ctx);

/* The running task's condition at 1, whose lock is held.   [-0, +0, v] */
static condition *check_held(lua_State *L, const char *name) {
  condition *c = eddy__object_check(L, 1, &type_condition);
  if (!is_locked(c->lock))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the lock of the Condition is not locked", name);
  return c;
}

/* Releases the lock and waits for a notification; the frame is as above.   [-0, +n, y] */
static int wait_notified(lua_State *L, condition *c, const char *name) {
  eddy__task *task = eddy__running(L, name);
  eddy__line_check(L, &c->line, NULL, task, name);
  eddy__line_check(L, &c->lock->line, &c->lock->told, task, name);
  release(L, c->lock);
  eddy__line_join(&c->line, task);
  return eddy__suspend(L, task, &wait_condition, k_wait);
}

/* Calls the predicate.   [-0, +n, y] */
static int ask_predicate(lua_State *L) {
  lua_pushvalue(L, PREDICATE);
  lua_callk(L, 0, LUA_MULTRET, 0, k_predicate);
  return k_predicate(L, LUA_OK, 0);
}

/* It has answered: what stands above the frame. The lock may be anybody's by now, if it has waited.  [-0, +n, y] */
static int k_predicate(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (lua_toboolean(L, NOTIFIED + 1)) return lua_gettop(L) - NOTIFIED;
  lua_settop(L, NOTIFIED);
  return wait_notified(L, check_held(L, "wait_for"), "wait_for");
}

/* The lock is ours again.   [-0, +n, y] */
static int end_wait(lua_State *L, condition *c, eddy__task *task) {
  if (eddy__wake_cancelled(task) && lua_toboolean(L, NOTIFIED)) eddy__line_tell(&c->line, NULL);
  eddy__wake_check(L, task);
  if (!lua_isnil(L, PREDICATE)) return ask_predicate(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* Notified or cancelled: in either case the lock comes first. */
static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  condition *c = lua_touserdata(L, CONDITION);
  lua_pushboolean(L, eddy__line_was_told(task));
  lua_replace(L, NOTIFIED);
  recover(c->lock);
  if (take(c->lock)) return end_wait(L, c, task);
  if (eddy__wake_cancelled(task)) task->must_cancel = true; /* cancel_relock is told at once, and keeps it */
  eddy__line_join(&c->lock->line, task);
  return eddy__suspend(L, task, &wait_relock, k_relock);
}

static int k_relock(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  condition *c = lua_touserdata(L, CONDITION);
  eddy__list_remove(&task->waiter.link); /* from told: the lock was handed to us */
  c->lock->handed--;
  return end_wait(L, c, task);
}

/* condition:wait() -> true   [-0, +1, y] */
static int l_wait(lua_State *L) {
  condition *c = check_held(L, "wait");
  lua_settop(L, CONDITION);
  lua_settop(L, NOTIFIED);
  return wait_notified(L, c, "wait");
}

/* condition:wait_for(predicate) -> what that returns   [-0, +n, y] */
static int l_wait_for(lua_State *L) {
  check_held(L, "wait_for");
  eddy__check_function(L, 2);
  eddy__coroutine_unwrap(L, 2);
  lua_settop(L, PREDICATE);
  lua_settop(L, NOTIFIED);
  return ask_predicate(L);
}

/* condition:notify([n]): wakes so many, 1 if that is not said   [-0, +0, v] */
static int l_notify(lua_State *L) {
  condition *c = eddy__object_check(L, 1, &type_condition);
  if (!lua_isnoneornil(L, 2) && lua_type(L, 2) != LUA_TNUMBER) eddy__arg_expected(L, 2, "integer");
  lua_Integer n = eddy__opt_integer(L, 2, 1);
  check_held(L, "notify");
  while (n-- > 0 && eddy__line_tell(&c->line, NULL) != NULL) continue;
  return 0;
}

/* condition:notify_all()   [-0, +0, v] */
static int l_notify_all(lua_State *L) {
  condition *c = check_held(L, "notify_all");
  while (eddy__line_tell(&c->line, NULL) != NULL) continue;
  return 0;
}

/* [-0, +1, v] */
static int l_condition_tostring(lua_State *L) {
  condition *c = eddy__object_check(L, 1, &type_condition);
  push_waiters(L, eddy__line_length(&c->line));
  lua_pushfstring(L, "<Condition %s%s>", is_locked(c->lock) ? "locked" : "unlocked",
                  lua_tostring(L, -1));
  return 1;
}

/* [-0, +0, v] */
static int l_condition_gc(lua_State *L) {
  condition *c = eddy__object_check(L, 1, &type_condition);
  eddy__line_drop(&c->line, NULL);
  return 0;
}

/* eddy.Condition([lock]) -> Condition   [-0, +1, v] */
static int l_condition(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    push_permits(L, &type_lock, 1, 1);
    lua_replace(L, 1);
  }
  permits *lock = eddy__object_check(L, 1, &type_lock);
  condition *c = eddy__object_new(L, &type_condition, sizeof *c, 1);
  eddy__line_init(&c->line);
  c->lock = lock;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, UV_LOCK);
  return 1;
}

/* [-0, +0, m] */
void eddy__sync_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg permit_methods[] = {{"acquire", l_acquire},
                                            {"release", l_release},
                                            {"locked", l_locked},
                                            {"hold", l_hold},
                                            {"with", l_with},
                                            {NULL, NULL}};
  static const luaL_Reg permit_meta[] = {
    {"__tostring", l_permits_tostring}, {"__gc", l_permits_gc}, {NULL, NULL}};
  static const luaL_Reg hold_meta[] = {{"__close", l_hold_close}, {NULL, NULL}};
  static const luaL_Reg event_methods[] = {{"wait", l_event_wait},
                                           {"set", l_event_set},
                                           {"clear", l_event_clear},
                                           {"is_set", l_event_is_set},
                                           {NULL, NULL}};
  static const luaL_Reg event_meta[] = {
    {"__tostring", l_event_tostring}, {"__gc", l_event_gc}, {NULL, NULL}};
  static const luaL_Reg condition_methods[] = {{"wait", l_wait},
                                               {"wait_for", l_wait_for},
                                               {"notify", l_notify},
                                               {"notify_all", l_notify_all},
                                               {NULL, NULL}};
  static const luaL_Reg condition_meta[] = {
    {"__tostring", l_condition_tostring}, {"__gc", l_condition_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"Lock", l_lock},
                                       {"Semaphore", l_semaphore},
                                       {"BoundedSemaphore", l_bounded_semaphore},
                                       {"Event", l_event},
                                       {"Condition", l_condition},
                                       {NULL, NULL}};
  int up = lua_gettop(L) - 1;
  eddy__object_type(L, &type_lock, NULL, permit_methods, permit_meta, up);
  eddy__object_type(L, &type_semaphore, NULL, permit_methods, permit_meta, up);
  eddy__object_type(L, &type_hold, NULL, NULL, hold_meta, up);
  eddy__object_type(L, &type_event, NULL, event_methods, event_meta, up);
  eddy__object_type(L, &type_condition, &type_lock, condition_methods, condition_meta, up);
  lua_pop(L, 5);
  eddy__runtime_functions(L, rt, functions);
}
