-- Lua's garbage collector: another program's own to set, and the moonbox program's to let work once something runs.
local box = require "support.box"
local runs = require "support.runs"

describe("the garbage collector", function()
  setup(box.enter)
  teardown(function()
    collectgarbage("restart")
    box.leave()
  end)

  local function run_true()
    local opened = assert(require("moonbox.sandbox").open(box.plan(), { early = true }))
    assert.equal(0, assert(opened:exec { run = { "/bin/true" }, last = true }).code)
    assert(opened:close())
  end

  it("of a program that has stopped it stays stopped", function()
    run_true()
    collectgarbage("stop")
    run_true()
    assert.is_false(collectgarbage("isrunning"))
  end)

  -- 4 GB of strings, where 1 GB of address space is to be had. A sanitizer's shadow alone needs more.
  it("of moonbox works once a command has run", function()
    if (os.getenv("MOONBOX_SANITIZER") or "") ~= "" then return end
    local folder = runs.folder()
    finally(function() runs.remove(folder) end)
    local pipeline = runs.write(folder .. "/p.lua", [[return pipeline "p" {
      policy = "offline",
      step "waste" { ["do"] = function(box)
        local code = box:exec { "/bin/true" }
        local length = 0
        for i = 1, 1000 do length = length + #(("x"):rep(4 * 1024 * 1024) .. i) end
        return code == 0 and length > 0
      end },
    }
]])
    local code, out, err = runs.shell(("ulimit -v 1048576; MOONBOX_STATE=%s/state build/moonbox run %s")
      :format(folder, pipeline))
    assert.equal(0, code, out .. err)
  end)
end)
