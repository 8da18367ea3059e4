/* SPDX-License-Identifier: MIT */
/*
 * torture.c - makes one thing go wrong after the other, in each scenario, and prints what eddy does not bear.
 *
 *   torture KIND SCENARIO [--mode=M] [--n=K[,K2]] [--seed=S] [--sample=COUNT] [--pick=P] [--seconds=T] [--limit=T]
 *     [--times=COUNT] [--jobs=J] [--after=SCENARIO]
 *
 * KIND and SCENARIO may be `all`. Kinds and their modes are in the table below; docs/internals/testing.md tells what
 * they do. A dry run counts the events; then a child is forked for each (with --sample, for some of each, drawn by
 * --pick), which gets --limit seconds (5), --jobs of them at a time (as there are processors). A line is printed for
 * each run that goes wrong: the command that does it again. With --n there is that run only, and stderr is shown,
 * or --times times behind a dry run. After --seconds no new kind, mode and scenario is begun; --after goes on behind
 * one. At the end the numbers of runs are printed; the status is 1 if a run went wrong, 3 if time was over.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "children.h"
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
  {"syscall", K_SYSCALL, M_CALLS + CALL_INTR},
  {"syscall", K_SYSCALL, M_CALLS + CALL_AGAIN},
  {"syscall", K_SYSCALL, M_CALLS + CALL_SHORT},
  {"syscall", K_SYSCALL, M_CALLS + CALL_ONE},
  {"syscall", K_SYSCALL, M_CALLS + CALL_STORM},
  {"syscall", K_SYSCALL, M_CALLS + CALL_FULL},
  {"syscall", K_SYSCALL, M_CALLS + CALL_FILES},
  {"syscall", K_SYSCALL, M_CALLS + CALL_BROKEN},
  {"syscall", K_SYSCALL, M_CALLS + CALL_FATAL}, /* only if asked for: libuv aborts */
};
static const char *const mode_names[] = {"once", "from", "bytes", "pair", "loop", "state", "exit", "turn", "intr",
                                         "again", "short", "one", "storm", "full", "files", "broken", "fatal"};

static const char *wanted_kind, *wanted_scenario, *wanted_mode, *after;
static long only_n, only_n2, sample, times = 1;
static unsigned long long seed, pick;
static double seconds, limit = 5;
static int jobs;
static const char *folder = EDDY_TORTURE_FOLDER;
static const char *program;

static int current;      /* the plan whose runs are under way */
static long runs, wrong, bad; /* in all; and those of the plan that went wrong */
static verdict last;     /* of the run that ended last */
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

/* --- all runs of one scenario with one plan ----------------------------------------------------------- */

static void on_done(const trial *t, const verdict *v, const char *what) {
  runs++;
  last = *v;
  if (what == NULL) return;
  wrong++;
  bad++;
  printf("%s %s %s --mode=%s --n=%ld", program, plans[current].name, t->scenario, mode_names[t->mode], t->n);
  if (t->n2 > 0) printf(",%ld", t->n2);
  if (t->seed != 0) printf(" --seed=%llu", t->seed);
  printf("   # ");
  if (v->call[0] != 0) printf("%s: ", v->call);
  for (; *what != 0; what++) putchar(*what == '\n' ? ' ' : *what);
  putchar('\n');
  fflush(stdout);
}

static bool is_over(void) { return seconds > 0 && now() - started > seconds; }

static void run_pairs(trial t, long events, size_t usual) {
  for (long i = 0; i < (sample > 0 ? sample : events) && bad < ENOUGH; i++) {
    t.n = sample > 0 ? 1 + (long)(next_random() % (unsigned long)events) : i + 1;
    long from = sample > 0 ? t.n + 1 + (long)(next_random() % DISTANCE) : t.n + 1;
    long to = sample > 0 ? from : t.n + DISTANCE;
    for (t.n2 = from; t.n2 <= to; t.n2++) children_run(&t, usual);
  }
}

/* How many of the events are made to go wrong. */
static long last_of(const trial *t, long events) {
  bool all_at_once = (t->kind == K_GC && t->mode != M_ONCE) || t->kind == K_STACK ||
                     (t->kind == K_SYSCALL && (t->mode == M_CALLS + CALL_ONE || t->mode == M_CALLS + CALL_STORM));
  return all_at_once && events > 1 ? 1 : events;
}

