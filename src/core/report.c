/* SPDX-License-Identifier: MIT */
/*
 * report.c - errors that nobody takes, and how an error's story is told; see report.h.
 * Touch:  freely. A story begins where the error happened and goes outward, one await after the other.
 */
#include "core/report.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/carried.h"
#include "base/error.h"
#include "core/context.h"

static const eddy__type type_sentinel = {"Sentinel"};

enum { CHAIN_SHOWN = 12 }; /* awaits at each end of a long chain that a story shows */

/* --- stories ----------------------------------------------------------------------------------------- */

/* Whether a line of a traceback, or NULL, is about a file of eddy's. */
static bool is_own(const char *line) { return line != NULL && *line == '\t' && eddy__carried_is(line + 1); }

/* Adds the lines of a traceback that are about Lua code: eddy's own frames say nothing to a reader.
 *   [-0, +0, m] */
static void add_frames(luaL_Buffer *b, const char *traceback) {
  for (const char *line = traceback, *end; line != NULL && *line != '\0'; line = end) {
    end = strchr(line, '\n');
    size_t length = end != NULL ? (size_t)(++end - line) : strlen(line);
    bool skip = strncmp(line, "stack traceback:", 16) == 0 || strncmp(line, "\t[C]: in ?", 10) == 0 ||
                (strncmp(line, "\t[C]:", 5) == 0 && (strstr(line, "'error'") == NULL || is_own(end))) || is_own(line);
    if (skip) continue;
    luaL_addlstring(b, line, line[length - 1] == '\n' ? length - 1 : length);
    luaL_addchar(b, '\n');
  }
}

/* Pushes the lines for one future of the chain, at idx: who it is, its traceback. `outer`: it awaited the one before.
 *   [-0, +1, m] */
static void push_link(lua_State *L, int idx, bool outer) {
  eddy__future *f = lua_touserdata(L, idx);
  luaL_Buffer b;
  if (f->is_task)
    eddy__task_name(L, (eddy__task *)f, idx);
  else
    lua_pushliteral(L, "");
  const char *name = lua_tostring(L, -1);
  if (outer) {
    eddy__future_extra(L, idx, EDDY_EX_AWAITED_AT);
    const char *at = lua_tostring(L, -1);
    lua_pushfstring(L, "awaited by task '%s'%s%s\n", name, at != NULL ? " at " : "",
                    at != NULL ? at : "");
    lua_remove(L, -2);
  } else if (f->is_task) {
    lua_pushfstring(L, "stack traceback of task '%s':\n", name);
  } else {
    eddy__future_extra(L, idx, EDDY_EX_NAME); /* of one that stands for what happened elsewhere */
    if (lua_isstring(L, -1))
      lua_pushfstring(L, "stack traceback of %s:\n", lua_tostring(L, -1));
    else
      lua_pushliteral(L, "the exception of a future was set here:\n");
    lua_remove(L, -2);
  }
  lua_remove(L, -2);
  eddy__future_extra(L, idx, EDDY_EX_TRACEBACK);
  const char *traceback = lua_tostring(L, -1);
  int frames = lua_gettop(L);
  if (traceback == NULL) {
    lua_pop(L, 1);
    return;
  }
  luaL_buffinit(L, &b);
  add_frames(&b, traceback);
  luaL_pushresult(&b);
  lua_remove(L, frames);
  lua_concat(L, 2);
}

/* Pushes the list of the futures that the error of the one at idx went through, outermost first.   [-0, +1, m] */
static lua_Integer push_chain(lua_State *L, int idx) {
  lua_newtable(L);
  int chain = lua_gettop(L);
  lua_Integer n = 1;
  lua_pushvalue(L, idx);
  lua_rawseti(L, chain, 1);
  for (lua_pushvalue(L, idx); n < 1000000;) {
    eddy__future_extra(L, chain + 1, EDDY_EX_CAUSE);
    if (lua_isnil(L, -1)) break;
    lua_getiuservalue(L, chain + 1, EDDY_UV_VALUE);
    lua_getiuservalue(L, chain + 2, EDDY_UV_VALUE);
    if (!lua_rawequal(L, -1, -2)) break; /* it raised something else since */
    lua_pushvalue(L, chain + 2);
    lua_rawseti(L, chain, ++n);
    lua_pushvalue(L, chain + 2);
    lua_replace(L, chain + 1);
    lua_settop(L, chain + 1);
  }
  lua_settop(L, chain);
  return n;
}

