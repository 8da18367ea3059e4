/* SPDX-License-Identifier: MIT */
/*
 * queue.c - Queue, LifoQueue, PriorityQueue; see queue.h.
 * Touch:  with care: a task that was told of an item (or of room) and does not take it must tell the next one.
 *
 * An item lies in the queue until a task that runs takes it: a getter that is told and then cancelled leaves it there.
 * A get finds an item at once, although a getter may have been told of it; that getter goes back to its old place.
 */
#include "core/queue.h"

#include <lauxlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/weak.h"
#include "core/select.h"

static const eddy__type type_queue = {"Queue"};

enum { FIFO, LIFO, PRIORITY }; /* kinds */
static const char *const names[] = {"Queue", "LifoQueue", "PriorityQueue"};

enum { FIRST_CAP = 4, KEPT_CAP = 1024, MOST_CAP = 1 << 28 };

/* User values: the table of items, the function that makes keys; and the items of a ring that has no table, as it has
 * no more than FIRST_CAP places. */
enum { UV_ITEMS = 1, UV_KEY, UV_FIRST, UV_COUNT = UV_KEY + FIRST_CAP };

enum { SELF = 1, ITEM, KEY }; /* the frame of put; that of get begins alike */

typedef struct queue {
  eddy__line getters, putters, joiners;
  eddy__list watchers; /* of select: told of what no getter is there for */
  size_t n, cap; /* items; places for them, a power of two */
  size_t head;   /* of the ring: the place of the oldest */
  lua_Integer maxsize;
  uint64_t unfinished; /* items that were put and not yet told to be done */
  uint64_t changes;    /* how often items came or went: the order of equal ones */
  int kind;
  int plain; /* of a heap: LUA_TNUMBER or LUA_TSTRING if all keys are that: they compare without an error */
  bool shut_down;
} queue;

static bool is_full(const queue *q) { return q->maxsize > 0 && q->n >= (size_t)q->maxsize; }

/* --- items: a ring ------------------------------------------------------------------------------------------------ */

enum { HEAP_ITEM, HEAP_KEY, HEAP_ORDER, HEAP_STRIDE }; /* what a heap keeps of each item, side by side */

/* The place in the ring of the item i; the index of one value of the heap's node i. */
static size_t ring_place(const queue *q, size_t i) { return (q->head + i) & (q->cap - 1); }
static lua_Integer heap_index(size_t i, int what) {
  return (lua_Integer)i * HEAP_STRIDE + what + 1;
}

/* Whether it is a ring without a table: one call of Lua's API for each use of a place, not two. */
static bool is_short(const queue *q) { return q->kind != PRIORITY && q->cap == FIRST_CAP; }

/* Drops all items; a heap has been given a new table before.   [-0, +0, -] */
static void clear(lua_State *L, queue *q) {
  for (int i = UV_ITEMS; q->kind != PRIORITY && i <= UV_COUNT; i++) {
    if (i == UV_KEY) continue;
    lua_pushnil(L);
    lua_setiuservalue(L, SELF, i);
  }
  q->n = q->head = 0;
  q->cap = FIRST_CAP;
}

/* Moves the items to a table with `cap` places, all of them in its array: then using a place never needs memory.
 *   [-0, +0, m] */
static void resize(lua_State *L, queue *q, size_t cap) {
  if (cap > MOST_CAP) luaL_error(L, "too many items in a queue");
  int stride = q->kind == PRIORITY ? HEAP_STRIDE : 1;
  lua_createtable(L, (int)cap * stride, 0);
  if (cap <= q->n) { /* a finalizer that making the table has called has used the queue */
    lua_pop(L, 1);
    return;
  }
  lua_getiuservalue(L, SELF, UV_ITEMS); /* nil, if it is short */
  for (size_t i = 0; i < q->n; i++) {
    for (int what = 0; what < stride; what++) {
      if (is_short(q))
        lua_getiuservalue(L, SELF, UV_FIRST + (int)ring_place(q, i));
      else
        lua_rawgeti(L, -1, q->kind == PRIORITY ? heap_index(i, what) : (lua_Integer)ring_place(q, i) + 1);
      lua_rawseti(L, -3, (lua_Integer)i * stride + what + 1);
    }
  }
  lua_pop(L, 1);
  size_t n = q->n;
  if (is_short(q)) clear(L, q); /* they are the table's from here on */
  lua_setiuservalue(L, SELF, UV_ITEMS);
  q->n = n;
  q->cap = cap;
  q->head = 0;
}

