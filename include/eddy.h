/* SPDX-License-Identifier: MIT */
/*
 * eddy.h - embedding eddy: async/await for Lua 5.4 on libuv.
 *
 * A host opens a loop on a Lua state, spawns tasks, and either runs the loop to their end or pumps it, a slice at a
 * time, from a loop of its own (a game's frame). One state is used by one OS thread at a time; many states, each with
 * its own loop, may live in one process on many threads.
 *
 *     lua_State *L = luaL_newstate();
 *     luaL_openlibs(L);
 *     eddy_loop *loop = eddy_open(L, NULL);
 *     luaL_loadfile(L, "script.lua");
 *     eddy_spawn(loop, L, 0);            // pops the function, pushes its Task
 *     if (eddy_run(loop, L, -1) != EDDY_OK) fprintf(stderr, "%s\n", eddy_error_text(L, -1));
 *     eddy_close(loop, L);
 *     lua_close(L);
 *
 * Stack effects are written as in the Lua manual: [-popped, +pushed, x]; x is `-` for never raises, `m` for memory
 * errors, `v` for what the text says. Nothing here exits or aborts.
 */
#ifndef EDDY_H
#define EDDY_H

#include <lua.h>
#include <stddef.h>

#define EDDY_VERSION "0.1.0"

#if defined(_WIN32) && defined(EDDY_SHARED)
#ifdef EDDY_BUILD
#define EDDY_API __declspec(dllexport)
#else
#define EDDY_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define EDDY_API __attribute__((visibility("default")))
#else
#define EDDY_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A loop that a host has opened. Owned by the host until eddy_close. */
typedef struct eddy_loop eddy_loop;

/* What eddy_run, eddy_pump and eddy_status answer. */
enum {
  EDDY_OK = 0,          /* the task has ended normally; pump: nothing is left to do */
  EDDY_FAILED = 1,      /* the task has failed; its error is on the stack */
  EDDY_CANCELLED = 2,   /* the task was cancelled; its CancelledError is on the stack */
  EDDY_INTERRUPTED = 3, /* a SIGINT has ended the run; an Interrupted error is on the stack */
  EDDY_PENDING = 4,     /* not ended yet; pump: there is more to do, now or later */
  EDDY_MISUSE = 5       /* closed loop, another state's, called from inside itself: a message is on the stack; or wrong
                         * thread (below): nothing is */
};

typedef struct eddy_options {
  size_t size;             /* sizeof(eddy_options): 0 is not valid. Zeroed fields mean the default */
  void *uv_loop;           /* a uv_loop_t of the host's to use; NULL: eddy makes its own */
  int virtual_clock;       /* 1: time starts at 0 and jumps to the next timer; 0 */
  int debug;               /* 1: debug mode; 0: off unless EDDY_DEBUG=1 is set */
  int lazy;                /* 1: eddy.run may take the loop's place until a task waits (the command); 0 */
  int handle_sigint;       /* 1: eddy_run treats SIGINT as eddy.run does; 0: it is the host's */
  unsigned long long seed; /* not 0: shuffles the order of ready tasks, repeatably */
  double shutdown_timeout; /* seconds after which tasks that will not end are cancelled again; 0: never */
} eddy_options;

/* Makes a Lua state as luaL_newstate does, with memory of its own: small blocks without malloc's headers, which makes
 * tasks smaller and quicker to create. Worth it for many tasks; eddy works in any state. It is closed by lua_close. Its
 * allocator may be wrapped by lua_setallocf, not replaced, and has to be told the true sizes of blocks, as Lua's manual
 * says. Returns NULL for lack of memory. */
EDDY_API lua_State *eddy_newstate(void);

/* The wrong thread is any other than the one that is inside of eddy_run, eddy_pump or eddy_close of a loop of this
 * state. There all functions but those at the end leave the state and its stack alone, and answer EDDY_MISUSE, NULL, -1
 * or, by eddy_cancel, 0. (While nobody runs a loop of it, a state may be used by another thread than before.) */

/* Opens the Lua module; leaves its table on the stack. Also what `require "eddy"` calls.   [-0, +1, v] */
EDDY_API int luaopen_eddy(lua_State *L);

/* Opens a loop on the state of L; `options` may be NULL. The module need not have been opened. Returns NULL with a
 * message on the stack if it cannot (memory, descriptors).   [-0, +(0|1), -] */
EDDY_API eddy_loop *eddy_open(lua_State *L, const eddy_options *options);