static void run_plan(const char *scenario, int plan) {
  trial t = {.scenario = scenario, .kind = plans[plan].kind, .mode = plans[plan].mode, .seed = seed};
  long before = runs;
  double start = now();
  current = plan;
  bad = 0;
  if (only_n == 0 || times > 1) {
    children_run(&t, 0);
    children_wait();
    if (bad > 0) return; /* n=0: it fails without any fault */
  }
  if (only_n > 0) {
    size_t kept = times > 1 ? last.kept : 0;
    t.n = only_n;
    t.n2 = only_n2;
    for (long i = 0; i < times && bad < ENOUGH; i++) children_run(&t, kept);
    children_wait();
    return;
  }
  long events = last.events, step = t.mode == M_BYTES ? STEP : 1, most = last_of(&t, events);
  size_t usual = last.kept;
  if (events == 0) {
    /* nothing of this kind happens in it */
  } else if (t.mode == M_PAIR) {
    run_pairs(t, events, usual);
  } else if (sample > 0 && most > sample * step) {
    for (long i = 0; i < sample && bad < ENOUGH; i++) {
      t.n = 1 + (long)(next_random() % (unsigned long)(most / step)) * step;
      children_run(&t, usual);
    }
  } else {
    for (t.n = 1; t.n <= most && bad<ENOUGH; t.n += t.n / FAR> step ? t.n / FAR : step) children_run(&t, usual);
  }
  children_wait();
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
  if (plans[plan].mode == M_CALLS + CALL_FATAL && wanted_mode == NULL) return false;
  return of_kind && in_mode;
}

static int usage(void) {
  fprintf(stderr, "usage: torture KIND|all SCENARIO|all [--mode=M] [--n=K[,K2]] [--seed=S] [--sample=COUNT]\n"
                  "       [--pick=P] [--seconds=T] [--limit=T] [--times=COUNT] [--jobs=J]\n"
                  "       [--after=SCENARIO]\n"
                  "       torture --list\n");
  return 2;
}

static bool read_option(const char *word) {
  char *rest;
  const char *value = strchr(word, '=');
  if (value == NULL) return false;
  size_t length = (size_t)(value++ - word);
  if (strncmp(word, "--mode", length) == 0) return wanted_mode = value, true;
  if (strncmp(word, "--times", length) == 0) return times = strtol(value, NULL, 10), true;
  if (strncmp(word, "--after", length) == 0) return after = value, true;
  if (strncmp(word, "--seed", length) == 0 && length == 6) return seed = strtoull(value, NULL, 10), true;
  if (strncmp(word, "--pick", length) == 0) return pick = strtoull(value, NULL, 10), true;
  if (strncmp(word, "--sample", length) == 0) return sample = strtol(value, NULL, 10), true;
  if (strncmp(word, "--seconds", length) == 0) return seconds = strtod(value, NULL), true;
  if (strncmp(word, "--jobs", length) == 0) return jobs = (int)strtol(value, NULL, 10), true;
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

/* Functions of libraries are looked up once, and not by each child. */
static void bind_now(char **argv) {
  static const char *const name = "LD_BIND_NOW";
  char path[1024];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  if (n > 0 && getenv(name) == NULL && setenv(name, "1", 1) == 0) {
    path[n] = 0;
    execv(path, argv);
  }
  unsetenv(name);
}

int main(int argc, char **argv) {
  static char names[MAX_SCENARIOS][NAME];
  bind_now(argv);
  int n = list_scenarios(names);
  program = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
  if (argc == 2 && strcmp(argv[1], "--list") == 0) return list(names, n);
  if (argc < 3) return usage();
  wanted_kind = argv[1];
  wanted_scenario = argv[2];
  for (int i = 3; i < argc; i++)
    if (!read_option(argv[i])) return usage();
  if (jobs == 0) jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
  if (!children_open(jobs, limit, only_n > 0 && times == 1, on_done)) return 2;
  started = now();
  fault_open();
  bool any = false, over = false;
  int first = sample > 0 && n > 0 ? (int)(next_random() % (unsigned long)n) : 0; /* time may be over before the last */
  for (int k = 0; k < n && !over; k++) {
    int i = (first + k) % n;
    if (strcmp(wanted_scenario, "all") != 0 && strcmp(wanted_scenario, names[i]) != 0) continue;
    any = true;
    if (after != NULL && strcmp(names[i], after) <= 0) continue;
    if (!trial_load(folder, names[i])) {
      wrong++;
      continue;
    }
    for (int p = 0; p < (int)(sizeof plans / sizeof *plans) && !over; p++)
      if (is_wanted(p) && !(over = over || is_over())) run_plan(names[i], p);
    trial_unload();
  }
  children_close();
  if (!any) return usage();
  printf("%ld runs, %ld wrong, %.0f s\n", runs, wrong, now() - started);
  return wrong > 0 ? 1 : over ? 3
                              : 0;
}
