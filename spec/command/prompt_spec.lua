local support = require "spec.command.support"
local repr = require "eddy".repr or tostring

-- What the prompt answers to these lines, without its banner and prompts; and standard error and the exit status.
local function prompt(lines, ...)
  local out, err, status = support.eddy({ "-i", ... }, { stdin = lines })
  out = out:gsub("^eddy [^\n]*\n", ""):gsub("%f[^\n\0]>>? ", ""):gsub(">>? ", ""):gsub("\n$", "", 1)
  return out, err, status
end

describe("The prompt of eddy", function()
  it("greets with the versions, asks with > and >>, and ends with its input", function()
    local out, err, status = support.eddy({ "-i" }, { stdin = "x = 1\ndo\nend\n" })
    assert.matches("^eddy %d[%d.]*, Lua 5%.4%.%d+\n> > >> > \n$", out)
    assert.same({ "", 0 }, { err, status })
  end)

  it("shows the values of expressions, as eddy.repr tells them", function()
    assert.equal("3\n", (prompt "1 + 2\n"))
    assert.equal("1\tnil\ttrue\n", (prompt "1, nil, true\n"))
    assert.equal(repr("a") .. "\n", (prompt "'a'\n"))
    assert.equal("nil\n", (prompt "nil\n"))
  end)

  it("shows nothing of statements, and of calls without results", function()
    assert.equal("", (prompt "x = 5\n(function() end)()\nlocal y = 1\n\n"))
  end)

  it("reads on while the input is unfinished", function()
    assert.equal("6\n", (prompt "function f(a)\nreturn a * 2\nend\nf(\n3\n)\n"))
    assert.equal(repr("a\nb") .. "\n", (prompt "[[a\nb]]\n"))
  end)

  it("shows what keeps unfinished input from being compiled, when there is no more of it", function()
    local out, err, status = prompt "do\n"
    assert.same({ "", 0 }, { out, status })
    assert.matches("^eddy: stdin:1: 'end' expected near <eof>\n", err)
  end)

  it("takes a last line without a newline", function()
    assert.equal("4\n", (prompt "2 + 2"))
  end)

  it("lets the input wait", function()
    assert.equal(repr("waited") .. "\n", (prompt "eddy.sleep(0.001, 'waited')\n"))
  end)

  it("goes on with other tasks while a line waits", function()
    assert.equal("background\n42\n",
      (prompt "t = eddy.create_task(function() eddy.sleep(0.001) print 'background' return 42 end)\nt:await()\n"))
  end)

  it("goes on with other tasks while it waits for input", function()
    -- A task lets the next line come: the writer waits for what the task opens.
    local out, err = support.sh [[
      f=$(mktemp -u); mkfifo "$f"
      { echo "_ = eddy.create_task(function() eddy.sleep(0.001) seen = 42 io.open('$f', 'w'):close() end)"
        cat "$f"
        echo "seen"
      } | "$EDDY" -i
      rm "$f"]]
    assert.equal("", err)
    assert.matches("\n> > 42\n> \n$", out)
  end)

  it("lets the input call eddy.run", function()
    assert.equal("1\n2\n", (prompt "eddy.run(function() return 1 end)\neddy.run(function() return 2 end)\n"))
  end)

  describe("keeps locals", function()
    it("for the lines that follow, which may change them", function()
      assert.equal("1\n3\n", (prompt "local x = 1\nx\nx = x + 2\nx\n"))
      assert.equal("3\nnil\n", (prompt "local x, y = 1, 2; local z = 3\nx + y\nx = nil\nx\n"))
      assert.equal("2\n", (prompt "local x = 1\nlocal x = x + 1\nx\n"))
    end)

    it("that are functions, of several lines, closed by then or constant", function()
      assert.equal("24\n", (prompt("local function f(n)\nif n == 0 then return 1 end\nreturn n * f(n - 1)\n" ..
        "end\nf(4)\n")))
      assert.equal("1\n", (prompt "local t <const>, u <close> = { 1 }, nil\nt[1]\n"))
    end)

    it("that functions of later lines use", function()
      assert.equal("2\n", (prompt "local n = 0\nfunction inc() n = n + 1 end\ninc() inc()\nn\n"))
    end)

    it("from globals of their name, even when they are nil", function()
      assert.equal("1\t2\n", (prompt "x = 1\nlocal x = 2\n_G.x, x\n"))
      assert.equal("nil\t1\n", (prompt "x = 1\nlocal x\nx, _G.x\n"))
      assert.equal("1\t3\n", (prompt "x = 1\nlocal x\nx = 3\n_G.x, x\n"))
      assert.equal("5\n", (prompt "local x = 1\ny = 5\n_G.y\n"))
    end)

    it("of input that waits, and of input that returns something", function()
      assert.equal("7\n8\n", (prompt "local x = 7 eddy.sleep(0.001) return x\nx + 1\n"))
      assert.equal("2\n3\n", (prompt "local x = 2 return tostring(x) + 0\nx + 1\n"))
    end)

    it("not of blocks, loops and functions, nor of a line that has failed", function()
      assert.equal("nil\tnil\tnil\n", (prompt("do local a = 1 end for i = 1, 2 do local b = i end\n" ..
        "function f() local c = 1 end f()\na, b, c\n")))
      assert.equal("nil\n", (prompt "local x = 1 error 'boom'\nx\n"))
    end)

    it("and nothing else", function()
      assert.equal("0\n", (prompt "local n = select('#', ...)\nn\n"))
      assert.equal("nil\n", (prompt "local x = 1\n__locals__\n"))
      assert.equal("nil\n", (prompt "local x = 1\nload 'return x'()\n"))
    end)
  end)

  it("shows an error and goes on", function()
    local out, err, status = prompt "error 'boom'\nx = = 1\nerror(nil)\n1 + 1\n"
    assert.same({ "2\n", 0 }, { out, status })
    assert.matches("^eddy: stdin:1: boom\nstack traceback", err)
    assert.matches("\neddy: stdin:1: unexpected symbol near '='\n", err)
    assert.matches("\neddy: [^\n]*nil", err)
  end)

  it("shows the error of a value that cannot be shown", function()
    local out, err = prompt "setmetatable({}, { __tostring = function() error 'shy' end })\n1\n"
    assert.matches("1\n$", out)
    assert.truthy(err ~= "" or #out > 2)
  end)

  it("comes after the script, in the same state, with -i", function()
    local out, err, status = prompt("x\n", "-e", "x = 11", "-e", "eddy.sleep(0.001) x = x * 2")
    assert.same({ "22\n", "", 0 }, { out, err, status })
  end)

  it("does not come after a script that has failed", function()
    local out, err, status = prompt("print 'not run'\n", "-e", "error 'boom'")
    assert.same({ "", 1 }, { out, status })
    assert.matches("boom", err)
  end)

  it("leaves to io.read what follows the line", function()
    assert.equal(repr("next line") .. "\n", (prompt "x = io.read()\nnext line\nx\n"))
  end)

  it("leaves by os.exit", function()
    assert.equal(5, (select(3, prompt "os.exit(5)\n")))
  end)

  describe("at SIGINT", function()
    local interrupt = "function interrupt() io.popen('kill -INT $PPID'):close() end\n"

    it("ends what runs, not itself", function()
      local out, err, status = prompt(interrupt .. "interrupt() eddy.sleep(3600)\n" ..
        "interrupt() while true do end\n'alive'\n")
      assert.same({ repr("alive") .. "\n", 0 }, { out, status })
      assert.matches("^eddy: Interrupted[^\n]*\neddy: Interrupted[^\n]*\n$", err)
    end)

    it("forgets the input that it was reading", function()
      -- A task sends the signal while the prompt waits for the rest of a chunk, then lets the next line come.
      local out, err = support.sh [[
        f=$(mktemp -u); mkfifo "$f"
        interrupt="io.popen('kill -INT \$PPID'):close()"
        go_on="io.open('$f', 'w'):close()"
        { printf '%s\n' "_ = eddy.create_task(function() eddy.sleep(0) eddy.sleep(0) $interrupt $go_on end)" "do"
          cat "$f"
          echo "42"
        } | "$EDDY" -i
        rm "$f"]]
      assert.equal("", err)
      assert.matches("\n> > >> \n> 42\n> \n$", out)
    end)
  end)
end)
