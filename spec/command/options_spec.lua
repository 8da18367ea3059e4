local support = require "spec.command.support"
local eddy = support.eddy

describe("eddy's options:", function()
  local folder
  setup(function()
    folder = support.folder {
      ["args.lua"] = "print(#arg, arg[0], arg[1], arg[2], ...)",
      ["greeter.lua"] = "local name = ... return { greet = function() return 'hello from ' .. name end }",
      ["app.lua"] = "eddy.sleep(0) print('app', arg[0]:match('[^/]*$'), ...)",
      ["init.lua"] = "from_init = 'init file'",
      ["broken.lua"] = "local = 1",
    }
  end)
  teardown(function() support.remove(folder) end)

  local function path_to_folder() return ("LUA_PATH='%s/?.lua;;'"):format(folder) end

  describe("-v and --version", function()
    it("show the versions of eddy and Lua, and do not prompt", function()
      for _, option in ipairs { "-v", "--version" } do
        local out, err, status = eddy { option }
        assert.matches("^eddy %d+%.%d+%.%d+, Lua 5%.4%.%d+\n$", out)
        assert.same({ "", 0 }, { err, status })
      end
    end)

    it("run the script as well", function()
      assert.matches("^eddy .-\n2\t.-args.lua\ta\tb\ta\tb\n$", (eddy { "-v", folder .. "/args.lua", "a", "b" }))
    end)
  end)

  it("-h and --help show them all on standard output", function()
    for _, option in ipairs { "-h", "--help" } do
      local out, err, status = eddy { option }
      assert.matches("^usage: eddy %[options%]", out)
      for _, name in ipairs { "-e", "-l", "-m", "-i", "-E", "--debug", "--version", "--help" } do
        assert.truthy(out:find("\n  " .. name, 1, true) or out:find(", " .. name, 1, true), name)
      end
      assert.same({ "", 0 }, { err, status })
    end
  end)

  it("an unknown one shows the usage on standard error and fails", function()
    for _, option in ipairs { "-x", "--nonsense", "-ix", "--debugger" } do
      local out, err, status = eddy { option, "-e", "print 'not run'" }
      assert.equal(1, status)
      assert.equal("", out)
      assert.truthy(err:find("eddy: '" .. option .. "' is no option", 1, true))
      assert.matches("\nusage: eddy", err)
    end
  end)

  it("-e, -l and -m need an argument", function()
    for _, option in ipairs { "-e", "-l", "-m" } do
      local _, err, status = eddy { option }
      assert.equal(1, status)
      assert.truthy(err:find("eddy: '" .. option .. "' needs an argument", 1, true))
      assert.equal(1, select(3, eddy { option, "-i" }))
    end
  end)

  describe("-e", function()
    it("runs code, which may wait", function()
      assert.same({ "one\ttwo\n", "", 0 }, { eddy { "-e", "print(eddy.sleep(0.001, 'one', 'two'))" } })
    end)

    it("takes its code from the same word as well", function()
      assert.equal("7\n", (eddy { "-eprint(3 + 4)" }))
    end)

    it("runs several in order, before the script, on one loop", function()
      local out = eddy {
        "-e", "task = eddy.create_task(function() eddy.sleep(0.001) return 'from the first' end)",
        "-e", "print(task:await())", folder .. "/args.lua", "x",
      }
      assert.equal("from the first\n1\t" .. folder .. "/args.lua\tx\tnil\tx\n", out)
    end)

    it("that fails ends the command", function()
      local out, err, status = eddy { "-e", "error 'no'", "-e", "print 'not run'" }
      assert.same({ "", 1 }, { out, status })
      assert.matches("^eddy: %(command line%):1: no\n", err)
    end)
  end)

  describe("-l", function()
    it("requires a module into a global of its name", function()
      assert.equal("hello from greeter\n",
        (eddy({ "-l", "greeter", "-e", "print(greeter.greet())" }, { env = path_to_folder() })))
    end)

    it("takes another name for the global", function()
      assert.equal("hello from greeter\tnil\n",
        (eddy({ "-l", "g=greeter", "-e", "print(g.greet(), greeter)" }, { env = path_to_folder() })))
    end)

    it("that finds nothing ends the command", function()
      local _, err, status = eddy { "-l", "no.such.module", "-e", "print 'not run'" }
      assert.equal(1, status)
      assert.matches("^eddy: module 'no.such.module' not found", err)
    end)
  end)

  describe("-m", function()
    it("runs a module as the script", function()
      local out, err, status = eddy({ "-m", "app", "x", "-e" }, { env = path_to_folder() })
      assert.same({ "app\tapp.lua\tx\t-e\n", "", 0 }, { out, err, status })
    end)

    it("takes the name from the same word as well", function()
      assert.equal("app\tapp.lua\tx\n", (eddy({ "-mapp", "x" }, { env = path_to_folder() })))
    end)

    it("names the places where it has looked in vain", function()
      local _, err, status = eddy({ "-m", "no.such" }, { env = path_to_folder() })
      assert.equal(1, status)
      assert.matches("^eddy: module 'no.such' not found:\n\tno file ", err)
      assert.truthy(err:find(folder .. "/no/such.lua", 1, true))
    end)

    it("shows the error of a module that cannot be compiled", function()
      local _, err, status = eddy({ "-m", "broken" }, { env = path_to_folder() })
      assert.equal(1, status)
      assert.matches("^eddy: .-broken.lua:1: <name> expected near '='", err)
    end)
  end)

  describe("LUA_INIT", function()
    it("is run first", function()
      assert.equal("early\n", (eddy({ "-e", "print(early)" }, { env = "LUA_INIT='early = \"early\"'" })))
    end)

    it("may name a file", function()
      assert.equal("init file\n",
        (eddy({ "-e", "print(from_init)" }, { env = ("LUA_INIT='@%s/init.lua'"):format(folder) })))
    end)

    it("of version 5.4 comes first", function()
      assert.equal("5.4\n", (eddy({ "-e", "print(v)" }, { env = "LUA_INIT='v = 5' LUA_INIT_5_4='v = 5.4'" })))
    end)

    it("that fails ends the command", function()
      local out, err, status = eddy({ "-e", "print(1)" }, { env = "LUA_INIT='error(\"bad start\")'" })
      assert.same({ "", 1 }, { out, status })
      assert.matches("^eddy: LUA_INIT:1: bad start", err)
    end)

    it("is ignored after -E, as are the other variables", function()
      local out = eddy({ "-E", "-e", "print(early, package.path:find('nowhere'))" },
        { env = "LUA_INIT='early = 1' LUA_PATH='nowhere/?.lua' LUA_PATH_5_4='nowhere/?.lua'" })
      assert.equal("nil\tnil\n", out)
    end)
  end)

  describe("the script", function()
    it("gets its arguments in `arg` and `...`, options or not", function()
      assert.equal("3\t" .. folder .. "/args.lua\t-e\t--\t-e\t--\tc\n",
        (eddy { folder .. "/args.lua", "-e", "--", "c" }))
    end)

    it("finds the command and its options below arg[0]", function()
      local out = eddy({ "-E", "-", "x" }, { stdin = "print(arg[-2] ~= nil, arg[-3], arg[-1], arg[0], arg[1])" })
      assert.equal("true\tnil\t-E\t-\tx\n", out)
    end)

    it("follows --", function()
      assert.equal("0\t" .. folder .. "/args.lua\tnil\tnil\n", (eddy { "--", folder .. "/args.lua" }))
    end)

    it("is standard input for -", function()
      assert.equal("a\tb\n", (eddy({ "-", "a", "b" }, { stdin = "eddy.sleep(0.001) print(...)" })))
    end)

    it("is standard input when there is none, and no terminal either", function()
      assert.equal("read\n", (eddy({}, { stdin = "eddy.sleep(0) print 'read'" })))
    end)
  end)

  it("--debug turns the debug mode on", function()
    local code = "print(eddy.get_running_loop():get_debug())"
    assert.equal("true\n", (eddy { "--debug", "-e", code }))
    assert.equal("true\n", (eddy { "--debug", "-e", ("eddy.run(function() %s end)"):format(code) }))
    assert.equal("false\n", (eddy({ "-e", code }, { env = "EDDY_DEBUG=" })))
  end)
end)
