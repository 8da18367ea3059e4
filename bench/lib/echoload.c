/*
 * echoload.c - how fast does a TCP server send back what it gets?
 * usage: echoload PEER NAME CONNECTIONS BYTES SECONDS COMMAND...
 *
 * Starts COMMAND, a server that prints its port on a line. Each connection sends a message, waits until all of it has
 * come back, sends the next. One thread, epoll. Prints two lines: the rate, and the processor time that the server
 * (all its threads) took for a message. Then the server is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double WARM_UP = 0.3;   /* seconds before counting begins */

typedef struct {
  int fd;
  size_t received;   /* of the message that is on its way */
} connection;

static pid_t server;
static char *message, *answer;
static size_t size;

static void die(const char *what) {
  perror(what);
  if (server > 0) kill(server, SIGKILL);
  exit(1);
}

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Starts the server. Returns the port that it prints. */
static int start_server(char **command) {
  int out[2], port = 0;
  if (pipe(out) < 0) die("pipe");
  server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    dup2(out[1], 1);
    close(out[0]);
    close(out[1]);
    execvp(command[0], command);
    die(command[0]);
  }
  close(out[1]);
  FILE *lines = fdopen(out[0], "r");
  if (lines == NULL || fscanf(lines, "%d", &port) != 1) die("the server's port");
  return port;   /* the pipe stays open: the server may print more */
}

/* Sockets block: a message fits in the kernel's buffers, and the server takes all of it. */
static void send_message(connection *c) {
  for (size_t sent = 0; sent < size;) {
    ssize_t n = write(c->fd, message + sent, size - sent);
    if (n < 0) die("write");
    sent += (size_t)n;
  }
}

static void open_connection(connection *c, int port, int poll) {
  struct sockaddr_in to = {
    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl");
}

/* Takes what has come back. Returns 1 when that ends a message, after sending the next one. */
static int receive(connection *c) {
  ssize_t n = read(c->fd, answer, size - c->received);
  if (n <= 0) die("read");
  if (memcmp(answer, message + c->received, (size_t)n) != 0) die("other bytes came back");
  c->received += (size_t)n;
  if (c->received < size) return 0;
  c->received = 0;
  send_message(c);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 7) {
    fprintf(stderr, "usage: echoload PEER NAME CONNECTIONS BYTES SECONDS COMMAND...\n");
    return 2;
  }
  const char *peer = argv[1], *name = argv[2];
  int count = (int)strtol(argv[3], NULL, 10);
  size = (size_t)strtol(argv[4], NULL, 10);
  double length = strtod(argv[5], NULL);
  connection *connections = calloc((size_t)count, sizeof *connections);
  message = malloc(size);
  answer = malloc(size);
  for (size_t i = 0; i < size; i++) message[i] = (char)('a' + i % 26);

  clockid_t server_clock;
  int port = start_server(argv + 6), poll = epoll_create1(0);
  if (clock_getcpuclockid(server, &server_clock) != 0) die("clock_getcpuclockid");
  for (int i = 0; i < count; i++) {
    open_connection(&connections[i], port, poll);
    send_message(&connections[i]);
  }

  double start = 0, cpu = 0, now = seconds(CLOCK_MONOTONIC), warm = now + WARM_UP;
  long messages = 0;
  for (; start == 0 || now < start + length; now = seconds(CLOCK_MONOTONIC)) {
    struct epoll_event events[256];
    if (start == 0 && now >= warm) start = now, cpu = seconds(server_clock), messages = 0;
    int n = epoll_wait(poll, events, 256, 5000);
    if (n <= 0) die("the server does not answer");
    for (int i = 0; i < n; i++) messages += receive(events[i].data.ptr);
  }
  cpu = seconds(server_clock) - cpu;
  printf("%s\t%s\t%.0f\tmessages/s\n", name, peer, (double)messages / (now - start));
  printf("%s.cpu\t%s\t%.2f\tus\n", name, peer, cpu / (double)messages * 1e6);
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  return 0;
}
