-- docs/internals/failures.md: the specs, hosts and kinds of torture that it names are there.

local tree = require "spec.support.tree"

local text_of = tree.text_of

local function rows() return tree.rows "docs/internals/failures.md" end

describe("The table of failures #plain", function()
  it("is numbered, and has somebody for each", function()
    local list = rows()
    assert.is_true(#list >= 45)
    for i, row in ipairs(list) do assert.equal(i, row[1]) end
  end)

  it("names what is there", function()
    local missing, kinds = {}, text_of "docs/internals/testing.md"
    for _, row in ipairs(rows()) do
      for name, titles in row[2]:gmatch "`([%w_/. ]+)`([^`]*)" do
        local kind = name:match "^torture (%w+)$"
        local text = not kind and text_of(name:find "%.c$" and "spec/" .. name or ("spec/%s_spec.lua"):format(name))
        if kind then
          if not kinds:find(("\n| `%s` |"):format(kind), 1, true) then missing[#missing + 1] = name end
        elseif not text then
          missing[#missing + 1] = name
        end
        for title in (text and titles or ""):gmatch '"([^"]*)"' do
          if not text:find(title, 1, true) then missing[#missing + 1] = ("%d: %s %q"):format(row[1], name, title) end
        end
      end
    end
    assert.same({}, missing)
  end)
end)
