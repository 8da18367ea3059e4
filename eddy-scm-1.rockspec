rockspec_format = "3.0"
package = "eddy"
version = "scm-1"
source = { url = "." }   -- this tree: luarocks make
description = {
  summary = "async/await for Lua 5.4, on libuv",
  license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5" }
external_dependencies = {
  LIBUV = { header = "uv.h", library = "uv" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    EDDY_MODULE_ONLY = "ON",
    EDDY_CMODULE_DIR = "$(LIBDIR)",
    EDDY_LUA_DIR = "$(LUADIR)",
    LUA_INCLUDE_DIR = "$(LUA_INCDIR)",
  },
}
