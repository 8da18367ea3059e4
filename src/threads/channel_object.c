/* SPDX-License-Identifier: MIT */
/*
 * channel_object.c - the Channel as Lua sees it: each state has one object for each channel that it knows.
 * Uses:   channel.h, core/select.h.      Used by: threads.c.
 * Touch:  freely.
 */
#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/select.h"
#include "threads/channel.h"
#include "threads/executor.h"

static const eddy__type type_channel = {"Channel"}, type_box = {"eddy.party"};

enum {
  MOST = 1 << 28
};
enum {
  SELF = 1,
  ITEM,
  BOX = 3
}; /* the frame of a suspended send or recv */

typedef struct channel {
  eddy__channel *shared; /* first: see eddy__shareable_register */
  eddy__list watchers; /* of select: told when there may be something to receive */
  eddy__party *watch; /* of this state, for them; or NULL */
} channel;

/* [-0, +0, v] */
static channel *check(lua_State *L) {
  channel *ch = eddy__object_check(L, SELF, &type_channel);
  if (ch->shared == NULL) eddy__error_throw(L, EDDY_E_RUNTIME, "the channel was finalized by hand");
  return ch;
}

/* --- one object for each channel ---------------------------------------------------------------------------------- */

static void drop_watch(channel *ch) {
  bool told;
  if (ch->watch != NULL) eddy__party_drop(ch->watch, false, &told);
  ch->watch = NULL;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  channel *ch = eddy__object_check(L, SELF, &type_channel);
  if (ch->shared == NULL) return 0;
  drop_watch(ch);
  eddy__channel_release(ch->shared);
  ch->shared = NULL;
  return 0;
}

/* This state's object for the channel, which takes over one reference.   [-0, +1, m] */
static void push_channel(lua_State *L, void *shared) {
  if (eddy__object_push(L, shared)) {
    eddy__channel_release(shared);
    return;
  }
  channel *ch = eddy__object_new(L, &type_channel, sizeof *ch, 0);
  eddy__list_init(&ch->watchers);
  eddy__object_remember(L, -1, shared);
  ch->shared = shared;
}

/* eddy.Channel([capacity]) -> Channel   [-0, +1, v] */
static int l_new(lua_State *L) {
  lua_Integer capacity = eddy__opt_integer(L, 1, 0);
  eddy__arg_check(L, capacity >= 0 && capacity <= MOST, 1, "capacity out of range");
  channel *ch = eddy__object_new(L, &type_channel, sizeof *ch, 0);
  eddy__list_init(&ch->watchers);
  ch->shared = eddy__channel_new((size_t)capacity);
  if (ch->shared == NULL) return luaL_error(L, "not enough memory");
  eddy__object_remember(L, -1, ch->shared);
  return 1;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* The wait is over, however: 1 the box.   [-0, +0, -] */
static int l_box_gc(lua_State *L) {
  eddy__party **box = eddy__object_check(L, 1, &type_box);
  bool told;
  if (*box != NULL) eddy__parcel_free(eddy__party_drop(*box, true, &told));
  *box = NULL;
  return 0;
}

static void on_told(eddy__party *party) { eddy__task_wake_from(party->owner, party); }

/* Pushes a box with a party of the task at BOX.   [-0, +1, v] */
static eddy__party *push_party(lua_State *L, channel *ch, eddy__task *task, int kind) {
  lua_settop(L, ITEM);
  eddy__party **box = eddy__object_new(L, &type_box, sizeof *box, 0);
  *box = eddy__party_new(ch->shared, task->future.loop, kind);
  if (*box == NULL) luaL_error(L, "not enough memory");
  (*box)->on_told = on_told;
  (*box)->owner = task;
  task->waits_for = *box;
  return *box;
}

/* Takes the party out of the box.   [-0, +0, -] */
static eddy__parcel *drop_party(lua_State *L, bool back, bool *told) {
  eddy__party **box = lua_touserdata(L, BOX), *party = *box;
  *box = NULL;
  return eddy__party_drop(party, back, told);
}

static void cancel_wait(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__cancel_wait(task); /* the party leaves when the task runs: what it is given meanwhile goes back */
}

static const eddy__wait wait_send = {"Channel:send", cancel_wait, false};
static const eddy__wait wait_recv = {"Channel:recv", cancel_wait, false};

/* --- send --------------------------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static int raise_closed(lua_State *L, const char *name) {
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the channel is closed", name);
}

static int k_send(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  bool told, cancelled = eddy__wake_cancelled(task);
  eddy__parcel *parcel = drop_party(L, false, &told);
  if (told && parcel == NULL) { /* it is sent; a cancellation comes with the next wait */
    eddy__wake_settle(task);
    task->must_cancel = cancelled;
    return 0;
  }
  eddy__parcel_free(parcel);
  eddy__wake_check(L, task);
  return raise_closed(L, "send");
}

