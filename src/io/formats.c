/* SPDX-License-Identifier: MIT */
/*
 * formats.c - what a read asks for: Lua's formats, exact counts, separators; see input.h.
 * Touch:  freely. A look is plain C, so libuv's callbacks may look as well, before they wake a reader.
 */
#include <ctype.h>
#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "base/args.h"
#include "base/error.h"
#include "io/input.h"

enum { NUMERAL_SIZE = 200 };  /* as in Lua's own */

/* [-0, +0, v] */
void eddy__want_format(lua_State *L, int arg, eddy__want *want) {
  memset(want, 0, sizeof *want);
  if (lua_type(L, arg) == LUA_TNUMBER) {
    lua_Integer count = eddy__check_integer(L, arg);
    eddy__arg_check(L, count >= 0, arg, "a count cannot be negative");
    want->kind = EDDY_WANT_COUNT;
    want->count = (size_t)count;
    return;
  }
  if (lua_type(L, arg) != LUA_TSTRING) eddy__arg_expected(L, arg, "format");
  const char *f = lua_tostring(L, arg);
  if (*f == '*') f++; /* as Lua does, for code from before 5.3 */
  switch (*f) {
  case 'l': want->kind = EDDY_WANT_LINE; break;
  case 'L': want->kind = EDDY_WANT_LINE_END; break;
  case 'a': want->kind = EDDY_WANT_ALL; break;
  case 'n': want->kind = EDDY_WANT_NUMERAL; break;
  default: eddy__arg_error(L, arg, "invalid format");
  }
}

/* Pushes the i-th separator of the string or list at arg.   [-0, +1, v] */
static const char *push_separator(lua_State *L, int arg, lua_Integer i, size_t *size) {
  if (lua_type(L, arg) == LUA_TTABLE)
    lua_rawgeti(L, arg, i);
  else
    lua_pushvalue(L, arg);
  if (lua_type(L, -1) != LUA_TSTRING) eddy__arg_error(L, arg, "a separator must be a string");
  const char *text = lua_tolstring(L, -1, size);
  eddy__arg_check(L, *size > 0, arg, "a separator cannot be empty");
  return text;
}

/* [-0, +0, v] */
eddy__want *eddy__want_until(lua_State *L, int arg) {
  bool list = lua_type(L, arg) == LUA_TTABLE;
  if (!list && lua_type(L, arg) != LUA_TSTRING) eddy__arg_expected(L, arg, "string or table");
  lua_Integer n = list ? (lua_Integer)lua_rawlen(L, arg) : 1;
  eddy__arg_check(L, n > 0, arg, "no separator");
  eddy__arg_check(L, n <= 1000, arg, "too many separators");
  size_t total = 0, longest = 0, size;
  lua_createtable(L, (int)n, 0); /* a copy: a finalizer may change the script's table before all is done */
  for (lua_Integer i = 1; i <= n; i++) {
    push_separator(L, arg, i, &size);
    lua_rawseti(L, -2, i);
    total += size;
    if (size > longest) longest = size;
  }
  lua_replace(L, arg);
  eddy__separator *s;
  eddy__want *want = lua_newuserdatauv(L, sizeof *want + (size_t)n * sizeof *s + total, 0);
  memset(want, 0, sizeof *want);
  s = (eddy__separator *)(want + 1);
  char *copy = (char *)(s + n);
  for (lua_Integer i = 0; i < n; i++, lua_pop(L, 1)) {
    const char *text = push_separator(L, arg, i + 1, &size);
    memcpy(copy, text, size);
    s[i].text = copy;
    s[i].size = size;
    copy += size;
  }
  lua_replace(L, arg);
  want->kind = EDDY_WANT_UNTIL;
  want->separators = s;
  want->n = (size_t)n;
  want->longest = longest;
  return want;
}

/* --- looking ------------------------------------------------------------------------------------------------- */

/* What is there, from `at` bytes after the start on; never NULL. */
static const char *bytes(const eddy__input *in, size_t at) {
  return in->data == NULL ? "" : in->data + in->start + at;
}

/* Nothing that helps is there and no more is in sight: why? `n` bytes are there. */
static int nothing(const eddy__input *in, size_t n, eddy__want *want, int at_end) {
  want->take = n;
  if (in->error != 0) return EDDY_IN_ERROR;
  return in->eof ? at_end : EDDY_IN_MORE;
}

static int overrun(eddy__want *want, size_t n) {
  want->take = n;
  return EDDY_IN_OVERRUN;
}

