/* SPDX-License-Identifier: MIT */
/*
 * own_loop.c - eddy on a uv_loop_t that the host owns and uses itself.
 */
#include <uv.h>

#include "check.h"

static void on_tick(uv_timer_t *timer) { ++*(int *)timer->data; }

static const char nap[] = "require('eddy').sleep(0.02); return 'rested'";

/* The host's own timer goes on while eddy blocks in the host's loop, and the loop is the host's again afterwards. */
static void share(uv_loop_t *uv) {
  lua_State *L = new_state();
  eddy_options options = {.size = sizeof options, .uv_loop = uv};
  eddy_loop *loop = open_loop(L, &options);
  int ticks = 0;
  uv_timer_t timer;
  uv_timer_init(uv, &timer);
  timer.data = &ticks;
  uv_timer_start(&timer, on_tick, 1, 1);

  spawn(loop, L, "=nap", nap);
  CHECK_INT(EDDY_OK, eddy_run(loop, L, 1));
  CHECK_HAS("rested", lua_tostring(L, -1));
  CHECK(ticks > 0);

  spawn(loop, L, "=nap", nap); /* left pending */
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);

  int before = ticks;
  while (ticks == before) uv_run(uv, UV_RUN_ONCE); /* it still turns */
  uv_close((uv_handle_t *)&timer, NULL);
  CHECK_INT(0, uv_run(uv, UV_RUN_DEFAULT)); /* ends at once: nothing else is active */
}

int main(void) {
  uv_loop_t uv;
  CHECK_INT(0, uv_loop_init(&uv));
  share(&uv);
  share(&uv); /* and another time */
  CHECK_INT(0, uv_loop_close(&uv)); /* nothing of eddy's is left in it */
  return 0;
}
