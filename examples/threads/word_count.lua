-- script/run examples/threads/word_count.lua [FILES...]: the most frequent words of texts (the documents here), counted
-- by map and reduce: each thread counts some files, and the counts are added up.
local eddy = require "eddy"

-- Map: the words of one file. Runs in a thread.
local function count_words(path)
  local file <close>, counts = assert(io.open(path)), {}
  for line in file:lines() do
    for word in line:lower():gmatch "%a+" do counts[word] = (counts[word] or 0) + 1 end
  end
  return counts
end

-- Reduce: adds one count to another.
local function add(total, counts)
  for word, n in pairs(counts) do total[word] = (total[word] or 0) + n end
  return total
end

local function files_in(directory)
  local paths = {}
  for dir, _, names in eddy.fs.walk(directory) do
    for _, name in ipairs(names) do
      if name:find "%.md$" then paths[#paths + 1] = dir .. "/" .. name end
    end
  end
  return paths
end

local function main(paths)
  if #paths == 0 then paths = files_in "docs" end
  local pool <close> = eddy.ThreadPool()
  local total, words = {}, {}
  for _, counts in ipairs(pool:map(count_words, paths)) do add(total, counts) end
  for word in pairs(total) do words[#words + 1] = word end
  table.sort(words, function(a, b)
    if total[a] ~= total[b] then return total[a] > total[b] end
    return a < b
  end)
  print(("%d files, %d different words"):format(#paths, #words))
  for i = 1, math.min(10, #words) do print(("%6d  %s"):format(total[words[i]], words[i])) end
end

eddy.run(main, { table.unpack(arg) })
