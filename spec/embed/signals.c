/* SPDX-License-Identifier: MIT */
/*
 * signals.c - a storm of signals over several states on threads of their own; every one hears of it, and the host's own
 * handler is there again afterwards.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "check.h"

#define THREADS 3
#define ROUNDS 10
#define STORM 1000

static const char work[] =
  "local eddy = require 'eddy'\n"
  "local n = 0\n"
  "local loop = eddy.get_running_loop()\n"
  "loop:add_signal_handler('SIGUSR1', function()\n"
  "  loop:remove_signal_handler('SIGUSR1')\n"
  "  loop:add_signal_handler('SIGUSR1', function() n = n + 1 end)\n"
  "end)\n"
  "for name in eddy.signals('SIGUSR1', 'SIGUSR2') do\n"
  "  if name == 'SIGUSR2' then break end\n"
  "  n = n + 1\n"
  "end\n"
  "return n\n";

static pthread_barrier_t begun, told;
static atomic_int ended;
static atomic_int own; /* signals that the host's handler has got */

static void on_host(int number) {
  (void)number;
  own++;
}

static void *live(void *argument) {
  (void)argument;
  for (int round = 0; round < ROUNDS; round++) {
    lua_State *L = new_state();
    eddy_loop *loop = open_loop(L, NULL);
    spawn(loop, L, "=work", work);
    eddy_pump(loop, L, 0); /* it listens */
    pthread_barrier_wait(&begun);
    int status = eddy_run(loop, L, 1);
    if (status != EDDY_OK) check_failed("work", round, eddy_error_text(L, 1));
    CHECK(lua_tointeger(L, -1) >= 1);
    ended++;
    pthread_barrier_wait(&told);
    CHECK_INT(EDDY_OK, eddy_close(loop, L));
    lua_close(L);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  struct sigaction host = {.sa_handler = on_host}, now;
  sigaction(SIGUSR1, &host, NULL);
  sigaction(SIGUSR2, &host, NULL);
  pthread_barrier_init(&begun, NULL, THREADS + 1);
  pthread_barrier_init(&told, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++) CHECK_INT(0, pthread_create(&threads[i], NULL, live, NULL));
  for (int round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(&begun);
    for (int i = 0; i < STORM; i++) kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    pthread_barrier_wait(&told);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  CHECK_INT(THREADS * ROUNDS, ended);
  CHECK_INT(0, own);
  sigaction(SIGUSR1, NULL, &now);
  CHECK(now.sa_handler == on_host);
  raise(SIGUSR2);
  CHECK_INT(1, own);
  pthread_barrier_destroy(&begun);
  pthread_barrier_destroy(&told);
  return 0;
}