/* The stories of the errors in a group stand in the error itself.   [-0, +0, m] */
static void append_group(lua_State *L, int error, int text) {
  if (!eddy__error_is(L, error, EDDY_E_GROUP)) return;
  lua_pushliteral(L, "stories");
  lua_rawget(L, error);
  if (!lua_istable(L, -1)) return;
  int stories = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, stories);
  for (lua_Integer i = 1; i <= n && i <= 20; i++) {
    lua_rawgeti(L, stories, i);
    if (lua_type(L, -1) == LUA_TSTRING) {
      luaL_gsub(L, lua_tostring(L, -1), "\n", "\n  | ");
      lua_pushvalue(L, text);
      lua_pushfstring(L, "  %I. ", (LUAI_UACINT)i);
      lua_pushvalue(L, -3);
      lua_pushliteral(L, "\n");
      lua_concat(L, 4);
      lua_replace(L, text);
    }
    lua_settop(L, stories);
  }
}

/* [-0, +1, m] */
const char *eddy__report_story(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 24, NULL);
  lua_Integer n = push_chain(L, idx);
  int chain = lua_gettop(L);
  lua_getiuservalue(L, idx, EDDY_UV_VALUE);
  int error = chain + 1, text = chain + 2;
  eddy__error_text(L, error);
  lua_pushliteral(L, "\n");
  lua_concat(L, 2);
  for (lua_Integer i = n; i >= 1; i--) {
    if (n > 2 * CHAIN_SHOWN && i == n - CHAIN_SHOWN) {
      lua_pushfstring(L, "... (%I more awaits)\n", (LUAI_UACINT)(n - 2 * CHAIN_SHOWN));
      lua_concat(L, 2);
      i = CHAIN_SHOWN + 1;
      continue;
    }
    lua_rawgeti(L, chain, i);
    push_link(L, lua_gettop(L), i != n);
    lua_remove(L, -2);
    lua_concat(L, 2);
  }
  lua_settop(L, text);
  append_group(L, error, text);
  lua_settop(L, text);
  const char *s = lua_tostring(L, text);
  size_t length = lua_rawlen(L, text);
  while (length > 0 && s[length - 1] == '\n') length--;
  lua_pushlstring(L, s, length);
  lua_replace(L, chain);
  lua_settop(L, chain);
  return lua_tostring(L, -1);
}

/* --- the exception handler --------------------------------------------------------------------------- */

/* Pushes the traceback at the top as a reader sees it; the task is at object, if there is one.   [-1, +1, m] */
static void push_traceback(lua_State *L, eddy__future *f, int object) {
  int traceback = lua_gettop(L);
  luaL_Buffer b;
  if (f != NULL && f->is_task) {
    eddy__task_name(L, (eddy__task *)f, object);
    lua_pushfstring(L, "stack traceback of task '%s':\n", lua_tostring(L, -1));
    lua_remove(L, -2);
  } else {
    lua_pushliteral(L, "stack traceback:\n");
  }
  luaL_buffinit(L, &b);
  add_frames(&b, lua_tostring(L, traceback));
  luaL_pushresult(&b);
  lua_concat(L, 2);
  lua_replace(L, traceback);
}

