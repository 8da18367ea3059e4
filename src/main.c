/* SPDX-License-Identifier: MIT */
/*
 * main.c - the `eddy` command: lua's own command, in which everything runs as a task and may wait.
 * Owns:   the Lua state, its loop, the exit status; what SIGPIPE does.
 * Uses:   eddy.h, repl.h.      Used by: people.
 * Touch:  freely. Options mean what they mean to lua; everything that can raise runs inside pmain.
 */
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#define stdin_is_terminal() (_isatty(_fileno(stdin)) != 0)
#else
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#define stdin_is_terminal() (isatty(STDIN_FILENO) != 0)
#endif

#include "eddy.h"
#include "repl.h"

/* What the command ends with, beside EXIT_SUCCESS. */
enum {
  EXIT_ERROR = 1,
  EXIT_SIGINT = 130, /* 128 + the signal, as a shell tells it */
  EXIT_SIGPIPE = 141
};

typedef struct command {
  int argc;
  char **argv;
  int script;     /* where in argv the script or the module's name stands; 0: nowhere */
  bool is_module; /* it is the name of a module */
  bool has_code;  /* there is an -e */
  bool ask_prompt, ask_version, ask_help, debug, no_env;
  eddy_loop *loop;
  int status;     /* the exit status; once it is not 0 nothing more is run */
} command;

static const char usage[] =
  "usage: eddy [options] [script [args]]\n"
  "  -e CODE        run the string CODE\n"
  "  -l MODULE      require MODULE into the global MODULE; NAME=MODULE names another global\n"
  "  -m MODULE      run MODULE, found by package.path, as the script\n"
  "  -i             prompt for input after running the script\n"
  "  -E             ignore environment variables\n"
  "  --debug        debug mode: warn of slow callbacks and of what is left behind\n"
  "  -v, --version  show the version\n"
  "  -h, --help     show this help\n"
  "  --             stop handling options\n"
  "  -              run standard input as the script\n"
  "Without a script and without -e: the prompt, or standard input when it is no terminal.\n"
  "The script runs as a task: it may wait at top level, as in eddy.sleep(1).\n";

/* --- Options ----------------------------------------------------------------------------------------- */

static bool is(const char *option, const char *name) { return strcmp(option, name) == 0; }

/* Where the flag that the option sets is kept, or NULL. */
static bool *flag_of(command *c, const char *option) {
  if (is(option, "-i")) return &c->ask_prompt;
  if (is(option, "-v") || is(option, "--version")) return &c->ask_version;
  if (is(option, "-h") || is(option, "--help")) return &c->ask_help;
  if (is(option, "-E")) return &c->no_env;
  if (is(option, "--debug")) return &c->debug;
  return NULL;
}

/* Whether the option is -e, -l or -m; its value is in the same word or the next. */
static bool takes_value(const char *option) {
  return option[0] == '-' && option[1] != '\0' && strchr("elm", option[1]) != NULL;
}

/* The value of the option at argv[*i], with *i moved to where it stands; NULL if there is none. */
static char *value_of(const command *c, int *i) {
  if (c->argv[*i][2] != '\0') return c->argv[*i] + 2;
  if (*i + 1 >= c->argc || c->argv[*i + 1][0] == '-') return NULL;
  return c->argv[++*i];
}

/* Reads the options up to the script. Returns NULL, or the option that is wrong. */
static const char *parse_options(command *c) {
  int i = 1;
  for (; i < c->argc && c->argv[i][0] == '-' && c->argv[i][1] != '\0'; i++) {
    const char *option = c->argv[i];
    bool *flag = flag_of(c, option);
    if (flag != NULL) {
      *flag = true;
    } else if (is(option, "--")) {
      i++;
      break;
    } else if (takes_value(option)) {
      if (value_of(c, &i) == NULL) return option;
      if (option[1] == 'e') c->has_code = true;
      if (option[1] == 'm') {
        c->is_module = true;
        break;
      }
    } else {
      return option;
    }
  }
  if (i < c->argc) c->script = i;
  return NULL;
}

/* Whether the options ask for something themselves, so that no script is needed. */
static bool has_asked(const command *c) { return c->has_code || c->ask_version || c->ask_prompt; }

/* --- Running ----------------------------------------------------------------------------------------- */

/* [-0, +0, m] */
void eddy__command_complain(lua_State *L, int idx) {
  size_t size;
  eddy_error_text(L, idx);
  lua_pushliteral(L, "eddy: ");
  lua_insert(L, -2);
  lua_pushliteral(L, "\n");
  lua_concat(L, 3);
  const char *text = lua_tolstring(L, -1, &size);
  fflush(stdout); /* what was printed before the error comes before it */
  fwrite(text, 1, size, stderr);
  fflush(stderr);
  lua_pop(L, 1);
}

