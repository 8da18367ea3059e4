/* SPDX-License-Identifier: MIT */
/*
 * operation.h - an operation on paths: one job of the thread pool, whose result a task takes.
 * Owns:   operations under way, with their results until the task has taken them.
 * Uses:   job.h.      Used by: fs.c, paths.c, walk.c.
 * Touch:  freely. An operation is three functions: l_ checks and starts, work_ runs in a thread, finish_ pushes the
 *         results.
 */
#ifndef EDDY_IO_OPERATION_H
#define EDDY_IO_OPERATION_H

#include "io/fs_work.h"
#include "io/job.h"
#include "io/now.h"

typedef struct eddy__operation eddy__operation;

/* A kind of operation. One static const of it stands beside each l_ function. */
typedef struct eddy__action {
  eddy__wait wait; /* its name, and eddy__request_cancel */
  void (*work)(eddy__operation *op);
  /* Does it on the loop, if that is sure not to take long; returns whether it is done. Or NULL. */
  bool (*now)(eddy__operation *op);
  /* Pushes the results and returns how many, or goes on waiting. Ends the request, or leaves it to the box. The box is
   * at the top.   [-0, +n, v] */
  int (*finish)(lua_State *L, eddy__operation *op);
  bool takes_errors;                 /* finish is called with op->rc < 0 as well */
  void (*undo)(eddy__operation *op); /* nobody has taken what it has done; or NULL */
} eddy__action;

struct eddy__operation {
  eddy__job job; /* first */
  const eddy__action *action;
  int rc;              /* 0, or a libuv code, or a count */
  const char *syscall; /* what has failed */
  char *path, *other;  /* behind the struct; other: NULL where there is one path only */
  char *data;          /* a result */
  size_t size;
  const char *input;   /* what is to be written: the string at 2 */
  bool owns_data, flag;
  bool is_taken;       /* what undo would undo has an owner */
  void *held;          /* to the end of the operation, when let_go is called; or NULL */
  void (*let_go)(eddy__operation *op);
  int fd; /* a result; -1: none */
  int64_t a, b;
  double times[2];
  uv_stat_t stat;
  struct {
    bool atomic, append, has_mode;
  } write;
  eddy__place place; /* known, or to be found out when there is a `now` */
  uv_fs_t uv; /* of a call whose results lie in it */
  bool has_uv;
};

/* A path: a string without NUL.   [-0, +0, v] */
const char *eddy__check_path(lua_State *L, int arg);

/* A new operation on the path at stack index `path`, and on the string at `other` unless that is 0; pushes its box.
 *   [-0, +1, v] */
eddy__operation *eddy__operation_new(lua_State *L, const eddy__action *action, int path, int other);

/* Starts it and suspends, or does it at once; `return` its result.   [-0, +n, y] */
int eddy__operation_run(lua_State *L, eddy__operation *op);

/* Whether nobody waits for it any more: work that takes long looks now and then. */
static inline bool eddy__operation_stopped(const eddy__operation *op) {
  return atomic_load_explicit(&op->job.request.is_abandoned, memory_order_relaxed);
}

/* Raises what has failed. The box is at the top.   [-0, +0, v] */
int eddy__operation_raise(lua_State *L, const eddy__operation *op);

/* finish_ of those that return nothing, a boolean (op->flag), the text in op->data.   [-0, +n, v] */
int eddy__finish_nothing(lua_State *L, eddy__operation *op);
int eddy__finish_boolean(lua_State *L, eddy__operation *op);
int eddy__finish_data(lua_State *L, eddy__operation *op);

#endif