/* Writes the context at idx to stderr.   [-0, +0, m] */
static void write_context(lua_State *L, int idx) {
  lua_getfield(L, idx, "message");
  lua_writestringerror("eddy: %s\n", lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "error");
  lua_pop(L, 1);
  if (lua_getfield(L, idx, "task") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_getfield(L, idx, "future");
  }
  int object = lua_gettop(L);
  eddy__future *f = eddy__future_test(L, object);
  if (f != NULL && f->state == EDDY_F_FAILED) {
    lua_writestringerror("%s\n", eddy__report_story(L, -1));
    lua_pop(L, 1);
    eddy__future_extra(L, -1, EDDY_EX_MADE_AT);
    if (!lua_isnil(L, -1)) lua_writestringerror("the task was made at %s\n", lua_tostring(L, -1));
    return;
  }
  if (lua_getfield(L, idx, "exception") != LUA_TNIL)
    lua_writestringerror("%s\n", eddy__error_text(L, -1));
  if (lua_getfield(L, idx, "traceback") == LUA_TSTRING) {
    push_traceback(L, f, object);
    lua_writestringerror("%s", lua_tostring(L, -1));
  }
}

/* 1: the context. Writes it.   [-0, +0, m] */
static int write_protected(lua_State *L) {
  luaL_checkstack(L, 20, NULL);
  write_context(L, 1);
  return 0;
}

/* [-1, +0, m] */
void eddy__report_context(lua_State *L, eddy__loop *loop) {
  luaL_checkstack(L, 20, NULL);
  int context = lua_gettop(L);
  if (loop != NULL && loop->is_open) {
    eddy__loop_push_table(L, loop);
    if (lua_getfield(L, -1, "handler") != LUA_TNIL) {
      eddy__loop_push(L, loop);
      lua_pushvalue(L, context);
      if (lua_pcall(L, 2, 0, 0) == LUA_OK) {
        lua_settop(L, context - 1);
        return;
      }
      lua_writestringerror("eddy: the exception handler has failed: %s\n", eddy__error_text(L, -1));
    }
  }
  lua_settop(L, context);
  lua_pushcfunction(L, write_protected);
  lua_insert(L, context);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    eddy__report_last_resort(L, -1);
    lua_pop(L, 1);
  }
}

/* [-0, +0, m] */
void eddy__report(lua_State *L, eddy__loop *loop, const char *message, int exception,
                  const char *kind, int object) {
  luaL_checkstack(L, 20, NULL);
  if (exception != 0) exception = lua_absindex(L, exception);
  if (object != 0) object = lua_absindex(L, object);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  if (exception != 0) {
    lua_pushvalue(L, exception);
    lua_setfield(L, -2, "exception");
  }
  if (object != 0) {
    lua_pushvalue(L, object);
    lua_setfield(L, -2, kind);
  }
  eddy__report_context(L, loop);
}

void eddy__report_last_resort(lua_State *L, int idx) {
  const char *text = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : luaL_typename(L, idx);
  fprintf(stderr, "eddy: an error could not be reported: %s\n", text);
  fflush(stderr);
}

/* --- deadlocks ----------------------------------------------------------------------------------------- */

/* [-0, +1, m] */
void eddy__report_push_deadlock(lua_State *L, eddy__loop *loop) {
  luaL_Buffer b;
  luaL_checkstack(L, 20, NULL);
  lua_newtable(L);
  int list = lua_gettop(L);
  lua_Integer n = 0;
  for (eddy__list *l = loop->tasks.next; l != &loop->tasks; l = l->next) {
    eddy__task_push(L, eddy__container_of(l, eddy__task, live));
    luaL_tolstring(L, -1, NULL);
    lua_rawseti(L, list, ++n);
    lua_settop(L, list);
  }
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "every task waits and nothing can ever wake one:");
  for (lua_Integer i = 1; i <= n && i <= 100; i++) {
    luaL_addstring(&b, "\n  ");
    lua_rawgeti(L, list, i);
    luaL_addvalue(&b);
  }
  if (n > 100) luaL_addstring(&b, "\n  ...");
  luaL_pushresult(&b);
  eddy__error_wrap(L, EDDY_E_DEADLOCK);
  lua_replace(L, list);
}

/* The argument is the loop.   [-1, +0, m] */
static int report_deadlock(lua_State *L) {
  eddy__loop *loop = lua_touserdata(L, 1);
  eddy__report_push_deadlock(L, loop);
  eddy__report(L, loop, "the loop is in a deadlock", -1, NULL, 0);
  return 0;
}