/* Makes room for one more, again if a finalizer has used the queue meanwhile; a bounded queue that has been full needs
 * none.   [-0, +0, m] */
static void make_room(lua_State *L, queue *q) {
  while (q->n == q->cap) resize(L, q, q->cap * 2);
  if (q->n > 0 || q->cap <= KEPT_CAP || q->maxsize > 0) return;
  if (q->kind == PRIORITY) /* it was a long queue once */
    resize(L, q, FIRST_CAP);
  else
    clear(L, q);
}

/* Adds the item at ITEM to the ring.   [-0, +0, m] */
static void ring_add(lua_State *L, queue *q) {
  size_t at = ring_place(q, q->n);
  if (is_short(q)) {
    lua_pushvalue(L, ITEM);
    lua_setiuservalue(L, SELF, UV_FIRST + (int)at);
    return;
  }
  lua_getiuservalue(L, SELF, UV_ITEMS);
  lua_pushvalue(L, ITEM);
  lua_rawseti(L, -2, (lua_Integer)at + 1);
  lua_pop(L, 1);
}

/* Takes one out and pushes it, on top of something else perhaps.   [-0, +(1|2), -] */
static void ring_take(lua_State *L, queue *q) {
  size_t at = ring_place(q, q->kind == LIFO ? q->n - 1 : 0);
  if (q->kind == FIFO) q->head = ring_place(q, 1);
  if (is_short(q)) {
    lua_getiuservalue(L, SELF, UV_FIRST + (int)at);
    lua_pushnil(L);
    lua_setiuservalue(L, SELF, UV_FIRST + (int)at);
    return;
  }
  lua_getiuservalue(L, SELF, UV_ITEMS);
  lua_rawgeti(L, -1, (lua_Integer)at + 1);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -3, (lua_Integer)at + 1);
}

/* --- items: a heap ------------------------------------------------------------------------------------------------ */

/* Comparing may run a script's code, which may raise, or use this very queue. So the way through the heap is found
 * first, and the heap is changed when nothing can go wrong any more. The table of items is at the index t. */

/* Whether the keys at i and j are in order, i first; of equal ones the elder is first.   [-0, +0, e] */
static bool goes_before(lua_State *L, int t, size_t i, size_t j) {
  lua_rawgeti(L, t, heap_index(i, HEAP_KEY));
  lua_rawgeti(L, t, heap_index(j, HEAP_KEY));
  bool before = lua_compare(L, -2, -1, LUA_OPLT);
  if (!before && !lua_compare(L, -1, -2, LUA_OPLT)) {
    lua_rawgeti(L, t, heap_index(i, HEAP_ORDER));
    lua_rawgeti(L, t, heap_index(j, HEAP_ORDER));
    before = lua_tointeger(L, -2) < lua_tointeger(L, -1);
    lua_pop(L, 2);
  }
  lua_pop(L, 2);
  return before;
}

/* [-0, +0, -] */
static void heap_copy(lua_State *L, int t, size_t from, size_t to) {
  for (int what = 0; what < HEAP_STRIDE; what++) {
    lua_rawgeti(L, t, heap_index(from, what));
    lua_rawseti(L, t, heap_index(to, what));
  }
}

/* [-0, +0, v] */
static void check_unchanged(lua_State *L, const queue *q, uint64_t changes) {
  if (q->changes != changes)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the queue was used while its items were compared",
                      eddy__arg_function(L));
}

/* [-0, +0, v] */
static void check_not_shut_down(lua_State *L, const queue *q) {
  if (q->shut_down) eddy__error_throw(L, EDDY_E_QUEUE_SHUT_DOWN, "'put': the queue was shut down");
}

/* Whether comparing the item at KEY with others may raise. */
static bool is_risky(lua_State *L, const queue *q) {
  return q->kind == PRIORITY && q->n > 0 && lua_type(L, KEY) != q->plain;
}

