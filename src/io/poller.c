/* SPDX-License-Identifier: MIT */
/*
 * poller.c - callbacks for descriptors of others; see poller.h.
 * Touch:  with care: a callback of the script's may close the descriptor, remove itself, add others.
 */
#include "io/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "base/args.h"
#include "base/error.h"
#include "core/callback.h"
#include "core/poll.h"
#include "io/descriptor.h"
#include "io/handle.h"

static const eddy__type type_poller = {"Poller"};

enum { READER, WRITER, ROLES };
static const int events_of[ROLES] = {UV_READABLE, UV_WRITABLE};

typedef struct poller {
  eddy__keeper keeper; /* in loop->handles while anything is open */
  eddy__loop *loop;
  int fd, own;         /* the script's descriptor; what libuv watches in its place */
  dev_t device;
  ino_t inode;         /* of the file behind it, where there is no epoll */
  eddy__callback *callbacks[ROLES];
  uv_poll_t poll;
  uv_prepare_t prepare; /* before libuv polls; */
  eddy__check check;   /* before the loop's own epoll does */
  uint64_t looked;     /* when it was seen last that the descriptor is the same; uv_hrtime(), ms */
  int open;            /* handles that libuv has */
  bool is_closing, is_dropped;
} poller;

/* --- what libuv watches in its place ------------------------------------------------------------------------- */

#ifdef __linux__
/* An epoll of our own, with nothing but the script's descriptor in it. */
static int open_own(poller *p) {
  struct epoll_event nothing = {0};
  p->own = epoll_create1(EPOLL_CLOEXEC);
  return p->own < 0 || epoll_ctl(p->own, EPOLL_CTL_ADD, p->fd, &nothing) < 0 ? -errno : 0;
}

static int want(poller *p, int events) {
  struct epoll_event wanted = {0};
  wanted.events = ((events & UV_READABLE) != 0 ? EPOLLIN : 0) | ((events & UV_WRITABLE) != 0 ? EPOLLOUT : 0);
  return epoll_ctl(p->own, EPOLL_CTL_MOD, p->fd, &wanted) < 0 ? -errno : 0;
}

/* What libuv is to watch our descriptor for, when the script wants `events`. */
static int own_events(int events) {
  (void)events;
  return UV_READABLE;
}

static int events_now(const poller *p, int status, int events) {
  struct epoll_event event;
  if (status < 0) return UV_READABLE | UV_WRITABLE;
  if (events == 0 || epoll_wait(p->own, &event, 1, 0) <= 0) return 0;
  if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) return UV_READABLE | UV_WRITABLE;
  return ((event.events & EPOLLIN) != 0 ? UV_READABLE : 0) | ((event.events & EPOLLOUT) != 0 ? UV_WRITABLE : 0);
}

static int wanted_events(const poller *p);