static int ready(eddy__want *want, size_t take, size_t drop) {
  want->take = take;
  want->drop = drop;
  return EDDY_IN_READY;
}

static int look_count(const eddy__input *in, size_t n, eddy__want *want) {
  bool enough = n >= want->count || !in->fills || in->eof;
  if (n > 0 && enough) return ready(want, n < want->count ? n : want->count, 0);
  return nothing(in, n, want, EDDY_IN_END);
}

static int look_line(eddy__input *in, size_t at, eddy__want *want) {
  const char *p = bytes(in, at);
  size_t n = eddy__input_size(in) - at, from = at == 0 ? in->scanned : 0;
  const char *nl = n > from ? memchr(p + from, '\n', n - from) : NULL;
  size_t length = nl != NULL ? (size_t)(nl - p) : n;
  if (in->limit > 0 && length > in->limit) return overrun(want, length);
  if (nl != NULL)
    return want->kind == EDDY_WANT_LINE ? ready(want, length, 1) : ready(want, length + 1, 0);
  if (at == 0) in->scanned = n;
  return nothing(in, n, want, n > 0 ? EDDY_IN_READY : EDDY_IN_END);
}

static int look_all_of_it(const eddy__input *in, size_t n, eddy__want *want) {
  return nothing(in, n, want, EDDY_IN_READY);
}

static int look_exact(const eddy__input *in, size_t n, eddy__want *want) {
  if (n >= want->count) return ready(want, want->count, 0);
  return nothing(in, n, want, EDDY_IN_SHORT);
}

/* The separator that ends first counts, so the answer does not depend on how the bytes came. */
static int look_until(eddy__input *in, size_t n, eddy__want *want) {
  const char *p = bytes(in, 0);
  size_t from = in->scanned, begin = 0, end = 0;
  for (size_t i = 0; i < want->n && n > 0; i++) {
    const eddy__separator *s = &want->separators[i];
    const char *hit = n > from ? memmem(p + from, n - from, s->text, s->size) : NULL;
    if (hit == NULL || (end > 0 && (size_t)(hit - p) + s->size >= end)) continue;
    begin = (size_t)(hit - p);
    end = begin + s->size;
  }
  if (end > 0) {
    bool over = in->limit > 0 && begin > in->limit;
    return over ? overrun(want, begin) : ready(want, end, 0);
  }
  size_t surely = n + 1 > want->longest ? n + 1 - want->longest : 0; /* not the start of a separator */
  if (in->limit > 0 && surely > in->limit) return overrun(want, surely);
  in->scanned = surely;
  return nothing(in, n, want, EDDY_IN_SHORT);
}

/* A cursor over the text of a numeral, after Lua's liolib. */
typedef struct numeral {
  const unsigned char *p;
  size_t i, n; /* next byte, how many there are */
  size_t size; /* of the numeral up to i */
  bool is_too_long;
} numeral;

static bool match(numeral *t, const char *set) {
  if (t->i >= t->n || t->p[t->i] == '\0' || strchr(set, t->p[t->i]) == NULL) return false;
  if (t->size >= NUMERAL_SIZE) t->is_too_long = true; /* as in Lua: what was read goes, and is no number */
  if (t->is_too_long) return false;
  t->i++;
  t->size++;
  return true;
}

static size_t match_digits(numeral *t, bool hex) {
  size_t count = 0;
  while (match(t, hex ? "0123456789abcdefABCDEF" : "0123456789")) count++;
  return count;
}

static int look_numeral(eddy__input *in, size_t at, eddy__want *want) {
  numeral t = {(const unsigned char *)bytes(in, at), 0, eddy__input_size(in) - at, 0, false};
  while (t.i < t.n && isspace(t.p[t.i])) t.i++;
  want->skip = t.i;
  if (in->limit > 0 && t.i > in->limit) return overrun(want, t.i);
  match(&t, "+-");
  bool hex = false;
  size_t digits = 0;
  if (match(&t, "0")) {
    if (match(&t, "xX"))
      hex = true;
    else
      digits = 1;
  }
  digits += match_digits(&t, hex);
  if (match(&t, ".")) digits += match_digits(&t, hex);
  if (digits > 0 && match(&t, hex ? "pP" : "eE")) {
    match(&t, "+-");
    match_digits(&t, false);
  }
  if (t.is_too_long) want->skip = t.i;
  if (t.is_too_long) return ready(want, 0, 0);
  if (t.i < t.n) return ready(want, t.size, 0);
  int found = nothing(in, t.size, want, EDDY_IN_READY); /* the next byte could belong to it */
  want->take = t.size;
  return found;
}

