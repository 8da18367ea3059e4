/* SPDX-License-Identifier: MIT */
/*
 * repl.c - the prompt: input runs as a task, and other tasks go on while the prompt waits for it.
 * Owns:   SIGINT while it waits for input; what has been read of a line; the session's variables.
 * Uses:   eddy.h, repl.h, editor.h.      Used by: main.c.
 * Touch:  freely. Without an editor input is read byte by byte, as a shell reads, and the editors read so too: what
 *         follows a line belongs to whoever reads next, io.read() in that line for instance.
 *
 * Locals that live on: input in which the word `local` stands starts, on its first line, with a variable to be closed
 * (see PROLOGUE). It is closed last of all, as the chunk returns, while the chunk's locals can still be read; no hook
 * is needed, which would slow the chunk down and belongs to others. From then on the names are variables of the
 * session: input is compiled with an _ENV whose metatable asks for them first and then for the globals. What closures
 * of the same input have captured stays theirs: the session has a copy. An error leaves nothing behind, and a
 * <const> that the compiler has folded away was never there.
 */
#include "repl.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#endif

#include "editor.h"

/* What reading ends with, beside a byte or a line. */
enum {
  INPUT_LINE = 0,
  INPUT_READY = 0,
  INPUT_END = -1,
  INPUT_INTERRUPT = -2 /* Ctrl-C: what there is of the chunk is to be forgotten */
};

typedef struct prompt {
  eddy_loop *loop;
  int session;     /* where in L the session's slots begin */
  bool has_locals; /* there is a name in it */
  bool edits;      /* lines come from the editor */
} prompt;

/* What makes a session, from prompt.session on. */
enum {
  SESSION_ENV,
  SESSION_NAMES,    /* name to true */
  SESSION_VALUES,   /* name to value; nil is a value too */
  SESSION_COMPLETE, /* the editor's function for it; nil without one */
  SESSION_SLOTS
};

/* --- A byte or line of standard input, and meanwhile the loop ---------------------------------------- */

#ifdef _WIN32
/* There is no poll for this: the loop rests while the prompt waits. */
static int next_byte(lua_State *L, eddy_loop *loop) {
  (void)L, (void)loop;
  int byte = getc(stdin);
  return byte == EOF ? INPUT_END : byte;
}
static bool open_signals(void) { return true; }
static void close_signals(void) {}
static void catch_signals(bool on, bool edits) { (void)on, (void)edits; }
static int edit_line(lua_State *L, prompt *p, const char *text) {
  (void)L, (void)p, (void)text;
  return INPUT_END;
}
#else

#define SLICE 0.02 /* seconds of the loop's between two looks at the keyboard */

/* A byte in this pipe is a signal's number: a flag alone would be missed between looking at it and poll. */
static int signals[2];
static volatile sig_atomic_t unseen; /* SIGINTs; a task that computes keeps the prompt from seeing them */

/* Runs in a signal handler. */
static void on_signal(int number) {
  int saved = errno;
  char byte = (char)number;
  if (number == SIGINT && ++unseen > 2) { /* three of them, and the prompt has seen none: let it end the command */
    eddy__editor_leave_terminal();
    signal(number, SIG_DFL);
    raise(number);
  }
  ssize_t written = write(signals[1], &byte, 1);
  (void)written;
  errno = saved;
}

static bool open_signals(void) {
  if (pipe(signals) != 0) return false;
  for (int i = 0; i < 2; i++) {
    fcntl(signals[i], F_SETFD, FD_CLOEXEC);
    fcntl(signals[i], F_SETFL, O_NONBLOCK);
  }
  return true;
}

static void close_signals(void) {
  close(signals[0]);
  close(signals[1]);
}

/* Makes SIGINT the prompt's own while it waits for input; otherwise it is eddy_run's. So are the two that an editor
 * has to know of. */
static void catch_signals(bool on, bool edits) {
  static const int numbers[] = {SIGINT, SIGWINCH, SIGCONT};
  static struct sigaction before[sizeof numbers / sizeof *numbers];
  size_t n = edits ? sizeof numbers / sizeof *numbers : 1;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < n; i++) {
    if (on) sigaction(numbers[i], &action, &before[i]);
    else sigaction(numbers[i], &before[i], NULL);
  }
}

