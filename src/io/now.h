/* SPDX-License-Identifier: MIT */
/*
 * now.h - work on files that is done on the loop, as it is sure not to take long: how much of it in a turn, and in
 *         which folders.
 * Owns:   what a state knows of folders: a userdata that the registry keeps.
 * Uses:   core/loop.h.      Used by: file_now.c, file_open.c, operation.c, fs.c.
 * Touch:  with care. A folder is known by the path that a script used, after a thread has found what file system it is
 *         on. A mistake costs time, never data: what is opened in it is compared with what is known.
 */
#ifndef EDDY_IO_NOW_H
#define EDDY_IO_NOW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"

/* So much is read and written in one turn of the loop by all together; then the others come first. Up to 100 µs. */
enum {
  EDDY_NOW_BYTES = 524288,
  EDDY_NOW_CALLS = 16384 /* what opening and closing counts for */
};

static inline bool eddy__now_may(eddy__loop *loop) {
  if (loop->read_turn != loop->turns) {
    loop->read_turn = loop->turns;
    loop->read_now = 0;
  }
  return loop->read_now < EDDY_NOW_BYTES;
}

static inline void eddy__now_spend(eddy__loop *loop, size_t bytes) { loop->read_now += bytes; }

/* What is known of the folder of a file. */
enum {
  EDDY_PLACE_UNKNOWN,
  EDDY_PLACE_FAR,   /* a network, a program in user space, who knows: always a thread */
  EDDY_PLACE_LOCAL, /* a disk: what is in memory is there at once, and the kernel says so */
  EDDY_PLACE_MEMORY /* tmpfs */
};

typedef struct eddy__place {
  uint64_t key; /* of the folder's path */
  uint64_t dev;
  int kind;
} eddy__place;

/* What is known of the folder in which `path` is.   [-0, +0, m] */
eddy__place eddy__place_of(lua_State *L, const char *path);
/* Remembers it.   [-0, +0, m] */
void eddy__place_note(lua_State *L, const eddy__place *place);
/* In a thread: finds out by a file that is open. */
void eddy__place_find(eddy__place *place, int fd);

/* Opens a file to read in a place that is known: its descriptor, or UV_EAGAIN. *good: it is a regular file of that
 * place, and *size is what fstat says; else a thread has to go on with it. */
int eddy__place_open(const eddy__place *place, const char *path, uint64_t *size, bool *good);

/* Reads what is in memory: how many bytes, or UV_EAGAIN. */
int eddy__place_read(const eddy__place *place, int fd, char *memory, size_t size);

#endif
