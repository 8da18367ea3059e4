/* SPDX-License-Identifier: MIT */
/*
 * resolve.c - look-ups of names, shared by all who ask the same; their cache; see dns.h.
 * Owns:   jobs. One is freed when libuv, those who wait for it and the cache have let go of it.
 * Touch:  with care: who waits may leave at any time, also between the answer and its own next step.
 */
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/address.h"
#include "io/dns.h"

typedef struct resolver { /* one for each state, in the registry */
  eddy__list jobs;        /* under way */
  eddy__list cache;       /* answers, the oldest first */
  size_t n, max;
  uint64_t ttl;           /* nanoseconds; 0: nothing is kept */
} resolver;

typedef struct job {
  eddy__list link; /* in one of the two lists */
  resolver *resolver;
  eddy__loop *loop;
  uv_getaddrinfo_t uv;
  struct addrinfo *found;
  bool from_system; /* `found` is getaddrinfo's own */
  int rc;
  bool is_done, is_cached;
  unsigned refs;
  eddy__list waiters;
  uint64_t expires;
  size_t size; /* of the key: what was asked */
  char key[];
} job;

typedef struct waiter {
  eddy__request request; /* first; not one of libuv's: it has a place among the waiters of a job */
  eddy__list link;
  job *job;
} waiter;

static const eddy__type type_resolver = {"eddy.resolver"};
static const char resolver_key; /* registry */

/* --- jobs ---------------------------------------------------------------------------------------------------- */

static void free_found(job *j) {
  if (j->found == NULL) return;
  if (j->from_system)
    freeaddrinfo(j->found);
  else
    uv_freeaddrinfo(j->found);
}

static void drop(job *j) {
  if (--j->refs > 0) return;
  eddy__list_remove(&j->link);
  free_found(j);
  free(j);
}

/* What was asked, in a row of bytes that are equal for equal questions. */
static size_t write_key(char *key, const char *host, const char *service, const struct addrinfo *hints) {
  int numbers[3] = {hints->ai_family, hints->ai_socktype, hints->ai_flags};
  size_t nhost = host == NULL ? 0 : strlen(host) + 1, nservice = service == NULL ? 0 : strlen(service) + 1;
  if (key != NULL) {
    memcpy(key, numbers, sizeof numbers);
    key[sizeof numbers] = (char)(host != NULL);
    if (host != NULL) memcpy(key + sizeof numbers + 1, host, nhost);
    if (service != NULL) memcpy(key + sizeof numbers + 1 + nhost, service, nservice);
  }
  return sizeof numbers + 1 + nhost + nservice;
}

static job *new_job(resolver *r, eddy__loop *loop, const char *host, const char *service,
                    const struct addrinfo *hints) {
  size_t size = write_key(NULL, host, service, hints);
  job *j = calloc(1, sizeof *j + size);
  if (j == NULL) return NULL;
  eddy__list_init(&j->link);
  eddy__list_init(&j->waiters);
  j->resolver = r;
  j->loop = loop;
  j->size = size;
  write_key(j->key, host, service, hints);
  return j;
}

/* The job in the list that asks what `like` asks, of that loop or any (NULL). */
static job *find(const eddy__list *list, const job *like, const eddy__loop *loop) {
  for (const eddy__list *l = list->next; l != list; l = l->next) {
    job *j = eddy__container_of(l, job, link);
    if (j->size == like->size && (loop == NULL || j->loop == loop) && memcmp(j->key, like->key, j->size) == 0) return j;
  }
  return NULL;
}

static void forget(job *j) {
  eddy__list_remove(&j->link);
  j->is_cached = false;
  j->resolver->n--;
  drop(j);
}

/* The job that was kept first; the list has one. (An analyser that loses track of the list takes it for freed.) */
static job *first_kept(const resolver *r) {
  return eddy__container_of(r->cache.next, job, link); // NOLINT(clang-analyzer-unix.Malloc)
}

static void forget_all(resolver *r) {
  while (!eddy__list_empty(&r->cache)) forget(first_kept(r));
}

static void keep(job *j) {
  resolver *r = j->resolver;
  if (r->ttl == 0 || j->rc < 0) return;
  while (r->n >= r->max) forget(first_kept(r));
  j->refs++;
  j->is_cached = true;
  j->expires = uv_hrtime() + r->ttl;
  eddy__list_push(&r->cache, &j->link);
  r->n++;
}

static void on_found(uv_getaddrinfo_t *uv, int status, struct addrinfo *found) {
  job *j = eddy__container_of(uv, job, uv);
  j->rc = status;
  j->found = found;
  j->is_done = true;
  j->loop->requests--;
  eddy__list_remove(&j->link);
  keep(j);
  while (!eddy__list_empty(&j->waiters)) {
    waiter *w = eddy__container_of(j->waiters.next, waiter, link);
    eddy__list_remove(&w->link);
    eddy__request_done(&w->request);
  }
  drop(j);
}

/* Has libuv look it up. Returns 0 or its code. */
static int start(job *j, const char *host, const char *service, const struct addrinfo *hints) {
  int rc = uv_getaddrinfo(j->loop->uv, &j->uv, on_found, host, service, hints);
  if (rc < 0) return rc;
  j->refs++;
  j->loop->requests++;
  eddy__list_push(&j->resolver->jobs, &j->link);
  return 0;
}

/* --- answers without libuv ----------------------------------------------------------------------------------- */

