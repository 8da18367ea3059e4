/* SPDX-License-Identifier: MIT */
/*
 * move.h - parcels: values on their way from one Lua state to another.
 * Owns:   eddy__parcel, bytes and references without a state; it belongs to whoever holds the pointer.
 * Uses:   base/.      Used by: the rest of threads/.
 * Touch:  with care. A parcel may be packed, carried, unpacked and freed by different threads, one at a time.
 *         docs/internals/move.md tells its form.
 */
#ifndef EDDY_THREADS_MOVE_H
#define EDDY_THREADS_MOVE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct eddy__parcel eddy__parcel;

/* How to pack: what errors call the values, and flags. */
enum {
  EDDY_PACK_VALUES,            /* "value 1", "value 2" */
  EDDY_PACK_ARGUMENTS,         /* "argument 1" */
  EDDY_PACK_CALL,              /* a function and its arguments: "function <app.lua:10>", "argument 1" */
  EDDY_PACK_RESULTS,           /* "result 1" */
  EDDY_PACK_ERROR,             /* "the error" */
  EDDY_PACK_NAMES = 0x0f,
  EDDY_PACK_PROCESS = 0x10,    /* for another process: no references; buffers go as bytes */
  EDDY_PACK_STRIP = 0x20       /* functions go without what debugging wants */
};

/* Packs the n values from stack index `first` on. `who` names the function in errors: "to_thread: argument
 * 2.config.handlers[3]: userdata cannot be moved". Runs no metamethod and no finalizer while it looks at values.
 *   [-0, +0, v] */
eddy__parcel *eddy__parcel_pack(lua_State *L, int first, int n, const char *who, int how);

/* Pushes the values and frees the parcel, also when it raises: too little memory, a module that cannot be loaded
 * here, damaged bytes. Returns how many.   [-0, +n, e] */
int eddy__parcel_unpack(lua_State *L, eddy__parcel *parcel);

/* Frees a parcel that nobody unpacks, and lets go of its references. NULL is fine. */
void eddy__parcel_free(eddy__parcel *parcel);

/* How many values are in it; about how many bytes it takes. */
int eddy__parcel_count(const eddy__parcel *parcel);
size_t eddy__parcel_size(const eddy__parcel *parcel);

/* --- objects that both sides share ------------------------------------------------------------------------------ */

/* A type of object that lives outside of every state and is counted; each state has an object of its own for it. The
 * three functions are called from any thread. */
typedef struct eddy__shareable {
  const char *name;                              /* for errors: "Channel" */
  void (*retain)(void *shared);
  void (*release)(void *shared);
  /* Pushes this state's object for it, which takes over one reference; when it raises it has taken none.
   *   [-0, +1, m] */
  void (*push)(lua_State *L, void *shared);
} eddy__shareable;

/* Objects with the metatable at idx are of that type; their memory begins with a pointer to what is shared, NULL for
 * one that has none (which cannot be moved).   [-0, +0, m] */
void eddy__shareable_register(lua_State *L, int idx, const eddy__shareable *type);

/* --- the wire: a parcel as bytes, for another process of the same program on the same machine --------------- */

enum { EDDY_WIRE_HEAD = 48 };

/* Fills `head`; what follows it on the wire is *size bytes at *body, which the parcel keeps. The parcel must have been
 * packed with EDDY_PACK_PROCESS. */
void eddy__parcel_head(const eddy__parcel *parcel, char head[EDDY_WIRE_HEAD], const char **body,
                       size_t *size);

/* How far bytes are believed that come from elsewhere. */
typedef enum eddy__trust {
  EDDY_TRUST_DATA,  /* not at all: there may be data in them, nothing of this state, and any bytes are safe */
  EDDY_TRUST_NAMES, /* they may also name what this state has loaded */
  EDDY_TRUST_CODE   /* they come from this program: functions are loaded (Lua checks no byte code), modules required */
} eddy__trust;

/* A parcel for what follows this head: read *size bytes to *body, then unpack it, which raises RuntimeError when they
 * are damaged. Returns 0, UV_ENOMEM, or UV_EINVAL when this is no head of ours. */
int eddy__parcel_receive(const char head[EDDY_WIRE_HEAD], eddy__trust trust, eddy__parcel **parcel,
                         char **body, size_t *size);

#endif