/* [-0, +0, v] */
static channel *check_send(lua_State *L) {
  channel *ch = check(L);
  eddy__arg_check(L, !lua_isnoneornil(L, ITEM), ITEM, "nil cannot be sent");
  lua_settop(L, ITEM);
  return ch;
}

/* Sends without waiting. Returns what came of it; raises when it is closed.   [-0, +0, v] */
static int send_now(lua_State *L, channel *ch, const char *name) {
  eddy__parcel *parcel = eddy__parcel_pack(L, ITEM, 1, name, EDDY_PACK_ARGUMENTS);
  int rc = eddy__channel_send(ch->shared, parcel, NULL);
  if (rc == EDDY_CH_DONE) return rc;
  eddy__parcel_free(parcel);
  if (rc == EDDY_CH_NO_MEMORY) luaL_error(L, "not enough memory");
  if (rc == EDDY_CH_CLOSED) raise_closed(L, name);
  return rc;
}

/* channel:send(value)   [-0, +0, y] */
static int l_send(lua_State *L) {
  channel *ch = check_send(L);
  if (!eddy__channel_look(ch->shared).is_full && send_now(L, ch, "send") == EDDY_CH_DONE) return 0;
  eddy__task *task = eddy__running(L, "send");
  eddy__party *party = push_party(L, ch, task, EDDY_P_SENDS);
  eddy__parcel *parcel = eddy__parcel_pack(L, ITEM, 1, "send", EDDY_PACK_ARGUMENTS);
  int rc = eddy__channel_send(ch->shared, parcel, party);
  if (rc == EDDY_CH_WAIT) return eddy__suspend(L, task, &wait_send, k_send);
  bool told;
  drop_party(L, false, &told);
  if (rc == EDDY_CH_DONE) return 0;
  eddy__parcel_free(parcel);
  return rc == EDDY_CH_CLOSED ? raise_closed(L, "send") : luaL_error(L, "not enough memory");
}

/* channel:try_send(value) -> whether there was room   [-0, +1, v] */
static int l_try_send(lua_State *L) {
  channel *ch = check_send(L);
  lua_pushboolean(L, send_now(L, ch, "try_send") == EDDY_CH_DONE);
  return 1;
}

/* --- recv --------------------------------------------------------------------------------------------------------- */

static int k_recv(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  bool told;
  eddy__parcel *parcel = drop_party(L, eddy__wake_cancelled(task), &told);
  eddy__wake_check(L, task);
  if (parcel == NULL) return 0; /* closed */
  return eddy__parcel_unpack(L, parcel);
}

/* channel:recv() -> value, or nil when it is closed and empty   [-0, +1, y] */
static int l_recv(lua_State *L) {
  channel *ch = check(L);
  eddy__parcel *parcel;
  lua_settop(L, SELF);
  int rc = eddy__channel_recv(ch->shared, &parcel, NULL);
  if (rc == EDDY_CH_WAIT) {
    eddy__task *task = eddy__running(L, "recv");
    eddy__party *party = push_party(L, ch, task, EDDY_P_RECEIVES);
    rc = eddy__channel_recv(ch->shared, &parcel, party);
    if (rc == EDDY_CH_WAIT) return eddy__suspend(L, task, &wait_recv, k_recv);
    bool told;
    drop_party(L, false, &told);
  }
  return rc == EDDY_CH_DONE ? eddy__parcel_unpack(L, parcel) : 0;
}

/* channel:try_recv() -> value, or nil when there is none   [-0, +1, v] */
static int l_try_recv(lua_State *L) {
  channel *ch = check(L);
  eddy__parcel *parcel;
  if (eddy__channel_recv(ch->shared, &parcel, NULL) != EDDY_CH_DONE) return 0;
  return eddy__parcel_unpack(L, parcel);
}

