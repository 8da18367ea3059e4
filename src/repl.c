/* SPDX-License-Identifier: MIT */
/*
 * repl.c - the prompt: input runs as a task, and other tasks go on while the prompt waits for it.
 * Owns:   SIGINT while it waits for input; what has been read of a line.
 * Uses:   eddy.h, repl.h.      Used by: main.c.
 * Touch:  freely. Input is read byte by byte, as a shell reads: what follows a line belongs to
 *         whoever reads next, io.read() in that line for instance.
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

/* What reading ends with, beside a byte or a line. */
enum {
  INPUT_LINE = 0,
  INPUT_END = -1,
  INPUT_INTERRUPT = -2 /* Ctrl-C: what there is of the chunk is to be forgotten */
};

/* --- A byte of standard input, and meanwhile the loop ------------------------------------------------ */

#ifdef _WIN32
/* There is no poll for this: the loop rests while the prompt waits. */
static int next_byte(lua_State *L, eddy_loop *loop) {
  (void)L, (void)loop;
  int byte = getc(stdin);
  return byte == EOF ? INPUT_END : byte;
}
static bool open_interrupts(void) { return true; }
static void close_interrupts(void) {}
static void catch_interrupts(bool on) { (void)on; }
#else

#define SLICE 0.02 /* seconds of the loop's between two looks at the keyboard */

/* A byte in this pipe is a Ctrl-C: a flag alone would be missed between looking at it and poll. */
static int interrupts[2];
static volatile sig_atomic_t unseen; /* how many; a task that computes keeps the prompt from seeing them */

/* Runs in a signal handler. */
static void on_sigint(int number) {
  int saved = errno;
  if (++unseen > 2) { /* three of them, and the prompt has seen none: let it end the command */
    signal(number, SIG_DFL);
    raise(number);
  }
  ssize_t written = write(interrupts[1], "", 1);
  (void)written;
  errno = saved;
}

static bool open_interrupts(void) {
  if (pipe(interrupts) != 0) return false;
  for (int i = 0; i < 2; i++) {
    fcntl(interrupts[i], F_SETFD, FD_CLOEXEC);
    fcntl(interrupts[i], F_SETFL, O_NONBLOCK);
  }
  return true;
}

static void close_interrupts(void) {
  close(interrupts[0]);
  close(interrupts[1]);
}

/* Makes SIGINT the prompt's own while it waits for input; otherwise it is eddy_run's. */
static void catch_interrupts(bool on) {
  static struct sigaction before;
  struct sigaction action = {.sa_handler = on_sigint, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  if (on) sigaction(SIGINT, &action, &before);
  else sigaction(SIGINT, &before, NULL);
}

static int take_interrupt(void) {
  char bytes[16];
  while (read(interrupts[0], bytes, sizeof bytes) > 0) {}
  unseen = 0;
  return INPUT_INTERRUPT;
}

/* Waits for a byte, and turns the loop until there is one. The first look does not wait, so that typed or pasted
 * text need not wait for the tasks.   [-0, +0, -] */
static int next_byte(lua_State *L, eddy_loop *loop) {
  for (int timeout = 0;; timeout = eddy_backend_timeout(loop)) {
    struct pollfd fds[] = {
      {.fd = STDIN_FILENO, .events = POLLIN},
      {.fd = interrupts[0], .events = POLLIN},
      {.fd = eddy_backend_fd(loop), .events = POLLIN},
    };
    int n = poll(fds, 3, timeout);
    if (n < 0 && errno != EINTR) return INPUT_END;
    if (n > 0 && fds[1].revents != 0) return take_interrupt();
    if (n > 0 && fds[0].revents != 0) {
      unsigned char byte;
      ssize_t size = read(STDIN_FILENO, &byte, 1);
      if (size == 1) return byte;
      if (size == 0 || (errno != EAGAIN && errno != EINTR)) return INPUT_END;
    }
    eddy_pump(loop, L, SLICE);
    fflush(stdout);
  }
}
#endif

/* --- A line, and a chunk of several ------------------------------------------------------------------ */

/* Reads a line and pushes what there is of it, without its newline. A last line that has none is a line
 * too.   [-0, +1, m] */
static int read_line(lua_State *L, eddy_loop *loop, const char *prompt) {
  luaL_Buffer line;
  fputs(prompt, stdout);
  fflush(stdout);
  luaL_buffinit(L, &line);
  catch_interrupts(true);
  int byte = next_byte(L, loop);
  for (; byte >= 0 && byte != '\n'; byte = next_byte(L, loop)) luaL_addchar(&line, (char)byte);
  catch_interrupts(false);
  bool is_line = byte == '\n' || (byte == INPUT_END && luaL_bufflen(&line) > 0);
  luaL_pushresult(&line);
  return is_line ? INPUT_LINE : byte;
}

/* Loads the text at the top, as an expression if it is one, and pushes a function or a message. Returns a status of
 * Lua's.   [-0, +1, m] */
static int load(lua_State *L) {
  size_t size;
  lua_pushliteral(L, "return ");
  lua_pushvalue(L, -2);
  lua_concat(L, 2);
  const char *text = lua_tolstring(L, -1, &size);
  int status = luaL_loadbufferx(L, text, size, "=stdin", "t");
  lua_remove(L, -2);
  if (status == LUA_OK) return LUA_OK;
  lua_pop(L, 1);
  text = lua_tolstring(L, -1, &size);
  return luaL_loadbufferx(L, text, size, "=stdin", "t");
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
static int read_chunk(lua_State *L, eddy_loop *loop, int *load_status) {
  int input = read_line(L, loop, "> ");
  if (input != INPUT_LINE) return input;
  while (*load_status = load(L), is_unfinished(L, *load_status)) {
    input = read_line(L, loop, ">> ");
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
  if (!open_interrupts()) luaL_error(L, "cannot open the prompt: %s", strerror(errno));
  puts(EDDY__BANNER);
  for (;;) {
    int load_status = LUA_OK;
    int input = read_chunk(L, loop, &load_status);
    if (input == INPUT_LINE) run_chunk(L, loop, load_status);
    else fputc('\n', stdout);
    lua_settop(L, top);
    if (input == INPUT_END) break;
  }
  close_interrupts();
}
