/* SPDX-License-Identifier: MIT */
/*
 * stdio_transport.c - bytes to and from a descriptor that is not ours alone; see stdio.h.
 * Touch:  with care. The descriptor may block, and must go on doing so for those who share it: what can be polled is
 *         read when there is something, and written where there is room; what cannot is read by a thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/stdio.h"

enum { BLOCK_SIZE = 65536, GATHERED_SIZE = 4096 };

static eddy__stdio *stdio_of(eddy__stream *s) { return (eddy__stdio *)s; }

static size_t in_queue(const eddy__stdio *s) { return s->out_end - s->out_start; }

static bool is_wanted(const eddy__stream *s) {
  return s->is_reading && (s->is_hungry || !eddy__list_empty(&s->watchers));
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Polls for what is wanted now. Returns 0 or a libuv code. */
static int watch(eddy__stdio *s) {
  if (s->kind == EDDY_STDIO_FILE) return 0;
  int events = (s->stream.is_reading ? UV_READABLE : 0) | (in_queue(s) > 0 ? UV_WRITABLE : 0);
  return events != 0 ? uv_poll_start(&s->stream.uv.poll, events, on_poll) : uv_poll_stop(&s->stream.uv.poll);
}

/* --- attaching ----------------------------------------------------------------------------------------------- */

static int kind_of(int fd) {
  struct stat st;
  if (isatty(fd)) return EDDY_STDIO_TTY;
  if (fstat(fd, &st) < 0) return EDDY_STDIO_FILE;
  return S_ISSOCK(st.st_mode) ? EDDY_STDIO_SOCKET : EDDY_STDIO_PIPE;
}

/* Gives libuv the descriptor, to poll it, or nothing but a handle when it cannot be polled. */
static int init_handle(eddy__stdio *s, uv_loop_t *loop) {
  int rc = uv_poll_init(loop, &s->stream.uv.poll, s->fd);
  if (rc == UV_EPERM) {
    s->kind = EDDY_STDIO_FILE;
    return uv_idle_init(loop, &s->stream.uv.idle);
  }
  if (rc == 0 && (s->flags & O_NONBLOCK) == 0) (void)fcntl(s->fd, F_SETFL, s->flags); /* libuv has changed that */
  return rc;
}

int eddy__stdio_attach(eddy__stdio *s, eddy__loop *loop) {
  eddy__stream *stream = &s->stream;
  s->fd = fcntl(s->number, F_DUPFD_CLOEXEC, 3);
  if (s->fd < 0) return -errno;
  s->flags = fcntl(s->fd, F_GETFL);
  s->kind = kind_of(s->fd);
  memset(&stream->uv, 0, sizeof stream->uv);
  eddy__handle_init(&stream->handle, stream->handle.kind, loop, (uv_handle_t *)&stream->uv);
  stream->handle.is_quiet = true;
  int rc = init_handle(s, loop->uv);
  if (rc < 0) {
    close(s->fd);
    s->fd = -1;
    return rc;
  }
  stream->is_reading = stream->is_ending = stream->was_shut = stream->was_cut = false;
  stream->write_error = 0;
  stream->error_was_told = false;
  s->out_start = s->out_end = 0;
  eddy__handle_opened(&stream->handle);
  return 0;
}

/* --- writing ------------------------------------------------------------------------------------------------- */

/* Whether there is room, now or (with -1) after a while. */
static bool has_room(int fd, int timeout) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  return poll(&p, 1, timeout) > 0;
}

/* So much of it as the pipe takes at once, even if it would block; -1 and errno. */
static ssize_t write_pipe(const eddy__stdio *s, const char *base, size_t size) {
  if (s->flags & O_NONBLOCK) return write(s->fd, base, size);
#ifdef RWF_NOWAIT
  struct iovec v = {(char *)base, size};
  ssize_t n = pwritev2(s->fd, &v, 1, -1, RWF_NOWAIT);
  if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)) return n;
#endif
  if (!has_room(s->fd, 0)) {
    errno = EAGAIN;
    return -1;
  }
  return write(s->fd, base, size < PIPE_BUF ? size : PIPE_BUF); /* where there is room at all, so much fits */
}

/* Sends what goes, all of it to a terminal or file. Returns how much, or a libuv code. */
static ssize_t send_some(const eddy__stdio *s, const char *base, size_t size) {
  size_t sent = 0;
  while (sent < size) {
    ssize_t n;
    if (s->kind == EDDY_STDIO_PIPE)
      n = write_pipe(s, base + sent, size - sent);
    else if (s->kind == EDDY_STDIO_SOCKET)
      n = send(s->fd, base + sent, size - sent, MSG_DONTWAIT);
    else
      n = write(s->fd, base + sent, size - sent);
    if (n > 0) sent += (size_t)n;
    if (n >= 0 || errno == EINTR) continue;
    bool is_full = errno == EAGAIN || errno == EWOULDBLOCK;
    if (!is_full) return -errno;
    if (s->kind == EDDY_STDIO_PIPE || s->kind == EDDY_STDIO_SOCKET) break;
    has_room(s->fd, -1); /* somebody has made the terminal non-blocking */
  }
  return (ssize_t)sent;
}

