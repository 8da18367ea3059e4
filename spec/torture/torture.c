/* SPDX-License-Identifier: MIT */
/*
 * torture.c - makes one thing go wrong after the other, in each scenario, and prints what eddy does not bear.
 *
 *   torture KIND SCENARIO [--mode=M] [--n=K[,K2]] [--seed=S] [--sample=COUNT] [--pick=P] [--seconds=T] [--limit=T]
 *
 * KIND and SCENARIO may be `all`. Kinds and their modes are in the table below; docs/internals/testing.md tells what
 * they do. A dry run counts the events; then a child is forked for each (with --sample, for some of each, drawn by
 * --pick), which gets --limit seconds (5). A line is printed for each run that goes wrong: the command that does it
 * again. With --n there is that run only, and stderr is shown. After --seconds no new kind, mode and scenario is
 * begun. At the end the numbers of runs are printed; the status is 1 if a run went wrong, 3 if time was over.
 */
#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "trial.h"

enum { DISTANCE = 8, STEP = 7, FAR = 1500, ENOUGH = 10, MAX_SCENARIOS = 200, NAME = 64 };

static const struct {
  const char *name;
  kind kind;
  mode mode;
} plans[] = {
  {"lua", K_LUA, M_ONCE},
  {"lua", K_LUA, M_FROM},
  {"lua", K_LUA, M_BYTES},
  {"malloc", K_MALLOC, M_ONCE},
  {"malloc", K_MALLOC, M_FROM},
  {"cancel", K_CANCEL, M_ONCE},
  {"cancel", K_CANCEL, M_PAIR},
  {"close", K_CLOSE, M_LOOP},
  {"close", K_CLOSE, M_STATE},
  {"close", K_CLOSE, M_EXIT},
  {"gc", K_GC, M_ONCE},
  {"gc", K_GC, M_FROM},
  {"gc", K_GC, M_TURN},
  {"stack", K_STACK, M_ONCE},
};
static const char *const mode_names[] = {"once", "from", "bytes", "pair", "loop", "state", "exit", "turn"};

static const char *wanted_kind, *wanted_scenario, *wanted_mode;
static long only_n, only_n2, sample;
static unsigned long long seed, pick;
static double seconds, limit = 5;
static const char *folder = EDDY_TORTURE_FOLDER;
static const char *program;

static verdict *shared;
static char scratch[64]; /* a folder for the files of scenarios; empty between two runs */
static int errors;     /* the child's stderr: a file without a name */
static long runs, wrong;
static double started;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned long next_random(void) {
  pick = pick * 6364136223846793005u + 1442695040888963407u;
  return (unsigned long)(pick >> 33);
}

/* --- one run ------------------------------------------------------------------------------------------ */

static void print_failure(const trial *t, int plan, const char *what) {
  printf("%s %s %s --mode=%s --n=%ld", program, plans[plan].name, t->scenario, mode_names[t->mode], t->n);
  if (t->n2 > 0) printf(",%ld", t->n2);
  if (t->seed != 0) printf(" --seed=%llu", t->seed);
  printf("   # ");
  for (; *what != 0; what++) putchar(*what == '\n' ? ' ' : *what);
  putchar('\n');
  fflush(stdout);
}

