/* SPDX-License-Identifier: MIT */
/*
 * repr.c - eddy.repr: a value as a person wants to read it; see repr.h.
 * Touch:  freely. Fields are read raw; __tostring is what runs of a script, once a table's keys have been gathered,
 *         so that it may do to the table what it likes.
 */
#include "base/args.h"
#include "core/repr.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
  DEPTH = 2,     /* tables in tables that are shown */
  ENTRIES = 100, /* fields of the outer table that are shown */
  INNER = 10,    /* and of those in it */
  WIDTH = 78     /* what is longer is shown on several lines */
};

static void push_text(lua_State *L, int idx, int level, const int *outer);

/* --- Strings ----------------------------------------------------------------------------------------- */

/* How many bytes at s, of which there are `size`, make a character in UTF-8 that can be shown; 0: they make none. */
static size_t character(const unsigned char *s, size_t size) {
  size_t n = s[0] >= 0xF0 ? 4 : 2;
  if (n == 2 && s[0] >= 0xE0) n = 3;
  if (s[0] >= 0x20 && s[0] < 0x7F) return 1;
  if (s[0] < 0xC2 || s[0] > 0xF4 || n > size) return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  return s[0] == 0xC2 && s[1] < 0xA0 ? 0 : n; /* control characters beyond ASCII */
}

/* Pushes the string at idx as it would be written in Lua.   [-0, +1, m] */
static void push_quoted(lua_State *L, int idx) {
  static const char plain[] = "\a\b\f\n\r\t\v\\\"", letters[] = "abfnrtv\\\"";
  static const char digits[] = "0123456789ABCDEF";
  luaL_Buffer b;
  size_t size, n;
  const char *s = lua_tolstring(L, idx, &size), *found;
  luaL_buffinit(L, &b);
  luaL_addchar(&b, '"');
  for (; size > 0; s += n, size -= n) {
    n = character((const unsigned char *)s, size);
    if (*s != '\0' && (found = strchr(plain, *s)) != NULL) {
      n = 1;
      luaL_addchar(&b, '\\');
      luaL_addchar(&b, letters[found - plain]);
    } else if (n > 0) {
      luaL_addlstring(&b, s, n);
    } else {
      n = 1;
      luaL_addstring(&b, "\\x");
      luaL_addchar(&b, digits[(unsigned char)*s >> 4]);
      luaL_addchar(&b, digits[*s & 15]);
    }
  }
  luaL_addchar(&b, '"');
  luaL_pushresult(&b);
}

/* Whether the string can stand before a = in a table without brackets. */
static bool is_name(const char *s, size_t size) {
  static const char reserved[] = " and break do else elseif end false for function goto if in local nil not or repeat "
                                 "return then true until while ";
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  char word[12];
  if (size == 0 || (*s >= '0' && *s <= '9') || strspn(s, letters) != size) return false;
  if (size + 3 > sizeof word) return true;
  word[0] = ' ';
  memcpy(word + 1, s, size);
  memcpy(word + 1 + size, " ", 2);
  return strstr(reserved, word) == NULL;
}

/* --- Keys, in order ---------------------------------------------------------------------------------- */

typedef struct key {
  int rank; /* numbers, then strings, then the others */
  lua_Number number;
  const char *text;
  size_t size;
  lua_Integer at; /* where it is in the list that holds it; among equals, that is their order */
} key;

static int compare(const void *left, const void *right) {
  const key *a = (const key *)left, *b = (const key *)right;
  if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
  if (a->rank == 0 && a->number != b->number) return a->number < b->number ? -1 : 1;
  if (a->rank == 1) {
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
    if (order == 0 && a->size != b->size) order = a->size < b->size ? -1 : 1;
    if (order != 0) return order;
  }
  return a->at < b->at ? -1 : 1;
}

/* Whether the key at idx is one of the first `length`.   [-0, +0, -] */
static bool is_listed(lua_State *L, int idx, lua_Unsigned length) {
  return lua_isinteger(L, idx) && (lua_Unsigned)lua_tointeger(L, idx) - 1 < length;
}