int eddy__input_look(eddy__input *in, size_t at, eddy__want *want) {
  size_t n = eddy__input_size(in) - at;
  want->skip = want->take = want->drop = 0;
  switch (want->kind) {
  case EDDY_WANT_COUNT: return look_count(in, n, want);
  case EDDY_WANT_ALL: return look_all_of_it(in, n, want);
  case EDDY_WANT_NUMERAL: return look_numeral(in, at, want);
  case EDDY_WANT_EXACT: return look_exact(in, n, want);
  case EDDY_WANT_UNTIL: return look_until(in, n, want);
  case EDDY_WANT_MORE: return EDDY_IN_READY; /* whatever has come: somebody will look closer */
  default: return look_line(in, at, want);
  }
}

/* [-0, +0, -] */
int eddy__input_look_all(lua_State *L, eddy__input *in, int first, int last, eddy__want *want) {
  size_t at = 0;
  for (int i = first; i <= last; i++) {
    eddy__want_format(L, i, want); /* was checked before: does not raise now */
    int found = eddy__input_look(in, at, want);
    if (found == EDDY_IN_END) return EDDY_IN_READY;
    if (found != EDDY_IN_READY) {
      want->take += at; /* of an overrun: what stands before it was not read either */
      return found;
    }
    at += want->skip + want->take + want->drop;
  }
  return EDDY_IN_READY;
}

/* --- answering ----------------------------------------------------------------------------------------------- */

/* [-0, +1, m] */
void eddy__input_push(lua_State *L, eddy__input *in, const eddy__want *want, int found) {
  if (found == EDDY_IN_END) {
    lua_pushnil(L);
    return;
  }
  const char *p = bytes(in, want->skip);
  if (want->kind == EDDY_WANT_NUMERAL) {
    char text[NUMERAL_SIZE + 1];
    memcpy(text, p, want->take);
    text[want->take] = '\0';
    if (lua_stringtonumber(L, text) == 0) lua_pushnil(L);
  } else {
    lua_pushlstring(L, p, want->take);
  }
  in->scanned = 0;
  if (eddy__input_size(in) < want->skip + want->take + want->drop) return; /* a finalizer has closed the stream */
  in->start += want->skip + want->take + want->drop;
  if (in->start == in->end) eddy__input_clear(in);
}

/* [-0, +n, m] */
int eddy__input_push_all(lua_State *L, eddy__input *in, int first, int last) {
  eddy__want want;
  int n = 0;
  luaL_checkstack(L, last - first + 2, "too many formats");
  for (int i = first; i <= last; i++, n++) {
    eddy__want_format(L, i, &want);
    in->scanned = 0;
    eddy__input_push(L, in, &want, eddy__input_look(in, 0, &want));
    if (lua_isnil(L, -1)) return n + 1; /* as Lua does: the first that fails is the last */
  }
  return n;
}

/* [-0, +0, v] */
int eddy__input_raise(lua_State *L, eddy__input *in, const eddy__want *want, int found) {
  if (found == EDDY_IN_SHORT) {
    bool counted = want->kind == EDDY_WANT_EXACT;
    lua_pushlstring(L, bytes(in, 0), want->take); /* first: what follows may run a finalizer that closes the stream */
    if (counted)
      eddy__error_push(L, EDDY_E_INCOMPLETE_READ, "%I of %I bytes, then the end",
                       (LUAI_UACINT)want->take, (LUAI_UACINT)want->count);
    else
      eddy__error_push(L, EDDY_E_INCOMPLETE_READ, "%I bytes without the separator, then the end",
                       (LUAI_UACINT)want->take);
    lua_rotate(L, -2, 1);
    lua_setfield(L, -2, "partial");
    if (counted) lua_pushinteger(L, (lua_Integer)want->count);
    if (counted) lua_setfield(L, -2, "expected");
    eddy__input_clear(in);
    return lua_error(L);
  }
  if (found == EDDY_IN_OVERRUN) {
    eddy__error_push(L, EDDY_E_LIMIT_OVERRUN, "more than %I bytes without a separator",
                     (LUAI_UACINT)in->limit);
    lua_pushinteger(L, (lua_Integer)want->take);
    lua_setfield(L, -2, "consumed");
    return lua_error(L);
  }
  int rc = in->error;
  if (rc == UV_ENOMEM) in->error = 0; /* no byte was lost: the next read tries again */
  return eddy__raise(L, rc, "read");
}
