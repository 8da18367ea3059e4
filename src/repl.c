/* SPDX-License-Identifier: MIT */
/*
 * repl.c - the prompt: input runs as a task, and other tasks go on while the prompt waits for it.
 * Owns:   SIGINT while it waits for input; what has been read of a line; the session's variables; on a terminal
 *         the line editor (libedit or readline, where it was built with one) and the file of its history.
 * Uses:   eddy.h, repl.h.      Used by: main.c.
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
#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#endif

#if defined(EDDY_EDITLINE) || defined(EDDY_GNU_READLINE)
#define HAS_EDITOR 1
#include <ctype.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#ifdef EDDY_EDITLINE
#include <editline/readline.h>
#else
#include <readline/history.h>
#include <readline/readline.h>
#endif
#else
#define HAS_EDITOR 0
#endif

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
  SESSION_COMPLETE, /* l_complete; nil without an editor */
  SESSION_SLOTS
};

/* --- The line editor, as the wait for input sees it -------------------------------------------------- */

#if HAS_EDITOR
static struct {
  lua_State *L; /* for completion */
  int session;
  const char *shown; /* the prompt of the line that is being edited; NULL: none is */
  char *line;        /* what was typed, malloc'ed, when is_done; NULL: the end of input */
  bool is_done;
  struct termios cooked; /* how the terminal was before */
  char *history;         /* the path of the history's file, or NULL */
  int columns;
} editor;

/* On which row below that of the prompt the editor shows the first `end` bytes of the line. */
static int row_of(int end) {
  int row = 0, column = (int)strlen(editor.shown);
  for (int i = 0; i < end; i++) {
    unsigned char byte = (unsigned char)rl_line_buffer[i];
    if (byte == '\n') row += column / editor.columns + 1, column = 0;
    else if ((byte & 0xC0) != 0x80) column++; /* not the rest of a character in UTF-8 */
  }
  return row + column / editor.columns;
}

static void hide_line(void) {
  int row = row_of(rl_point);
  if (row > 0) printf("\033[%dA", row);
  fputs("\r\033[J", stdout);
}

/* What was printed meanwhile may have ended in the midst of a line. A row of blanks goes on to the next line then;
 * else the cursor comes back to where it was. */
static void show_line(void) {
  printf("%*s\r\033[J", editor.columns, "");
  rl_forced_update_display();
  fflush(stdout);
}

static void measure_terminal(void) {
  struct winsize size;
  bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
  int columns = is_known ? size.ws_col : 80;
  if (columns != editor.columns) rl_set_screen_size(is_known ? size.ws_row : 24, columns);
  editor.columns = columns;
}

/* Has Ctrl-C leave in the terminal what poll has told of: else the editor would wait for a key in its read, which
 * nothing interrupts. drop_line throws it away. */
static void keep_typed(void) {
  struct termios now;
  if (tcgetattr(STDIN_FILENO, &now) != 0) return;
  now.c_lflag |= NOFLSH;
  tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

/* The window has another size. */
static void resize_line(void) {
  hide_line();
  measure_terminal();
  rl_resize_terminal();
  show_line();
}

/* The process was stopped, and goes on: the shell has used the terminal. */
static void restore_line(void) {
  rl_deprep_terminal();
  rl_prep_terminal(1);
  keep_typed();
  measure_terminal();
  show_line();
}

static bool is_editing(void) { return editor.shown != NULL; }

/* Runs in a signal handler. */
static void leave_terminal(void) {
  if (is_editing()) tcsetattr(STDIN_FILENO, TCSANOW, &editor.cooked);
}
#else
static bool is_editing(void) { return false; }
static void hide_line(void) {}
static void show_line(void) {}
static void resize_line(void) {}
static void restore_line(void) {}
static void leave_terminal(void) {}
#endif

/* --- A byte of standard input, and meanwhile the loop ------------------------------------------------ */

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
    leave_terminal();
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
  if (!is_editing()) return INPUT_READY;
  if (is_back) restore_line();
  else if (is_resized) resize_line();
  return INPUT_READY;
}

/* Turns the loop. What its tasks print comes above the line that is being edited. The line goes before they run if
 * the loop has waited; if it never does, the line would hardly be seen, and goes before what they print to stdout.
 * [-0, +0, -] */
