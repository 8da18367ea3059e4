/* SPDX-License-Identifier: MIT */
/*
 * files.c - the questions about files for C: `libuv` has a hop to a thread for each call, as libuv's own functions do;
 *           `read()` blocks: nothing can be faster.
 * usage: files libuv|read() QUESTION
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { FILES = 20000, AT_ONCE = 64, SIZE = 4096, PIECE = 65536, ROUNDS = 4 };

static const char *peer;
static char folder[4096], data[PIECE];
static long taken;

static void check(long rc) {
  if (rc >= 0) return;
  fprintf(stderr, "%s\n", uv_strerror((int)rc));
  exit(1);
}

static double now(void) { return (double)uv_hrtime() / 1e9; }

static void say(const char *name, double value, const char *unit) {
  printf("%s\t%s\t%.0f\t%s\n", name, peer, value, unit);
}

/* --- files_small: open, read or write, close, each a request of its own ---------------------------------------- */

typedef struct worker {
  uv_fs_t req;
  uv_file fd;
  char path[4200], memory[PIECE];
  int writes;
} worker;

static void next(worker *w);

static void on_closed(uv_fs_t *req) {
  worker *w = req->data;
  check(req->result);
  uv_fs_req_cleanup(req);
  next(w);
}

static void on_moved(uv_fs_t *req) {
  worker *w = req->data;
  check(req->result == SIZE ? 0 : UV_EIO);
  uv_fs_req_cleanup(req);
  check(uv_fs_close(uv_default_loop(), req, w->fd, on_closed));
}

static void on_opened(uv_fs_t *req) {
  worker *w = req->data;
  check(w->fd = (uv_file)req->result);
  uv_fs_req_cleanup(req);
  uv_buf_t buf = uv_buf_init(w->memory, w->writes ? SIZE : PIECE);
  if (w->writes)
    check(uv_fs_write(uv_default_loop(), req, w->fd, &buf, 1, 0, on_moved));
  else
    check(uv_fs_read(uv_default_loop(), req, w->fd, &buf, 1, 0, on_moved));
}

static void next(worker *w) {
  if (taken == FILES) return;
  snprintf(w->path, sizeof w->path, "%s/%ld", folder, taken++);
  int flags = w->writes ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY;
  check(uv_fs_open(uv_default_loop(), &w->req, w->path, flags, 0644, on_opened));
}

static double every(worker *workers, int writes) {
  double start = now();
  taken = 0;
  for (int i = 0; i < AT_ONCE; i++) {
    workers[i].writes = writes;
    workers[i].req.data = &workers[i];
    next(&workers[i]);
  }
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  return FILES / (now() - start);
}

static void files_small(void) {
  const char *base = getenv("BENCH_FILES");
  worker *workers = calloc(AT_ONCE, sizeof *workers);
  snprintf(folder, sizeof folder, "%s/uv-bench-XXXXXX", base == NULL ? "/dev/shm" : base);
  if (workers == NULL || mkdtemp(folder) == NULL) check(UV_EIO);
  say("files_small.write", every(workers, 1), "files/s");
  say("files_small.read", every(workers, 0), "files/s");
  for (int i = 0; i < FILES; i++) {
    snprintf(workers->path, sizeof workers->path, "%s/%d", folder, i);
    unlink(workers->path);
  }
  rmdir(folder);
  free(workers);
}

/* --- files_read ---------------------------------------------------------------------------------------------- */

static double total;

static void on_piece(uv_fs_t *req) {
  ssize_t n = req->result;
  check(n);
  uv_fs_req_cleanup(req);
  total += (double)n;
  uv_buf_t buf = uv_buf_init(data, PIECE);
  if (n > 0) check(uv_fs_read(uv_default_loop(), req, *(uv_file *)req->data, &buf, 1, -1, on_piece));
}

static void read_once(const char *path) {
  uv_file fd = open(path, O_RDONLY | O_CLOEXEC);
  check(fd < 0 ? UV_ENOENT : 0);
  if (strcmp(peer, "libuv") == 0) {
    uv_fs_t req = {.data = &fd};
    uv_buf_t buf = uv_buf_init(data, PIECE);
    check(uv_fs_read(uv_default_loop(), &req, fd, &buf, 1, -1, on_piece));
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  } else {
    for (ssize_t n; (n = read(fd, data, PIECE)) > 0;) total += (double)n;
  }
  close(fd);
}

static void files_read(const char *name, const char *path) {
  if (path == NULL) return;
  read_once(path);
  total = 0;
  double start = now();
  for (int i = 0; i < ROUNDS; i++) read_once(path);
  say(name, total / (now() - start) / 1e6, "MB/s");
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  peer = argv[1];
  if (strcmp(argv[2], "files_small") == 0 && strcmp(peer, "libuv") == 0) files_small();
  if (strcmp(argv[2], "files_read") == 0) {
    files_read("files_read.disk", getenv("BENCH_LARGE"));
    files_read("files_read.memory", getenv("BENCH_LARGE_MEMORY"));
  }
  return 0;
}
