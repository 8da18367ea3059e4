/* SPDX-License-Identifier: MIT */
/*
 * file.h - a file that is open: its descriptor, what was read ahead and what is not written yet.
 * Owns:   eddy__file, in malloc'd memory shared by the userdata and the thread that works on it.
 * Uses:   input.h, park.h, fs_work.h.      Used by: file_object.c.
 * Touch:  with care. One job at a time; tasks that use the same file take turns, first come, first served.
 *
 * Two files: file.c (turns, jobs, the end), file_object.c (open, the methods).
 */
#ifndef EDDY_IO_FILE_H
#define EDDY_IO_FILE_H

#include "io/handle.h"
#include "io/input.h"
#include "io/park.h"

/* Written when there is more than this, and by flush, seek, read and close. */
enum { EDDY_FILE_BUFFER = 65536 };
/* What is read ahead grows to this while a file is read from end to end: a hop to a thread costs as much as 64 KiB. */
enum { EDDY_FILE_AHEAD = 524288 };

/* What a job does after it has written what is there to be written. */
enum {
  EDDY_FILE_FLUSH,
  EDDY_FILE_READ,
  EDDY_FILE_SYNC,
  EDDY_FILE_TRUNCATE,
  EDDY_FILE_STAT,
  EDDY_FILE_CLOSE
};

typedef struct eddy__file {
  eddy__keeper keeper; /* in loop->handles while the descriptor is open */
  eddy__loop *loop;
  int fd;              /* -1: closed */
  bool is_closed;      /* for all who come now; the descriptor may still be open */
  bool is_dropped;     /* the userdata is gone */
  char *path;
  char opened_at[EDDY_PLACE_SIZE];

  eddy__task *holder;  /* whose turn it is; NULL: nobody's */
  eddy__list waiters;

  eddy__input in;      /* read ahead */
  bool has_worked;     /* a job of the holder has ended */
  char *out;           /* to be written: out[0..nout) */
  size_t nout;

  uv_work_t work;      /* the job; what follows is its own while it is under way */
  bool is_working;
  int op;
  const char *data;    /* to be written after `out`, kept by the anchor */
  size_t ndata;
  uint32_t anchor;
  bool is_anchored;
  char *memory;        /* to read into */
  size_t room;
  int64_t length;      /* to truncate to */
  uv_stat_t stat;
  const char *syscall;
  int result;          /* bytes read, 0, or a libuv code */
  int late_error;      /* of a job whose task had gone: the next one is told */
} eddy__file;

/* Takes over the descriptor. Returns NULL without memory, and then it is the caller's still. */
eddy__file *eddy__file_new(eddy__loop *loop, eddy__blocks *blocks, int fd, const char *path);

/* The userdata lets go. Warns when the file is open.   [-0, +0, -] */
void eddy__file_drop(lua_State *L, eddy__file *f);

/* Writes what is there and closes the descriptor, here and now. Nobody may be working. Returns 0 or a libuv code. */
int eddy__file_finish(eddy__file *f);

/* Goes on in k when it is the task's turn: at once, or after those who came before.   [-0, +n, y] */
int eddy__file_turn(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k);

/* First thing in k: raises CancelledError, after having passed the turn on.   [-0, +0, v] */
void eddy__file_resumed(lua_State *L, eddy__file *f, eddy__task *task, int status);

/* The holder is done: the next one may come. */
void eddy__file_release(eddy__file *f);

/* Starts a job and suspends; k finds f->result.   [-0, +n, y] */
int eddy__file_work(lua_State *L, eddy__file *f, eddy__task *task, int op, lua_KFunction k);

/* Passes the turn on and raises what the job has come to, or a libuv code of `syscall`.   [-0, +0, v] */
int eddy__file_raise(lua_State *L, eddy__file *f, int rc, const char *syscall);

#endif
