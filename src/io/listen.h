/* SPDX-License-Identifier: MIT */
/*
 * listen.h - a listening socket whose connections are accepted by ourselves, so that none is dropped.
 * Owns:   the socket, and accepted descriptors until their owner takes them.
 * Uses:   post.h, handle.h, address.h.      Used by: server.c.
 * Touch:  with care. libuv's own uv_listen accepts and closes all that wait when descriptors run out; here they stay in
 *         the backlog, and accepting goes on a second later or when a connection has ended.
 */
#ifndef EDDY_IO_LISTEN_H
#define EDDY_IO_LISTEN_H

#include "core/post.h"
#include "io/address.h"
#include "io/handle.h"

enum { EDDY_ACCEPT_BATCH = 64, EDDY_NAME_SIZE = 128 };

typedef struct eddy__listener eddy__listener;

/* A connection that was accepted, and whose. */
typedef struct eddy__accepted {
  int fd;
  eddy__address peer;         /* none for a Unix socket */
  const eddy__address *local; /* where it came in; NULL when only the socket knows */
} eddy__accepted;

/* Who owns listeners. Neither function raises; both run from the loop's turn, outside of libuv's callbacks. */
typedef struct eddy__acceptor {
  void (*on_accepted)(struct eddy__acceptor *a, eddy__listener *l, const eddy__accepted *c); /* takes c->fd over */
  void (*on_starved)(struct eddy__acceptor *a, eddy__listener *l, int rc);  /* accepting pauses because of rc */
  void (*on_stopped)(struct eddy__acceptor *a, eddy__listener *l);          /* it takes no more; or NULL */
  void (*on_closed)(struct eddy__acceptor *a, eddy__listener *l);           /* it is gone: l must be let go */
  size_t live, max; /* connections now (accept counts them up, the owner down), and at most */
} eddy__acceptor;

struct eddy__listener {
  eddy__handle handle; /* first */
  eddy__listener *next; /* for the owner */
  eddy__acceptor *owner; /* NULL once it has let go */
  uv_poll_t poll;
  int fd;
  eddy__address address;      /* none for a Unix socket */
  char name[EDDY_NAME_SIZE]; /* where it listens, for texts */
  eddy__posted ready; /* while is_queued, in the loop's ready queue: keeps the memory */
  bool is_queued;
  bool is_paused;    /* not polling */
  int starved;       /* a libuv code to be told of */
  eddy__timer retry;
  eddy__accepted batch[EDDY_ACCEPT_BATCH];
  int n; /* in `batch` */
};

/* A new stream socket, non-blocking and close-on-exec; or a libuv code. */
int eddy__socket_open(int family);

/* Takes the connections of a socket that listens and does not block; `name` is for texts. Returns 0, or a libuv code:
 * then fd is closed. */
int eddy__listener_adopt(eddy__listener **out, eddy__loop *loop, eddy__acceptor *owner, int fd,
                         const char *name);

/* Listens at the address (its port is filled in). Returns 0, or a libuv code with nothing left open, and in *syscall
 * what failed. */
typedef struct eddy__listen_options {
  int backlog;
  bool reuse_port, v6only;
} eddy__listen_options;
int eddy__listener_open(eddy__listener **out, eddy__loop *loop, eddy__acceptor *owner,
                        const eddy__address *at, const eddy__listen_options *o,
                        const char **syscall);

/* Stops listening: the port is free at once. The owner lets go in on_closed, or with eddy__handle_drop. */
void eddy__listener_close(eddy__listener *l);

/* A connection has ended: goes on accepting if that was what it lacked. */
void eddy__listener_resume(eddy__listener *l);

#endif
