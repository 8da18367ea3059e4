/* SPDX-License-Identifier: MIT */
/*
 * handle.h - life of a uv_handle_t from init to its close callback; all others here use it.
 * Owns:   the link in loop->handles; the memory that holds the handle goes through `release`.
 * Uses:   core/loop.h, core/task.h.      Used by: stream.c, listen.c.
 * Touch:  with care. The memory has two owners, the userdata and libuv, and goes with the last to let go.
 */
#ifndef EDDY_IO_HANDLE_H
#define EDDY_IO_HANDLE_H

#include <string.h>

#include "base/noreturn.h"
#include "core/poll.h"
#include "core/task.h"

enum { EDDY_PLACE_SIZE = 80, EDDY_TEXT_SIZE = 256 };

typedef struct eddy__handle eddy__handle;

/* What a kind of handle does at the stations of its life. None of these raises. */
typedef struct eddy__handle_kind {
  void (*describe)(const eddy__handle *h, char *text, size_t size); /* "TCP connection a -> b" */
  void (*on_closing)(eddy__handle *h); /* closing begins: who waits for it is woken */
  void (*on_closed)(eddy__handle *h);  /* libuv has let go; or NULL */
  void (*release)(eddy__handle *h);    /* frees the memory that holds h */
} eddy__handle_kind;

struct eddy__handle {
  eddy__keeper keeper; /* in loop->handles from eddy__handle_opened to the close callback */
  const eddy__handle_kind *kind;
  eddy__loop *loop; /* valid while it is open */
  uv_handle_t *uv;  /* lies in the same memory */
  bool is_open, is_closing, is_dropped;
  bool was_asked;   /* to close, perhaps a little later */
  bool is_quiet;    /* eddy's own business still: nobody is warned of it */
  bool is_watched;  /* by the loop's epoll, for `watch` */
  bool is_haunted;  /* its descriptor was closed behind our back, so it may be watched for ever: the memory stays */
  eddy__watch watch;
  uint64_t dev, ino; /* what its descriptor is open on; 0: nobody has looked */
  char opened_at[EDDY_PLACE_SIZE];
};

/* Sets up the record; `uv` is where libuv's part lies.   [-0, +0, -] */
void eddy__handle_init(eddy__handle *h, const eddy__handle_kind *kind, eddy__loop *loop,
                       uv_handle_t *uv);

/* libuv's init has succeeded: from now on the handle is open. */
void eddy__handle_opened(eddy__handle *h);

/* Closes it now; one that is not open or closes already is left alone. */
void eddy__handle_close(eddy__handle *h);

/* Has the loop's epoll tell h->watch of its descriptor, until it is closed. Returns 0 or a libuv code. */
int eddy__handle_watch(eddy__handle *h, int fd);

/* Notes what the descriptor is open on. Afterwards: whether it still is, or somebody has closed it behind our back, in
 * which case its number may be another's by now. Such a number is left alone when the handle is closed. */
void eddy__handle_identify(eddy__handle *h);
bool eddy__handle_is_own(const eddy__handle *h);

/* Whether a handle of this loop has the descriptor. Looks at all of them. */
bool eddy__handle_has(const eddy__loop *loop, int fd);

/* The userdata lets go of it. What is open is warned of and closed.   [-0, +0, -] */
void eddy__handle_drop(lua_State *L, eddy__handle *h);

/* What the userdata at idx points with, for a wait that goes on. Raises, by the other, when a script has called its
 * finalizer by hand meanwhile.   [-0, +0, v] */
int eddy__handle_gone(lua_State *L, int idx, eddy__task *task) EDDY_NORETURN;
static inline void *eddy__handle_again(lua_State *L, int idx, eddy__task *task) {
  void *memory;
  memcpy(&memory, lua_touserdata(L, idx), sizeof memory);
  if (memory == NULL) eddy__handle_gone(L, idx, task);
  return memory;
}

/* Writes "file:line" of the function that called the running C function.   [-0, +0, -] */
void eddy__place_of_caller(lua_State *L, char *place, size_t size);

/* Warns of what its owner forgot to close.   [-0, +0, -] */
void eddy__warn_unclosed(lua_State *L, const char *what, const char *place);

/* The running task; raises outside one, and when it belongs to another loop.   [-0, +0, v] */
eddy__task *eddy__running_on(lua_State *L, const eddy__loop *loop, const char *name);

#endif