/* Pushes a list of the n keys of the table at idx that are not among its first `length`, and in a userdata their
 * order.   [-0, +2, m] */
static const key *push_keys(lua_State *L, int idx, lua_Unsigned length, size_t n) {
  lua_newtable(L);
  key *keys = (key *)lua_newuserdatauv(L, n * sizeof *keys + 1, 0), *k = keys;
  int list = lua_gettop(L) - 1;
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (is_listed(L, -2, length)) continue;
    *k = (key){.rank = 2, .at = k - keys + 1};
    if (lua_type(L, -2) == LUA_TNUMBER) {
      k->rank = 0;
      k->number = lua_tonumber(L, -2);
    } else if (lua_type(L, -2) == LUA_TSTRING) {
      k->rank = 1;
      k->text = lua_tolstring(L, -2, &k->size);
    }
    lua_pushvalue(L, -2);
    lua_rawseti(L, list, k->at);
    k++;
  }
  qsort(keys, n, sizeof *keys, compare);
  return keys;
}

/* --- Tables ------------------------------------------------------------------------------------------ */

/* Pushes "key = " for the key at idx.   [-0, +1, m] */
static void push_key(lua_State *L, int idx, const int *outer) {
  size_t size;
  if (lua_type(L, idx) == LUA_TSTRING) {
    const char *name = lua_tolstring(L, idx, &size);
    if (is_name(name, size)) {
      lua_pushfstring(L, "%s = ", name);
      return;
    }
  }
  push_text(L, idx, DEPTH, outer);
  lua_pushfstring(L, "[%s] = ", lua_tostring(L, -1));
  lua_remove(L, -2);
}

/* Pushes the items in the list at idx as one text, behind the name at name. The first `listed` of them may stand side
 * by side if there are several lines.   [-0, +1, m] */
static void push_items(lua_State *L, int idx, int name, lua_Integer listed, bool several_lines) {
  luaL_Buffer b;
  size_t column = WIDTH;
  lua_Integer n = (lua_Integer)lua_rawlen(L, idx);
  luaL_buffinit(L, &b);
  lua_pushvalue(L, name);
  luaL_addvalue(&b);
  luaL_addstring(&b, n == 0 || several_lines ? "{" : "{ ");
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, idx, i);
    size_t size = lua_rawlen(L, -1) + 2;
    bool breaks = several_lines && (i > listed || column + size > WIDTH);
    if (breaks) column = 2;
    const char *space = i > 1 ? " " : "";
    lua_pushstring(L, breaks ? "\n  " : space);
    lua_insert(L, -2);
    lua_pushstring(L, i < n ? "," : "");
    lua_concat(L, 3);
    luaL_addvalue(&b);
    column += size;
  }
  if (n > 0) luaL_addstring(&b, several_lines ? "\n" : " ");
  luaL_addchar(&b, '}');
  luaL_pushresult(&b);
}

/* Puts "key = value" for the field of the table at idx whose key is at the top into the list at items; without the
 * key if it is among the listed ones. Returns its size.   [-1, +0, e] */
static size_t add_item(lua_State *L, int idx, int items, int level, const int *outer, bool listed) {
  int k = lua_gettop(L);
  lua_pushvalue(L, k);
  lua_rawget(L, idx);
  if (listed) lua_pushliteral(L, "");
  else push_key(L, k, outer);
  push_text(L, k + 1, level + 1, outer);
  lua_concat(L, 2);
  size_t size = lua_rawlen(L, -1);
  lua_rawseti(L, items, (lua_Integer)lua_rawlen(L, items) + 1);
  lua_settop(L, k - 1);
  return size;
}

