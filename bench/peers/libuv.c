/* SPDX-License-Identifier: MIT */
/*
 * libuv.c - what libuv itself takes, called from C, with nothing of Lua: the limit.
 * usage: libuv QUESTION
 */
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { PROCESSES = 1000 };

int echo_server(void); /* libuv_echo.c */

static int left; /* processes to be started */

static void start(uv_process_t *process);

static void on_closed(uv_handle_t *handle) {
  if (left > 0) start((uv_process_t *)handle);
}

static void on_exit(uv_process_t *process, int64_t status, int signal) {
  (void)status, (void)signal;
  uv_close((uv_handle_t *)process, on_closed);
}

static void start(uv_process_t *process) {
  static char *arguments[] = {"/bin/true", NULL};
  static uv_stdio_container_t inherited[3] = {{.flags = UV_INHERIT_FD, .data.fd = 0},
                                              {.flags = UV_INHERIT_FD, .data.fd = 1},
                                              {.flags = UV_INHERIT_FD, .data.fd = 2}};
  uv_process_options_t options = {
    .file = "/bin/true", .args = arguments, .exit_cb = on_exit, .stdio_count = 3, .stdio = inherited};
  left--;
  int rc = uv_spawn(uv_default_loop(), process, &options);
  if (rc < 0) fprintf(stderr, "uv_spawn: %s\n", uv_strerror(rc));
}

static void processes(const char *name, int at_once) {
  uv_process_t all[16];
  uint64_t begin = uv_hrtime();
  left = PROCESSES;
  for (int i = 0; i < at_once; i++) start(&all[i]);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  printf("processes.%s\tlibuv\t%.0f\tprocesses/s\n", name, PROCESSES / ((double)(uv_hrtime() - begin) / 1e9));
}

static int calls_left;

static void on_work(uv_work_t *work) { (void)work; }

static void on_worked(uv_work_t *work, int status) {
  (void)status;
  if (calls_left <= 0) return;
  calls_left--;
  uv_queue_work(uv_default_loop(), work, on_work, on_worked);
}

static void threads(const char *name, int n, int in_flight) {
  static uv_work_t all[64];
  uint64_t begin = uv_hrtime();
  calls_left = n;
  for (int i = 0; i < in_flight; i++) {
    calls_left--;
    uv_queue_work(uv_default_loop(), &all[i], on_work, on_worked);
  }
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  printf("threads.%s\tlibuv\t%.0f\tcalls/s\n", name, n / ((double)(uv_hrtime() - begin) / 1e9));
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "echo_throughput") == 0) return echo_server();
  if (argc == 2 && strcmp(argv[1], "threads") == 0) {
    threads("64", 100000, 64);
    threads("one", 20000, 1);
    return uv_loop_close(uv_default_loop());
  }
  if (argc < 2 || strcmp(argv[1], "processes") != 0) return 0; /* it is not asked the others */
  processes("one", 1);
  processes("16", 16);
  return uv_loop_close(uv_default_loop());
}
