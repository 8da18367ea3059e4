-- The tree of the project, as specs of documents read it.

local tree = {}

local root = os.getenv("EDDY_ROOT") or "."

---The text of a file, named from the root of the tree; nil when there is none.
function tree.text_of(path)
  local file <close> = io.open(root .. "/" .. path)
  return file and file:read "a"
end

---The numbered rows of a document's tables: a list of { number, what the last column says }.
function tree.rows(path)
  local list = {}
  for line in tree.text_of(path):gmatch "[^\n]+" do
    local number, last = line:match "^| (%d+) |.*| (`.*) |$"
    if number then list[#list + 1] = { tonumber(number), last } end
  end
  return list
end

return tree
