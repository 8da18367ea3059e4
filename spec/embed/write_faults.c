/* SPDX-License-Identifier: MIT */
/*
 * write_faults.c - writes to a stream whose queue is not empty while one allocation after the other fails, of Lua's and
 *                  of ours: that write fails and nothing of it goes out, and the next ones go on.
 * Uses:   spec/torture/fault.h.
 */
#include "faults.h"

static const char *const script =
  "local eddy, arm, disarm = ...\n"
  "eddy.run(function()\n"
  "  local come = eddy.Queue()\n"
  "  local server <close> = eddy.start_server(function(conn) come:put(conn) conn:wait_closed() end, '127.0.0.1', 0)\n"
  "  local here <close> = eddy.open_connection(server:address())\n"
  "  local there <close> = come:get()\n"
  "  local ok, err = pcall(function()\n"
  "  here:set_write_buffer_limits(1 << 30)\n"
  "  local sent, failed = { ('x'):rep(16 << 20) }, 0\n"
  "  here:write(sent[1])\n"                               /* the kernel does not take so much */
  "  local long = ('y'):rep(5000)\n"
  "  local function kinds(name)\n"
  "    return { { name }, { name .. long }, { { name, 7, long, name } }, { name .. ('z'):rep(3000) },\n"
  "      { name, long, name, long, name, long, long } }\n"
  "  end\n"
  "  for kind = 1, 5 do\n"
  "    for what = 1, 2 do\n"
  "      local n, happened = 0, true\n"
  "      while happened do\n"
  "        n = n + 1\n"
  "        local arguments = kinds(('<%d %d %d>'):format(kind, what, n))[kind]\n"
  "        arm(what, n)\n"
  "        local ok, err = pcall(here.write, here, table.unpack(arguments))\n"
  "        happened = disarm()\n"
  "        if not ok then\n"
  "          assert(happened, err)\n"
  "          assert(err == 'not enough memory' or err.code == 'ENOMEM', err)\n"
  "          failed = failed + 1\n"
  "        else\n"
  "          for _, piece in ipairs(arguments) do\n"
  "            sent[#sent + 1] = type(piece) == 'table' and table.concat(piece) or piece\n"
  "          end\n"
  "        end\n"
  "      end\n"
  "    end\n"
  "  end\n"
  "  assert(failed >= 8, failed)\n"
  "  here:write('the end')\n"
  "  sent = table.concat(sent) .. 'the end'\n"
  "  assert(there:read_exactly(#sent) == sent)\n"
  "  end)\n"
  "  if not ok then here:abort() error(err, 0) end\n"
  "end)\n";

static int l_disarm(lua_State *L) {
  fault_disarm();
  lua_pushboolean(L, fault.happened);
  return 1;
}

int main(void) { return faults_run(script, faults_arm, l_disarm); }
