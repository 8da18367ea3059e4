/* SPDX-License-Identifier: MIT */
/*
 * process_options.c - eddy.create_subprocess_exec: from arguments and options to a child; see process.h.
 * Owns:   a `plan` while a process is being started: a userdata, so that its descriptors are closed whatever is raised.
 * Touch:  freely. Everything is checked before anything is opened.
 *
 * The stack meanwhile: 1 program, arguments and options in either order, then as named here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "io/descriptor.h"
#include "io/pipe.h"
#include "io/process.h"
#include "io/spawn.h"

enum { PROGRAM = 1, KEPT = 4, PLAN, PROCESS }; /* KEPT: a table of what the plan points to */
enum { IN, OUT, ERR };

static const char *const streams[] = {"stdin", "stdout", "stderr"};
static const char *const all_options[] = {"stdin", "stdout", "stderr", "cwd", "env", "uid", "gid", "detached",
                                          "group", "pass_fds", "limit", "_worker", NULL};

/* What a stream of the child is. */
enum { INHERIT, PIPE, NOTHING, AS_STDOUT, DESCRIPTOR };

typedef struct plan {
  eddy__spawn spawn;
  int arguments, options; /* where they stand; options are that argument for the caller too */
  int kinds[3];
  int owned[3]; /* the child's ends of pipes, /dev/null: ours to close; -1 */
  size_t limit;
} plan;

static const eddy__type type_plan = {"eddy.plan"};

static void close_owned(plan *p) {
  for (int i = 0; i < 3; i++) {
    if (p->owned[i] >= 0) close(p->owned[i]);
    p->owned[i] = -1;
  }
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  plan *p = eddy__object_test(L, 1, &type_plan);
  if (p != NULL) close_owned(p);
  return 0;
}

/* --- what is checked ----------------------------------------------------------------------------------------- */

/* Pops the value at the top, a string or number, keeps it as a string and returns that.   [-1, +0, v] */
static const char *keep(lua_State *L, int arg, const char *what) {
  size_t size;
  if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
    eddy__arg_error(L, arg, lua_pushfstring(L, "%s: string expected, got %s", what, eddy__arg_typename(L, -1)));
  const char *text = lua_tolstring(L, -1, &size);
  if (strlen(text) != size) eddy__arg_error(L, arg, lua_pushfstring(L, "%s contains a zero byte", what));
  lua_rawseti(L, KEPT, (lua_Integer)lua_rawlen(L, KEPT) + 1);
  return text;
}

/* A list of n + 1 pointers, the last NULL, that is kept.   [-0, +0, m] */
static const char **keep_list(lua_State *L, size_t n) {
  const char **list = lua_newuserdatauv(L, (n + 1) * sizeof *list, 0);
  memset(list, 0, (n + 1) * sizeof *list);
  lua_rawseti(L, KEPT, (lua_Integer)lua_rawlen(L, KEPT) + 1);
  return list;
}

/* The program's own name, then the list of arguments.   [-0, +0, v] */
static char *const *check_arguments(lua_State *L, const plan *p, const char *program) {
  size_t n = lua_istable(L, p->arguments) ? lua_rawlen(L, p->arguments) : 0;
  const char **list = keep_list(L, n + 1);
  list[0] = program;
  for (size_t i = 1; i <= n; i++) {
    char what[32];
    snprintf(what, sizeof what, "[%zu]", i);
    lua_rawgeti(L, p->arguments, (lua_Integer)i);
    list[i] = keep(L, p->arguments, what);
  }
  return (char *const *)list;
}

