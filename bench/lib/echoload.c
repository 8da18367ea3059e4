/*
 * echoload.c - how fast does a TCP server send back what it gets? How many connections does it take in, and what does
 *              it keep for one that is idle?
 * usage: echoload PEER NAME CONNECTIONS BYTES SECONDS COMMAND...
 *        echoload -c ...    each message has a connection of its own, which is closed after it
 *        echoload -i ...    one message for each connection, then all are idle
 *
 * Starts COMMAND, a server that prints its port on a line. Each connection sends a message, waits until all of it has
 * come back, sends the next. One thread, epoll. Prints two lines: the rate, and the processor time that the server
 * (all its threads) took for a message; with -i the resident memory of the server that a connection has added.
 * Then the server is killed.
 *
 * Both have a network of their own, where the system allows it. Congestion control that paces (bbr) would let them wait
 * for a timer instead of for each other.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
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
static int port, poll;
static unsigned opened; /* connections so far */

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

/* Nobody else is in it, and no port rests from before. */
static void make_network(void) {
  struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) return;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &loopback) < 0) die("lo");
  close(fd);
  FILE *control = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "w");
  if (control == NULL) return;
  fputs("reno", control);
  fclose(control);
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

/* Clients have many addresses, as each has no more than some 28,000 ports, and one that was used rests for a minute. */
static void open_connection(connection *c) {
  struct sockaddr_in to = {
    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + opened++ % 200)};
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl");
}

/* Takes what has come back. Returns 1 when that ends a message, after sending the next one. */
static int receive(connection *c, char mode) {
  ssize_t n = read(c->fd, answer, size - c->received);
  if (n <= 0) die("read");
  if (memcmp(answer, message + c->received, (size_t)n) != 0) die("other bytes came back");
  c->received += (size_t)n;
  if (c->received < size) return 0;
  c->received = 0;
  if (mode == 'i') return 1;
  if (mode == 'c') {
    close(c->fd);
    open_connection(c);
  }
  send_message(c);
  return 1;
}

/* The resident memory of the server, in bytes. */
static double memory(void) {
  char path[64];
  long pages = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", (int)server);
  FILE *f = fopen(path, "r");
  if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) die(path);
  fclose(f);
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* All messages until there were so many, or the time is up. Returns how many. */
static long turn(char mode, long enough) {
  struct epoll_event events[256];
  long messages = 0;
  do {
    int n = epoll_wait(poll, events, 256, 5000);
    if (n <= 0) die("the server does not answer");
    for (int i = 0; i < n; i++) messages += receive(events[i].data.ptr, mode);
  } while (messages < enough);
  return messages;
}

static void measure_rate(char mode, const char *name, const char *peer, double length) {
  clockid_t server_clock;
  if (clock_getcpuclockid(server, &server_clock) != 0) die("clock_getcpuclockid");
  for (double end = seconds(CLOCK_MONOTONIC) + WARM_UP; seconds(CLOCK_MONOTONIC) < end;) turn(mode, 1);
  double start = seconds(CLOCK_MONOTONIC), cpu = seconds(server_clock), now = start;
  long messages = 0;
  for (; now < start + length; now = seconds(CLOCK_MONOTONIC)) messages += turn(mode, 1);
  cpu = seconds(server_clock) - cpu;
  printf("%s\t%s\t%.0f\t%s\n", name, peer, (double)messages / (now - start),
         mode == 'c' ? "connections/s" : "messages/s");
  printf("%s.cpu\t%s\t%.2f\tus\n", name, peer, cpu / (double)messages * 1e6);
}

int main(int argc, char **argv) {
  char mode = argc > 1 && argv[1][0] == '-' ? argv[1][1] : 'm';
  if (mode != 'm') argc--, argv++;
  if (argc < 7) {
    fprintf(stderr, "usage: echoload [-c | -i] PEER NAME CONNECTIONS BYTES SECONDS COMMAND...\n");
    return 2;
  }
  const char *peer = argv[1], *name = argv[2];
  int count = (int)strtol(argv[3], NULL, 10);
  size = (size_t)strtol(argv[4], NULL, 10);
  connection *connections = calloc((size_t)count, sizeof *connections);
  message = malloc(size);
  answer = malloc(size);
  for (size_t i = 0; i < size; i++) message[i] = (char)('a' + i % 26);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);

  make_network();
  port = start_server(argv + 6);
  poll = epoll_create1(0);
  double before = memory();
  for (int i = 0; i < count; i++) {
    open_connection(&connections[i]);
    send_message(&connections[i]);
    if (mode == 'i') turn(mode, 1);
  }
  if (mode == 'i') {
    sleep(1); /* whoever tidies up does it now */
    printf("%s\t%s\t%.0f\tbytes\n", name, peer, (memory() - before) / count);
  } else {
    measure_rate(mode, name, peer, strtod(argv[5], NULL));
  }
  fflush(stdout);
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  return 0;
}
