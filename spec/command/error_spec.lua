local support = require "spec.command.support"
local eddy = support.eddy

describe("An error that leaves the script", function()
  local folder
  setup(function() folder = support.folder {} end)
  teardown(function() support.remove(folder) end)

  -- What standard error shows of a script in the file app.lua. It must fail.
  local function page_of(code, ...)
    support.write(folder .. "/app.lua", code)
    local out, err, status = eddy { folder .. "/app.lua", ... }
    assert.equal(1, status)
    return err, out
  end

  it("is shown with its place and its traceback", function()
    local page = page_of "local function fail()\n  error 'boom'\nend\nfail()\n"
    assert.matches("^eddy: [^\n]*app.lua:2: boom\n", page)
    assert.matches("\nstack traceback[^\n]*:\n", page)
    assert.matches("app.lua:2: in [^\n]*'fail'", page)
    assert.matches("app.lua:4: in main chunk", page)
  end)

  it("is shown after what was printed before", function()
    support.write(folder .. "/app.lua", "print 'before' error('after', 0)")
    local both = support.sh(('"$EDDY" %s/app.lua 2>&1'):format(folder))
    assert.matches("^before\neddy: after\n", both)
  end)

  it("is shown with the places where it happened and where it was awaited", function()
    local page = page_of [[
local function fail()
  eddy.sleep(0)
  error "boom"
end
local function middle()
  return eddy.create_task(fail):await()
end
eddy.create_task(middle):await()
]]
    assert.matches("app.lua:3: boom", page)
    assert.matches("app.lua:3: in ", page)
    assert.matches("awaited by [^\n]*app.lua:6", page)
    assert.matches("awaited by [^\n]*app.lua:8", page)
  end)

  it("may be one of eddy's", function()
    assert.matches("^eddy: TimeoutError: too slow\n", (page_of "error(eddy.TimeoutError('too slow'))"))
    assert.matches("^eddy: [^\n]*TimeoutError", (page_of "eddy.wait_for(function() eddy.sleep(60) end, 0.001)"))
  end)

  it("may be a table, whose fields are shown", function()
    local page = page_of "error({ code = 'E42', tries = 3 })"
    assert.matches("^eddy: ", page)
    assert.matches("code", page)
    assert.matches("E42", page)
    assert.matches("tries", page)
  end)

  it("may be a table with a __tostring", function()
    assert.matches("^eddy: told\n",
      (page_of "error(setmetatable({}, { __tostring = function() return 'told' end }))"))
  end)

  it("may be nil, a boolean, a number", function()
    assert.matches("^eddy: [^\n]*nil", (page_of "error(nil)"))
    assert.matches("^eddy: [^\n]*false", (page_of "error(false)"))
    assert.matches("^eddy: [^\n]*42", (page_of "error(42)"))
  end)

  it("may be a text of several lines", function()
    assert.matches("^eddy: one\ntwo\nstack traceback", (page_of "error('one\\ntwo', 0)"))
  end)

  it("may be the mistake to call what is nil", function()
    assert.matches("attempt to call a nil value %(field 'slep'%)", (page_of "eddy.slep(1)"))
  end)

  it("may be a deadlock, which tells who waits for what and where", function()
    local page = page_of "local q = eddy.get_running_loop():create_future()\n\nq:await()"
    assert.matches("^eddy: DeadlockError", page)
    assert.matches("app.lua:3", page)
  end)

  it("may be the script's cancellation of itself", function()
    assert.matches("^eddy: [^\n]*CancelledError", (page_of "eddy.current_task():cancel() eddy.sleep(0)"))
  end)

  it("lets the tasks left clean up before the end", function()
    local _, out = page_of [[
      eddy.create_task(function()
        local _ <close> = setmetatable({}, { __close = function() eddy.sleep(0.001) print "cleaned up" end })
        eddy.sleep(3600)
      end)
      eddy.sleep(0)
      error "boom"]]
    assert.equal("cleaned up\n", out)
  end)

  it("may come out of eddy.run", function()
    local page = page_of "eddy.run(function()\n  eddy.sleep(0.001)\n  error 'inside'\nend)"
    assert.matches("^eddy: [^\n]*app.lua:3: inside\n", page)
  end)
end)

describe("A script that cannot be run", function()
  it("has a syntax error, which is shown with its place", function()
    local out, err, status = eddy({ "-" }, { stdin = "print 'not run'\nx = = 1" })
    assert.same({ "", "eddy: stdin:2: unexpected symbol near '='\n", 1 }, { out, err, status })
  end)

  it("is not there", function()
    local _, err, status = eddy { "/no/such/script.lua" }
    assert.matches("^eddy: cannot open /no/such/script.lua", err)
    assert.equal(1, status)
  end)

  it("is a folder", function()
    local _, err, status = eddy { "/" }
    assert.matches("^eddy: cannot read /", err)
    assert.equal(1, status)
  end)
end)

describe("An error of a task that nobody awaits", function()
  it("is reported, and the script goes on", function()
    local out, err, status = eddy { "-e", [[
      eddy.create_task(function() error "unseen" end)
      eddy.sleep(0.001)
      print "goes on"]] }
    assert.same({ "goes on\n", 0 }, { out, status })
    assert.matches("unseen", err)
  end)
end)
