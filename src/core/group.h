/* SPDX-License-Identifier: MIT */
/*
 * group.h - TaskGroup, which outlives its children.
 * Owns:   eddy__group, a userdata; the tasks that failed, until their errors are raised together.
 * Uses:   task.h, cancel.h.      Used by: task.c (a child has ended), eddy.c.
 * Touch:  with care: the end of a group is asyncio's TaskGroup.__aexit__, step by step.
 */
#ifndef EDDY_CORE_GROUP_H
#define EDDY_CORE_GROUP_H

#include "core/task.h"

typedef struct eddy__group eddy__group;

/* A child has settled.   [-0, +0, -] */
void eddy__group_child_done(eddy__task *child);

/* The task whose group this one is a child of, or NULL. */
eddy__task *eddy__group_parent(const eddy__task *child);

void eddy__group_room(lua_State *L, eddy__runtime *rt);

#endif