static int take_signals(void) {
  char numbers[16];
  bool is_interrupt = false, is_resized = false, is_back = false;
  for (ssize_t n; (n = read(signals[0], numbers, sizeof numbers)) > 0;) {
    while (n-- > 0) {
      is_interrupt |= numbers[n] == SIGINT;
      is_resized |= numbers[n] == SIGWINCH;
      is_back |= numbers[n] == SIGCONT;
    }
  }
  unseen = 0;
  if (is_interrupt) return INPUT_INTERRUPT;
  if (!eddy__editor_is_editing()) return INPUT_READY;
  if (is_back) eddy__editor_restore_line();
  else if (is_resized) eddy__editor_resize_line();
  return INPUT_READY;
}

/* Turns the loop. What its tasks print comes above the line that is being edited. The line goes before they run if
 * the loop has waited; if it never does, the line would hardly be seen, and goes before what they print to stdout.
 * [-0, +0, -] */
static void turn(lua_State *L, eddy_loop *loop, bool has_waited) {
  if (eddy__editor_is_editing()) {
    eddy__editor_hide_line();
    if (has_waited) fflush(stdout);
  }
  eddy_pump(loop, L, SLICE);
  if (eddy__editor_is_editing()) eddy__editor_show_line();
  else fflush(stdout);
}

/* Waits until there is input, and turns the loop meanwhile. The first look does not wait, so that typed or pasted
 * text need not wait for the tasks; an editor has had it. Returns INPUT_READY, INPUT_END when there will be none,
 * or INPUT_INTERRUPT.   [-0, +0, -] */
