-- The tree of the project, as specs of documents read it.

local tree = {}

local root = os.getenv("EDDY_ROOT") or "."

---The text of a file, named from the root of the tree; nil when there is none.
function tree.text_of(path)
  local file <close> = io.open(root .. "/" .. path)
  return file and file:read "a"
end

return tree
