/* SPDX-License-Identifier: MIT */
/*
 * move.c - parcels: their life, and their head on the wire; see move.h.
 * Touch:  freely. Nothing here knows a Lua state.
 */
#include "threads/move.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "threads/move_form.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

enum { WIRE_VERSION = 1 };
#define LARGEST (SIZE_MAX >> 24) /* beyond it nobody has memory, and some allocators abort when they are asked */

/* What stands in front of a parcel's bytes on the wire, in the order of bytes of this machine. */
typedef struct head {
  char magic[4];
  uint32_t version;
  uint64_t size;
  uint64_t checksum;      /* of the bytes and the numbers below */
  uint32_t count, nobjects, nkept, zero;
  uint64_t head_checksum;
} head;
_Static_assert(sizeof(head) == EDDY_WIRE_HEAD, "the wire knows no padding");

eddy__parcel *eddy__parcel_new(uint32_t nreferences, size_t size) {
  size_t references = nreferences * sizeof(eddy__reference);
  if (size > LARGEST) return NULL;
  eddy__parcel *parcel = malloc(sizeof *parcel + references + size);
  if (parcel == NULL) return NULL;
  memset(parcel, 0, sizeof *parcel);
  parcel->bytes = (char *)(parcel->room + nreferences);
  parcel->size = size;
  parcel->nreferences = nreferences;
  return parcel;
}

void eddy__parcel_free(eddy__parcel *parcel) {
  if (parcel == NULL) return;
  for (uint32_t i = 0; i < parcel->nreferences; i++) {
    eddy__reference *r = &parcel->room[i];
    if (r->shared != NULL) r->type->release(r->shared);
  }
  if (parcel->bytes != (char *)(parcel->room + parcel->nreferences)) free(parcel->bytes);
  free(parcel);
}

void eddy__large_pages(void *block, size_t size) {
#ifdef MADV_HUGEPAGE
  enum { PAGE = 4096 };
  uintptr_t from = ((uintptr_t)block + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  uintptr_t to = ((uintptr_t)block + size) & ~(uintptr_t)(PAGE - 1);
  if (from < to) madvise((void *)from, to - from, MADV_HUGEPAGE);
#else
  (void)block, (void)size;
#endif
}

int eddy__parcel_count(const eddy__parcel *parcel) { return (int)parcel->count; }

size_t eddy__parcel_size(const eddy__parcel *parcel) {
  return sizeof *parcel + parcel->nreferences * sizeof(eddy__reference) + parcel->size;
}

/* Four lanes of eight bytes, so that it is not slower than the pipe. */
uint64_t eddy__parcel_checksum(const char *bytes, size_t size) {
  const uint64_t prime = 0x9e3779b97f4a7c15u;
  uint64_t lane[4] = {size, prime, ~(uint64_t)size, ~prime}, sum = 0;
  while (size > 0) {
    uint64_t word[4] = {0};
    size_t n = size < sizeof word ? size : sizeof word;
    memcpy(word, bytes, n);
    for (int i = 0; i < 4; i++) {
      lane[i] = (lane[i] ^ word[i]) * prime;
      lane[i] ^= lane[i] >> 29;
    }
    bytes += n;
    size -= n;
  }
  for (int i = 0; i < 4; i++) sum = (sum ^ lane[i]) * prime ^ (sum >> 31);
  return sum;
}

static uint64_t head_sum(const head *h) {
  return eddy__parcel_checksum((const char *)h, offsetof(head, head_checksum));
}

void eddy__parcel_head(const eddy__parcel *parcel, char bytes[EDDY_WIRE_HEAD], const char **body,
                       size_t *size) {
  head h = {{'e', 'd', 'd', 'y'}, WIRE_VERSION, parcel->size, 0, parcel->count, parcel->nobjects, parcel->nkept, 0, 0};
  h.checksum = eddy__parcel_checksum(parcel->bytes, parcel->size);
  h.head_checksum = head_sum(&h);
  memcpy(bytes, &h, sizeof h);
  *body = parcel->bytes;
  *size = parcel->size;
}

int eddy__parcel_receive(const char bytes[EDDY_WIRE_HEAD], eddy__trust trust, eddy__parcel **parcel,
                         char **body, size_t *size) {
  head h;
  memcpy(&h, bytes, sizeof h);
  if (memcmp(h.magic, "eddy", 4) != 0 || h.version != WIRE_VERSION || h.head_checksum != head_sum(&h))
    return UV_EINVAL;
  /* Each value, object and kept value takes a byte at least. */
  if (h.count > h.size || h.nobjects > h.size || h.nkept > h.size) return UV_EINVAL;
  eddy__parcel *p = eddy__parcel_new(0, (size_t)h.size);
  if (p == NULL) return UV_ENOMEM;
  p->count = h.count;
  p->nobjects = h.nobjects;
  p->nkept = h.nkept;
  p->checksum = h.checksum;
  p->received = true;
  p->trust = trust;
  *parcel = p;
  *body = p->bytes;
  *size = p->size;
  return 0;
}
