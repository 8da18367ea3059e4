/* SPDX-License-Identifier: MIT */
/*
 * editor.c - the prompt's line editor: libedit or readline, with history, completion and what tasks print above it.
 * Owns:   the terminal while a line is edited, all that the library keeps, the file of the history.
 * Uses:   editor.h, libedit or readline.      Used by: repl.c.
 * Touch:  freely. The library keeps its state in globals, and so do we: there is one editor in a process. It is called
 *         only when there is a key, so it never waits; both of them read byte by byte, and what follows a line belongs
 *         to whoever reads next.
 */
#include "editor.h"

#if defined(EDDY_EDITLINE) || defined(EDDY_GNU_READLINE)
#include <ctype.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#ifdef EDDY_EDITLINE
#include <editline/readline.h>
#else
#include <readline/history.h>
#include <readline/readline.h>
#endif

static struct {
  lua_State *L;      /* for completion */
  int completion;    /* where in L l_complete stands */
  const char *shown; /* the prompt of the line that is being edited; NULL: none is */
  char *line;        /* what was typed, malloc'ed, when is_done; NULL: the end of input */
  bool is_done;
  struct termios cooked; /* how the terminal was before */
  char *history;         /* the path of the history's file, or NULL */
  int columns;
} editor;

/* --- The line on the terminal ------------------------------------------------------------------------ */

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

void eddy__editor_hide_line(void) {
  int row = row_of(rl_point);
  if (row > 0) printf("\033[%dA", row);
  fputs("\r\033[J", stdout);
}

/* What was printed meanwhile may have ended in the midst of a line. A row of blanks goes on to the next line then;
 * else the cursor comes back to where it was. */
void eddy__editor_show_line(void) {
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

void eddy__editor_resize_line(void) {
  eddy__editor_hide_line();
  measure_terminal();
  rl_resize_terminal();
  eddy__editor_show_line();
}

void eddy__editor_restore_line(void) {
  rl_deprep_terminal();
  rl_prep_terminal(1);
  keep_typed();
  measure_terminal();
  eddy__editor_show_line();
}

bool eddy__editor_is_editing(void) { return editor.shown != NULL; }

/* Runs in a signal handler. */
void eddy__editor_leave_terminal(void) {
  if (eddy__editor_is_editing()) tcsetattr(STDIN_FILENO, TCSANOW, &editor.cooked);
}
/* --- Completion -------------------------------------------------------------------------------------- */

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

/* Adds the keys of the table at the top that start so to the set at idx.   [-0, +0, m] */
static void add_keys(lua_State *L, int set, const char *start, bool methods) {
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

/* Adds the fields of the value at the top that start so to the set at idx; also those that an __index makes when they
 * are asked for, if the set `__names` in its metatable has them.   [-1, +0, m] */
static void add_fields(lua_State *L, int set, const char *start, bool methods) {
  bool is_there = true;
  for (int i = 0; is_there && i < CHAIN; i++) {
    if (lua_istable(L, -1)) add_keys(L, set, start, methods);
    int type = luaL_getmetafield(L, -1, "__names");
    if (type == LUA_TTABLE) add_keys(L, set, start, methods);
    if (type != LUA_TNIL) lua_pop(L, 1);
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
  lua_pushvalue(L, editor.completion);
  lua_pushlightuserdata(L, (void *)(size_t)text);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) matches = rl_completion_matches(text, next_match);
  lua_settop(L, top);
  return matches;
}

/* [-0, +1, m] */
void eddy__editor_push_completion(lua_State *L, int names, int values) {
  lua_pushvalue(L, names);
  lua_pushvalue(L, values);
  lua_pushcclosure(L, l_complete, 2);
}

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
  if (eddy__editor_is_editing()) rl_deprep_terminal();
}

/* [-0, +0, -] */
bool eddy__editor_open(lua_State *L, int completion) {
  static char breaks[] = " \t\n\"\\'`@$><=;|&{(}),[]+-*/%^#~!?";
  const char *kind = getenv("TERM");
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || kind == NULL || strcmp(kind, "dumb") == 0) return false;
  if (tcgetattr(STDIN_FILENO, &editor.cooked) != 0) return false;
  setlocale(LC_CTYPE, ""); /* which bytes make a character */
  editor.L = L;
  editor.completion = completion;
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
  return true;
}

void eddy__editor_close(void) {
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

void eddy__editor_start(const char *text) {
  free(editor.line);
  editor.line = NULL;
  editor.is_done = false;
  measure_terminal();
  editor.shown = text;
  rl_callback_handler_install(text, on_line);
  keep_typed();
  rl_point = rl_end = 0; /* libedit sets them after a key only */
}

void eddy__editor_read_key(void) { rl_callback_read_char(); }

bool eddy__editor_is_done(void) { return editor.is_done; }

void eddy__editor_stop(bool is_interrupt) {
  if (is_interrupt) drop_line();
  rl_callback_handler_remove(); /* after an interrupt, and for libedits that take up the next line by themselves */
  editor.shown = NULL;
}

/* [-0, +1, m] */
bool eddy__editor_push_line(lua_State *L) {
  lua_pushstring(L, editor.line != NULL ? editor.line : "");
  if (editor.line == NULL) return false;
  keep_line(editor.line);
  return true;
}

#else
/* --- No editor --------------------------------------------------------------------------------------- */

void eddy__editor_push_completion(lua_State *L, int names, int values) { (void)names, (void)values, lua_pushnil(L); }
bool eddy__editor_open(lua_State *L, int completion) {
  (void)L, (void)completion;
  return false;
}
void eddy__editor_close(void) {}
void eddy__editor_start(const char *text) { (void)text; }
void eddy__editor_read_key(void) {}
bool eddy__editor_is_done(void) { return true; }
void eddy__editor_stop(bool is_interrupt) { (void)is_interrupt; }
bool eddy__editor_push_line(lua_State *L) {
  lua_pushliteral(L, "");
  return false;
}
bool eddy__editor_is_editing(void) { return false; }
void eddy__editor_hide_line(void) {}
void eddy__editor_show_line(void) {}
void eddy__editor_resize_line(void) {}
void eddy__editor_restore_line(void) {}
void eddy__editor_leave_terminal(void) {}
#endif
