-- Probe 86: memory ends where its limit is, however it is taken: the sandbox that took it ends, whole, and nobody else.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local compile = require "support.compile"
local limited = require "support.limited"

local sys = require("moonbox.core").sys

local MB = 2 ^ 20
local LIMIT, MORE = 96, 200

-- What is seen where memory is only watched (README, "What is held by what"): what processes map, and files in memory.
local WATCHED = { map = true, sysv = true, shm = true }
-- Refused by another of the kernel's limits before this one, as it may be.
local REFUSED = { pipe = "EPERM" }

local KINDS = { "map", "sysv", "shm", "memfd", "socket", "tables", "pipe" }

describe("the memory limit (probe 86)", function()
  local neighbour

  setup(function()
    box.enter()
    compile.helpers("hog")
    neighbour = limited.open 'files = { storage = "memory" },\nlimits = { memory = 128 * MB },'
  end)
  teardown(function()
    neighbour:close()
    box.leave()
  end)
  after_each(function()
    assert.equal("fine\n", box.inside(neighbour, "echo fine").stdout)
  end)

  local function rows(memory)
    return ([[files = { storage = "memory", scratch { "/dev/shm", size = 256 * MB } },
      limits = { memory = %d * MB, time = 60 * seconds },]]):format(memory)
  end

  -- The helper stays when it has all that it wanted, to be seen by who only looks now and then.
  local function take(kind, memory, seconds)
    local log = box.home .. "/log"
    os.remove(log)
    local outcome, events, path = limited.run(rows(memory),
      ("/opt/spec/hog memory %s %d %d; sleep 3; echo survived"):format(kind, MORE, seconds), { stdout = { log = log, keep = 1000 } })
    outcome.said = box.read(log)
    return outcome, events, path
  end

  local function assert_ended(outcome, events, path)
    assert.same({ 137, "memory" }, { outcome.code, outcome.ended_by }, outcome.said .. (outcome.sentence or ""))
    assert.matches("^memory limit of 96 MB reached: ", outcome.sentence)
    assert.is_nil(outcome.said:match("survived"), "half of the tree is alive")
    local event = limited.violation(events, "memory")
    assert.same({ LIMIT * MB, path .. ":3", true, outcome.sentence },
      { event.threshold, event.rule, event.ends, event.sentence })
    assert.is_true(event.value > LIMIT * MB * 0.9, event.value)
    if limited.hard "memory" then
      assert.is_true(outcome.usage.memory_peak <= LIMIT * MB, outcome.usage.memory_peak)
      assert.matches("reached: %d+ process", outcome.sentence)
    else
      assert.matches("in %d+ process.* and in memory filesystems$", outcome.sentence)
    end
  end

  for _, kind in ipairs(KINDS) do
    it(("86: holds for what is taken by %s; what fits is given (control)"):format(kind), function()
      if not limited.hard "memory" and not WATCHED[kind] then
        pending("where memory is only watched, this is not seen (README)")
      end
      local outcome, events, path = take(kind, LIMIT, 20)
      local errno = outcome.said:match("^%S+ %d+ (E%u+)\n")
      if errno and REFUSED[kind] then
        assert.equal(REFUSED[kind], errno)
        assert.is_true(outcome.usage.memory_peak <= LIMIT * MB, outcome.usage.memory_peak)
      else
        assert_ended(outcome, events, path)
        assert.equal(kind .. " 200 ok\n", limited.run(rows(512), ("/opt/spec/hog memory %s %d 0"):format(kind, MORE)).stdout)
      end
    end)
  end

  it("86: names the largest process to root", function()
    require("support.mode").need("root", "the kernel's log is root's")
    local outcome = take("map", LIMIT, 0)
    assert.matches("^memory limit of 96 MB reached: %d+ process%l* killed, largest hog [%d.]+ MB$", outcome.sentence)
  end)

  it("86: ends all that the sandbox had started", function()
    local mark = "oom" .. sys.random_hex(6)
    local script = "for i in 1 2 3 4 5; do setsid sh -c 'trap \"\" TERM; sleep 300' & done; /opt/spec/hog memory map 200 20; sleep 20"
    local outcome = limited.run(rows(LIMIT), script, { env = { MOONBOX_SPEC_MARK = mark } })
    assert.equal(137, outcome.code)
    assert.is_true(box.wait_for(function() return limited.alive(mark) == 0 end, 10))
  end)

  it("86: is not what the page cache counts against: files larger than the memory are written and read", function()
    local outcome = limited.run('files = { storage = "disk" },\nlimits = { memory = 96 * MB, disk = 200 * MB, time = 120 * seconds },',
      "dd if=/dev/zero of=/workspace/f bs=1M count=150 2>/dev/null && wc -c < /workspace/f && cat /workspace/f | wc -c")
    assert.same({ 0, "157286400\n157286400\n" }, { outcome.code, outcome.stdout }, outcome.sentence)
    if limited.hard "memory" then assert.is_true(outcome.usage.memory_peak <= LIMIT * MB, outcome.usage.memory_peak) end
  end)

  it("86: is a sentence and 137 of moonbox exec", function()
    local result = limited.exec(rows(LIMIT), { "/opt/spec/hog", "memory", "map", tostring(MORE), "20" })
    assert.equal(137, result.code)
    assert.matches("^moonbox: memory limit of 96 MB reached: [^\n]+\n$", result.stderr)
  end)
end)
