/* SPDX-License-Identifier: MIT */
/*
 * embed.h - what the files behind eddy.h share.
 * Owns:   nothing.
 * Uses:   eddy.h.      Used by: embed.c, promise.c.
 * Touch:  freely.
 */
#ifndef EDDY_EMBED_H
#define EDDY_EMBED_H

#include "core/post.h"
#include "eddy.h"

/* The mailbox of a loop that a host has opened; from any thread. */
eddy__mailbox *eddy__host_mailbox(const eddy_loop *host);

/* Whether a host runs a loop on the state of L in a thread other than this. Nothing of the state is touched. */
bool eddy__host_elsewhere(lua_State *L);

#endif
