-- docs/internals/semantics.md: the specs that it names are there.

local tree = require "spec.support.tree"

local text_of = tree.text_of

-- The rows of the tables: { number, list of { file, title } }.
local function rows()
  local list = tree.rows "docs/internals/semantics.md"
  for _, row in ipairs(list) do
    local specs = {}
    for file, titles in row[2]:gmatch "`([%w_/]+)`([^`]*)" do
      for title in titles:gmatch '"([^"]*)"' do specs[#specs + 1] = { file, title } end
    end
    row[2] = specs
  end
  return list
end

describe("The table of asyncio's behaviour #plain", function()
  it("has all points, each with a spec", function()
    local list = rows()
    assert.equal(66, #list)
    for i, row in ipairs(list) do
      assert.equal(i, row[1])
      assert.is_true(#row[2] > 0, "point " .. i .. " has no spec")
    end
  end)

  it("names specs that are there", function()
    local missing = {}
    for _, row in ipairs(rows()) do
      for _, spec in ipairs(row[2]) do
        local text = text_of(("spec/%s_spec.lua"):format(spec[1]))
        if not text or not text:find('it%([("]*' .. spec[2]:gsub("%p", "%%%0")) then
          missing[#missing + 1] = ("%d: %s %q"):format(row[1], spec[1], spec[2])
        end
      end
    end
    assert.same({}, missing)
  end)
end)
