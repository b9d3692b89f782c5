-- Probe 92, the part that needs a machine of its own: the time of a sandbox is not that of the host's clock, which jumps.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local limited = require "support.limited"
local mode = require "support.mode"

local sys = require("moonbox.core").sys

local DAY, TIME, PATIENCE = 86400, 4, 30

describe("when the host's clock jumps (probe 92)", function()
  setup(box.enter)
  teardown(box.leave)

  local ROWS = ('files = { storage = "memory" },\nlimits = { time = %d * seconds, cpu_time = 60 * seconds, grace = 1 * second },')
    :format(TIME)

  -- Sets the clock `seconds` on, and back after the spec.
  local function jump(seconds)
    local real, monotonic = sys.realtime(), sys.monotonic()
    assert.equal(0, box.shell(("date -s @%d"):format(real + seconds)).code)
    assert.is_true(math.abs(sys.realtime() - real - seconds) < PATIENCE, "control: it did not jump")
    return function() box.shell(("date -s @%d"):format(real + sys.monotonic() - monotonic)) end
  end

  for name, seconds in pairs { ["a day forward"] = DAY, ["a day back"] = -DAY } do
    it(name .. ", a sandbox has its time, no less and no more", function()
      mode.need("root", "only root may set the clock")
      local opened, events = limited.open(ROWS)
      local back, jumped
      local outcome = box.inside(opened, "while :; do sleep 0.1; done", { on_tick = function()
        if not jumped then back, jumped = jump(seconds), true end
      end })
      back()
      assert.same({ 124, "time", "time limit of 4 s reached" }, { outcome.code, outcome.ended_by, outcome.sentence })
      assert.is_true(outcome.seconds >= TIME and outcome.seconds < TIME + PATIENCE, outcome.seconds)
      assert.is_true(limited.violation(events, "time").value < TIME + PATIENCE)
    end)
  end

  it("so have a command of a sandbox by id, and a sandbox that is frozen", function()
    mode.need("root", "only root may set the clock")
    local time = 20
    local function moonbox(line) return box.shell(box.program .. " " .. line .. " </dev/null") end
    local policy = limited.policy((ROWS:gsub("time = 4", "time = " .. time, 1)))
    local began = sys.monotonic()
    assert.equal(0, moonbox("create --id jumps --policy " .. policy).code)
    finally(function() moonbox("destroy jumps") end)
    box.shell(("(%s exec jumps --timeout 3s -- sleep 100; echo $? > %s/code) </dev/null >/dev/null 2>&1 &"):format(box.program,
      box.home))
    os.execute("sleep 1")
    local forth = jump(DAY)
    local code = box.wait_for(function() return (box.read(box.home .. "/code") or ""):match("%d+\n") end, PATIENCE)
    local paused = moonbox("pause jumps").code
    forth()
    assert.same({ "124\n", 0 }, { code, paused })
    local ended = box.wait_for(function() return moonbox("list --json").stdout:match('"ended"') end, time + PATIENCE)
    assert.is_truthy(ended)
    assert.is_true(sys.monotonic() - began >= time)
  end)
end)
