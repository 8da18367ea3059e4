# Defines eddy::lua_headers, eddy::lua (headers and library) and eddy::libuv, and EDDY_PC_REQUIRES, the
# pkg-config names of both. LUA_INCLUDE_DIR, LUA_LIBRARY, LIBUV_INCLUDE_DIR and LIBUV_LIBRARY override the search.
# Also eddy::editor, the command's line editor: an empty target where there is none.

set(LUA_INCLUDE_DIR "" CACHE PATH "Directory of lua.h, instead of what pkg-config says")
set(LUA_LIBRARY "" CACHE FILEPATH "Lua's library, instead of what pkg-config says")
set(LIBUV_INCLUDE_DIR "" CACHE PATH "Directory of uv.h, instead of what pkg-config says")
set(LIBUV_LIBRARY "" CACHE FILEPATH "libuv's library, instead of what pkg-config says")

# The lines are indented because CMake leaves only such lines as they are.
function(eddy_missing what)
  message(FATAL_ERROR "${what}\n"
    "  Debian, Ubuntu:  apt-get install liblua5.4-dev libuv1-dev pkg-config\n"
    "  Fedora:          dnf install lua-devel libuv-devel pkgconf-pkg-config\n"
    "  macOS:           brew install lua libuv pkg-config\n"
    "Or script/bootstrap does it; or give the places with -DLUA_INCLUDE_DIR=... -DLUA_LIBRARY=... "
    "-DLIBUV_INCLUDE_DIR=... -DLIBUV_LIBRARY=...")
endfunction()

# Each of the two sets NAME_includes and NAME_libraries in the caller.
macro(eddy_use_override name)
  set(${name}_includes ${${name}_INCLUDE_DIR})
  set(${name}_libraries ${${name}_LIBRARY})
endmacro()
macro(eddy_use_pkg_config name)   # its further arguments are the names to try
  find_package(PkgConfig QUIET)
  if(NOT PKG_CONFIG_FOUND)
    eddy_missing("pkg-config was not found.")
  endif()
  pkg_search_module(PC_${name} QUIET ${ARGN})
  set(${name}_includes ${PC_${name}_INCLUDE_DIRS})
  set(${name}_libraries ${PC_${name}_LINK_LIBRARIES})
  list(APPEND EDDY_PC_REQUIRES ${PC_${name}_MODULE_NAME})
endmacro()

# A rock needs Lua's headers alone, so the library is asked for only where a program is built.
if(LUA_INCLUDE_DIR AND (LUA_LIBRARY OR EDDY_MODULE_ONLY))
  eddy_use_override(LUA)
else()
  eddy_use_pkg_config(LUA lua5.4 lua-5.4 lua54 "lua>=5.4")
  if(NOT PC_LUA_FOUND)
    eddy_missing("Lua 5.4 was not found.")
  endif()
endif()
set(lua_header "")
foreach(dir IN LISTS LUA_includes ITEMS /usr/include /usr/local/include)
  if(NOT lua_header AND EXISTS ${dir}/lua.h)
    set(lua_header ${dir}/lua.h)
  endif()
endforeach()
if(NOT lua_header)
  eddy_missing("Lua's header lua.h was not found (looked in: ${LUA_includes}).")
endif()
file(STRINGS ${lua_header} lua_version REGEX "^#define[ \t]+LUA_VERSION_NUM")
if(NOT lua_version MATCHES "LUA_VERSION_NUM[ \t]+504")
  eddy_missing("${lua_header} is not of Lua 5.4, the only version that eddy runs on.")
endif()

if(LIBUV_INCLUDE_DIR AND LIBUV_LIBRARY)
  eddy_use_override(LIBUV)
else()
  eddy_use_pkg_config(LIBUV "libuv>=1.44")
  if(NOT PC_LIBUV_FOUND)
    eddy_missing("libuv 1.44 or later was not found.")
  endif()
endif()