/* Whether the script's descriptor is still what it was: an epoll finds nothing else under its number. */
static bool is_same(poller *p) { return want(p, wanted_events(p)) == 0; }
#else
/* A duplicate. uv_poll_init makes the description non-blocking, which others may share: open_poller undoes it. */
static int open_own(poller *p) {
  struct stat st;
  p->own = fcntl(p->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (p->own < 0 || fstat(p->own, &st) < 0) return -errno;
  p->device = st.st_dev;
  p->inode = st.st_ino;
  return 0;
}

static int want(poller *p, int events) {
  (void)p, (void)events;
  return 0;
}

static int own_events(int events) { return events; }

static int events_now(const poller *p, int status, int events) {
  (void)p;
  return status < 0 ? UV_READABLE | UV_WRITABLE : events;
}

static bool is_same(poller *p) {
  struct stat st;
  return fstat(p->fd, &st) == 0 && st.st_dev == p->device && st.st_ino == p->inode;
}
#endif

/* What there are callbacks for. */
static int wanted_events(const poller *p) {
  int events = 0;
  for (int i = 0; i < ROLES; i++)
    if (p->callbacks[i] != NULL) events |= events_of[i];
  return events;
}

/* --- libuv's side -------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *uv) {
  poller *p = uv->data;
  if (--p->open > 0) return;
  eddy__list_remove(&p->keeper.link);
  if (p->is_dropped) free(p);
}

/* `gone`: the script's descriptor is. Who waits for it is called once more, to find out. */
static void end_poller(poller *p, bool gone) {
  if (p->is_closing) return;
  p->is_closing = true;
  eddy__list_remove(&p->check.link);
  for (int i = 0; i < ROLES; i++) {
    eddy__callback *callback = p->callbacks[i];
    p->callbacks[i] = NULL;
    if (callback != NULL && gone) eddy__callback_last(callback);
    if (callback != NULL && !gone) eddy__callback_cancel(callback);
  }
  if (p->open > 0) {
    uv_close((uv_handle_t *)&p->prepare, on_closed);
    uv_close((uv_handle_t *)&p->poll, on_closed);
  }
  if (p->own >= 0) close(p->own);
}

static void close_poller(poller *p) { end_poller(p, false); }

static void on_teardown(eddy__keeper *keeper) { close_poller(eddy__container_of(keeper, poller, keeper)); }

static void describe(const eddy__keeper *keeper, char *text, size_t size) {
  const poller *p = eddy__container_of(keeper, poller, keeper);
  const char *roles = p->callbacks[WRITER] == NULL   ? "reader"
                      : p->callbacks[READER] == NULL ? "writer"
                                                     : "reader and writer";
  snprintf(text, size, "<%s of descriptor %d>", roles, p->fd);
}

/* A poll is about to begin. A loop that may sleep looks at each poller; a busy one, for which looking at hundreds is
 * much, once in a millisecond. */
static void look(poller *p) {
  uint64_t now = uv_hrtime() / 1000000;
  if (p->is_closing || (p->loop->ready > 0 && p->looked == now)) return;
  p->looked = now;
  if (!is_same(p)) end_poller(p, true);
}

static void on_prepare(uv_prepare_t *uv) { look(uv->data); }

static void on_check(eddy__check *c) { look(eddy__container_of(c, poller, check)); }

static void on_poll(uv_poll_t *uv, int status, int events);

/* Has libuv watch for what there are callbacks for. */
static int watch(poller *p) {
  int events = wanted_events(p), rc = want(p, events);
  return rc < 0 ? rc : uv_poll_start(&p->poll, own_events(events), on_poll);
}

static void on_poll(uv_poll_t *uv, int status, int events) {
  poller *p = uv->data;
  if (p->is_closing) return;
  if (!is_same(p)) {
    end_poller(p, true);
    return;
  }
  events = events_now(p, status, events); /* an error is for both to find out; libuv has stopped then */
  for (int i = 0; i < ROLES; i++)
    if (p->callbacks[i] != NULL && (events & events_of[i]) != 0) eddy__callback_event(p->callbacks[i], false);
  if (status < 0 && watch(p) < 0) end_poller(p, true);
}

/* --- birth and death ----------------------------------------------------------------------------------------- */

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  poller **box = eddy__object_test(L, 1, &type_poller), *p = box == NULL ? NULL : *box;
  if (p == NULL) return 0;
  *box = NULL;
  p->is_dropped = true;
  if (p->open > 0)
    close_poller(p);
  else
    free(p);
  return 0;
}

/* Pushes the loop's table of pollers, boxes by descriptors.   [-0, +1, m] */
static void push_pollers(lua_State *L, eddy__loop *loop) {
  eddy__loop_push_part(L, loop, "pollers");
}

/* The open poller of a descriptor, or NULL; pushes its box, or something else.   [-0, +1, -] */
static poller *find(lua_State *L, int pollers, int fd) {
  lua_rawgeti(L, pollers, fd);
  poller **box = eddy__object_test(L, -1, &type_poller), *p = box == NULL ? NULL : *box;
  if (p == NULL || p->is_closing || p->open == 0) return NULL;
  if (is_same(p)) return p;
  end_poller(p, true); /* it was closed, and perhaps its number is used again */
  return NULL;
}

/* A poller that is not open, and the userdata that owns it.   [-0, +1, v] */
static poller *new_poller(lua_State *L, eddy__loop *loop, int fd, const char *name) {
  poller **box = eddy__object_new(L, &type_poller, sizeof *box, 0);
  poller *p = calloc(1, sizeof *p);
  if (p == NULL) eddy__raise(L, UV_ENOMEM, name);
  *box = p;
  p->loop = loop;
  p->fd = fd;
  p->own = -1;
  p->keeper.close = on_teardown;
  p->keeper.describe = describe;
  eddy__list_init(&p->keeper.link);
  eddy__list_init(&p->check.link);
  p->check.look = on_check;
  return p;
}