/* The first line of the child's stderr that a person wants to see. */
static void append_errors(char *what, size_t size) {
  static const char *const marks[] = {"ERROR: AddressSanitizer", "runtime error:", "Assertion", "ERROR:", "SUMMARY"};
  static char text[65536];
  ssize_t n = pread(errors, text, sizeof text - 1, 0);
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

static void clean_scratch(void) { nftw(scratch, remove_entry, 8, FTW_DEPTH | FTW_PHYS); }

static void show_errors(void) {
  char text[4096];
  off_t at = 0;
  for (ssize_t n; (n = pread(errors, text, sizeof text, at)) > 0; at += n) fwrite(text, 1, (size_t)n, stderr);
}

/* Forks a child for the run. Returns whether all is well; `what` tells if not. */
static bool run_child(const trial *t, size_t usual, double time_limit, char *what, size_t size) {
  memset(shared, 0, sizeof *shared);
  fflush(stdout);
  if (ftruncate(errors, 0) != 0 || lseek(errors, 0, SEEK_SET) != 0) return false;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(errors, 2);
    alarm((unsigned)time_limit + (time_limit > (unsigned)time_limit));
    trial_run(t, shared, usual);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) {
    snprintf(what, size, "it could not be run");
    return false;
  }
  runs++;
  clean_scratch();
  if (only_n > 0) show_errors();
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
    snprintf(what, size, "hangs");
  else if (WIFSIGNALED(status))
    snprintf(what, size, "signal %d", WTERMSIG(status));
  else if (!shared->is_done || WEXITSTATUS(status) != 0) /* valgrind tells by the status */
    snprintf(what, size, "exit %d", WEXITSTATUS(status));
  else if (shared->finding[0] != 0)
    snprintf(what, size, "%s", shared->finding);
  else
    return true;
  append_errors(what, size);
  return false;
}

/* A run that takes too long may have been unlucky: it gets more time once. */
static bool try(const trial *t, int plan, size_t usual) {
  char what[2400];
  if (run_child(t, usual, limit, what, sizeof what)) return true;
  if (strncmp(what, "hangs", 5) == 0 && run_child(t, usual, 4 * limit, what, sizeof what)) return true;
  print_failure(t, plan, what);
  wrong++;
  return false;
}

/* --- all runs of one scenario with one plan ----------------------------------------------------------- */

static bool is_over(void) { return seconds > 0 && now() - started > seconds; }

static long run_pairs(trial t, int plan, long events, size_t usual) {
  long bad = 0;
  for (long i = 0; i < (sample > 0 ? sample : events) && bad < ENOUGH; i++) {
    t.n = sample > 0 ? 1 + (long)(next_random() % (unsigned long)events) : i + 1;
    long from = sample > 0 ? t.n + 1 + (long)(next_random() % DISTANCE) : t.n + 1;
    long to = sample > 0 ? from : t.n + DISTANCE;
    for (t.n2 = from; t.n2 <= to; t.n2++) bad += !try(&t, plan, usual);
  }
  return bad;
}

static void run_plan(const char *scenario, int plan) {
  trial t = {.scenario = scenario, .kind = plans[plan].kind, .mode = plans[plan].mode, .seed = seed};
  long before = runs, bad = 0;
  double start = now();
  if (only_n > 0) {
    t.n = only_n;
    t.n2 = only_n2;
    try(&t, plan, 0);
    return;
  }
  if (!try(&t, plan, 0)) return; /* n=0: it fails without any fault */
  long events = shared->events;
  size_t usual = shared->kept;
  long step = t.mode == M_BYTES ? STEP : 1, last = events;
  if ((t.kind == K_GC && t.mode != M_ONCE) || t.kind == K_STACK) last = events > 0 ? 1 : 0;
  if (events == 0) {
    /* nothing of this kind happens in it */
  } else if (t.mode == M_PAIR) {
    bad = run_pairs(t, plan, events, usual);
  } else if (sample > 0 && last > sample * step) {
    for (long i = 0; i < sample && bad < ENOUGH; i++) {
      t.n = 1 + (long)(next_random() % (unsigned long)(last / step)) * step;
      bad += !try(&t, plan, usual);
    }
  } else {
    for (t.n = 1; t.n <= last && bad<ENOUGH; t.n += t.n / FAR> step ? t.n / FAR : step) bad += !try(&t, plan, usual);
  }
  printf("# %s %s %s seed=%llu: %ld events, %ld runs, %ld wrong, %.1f s\n", plans[plan].name, scenario,
         mode_names[t.mode], seed, events, runs - before, bad, now() - start);
  fflush(stdout);
}

