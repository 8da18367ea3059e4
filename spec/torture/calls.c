/* SPDX-License-Identifier: MIT */
/*
 * calls.c - the system's functions, which fail on demand; see calls.h.
 *
 * A call is an event if its row in the table has an answer for the way in which calls fail now, and its descriptor is
 * of a kind that gives that answer in life: pipes that libuv has made for itself and eventfds only know EINTR,
 * datagrams are never cut. What libuv does not survive is kept apart, as CALL_FATAL. A close that fails has closed.
 */
#include "calls.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "fault.h"

#ifdef __GNUC__
#pragma GCC diagnostic ignored "-Wpedantic" /* glibc declares addresses of sockets as unions that take all of them */
#endif

/* The function of that name which would have been called without us. */
#define REAL(f)                                                       \
  (__extension__({                                                    \
    static __typeof__(f) *real_one;                                   \
    if (real_one == NULL) *(void **)&real_one = dlsym(RTLD_NEXT, #f); \
    real_one;                                                         \
  }))

enum { READS = 1, WRITES = 2, WAITS_NEVER = 4 }; /* the last: EAGAIN from descriptors that block, too */
enum { MAX_FDS = 1024 };

typedef struct call {
  const char *name;
  unsigned flags;
  int intr, again, full, files, broken, fatal; /* errno, 0: never. What moves bytes has more: see answer_of */
} call;

static const call c_read = {"read", READS, EINTR, EAGAIN, 0, 0, EIO, 0};
static const call c_write = {"write", WRITES, EINTR, EAGAIN, ENOSPC, 0, EIO, 0};
static const call c_read_now = {"preadv2", READS | WAITS_NEVER, EINTR, EAGAIN, 0, 0, EIO, 0};
static const call c_write_now = {"pwritev2", WRITES | WAITS_NEVER, EINTR, EAGAIN, ENOSPC, 0, EIO, 0};
static const call c_sendfile = {"sendfile", WRITES, EINTR, EAGAIN, ENOMEM, 0, EIO, 0};
static const call c_accept = {"accept4", 0, EINTR, EAGAIN, ENFILE, EMFILE, ECONNABORTED, 0};
static const call c_connect = {"connect", 0, EINTR, 0, ENOBUFS, 0, ECONNREFUSED, 0};
static const call c_socket = {"socket", 0, 0, 0, ENOBUFS, EMFILE, EAFNOSUPPORT, 0};
static const call c_pipe = {"pipe2", 0, 0, 0, ENFILE, EMFILE, 0, 0};
static const call c_first_pipe = {"libuv's first pipe2", 0, 0, 0, 0, 0, 0, EMFILE};
static const call c_eventfd = {"eventfd", 0, 0, 0, ENOMEM, EMFILE, 0, 0};
static const call c_epoll_create = {"epoll_create1", 0, 0, 0, ENOMEM, EMFILE, 0, 0};
static const call c_epoll_ctl = {"epoll_ctl", 0, 0, 0, 0, 0, 0, ENOMEM};
static const call c_watch = {"epoll_ctl", 0, 0, 0, ENOMEM, 0, ENOSPC, 0};
static const call c_epoll_wait = {"epoll_wait", 0, EINTR, 0, 0, 0, 0, ENOMEM};
static const call c_inotify_init = {"inotify_init1", 0, 0, 0, ENOMEM, EMFILE, 0, 0};
static const call c_inotify_add = {"inotify_add_watch", 0, 0, 0, ENOSPC, 0, EACCES, 0};
static const call c_dup = {"dup", 0, 0, 0, 0, EMFILE, EIO, 0};
static const call c_bind = {"bind", 0, 0, 0, ENOMEM, 0, EADDRINUSE, 0};
static const call c_listen = {"listen", 0, 0, 0, ENOMEM, 0, EADDRINUSE, 0};
static const call c_name = {"getsockname", 0, 0, 0, ENOBUFS, 0, ENOTCONN, 0};
static const call c_set = {"setsockopt", 0, 0, 0, ENOMEM, 0, ENOPROTOOPT, 0};
static const call c_open = {"open", 0, EINTR, 0, ENOMEM, EMFILE, EACCES, 0};
static const call c_open_now = {"openat2", WAITS_NEVER, EINTR, EAGAIN, ENOMEM, EMFILE, EACCES, 0};
static const call c_close = {"close", 0, EINTR, 0, ENOSPC, 0, EIO, 0};
static const call c_sync = {"fsync", 0, EINTR, 0, ENOSPC, 0, EIO, 0};
static const call c_path = {"a call with a path", 0, 0, 0, ENOSPC, 0, EIO, 0};
static const call c_stat = {"stat", 0, 0, 0, ENOMEM, 0, EIO, 0};
static const call c_scan = {"scandir", 0, 0, 0, ENOMEM, EMFILE, EIO, 0};
static const call c_lookup = {"getaddrinfo", 0, 0, 0, EAI_MEMORY, 0, EAI_FAIL, 0};
static const call c_poll = {"poll", 0, EINTR, 0, ENOMEM, 0, 0, 0};
static const call c_wait = {"waitpid", 0, EINTR, 0, 0, 0, 0, 0};
static const call c_kill = {"kill", 0, 0, 0, 0, 0, 0, 0};
static const call c_ioctl = {"ioctl", 0, EINTR, 0, 0, 0, 0, 0};
static const call c_pidfd = {"pidfd_open", 0, 0, 0, ENOMEM, EMFILE, ENOSYS, 0};
static const call c_copy = {"copy_file_range", 0, EINTR, 0, ENOSPC, 0, EIO, 0};
static const call c_thread = {"pthread_create", 0, 0, 0, EAGAIN, 0, 0, 0};
static const call c_own_thread = {"libuv's pthread_create", 0, 0, 0, 0, 0, 0, EAGAIN};

static call_way way;
static volatile int last_error;
static bool hit_loop;
static char *told;               /* where its name goes */
static size_t told_size;
static bool is_own[MAX_FDS];     /* pipes that libuv has made for itself */
static bool was_refused[2][MAX_FDS]; /* CALL_STORM: the last call with that descriptor, or of that name without one */
static __thread int for_eddy;    /* eddy has called libuv for a pipe or a thread */

void calls_set(call_way w, char *name, size_t size) {
  way = w;
  told = name;
  told_size = size;
}

/* The call has failed with that errno; 0: it was cut. */
static void note(const call *c, int error) {
  last_error = error;
  snprintf(told, told_size, "%s%s%s", c->name, error > 0 ? " " : "", error > 0 ? strerrorname_np(error) : "");
}

bool calls_are_harmless(void) { return way <= CALL_STORM; }
int calls_error(void) { return last_error; }

bool calls_hit_loop(void) { return hit_loop; }

/* --- which answer, and whether it is given now ----------------------------------------------------------- */

/* S_IFSOCK, S_IFIFO, S_IFREG, ...; 0: what only the kernel knows, an eventfd for one. */
static mode_t type_of(int fd) {
  struct stat st;
  return REAL(fstat)(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

static bool is_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

static bool is_stream(int fd) {
  int type = SOCK_STREAM;
  socklen_t size = sizeof type;
  REAL(getsockopt)
  (fd, SOL_SOCKET, SO_TYPE, &type, &size); /* fails where it is no socket */
  return type == SOCK_STREAM;
}

/* A pipe that blocks is one by which a child tells what has failed: that does not break. */
static int broken(const call *c, int fd, mode_t type) {
  if (type == S_IFIFO && ((c->flags & READS) != 0 || !is_nonblocking(fd))) return 0;
  if ((c->flags & READS) != 0 && type == S_IFSOCK) return ECONNRESET;
  if ((c->flags & WRITES) != 0 && (type == S_IFSOCK || type == S_IFIFO)) return EPIPE;
  return c->broken;
}

static int full(const call *c, mode_t type) {
  if ((c->flags & WRITES) == 0) return c->full;
  return type == S_IFSOCK ? ENOBUFS : type == S_IFREG ? c->full
                                                      : 0;
}

/* The errno that the call may answer with as things are, or 0. */
static int answer_of(const call *c, int fd) {
  bool moves = (c->flags & (READS | WRITES)) != 0;
  mode_t type = fd >= 0 ? type_of(fd) : 0;
  bool is_inner = moves && (type == 0 || (fd < MAX_FDS && is_own[fd]));
  bool waits = type == S_IFSOCK || type == S_IFIFO || type == S_IFCHR;
  bool may_again = c->again != 0 && !is_inner && ((c->flags & WAITS_NEVER) != 0 || (waits && is_nonblocking(fd)));
  switch (way) {
  case CALL_INTR: return c->intr;
  case CALL_AGAIN: return may_again ? c->again : 0;
  case CALL_STORM: return may_again ? c->again : c->intr;
  case CALL_FULL: return is_inner ? 0 : full(c, type);
  case CALL_FILES: return c->files;
  case CALL_BROKEN: return is_inner ? 0 : broken(c, fd, type);
  case CALL_FATAL: return is_inner ? EIO : c->fatal;
  default: return 0;
  }
}

static bool is_due(const call *c, int fd) {
  bool due = fault_event();
  if (fault.n == 0 || way < CALL_ONE || way > CALL_STORM) return due;
  if (way == CALL_ONE) return fault.happened = true;
  bool *was = &was_refused[fd < 0][(fd >= 0 ? (uintptr_t)fd : (uintptr_t)c / sizeof *c) % MAX_FDS];
  *was = !*was;
  if (*was) fault.happened = true;
  return *was;
}

/* Whether the call fails; then errno is set. */
static bool fails(const call *c, int fd) {
  if (!fault.armed || fault.kind != FAULT_CALL) return false;
  int before = errno, error = answer_of(c, fd);
  errno = before;
  if (error == 0 || !is_due(c, fd)) return false;
  note(c, error);
  hit_loop = hit_loop || c == &c_eventfd || (c == &c_pipe && for_eddy == 0);
  errno = error;
  return true;
}

/* Whether it is to move one byte, of `size` that it could. */
static bool is_short(const call *c, int fd, size_t size) {
  if (!fault.armed || fault.kind != FAULT_CALL || (way != CALL_SHORT && way != CALL_ONE) || size < 2) return false;
  int before = errno;
  bool may = type_of(fd) != 0 && !(fd < MAX_FDS && is_own[fd]) && is_stream(fd);
  errno = before;
  if (!may || !is_due(c, fd)) return false;
  note(c, 0);
  return true;
}

static size_t cut(const call *c, int fd, size_t size) { return is_short(c, fd, size) ? 1 : size; }

/* The same for a list of pieces: with one byte, *piece is where it goes. Returns how many pieces there are then. */
static int cut_pieces(const call *c, int fd, const struct iovec **pieces, int n, struct iovec *piece) {
  size_t size = 0;
  int first = -1;
  for (int i = 0; i < n; i++) {
    size += (*pieces)[i].iov_len;
    if (first < 0 && size > 0) first = i;
  }
  if (!is_short(c, fd, size)) return n;
  *piece = (struct iovec){(*pieces)[first].iov_base, 1};
  *pieces = piece;
  return 1;
}

static void set_own(int fd, bool own) {
  if (fd >= 0 && fd < MAX_FDS) is_own[fd] = own;
}

int __real_uv_pipe(uv_file fds[2], int read_flags, int write_flags);
int __wrap_uv_pipe(uv_file fds[2], int read_flags, int write_flags);
int __real_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg);
int __wrap_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg);

int __wrap_uv_pipe(uv_file fds[2], int read_flags, int write_flags) {
  for_eddy++;
  int rc = __real_uv_pipe(fds, read_flags, write_flags);
  for_eddy--;
  return rc;
}

int __wrap_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg) {
  for_eddy++;
  int rc = __real_uv_thread_create(thread, entry, arg);
  for_eddy--;
  return rc;
}

