/* SPDX-License-Identifier: MIT */
/*
 * job.c - a request that is C code in libuv's thread pool; see job.h.
 * Touch:  freely.
 */
#include "io/job.h"

#include <stdlib.h>

#include "base/error.h"

/* [-0, +1, v] */
eddy__job *eddy__job_new(lua_State *L, eddy__task *task, size_t size, void (*work)(eddy__job *),
                         void (*release)(eddy__request *)) {
  eddy__request_box(L);
  eddy__job *job = calloc(1, size);
  if (job != NULL) job->work = work;
  eddy__request_own(L, (eddy__request *)job, job == NULL ? NULL : (uv_req_t *)&job->uv, task,
                    release);
  return job;
}

static void let_go(eddy__job *job) {
  if (job->is_anchored) eddy__loop_drop(job->request.loop, job->anchor);
  job->is_anchored = false;
}

/* [-0, +0, m] */
void eddy__job_keep(lua_State *L, eddy__job *job, int idx) {
  lua_pushvalue(L, idx);
  job->anchor = eddy__loop_anchor(L, job->request.loop);
  job->is_anchored = true;
}

static void on_work(uv_work_t *uv) {
  eddy__job *job = eddy__container_of(uv, eddy__job, uv);
  job->work(job);
}

static void on_done(uv_work_t *uv, int status) {
  eddy__job *job = eddy__container_of(uv, eddy__job, uv);
  job->was_cancelled = status < 0;
  let_go(job);
  eddy__request_done(&job->request);
}

/* [-0, +0, y] */
int eddy__job_run(lua_State *L, eddy__job *job, const eddy__wait *wait, lua_KFunction k) {
  int rc = uv_queue_work(job->request.loop->uv, &job->uv, on_work, on_done);
  if (rc < 0) {
    let_go(job);
    return eddy__raise(L, rc, wait->name);
  }
  return eddy__request_wait(L, &job->request, wait, k);
}