void eddy__report_deadlock(eddy__loop *loop) {
  if (eddy__runtime_pcall(loop->rt, report_deadlock, loop) == LUA_OK) return;
  eddy__report_last_resort(loop->rt->L, -1);
  lua_pop(loop->rt->L, 1);
}

/* --- errors that nobody looks at --------------------------------------------------------------------- */

/* 1: a failed future, 2: the message.   [-0, +0, m] */
static int report_protected(lua_State *L) {
  eddy__future *f = lua_touserdata(L, 1);
  lua_getiuservalue(L, 1, EDDY_UV_VALUE);
  eddy__report(L, eddy__future_loop(f), lua_tostring(L, 2), 3, f->is_task ? "task" : "future", 1);
  return 0;
}

/* Reports the failed future at idx, in the context of its task. A collection may come in the middle of another task,
 * which has no part in this.   [-0, +0, m] */
static void report_future(lua_State *L, eddy__future *f, int idx, const char *when) {
  eddy__runtime *rt = f->loop->rt;
  eddy__task *running = rt->current;
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 20, NULL);
  lua_pushcfunction(L, report_protected);
  lua_pushvalue(L, idx);
  lua_pushfstring(L, "%s exception %s", f->is_task ? "Task" : "Future", when);
  eddy__future_retrieved(f);
  bool enter = f->is_task && rt->has_contexts && running != (eddy__task *)f;
  if (enter) {
    rt->current = NULL;
    eddy__context_of(L, idx);
    eddy__context_swap(L);
    lua_insert(L, -4); /* the one of before, below the call */
  }
  int rc = lua_pcall(L, 2, 0, 0);
  if (rc != LUA_OK) {
    eddy__report_last_resort(L, -1);
    lua_pop(L, 1);
  }
  if (enter) {
    eddy__context_swap(L);
    lua_pop(L, 1);
    rt->current = running;
  }
}

/* Its user value is the future; both are collected together.   [-0, +0, m] */
static int l_sentinel_gc(lua_State *L) {
  eddy__object_check(L, 1, &type_sentinel);
  lua_getiuservalue(L, 1, 1);
  eddy__future *f = lua_touserdata(L, -1);
  if (f != NULL && f->state == EDDY_F_FAILED && !f->retrieved)
    report_future(L, f, -1, "was never retrieved");
  return 0;
}

/* [-0, +0, m] */
void eddy__report_arm(lua_State *L, eddy__future *f, int idx) {
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 8, NULL);
  eddy__object_new(L, &type_sentinel, 1, 1);
  lua_pushvalue(L, idx);
  lua_setiuservalue(L, -2, 1);
  eddy__future_set_extra(L, idx, EDDY_EX_SENTINEL);
  if (!f->armed) f->loop->rt->unretrieved++;
  f->armed = true;
  f->loop->rt->collect = true;
}

/* [-0, +0, m] */
void eddy__report_at_end(lua_State *L, eddy__future *f, int idx) {
  report_future(L, f, idx, "while the loop was ending");
}

/* The argument is the address of a task that is anchored.   [-1, +0, m] */
static int report_task(lua_State *L) {
  eddy__task *task = lua_touserdata(L, 1);
  eddy__task_push(L, task);
  report_future(L, &task->future, -1, "could not be kept, for lack of memory");
  return 0;
}

void eddy__report_unarmed(lua_State *L, eddy__task *task) {
  if (eddy__runtime_pcall(task->future.loop->rt, report_task, task) == LUA_OK) return;
  eddy__report_last_resort(L, -1);
  lua_pop(L, 1);
}

/* [-0, +0, m] */
void eddy__report_room(lua_State *L, eddy__runtime *rt) {
  (void)rt;
  static const luaL_Reg meta[] = {{"__gc", l_sentinel_gc}, {NULL, NULL}};
  eddy__object_type(L, &type_sentinel, NULL, NULL, meta, 0);
  lua_pop(L, 1);
}
