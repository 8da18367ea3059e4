/* SPDX-License-Identifier: MIT */
/*
 * editor.h - the prompt's line editor: a line that is typed key by key, while the prompt waits and tasks print.
 * Uses:   Lua alone.      Used by: repl.c.
 * Touch:  freely. The editor never waits: who uses it tells it of keys and of signals.
 *
 * Built without libedit and readline there is no editor: opening it fails, and the rest does nothing.
 */
#ifndef EDDY_EDITOR_H
#define EDDY_EDITOR_H

#include <lua.h>
#include <stdbool.h>

/* Pushes the function that completes, nil without an editor. `names` is where in L the set of the session's variables
 * stands, name to true; `values` where that of their values does, name to value.   [-0, +1, m] */
void eddy__editor_push_completion(lua_State *L, int names, int values);

/* Opens the editor, if standard input and output are a terminal that it can use, and reads the history. What
 * eddy__editor_push_completion has pushed stands at the index `completion` of L, and stays until the editor is
 * closed. Returns whether there is an editor.   [-0, +0, -] */
bool eddy__editor_open(lua_State *L, int completion);

/* Also when it was not opened. */
void eddy__editor_close(void);

/* --- A line ------------------------------------------------------------------------------------------ */

/* Shows the prompt `text`, which stays the caller's until the stop, and starts to edit a line. */
void eddy__editor_start(const char *text);

/* Takes a key: there is one, or it would be waited for. */
void eddy__editor_read_key(void);

/* Whether the line is whole, or its input has ended. */
bool eddy__editor_is_done(void);

/* Gives the terminal back. An interrupt leaves the line as it stands, and throws away what was typed ahead. */
void eddy__editor_stop(bool is_interrupt);

/* After the stop: pushes the line and keeps it in the history. Returns whether there is one; else it has pushed an
 * empty one.   [-0, +1, m] */
bool eddy__editor_push_line(lua_State *L);

/* --- While a line is edited -------------------------------------------------------------------------- */

/* Whether one is, between start and stop. The others below are for then. */
bool eddy__editor_is_editing(void);

/* Makes room for what is printed meanwhile, and shows the line again below it. */
void eddy__editor_hide_line(void);
void eddy__editor_show_line(void);

/* The window has another size. */
void eddy__editor_resize_line(void);

/* The process was stopped, and goes on: the shell has used the terminal. */
void eddy__editor_restore_line(void);

/* For a signal handler, and at any time: has the terminal as it was before, for the process ends. */
void eddy__editor_leave_terminal(void);

#endif
