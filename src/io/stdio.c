/* SPDX-License-Identifier: MIT */
/*
 * stdio.c - eddy.stdin, stdout, stderr: their life, and what Lua calls; see stdio.h.
 * Touch:  with care. There is one object for each, which outlives loops: its methods attach it to the loop that runs.
 */
#include "io/stdio.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"

const eddy__type eddy__type_stdio = {"StandardStream"};

static const char *const names[] = {"stdin", "stdout", "stderr"};
static const char keys[3]; /* their addresses: where the three lie in the registry */

/* --- life ---------------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  snprintf(text, size, "%s", names[((const eddy__stdio *)h)->number]);
}

/* Lets go of the process's own descriptor as well, so that the other end of a pipe sees it; nothing else may get its
 * number. Standard error stays: somebody may still have to say what has gone wrong. */
static void give_up(eddy__stdio *s) {
  if (s->number == STDERR_FILENO) return;
  if (s->number == STDOUT_FILENO) fflush(stdout);
  if (s->ends_socket) (void)shutdown(s->fd, SHUT_WR);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  (void)dup2(null, s->number);
  close(null);
}

/* A script has closed it; or the loop ends, and then the next one goes on where this one has stopped. */
static void on_closing(eddy__handle *h) {
  eddy__stdio *s = (eddy__stdio *)h;
  eddy__stream_on_closing(h);
  eddy__stdio_discard(s);
  eddy__tty_restore(s);
  s->is_ended = !h->loop->is_closing;
  if (s->is_ended) give_up(s);
}

static void on_closed(eddy__handle *h) {
  eddy__stdio *s = (eddy__stdio *)h;
  if (!s->is_fetching) { /* else that closes it */
    close(s->fd);
    s->fd = -1;
  }
  if (s->is_ended)
    eddy__stream_on_closed(h);
  else
    eddy__park_wake_all(&s->stream.closers);
}

static void release(eddy__handle *h) {
  eddy__stdio *s = (eddy__stdio *)h;
  s->is_orphan = s->is_fetching;
  if (s->is_orphan) return; /* until the thread is done */
  free(s->block);
  free(s->out);
  eddy__stream_release(h);
}

static bool lingers(const eddy__keeper *keeper) {
  const eddy__stdio *s = eddy__container_of(keeper, eddy__stdio, stream.handle.keeper);
  return s->stream.handle.is_open && s->out_start < s->out_end;
}

static const eddy__handle_kind kind_stdio = {describe, on_closing, on_closed, release};

/* Pushes the n-th.   [-0, +1, m] */
static eddy__stdio *push(lua_State *L, int n) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &keys[n]) == LUA_TUSERDATA)
    return (eddy__stdio *)eddy__stream_at(L, -1);
  lua_pop(L, 1);
  eddy__stdio *s =
    (eddy__stdio *)eddy__stream_new(L, NULL, &eddy__type_stdio, &kind_stdio, sizeof *s, 0);
  s->number = n;
  s->fd = -1;
  s->stream.transport = &eddy__stdio_transport;
  s->stream.is_thrifty = true;
  s->stream.high = s->stream.low = 0; /* what has returned from a write is in the system: a print comes after it */
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &keys[n]);
  return s;
}

/* [-0, +(0|1), m] */
bool eddy__stdio_push(lua_State *L, const char *name) {
  for (int n = 0; n < 3; n++) {
    if (strcmp(name, names[n]) != 0) continue;
    push(L, n);
    return true;
  }
  return false;
}

/* [-0, +0, v] */
eddy__stdio *eddy__stdio_check(lua_State *L, int arg) {
  eddy__stream **box = eddy__object_check(L, arg, &eddy__type_stdio);
  eddy__arg_check(L, *box != NULL, arg, "the stream was collected");
  return (eddy__stdio *)*box;
}