/* [-(nargs+1), +0, m] */
int eddy__command_run(lua_State *L, eddy_loop *loop, int nargs) {
  int task = lua_gettop(L) - nargs;
  int status = eddy_spawn(loop, L, nargs);
  if (status == EDDY_OK) status = eddy_run(loop, L, task);
  if (status == EDDY_FAILED || status == EDDY_CANCELLED) {
    /* A task that has failed tells more than its error. A deadlock is no failure of the task's own. */
    eddy__command_complain(L, eddy_status(L, task) == EDDY_FAILED ? task : -1);
  } else if (status != EDDY_OK) {
    eddy__command_complain(L, -1);
  }
  lua_settop(L, task - 1);
  if (status == EDDY_OK) return EXIT_SUCCESS;
  return status == EDDY_INTERRUPTED ? EXIT_SIGINT : EXIT_ERROR;
}

/* Runs the function under its nargs arguments at the top. Returns whether all is well.   [-(nargs+1), +0, m] */
static bool run(lua_State *L, command *c, int nargs) {
  c->status = eddy__command_run(L, c->loop, nargs);
  return c->status == EXIT_SUCCESS;
}

/* Runs what was loaded, a function without arguments, or shows why it was not.   [-1, +0, m] */
static bool run_loaded(lua_State *L, command *c, int load_status) {
  if (load_status == LUA_OK) return run(L, c, 0);
  eddy__command_complain(L, -1);
  lua_pop(L, 1);
  c->status = EXIT_ERROR;
  return false;
}

/* In the task of -l: the module has been loaded, and goes into the global whose name is at 1. */
static int k_library(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_setglobal(L, lua_tostring(L, 1));
  return 0;
}

/* The task of -l: the name of the global and of the module.   [-0, +0, e] */
static int l_library(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushvalue(L, 2);
  lua_callk(L, 1, 1, 0, k_library);
  return k_library(L, LUA_OK, 0);
}

/* -l module, -l global=module.   [-0, +0, m] */
static bool run_library(lua_State *L, command *c, const char *value) {
  const char *equals = strchr(value, '=');
  lua_pushcfunction(L, l_library);
  if (equals != NULL) {
    lua_pushlstring(L, value, (size_t)(equals - value));
    lua_pushstring(L, equals + 1);
  } else {
    lua_pushstring(L, value);
    lua_pushstring(L, value);
  }
  return run(L, c, 2);
}

/* The environment's LUA_INIT: code, or @ and a file's name.   [-0, +0, m] */
static bool run_init(lua_State *L, command *c) {
  const char *name = "=LUA_INIT_5_4";
  const char *init = getenv(name + 1);
  if (init == NULL) init = getenv((name = "=LUA_INIT") + 1);
  if (init == NULL || c->no_env) return true;
  int status = init[0] == '@' ? luaL_loadfile(L, init + 1)
                              : luaL_loadbuffer(L, init, strlen(init), name);
  return run_loaded(L, c, status);
}

/* Runs each -e and -l, in their order.   [-0, +0, m] */
static bool run_options(lua_State *L, command *c) {
  int end = c->script != 0 ? c->script : c->argc;
  for (int i = 1; i < end; i++) {
    char kind = c->argv[i][1];
    if (!takes_value(c->argv[i]) || kind == 'm') continue;
    const char *value = value_of(c, &i);
    if (kind == 'l') {
      if (!run_library(L, c, value)) return false;
    } else if (!run_loaded(L, c, luaL_loadbuffer(L, value, strlen(value), "=(command line)"))) {
      return false;
    }
  }
  return true;
}

/* Loads the module of -m, found as require would find it, and makes its path arg[0].   [-0, +1, e] */
static int load_module(lua_State *L, const char *name) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchpath");
  lua_pushstring(L, name);
  lua_getfield(L, -3, "path");
  lua_remove(L, -4);
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) {
    lua_pushfstring(L, "module '%s' not found:\n\t%s", name, lua_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
    return LUA_ERRFILE;
  }
  lua_pop(L, 1);
  int status = luaL_loadfile(L, lua_tostring(L, -1));
  if (lua_getglobal(L, "arg") == LUA_TTABLE) {
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 0);
  }
  lua_pop(L, 1);
  lua_remove(L, -2);
  return status;
}

/* [-0, +1, e] */
static int load_script(lua_State *L, const command *c) {
  const char *word = c->argv[c->script];
  if (c->is_module) return load_module(L, word[0] == '-' ? word + 2 : word);
  bool is_stdin = is(word, "-") && !is(c->argv[c->script - 1], "--");
  return luaL_loadfile(L, is_stdin ? NULL : word);
}

/* Runs the script or module with what `arg` holds by now as its arguments.   [-0, +0, e] */
static bool run_script(lua_State *L, command *c) {
  int status = load_script(L, c);
  if (status != LUA_OK) return run_loaded(L, c, status);
  if (lua_getglobal(L, "arg") != LUA_TTABLE) luaL_error(L, "'arg' is not a table");
  int n = (int)luaL_len(L, -1);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  int arg = lua_gettop(L);
  for (int i = 1; i <= n; i++) lua_rawgeti(L, arg, i);
  lua_remove(L, arg);
  return run(L, c, n);
}