/* Schedules a task that calls the function under its nargs arguments at the top of L, and pushes its Task in their
 * place. It starts at the next turn. Returns EDDY_OK, or EDDY_MISUSE or EDDY_FAILED (memory) with a message in their
 * place.   [-(nargs+1), +1, -] */
EDDY_API int eddy_spawn(eddy_loop *loop, lua_State *L, int nargs);

/* Turns the loop, blocking, until the Task at idx has ended. Returns EDDY_OK and pushes the task's results, or another
 * status and pushes its error. `nresults` of what was pushed: lua_gettop tells.   [-0, +n, -] */
EDDY_API int eddy_run(eddy_loop *loop, lua_State *L, int idx);

/* Runs what is ready and what is due, for at most `budget` seconds, and never blocks. Returns EDDY_OK when no task is
 * left, EDDY_PENDING while there are some, or EDDY_MISUSE.   [-0, +0, -] */
EDDY_API int eddy_pump(eddy_loop *loop, lua_State *L, double budget);

/* The state of the Task at idx: EDDY_PENDING, EDDY_OK, EDDY_FAILED, EDDY_CANCELLED; EDDY_MISUSE if it is no
 * Task.   [-0, +0, -] */
EDDY_API int eddy_status(lua_State *L, int idx);

/* Asks the Task at idx to stop, as task:cancel() does. Returns 0 when it had ended already.   [-0, +0, -] */
EDDY_API int eddy_cancel(lua_State *L, int idx);

/* A descriptor that becomes readable when the loop wants to be pumped (-1 where the platform has none), and how many
 * milliseconds may pass before it must be, whatever happens there: 0 now, -1 any time. */
EDDY_API int eddy_backend_fd(const eddy_loop *loop);
EDDY_API int eddy_backend_timeout(const eddy_loop *loop);

/* Pushes the text of an error as a person should see it: the message; for the Task at idx, also the traceback and the
 * chain of awaits that led to it. Returns the text.   [-0, +1, m] */
EDDY_API const char *eddy_error_text(lua_State *L, int idx);

/* --- From other threads --------------------------------------------------------------------------------------------
 * All functions above belong to the thread that uses the state, and so do eddy_promise_new and eddy_close. The others
 * may be called from any. */

/* Calls f(L, data) in the thread that runs or pumps the loop, outside of any task: it may not wait, but may spawn. An
 * error that it raises goes to the loop's exception handler. What one thread posts is called in that order; a sleeping
 * loop wakes. If the loop is closed first, or the state with it, while f waits for its turn, f(NULL, data) is called in
 * its place, so that data can be freed. The pointer must not have been given to eddy_close. Returns EDDY_OK; or
 * EDDY_MISUSE if the loop was closed, EDDY_FAILED for lack of memory: then f is not called. */
EDDY_API int eddy_post(eddy_loop *loop, void (*f)(lua_State *L, void *data), void *data);

/* A Future that the host will settle, from whatever thread. */
typedef struct eddy_promise eddy_promise;

/* In the state's thread, with a loop running (in a C function that a script calls): pushes a new Future and returns its
 * promise, which must be resolved or rejected once; that takes it back. Returns NULL and pushes a message, or nil, when
 * no loop runs or memory is short. A loop with promises is not in a deadlock.   [-0, +1, -] */
EDDY_API eddy_promise *eddy_promise_new(lua_State *L);

/* From any thread, one of them, once: push(L, data) is called in the loop's thread; it pushes the results and returns
 * how many, or pushes the error (reject). What it raises is the error. A NULL push rejects with a RuntimeError. If
 * nobody waits any more, as the Future was cancelled or the loop closed, push(NULL, data) is called instead, in either
 * thread, so that data can be freed. Returns EDDY_OK, or EDDY_MISUSE when the loop is closed. The promise is dead
 * afterwards. */
EDDY_API int eddy_promise_resolve(eddy_promise *promise, int (*push)(lua_State *L, void *data), void *data);
EDDY_API int eddy_promise_reject(eddy_promise *promise, int (*push)(lua_State *L, void *data), void *data);

/* From any thread that has not given it back: 1 when nobody waits for it any more, as its Future was cancelled. */
EDDY_API int eddy_promise_cancelled(eddy_promise *promise);

/* Cancels the tasks left, runs them to their end, closes every handle and the loop. The pointer is dead afterwards.
 * Returns EDDY_OK; EDDY_INTERRUPTED if a SIGINT has cut it short; or EDDY_MISUSE (from inside the loop), and then
 * nothing has happened.   [-0, +0, -] */
EDDY_API int eddy_close(eddy_loop *loop, lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