/* Opens libuv's side. */
static int open_poller(poller *p) {
  int rc = open_own(p);
  if (rc < 0) return rc;
  int flags = fcntl(p->own, F_GETFL);
  rc = uv_poll_init(p->loop->uv, &p->poll, p->own);
  if (rc < 0) return rc;
  (void)uv_prepare_init(p->loop->uv, &p->prepare);
  p->poll.data = p->prepare.data = p;
  p->open = 2;
  eddy__list_push(&p->loop->handles, &p->keeper.link);
  eddy__list_push(&p->loop->checks, &p->check.link);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) (void)fcntl(p->own, F_SETFL, flags);
  (void)uv_prepare_start(&p->prepare, on_prepare);
  uv_unref((uv_handle_t *)&p->prepare);
  return 0;
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* A descriptor that is none is the caller's mistake; what the system does not watch is an OSError.   [-0, +0, v] */
static int refuse(lua_State *L, int rc, int fd, const char *name) {
  lua_settop(L, 2);
  if (rc == UV_EBADF) eddy__arg_error(L, 2, lua_pushfstring(L, "descriptor %d: bad file descriptor", fd));
  return eddy__raise_about(L, rc, name, "descriptor", lua_pushfstring(L, "descriptor %d", fd));
}

/* loop:add_reader(fd, f, ...), loop:add_writer(fd, f, ...)   [-0, +0, v] */
static int add(lua_State *L, int role, const char *name) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  eddy__arg_any(L, 2);
  eddy__check_function(L, 3);
  int fd = eddy__descriptor_check(L, 2);
  if (!loop->is_open || loop->is_closing) eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the loop is closed", name);
  luaL_checkstack(L, 8, NULL);
  push_pollers(L, loop);
  lua_insert(L, 3);
  poller *p = find(L, 3, fd);
  if (p == NULL) {
    if (eddy__handle_has(loop, fd))
      eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': descriptor %d is that of a stream, use its own methods", name, fd);
    lua_pop(L, 1);
    p = new_poller(L, loop, fd, name);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 3, fd); /* before it is open that is nothing */
  }
  lua_insert(L, 4);
  eddy__callback *callback = eddy__callback_new(L, loop, 5); /* loop, fd, pollers, box, callback */
  eddy__callback_repeat(callback);
  lua_rawgeti(L, 3, fd);
  bool is_ours = lua_rawequal(L, -1, 4) && !p->is_closing; /* else a finalizer has removed it or added another */
  int rc = !is_ours ? UV_ECANCELED : p->open == 0 ? open_poller(p)
                                                  : 0;
  if (rc == 0) {
    if (p->callbacks[role] != NULL) eddy__callback_cancel(p->callbacks[role]);
    p->callbacks[role] = callback;
    rc = watch(p);
  } else {
    eddy__callback_cancel(callback);
  }
  if (rc == 0) return 0;
  close_poller(p);
  return refuse(L, rc, fd, name);
}

static int l_add_reader(lua_State *L) { return add(L, READER, "add_reader"); }

static int l_add_writer(lua_State *L) { return add(L, WRITER, "add_writer"); }

/* loop:remove_reader(fd), loop:remove_writer(fd) -> whether there was one   [-0, +1, v] */
static int take_away(lua_State *L, int role) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  eddy__arg_any(L, 2);
  int fd = eddy__descriptor_check(L, 2);
  push_pollers(L, loop);
  lua_rawgeti(L, -1, fd);
  poller **box = eddy__object_test(L, -1, &type_poller), *p = box == NULL ? NULL : *box;
  bool was_there = p != NULL && p->callbacks[role] != NULL;
  lua_pushboolean(L, was_there);
  if (!was_there) return 1;
  eddy__callback_cancel(p->callbacks[role]);
  p->callbacks[role] = NULL;
  if (p->callbacks[READER] == NULL && p->callbacks[WRITER] == NULL) {
    close_poller(p);
    lua_pushnil(L);
    lua_rawseti(L, -4, fd);
  } else if (watch(p) < 0) {
    close_poller(p);
  }
  return 1;
}

static int l_remove_reader(lua_State *L) { return take_away(L, READER); }

static int l_remove_writer(lua_State *L) { return take_away(L, WRITER); }

/* [-0, +0, m] */
void eddy__poller_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"add_reader", l_add_reader},
                                     {"remove_reader", l_remove_reader},
                                     {"add_writer", l_add_writer},
                                     {"remove_writer", l_remove_writer},
                                     {NULL, NULL}};
  eddy__object_type(L, &type_poller, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  eddy__loop_methods(L, rt, methods);
}
