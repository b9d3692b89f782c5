-- Probe 92: no way to spend time outlasts the time limit, and who won't end is ended with all that it started.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local limited = require "support.limited"

local sys = require("moonbox.core").sys

local TIME, GRACE = 2, 1
-- The supervisor acts at once; a busy machine may not.
local PATIENCE = 20

describe("the time limit (probe 92)", function()
  setup(box.enter)
  teardown(box.leave)

  local rows = ('files = { storage = "memory" },\nlimits = { time = %d * seconds, grace = %d * second },'):format(TIME, GRACE)

  local scripts = {
    ["a sleeper"] = "exec sleep 100",
    ["a busy loop"] = "while :; do :; done",
    ["one that ignores SIGTERM"] = "trap '' TERM INT HUP; while :; do sleep 0.1; done",
    ["one that starts anew at SIGTERM"] =
      "trap 'exec sh -c \"trap : TERM; while :; do sleep 0.1; done\"' TERM; while :; do sleep 0.1; done",
    ["one that has stopped itself"] = "kill -STOP $$; sleep 100",
    ["a tree that has stopped, in sessions of its own"] =
      "for i in 1 2 3; do setsid sh -c 'kill -STOP $$; sleep 100' & done; kill -STOP $$",
    ["a command whose daemons hold its output"] = "for i in 1 2 3; do setsid sh -c 'trap \"\" TERM; sleep 100' & done; wait",
    ["a flood of output"] = "yes & yes >&2 & yes",
  }

  for name, script in pairs(scripts) do
    it("92: ends " .. name, function()
      local mark = "time" .. sys.random_hex(6)
      local outcome, events, path = limited.run(rows, script, { env = { MOONBOX_SPEC_MARK = mark }, keep = 1000 })
      assert.same({ 124, "time", "time limit of 2 s reached" }, { outcome.code, outcome.ended_by, outcome.sentence })
      assert.is_true(outcome.seconds >= TIME and outcome.seconds < TIME + GRACE + PATIENCE, outcome.seconds)
      local event = limited.violation(events, "time")
      assert.same({ TIME, path .. ":3", true, outcome.sentence }, { event.threshold, event.rule, event.ends, event.sentence })
      assert.is_true(event.value >= TIME and event.value < TIME + PATIENCE, event.value)
      assert.is_true(box.wait_for(function() return limited.alive(mark) == 0 end, 10))
    end)
  end

  it("92: lets who is done before it end as he likes (control)", function()
    local outcome, events = limited.run(rows, "trap 'exit 9' TERM; sleep 0.2; exit 7")
    assert.equal(7, outcome.code)
    for _, event in ipairs(events) do assert.is_not.equal("violation", event.event) end
  end)

  it("92: gives the grace to who uses it", function()
    local outcome = limited.run(rows, "trap 'echo bye; exit 9' TERM; while :; do sleep 0.1; done")
    assert.same({ 124, "bye\n" }, { outcome.code, outcome.stdout })
    assert.is_true(outcome.seconds >= TIME, outcome.seconds)
  end)
end)