/* Everything that the command line asks for, in lua's order.   [-0, +0, e] */
static void run_all(lua_State *L, command *c) {
  if (!run_init(L, c) || !run_options(L, c)) return;
  if (c->script != 0 && !run_script(L, c)) return;
  if (c->script == 0 && !has_asked(c) && !run_loaded(L, c, luaL_loadfile(L, NULL))) return;
  if (c->ask_prompt) eddy__prompt_run(L, c->loop);
}

/* --- The state, its beginning and its end ------------------------------------------------------------ */

/* The global `arg`: the script at 0, its arguments after it, the options before it.   [-0, +0, m] */
static void make_arg(lua_State *L, const command *c) {
  int n = c->script != 0 ? c->argc - c->script - 1 : c->argc;
  lua_createtable(L, n, c->script + 1);
  for (int i = 0; i < c->argc; i++) {
    lua_pushstring(L, c->argv[i]);
    lua_rawseti(L, -2, i - c->script);
  }
  lua_setglobal(L, "arg");
}

/* Lua's libraries and eddy, the globals of a script.   [-0, +0, e] */
static void open_libraries(lua_State *L, const command *c) {
  if (c->no_env) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  lua_warning(L, "@on", 0);
  luaL_requiref(L, "eddy", luaopen_eddy, 1);
  lua_getfield(L, -1, "coroutine"); /* waiting works in plain coroutines too */
  lua_getfield(L, -1, "install");
  lua_call(L, 0, 0);
  lua_pop(L, 1);
  lua_getfield(L, -1, "_order_output"); /* print and eddy.stdout come out in the order in which they were called */
  lua_call(L, 0, 0);
  lua_pop(L, 1);
  make_arg(L, c);
}

#ifdef _WIN32
static void watch_stdout(void) {}
#else
/* If it is standard output that nobody reads any more, the command ends here, quietly, as any filter
 * does. Else the write fails with EPIPE, as it does with SIGPIPE ignored. Only pipes are asked: a
 * terminal that was closed does not raise this signal. Runs in a signal handler. */
static void on_sigpipe(int number) {
  int saved = errno;
  struct stat st;
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  (void)number;
  bool is_pipe = fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
  if (is_pipe && poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0)
    _exit(EXIT_SIGPIPE);
  errno = saved;
}

/* A handler, not SIG_IGN: programs that the script starts get SIGPIPE's default back. */
static void watch_stdout(void) {
  struct sigaction action = {.sa_handler = on_sigpipe, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGPIPE, &action, NULL);
}
#endif

/* pmain(command).   [-0, +0, e] */
static int pmain(lua_State *L) {
  command *c = (command *)lua_touserdata(L, 1);
  luaL_checkversion(L);
  open_libraries(L, c);
  lua_gc(L, LUA_GCGEN, 0, 0); /* as lua does */
  eddy_options options = {.size = sizeof options, .debug = c->debug, .lazy = 1, .handle_sigint = 1};
  c->loop = eddy_open(L, &options);
  if (c->loop == NULL) {
    eddy__command_complain(L, -1);
    c->status = EXIT_ERROR;
  } else {
    watch_stdout();
    run_all(L, c);
  }
  return 0;
}

/* Shows an error that has left pmain: out of memory, for instance, so nothing may be built here. */
static void complain_plainly(lua_State *L) {
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "not enough memory";
  fprintf(stderr, "eddy: %s\n", text);
}

/* Writes out what is still buffered; a script that ended well has failed if that does. Returns the exit status. */
static int end_output(int status) {
  const char *why = fflush(stdout) != 0 ? strerror(errno) : "some of it is lost";
  if (status != EXIT_SUCCESS || !ferror(stdout)) return status;
  fprintf(stderr, "eddy: cannot write to standard output: %s\n", why);
  return EXIT_ERROR;
}

int main(int argc, char **argv) {
  command c = {.argc = argc, .argv = argv};
  const char *wrong = parse_options(&c);
  if (wrong != NULL) {
    const char *why = takes_value(wrong) ? "needs an argument" : "is no option of eddy";
    fprintf(stderr, "eddy: '%s' %s\n%s", wrong, why, usage);
    return EXIT_ERROR;
  }
  if (c.ask_help) {
    fputs(usage, stdout);
    return end_output(EXIT_SUCCESS);
  }
  if (c.script == 0 && !has_asked(&c) && stdin_is_terminal()) c.ask_prompt = true;
  if (c.ask_prompt) setvbuf(stdin, NULL, _IONBF, 0); /* io.read leaves the lines after its own to the prompt */
  else if (c.ask_version) puts(EDDY__BANNER);

  lua_State *L = eddy_newstate();
  if (L == NULL) {
    fputs("eddy: not enough memory\n", stderr);
    return EXIT_ERROR;
  }
  lua_pushcfunction(L, pmain);
  lua_pushlightuserdata(L, &c);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    complain_plainly(L);
    c.status = EXIT_ERROR;
  }
  if (c.loop != NULL && eddy_close(c.loop, L) == EDDY_INTERRUPTED) c.status = EXIT_SIGINT;
  lua_close(L);
  return end_output(c.status);
}