#pragma GCC visibility push(default) /* for libuv */

/* An epoll that tells once of what comes. What was withheld is as good as not there yet: it is told of once more. */
typedef struct watching {
  int epoll;
  struct epoll_event event;
} watching;
static watching watched[MAX_FDS];

static void tell_again(int fd) {
  int before = errno;
  if (fd < MAX_FDS && watched[fd].event.events != 0)
    (void)REAL(epoll_ctl)(watched[fd].epoll, EPOLL_CTL_MOD, fd, &watched[fd].event);
  errno = before;
}

/* --- what moves bytes ----------------------------------------------------------------------------------- */

ssize_t read(int fd, void *bytes, size_t n) {
  return fails(&c_read, fd) ? -1 : REAL(read)(fd, bytes, cut(&c_read, fd, n));
}

ssize_t recv(int fd, void *bytes, size_t n, int flags) {
  size_t less = 0;
  ssize_t got = -1;
  if (!fails(&c_read, fd)) {
    less = (flags & MSG_PEEK) != 0 ? n : cut(&c_read, fd, n);
    got = REAL(recv)(fd, bytes, less, flags);
  }
  if (less < n) tell_again(fd);
  return got;
}

ssize_t readv(int fd, const struct iovec *v, int n) {
  struct iovec piece;
  if (fails(&c_read, fd)) return -1;
  n = cut_pieces(&c_read, fd, &v, n, &piece);
  return REAL(readv)(fd, v, n);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at) {
  return fails(&c_read, fd) ? -1 : REAL(pread)(fd, bytes, cut(&c_read, fd, n), at);
}