static int wait_for_input(lua_State *L, eddy_loop *loop) {
  int timeout = eddy__editor_is_editing() ? eddy_backend_timeout(loop) : 0;
  for (;; timeout = eddy_backend_timeout(loop)) {
    struct pollfd fds[] = {
      {.fd = STDIN_FILENO, .events = POLLIN},
      {.fd = signals[0], .events = POLLIN},
      {.fd = eddy_backend_fd(loop), .events = POLLIN},
    };
    int n = poll(fds, 3, timeout);
    if (n < 0 && errno != EINTR) return INPUT_END;
    if (n > 0 && fds[1].revents != 0) {
      if (take_signals() == INPUT_INTERRUPT) return INPUT_INTERRUPT;
    } else if (n > 0 && fds[0].revents != 0) {
      bool is_gone = eddy__editor_is_editing() && (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
      return is_gone ? INPUT_END : INPUT_READY; /* an editor would not tell */
    } else if (n >= 0) {
      turn(L, loop, timeout != 0);
    }
  }
}

/* [-0, +0, -] */
static int next_byte(lua_State *L, eddy_loop *loop) {
  for (;;) {
    unsigned char byte;
    int input = wait_for_input(L, loop);
    if (input != INPUT_READY) return input;
    ssize_t size = read(STDIN_FILENO, &byte, 1);
    if (size == 1) return byte;
    if (size == 0 || (errno != EAGAIN && errno != EINTR)) return INPUT_END;
    turn(L, loop, true); /* someone else has taken it */
  }
}

/* As read_line.   [-0, +1, m] */
static int edit_line(lua_State *L, prompt *p, const char *text) {
  int input = INPUT_READY;
  catch_signals(true, p->edits);
  turn(L, p->loop, true); /* the loop may not have told the system yet what it waits for */
  eddy__editor_start(text);
  while (!eddy__editor_is_done() && (input = wait_for_input(L, p->loop)) == INPUT_READY) eddy__editor_read_key();
  eddy__editor_stop(input == INPUT_INTERRUPT);
  catch_signals(false, p->edits);
  if (eddy__editor_push_line(L)) return INPUT_LINE;
  return input == INPUT_INTERRUPT ? input : INPUT_END;
}
#endif

/* --- The session: locals that live on ---------------------------------------------------------------- */

/* What input starts with: _ENV has under this key, which is no name, what takes the locals when it is closed. */
#define KEEPER "(locals)"
#define PROLOGUE "local __locals__ <close> = _ENV['" KEEPER "'] "

/* __close of the keeper: keeps the locals of the function that it is closed in. Upvalues: the names, the values.
 * [-0, +0, m] */
static int l_keep(lua_State *L) {
  lua_Debug ar;
  if (!lua_isnoneornil(L, 2) || !lua_getstack(L, 1, &ar)) return 0;
  const char *name;
  for (int i = 2; (name = lua_getlocal(L, &ar, i)) != NULL; i++) { /* 1 is the keeper */
    if (name[0] != '(') {
      lua_setfield(L, lua_upvalueindex(2), name);
      lua_pushboolean(L, 1);
      lua_setfield(L, lua_upvalueindex(1), name);
    } else {
      lua_pop(L, 1);
    }
  }
  return 0;
}

/* Whether the key at 2 is a variable of the session. Leaves one value more.   [-0, +1, -] */
static bool is_kept(lua_State *L) {
  lua_pushvalue(L, 2);
  return lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL;
}

/* __index of the session's _ENV.   [-0, +1, e] */
static int l_get(lua_State *L) {
  bool kept = is_kept(L);
  if (!kept) lua_pushglobaltable(L);
  lua_pushvalue(L, 2);
  if (kept) lua_rawget(L, lua_upvalueindex(2));
  else lua_gettable(L, -2);
  return 1;
}

/* __newindex of it.   [-0, +0, e] */
static int l_set(lua_State *L) {
  bool kept = is_kept(L);
  if (!kept) lua_pushglobaltable(L);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  if (kept) lua_rawset(L, lua_upvalueindex(2));
  else lua_settable(L, -3);
  return 0;
}

/* Pushes a table of functions that have the session's names and values as upvalues.   [-0, +1, m] */
static void push_metatable(lua_State *L, int session, const luaL_Reg *functions) {
  lua_newtable(L);
  lua_pushvalue(L, session + SESSION_NAMES);
  lua_pushvalue(L, session + SESSION_VALUES);
  luaL_setfuncs(L, functions, 2);
}

/* Pushes what makes a new session.   [-0, +SESSION_SLOTS, m] */
static void push_session(lua_State *L) {
  static const luaL_Reg keeper[] = {{"__close", l_keep}, {NULL, NULL}};
  static const luaL_Reg env[] = {{"__index", l_get}, {"__newindex", l_set}, {NULL, NULL}};
  int first = lua_gettop(L) + 1;
  for (int i = 0; i < SESSION_COMPLETE; i++) lua_newtable(L);
  eddy__editor_push_completion(L, first + SESSION_NAMES, first + SESSION_VALUES);
  lua_newtable(L);
  push_metatable(L, first, keeper);
  lua_setmetatable(L, -2);
  lua_setfield(L, first + SESSION_ENV, KEEPER);
  push_metatable(L, first, env);
  lua_setmetatable(L, first + SESSION_ENV);
}

/* Compiles `start` and the text at the top, and pushes a function or a message.   [-0, +1, m] */
static int compile(lua_State *L, const prompt *p, const char *start) {
  size_t size;
  lua_pushstring(L, start);
  lua_pushvalue(L, -2);
  lua_concat(L, 2);
  const char *text = lua_tolstring(L, -1, &size);
  int status = luaL_loadbufferx(L, text, size, "=stdin", "t");
  lua_remove(L, -2);
  if (status == LUA_OK && p->has_locals) {
    lua_pushvalue(L, p->session + SESSION_ENV);
    lua_setupvalue(L, -2, 1);
  }
  return status;
}

/* Loads the text at the top, as an expression if it is one, and pushes a function or a message. Returns a status of
 * Lua's.   [-0, +1, m] */
static int load(lua_State *L, prompt *p) {
  int status = compile(L, p, "return ");
  if (status == LUA_OK) return LUA_OK;
  lua_pop(L, 1);
  bool had_locals = p->has_locals, declares = strstr(lua_tostring(L, -1), "local") != NULL;
  p->has_locals |= declares; /* globals alone are faster without the session between */
  status = compile(L, p, declares ? PROLOGUE : "");
  if (status != LUA_OK) p->has_locals = had_locals;
  return status;
}

/* --- A line, and a chunk of several ------------------------------------------------------------------ */

/* Reads a line and pushes what there is of it, without its newline. A last line that has none is a line
 * too.   [-0, +1, m] */
static int read_line(lua_State *L, prompt *p, const char *text) {
  luaL_Buffer line;
  if (p->edits) return edit_line(L, p, text);
  fputs(text, stdout);
  fflush(stdout);
  luaL_buffinit(L, &line);
  catch_signals(true, p->edits);
  int byte = next_byte(L, p->loop);
  for (; byte >= 0 && byte != '\n'; byte = next_byte(L, p->loop)) luaL_addchar(&line, (char)byte);
  catch_signals(false, p->edits);
  bool is_line = byte == '\n' || (byte == INPUT_END && luaL_bufflen(&line) > 0);
  luaL_pushresult(&line);
  return is_line ? INPUT_LINE : byte;
}

/* Whether the message at the top says that the text has ended too early.   [-0, +0, -] */
static bool is_unfinished(lua_State *L, int status) {
  static const char mark[] = "<eof>";
  size_t size;
  if (status != LUA_ERRSYNTAX) return false;
  const char *message = lua_tolstring(L, -1, &size);
  return size >= sizeof mark - 1 && strcmp(message + size - (sizeof mark - 1), mark) == 0;
}

/* Reads lines until they make a chunk. Leaves its function at the top, or the message of why there is none; or
 * anything, when it returns INPUT_END or INPUT_INTERRUPT.   [-0, +n, m] */
static int read_chunk(lua_State *L, prompt *p, int *load_status) {
  int input = read_line(L, p, "> ");
  if (input != INPUT_LINE) return input;
  while (*load_status = load(L, p), is_unfinished(L, *load_status)) {
    input = read_line(L, p, ">> ");
    if (input == INPUT_INTERRUPT) return input;
    if (input == INPUT_END) { /* it will never be whole, as the message says */
      lua_pop(L, 1);
      break;
    }
    lua_remove(L, -2);
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
  return INPUT_LINE;
}

/* --- Running it -------------------------------------------------------------------------------------- */

/* In the task: shows what the chunk has returned, as eddy.repr tells it.   [-n, +0, e] */
static int k_chunk(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  int n = lua_gettop(L);
  luaL_checkstack(L, 6, "too many results to show");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "eddy");
  int show = lua_getfield(L, -1, "repr") == LUA_TNIL ? 0 : lua_gettop(L); /* 0: by tostring */
  for (int i = 1; i <= n; i++) {
    size_t size;
    if (show != 0) lua_pushvalue(L, show);
    lua_pushvalue(L, i);
    if (show != 0) lua_call(L, 1, 1);
    const char *text = luaL_tolstring(L, -1, &size);
    if (i > 1) fputc('\t', stdout);
    fwrite(text, 1, size, stdout);
    lua_settop(L, n + 3);
  }
  if (n > 0) fputc('\n', stdout);
  return 0;
}

/* The task of a chunk, its argument.   [-1, +0, e] */
static int l_chunk(lua_State *L) {
  lua_callk(L, 0, LUA_MULTRET, 0, k_chunk);
  return k_chunk(L, LUA_OK, 0);
}

/* Runs the chunk at the top, or shows why there is none.   [-1, +0, m] */
static void run_chunk(lua_State *L, eddy_loop *loop, int load_status) {
  if (load_status == LUA_OK) {
    lua_pushcfunction(L, l_chunk);
    lua_insert(L, -2);
    eddy__command_run(L, loop, 1);
  } else {
    eddy__command_complain(L, -1);
    lua_pop(L, 1);
  }
}

/* [-0, +0, m] */
void eddy__prompt_run(lua_State *L, eddy_loop *loop) {
  int top = lua_gettop(L);
  prompt p = {.loop = loop, .session = top + 1};
  luaL_checkstack(L, 10, NULL);
  if (!open_signals()) luaL_error(L, "cannot open the prompt: %s", strerror(errno));
  push_session(L);
  p.edits = eddy__editor_open(L, p.session + SESSION_COMPLETE);
  puts(EDDY__BANNER);
  for (;;) {
    int load_status = LUA_OK;
    int input = read_chunk(L, &p, &load_status);
    if (input == INPUT_LINE) run_chunk(L, loop, load_status);
    else fputc('\n', stdout);
    lua_settop(L, p.session + SESSION_SLOTS - 1);
    if (input == INPUT_END) break;
  }
  eddy__editor_close();
  close_signals();
  lua_settop(L, top);
}