/* Adds the item at ITEM with its key at KEY.   [-0, +0, e] */
static void heap_add(lua_State *L, queue *q) {
  uint64_t changes = q->changes;
  size_t at = q->n;
  lua_getiuservalue(L, SELF, UV_ITEMS);
  int t = lua_gettop(L);
  for (; at > 0; at = (at - 1) / 2) {
    lua_rawgeti(L, t, heap_index((at - 1) / 2, HEAP_KEY));
    bool up = lua_compare(L, KEY, -1, LUA_OPLT);
    lua_pop(L, 1);
    if (!up) break;
  }
  check_unchanged(L, q, changes);
  check_not_shut_down(L, q);
  for (size_t i = q->n; i > at; i = (i - 1) / 2) heap_copy(L, t, (i - 1) / 2, i);
  lua_pushvalue(L, ITEM);
  lua_rawseti(L, t, heap_index(at, HEAP_ITEM));
  lua_pushvalue(L, KEY);
  lua_rawseti(L, t, heap_index(at, HEAP_KEY));
  lua_pushinteger(L, (lua_Integer)changes);
  lua_rawseti(L, t, heap_index(at, HEAP_ORDER));
  lua_settop(L, t - 1);
  int type = lua_type(L, KEY);
  if (q->n == 0)
    q->plain = type == LUA_TNUMBER || type == LUA_TSTRING ? type : LUA_TNIL;
  else if (type != q->plain)
    q->plain = LUA_TNIL;
}

/* Takes the first one out and pushes it, on top of something else.   [-0, +2, e] */
static void heap_take(lua_State *L, queue *q) {
  uint64_t changes = q->changes;
  size_t way[64], steps = 0, last = q->n - 1, hole = 0;
  lua_getiuservalue(L, SELF, UV_ITEMS);
  int t = lua_gettop(L);
  for (size_t child; (child = 2 * hole + 1) < last; hole = child) {
    if (child + 1 < last && goes_before(L, t, child + 1, child)) child++;
    way[steps++] = child;
  }
  while (steps > 0 && goes_before(L, t, last, way[steps - 1])) steps--; /* the last one belongs far down */
  check_unchanged(L, q, changes);
  lua_rawgeti(L, t, heap_index(0, HEAP_ITEM));
  hole = 0;
  for (size_t i = 0; i < steps; hole = way[i++]) heap_copy(L, t, way[i], hole);
  heap_copy(L, t, last, hole);
  for (int what = 0; what < HEAP_STRIDE; what++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, t, heap_index(last, what));
  }
}

/* --- put ---------------------------------------------------------------------------------------------------------- */

static const eddy__wait wait_put = {"Queue:put", eddy__line_cancel, true};
static const eddy__wait wait_get = {"Queue:get", eddy__line_cancel, true};
static const eddy__wait wait_join = {"Queue:join", eddy__line_cancel, true};

/* [-0, +0, v] */
static queue *check(lua_State *L) {
  queue *q = eddy__object_test(L, SELF, &type_queue);
  if (q == NULL) eddy__arg_expected(L, SELF, "Queue");
  return q;
}

/* Makes the frame of put.   [-0, +0, v] */
static queue *check_put(lua_State *L) {
  queue *q = check(L);
  eddy__arg_check(L, !lua_isnoneornil(L, ITEM), ITEM, "nil cannot be an item of a queue");
  if (q->kind != PRIORITY) return q;
  lua_settop(L, ITEM);
  if (lua_getiuservalue(L, SELF, UV_KEY) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushvalue(L, ITEM);
    return q;
  }
  lua_pushvalue(L, ITEM);
  lua_call(L, 1, 1);
  eddy__arg_check(L, !lua_isnil(L, KEY), ITEM, "its key is nil");
  return q;
}

/* There is an item: the first getter in line is told, or whoever watches. */
static void tell_getter(queue *q) {
  if (eddy__line_tell(&q->getters, NULL) == NULL) eddy__select_tell(&q->watchers);
}

/* Puts the item of the frame; there is room.   [-0, +0, e] */
static int put(lua_State *L, queue *q) {
  check_not_shut_down(L, q);
  make_room(L, q);
  if (q->kind == PRIORITY)
    heap_add(L, q);
  else
    ring_add(L, q);
  q->n++;
  q->changes++;
  q->unfinished++;
  tell_getter(q);
  return 0;
}

