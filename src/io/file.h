/* SPDX-License-Identifier: MIT */
/*
 * file.h - a file that is open: its descriptor, what was read ahead and what is not written yet.
 * Owns:   eddy__file, in malloc'd memory shared by the userdata and the thread that works on it.
 * Uses:   input.h, park.h, fs_work.h.      Used by: file_*.c, fs.c, paths.c.
 * Touch:  with care. One job at a time; tasks that use the same file take turns, first come, first served.
 *
 * Five files: file.c (turns, jobs, the end), file_now.c (reading and waiting on the loop, without a thread),
 * file_open.c (open), file_read.c (the methods that read), file_object.c (all other methods).
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

/* What setvbuf says. */
enum { EDDY_FILE_FULL, EDDY_FILE_BY_LINE, EDDY_FILE_UNBUFFERED };

typedef struct eddy__file_poll eddy__file_poll;

typedef struct eddy__file {
  eddy__keeper keeper; /* in loop->handles while the descriptor is open */
  eddy__loop *loop;
  int fd;              /* -1: closed */
  bool is_closed;      /* for all who come now; the descriptor may still be open */
  bool is_dropped;     /* the userdata is gone */
  bool is_orphan;      /* it was finalized while tasks wait: a state that closes */
  struct eddy__file **box; /* the userdata */
  bool is_regular;     /* the end is where its size says */
  bool is_in_memory;   /* in tmpfs: no read has to wait */
  bool is_fifo;
  bool is_near;        /* the kernel has told so once: to close what was only read takes no time */
  bool was_written;
  bool reads_now;      /* the kernel tells whether a read would have to wait for the disk */
  eddy__file_poll *poll; /* of a special file, which does not block: jobs run on the loop, when it is ready; or NULL */
  char *path;
  char opened_at[EDDY_PLACE_SIZE];

  eddy__task *holder;  /* whose turn it is; NULL: nobody's */
  eddy__list waiters;

  eddy__input in;      /* read ahead */
  bool has_worked;     /* a job of the holder has ended */
  bool took_data;      /* the holder's data was in it */
  bool was_ended;      /* the job, by a close */
  uint8_t buffering;
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

extern const eddy__type eddy__type_file;

/* Takes over the descriptor. Returns NULL without memory, and then it is the caller's still. */
eddy__file *eddy__file_new(eddy__loop *loop, eddy__blocks *blocks, int fd, const char *path);

/* The userdata lets go, and must forget the file; not when this returns false: tasks wait for it still, or that was not
 * for good, and the file is only closed. Warns when the file is open.   [-0, +0, -] */
bool eddy__file_drop(lua_State *L, eddy__file *f, bool for_good);

/* Writes what is there, if that does not have to wait, and closes the descriptor, here and now. Nobody may be working.
 * Returns 0 or a libuv code. */
int eddy__file_finish(eddy__file *f);

/* Goes on in k when it is the task's turn: at once, or after those who came before.   [-0, +n, y] */
int eddy__file_turn(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k);

/* The same for a close: nobody knows when a special file will have something to read, so who waits for that is told
 * that the file is closed, and the close comes first.   [-0, +n, y] */
int eddy__file_turn_to_close(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k);

/* First thing in k: raises CancelledError, after having passed the turn on.   [-0, +0, v] */
void eddy__file_resumed(lua_State *L, eddy__file *f, eddy__task *task, int status);

/* The holder is done: the next one may come. */
void eddy__file_release(eddy__file *f);

/* Starts a job and suspends; k finds f->result. (Where it had not to wait, k is called at once.)   [-0, +n, y] */
int eddy__file_work(lua_State *L, eddy__file *f, eddy__task *task, int op, lua_KFunction k);

/* Passes the turn on and raises what the job has come to, or a libuv code of `syscall`.   [-0, +0, v] */
int eddy__file_raise(lua_State *L, eddy__file *f, int rc, const char *syscall);

/* --- between file.c and file_now.c --------------------------------------------------------------------------- */

/* The job: plain C, in a thread or, for special files, on the loop; there UV_EAGAIN means: go on later. */
int eddy__file_job(eddy__file *f);
/* It has ended: wakes the holder, or passes the turn on. */
void eddy__file_done(eddy__file *f, int result);
/* So many bytes have come into the `room` at `memory`. */
void eddy__file_received(eddy__file *f, int n);

/* Reads on the loop what is there without waiting. Returns how many bytes, 0 at the end, or UV_EAGAIN if a job has to
 * do it, or UV_EALREADY if enough was read in this turn of the loop, or another libuv code. */
int eddy__file_read_now(eddy__file *f);

/* Sets up f->poll for a special file; where the system cannot, the file is made blocking. Returns 0 or UV_ENOMEM. */
int eddy__file_poll_open(eddy__file *f);
void eddy__file_poll_close(eddy__file *f);
/* Waits until the job can go on, and lets it. Returns 0 or a libuv code. */
int eddy__file_poll_start(eddy__file *f);
void eddy__file_poll_stop(eddy__file *f);

/* --- the methods --------------------------------------------------------------------------------------------- */

/* file_open.c: pushes the File for *fd, which becomes -1 as it takes it over. `special` as in fs_work.h.
 *   [-0, +1, v] */
eddy__file *eddy__file_push(lua_State *L, eddy__loop *loop, int *fd, const char *path, bool special);
int eddy__file_l_open(lua_State *L);

/* file_object.c: what the methods begin and go on with; see there. */
eddy__file *eddy__file_check(lua_State *L);
int eddy__file_raise_closed(lua_State *L, const eddy__file *f, const char *name);
int eddy__file_begin(lua_State *L, const char *name, lua_KFunction k);
bool eddy__file_go_on(lua_State *L, eddy__file *f, eddy__task *task, int status, const char *name);
void eddy__file_object_room(lua_State *L, eddy__runtime *rt);

/* The file at 1 in a k_.   [-0, +0, -] */
static inline eddy__file *eddy__file_at_one(lua_State *L) {
  return *(eddy__file **)lua_touserdata(L, 1);
}

/* file_read.c: checks the formats at first and above; pushes the iterator over the file at 1 with the formats at 2 and
 * above, which it pops.   [-0, +0, v] and [-n, +1, m] */
void eddy__file_check_formats(lua_State *L, int first);
void eddy__file_push_iterator(lua_State *L, bool closes);
int eddy__file_l_read(lua_State *L);
int eddy__file_l_read_exactly(lua_State *L);
int eddy__file_l_read_until(lua_State *L);
int eddy__file_l_lines(lua_State *L);

#endif
