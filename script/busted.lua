-- Runs busted in the Lua that runs this file. busted's own command starts in whichever Lua its package chose,
-- and its --lua option starts another one through a shell, which neither quotes nor keeps our environment whole.
io.stdout:setvbuf "line"   -- a sanitizer that ends the process at its exit does not flush
require "busted.runner" { standalone = false }