static int k_put(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  queue *q = eddy__container_of(task->waits_for, queue, putters);
  bool full = is_full(q), cancelled = eddy__wake_cancelled(task);
  /* what we may not be able to use is another's: telling one too many does no harm */
  if (!full && eddy__line_was_told(task) && (cancelled || is_risky(L, q)))
    eddy__line_tell(&q->putters, NULL);
  eddy__wake_check(L, task);
  if (!full || q->shut_down) return put(L, q);
  eddy__line_rejoin(&q->putters, task);
  return eddy__suspend(L, task, &wait_put, k_put);
}

/* queue:put(item)   [-0, +0, y] */
static int l_put(lua_State *L) {
  queue *q = check_put(L);
  if (!is_full(q) || q->shut_down) return put(L, q);
  eddy__task *task = eddy__running(L, "put");
  eddy__line_check(L, &q->putters, NULL, task, "put");
  eddy__line_join(&q->putters, task);
  return eddy__suspend(L, task, &wait_put, k_put);
}

/* queue:put_nowait(item)   [-0, +0, v] */
static int l_put_nowait(lua_State *L) {
  queue *q = check_put(L);
  if (is_full(q) && !q->shut_down)
    return eddy__error_throw(L, EDDY_E_QUEUE_FULL, "the queue is full");
  return put(L, q);
}

/* --- get ---------------------------------------------------------------------------------------------------------- */

/* Pushes the next item; there is one. Returns 1: it is on top.   [-0, +n, e] */
static int get(lua_State *L, queue *q) {
  if (q->kind == PRIORITY)
    heap_take(L, q);
  else
    ring_take(L, q);
  q->n--;
  q->changes++;
  eddy__line_tell(&q->putters, NULL);
  return 1;
}

/* The queue is empty and shut down: an iteration ends, a get raises.   [-0, +0, v] */
static int end_of_items(lua_State *L, bool iterating) {
  if (iterating) return 0;
  return eddy__error_throw(L, EDDY_E_QUEUE_SHUT_DOWN, "'get': the queue was shut down");
}

static int k_get(lua_State *L, int status, lua_KContext ctx);
static int k_next(lua_State *L, int status, lua_KContext ctx);

/* In the task again.   [-0, +1, y] */
static int resume_get(lua_State *L, eddy__task *task, bool iterating) {
  queue *q = eddy__container_of(task->waits_for, queue, getters);
  bool risky = q->kind == PRIORITY && q->plain == LUA_TNIL && q->n > 1;
  if (q->n > 0 && eddy__line_was_told(task) && (risky || eddy__wake_cancelled(task)))
    tell_getter(q);
  eddy__wake_check(L, task);
  if (q->n > 0) return get(L, q);
  if (q->shut_down) return end_of_items(L, iterating);
  eddy__line_rejoin(&q->getters, task);
  return eddy__suspend(L, task, &wait_get, iterating ? k_next : k_get);
}

static int k_get(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return resume_get(L, (eddy__task *)ctx, false);
}

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return resume_get(L, (eddy__task *)ctx, true);
}

/* [-0, +1, y] */
static int get_or_wait(lua_State *L, bool iterating) {
  queue *q = check(L);
  if (q->n > 0) return get(L, q);
  if (q->shut_down) return end_of_items(L, iterating);
  eddy__task *task = eddy__running(L, "get");
  eddy__line_check(L, &q->getters, NULL, task, "get");
  eddy__line_join(&q->getters, task);
  return eddy__suspend(L, task, &wait_get, iterating ? k_next : k_get);
}

/* queue:get() -> item   [-0, +1, y] */
static int l_get(lua_State *L) { return get_or_wait(L, false); }

/* The iterator of items: the next one, or nil at the end.   [-0, +1, y] */
static int l_next(lua_State *L) { return get_or_wait(L, true); }

/* queue:items() -> iterator, until the queue is shut down and empty   [-0, +2, v] */
static int l_items(lua_State *L) {
  check(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, l_next, 1);
  lua_pushvalue(L, SELF);
  return 2;
}

/* queue:get_nowait() -> item   [-0, +1, v] */
static int l_get_nowait(lua_State *L) {
  queue *q = check(L);
  if (q->n > 0) return get(L, q);
  if (q->shut_down) return end_of_items(L, false);
  return eddy__error_throw(L, EDDY_E_QUEUE_EMPTY, "the queue is empty");
}