ssize_t pread64(int fd, void *bytes, size_t n, off64_t at) {
  return fails(&c_read, fd) ? -1 : REAL(pread64)(fd, bytes, cut(&c_read, fd, n), at);
}

ssize_t preadv2(int fd, const struct iovec *v, int n, off_t at, int flags) {
  struct iovec piece;
  if (fails(&c_read_now, fd)) return -1;
  n = cut_pieces(&c_read_now, fd, &v, n, &piece);
  return REAL(preadv2)(fd, v, n, at, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  struct iovec piece;
  const struct iovec *v = message->msg_iov;
  struct msghdr less = *message;
  if (fails(&c_read, fd)) return -1;
  less.msg_iovlen = (size_t)cut_pieces(&c_read, fd, &v, (int)message->msg_iovlen, &piece);
  if (v != &piece) return REAL(recvmsg)(fd, message, flags);
  less.msg_iov = &piece;
  ssize_t got = REAL(recvmsg)(fd, &less, flags);
  less.msg_iov = message->msg_iov;
  less.msg_iovlen = message->msg_iovlen;
  *message = less;
  return got;
}

ssize_t write(int fd, const void *bytes, size_t n) {
  return fails(&c_write, fd) ? -1 : REAL(write)(fd, bytes, cut(&c_write, fd, n));
}

ssize_t send(int fd, const void *bytes, size_t n, int flags) {
  return fails(&c_write, fd) ? -1 : REAL(send)(fd, bytes, cut(&c_write, fd, n), flags);
}

ssize_t writev(int fd, const struct iovec *v, int n) {
  struct iovec piece;
  if (fails(&c_write, fd)) return -1;
  n = cut_pieces(&c_write, fd, &v, n, &piece);
  return REAL(writev)(fd, v, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  return fails(&c_write, fd) ? -1 : REAL(pwrite)(fd, bytes, cut(&c_write, fd, n), at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
  return fails(&c_write, fd) ? -1 : REAL(pwrite64)(fd, bytes, cut(&c_write, fd, n), at);
}

ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags) {
  struct iovec piece;
  if (fails(&c_write_now, fd)) return -1;
  n = cut_pieces(&c_write_now, fd, &v, n, &piece);
  return REAL(pwritev2)(fd, v, n, at, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  struct iovec piece;
  const struct iovec *v = message->msg_iov;
  struct msghdr less = *message;
  if (fails(&c_write, fd)) return -1;
  less.msg_iovlen = (size_t)cut_pieces(&c_write, fd, &v, (int)message->msg_iovlen, &piece);
  if (v == &piece) less.msg_iov = &piece;
  return REAL(sendmsg)(fd, &less, flags);
}

ssize_t sendfile(int to, int from, off_t *at, size_t n) {
  return fails(&c_sendfile, to) ? -1 : REAL(sendfile)(to, from, at, cut(&c_sendfile, to, n));
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t n) {
  return fails(&c_sendfile, to) ? -1 : REAL(sendfile64)(to, from, at, cut(&c_sendfile, to, n));
}

/* --- descriptors ---------------------------------------------------------------------------------------- */

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
  return fails(&c_accept, fd) ? -1 : REAL(accept4)(fd, address, size, flags);
}

int connect(int fd, const struct sockaddr *address, socklen_t size) {
  return fails(&c_connect, fd) ? -1 : REAL(connect)(fd, address, size);
}

int socket(int domain, int type, int protocol) {
  return fails(&c_socket, -1) ? -1 : REAL(socket)(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int fds[2]) {
  return fails(&c_socket, -1) ? -1 : REAL(socketpair)(domain, type, protocol, fds);
}

/* The first that libuv makes for itself is the lock of its signal handler: without it, it calls abort(). */
int pipe2(int fds[2], int flags) {
  static bool has_first;
  bool is_first = for_eddy == 0 && !has_first;
  if (for_eddy == 0) has_first = true;
  if (fails(is_first ? &c_first_pipe : &c_pipe, -1)) return -1;
  int rc = REAL(pipe2)(fds, flags);
  for (int i = 0; rc == 0 && i < 2; i++) set_own(fds[i], for_eddy == 0);
  return rc;
}

int eventfd(unsigned count, int flags) { return fails(&c_eventfd, -1) ? -1 : REAL(eventfd)(count, flags); }
int epoll_create1(int flags) { return fails(&c_epoll_create, -1) ? -1 : REAL(epoll_create1)(flags); }
int inotify_init1(int flags) { return fails(&c_inotify_init, -1) ? -1 : REAL(inotify_init1)(flags); }

int inotify_add_watch(int fd, const char *path, uint32_t mask) {
  return fails(&c_inotify_add, fd) ? -1 : REAL(inotify_add_watch)(fd, path, mask);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
  bool is_watched = event != NULL && (event->events & EPOLLET) != 0; /* by eddy, which survives what libuv does not */
  if (fails(is_watched ? &c_watch : &c_epoll_ctl, -1)) return -1;
  if (is_watched && fd < MAX_FDS) watched[fd] = (watching){epoll, *event};
  return REAL(epoll_ctl)(epoll, op, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int n, int timeout) {
  return fails(&c_epoll_wait, epoll) ? -1 : REAL(epoll_wait)(epoll, events, n, timeout);
}

int epoll_pwait(int epoll, struct epoll_event *events, int n, int timeout, const sigset_t *mask) {
  return fails(&c_epoll_wait, epoll) ? -1 : REAL(epoll_pwait)(epoll, events, n, timeout, mask);
}

int poll(struct pollfd *fds, nfds_t n, int timeout) { return fails(&c_poll, -1) ? -1 : REAL(poll)(fds, n, timeout); }
int dup2(int fd, int other) { return fails(&c_dup, -1) ? -1 : REAL(dup2)(fd, other); }
int dup3(int fd, int other, int flags) { return fails(&c_dup, -1) ? -1 : REAL(dup3)(fd, other, flags); }

int bind(int fd, const struct sockaddr *address, socklen_t size) {
  return fails(&c_bind, fd) ? -1 : REAL(bind)(fd, address, size);
}

int listen(int fd, int backlog) { return fails(&c_listen, fd) ? -1 : REAL(listen)(fd, backlog); }

int getsockname(int fd, struct sockaddr *address, socklen_t *size) {
  return fails(&c_name, fd) ? -1 : REAL(getsockname)(fd, address, size);
}

int getpeername(int fd, struct sockaddr *address, socklen_t *size) {
  return fails(&c_name, fd) ? -1 : REAL(getpeername)(fd, address, size);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
  return fails(&c_set, fd) ? -1 : REAL(setsockopt)(fd, level, name, value, size);
}

int close(int fd) {
  bool bad = fails(&c_close, fd);
  int error = errno, rc = REAL(close)(fd);
  set_own(fd, false);
  if (bad) errno = error;
  return bad ? -1 : rc;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list args;
  va_start(args, request);
  void *arg = va_arg(args, void *);
  va_end(args);
  return fails(&c_ioctl, fd) ? -1 : REAL(ioctl)(fd, request, arg);
}

/* --- files ---------------------------------------------------------------------------------------------- */

static mode_t mode_of(int flags, va_list args) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return fails(&c_open, -1) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return fails(&c_open, -1) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return fails(&c_open, -1) ? -1 : REAL(openat)(at, path, flags, mode);
}

int mkstemp64(char *path) { return fails(&c_open, -1) ? -1 : REAL(mkstemp64)(path); }
int fsync(int fd) { return fails(&c_sync, -1) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(&c_sync, -1) ? -1 : REAL(fdatasync)(fd); }
int ftruncate64(int fd, off64_t size) { return fails(&c_sync, -1) ? -1 : REAL(ftruncate64)(fd, size); }
int rename(const char *old, const char *new) { return fails(&c_path, -1) ? -1 : REAL(rename)(old, new); }
int unlink(const char *path) { return fails(&c_path, -1) ? -1 : REAL(unlink)(path); }
int unlinkat(int at, const char *path, int flags) { return fails(&c_path, -1) ? -1 : REAL(unlinkat)(at, path, flags); }
int mkdir(const char *path, mode_t mode) { return fails(&c_path, -1) ? -1 : REAL(mkdir)(path, mode); }
int rmdir(const char *path) { return fails(&c_path, -1) ? -1 : REAL(rmdir)(path); }
int link(const char *old, const char *new) { return fails(&c_path, -1) ? -1 : REAL(link)(old, new); }
int symlink(const char *to, const char *path) { return fails(&c_path, -1) ? -1 : REAL(symlink)(to, path); }
int chmod(const char *path, mode_t mode) { return fails(&c_path, -1) ? -1 : REAL(chmod)(path, mode); }
int fchmod(int fd, mode_t mode) { return fails(&c_path, -1) ? -1 : REAL(fchmod)(fd, mode); }
int access(const char *path, int mode) { return fails(&c_stat, -1) ? -1 : REAL(access)(path, mode); }

ssize_t readlink(const char *path, char *bytes, size_t n) {
  return fails(&c_stat, -1) ? -1 : REAL(readlink)(path, bytes, n);
}

int stat(const char *path, struct stat *st) { return fails(&c_stat, -1) ? -1 : REAL(stat)(path, st); }
int lstat(const char *path, struct stat *st) { return fails(&c_stat, -1) ? -1 : REAL(lstat)(path, st); }
int fstat(int fd, struct stat *st) { return fails(&c_stat, -1) ? -1 : REAL(fstat)(fd, st); }
int fstat64(int fd, struct stat64 *st) { return fails(&c_stat, -1) ? -1 : REAL(fstat64)(fd, st); }

int fstatat(int at, const char *path, struct stat *st, int flags) {
  return fails(&c_stat, -1) ? -1 : REAL(fstatat)(at, path, st, flags);
}

int scandir64(const char *path, struct dirent64 ***list, int (*filter)(const struct dirent64 *),
              int (*compare)(const struct dirent64 **, const struct dirent64 **)) {
  return fails(&c_scan, -1) ? -1 : REAL(scandir64)(path, list, filter, compare);
}

DIR *fdopendir(int fd) { return fails(&c_scan, -1) ? NULL : REAL(fdopendir)(fd); }

/* --- the rest ------------------------------------------------------------------------------------------- */

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  return fails(&c_lookup, -1) ? last_error : REAL(getaddrinfo)(host, service, hints, found);
}

int getnameinfo(const struct sockaddr *address, socklen_t size, char *host, socklen_t nhost, char *service,
                socklen_t nservice, int flags) {
  if (fails(&c_lookup, -1)) return last_error;
  return REAL(getnameinfo)(address, size, host, nhost, service, nservice, flags);
}

pid_t waitpid(pid_t pid, int *status, int options) {
  return fails(&c_wait, -1) ? -1 : REAL(waitpid)(pid, status, options);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options) {
  return fails(&c_wait, -1) ? -1 : REAL(waitid)(type, id, info, options);
}

int kill(pid_t pid, int number) { return fails(&c_kill, -1) ? -1 : REAL(kill)(pid, number); }

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg) {
  if (fails(for_eddy > 0 ? &c_thread : &c_own_thread, -1)) return last_error;
  return REAL(pthread_create)(thread, attributes, start, arg);
}

static const call *call_of(long number) {
  switch (number) {
  case SYS_statx: return &c_stat;
  case SYS_openat2: return &c_open_now;
  case SYS_pidfd_open: return &c_pidfd;
  case SYS_pidfd_send_signal: return &c_kill;
  case SYS_copy_file_range: return &c_copy;
  default: return NULL;
  }
}

long syscall(long number, ...) {
  long arg[6];
  va_list args;
  va_start(args, number);
  for (int i = 0; i < 6; i++) arg[i] = va_arg(args, long); /* whatever is there: the kernel takes what it needs */
  va_end(args);
  const call *c = number == SYS_sendmmsg ? &c_write : number == SYS_recvmmsg ? &c_read
                                                                             : call_of(number);
  int fd = number == SYS_sendmmsg || number == SYS_recvmmsg ? (int)arg[0] : -1;
  if (c != NULL && fails(c, fd)) return -1;
  return REAL(syscall)(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

#pragma GCC visibility pop