/* --- all of them -------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) { return strcmp(a, b); }

static int list_scenarios(char names[][NAME]) {
  char path[1024];
  snprintf(path, sizeof path, "%s/scenarios", folder);
  DIR *dir = opendir(path);
  int n = 0;
  for (struct dirent *e; dir != NULL && n < MAX_SCENARIOS && (e = readdir(dir)) != NULL;) {
    const char *end = strstr(e->d_name, ".lua");
    if (end != NULL && end[4] == 0) snprintf(names[n++], NAME, "%.*s", (int)(end - e->d_name), e->d_name);
  }
  if (dir != NULL) closedir(dir);
  qsort(names, (size_t)n, NAME, compare);
  return n;
}

static bool is_wanted(int plan) {
  bool of_kind = strcmp(wanted_kind, "all") == 0 || strcmp(wanted_kind, plans[plan].name) == 0;
  bool in_mode = wanted_mode == NULL || strcmp(wanted_mode, mode_names[plans[plan].mode]) == 0;
#ifndef EDDY_TORTURE_HARD
  if (plans[plan].kind == K_STACK) return false; /* it is this Lua that moves its stack, and checks */
#endif
  return of_kind && in_mode;
}

static int usage(void) {
  fprintf(stderr, "usage: torture KIND|all SCENARIO|all [--mode=once|from|bytes|pair|loop|state|exit|turn]\n"
                  "       [--n=K[,K2]] [--seed=S] [--sample=COUNT] [--pick=P] [--seconds=T] [--limit=T]\n"
                  "       torture --list\n");
  return 2;
}

static bool read_option(const char *word) {
  char *rest;
  const char *value = strchr(word, '=');
  if (value == NULL) return false;
  size_t length = (size_t)(value++ - word);
  if (strncmp(word, "--mode", length) == 0) return wanted_mode = value, true;
  if (strncmp(word, "--seed", length) == 0 && length == 6) return seed = strtoull(value, NULL, 10), true;
  if (strncmp(word, "--pick", length) == 0) return pick = strtoull(value, NULL, 10), true;
  if (strncmp(word, "--sample", length) == 0) return sample = strtol(value, NULL, 10), true;
  if (strncmp(word, "--seconds", length) == 0) return seconds = strtod(value, NULL), true;
  if (strncmp(word, "--limit", length) == 0) return limit = strtod(value, NULL), true;
  if (strncmp(word, "--n", length) != 0) return false;
  only_n = strtol(value, &rest, 10);
  only_n2 = *rest == ',' ? strtol(rest + 1, NULL, 10) : 0;
  return true;
}

static int list(char names[][NAME], int n) {
  for (int i = 0; i < n; i++)
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++)
      printf("%s %s --mode=%s\n", plans[p].name, names[i], mode_names[plans[p].mode]);
  return 0;
}

int main(int argc, char **argv) {
  static char names[MAX_SCENARIOS][NAME];
  int n = list_scenarios(names);
  program = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
  if (argc == 2 && strcmp(argv[1], "--list") == 0) return list(names, n);
  if (argc < 3) return usage();
  wanted_kind = argv[1];
  wanted_scenario = argv[2];
  for (int i = 3; i < argc; i++)
    if (!read_option(argv[i])) return usage();
  FILE *file = tmpfile();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  snprintf(scratch, sizeof scratch, "/tmp/torture.XXXXXX");
  if (file == NULL || shared == MAP_FAILED || mkdtemp(scratch) == NULL) return 2;
  errors = fileno(file);
  started = now();
  fault_open();
  bool any = false, over = false;
  for (int i = 0; i < n && !over; i++) {
    if (strcmp(wanted_scenario, "all") != 0 && strcmp(wanted_scenario, names[i]) != 0) continue;
    any = true;
    if (!trial_load(folder, names[i], scratch)) {
      wrong++;
      continue;
    }
    for (int p = 0; p < (int)(sizeof plans / sizeof *plans) && !over; p++)
      if (is_wanted(p) && !(over = is_over())) run_plan(names[i], p);
    trial_unload();
  }
  rmdir(scratch);
  if (!any) return usage();
  printf("%ld runs, %ld wrong, %.0f s\n", runs, wrong, now() - started);
  return wrong > 0 ? 1 : over ? 3
                              : 0;
}
