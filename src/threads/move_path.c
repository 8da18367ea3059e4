/* SPDX-License-Identifier: MIT */
/*
 * move_path.c - where the value stands that cannot move: "argument 2.config.handlers[3]".
 * Uses:   move_pack.h.      Used by: move_pack.c.
 * Touch:  freely. While packing only the holder of each object is noted; here the keys are looked for again.
 */
#include <lauxlib.h>
#include <string.h>

#include "threads/move_pack.h"

static const char A_KEY[] = "a key of ", METATABLE[] = "the metatable of "; /* in brackets when more follows */

enum { SHOWN = 8, LONGEST = 60 }; /* steps at either end of a long path; bytes of a key */

/* The path so far is two strings on the stack, head and tail: "upvalue 'x'.y" and " of function <f.lua:3>". What comes
 * next is added to the head. */
enum { PACKER = 1, REFUSED, LISTS, HEAD, TAIL };

/* The head becomes what the format makes of it.   [-0, +0, m] */
static void set_head(lua_State *L, const char *format, const char *a, const char *b) {
  lua_pushfstring(L, format, a, b);
  lua_replace(L, HEAD);
}

static bool is_identifier(const char *text, size_t size) {
  if (size == 0 || size > LONGEST || (*text >= '0' && *text <= '9')) return false;
  for (size_t i = 0; i < size; i++) {
    char c = text[i];
    if (c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9')) return false;
  }
  return true;
}

/* Pushes `["a b"]`, on one line and cut when it is long.   [-0, +1, m] */
static void push_quoted(lua_State *L, const char *text, size_t size) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "[\"");
  for (size_t i = 0; i < size && i < LONGEST; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') luaL_addchar(&b, '\\');
    if (c < ' ' || c == 127) {
      static const char digits[] = "0123456789";
      char code[] = {'\\', digits[c / 100], digits[c / 10 % 10], digits[c % 10], '\0'};
      luaL_addstring(&b, code);
    } else {
      luaL_addchar(&b, (char)c);
    }
  }
  luaL_addstring(&b, size > LONGEST ? "...\"]" : "\"]");
  luaL_pushresult(&b);
}

/* Adds the key at the top to the head, and pops it.   [-1, +0, m] */
static void add_key(lua_State *L) {
  size_t size;
  const char *head = lua_tostring(L, HEAD), *text;
  switch (lua_type(L, -1)) {
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &size);
    if (is_identifier(text, size)) {
      set_head(L, "%s.%s", head, text);
    } else {
      push_quoted(L, text, size);
      set_head(L, "%s%s", head, lua_tostring(L, -1));
      lua_pop(L, 1);
    }
    break;
  case LUA_TNUMBER:
    lua_pushvalue(L, -1); /* lua_tostring would change the key itself */
    set_head(L, "%s[%s]", head, lua_tostring(L, -1));
    lua_pop(L, 1);
    break;
  case LUA_TBOOLEAN: set_head(L, "%s[%s]", head, lua_toboolean(L, -1) ? "true" : "false"); break;
  default: set_head(L, "%s[<%s>]", head, luaL_typename(L, -1));
  }
  lua_pop(L, 1);
}

/* Steps from the table at `holder` to the value at `value`.   [-0, +0, m] */
static void step_table(lua_State *L, int holder, int value) {
  const char *head = lua_tostring(L, HEAD);
  if (strncmp(head, A_KEY, strlen(A_KEY)) == 0 || strncmp(head, METATABLE, strlen(METATABLE)) == 0) {
    set_head(L, "(%s%s)", head, "");
    head = lua_tostring(L, HEAD);
  }
  for (lua_pushnil(L); lua_next(L, holder); lua_pop(L, 1)) {
    if (!lua_rawequal(L, -1, value)) continue;
    lua_pop(L, 1);
    add_key(L);
    return;
  }
  for (lua_pushnil(L); lua_next(L, holder); lua_pop(L, 1)) {
    if (!lua_rawequal(L, -2, value)) continue;
    lua_pop(L, 2);
    set_head(L, "%s%s", A_KEY, head);
    return;
  }
  set_head(L, "%s%s", METATABLE, head);
}

/* Pushes "function <app.lua:10>".   [-0, +1, m] */
static void push_function(lua_State *L, int f) {
  lua_Debug ar;
  lua_pushvalue(L, f);
  lua_getinfo(L, ">S", &ar);
  if (*ar.what == 'C')
    lua_pushliteral(L, "the function");
  else
    lua_pushfstring(L, *ar.what == 'm' ? "function <%s>" : "function <%s:%d>", ar.short_src, ar.linedefined);
}