/* Keeps bytes to be written later. Returns 0 or UV_ENOMEM. */
static int append(eddy__stdio *s, const char *base, size_t size) {
  if (s->out_start == s->out_end) s->out_start = s->out_end = 0;
  if (s->out_cap - s->out_end < size) {
    size_t cap = s->out_cap < 4096 ? 4096 : s->out_cap;
    if (size > SIZE_MAX / 4 - s->out_end) return UV_ENOMEM;
    while (cap < s->out_end + size) cap *= 2;
    char *out = realloc(s->out, cap);
    if (out == NULL) return UV_ENOMEM;
    s->out = out;
    s->out_cap = cap;
  }
  memcpy(s->out + s->out_end, base, size);
  s->out_end += size;
  return 0;
}

/* What was printed before comes before. Returns 0 or a libuv code. */
static int flush_c(const eddy__stdio *s) {
  FILE *file = s->number == STDOUT_FILENO ? stdout : s->number == STDERR_FILENO ? stderr
                                                                                : NULL;
  return file != NULL && fflush(file) != 0 ? -errno : 0;
}

/* Copies the buffers together, if they are several and fit. Returns how many there are now. */
static unsigned gather(const uv_buf_t **bufs, unsigned n, uv_buf_t *together, size_t room) {
  size_t size = 0;
  for (unsigned i = 0; i < n && size <= room; i++) size += (*bufs)[i].len;
  if (n < 2 || size > room) return n;
  together->len = 0;
  for (unsigned i = 0; i < n; together->len += (*bufs)[i++].len)
    memcpy(together->base + together->len, (*bufs)[i].base, (*bufs)[i].len);
  *bufs = together;
  return 1;
}

static int write_to(eddy__stream *stream, const uv_buf_t *bufs, unsigned n) {
  eddy__stdio *s = stdio_of(stream);
  char memory[GATHERED_SIZE];
  uv_buf_t together = uv_buf_init(memory, 0);
  if ((s->flags & O_ACCMODE) == O_RDONLY) return UV_EBADF;
  int rc = flush_c(s);
  n = gather(&bufs, n, &together, sizeof memory);
  for (unsigned i = 0; i < n && rc == 0; i++) {
    ssize_t sent = in_queue(s) > 0 ? 0 : send_some(s, bufs[i].base, bufs[i].len);
    if (sent < 0) return (int)sent;
    if ((size_t)sent < bufs[i].len) rc = append(s, bufs[i].base + sent, bufs[i].len - (size_t)sent);
  }
  int watching = in_queue(s) > 0 ? watch(s) : 0; /* also when the rest found no memory: a close waits for the queue */
  return rc < 0 ? rc : watching;
}

void eddy__stdio_discard(eddy__stdio *s) {
  free(s->out); /* a slow reader is rare: no need to keep it */
  s->out = NULL;
  s->out_start = s->out_end = s->out_cap = 0;
}

/* Sends what goes of what is queued. Returns 0 or a libuv code: then the queue is lost. */
static int send_queue(eddy__stdio *s) {
  ssize_t sent = send_some(s, s->out + s->out_start, in_queue(s));
  if (sent > 0) s->out_start += (size_t)sent;
  if (sent < 0 || s->out_start == s->out_end) eddy__stdio_discard(s);
  return sent < 0 ? (int)sent : 0;
}

static void go_on_writing(eddy__stdio *s) {
  int rc = send_queue(s);
  if (rc < 0) eddy__stream_failed(&s->stream, rc);
  eddy__stream_sent(&s->stream);
}

void eddy__stdio_settle(eddy__stdio *s) {
  if (in_queue(s) == 0) return;
  while (in_queue(s) > 0) {
    has_room(s->fd, -1);
    int rc = send_queue(s);
    if (rc < 0) eddy__stream_failed(&s->stream, rc);
  }
  (void)watch(s);
  eddy__stream_sent(&s->stream);
}

static size_t queued(const eddy__stream *s) { return in_queue((const eddy__stdio *)s); }

/* The end of a standard stream is its close. */
static int shut_down(eddy__stream *stream) {
  eddy__stdio *s = stdio_of(stream);
  s->ends_socket = s->kind == EDDY_STDIO_SOCKET;
  eddy__stream_close(stream);
  return 0;
}

/* --- reading ------------------------------------------------------------------------------------------------- */

/* Whether a read would not block. */
static bool has_input(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, 0) > 0;
}

/* What is there at once: somebody else who reads here may have taken it since it was polled. -1 and errno. */
static ssize_t read_some(const eddy__stdio *s, char *memory, size_t size) {
  if (s->flags & O_NONBLOCK) return read(s->fd, memory, size);
  if (s->kind == EDDY_STDIO_SOCKET) return recv(s->fd, memory, size, MSG_DONTWAIT);
#ifdef RWF_NOWAIT
  if (s->kind == EDDY_STDIO_PIPE) {
    struct iovec v = {memory, size};
    ssize_t n = preadv2(s->fd, &v, 1, -1, RWF_NOWAIT);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)) return n;
  }
