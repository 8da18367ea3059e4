/* SPDX-License-Identifier: MIT */
/*
 * children.c - forks, waits, and tells how a run has gone; see children.h.
 *
 * A child that does not end is looked at before it is killed: what it is about, and what its threads wait for. A run
 * that takes too long may have been unlucky, as others run beside it: it gets four times as long once.
 */
#include "children.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 16, TEXT = 2400, PATIENCE = 4, TICK = 200000 }; /* the last: us */

typedef struct child {
  pid_t pid; /* 0: none */
  trial t;
  size_t usual;
  double end;        /* when it is killed */
  bool is_second, is_killed;
  verdict *verdict;  /* in memory that is shared with it */
  char scratch[64];  /* a folder for the scenario's files; empty between two runs */
  int errors;        /* its stderr: a file without a name */
  char hanging[400];
} child;

static child children[MAX_JOBS];
static int njobs;
static double time_limit;
static bool shows;
static children_done *tell;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_tick(int number) { (void)number; }

static void set_ticks(bool on) {
  struct itimerval every = {{0, on ? TICK : 0}, {0, on ? TICK : 0}};
  struct sigaction action = {.sa_handler = on ? on_tick : SIG_DFL};
  sigaction(SIGALRM, &action, NULL); /* without SA_RESTART: waitpid returns */
  setitimer(ITIMER_REAL, &every, NULL);
}

bool children_open(int jobs, double limit, bool is_loud, children_done *done) {
  njobs = jobs < 1 ? 1 : jobs > MAX_JOBS ? MAX_JOBS
                                         : jobs;
  time_limit = limit;
  shows = is_loud;
  tell = done;
  for (child *c = children; c < children + njobs; c++) {
    FILE *file = tmpfile();
    c->verdict = mmap(NULL, sizeof *c->verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(c->scratch, sizeof c->scratch, "/tmp/torture.XXXXXX");
    if (file == NULL || c->verdict == MAP_FAILED || mkdtemp(c->scratch) == NULL) return false;
    c->errors = fileno(file);
  }
  set_ticks(true);
  return true;
}

void children_close(void) {
  set_ticks(false);
  for (child *c = children; c < children + njobs; c++) rmdir(c->scratch);
}

/* --- a run that has ended ------------------------------------------------------------------------------- */

/* The first line of its stderr that a person wants to see. */
static void append_errors(const child *c, char *what, size_t size) {
  static const char *const marks[] = {"ERROR: AddressSanitizer", "runtime error:", "Assertion", "ERROR:", "SUMMARY"};
  static char text[65536];
  ssize_t n = pread(c->errors, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = 0;
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    char *at = strstr(text, marks[i]);
    if (at == NULL) continue;
    while (at > text && at[-1] != '\n') at--;
    size_t used = strlen(what);
    snprintf(what + used, size - used, ": %.*s", (int)strcspn(at, "\n"), at);
    return;
  }
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *where) {
  (void)st, (void)flag;
  return where->level > 0 ? remove(path) : 0;
}

static void show_errors(const child *c) {
  char text[4096];
  off_t at = 0;
  for (ssize_t n; (n = pread(c->errors, text, sizeof text, at)) > 0; at += n) fwrite(text, 1, (size_t)n, stderr);
}

/* Writes what is wrong. Returns whether anything is. */
static bool judge(const child *c, int status, char *what, size_t size) {
  if (c->is_killed)
    snprintf(what, size, "hangs%s", c->hanging);
  else if (WIFSIGNALED(status))
    snprintf(what, size, "signal %d", WTERMSIG(status));
  else if (!c->verdict->is_done || WEXITSTATUS(status) != 0) /* valgrind tells by the status */
    snprintf(what, size, "exit %d", WEXITSTATUS(status));
  else if (c->verdict->finding[0] != 0)
    snprintf(what, size, "%s", c->verdict->finding);
  else
    return false;
  append_errors(c, what, size);
  return true;
}

static void start(child *c);

static void on_end(child *c, int status) {
  char what[TEXT];
  bool bad = judge(c, status, what, sizeof what);
  if (bad) kill(-c->pid, SIGKILL); /* children of its own */
  c->pid = 0;
  if (c->verdict->has_files) nftw(c->scratch, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  if (shows) show_errors(c);
  if (lseek(c->errors, 0, SEEK_CUR) != 0 && (lseek(c->errors, 0, SEEK_SET) != 0 || ftruncate(c->errors, 0) != 0))
    abort();
  if (c->is_killed && !c->is_second) {
    c->is_second = true;
    start(c);
  } else {
    tell(&c->t, c->verdict, bad ? what : NULL);
  }
}

/* --- one that does not end ------------------------------------------------------------------------------ */

/* Appends what a thread waits for: a name of the kernel's, or nothing while it runs. */
static void append_wait(const char *path, char *text, size_t size) {
  char word[64] = "";
  FILE *file = fopen(path, "r");
  if (file == NULL) return;
  if (fscanf(file, "%63s", word) != 1 || strcmp(word, "0") == 0) snprintf(word, sizeof word, "running");
  fclose(file);
  size_t used = strlen(text);
  snprintf(text + used, size - used, " %s", word);
}

static void look_at(child *c) {
  char path[400];
  const char *phase = c->verdict->phase == 'a' ? "when it runs again" : c->verdict->phase == 'c' ? "in its end"
                                                                                                 : "";
  snprintf(c->hanging, sizeof c->hanging, " %s; its threads:", phase);
  snprintf(path, sizeof path, "/proc/%d/task", (int)c->pid);
  DIR *dir = opendir(path);
  for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/wchan", (int)c->pid, e->d_name);
    append_wait(path, c->hanging, sizeof c->hanging);
  }
  if (dir != NULL) closedir(dir);
}

static void end_overdue(void) {
  double time = now();
  for (child *c = children; c < children + njobs; c++) {
    if (c->pid == 0 || c->is_killed || time < c->end) continue;
    look_at(c);
    c->is_killed = true;
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL);
  }
}

/* --- one that begins ------------------------------------------------------------------------------------ */

static void start(child *c) {
  memset(c->verdict, 0, sizeof *c->verdict);
  fflush(stdout);
  c->is_killed = false;
  c->hanging[0] = 0;
  c->end = now() + time_limit * (c->is_second ? PATIENCE : 1);
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, SIG_DFL);
    dup2(c->errors, 2);
    trial_run(&c->t, c->verdict, c->usual, c->scratch);
  }
  if (pid < 0) {
    perror("fork");
    exit(2);
  }
  c->pid = pid;
}

/* Waits until one has ended. */
static void wait_one(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, 0)) < 0 && errno == EINTR) end_overdue();
  for (child *c = children; c < children + njobs; c++)
    if (pid > 0 && c->pid == pid) on_end(c, status);
}

static child *find_free(void) {
  for (child *c = children; c < children + njobs; c++)
    if (c->pid == 0) return c;
  return NULL;
}

void children_run(const trial *t, size_t usual) {
  child *c;
  while ((c = find_free()) == NULL) wait_one();
  c->t = *t;
  c->usual = usual;
  c->is_second = false;
  start(c);
}

void children_wait(void) {
  for (child *c = children; c < children + njobs; c++)
    while (c->pid != 0) wait_one();
}
