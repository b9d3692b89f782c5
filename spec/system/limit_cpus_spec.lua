-- Probe 87: 64 threads that only compute get what one would get, and none buys its way past others.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local compile = require "support.compile"
local limited = require "support.limited"

local SECONDS = 4

describe("the processor limit (probe 87)", function()
  setup(function()
    box.enter()
    compile.helpers("hog")
  end)
  teardown(box.leave)

  local function spin(cpus)
    local outcome = limited.run(('files = { storage = "memory" },\nlimits = { cpus = %g, memory = 256 * MB },'):format(cpus),
      ("nproc; /opt/spec/hog spin 64 %d"):format(SECONDS))
    assert.equal(0, outcome.code, outcome.sentence or outcome.stderr)
    return outcome.usage.cpu_seconds / outcome.seconds, tonumber(outcome.stdout)
  end

  it("87: holds for 64 threads as for one; with more, they use more (control)", function()
    if limited.version "cpu" == 0 then
      local used, processors = spin(1)
      assert.equal(1, processors)
      return assert.is_true(used < 1.2, used)
    end
    local used = spin(0.25)
    assert.is_true(used < 0.35, used)
    -- Others may be at work on this machine.
    local more = spin(2)
    assert.is_true(more > 0.5 and more > used * 1.5, used .. " " .. more)
  end)

  it("87: of whole processors is kept where only pinning holds it; half a one is refused", function()
    if limited.version "cpu" > 0 then pending "here a group holds any number" end
    local opened, why, code = require("moonbox.sandbox").open(box.plan(function(plan) plan.limits.cpus = 0.5 end))
    assert.same({ nil, 69 }, { opened, code })
    assert.matches("only whole processors can be held", why)
    local outcome = limited.run('limits = { cpus = 1 },', "taskset -p -c 0-63 $$; nproc")
    assert.matches("\n1\n$", outcome.stdout)
  end)

  it("87: real-time classes, deadlines and priorities above the rest are refused", function()
    local outcome = limited.run('files = { storage = "memory" },', "/opt/spec/hog favour")
    assert.same({ fifo = "EPERM", rr = "EPERM", deadline = "EPERM", nice = "EACCES", ioprio = "EPERM" }, box.answers(outcome.stdout))
  end)

  it("87: which root of the host may ask for (control)", function()
    require("support.mode").need("root", "only root may")
    local answers = box.answers(box.shell(compile.helpers("hog") .. "/hog favour").stdout)
    assert.same({ "ok", "ok" }, { answers.nice, answers.ioprio })
  end)
end)
