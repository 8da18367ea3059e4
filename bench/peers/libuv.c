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

/* --- threads: calls of nothing, and fib ----------------------------------------------------------------------------- */

static int calls_left;

static void on_work(uv_work_t *work) { (void)work; }

static void on_worked(uv_work_t *work, int status) {
  (void)status;
  if (calls_left <= 0) return;
  calls_left--;
  uv_queue_work(uv_default_loop(), work, on_work, on_worked);
}

static void many(int n, int in_flight) {
  static uv_work_t all[64];
  calls_left = n;
  for (int i = 0; i < in_flight; i++) on_worked(&all[i], 0);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static void calls(const char *name, int n, int in_flight) {
  uint64_t begin = uv_hrtime();
  many(n, in_flight);
  printf("threads_calls.%s\tlibuv\t%.0f\tcalls/s\n", name, n / ((double)(uv_hrtime() - begin) / 1e9));
}

static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static volatile int fib_of = 32, fib_result; /* volatile: or the compiler would leave them out */

static void on_fib(uv_work_t *work) {
  (void)work;
  for (int i = 0; i < 16; i++) fib_result = fib(fib_of); /* as long as one in Lua */
}

static double four_fibs(void) {
  uint64_t begin = uv_hrtime();
  for (int i = 0; i < 4; i++) on_fib(NULL);
  return (double)(uv_hrtime() - begin);
}

static void fibs(void) {
  uv_work_t all[8];
  double in_line = four_fibs();
  uint64_t begin = uv_hrtime();
  for (int i = 0; i < 8; i++) uv_queue_work(uv_default_loop(), &all[i], on_fib, NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  double at_once = (double)(uv_hrtime() - begin);
  in_line += four_fibs();
  printf("threads_fib\tlibuv\t%.2f\ttimes\n", in_line / at_once);
}

int main(int argc, char **argv) {
  const char *question = argc == 2 ? argv[1] : "";
  if (strcmp(question, "echo_throughput") == 0) return echo_server();
  if (strcmp(question, "threads_calls") == 0) {
    many(1000, 64); /* starts the threads */
    calls("64", 100000, 64);
    calls("one", 20000, 1);
  } else if (strcmp(question, "threads_fib") == 0) {
    fibs();
  } else if (strcmp(question, "processes") == 0) {
    processes("one", 1);
    processes("16", 16);
  }
  return uv_loop_close(uv_default_loop());
}