/* Pushes the text of the table at idx; a name that its metatable has comes first.   [-0, +1, e] */
static void push_table(lua_State *L, int idx, int level, const int *outer) {
  int inside[DEPTH] = {0}, name = lua_gettop(L) + 1, items = name + 1;
  lua_Unsigned length = lua_rawlen(L, idx), limit = level == 0 ? ENTRIES : INNER, shown = 0;
  size_t others = 0, width = 4;
  for (int i = 0; i <= level; i++) inside[i] = i < level ? outer[i] : idx;
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) others += !is_listed(L, -2, length);
  if (luaL_getmetafield(L, idx, "__name") == LUA_TNIL) lua_pushnil(L);
  lua_pushfstring(L, lua_type(L, name) == LUA_TSTRING ? "%s " : "", lua_tostring(L, name));
  lua_replace(L, name);
  lua_newtable(L);
  lua_Unsigned listed = length < limit ? length : limit, hidden = length - listed + others;
  for (; shown < listed; shown++) {
    lua_pushinteger(L, (lua_Integer)shown + 1);
    width += add_item(L, idx, items, level, inside, true) + 2;
  }
  if (others > 0 && shown < limit) {
    const key *keys = push_keys(L, idx, length, others);
    for (size_t i = 0; i < others && shown < limit; i++, shown++, hidden--) {
      lua_rawgeti(L, items + 1, keys[i].at);
      width += add_item(L, idx, items, level, inside, false) + 2;
    }
  }
  if (hidden > 0) {
    lua_pushfstring(L, "... %I more", (LUAI_UACINT)hidden);
    lua_rawseti(L, items, (lua_Integer)lua_rawlen(L, items) + 1);
  }
  push_items(L, items, name, (lua_Integer)listed, level == 0 && width > WIDTH);
  lua_replace(L, name);
  lua_settop(L, name);
}

/* --- Values ------------------------------------------------------------------------------------------ */

/* [-0, +1, e] */
static int l_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Pushes what tostring says of the value at idx. One that fails spoils no table around it.   [-0, +1, e] */
static void push_plain(lua_State *L, int idx, int level) {
  lua_pushcfunction(L, l_text);
  lua_pushvalue(L, idx);
  if (level == 0) lua_call(L, 1, 1);
  else if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pop(L, 1);
    lua_pushfstring(L, "<%s whose __tostring fails>", luaL_typename(L, idx));
  }
}

/* Adds to the text at the top the traceback that the error at idx carries, if any.   [-0, +0, m] */
static void add_traceback(lua_State *L, int idx) {
  lua_pushliteral(L, "traceback");
  if (lua_rawget(L, idx) == LUA_TSTRING) {
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_replace(L, -3);
  }
  lua_pop(L, 1);
}

/* Pushes the text of a table without __tostring.   [-0, +1, e] */
static void push_fields(lua_State *L, int idx, int level, const int *outer) {
  for (int i = 0; i < level && i < DEPTH; i++) {
    if (outer[i] != 0 && lua_rawequal(L, idx, outer[i])) {
      lua_pushliteral(L, "<cycle>");
      return;
    }
  }
  if (level < DEPTH) {
    push_table(L, idx, level, outer);
    return;
  }
  lua_pushnil(L);
  bool is_empty = lua_next(L, idx) == 0;
  if (!is_empty) lua_pop(L, 2);
  lua_pushstring(L, is_empty ? "{}" : "{...}");
}

/* Pushes the text of the value at idx, which is `level` tables deep; the places of these are in `outer`.
 * [-0, +1, e] */
static void push_text(lua_State *L, int idx, int level, const int *outer) {
  luaL_checkstack(L, 20, NULL);
  if (lua_type(L, idx) == LUA_TSTRING) {
    push_quoted(L, idx);
  } else if (!lua_istable(L, idx)) {
    push_plain(L, idx, level);
  } else if (luaL_getmetafield(L, idx, "__tostring") == LUA_TNIL) {
    push_fields(L, idx, level, outer);
  } else {
    lua_pop(L, 1);
    push_plain(L, idx, level);
    if (level == 0) add_traceback(L, idx);
  }
}

/* eddy.repr(value) -> string   [-0, +1, e] */
static int l_repr(lua_State *L) {
  eddy__arg_any(L, 1);
  lua_settop(L, 1);
  push_text(L, 1, 0, NULL);
  return 1;
}

/* [-0, +0, m] */
void eddy__repr_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"repr", l_repr}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