/* The option `env`, a table of names and values; NULL: none.   [-0, +0, v] */
static char *const *check_env(lua_State *L, const plan *p) {
  if (!lua_istable(L, p->options)) return NULL;
  int type = lua_getfield(L, p->options, "env"), env = lua_gettop(L);
  if (type == LUA_TNIL) return lua_pop(L, 1), NULL;
  if (type != LUA_TTABLE)
    eddy__arg_error(L, p->options,
                    lua_pushfstring(L, "option 'env': table expected, got %s", eddy__arg_typename(L, -1)));
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, env); lua_pop(L, 1)) n++;
  const char **list = keep_list(L, n);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, env) && i < n;) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (name == NULL || *name == '\0' || strchr(name, '=') != NULL)
      eddy__arg_error(L, p->options, "option 'env': a name is a string without '='");
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
      eddy__arg_error(L, p->options, lua_pushfstring(L, "option 'env': the value of '%s' is no string", name));
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_pushliteral(L, "=");
    lua_insert(L, -2);
    lua_concat(L, 3);
    list[i++] = keep(L, p->options, "option 'env'");
  }
  lua_settop(L, env - 1);
  return (char *const *)list;
}

/* Where the program may be: as it is when it has a slash, else in each folder of PATH.   [-0, +0, v] */
static const char *const *find_paths(lua_State *L, const char *program, char *const *env) {
  const char *path = NULL;
  if (strchr(program, '/') != NULL || *program == '\0') {
    const char **list = keep_list(L, 1);
    list[0] = program;
    return list;
  }
  if (env == NULL) path = getenv("PATH");
  for (; env != NULL && *env != NULL; env++)
    if (strncmp(*env, "PATH=", 5) == 0) path = *env + 5;
  if (path == NULL) path = "/usr/local/bin:/usr/bin:/bin";
  size_t n = 1;
  for (const char *c = path; *c != '\0'; c++) n += *c == ':';
  const char **list = keep_list(L, n);
  for (size_t i = 0; i < n; i++) {
    size_t size = strcspn(path, ":");
    lua_pushlstring(L, size > 0 ? path : ".", size > 0 ? size : 1);
    lua_pushfstring(L, "%s/%s", lua_tostring(L, -1), program);
    lua_remove(L, -2);
    list[i] = keep(L, PROGRAM, "the program");
    path += size + 1;
  }
  return list;
}

/* The option for one of the three streams.   [-0, +0, v] */
static void check_stream(lua_State *L, plan *p, int i) {
  static const char *const names[] = {"inherit", "pipe", "null", "stdout"};
  p->kinds[i] = INHERIT;
  p->spawn.fds[i] = i;
  if (!lua_istable(L, p->options)) return;
  int type = lua_getfield(L, p->options, streams[i]);
  if (type == LUA_TSTRING) {
    const char *name = lua_tostring(L, -1);
    int kind = 0;
    while (kind < 4 && !eddy__arg_is(L, -1, names[kind])) kind++;
    if (kind == 4 || (kind == AS_STDOUT && i != ERR))
      eddy__arg_error(L, p->options, lua_pushfstring(L, "option '%s': unknown value '%s'", streams[i], name));
    p->kinds[i] = kind;
  } else if (type != LUA_TNIL) {
    const char *wrong = eddy__descriptor_of(L, lua_gettop(L), &p->spawn.fds[i]);
    if (wrong != NULL) eddy__arg_error(L, p->options, lua_pushfstring(L, "option '%s': %s", streams[i], wrong));
    p->kinds[i] = DESCRIPTOR;
  }
  lua_settop(L, PLAN);
}

