/* SPDX-License-Identifier: MIT */
/*
 * libuv_echo.c - the echo server of libuv.c: the limit for whoever stands on libuv.
 *
 * One buffer for all connections, uv_try_write first, uv_write for what is left. Prints its port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

typedef struct {
  uv_write_t uv;
  char data[];
} request;

static char shared[65536];

static void on_closed(uv_handle_t *handle) { free(handle); }

static void hang_up(uv_stream_t *stream) {
  if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)handle;
  (void)suggested;
  *buf = uv_buf_init(shared, sizeof shared);
}

static void on_written(uv_write_t *uv, int status) {
  if (status < 0) hang_up(uv->handle);
  free(uv);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  if (n < 0) hang_up(stream);
  if (n <= 0) return;
  uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);
  int sent = uv_try_write(stream, &out, 1);
  if (sent == n) return;
  size_t left = (size_t)n - (sent > 0 ? (size_t)sent : 0);
  request *r = malloc(sizeof *r + left);
  memcpy(r->data, buf->base + (size_t)n - left, left);
  out = uv_buf_init(r->data, (unsigned)left);
  if (uv_write(&r->uv, stream, &out, 1, on_written) < 0) {
    free(r);
    hang_up(stream);
  }
}

static void on_connection(uv_stream_t *server, int status) {
  if (status < 0) return;
  uv_tcp_t *client = malloc(sizeof *client);
  uv_tcp_init(server->loop, client);
  if (uv_accept(server, (uv_stream_t *)client) < 0) {
    hang_up((uv_stream_t *)client);
    return;
  }
  uv_tcp_nodelay(client, 1);
  uv_read_start((uv_stream_t *)client, on_alloc, on_read);
}

int echo_server(void);

int echo_server(void) {
  struct sockaddr_in address;
  int size = sizeof address;
  uv_loop_t *loop = uv_default_loop();
  uv_tcp_t server;
  uv_tcp_init(loop, &server);
  uv_ip4_addr("127.0.0.1", 0, &address);
  int rc = uv_tcp_bind(&server, (struct sockaddr *)&address, 0);
  if (rc == 0) rc = uv_listen((uv_stream_t *)&server, 512, on_connection);
  if (rc == 0) rc = uv_tcp_getsockname(&server, (struct sockaddr *)&address, &size);
  if (rc < 0) {
    fprintf(stderr, "libuv: %s\n", uv_strerror(rc));
    return 1;
  }
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
