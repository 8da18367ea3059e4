/* SPDX-License-Identifier: MIT */
/*
 * job.h - a request that is C code in libuv's thread pool: a whole operation at the price of one hop.
 * Owns:   the job, with what it holds; Lua values that it reads are anchored in the loop until it is done.
 * Uses:   request.h.      Used by: fs.c, file_open.c.
 * Touch:  freely. `work` runs in another thread: it knows neither Lua nor the loop.
 */
#ifndef EDDY_IO_JOB_H
#define EDDY_IO_JOB_H

#include "io/request.h"

typedef struct eddy__job {
  eddy__request request; /* first */
  uv_work_t uv;
  void (*work)(struct eddy__job *job);
  uint32_t anchor;
  bool is_anchored;
  bool was_cancelled; /* it never ran */
} eddy__job;

/* Pushes a box with a new job in `size` bytes of zeroed memory.   [-0, +1, v] */
eddy__job *eddy__job_new(lua_State *L, eddy__task *task, size_t size, void (*work)(eddy__job *),
                         void (*release)(eddy__request *));

/* Keeps the value at idx until the job is done.   [-0, +0, m] */
void eddy__job_keep(lua_State *L, eddy__job *job, int idx);

/* Starts the job whose box is at the top, and suspends; `return` its result.   [-0, +0, y] */
int eddy__job_run(lua_State *L, eddy__job *job, const eddy__wait *wait, lua_KFunction k);

#endif