/* The option pass_fds, a list.   [-0, +0, v] */
static void check_pass(lua_State *L, plan *p) {
  if (!lua_istable(L, p->options)) return;
  int type = lua_getfield(L, p->options, "pass_fds"), list = lua_gettop(L);
  if (type == LUA_TNIL) {
    lua_settop(L, PLAN);
    return;
  }
  if (type != LUA_TTABLE)
    eddy__arg_error(L, p->options,
                    lua_pushfstring(L, "option 'pass_fds': table expected, got %s", eddy__arg_typename(L, -1)));
  size_t n = lua_rawlen(L, list);
  int *fds = lua_newuserdatauv(L, (n + 1) * sizeof *fds, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    const char *wrong = eddy__descriptor_of(L, lua_gettop(L), &fds[i]);
    if (wrong != NULL) eddy__arg_error(L, p->options, lua_pushfstring(L, "option 'pass_fds': %s", wrong));
    lua_settop(L, list + 1);
    if (fds[i] > STDERR_FILENO) fds[p->spawn.npass++] = fds[i]; /* the first three are options of their own */
  }
  lua_rawseti(L, KEPT, (lua_Integer)lua_rawlen(L, KEPT) + 1);
  p->spawn.pass = fds;
  lua_settop(L, PLAN);
}

/* Checks the arguments and options at these places and pushes a table and the plan.   [-0, +2, v] */
static plan *check_plan(lua_State *L, const char *program, int arguments, int options) {
  eddy__check_options(L, options, all_options);
  lua_settop(L, KEPT - 1);
  luaL_checkstack(L, 20, NULL);
  lua_newtable(L);
  plan *p = eddy__object_new(L, &type_plan, sizeof *p, 0);
  for (int i = 0; i < 3; i++) p->owned[i] = -1;
  p->arguments = arguments;
  p->options = options;
  p->spawn.argv = check_arguments(L, p, program);
  p->spawn.env = check_env(L, p);
  if (eddy__option_string(L, options, "cwd") != NULL) {
    lua_getfield(L, options, "cwd");
    p->spawn.cwd = keep(L, options, "option 'cwd'");
  }
  p->spawn.uid = eddy__option_integer(L, options, "uid", 0, UINT32_MAX, -1);
  p->spawn.gid = eddy__option_integer(L, options, "gid", 0, UINT32_MAX, -1);
  p->spawn.session = eddy__option_boolean(L, options, "detached", false);
  p->spawn.group = eddy__option_boolean(L, options, "group", false);
  p->spawn.blocks_sigint = eddy__option_boolean(L, options, "_worker", false); /* of a ProcessPool */
  p->limit = (size_t)eddy__option_integer(L, options, "limit", 1, (lua_Integer)1 << 40, EDDY_INPUT_LIMIT);
  p->spawn.paths = find_paths(L, program, p->spawn.env);
  for (int i = 0; i < 3; i++) check_stream(L, p, i);
  check_pass(L, p);
  return p;
}

/* --- what is opened ------------------------------------------------------------------------------------------ */

/* A pipe: its one end becomes a stream of the process, the other is the child's. Returns 0 or a libuv code.
 *   [-0, +0, v] */
static int open_pipe(lua_State *L, plan *p, const eddy__process *process, int i) {
  char what[EDDY_PIPE_TEXT];
  uv_file fds[2];
  snprintf(what, sizeof what, "%s of '%.30s'", streams[i], process->name);
  eddy__pipe *ours = eddy__pipe_new(L, process->handle.loop, what, p->limit);
  ours->stream.handle.is_quiet = true; /* the process's: it goes with that */
  lua_setiuservalue(L, PROCESS, EDDY_UV_STDIN + i);
  int rc = uv_pipe(fds, i == IN ? 0 : UV_NONBLOCK_PIPE, i == IN ? UV_NONBLOCK_PIPE : 0);
  if (rc < 0) return rc;
  int mine = i == IN ? 1 : 0;
  p->owned[i] = p->spawn.fds[i] = fds[1 - mine];
  rc = uv_pipe_open(&ours->stream.uv.pipe, fds[mine]);
  if (rc < 0) close(fds[mine]);
  return rc;
}