/* --- join, task_done, shutdown -------------------------------------------------------------------------------- */

/* So many items are done; the last of them wakes those who join. */
static void finish(queue *q, uint64_t n) {
  q->unfinished -= n < q->unfinished ? n : q->unfinished;
  if (q->unfinished > 0) return;
  while (eddy__line_tell(&q->joiners, NULL) != NULL) continue;
}

/* queue:task_done()   [-0, +0, v] */
static int l_task_done(lua_State *L) {
  queue *q = check(L);
  if (q->unfinished == 0)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'task_done' was called more often than items were put");
  finish(q, 1);
  return 0;
}

static int k_join(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__wake_check(L, (eddy__task *)ctx);
  return 0;
}

/* queue:join(): until all items that were put are done   [-0, +0, y] */
static int l_join(lua_State *L) {
  queue *q = check(L);
  lua_settop(L, SELF);
  if (q->unfinished == 0) return 0;
  eddy__task *task = eddy__running(L, "join");
  eddy__line_check(L, &q->joiners, NULL, task, "join");
  eddy__line_join(&q->joiners, task);
  return eddy__suspend(L, task, &wait_join, k_join);
}

/* queue:shutdown([immediate]): no more puts; gets until it is empty, or drops all items at once  [-0, +0, v] */
static int l_shutdown(lua_State *L) {
  queue *q = check(L);
  if (!lua_isnoneornil(L, 2) && !lua_isboolean(L, 2)) return eddy__arg_expected(L, 2, "boolean");
  bool immediate = lua_toboolean(L, 2);
  lua_settop(L, SELF);
  if (immediate) {
    if (q->kind == PRIORITY) {
      lua_createtable(L, FIRST_CAP * HEAP_STRIDE, 0);
      lua_setiuservalue(L, SELF, UV_ITEMS);
    }
    size_t dropped = q->n;
    clear(L, q);
    q->changes++;
    finish(q, dropped);
  }
  q->shut_down = true;
  while (eddy__line_tell(&q->getters, NULL) != NULL) continue;
  eddy__select_tell(&q->watchers);
  while (eddy__line_tell(&q->putters, NULL) != NULL) continue;
  return 0;
}

/* --- state ---------------------------------------------------------------------------------------------------- */

/* queue:qsize(), queue:empty(), queue:full()   [-0, +1, v] */
static int l_qsize(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check(L)->n);
  return 1;
}

static int l_empty(lua_State *L) {
  lua_pushboolean(L, check(L)->n == 0);
  return 1;
}

static int l_full(lua_State *L) {
  lua_pushboolean(L, is_full(check(L)));
  return 1;
}

/* Adds " what[n]" unless n is 0.   [-0, +0, m] */
static void add_count(lua_State *L, luaL_Buffer *b, const char *format, uint64_t n) {
  if (n == 0) return;
  lua_pushfstring(L, format, (LUAI_UACINT)n);
  luaL_addvalue(b);
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  queue *q = check(L);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lua_pushfstring(L, "<%s maxsize=%I", names[q->kind], (LUAI_UACINT)q->maxsize);
  luaL_addvalue(&b);
  add_count(L, &b, " items[%I]", q->n);
  add_count(L, &b, " getters[%I]", eddy__line_length(&q->getters));
  add_count(L, &b, " putters[%I]", eddy__line_length(&q->putters));
  add_count(L, &b, " tasks=%I", q->unfinished);
  luaL_addstring(&b, q->shut_down ? " shutdown>" : ">");
  luaL_pushresult(&b);
  return 1;
}

/* [-0, +0, v] */
static int l_gc(lua_State *L) {
  queue *q = check(L);
  while (!eddy__list_empty(&q->watchers)) eddy__list_remove(q->watchers.next);
  eddy__line_drop(&q->getters, NULL);
  eddy__line_drop(&q->putters, NULL);
  eddy__line_drop(&q->joiners, NULL);
  return 0;
}

/* --- making one ------------------------------------------------------------------------------------------------ */

/* The option table at 2 has a key function, which may be callable; pushes it or nil.   [-0, +1, v] */
static void push_key(lua_State *L) {
  lua_pushnil(L);
  if (!lua_istable(L, 2)) return;
  lua_pop(L, 1);
  if (lua_getfield(L, 2, "key") == LUA_TNIL || eddy__arg_callable(L, -1)) return;
  const char *got = eddy__arg_typename(L, -1);
  eddy__arg_error(L, 2, lua_pushfstring(L, "option 'key': function expected, got %s", got));
}