#endif
  if (has_input(s->fd)) return read(s->fd, memory, size);
  errno = EAGAIN;
  return -1;
}

/* There is something, or the end: reads it. */
static void go_on_reading(eddy__stdio *s) {
  char *memory;
  ssize_t n;
  size_t size = eddy__stream_offer(&s->stream, &memory);
  if (size == 0) return;
  do n = read_some(s, memory, size);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    n = 0;
  else if (n <= 0)
    n = n == 0 ? UV_EOF : -errno;
  eddy__stream_received(&s->stream, memory, n);
  if (!is_wanted(&s->stream)) eddy__stream_stop_reading(&s->stream); /* nothing keeps the loop from ending */
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  eddy__stdio *s = eddy__container_of(poll, eddy__stdio, stream.uv.poll);
  if (status < 0) events = UV_WRITABLE | (has_input(s->fd) ? UV_READABLE : 0); /* what is wrong the calls will say */
  if ((events & UV_WRITABLE) && in_queue(s) > 0) go_on_writing(s);
  if ((events & UV_READABLE) && s->stream.is_reading) go_on_reading(s);
  if (s->stream.handle.is_closing) return;
  int rc = watch(s);
  if (rc < 0 && s->stream.is_reading) eddy__stream_received(&s->stream, NULL, rc);
}

/* --- files --------------------------------------------------------------------------------------------------- */

/* Gives the stream what a thread has read. */
static void deliver(eddy__stdio *s) {
  char *memory;
  while (s->block_start < s->block_end) {
    size_t left = s->block_end - s->block_start, n = eddy__input_offer(&s->stream.in, &memory);
    if (n == 0) {
      eddy__stream_received(&s->stream, NULL, UV_ENOMEM);
      return;
    }
    if (n > left) n = left;
    memcpy(memory, s->block + s->block_start, n);
    s->block_start += n;
    eddy__stream_received(&s->stream, memory, (ssize_t)n);
  }
}

static void on_fetched(uv_fs_t *req);

/* Lets a thread read. The block is ours, as the input may move what it has meanwhile. Returns 0 or a libuv code. */
static int start_fetch(eddy__stdio *s) {
  eddy__loop *loop = s->stream.handle.loop;
  if (s->block == NULL) s->block = malloc(BLOCK_SIZE);
  if (s->block == NULL) return UV_ENOMEM;
  uv_buf_t buf = uv_buf_init(s->block, BLOCK_SIZE);
  int rc = uv_fs_read(loop->uv, &s->fetch, s->fd, &buf, 1, -1, on_fetched);
  if (rc < 0) return rc;
  s->is_fetching = true;
  loop->requests++;
  return 0;
}

/* The reader may need more than what there was. */
static void fetch_more(eddy__stdio *s) {
  eddy__stream *stream = &s->stream;
  if (is_wanted(stream) && stream->handle.is_open) {
    int rc = start_fetch(s);
    if (rc < 0) eddy__stream_received(stream, NULL, rc);
  } else {
    eddy__stream_stop_reading(stream);
  }
}

static void on_fetched(uv_fs_t *req) {
  eddy__stdio *s = eddy__container_of(req, eddy__stdio, fetch);
  eddy__stream *stream = &s->stream;
  ssize_t n = req->result;
  uv_fs_req_cleanup(req);
  s->is_fetching = false;
  stream->handle.loop->requests--;
  if (!s->is_ended) {
    s->block_start = 0;
    s->block_end = n > 0 ? (size_t)n : 0;
    deliver(s);
    if (n <= 0) eddy__stream_received(stream, NULL, n == 0 ? UV_EOF : n);
  }
  if (!stream->handle.is_open) {
    close(s->fd);
    s->fd = -1;
  }
  if (s->is_orphan) {
    stream->handle.kind->release(&stream->handle);
    return;
  }
  fetch_more(s);
}

/* There was no memory for it before. */
static void on_idle(uv_idle_t *idle) {
  eddy__stdio *s = eddy__container_of(idle, eddy__stdio, stream.uv.idle);
  uv_idle_stop(idle);
  deliver(s);
  if (!s->is_fetching) fetch_more(s);
}

static int start(eddy__stream *stream) {
  eddy__stdio *s = stdio_of(stream);
  if ((s->flags & O_ACCMODE) == O_WRONLY) return UV_EBADF;
  if (s->kind != EDDY_STDIO_FILE) return watch(s);
  if (s->is_fetching) return 0;
  if (s->block_start < s->block_end) return uv_idle_start(&stream->uv.idle, on_idle);
  return start_fetch(s);
}

static void stop(eddy__stream *s) { (void)watch(stdio_of(s)); }

const eddy__transport eddy__stdio_transport = {start, stop, write_to, queued, shut_down};