/* Opens what the plan needs. Returns 0 or a libuv code.   [-0, +0, v] */
static int open_streams(lua_State *L, plan *p, const eddy__process *process) {
  for (int i = 0; i < 3; i++) {
    int rc = 0;
    if (p->kinds[i] == PIPE) rc = open_pipe(L, p, process, i);
    if (p->kinds[i] == NOTHING) {
      uv_fs_t request;
      rc = uv_fs_open(NULL, &request, "/dev/null", O_RDWR | O_CLOEXEC, 0, NULL);
      uv_fs_req_cleanup(&request);
      if (rc >= 0) p->owned[i] = p->spawn.fds[i] = rc;
    }
    if (p->kinds[i] == AS_STDOUT) p->spawn.fds[i] = p->spawn.fds[OUT];
    if (rc < 0) return rc;
  }
  return 0;
}

/* [-0, +0, -] */
static void close_streams(lua_State *L) {
  for (int i = 0; i < 3; i++) {
    if (lua_getiuservalue(L, PROCESS, EDDY_UV_STDIN + i) == LUA_TUSERDATA)
      eddy__stream_abort(eddy__stream_at(L, lua_gettop(L)));
    lua_pop(L, 1);
  }
}

/* Starts the program and leaves the Process at the top; `name` is for texts.   [-0, +n, v] */
static int start(lua_State *L, const char *program, const char *name, int arguments, int options) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  const char *failed = "pipe", *slash = strrchr(name, '/');
  pid_t pid = 0;
  eddy__object_type(L, &type_plan, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  plan *p = check_plan(L, program, arguments, options);
  eddy__loop *loop = eddy__loop_running(L, eddy__arg_function(L));
  lua_settop(L, PLAN);
  eddy__process *process = eddy__process_new(L, loop, slash != NULL && slash[1] != '\0' ? slash + 1 : name);
  process->is_detached = p->spawn.session;
  process->handle.is_quiet = p->spawn.session || p->spawn.blocks_sigint; /* the pool warns for it */
  process->leads_group = p->spawn.group || p->spawn.session;
  int rc = open_streams(L, p, process);
  if (rc == 0) rc = eddy__spawn_start(&p->spawn, &pid, &failed);
  if (rc == 0) eddy__process_started(process, pid);
  close_owned(p);
  if (rc == 0) return 1;
  close_streams(L);
  bool is_cwd = strcmp(failed, "chdir") == 0;
  return eddy__raise_about(L, rc, failed, "path", is_cwd ? p->spawn.cwd : program);
}

/* The program or command at 1.   [-0, +0, v] */
static const char *check_program(lua_State *L) {
  size_t size;
  if (lua_type(L, PROGRAM) != LUA_TSTRING) eddy__arg_expected(L, PROGRAM, "string");
  const char *program = lua_tolstring(L, PROGRAM, &size);
  eddy__arg_check(L, strlen(program) == size, PROGRAM, "it contains a zero byte");
  return program;
}

/* eddy.create_subprocess_exec(program, arguments, options) -> Process   [-0, +1, v] */
int eddy__process_l_exec(lua_State *L) {
  const char *program = check_program(L);
  if (!lua_isnoneornil(L, 2) && !lua_istable(L, 2)) eddy__arg_expected(L, 2, "table");
  return start(L, program, program, 2, 3);
}

/* eddy.create_subprocess_shell(command, options) -> Process   [-0, +1, v] */
int eddy__process_l_shell(lua_State *L) {
  const char *command = check_program(L);
  lua_settop(L, 2);
  lua_createtable(L, 2, 0);
  lua_pushliteral(L, "-c");
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, PROGRAM);
  lua_rawseti(L, -2, 2);
  return start(L, "/bin/sh", command, 3, 2);
}

/* eddy.environ() -> table of names and values   [-0, +1, m] */
int eddy__process_l_environ(lua_State *L) {
  lua_newtable(L);
  for (char **item = environ; item != NULL && *item != NULL; item++) {
    const char *equals = strchr(*item, '=');
    if (equals == NULL) continue;
    lua_pushlstring(L, *item, (size_t)(equals - *item));
    lua_pushstring(L, equals + 1);
    lua_rawset(L, -3);
  }
  return 1;
}
