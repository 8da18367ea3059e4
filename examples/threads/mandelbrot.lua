-- script/run examples/threads/mandelbrot.lua [SIZE [FILE]]: draws the Mandelbrot set into a picture (mandelbrot.ppm), a
-- row at a time on all cores. A bar on stderr shows how far it is. Ctrl-C stops all threads.
local eddy = require "eddy"

local LIMIT <const> = 200

-- Runs in a thread. Returns the pixels of row y as a buffer, which moves home without being copied.
local function row(y, size)
  local pixels = eddy.buffer(3 * size)
  local ci = 2.4 * y / size - 1.2
  for x = 0, size - 1 do
    local cr, zr, zi, n = 2.4 * x / size - 1.8, 0, 0, 0
    while zr * zr + zi * zi < 4 and n < LIMIT do
      zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1
    end
    if n < LIMIT then pixels:set(3 * x + 1, n * 8 & 255, n * 3 & 255, 255 - n) end
  end
  return y, pixels
end

local function show(done, all)
  local n = 40 * done // all
  io.stderr:write(("\r[%s%s] %3d %%"):format(("#"):rep(n), (" "):rep(40 - n), 100 * done // all))
end

local function main(size, path)
  local start, rows, tasks = eddy.time(), {}, {}
  local pool <close> = eddy.ThreadPool()
  for y = 0, size - 1 do tasks[y + 1] = pool:submit(row, y, size) end
  local done = 0
  for task in eddy.as_completed(tasks) do
    local y, pixels = task:await()
    rows[y + 1], done = tostring(pixels), done + 1
    show(done, size)
  end
  eddy.fs.write_file(path, ("P6\n%d %d\n255\n"):format(size, size) .. table.concat(rows))
  io.stderr:write(("\n%.2f s\n"):format(eddy.time() - start))
end

local size = math.tointeger(arg[1] or 300)
if not size or size < 1 then
  io.stderr:write "usage: mandelbrot.lua [SIZE [FILE]], with a size of 1 or more\n"
  os.exit(2)
end
eddy.run(main, size, arg[2] or "mandelbrot.ppm")