/* Sees to it that it is attached to the loop, if that may be. Returns 0 or a libuv code. */
static int attach(eddy__stdio *s, eddy__loop *loop) {
  if (s->stream.handle.is_open) return 0;
  if (!s->is_ended && !loop->is_closing) {
    int rc = eddy__stdio_attach(s, loop);
    s->stream.handle.keeper.lingers = lingers;
    s->stream.handle.keeper.describe = NULL; /* nobody has opened it, so nobody has left it open */
    return rc;
  }
  s->stream.handle.loop = loop; /* closed it is in all of them */
  return 0;
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* As in C, the end of a terminal (Ctrl-D) is over when somebody reads again. */
static void read_on(eddy__stdio *s, lua_CFunction f) {
  bool reads = f == eddy__stream_l_read || f == eddy__stream_l_read_exactly || f == eddy__stream_l_read_until;
  if (reads && s->kind == EDDY_STDIO_TTY && eddy__input_size(&s->stream.in) == 0) s->stream.in.eof = false;
}

/* A method that all streams have, of an attached one. Upvalues: the record, the function.   [-0, +n, y] */
static int l_attached(lua_State *L) {
  eddy__stdio *s = eddy__stdio_check(L, 1);
  lua_CFunction f = lua_tocfunction(L, lua_upvalueindex(2));
  eddy__loop *loop = eddy__runtime_of(L)->loop;
  if (loop == NULL) loop = eddy__loop_running(L, lua_tostring(L, lua_upvalueindex(3)));
  int rc = attach(s, loop);
  if (rc < 0) return eddy__raise_about(L, rc, "open", "path", names[s->number]);
  read_on(s, f);
  return f(L);
}

/* The end of `local s <close>`: closes what was used.   [-0, +0, y] */
static int l_scope_end(lua_State *L) {
  return eddy__stdio_check(L, 1)->stream.handle.is_open ? l_attached(L) : 0;
}

/* stream:peername(), stream:sockname(): it has no names   [-0, +0, v] */
static int l_no_name(lua_State *L) {
  eddy__stdio_check(L, 1);
  return 0;
}

/* stream:fileno() -> descriptor   [-0, +1, v] */
static int l_fileno(lua_State *L) {
  eddy__stdio *s = eddy__stdio_check(L, 1);
  if (s->is_ended) return eddy__stream_raise_closed(L, &s->stream, "fileno");
  lua_pushinteger(L, s->number);
  return 1;
}

/* "<stdin>"   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  const eddy__stdio *s = eddy__stdio_check(L, 1);
  const char *state = s->is_ended ? ", closed" : s->stream.is_ending ? ", closing"
                                                                     : "";
  lua_pushfstring(L, "<%s%s>", names[s->number], state);
  return 1;
}

/* [-0, +0, -] */
static bool is_readable(lua_State *L, int idx) {
  const eddy__stdio *s = (const eddy__stdio *)eddy__stream_at(L, idx);
  if (s == NULL) return true;
  const eddy__stream *stream = &s->stream;
  return eddy__input_size(&stream->in) > 0 || stream->in.eof || stream->in.error != 0 || s->is_ended ||
         stream->is_ending;
}

/* [-0, +0, v] */
static eddy__list *watch(lua_State *L, int idx) {
  eddy__stdio *s = (eddy__stdio *)eddy__stream_at(L, idx);
  int rc = attach(s, eddy__loop_running(L, "select"));
  if (rc == 0) rc = eddy__stream_start_reading(&s->stream);
  if (rc < 0) eddy__raise_about(L, rc, "read", "path", names[s->number]);
  return &s->stream.watchers;
}

static const eddy__selectable selectable = {is_readable, watch, NULL, NULL};

/* Puts an l_attached around the function at the top, which is called `name`.   [-1, +1, m] */
static void wrap(lua_State *L, lua_CFunction wrapper, const char *name) {
  eddy__runtime_push(L);
  lua_insert(L, -2);
  lua_pushstring(L, name);
  lua_pushcclosure(L, wrapper, 3);
  eddy__arg_name(L, name);
}

/* Makes the metatable. The methods that all streams have are wrapped; the three that are its own are not.
 *   [-0, +0, m] */
static void make_type(lua_State *L) {
  static const luaL_Reg own[] = {{"peername", l_no_name},
                                 {"sockname", l_no_name},
                                 {"fileno", l_fileno},
                                 {"isatty", eddy__tty_l_isatty},
                                 {"winsize", eddy__tty_l_winsize},
                                 {"set_mode", eddy__tty_l_set_mode},
                                 {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  int top = lua_gettop(L);
  eddy__object_meta(L, &eddy__type_stdio);
  bool is_made = !lua_isnil(L, -1);
  lua_settop(L, top);
  if (is_made) return;
  eddy__stream_type(L, &eddy__type_stdio, none);
  eddy__object_meta(L, &eddy__type_stdio);
  lua_getfield(L, -1, "__index");
  for (lua_pushnil(L); lua_next(L, -2);) {
    wrap(L, l_attached, lua_tostring(L, -2));
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  for (const luaL_Reg *f = own; f->name != NULL; f++) {
    eddy__runtime_push(L);
    lua_pushcclosure(L, f->func, 1);
    eddy__arg_name(L, f->name);
    lua_setfield(L, -2, f->name);
  }
  lua_pop(L, 1);
  lua_getfield(L, -1, "__close");
  wrap(L, l_scope_end, "close");
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  eddy__selectable_set(L, &selectable);
  lua_settop(L, top);
}

/* --- the order of print -------------------------------------------------------------------------------------- */

/* [-0, +n, e] */
static int k_after(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return lua_gettop(L);
}

/* Calls upvalue 2 with all arguments.   [-0, +n, e] */
static int call_original(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, k_after);
  return k_after(L, LUA_OK, 0);
}

/* Standard output, if something is queued for it; or NULL.   [-0, +0, -] */
static eddy__stdio *queued_output(lua_State *L) {
  bool is_made = lua_rawgetp(L, LUA_REGISTRYINDEX, &keys[STDOUT_FILENO]) == LUA_TUSERDATA;
  eddy__stdio *s = is_made ? (eddy__stdio *)eddy__stream_at(L, -1) : NULL;
  lua_pop(L, 1);
  return s != NULL && eddy__stream_queued(&s->stream) > 0 ? s : NULL;
}

/* Writes what is queued for standard output, then calls upvalue 2. (3: its name.)   [-0, +n, e] */
static int l_after_queue(lua_State *L) {
  eddy__stdio *s = queued_output(L);
  if (s != NULL) eddy__stdio_settle(s);
  return call_original(L);
}

/* Whether the value at the top, which it pops, is C's standard output.   [-1, +0, -] */
static bool pop_is_stdout(lua_State *L) {
  const luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
  lua_pop(L, 1);
  return file != NULL && file->f == stdout;
}

/* The same for io.write and file:write, whose errors name the function: so the arguments are checked here. Upvalue 4:
 * whether it is the method.   [-0, +n, e] */
static int l_write_after(lua_State *L) {
  bool is_method = lua_toboolean(L, lua_upvalueindex(4));
  if (is_method && luaL_testudata(L, 1, LUA_FILEHANDLE) == NULL)
    eddy__arg_expected(L, 1, LUA_FILEHANDLE);
  for (int i = is_method ? 2 : 1; i <= lua_gettop(L); i++)
    if (!lua_isstring(L, i)) eddy__arg_expected(L, i, "string");
  eddy__stdio *s = queued_output(L);
  if (s == NULL) return call_original(L);
  if (is_method)
    lua_pushvalue(L, 1);
  else
    lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output"); /* where liolib keeps it */
  if (pop_is_stdout(L)) eddy__stdio_settle(s);
  return call_original(L);
}

/* Wraps the function `name` of the table at the top.   [-0, +0, m] */
static void put_after(lua_State *L, const char *name, lua_CFunction wrapper, bool is_method) {
  if (lua_getfield(L, -1, name) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    return;
  }
  eddy__runtime_push(L);
  lua_insert(L, -2);
  lua_pushstring(L, name);
  lua_pushboolean(L, is_method);
  lua_pushcclosure(L, wrapper, 4);
  eddy__arg_name(L, name);
  lua_setfield(L, -2, name);
}

/* eddy._order_output(): from now on print and io.write wait for what eddy.stdout has queued   [-0, +0, e] */
static int l_order_output(lua_State *L) {
  lua_settop(L, 0);
  lua_pushglobaltable(L);
  put_after(L, "print", l_after_queue, false);
  if (lua_getfield(L, 1, "io") != LUA_TTABLE) return 0;
  put_after(L, "write", l_write_after, false);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) != LUA_TTABLE) return 0;
  if (lua_getfield(L, -1, "__index") == LUA_TTABLE) put_after(L, "write", l_write_after, true);
  return 0;
}

/* [-0, +0, m] */
void eddy__stdio_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"_order_output", l_order_output}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  make_type(L);
}
