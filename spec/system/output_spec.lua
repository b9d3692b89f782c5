-- Probe 91: a flood of output is bounded, told, and holds nobody up.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"

local MB = 2 ^ 20

describe("output", function()
  local opened

  setup(box.enter)
  teardown(box.leave)
  before_each(function() opened = box.open(box.plan()) end)
  after_each(function() opened:close() end)

  local FLOOD = "head -c %d /dev/zero | tr '\\0' x; printf end"

  it("that is short is kept whole, on both streams", function()
    local outcome = box.inside(opened, "printf a; printf b >&2")
    assert.equal("a", outcome.stdout)
    assert.equal("b", outcome.stderr)
    assert.equal(0, outcome.dropped)
  end)

  it("that just fits is whole as well", function()
    local outcome = box.inside(opened, "printf 1234567890", { keep = 10 })
    assert.equal("1234567890", outcome.stdout)
    assert.equal(0, outcome.dropped)
  end)

  it("that is long loses its middle, which is counted", function()
    local outcome = box.inside(opened, "printf begin;" .. FLOOD:format(200 * MB), { keep = 100 })
    assert.equal(200 * MB + 8 - 100, outcome.dropped)
    assert.equal(("begin%s\nmoonbox: %.0f bytes were left out here\n%send"):format(("x"):rep(70), outcome.dropped,
      ("x"):rep(22)), outcome.stdout)
    assert.equal(0, outcome.code)
  end)

  it("is bounded in a log file too", function()
    local log = box.home .. "/log"
    local outcome = box.inside(opened, FLOOD:format(50 * MB), { stdout = { log = log, keep = MB } })
    local text = box.read(log)
    assert.equal(0, outcome.code)
    assert.is_true(#text < MB + 100, #text)
    assert.matches("x\nmoonbox: %d+ bytes were left out here\nx+end$", text)
    assert.equal(50 * MB + 3 - MB, outcome.dropped)
  end)

  it("of which nothing is to be kept is dropped in silence", function()
    local outcome = box.inside(opened, FLOOD:format(MB), { keep = 0 })
    assert.equal("", outcome.stdout)
    assert.equal(MB + 3, outcome.dropped)
  end)

  it("without end neither holds up the clock nor grows the supervisor", function()
    local function resident()
      return tonumber(box.read("/proc/self/status"):match("VmRSS:%s+(%d+)")) * 1024
    end
    local before = resident()
    local outcome = box.inside(opened, "yes & yes >&2 & sleep 60", { time = 1.5, keep = MB })
    assert.equal(124, outcome.code)
    assert.equal("time", outcome.ended_by)
    assert.is_true(outcome.dropped > 10 * MB, outcome.dropped)
    assert.is_true(outcome.seconds < 30, outcome.seconds)
    assert.is_true(resident() - before < 64 * MB, resident() - before)
  end)

  it("that nobody reads waits, and the time limit still holds", function()
    local result = box.shell("(" .. box.line({ "--time", "1" }, { "yes" }) .. "; echo code $? >&2) | sleep 4")
    assert.matches("time limit of 1 s reached", result.stderr)
    assert.matches("code 124", result.stderr)
  end)
end)