static void turn(lua_State *L, eddy_loop *loop, bool has_waited) {
  if (is_editing()) {
    hide_line();
    if (has_waited) fflush(stdout);
  }
  eddy_pump(loop, L, SLICE);
  if (is_editing()) show_line();
  else fflush(stdout);
}

/* Waits until there is input, and turns the loop meanwhile. The first look does not wait, so that typed or pasted
 * text need not wait for the tasks; an editor has had it. Returns INPUT_READY, INPUT_END when there will be none,
 * or INPUT_INTERRUPT.   [-0, +0, -] */
static int wait_for_input(lua_State *L, eddy_loop *loop) {
  for (int timeout = is_editing() ? eddy_backend_timeout(loop) : 0;; timeout = eddy_backend_timeout(loop)) {
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
      bool is_gone = is_editing() && (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
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
#endif

/* --- Completion -------------------------------------------------------------------------------------- */

#if HAS_EDITOR
#define CHAIN 20 /* so many __index are followed: they may go round in circles */

static bool is_letter(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Replaces the value at the top by the table in which its __index goes on. Returns whether there is one; else
 * leaves nothing. Runs nothing: an __index that is a function ends it.   [-1, +(0|1), m] */
static bool go_on(lua_State *L) {
  bool is_there = luaL_getmetafield(L, -1, "__index") != LUA_TNIL;
  lua_remove(L, is_there ? -2 : -1);
  if (is_there && lua_istable(L, -1)) return true;
  if (is_there) lua_pop(L, 1);
  return false;
}

/* Replaces the value at the top by its field of that name.   [-1, +1, m] */
static void look_up(lua_State *L, const char *name, size_t size) {
  for (int i = 0; i < CHAIN; i++) {
    if (lua_istable(L, -1)) {
      lua_pushlstring(L, name, size);
      if (lua_rawget(L, -2) != LUA_TNIL) {
        lua_remove(L, -2);
        return;
      }
      lua_pop(L, 1);
    }
    if (!go_on(L)) {
      lua_pushnil(L);
      return;
    }
  }
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* Whether the key at idx is a name that starts so. Names with _ in front are shown to those who type it.
 * [-0, +0, -] */
static bool is_match(lua_State *L, int idx, const char *start) {
  if (lua_type(L, idx) != LUA_TSTRING) return false;
  size_t size, length = strlen(start);
  const char *name = lua_tolstring(L, idx, &size);
  if (size == 0 || strncmp(name, start, length) != 0 || isdigit((unsigned char)name[0])) return false;
  for (size_t i = 0; i < size; i++)
    if (!is_letter(name[i])) return false;
  return length > 0 || name[0] != '_';
}

/* Adds the fields of the value at the top that start so to the set at idx.   [-1, +0, m] */
static void add_fields(lua_State *L, int set, const char *start, bool methods) {
  bool is_there = true;
  for (int i = 0; is_there && i < CHAIN; i++) {
    if (lua_istable(L, -1)) {
      lua_pushnil(L);
      while (lua_next(L, -2)) {
        if (is_match(L, -2, start) && (!methods || lua_isfunction(L, -1))) {
          lua_pushvalue(L, -2);
          lua_pushboolean(L, 1);
          lua_rawset(L, set);
        }
        lua_pop(L, 1);
      }
    }
    is_there = go_on(L);
  }
  if (is_there) lua_pop(L, 1);
}

/* complete(text) -> the set of names that may stand for the last one in the text, a path.   [-0, +1, m] */
static int l_complete(lua_State *L) {
  const char *at = (const char *)lua_touserdata(L, 1), *dots;
  while ((dots = strstr(at, "..")) != NULL) at = dots + 2; /* a concatenation */
  lua_newtable(L);
  for (bool is_first = true;; is_first = false) {
    size_t size = strcspn(at, ".:");
    char end = at[size];
    if (is_first) {
      lua_pushvalue(L, lua_upvalueindex(1));
      if (end == '\0') add_fields(L, 2, at, false);
      else look_up(L, at, size);
      if (end == '\0' || lua_isnil(L, -1)) {
        if (end != '\0') lua_pop(L, 1);
        lua_pushglobaltable(L);
        if (end != '\0') look_up(L, at, size);
      } else {
        lua_pushlstring(L, at, size); /* the names are there: now their values */
        lua_rawget(L, lua_upvalueindex(2));
        lua_remove(L, -2);
      }
    } else if (end != '\0') {
      look_up(L, at, size);
    }
    if (end == '\0') {
      add_fields(L, 2, at, !is_first && at[-1] == ':');
      return 1;
    }
    at += size + 1;
  }
}

/* One match after the other: they are the keys of the set at the top of L, with what stands before them.
 * [-1, +(0|1), -] */
static char *next_match(const char *text, int state) {
  lua_State *L = editor.L;
  size_t start = strlen(text);
  while (start > 0 && is_letter(text[start - 1])) start--;
  if (state == 0) lua_pushnil(L);
  if (!lua_next(L, -2)) return NULL;
  lua_pop(L, 1);
  const char *name = lua_tostring(L, -1);
  char *match = malloc(start + strlen(name) + 1);
  if (match == NULL) return NULL;
  memcpy(match, text, start);
  memcpy(match + start, name, strlen(name) + 1);
  return match;
}

static char **complete(const char *text, int start, int end) {
  lua_State *L = editor.L;
  int top = lua_gettop(L);
  char **matches = NULL;
  (void)start, (void)end;
  rl_attempted_completion_over = 1; /* no names of files instead */
  rl_completion_append_character = '\0';
  lua_pushvalue(L, editor.session + SESSION_COMPLETE);
  lua_pushlightuserdata(L, (void *)(size_t)text);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) matches = rl_completion_matches(text, next_match);
  lua_settop(L, top);
  return matches;
}

/* Pushes l_complete for the session.   [-0, +1, m] */
static void push_completion(lua_State *L, int session) {
  lua_pushvalue(L, session + SESSION_NAMES);
  lua_pushvalue(L, session + SESSION_VALUES);
  lua_pushcclosure(L, l_complete, 2);
}
#else
static void push_completion(lua_State *L, int session) { (void)session, lua_pushnil(L); }
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
  push_completion(L, first);
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

#if HAS_EDITOR
/* --- History ----------------------------------------------------------------------------------------- */

#define HISTORY_SIZE 1000 /* lines */

/* Makes the folders of the path that are not there. */
static void make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
  }
}

/* The path of the history's file, malloc'ed; NULL if there is to be none. */
static char *history_path(lua_State *L) {
  const char *path = getenv("EDDY_HISTORY"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  bool no_env = lua_getfield(L, LUA_REGISTRYINDEX, "LUA_NOENV") != LUA_TNIL; /* -E */
  lua_pop(L, 1);
  if (no_env) return NULL;
  if (path != NULL) return path[0] != '\0' ? strdup(path) : NULL;
  bool has_state = state != NULL && state[0] == '/';
  if (!has_state && (home == NULL || home[0] == '\0')) return NULL;
  static const char below_home[] = "/.local/state", file[] = "/eddy/history";
  const char *base = has_state ? state : home;
  size_t size = strlen(base) + sizeof below_home + sizeof file;
  char *made = malloc(size);
  if (made == NULL) return NULL;
  snprintf(made, size, "%s%s%s", base, has_state ? "" : below_home, file);
  make_folders(made);
  return made;
}

static void load_history(void) {
  char *line = NULL;
  size_t room = 0;
  int lines = 0;
  using_history();
  stifle_history(HISTORY_SIZE);
  FILE *file = editor.history != NULL ? fopen(editor.history, "re") : NULL;
  if (file == NULL) return;
  for (ssize_t size; (size = getline(&line, &room, file)) >= 0; lines++) {
    if (size > 0 && line[size - 1] == '\n') line[size - 1] = '\0';
    add_history(line);
  }
  free(line);
  fclose(file);
  if (lines > 2 * HISTORY_SIZE) history_truncate_file(editor.history, HISTORY_SIZE);
}

/* Keeps a line that is not empty and not the same as the last. */
static void keep_line(const char *line) {
  static char *last;
  if (line[strspn(line, " \t\n")] == '\0' || (last != NULL && strcmp(last, line) == 0)) return;
  add_history(line);
  free(last);
  last = strdup(line);
  if (editor.history == NULL) return;
  int fd = open(editor.history, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  FILE *file = fd >= 0 ? fdopen(fd, "a") : NULL;
  if (file != NULL) {
    fprintf(file, "%s\n", line);
    fclose(file);
  } else if (fd >= 0) {
    close(fd);
  }
}

/* --- A line from the editor -------------------------------------------------------------------------- */

/* What was typed, malloc'ed. */
static void on_line(char *line) {
  editor.line = line;
  editor.is_done = true;
  rl_callback_handler_remove(); /* before readline asks for the next */
}

/* The process ends by os.exit, from a task. */
static void on_exit_while_editing(void) {
  if (is_editing()) rl_deprep_terminal();
}

/* [-0, +0, -] */
static void open_editor(lua_State *L, prompt *p) {
  static char breaks[] = " \t\n\"\\'`@$><=;|&{(}),[]+-*/%^#~!?";
  const char *kind = getenv("TERM");
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || kind == NULL || strcmp(kind, "dumb") == 0) return;
  if (tcgetattr(STDIN_FILENO, &editor.cooked) != 0) return;
  setlocale(LC_CTYPE, ""); /* which bytes make a character */
  p->edits = true;
  editor.L = L;
  editor.session = p->session;
  rl_readline_name = "eddy";
  rl_catch_signals = 0;
  rl_catch_sigwinch = 0;
  rl_attempted_completion_function = complete;
  rl_completer_word_break_characters = breaks;
  rl_basic_word_break_characters = breaks;
  rl_initialize();
  editor.history = history_path(L);
  load_history();
  atexit(on_exit_while_editing);
}

static void close_editor(void) {
  free(editor.history);
  editor.history = NULL;
}

/* Leaves the line as it stands, with the cursor on its last row. */
static void drop_line(void) {
  int rows = row_of(rl_end) - row_of(rl_point);
  if (rows > 0) printf("\033[%dB", rows);
  fflush(stdout);
  tcflush(STDIN_FILENO, TCIFLUSH);
#ifdef EDDY_GNU_READLINE
  rl_free_line_state();
#endif
}

/* As read_line.   [-0, +1, m] */
static int edit_line(lua_State *L, prompt *p, const char *text) {
  int input = INPUT_READY;
  free(editor.line);
  editor.line = NULL;
  editor.is_done = false;
  catch_signals(true, p->edits);
  turn(L, p->loop, true); /* the loop may not have told the system yet what it waits for */
  measure_terminal();
  editor.shown = text;
  rl_callback_handler_install(text, on_line);
  keep_typed();
  rl_point = rl_end = 0; /* libedit sets them after a key only */
  while (!editor.is_done && (input = wait_for_input(L, p->loop)) == INPUT_READY) rl_callback_read_char();
  if (input == INPUT_INTERRUPT) drop_line();
  rl_callback_handler_remove(); /* after an interrupt, and for libedits that take up the next line by themselves */
  catch_signals(false, p->edits);
  editor.shown = NULL;
  lua_pushstring(L, editor.line != NULL ? editor.line : "");
  if (editor.line == NULL) return input == INPUT_INTERRUPT ? input : INPUT_END;
  keep_line(editor.line);
  return INPUT_LINE;
}
#else
static void open_editor(lua_State *L, prompt *p) { (void)L, (void)p; }
static void close_editor(void) {}
static int edit_line(lua_State *L, prompt *p, const char *text) {
  (void)L, (void)p, (void)text;
  return INPUT_END;
}
#endif

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
  open_editor(L, &p);
  puts(EDDY__BANNER);
  for (;;) {
    int load_status = LUA_OK;
    int input = read_chunk(L, &p, &load_status);
    if (input == INPUT_LINE) run_chunk(L, loop, load_status);
    else fputc('\n', stdout);
    lua_settop(L, p.session + SESSION_SLOTS - 1);
    if (input == INPUT_END) break;
  }
  close_editor();
  close_signals();
  lua_settop(L, top);
}
