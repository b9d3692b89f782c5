--- What `make install` puts in place works from there: the program, the shipped policies and examples, and the modules
-- for Lua programs; `make uninstall` takes it back.
local runs = require "support.runs"

local folder, prefix

local function make(target)
  -- MAKEFLAGS: what the make that runs the specs was told isn't meant for this one.
  return runs.shell(("env -u MAKEFLAGS -u MAKELEVEL make -s %s PREFIX=/opt/moonbox DESTDIR=%s"):format(target,
    runs.quote(folder .. "/root")))
end

-- Runs a shell command away from the checkout.
local function elsewhere(command)
  return runs.shell(("cd %s && env -u LUA_PATH -u LUA_CPATH MOONBOX_STATE=%s %s"):format(runs.quote(folder),
    runs.quote(folder .. "/state"), command))
end

describe("an installed moonbox", function()
  setup(function()
    folder = runs.folder()
    prefix = folder .. "/root/opt/moonbox"
    local code, out, err = make("install")
    assert(code == 0, out .. err)
  end)

  teardown(function() runs.remove(folder) end)

  it("runs a shipped example by its name", function()
    local code, out, err = elsewhere(prefix .. "/bin/moonbox run hello")
    assert.equal(0, code, out .. err)
  end)

  it("runs a command under a shipped policy by its name", function()
    assert.same({ 0, "inside\n", "" }, { elsewhere(prefix .. "/bin/moonbox exec --policy offline -- echo inside") })
    assert.same({ 0, "", "" }, { elsewhere(prefix .. "/bin/moonbox check codex") })
  end)

  it("gives Lua programs moonbox.sandbox and the shipped policies", function()
    runs.write(folder .. "/program.lua", [[
local plan = assert(require("moonbox.plan").load("offline"))
local box = assert(require("moonbox.sandbox").open(plan))
local outcome = assert(box:exec { run = { "echo", "from Lua" } })
assert(box:close())
io.write(outcome.stdout)]])
    assert.same({ 0, "from Lua\n", "" }, { elsewhere(("LD_PRELOAD=$MOONBOX_SANITIZER LUA_PATH='%s/share/lua/5.1/?.lua' "
      .. "LUA_CPATH='%s/lib/lua/5.1/?.so' luajit program.lua"):format(prefix, prefix)) })
  end)

  it("brings the demo's programs as programs", function()
    assert.equal(0, (runs.shell("test -x " .. prefix .. "/share/moonbox/examples/demo/agent/stand-in-agent")))
  end)

  it("is gone after uninstall", function()
    assert.equal(0, (make("uninstall")))
    local _, left = runs.shell("find " .. folder .. "/root -type f")
    assert.equal("", left)
    local code, out, err = make("install")
    assert.equal(0, code, out .. err)
  end)
end)
