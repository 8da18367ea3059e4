# lib.sh - what the scripts share. Sourced, after: set -euo pipefail. Runs on bash 3.2, macOS's.
# Sets:  root, the top of the tree.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The path of an interpreter of Lua 5.4, or a failure.
find_lua() {
  local name
  for name in lua5.4 lua-5.4 lua54 lua; do
    if "$name" -e 'os.exit(_VERSION == "Lua 5.4")' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# quietly LOG COMMAND...: runs it, and shows what it printed only if it fails.
quietly() {
  local log=$1 status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || status=$?
  if [ $status != 0 ]; then
    cat "$log" >&2
    say "failed: $*"
  fi
  return $status
}

# build PRESET [CMAKE OPTIONS...]: configures and builds in build/PRESET.
build() {
  local preset=$1 jobs
  shift
  jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
  say "build $preset"
  (
    cd "$root"   # where the presets are found
    quietly "build/$preset/configure.log" cmake --preset "$preset" "$@" &&
      quietly "build/$preset/build.log" cmake --build "build/$preset" --parallel "$jobs"
  )
}

# use_tree PRESET: programs started from here find the tree's Lua files and the eddy.so built with PRESET.
use_tree() {
  unset LUA_PATH_5_4 LUA_CPATH_5_4   # they would win over the two below
  export LUA_PATH="$root/lua/?.lua;$root/lua/?/init.lua;${LUA_PATH:-;}"
  export LUA_CPATH="$root/build/$1/?.so;${LUA_CPATH:-;}"
  export EDDY_ROOT="$root" EDDY="$root/build/$1/eddy"
}
