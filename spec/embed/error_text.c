/* SPDX-License-Identifier: MIT */
/*
 * error_text.c - what a person is shown of an error: its text, where it happened, who awaited it.
 */
#include "check.h"

/* Runs code that fails and gives the text of its task, which is then at index 1. */
static const char *text_of(eddy_loop *loop, lua_State *L, const char *code) {
  lua_settop(L, 0);
  spawn(loop, L, "@app.lua", code);
  CHECK_INT(EDDY_FAILED, eddy_run(loop, L, 1));
  int top = lua_gettop(L);
  const char *text = eddy_error_text(L, 1);
  CHECK_INT(top + 1, lua_gettop(L));
  CHECK(lua_tostring(L, -1) == text);
  return text;
}

static const char nested[] =
  "local eddy = require 'eddy'\n"
  "local function fail()\n"
  "  eddy.sleep(0)\n"
  "  error('boom')\n"                /* line 4 */
  "end\n"
  "local child = eddy.create_task(fail):set_name('child')\n"
  "child:await()\n"                  /* line 7 */
  "return true\n";

#define with_tostring "error(setmetatable({}, {__tostring = function() "

int main(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);

  const char *text = text_of(loop, L, nested);
  CHECK_HAS("app.lua:4: boom", text);
  CHECK_HAS("stack traceback", text);
  CHECK_HAS("awaited by", text);
  CHECK_HAS("app.lua:7", text);

  CHECK_HAS("too slow", text_of(loop, L, "error(require('eddy').TimeoutError('too slow'))"));
  CHECK_HAS("TimeoutError", lua_tostring(L, -1));
  CHECK_HAS("code", text_of(loop, L, "error({code = 'E42'})")); /* a table shows its fields */
  CHECK_HAS("E42", lua_tostring(L, -1));
  CHECK_HAS("{ 1, nil, \"x\", [5] = 2, code = \"E42\" }\n", /* as eddy.repr does */
            text_of(loop, L, "error({1, nil, 'x', [5] = 2, code = 'E42'})"));
  CHECK_HAS("{}\n", text_of(loop, L, "error({})"));
  CHECK_HAS("nil", text_of(loop, L, "error(nil)"));
  CHECK_HAS("false", text_of(loop, L, "error(false)"));
  CHECK_HAS("told", text_of(loop, L, with_tostring "return 'told' end}))"));
  /* A __tostring that fails itself must not raise here. */
  CHECK(text_of(loop, L, with_tostring "error 'again' end}))") != NULL);

  /* Values that are no Task: the message alone. */
  lua_settop(L, 0);
  lua_pushliteral(L, "plain");
  CHECK_INT(0, strcmp("plain", eddy_error_text(L, 1)));
  CHECK_INT(2, lua_gettop(L));
  lua_pushnil(L);
  CHECK(eddy_error_text(L, -1) != NULL);

  /* A Task without an error has a text too. */
  lua_settop(L, 0);
  spawn(loop, L, "=fine", "return 1");
  CHECK(eddy_error_text(L, 1) != NULL);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
  return 0;
}