/* Copies the table at the top.   [-0, +1, m] */
static void copy_table(lua_State *L) {
  int from = lua_gettop(L);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, from);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, from + 1);
  }
}

/* Pushes the metatable for queues of this maxsize. That is a field; with an __index function for it, each call of a
 * method would take twice as long. So there is a metatable for each maxsize in use.   [-0, +1, m] */
static void push_meta(lua_State *L, lua_Integer maxsize) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, names);
  if (lua_rawgeti(L, -1, maxsize) == LUA_TNIL) {
    lua_pop(L, 1);
    eddy__object_meta(L, &type_queue);
    copy_table(L);
    lua_getfield(L, -1, "__index");
    copy_table(L);
    lua_pushinteger(L, maxsize);
    lua_setfield(L, -2, "maxsize");
    lua_setfield(L, -3, "__index");
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, maxsize);
    lua_remove(L, -2);
  }
  lua_remove(L, -2);
}

/* [-0, +0, -] */
static bool has_item(lua_State *L, int idx) {
  const queue *q = lua_touserdata(L, idx);
  return q->n > 0 || q->shut_down;
}

/* [-0, +0, -] */
static eddy__list *watch(lua_State *L, int idx) {
  return &((queue *)lua_touserdata(L, idx))->watchers;
}

static const eddy__selectable selectable = {has_item, watch, "get_nowait", NULL};

/* [-0, +1, v] */
static int new_queue(lua_State *L, int kind) {
  static const char *const none[] = {NULL}, *const options[] = {"key", NULL};
  if (!lua_isnoneornil(L, 1) && lua_type(L, 1) != LUA_TNUMBER)
    return eddy__arg_expected(L, 1, "integer");
  lua_Integer maxsize = eddy__opt_integer(L, 1, 0);
  eddy__check_options(L, 2, kind == PRIORITY ? options : none);
  lua_settop(L, 2);
  push_key(L);
  queue *q = eddy__object_new(L, &type_queue, sizeof *q, UV_COUNT);
  eddy__line_init(&q->getters);
  eddy__line_init(&q->putters);
  eddy__line_init(&q->joiners);
  eddy__list_init(&q->watchers);
  q->kind = kind;
  q->maxsize = maxsize;
  q->cap = FIRST_CAP;
  if (kind == PRIORITY) {
    lua_createtable(L, FIRST_CAP * HEAP_STRIDE, 0);
    lua_setiuservalue(L, -2, UV_ITEMS);
  }
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, UV_KEY);
  push_meta(L, maxsize);
  lua_setmetatable(L, -2);
  return 1;
}

/* eddy.Queue([maxsize]) -> Queue   [-0, +1, v] */
static int l_queue(lua_State *L) { return new_queue(L, FIFO); }

/* eddy.LifoQueue([maxsize]) -> Queue   [-0, +1, v] */
static int l_lifo_queue(lua_State *L) { return new_queue(L, LIFO); }

/* eddy.PriorityQueue([maxsize [, {key=}]]) -> Queue   [-0, +1, v] */
static int l_priority_queue(lua_State *L) { return new_queue(L, PRIORITY); }

/* [-0, +0, m] */
void eddy__queue_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"put", l_put},
                                     {"put_nowait", l_put_nowait},
                                     {"get", l_get},
                                     {"get_nowait", l_get_nowait},
                                     {"items", l_items},
                                     {"task_done", l_task_done},
                                     {"join", l_join},
                                     {"shutdown", l_shutdown},
                                     {"qsize", l_qsize},
                                     {"empty", l_empty},
                                     {"full", l_full},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {"__gc", l_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"Queue", l_queue},
                                       {"LifoQueue", l_lifo_queue},
                                       {"PriorityQueue", l_priority_queue},
                                       {NULL, NULL}};
  eddy__object_type(L, &type_queue, NULL, methods, meta, lua_gettop(L) - 1);
  eddy__selectable_set(L, &selectable);
  lua_pop(L, 1);
  eddy__weak_single(L, names, "v"); /* maxsize -> metatable, while there are such queues */
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