/* channel:close(): twice is fine   [-0, +0, v] */
static int l_close(lua_State *L) {
  eddy__channel_close(check(L)->shared);
  return 0;
}

/* channel:is_closed()   [-0, +1, v] */
static int l_is_closed(lua_State *L) {
  lua_pushboolean(L, eddy__channel_look(check(L)->shared).closed);
  return 1;
}

/* #channel: how many messages lie in it   [-0, +1, v] */
static int l_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)eddy__channel_look(check(L)->shared).messages);
  return 1;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__channel_view view = eddy__channel_look(check(L)->shared);
  lua_pushfstring(L, "<Channel %I/%I", (LUAI_UACINT)view.messages, (LUAI_UACINT)view.capacity);
  if (view.senders > 0) lua_pushfstring(L, " senders[%I]", (LUAI_UACINT)view.senders);
  if (view.receivers > 0) lua_pushfstring(L, " receivers[%I]", (LUAI_UACINT)view.receivers);
  lua_pushstring(L, view.closed ? " closed>" : ">");
  lua_concat(L, lua_gettop(L) - SELF);
  return 1;
}

/* --- select ------------------------------------------------------------------------------------------------------- */

static void on_watch(eddy__party *party) { eddy__select_tell(&((channel *)party->owner)->watchers); }

static bool is_idle(const eddy__party *party) { return eddy__list_empty(&((channel *)party->owner)->watchers); }

/* [-0, +0, -] */
static bool is_ready(lua_State *L, int idx) {
  channel *ch = lua_touserdata(L, idx);
  return ch->shared == NULL || eddy__channel_look(ch->shared).is_ready;
}

/* Another thread may be faster, so looking is not enough.   [-0, +(0|1), v] */
static int try_take(lua_State *L, int idx) {
  channel *ch = lua_touserdata(L, idx);
  eddy__parcel *parcel;
  if (ch->shared == NULL) eddy__error_throw(L, EDDY_E_RUNTIME, "the channel was finalized by hand");
  int rc = eddy__channel_recv(ch->shared, &parcel, NULL);
  if (rc == EDDY_CH_WAIT) return -1;
  if (rc == EDDY_CH_DONE) return eddy__parcel_unpack(L, parcel);
  lua_pushnil(L);
  return 1;
}

/* [-0, +0, v] */
static eddy__list *watch(lua_State *L, int idx) {
  channel *ch = lua_touserdata(L, idx);
  eddy__loop *loop = eddy__runtime_of(L)->loop;
  if (ch->watch != NULL && ch->watch->box != loop->mailbox) drop_watch(ch); /* of a loop before this one */
  if (ch->watch == NULL) {
    ch->watch = eddy__party_new(ch->shared, loop, EDDY_P_WATCHES);
    if (ch->watch == NULL) luaL_error(L, "not enough memory");
    ch->watch->on_told = on_watch;
    ch->watch->is_idle = is_idle;
    ch->watch->owner = ch;
  }
  eddy__channel_watch(ch->shared, ch->watch);
  return &ch->watchers;
}

/* --- the room ----------------------------------------------------------------------------------------------------- */

/* [-0, +0, m] */
void eddy__channel_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"send", l_send},
                                     {"recv", l_recv},
                                     {"try_send", l_try_send},
                                     {"try_recv", l_try_recv},
                                     {"close", l_close},
                                     {"is_closed", l_is_closed},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__call", l_recv},
                                  {"__close", l_close},
                                  {"__gc", l_gc},
                                  {"__len", l_len},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg box_meta[] = {{"__gc", l_box_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"Channel", l_new}, {NULL, NULL}};
  static const eddy__selectable select = {is_ready, watch, NULL, try_take};
  static const eddy__shareable shareable = {"Channel", eddy__channel_retain, eddy__channel_release, push_channel};
  eddy__object_type(L, &type_channel, NULL, methods, meta, lua_gettop(L) - 1);
  eddy__selectable_set(L, &select);
  eddy__shareable_register(L, lua_gettop(L), &shareable);
  eddy__object_type(L, &type_box, NULL, NULL, box_meta, 0);
  lua_pop(L, 2);
  eddy__runtime_functions(L, rt, functions);
}