static int translate(int error) {
  static const int codes[][2] = {
    {EAI_AGAIN, UV_EAI_AGAIN},
    {EAI_BADFLAGS, UV_EAI_BADFLAGS},
    {EAI_FAIL, UV_EAI_FAIL},
    {EAI_FAMILY, UV_EAI_FAMILY},
    {EAI_MEMORY, UV_EAI_MEMORY},
    {EAI_NONAME, UV_EAI_NONAME},
    {EAI_OVERFLOW, UV_EAI_OVERFLOW},
    {EAI_SERVICE, UV_EAI_SERVICE},
    {EAI_SOCKTYPE, UV_EAI_SOCKTYPE},
#ifdef EAI_ADDRFAMILY
    {EAI_ADDRFAMILY, UV_EAI_ADDRFAMILY},
#endif
#ifdef EAI_NODATA
    {EAI_NODATA, UV_EAI_NODATA},
#endif
  };
  if (error == EAI_SYSTEM) return uv_translate_sys_error(errno);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (codes[i][0] == error) return codes[i][1];
  return UV_EAI_FAIL;
}

/* Whether nothing has to be looked up anywhere. */
static bool is_numeric(const char *host, const char *service) {
  eddy__address address;
  if (host != NULL && eddy__address_parse(&address, host, 0) < 0) return false;
  return service == NULL || (*service != '\0' && strspn(service, "0123456789") == strlen(service));
}

static void answer(job *j, const char *host, const char *service, const struct addrinfo *hints) {
  struct addrinfo numeric = *hints;
  numeric.ai_flags |= (host != NULL ? AI_NUMERICHOST : 0) | (service != NULL ? AI_NUMERICSERV : 0);
  int error = getaddrinfo(host, service, &numeric, &j->found);
  j->rc = error == 0 ? 0 : translate(error);
  if (error != 0) j->found = NULL;
  j->from_system = true;
  j->is_done = true;
}

/* --- who waits ----------------------------------------------------------------------------------------------- */

/* It has been told, or does not want to be any more. Nobody else wants it: then it need not be looked up. */
static void release(eddy__request *request) {
  waiter *w = (waiter *)request;
  job *j = w->job;
  eddy__list_remove(&w->link);
  free(w);
  if (j == NULL) return;
  if (!j->is_done && eddy__list_empty(&j->waiters) && uv_cancel((uv_req_t *)&j->uv) == 0)
    eddy__list_remove(&j->link); /* who asks from now on is not to be told that it was cancelled */
  drop(j);
}

static const eddy__wait wait_lookup = {"getaddrinfo", eddy__request_cancel, true};

/* [-0, +0, -] */
static resolver *resolver_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &resolver_key);
  resolver *r = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return r;
}

/* The job that will answer, or has, with a reference for its waiter; NULL without memory. *rc: of libuv. */
static job *job_for(resolver *r, eddy__loop *loop, const char *host, const char *service, const struct addrinfo *hints,
                    int *rc) {
  job *j = new_job(r, loop, host, service, hints), *known;
  *rc = 0;
  if (j == NULL) return NULL;
  j->refs = 1;
  if (is_numeric(host, service)) {
    answer(j, host, service, hints);
    return j;
  }
  known = find(&r->cache, j, NULL);
  if (known != NULL && known->expires <= uv_hrtime()) {
    forget(known);
    known = NULL;
  }
  if (known == NULL) known = find(&r->jobs, j, loop);
  if (known != NULL) {
    known->refs++;
    drop(j);
    return known;
  }
  *rc = start(j, host, service, hints);
  if (*rc < 0) j->is_done = true;
  return j;
}

/* [-0, +1, y] */
int eddy__dns_lookup(lua_State *L, eddy__task *task, const char *host, const char *service,
                     const struct addrinfo *hints, uint64_t deadline, lua_KFunction k) {
  int rc;
  eddy__request_box(L);
  waiter *w = calloc(1, sizeof *w);
  if (w != NULL) eddy__list_init(&w->link);
  eddy__request_own(L, (eddy__request *)w, NULL, task, release);
  w->job = job_for(resolver_of(L), task->future.loop, host, service, hints, &rc);
  if (w->job == NULL) rc = UV_ENOMEM;
  if (rc < 0) {
    eddy__request_end(&w->request);
    return eddy__raise_about(L, rc, "getaddrinfo", "address", host);
  }
  if (w->job->is_done) return k(L, LUA_OK, (lua_KContext)task);
  eddy__request_deadline(L, task, deadline);
  eddy__list_push(&w->job->waiters, &w->link);
  return eddy__request_wait(L, &w->request, &wait_lookup, k);
}

/* [-0, +0, v] */
const struct addrinfo *eddy__dns_result(lua_State *L, eddy__task *task, int *rc) {
  waiter *w = (waiter *)eddy__request_take(L, task);
  *rc = w == NULL ? UV_ETIMEDOUT : w->job->rc;
  return w == NULL ? NULL : w->job->found;
}

/* --- the cache ----------------------------------------------------------------------------------------------- */

void eddy__dns_cache(lua_State *L, lua_Number ttl, size_t max) {
  resolver *r = resolver_of(L);
  forget_all(r);
  r->ttl = ttl <= 0 ? 0 : ttl > 1e9 ? (uint64_t)1e18
                                    : (uint64_t)ceil(ttl * 1e9);
  r->max = max;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  resolver *r = eddy__object_test(L, 1, &type_resolver);
  if (r != NULL) {
    forget_all(r);
    r->ttl = 0;
  }
  return 0;
}

/* [-0, +0, m] */
void eddy__dns_open(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &resolver_key) == LUA_TNIL) {
    eddy__object_type(L, &type_resolver, NULL, NULL, meta, 0);
    lua_pop(L, 1);
    resolver *r = eddy__object_new(L, &type_resolver, sizeof *r, 0);
    eddy__list_init(&r->jobs);
    eddy__list_init(&r->cache);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &resolver_key);
  }
  lua_pop(L, 1);
}