/* Steps from the function at `holder` to the upvalue that has the value at `value`.   [-0, +0, m] */
static void step_function(lua_State *L, int holder, int value, bool is_called) {
  const char *name;
  for (int i = 1; (name = lua_getupvalue(L, holder, i)) != NULL; i++) {
    bool is = lua_rawequal(L, -1, value) && strcmp(name, "_ENV") != 0;
    lua_pop(L, 1);
    if (is) break;
  }
  push_function(L, holder);
  int shown = lua_gettop(L);
  if (is_called)
    lua_pushfstring(L, " of %s", lua_tostring(L, shown));
  else
    lua_pushfstring(L, " of %s in %s%s", lua_tostring(L, shown), lua_tostring(L, HEAD), lua_tostring(L, TAIL));
  lua_replace(L, TAIL);
  lua_settop(L, shown - 1);
  set_head(L, "upvalue '%s'%s", name != NULL ? name : "?", "");
}

/* What the root value is called; its object is at `value`.   [-0, +2, m] */
static void push_root(lua_State *L, const eddy__packer *p, uint32_t root, int value) {
  int n = (int)root + 1;
  switch (p->how & EDDY_PACK_NAMES) {
  case EDDY_PACK_ARGUMENTS: lua_pushfstring(L, "argument %d", n); break;
  case EDDY_PACK_RESULTS: lua_pushfstring(L, "result %d", n); break;
  case EDDY_PACK_ERROR: lua_pushliteral(L, "the error"); break;
  case EDDY_PACK_CALL:
    if (n > 1)
      lua_pushfstring(L, "argument %d", n - 1);
    else if (lua_isfunction(L, value))
      push_function(L, value);
    else
      lua_pushliteral(L, "the function");
    break;
  default: lua_pushfstring(L, "value %d", n);
  }
  lua_pushliteral(L, "");
}

/* The object `up` steps above that one. */
static uint32_t above(const eddy__packer *p, uint32_t object, uint32_t up) {
  while (up-- > 0) object = p->objects[object].holder;
  return object;
}

/* One step: from the object to what is at the top, which is popped.   [-1, +0, m] */
static void step(lua_State *L, const eddy__packer *p, uint32_t object) {
  int value = lua_gettop(L);
  eddy__packer_push_object(L, LISTS, object);
  bool is_called = p->objects[object].holder == NO_OBJECT && p->objects[object].root == 0 &&
                   (p->how & EDDY_PACK_NAMES) == EDDY_PACK_CALL;
  if (lua_istable(L, -1))
    step_table(L, value + 1, value);
  else if (lua_isuserdata(L, -1))
    set_head(L, "the default of %s%s", lua_tostring(L, HEAD), "");
  else if (!lua_iscfunction(L, -1)) /* else it is the function that an async one wraps: it tells enough itself */
    step_function(L, value + 1, value, is_called);
  lua_settop(L, value - 1);
}

/* [-2, +1, m] */
int eddy__packer_path(lua_State *L) {
  const eddy__packer *p = lua_touserdata(L, PACKER);
  luaL_checkstack(L, 20, NULL);
  eddy__packer_push_chunks(L);
  uint32_t steps = 0, root = p->root;
  for (uint32_t at = p->holder; at != NO_OBJECT; at = p->objects[at].holder) steps++;
  if (steps > 0) {
    uint32_t first = above(p, p->holder, steps - 1);
    root = p->objects[first].root;
    eddy__packer_push_object(L, LISTS, first);
  } else {
    lua_pushvalue(L, REFUSED);
  }
  push_root(L, p, root, LISTS + 1);
  lua_remove(L, LISTS + 1);
  for (uint32_t i = steps; i > 0; i--) {
    if (steps > 2 * SHOWN && i == steps - SHOWN) {
      set_head(L, "%s ... %s", lua_tostring(L, HEAD), "");
      i = SHOWN;
    }
    if (i > 1)
      eddy__packer_push_object(L, LISTS, above(p, p->holder, i - 2));
    else
      lua_pushvalue(L, REFUSED);
    step(L, p, above(p, p->holder, i - 1));
  }
  lua_concat(L, 2);
  return 1;
}
