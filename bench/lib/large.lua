-- large.lua - makes the file that files_read and files_lines read: 256 MiB of lines of 0 to 99 bytes.
-- usage: large.lua PATH
local path = ...
local lines = {}
for i = 1, 20000 do lines[i] = ("x"):rep(i * 7919 % 100) end
local block = table.concat(lines, "\n") .. "\n"
local file = assert(io.open(path, "wb"))
for _ = 1, (256 << 20) // #block do assert(file:write(block)) end
assert(file:close())
