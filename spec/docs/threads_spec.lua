-- docs/internals/threads.md: the specs that it names are there.

local text_of = require("spec.support.tree").text_of

describe("The table of what threads promise #plain", function()
  it("names specs that are there", function()
    local n, missing = 0, {}
    for specs in text_of("docs/internals/threads.md"):gmatch "\n| [^|]+ | (`threads/[^|]*) |" do
      for file, titles in specs:gmatch "`([%w_/]+)`([^`]*)" do
        local text = text_of(("spec/%s_spec.lua"):format(file)) or ""
        for title in titles:gmatch '"([^"]*)"' do
          n = n + 1
          if not text:find('it("' .. title, 1, true) then missing[#missing + 1] = file .. ": " .. title end
        end
      end
    end
    assert.same({}, missing)
    assert.is_true(n > 80, n)
  end)
end)