# The command carries its Lua where there is a static one beside the shared one: calls of Lua's API, of which a task
# switch makes a dozen, then need no indirection, and it starts faster.
option(EDDY_STATIC_LUA "Link Lua into the command when its static library is there" ON)
if(EDDY_STATIC_LUA AND PC_LUA_FOUND)
  string(REGEX REPLACE "\\.(so|dylib)$" ".a" static_lua "${LUA_libraries}")
  if(EXISTS "${static_lua}")
    set(LUA_libraries ${static_lua})
  endif()
endif()

# A Lua that is a static library goes into the command whole: C modules need functions we never call.
if(LUA_libraries MATCHES "\\.a(;|$)")
  if(APPLE)
    list(TRANSFORM LUA_libraries REPLACE "^(.*\\.a)$" "-Wl,-force_load,\\1")
  else()
    set(LUA_libraries -Wl,--whole-archive ${LUA_libraries} -Wl,--no-whole-archive)
  endif()
endif()

find_package(Threads REQUIRED)
add_library(eddy::lua_headers INTERFACE IMPORTED GLOBAL)
target_include_directories(eddy::lua_headers SYSTEM INTERFACE ${LUA_includes})
add_library(eddy::lua INTERFACE IMPORTED GLOBAL)
target_link_libraries(eddy::lua INTERFACE eddy::lua_headers ${LUA_libraries} ${CMAKE_DL_LIBS})
if(UNIX)
  target_link_libraries(eddy::lua INTERFACE m)
endif()
add_library(eddy::libuv INTERFACE IMPORTED GLOBAL)
target_include_directories(eddy::libuv SYSTEM INTERFACE ${LIBUV_includes})
target_link_libraries(eddy::libuv INTERFACE ${LIBUV_libraries} Threads::Threads ${CMAKE_DL_LIBS})
list(JOIN EDDY_PC_REQUIRES ", " EDDY_PC_REQUIRES)

# The prompt's line editor: libedit (BSD), else GNU readline (GPL: so is then the command that is linked with it, but
# neither the module nor libeddy). EDDY_READLINE names one, or OFF; AUTO takes what is there.
set(EDDY_READLINE AUTO CACHE STRING "The prompt's line editor: AUTO, libedit, readline or OFF")
set_property(CACHE EDDY_READLINE PROPERTY STRINGS AUTO libedit readline OFF)
add_library(eddy::editor INTERFACE IMPORTED GLOBAL)
set(editor "")
function(eddy_use_editor name header definition)
  string(TOUPPER ${EDDY_READLINE} wanted)
  string(TOUPPER ${name} upper)
  if(editor OR EDDY_MODULE_ONLY OR WIN32 OR NOT wanted MATCHES "^(AUTO|ON|TRUE|YES|1|${upper})$")
    return()
  endif()
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    pkg_search_module(PC_${upper} QUIET ${name})
  endif()
  if(NOT PC_${upper}_FOUND)
    return()
  endif()
  find_path(EDDY_${upper}_HEADERS ${header} HINTS ${PC_${upper}_INCLUDE_DIRS} ${PC_${upper}_INCLUDEDIR})
  mark_as_advanced(EDDY_${upper}_HEADERS)
  if(NOT EDDY_${upper}_HEADERS)
    return()
  endif()
  target_include_directories(eddy::editor SYSTEM INTERFACE ${EDDY_${upper}_HEADERS})
  target_link_libraries(eddy::editor INTERFACE ${PC_${upper}_LINK_LIBRARIES})
  target_compile_definitions(eddy::editor INTERFACE ${definition})
  set(editor ${name} PARENT_SCOPE)
endfunction()
eddy_use_editor(libedit editline/readline.h EDDY_EDITLINE)
eddy_use_editor(readline readline/readline.h EDDY_GNU_READLINE)
if(NOT editor AND NOT EDDY_MODULE_ONLY AND EDDY_READLINE MATCHES "^(libedit|readline|ON)$")
  message(FATAL_ERROR "EDDY_READLINE=${EDDY_READLINE}, but it was not found (Debian: apt-get install libedit-dev).")
endif()
