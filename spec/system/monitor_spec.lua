-- The monitor: what a sandbox uses is sampled, what it breaks is told, and the policy's hooks answer.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local json = require "moonbox.json"
local runs = require "support.runs"

describe("the monitor", function()
  setup(box.enter)
  teardown(box.leave)

  local events

  -- Runs a script under a policy of these rows; the events are in `events`.
  local function run(rows, script, spec)
    local path = runs.write(box.home .. "/policy.lua", ('return policy "watched" { extends = "base",\n' .. rows .. "\n}\n"))
    events = {}
    local opened = box.open(assert(require("moonbox.plan").load(path)), { on_event = function(e) events[#events + 1] = e end })
    local outcome = box.inside(opened, script, spec)
    assert(opened:close())
    return outcome
  end

  local function all(name)
    local out = {}
    for _, event in ipairs(events) do
      if event.event == name then out[#out + 1] = event end
    end
    return out
  end

  local function first(name)
    return assert(all(name)[1], "no event " .. name .. " in " .. json.encode(json.array(events)))
  end

  -- Root can everywhere that the project is tested, an ordinary user where he has a group of version 2.
  local function can_freeze()
    return require("support.mode").name() == "root" or require("moonbox.core").cgroups().unified ~= ""
  end

  local MEMORY = 'files = { storage = "memory" },\n'
  local HOG = "exec python3 -c 'import time; x = bytearray(100 << 20); time.sleep(20)'"

  it("writes down what is used, often at first and then rarely", function()
    local outcome = run(MEMORY, "exec python3 -c 'import time; x = bytearray(50 << 20); time.sleep(3.6)'")
    local samples = all "usage"
    -- At once, after 1 s, 3 s, 7 s and so on.
    local most = math.floor(math.log(outcome.seconds + 1) / math.log(2)) + 1
    assert.is_true(#samples >= 2 and #samples <= most, #samples)
    local last = samples[#samples]
    assert.is_true(last.memory >= 50 * 2 ^ 20 and last.memory < 200 * 2 ^ 20, last.memory)
    assert.is_true(last.processes >= 1 and last.seconds >= 1)
    assert.is_number(last.cpu_seconds)
  end)

  it("says which limit ended a command, its value, its threshold and its line", function()
    local outcome = run(MEMORY .. "limits = { time = 1 * second, grace = 0 * seconds }", "sleep 20")
    assert.equal(124, outcome.code)
    local event = first "violation"
    assert.equal("time", event.limit)
    assert.equal("time limit of 1 s reached", event.sentence)
    assert.equal(1, event.threshold)
    assert.is_true(event.value >= 1)
    assert.is_true(event.ends)
    assert.equal(box.home .. "/policy.lua:3", event.rule)
  end)

  it("ends a sandbox that has taken its processor time, however many processes took it", function()
    local outcome = run(MEMORY .. "limits = { cpu_time = 2 * seconds, time = 60 * seconds, grace = 1 * second }",
      "(while :; do :; done) & (while :; do :; done) & (sleep 1; while :; do :; done) & sleep 50")
    assert.same({ 124, "cpu_time", "processor time limit of 2 s reached" },
      { outcome.code, outcome.ended_by, outcome.sentence })
    local event = first "violation"
    assert.same({ "cpu_time", 2, true, box.home .. "/policy.lua:3" },
      { event.limit, event.threshold, event.ends, event.rule })
    assert.is_true(event.value >= 2 and outcome.seconds < 20, event.value)
    assert.equal(0, run(MEMORY .. "limits = { cpu_time = 2 * seconds }", "sleep 2.5").code)
    local path = runs.write(box.home .. "/hard.lua",
      'return policy "hard" { extends = "base", limits = { cpu_time = 2 * seconds, hold = { cpu_time = "hard" } } }')
    local refused, why, code = require("moonbox.sandbox").open(assert(require("moonbox.plan").load(path)))
    assert.same({ nil, 69 }, { refused, code })
    assert.matches("wants cpu_time held hard, and here it would be watched", why, 1, true)
  end)

  it("kills who ignores SIGTERM after the policy's grace, and a step's", function()
    local outcome = run(MEMORY .. "limits = { time = 1 * second, grace = 1 * second }",
      "trap '' TERM; while :; do sleep 0.1; done")
    assert.equal(124, outcome.code)
    assert.is_true(outcome.seconds >= 2 and outcome.seconds < 9, outcome.seconds)
  end)

  it("tells once in a while when processes are refused, and lets the sandbox go on", function()
    local outcome = run(MEMORY .. "limits = { processes = 16 }",
      "(for i in $(seq 40); do sleep 3 & done) 2>/dev/null; sleep 2.5; echo alive; exit 3")
    assert.equal("alive\n", outcome.stdout)
    assert.equal(3, outcome.code)
    assert.equal(1, #all "violation")
    assert.equal("process limit of 16 reached: no more can be started", first("violation").sentence)
    assert.is_nil(first("violation").ends)
  end)

  describe("asks on.usage, which", function()
    it("may warn and log, once for the same thing", function()
      run(MEMORY .. [[on = { usage = function(use)
        if use.memory > 64 * MB then return warn("above " .. 64), log "seen" end end }]],
        "exec python3 -c 'import time; x = bytearray(100 << 20); time.sleep(3.5)'")
      assert.equal(1, #all "warning")
      assert.equal("above 64", first("warning").text)
      assert.equal(box.home .. "/policy.lua:4", first("warning").rule)
      assert.is_true(first("warning").usage.memory > 64 * 2 ^ 20)
      assert.equal("usage", first("log").hook)
    end)

    it("may end the sandbox", function()
      local outcome = run(MEMORY .. 'on = { usage = function(use) if use.memory > 64 * MB then return kill "too much" end end }', HOG)
      assert.equal(137, outcome.code)
      assert.equal("killed", outcome.ended_by)
      assert.equal("ended by the policy: too much (" .. box.home .. "/policy.lua:3)", outcome.sentence)
      assert.is_true(outcome.seconds < 15)
    end)

    it("ends it when it fails, overruns or answers nonsense", function()
      for body, why in pairs { ["error 'no'"] = "failed: .*policy.lua:3: no", ["while true do end"] = "budget of instructions",
        ["return 5"] = "returned the number 5", ["return notify 'nobody'"] = "no receiver called `nobody`" } do
        local outcome = run(MEMORY .. "on = { usage = function() " .. body .. " end }", "sleep 20")
        assert.equal(137, outcome.code)
        assert.matches(why, outcome.sentence)
        assert.is_true(outcome.seconds < 15)
      end
    end)

    it("may throttle, where there is a cpu group, and else ends the sandbox", function()
      local outcome = run(MEMORY .. 'on = { usage = function(use) if use.time > 1 * second then return throttle { cpus = 0.1 } end end }',
        "timeout 6 sh -c 'while :; do :; done'; exit 4")
      if require("moonbox.core").cgroups().cpu.version == 0 then
        assert.matches("the policy's `throttle` can't be done here", outcome.sentence)
        return assert.equal(137, outcome.code)
      end
      assert.equal(4, outcome.code)
      assert.equal(1, #all "throttled")
      assert.equal(0.1, first("throttled").cpus)
      assert.is_true(outcome.usage.cpu_seconds < 4, outcome.usage.cpu_seconds)
    end)

    it("may freeze for a time, where a group can, and else ends the sandbox", function()
      local outcome = run(MEMORY .. [[on = { usage = (function() local done = false; return function(use)
        if not done then done = true; return freeze { "look", time = 2 * seconds } end end end)() }]],
        "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; exit 5")
      if not can_freeze() then
        assert.matches("the policy's `freeze` can't be done here", outcome.sentence)
        assert.equal(137, outcome.code)
        return assert.is_nil(all("frozen")[1])
      end
      assert.equal(5, outcome.code)
      assert.equal(2, first("frozen").seconds)
      assert.equal(1, #all "thawed")
      assert.is_true(outcome.seconds >= 2.5, outcome.seconds)
    end)

    it("does not let a frozen one escape its time", function()
      local outcome = run(MEMORY .. 'limits = { time = 2 * seconds },\non = { usage = function() return freeze end }', "sleep 20")
      assert.equal(can_freeze() and 124 or 137, outcome.code)
      assert.matches(can_freeze() and "^time limit of 2 s reached$" or "can't be done here", outcome.sentence)
      assert.is_true(outcome.seconds < 9, outcome.seconds)
    end)
  end)

  describe("asks on.violation, which", function()
    it("hears of what ended the sandbox, and can't keep it", function()
      local outcome = run(MEMORY .. [[limits = { time = 1 * second },
        on = { violation = function(v) if v.limit == "time" and v.ends and v.value >= v.threshold then
          return log("over " .. v.rule:match("[^/]+$")) end end }]], "sleep 20")
      assert.equal(124, outcome.code)
      assert.equal("over policy.lua:3", first("log").text)
      assert.equal("time", first("log").limit)
    end)

    it("may end a sandbox for what the kernel only refuses", function()
      local outcome = run(MEMORY .. [[limits = { processes = 16 },
        on = { violation = function(v) if v.limit == "processes" then return kill "a fork bomb" end end }]],
        "(for i in $(seq 40); do sleep 20 & done) 2>/dev/null; sleep 20")
      assert.equal(137, outcome.code)
      assert.matches("^ended by the policy: a fork bomb %(.*policy.lua:4%)$", outcome.sentence)
    end)
  end)

  it("tells receivers by their command, not more often than every ten seconds", function()
    local told = box.home .. "/told"
    run(MEMORY .. ([[receivers = { ops = { "/bin/sh", "-c", "cat >> %s; sleep 1" } },
      on = { usage = function(use) return notify "ops" end }]]):format(told), "sleep 3.5")
    assert.is_true(box.wait_for(function() return (box.read(told) or ""):sub(-1) == "\n" end, 5))
    local lines = {}
    for line in box.read(told):gmatch("[^\n]+") do lines[#lines + 1] = assert(json.decode(line)) end
    assert.equal(1, #lines)
    assert.equal("notice", lines[1].event)
    assert.equal("watched", lines[1].policy)
    assert.equal(box.home .. "/policy.lua:4", lines[1].rule)
    assert.equal("ops", first("notified").receiver)
  end)

  it("goes on when a receiver can't be told, and says so", function()
    local outcome = run(MEMORY .. [[receivers = { ops = { "/nowhere/tell" } },
      on = { usage = function(use) return notify "ops" end }]], "sleep 1.5; exit 6")
    assert.equal(6, outcome.code)
    assert.matches("start /nowhere/tell: No such file", first("notified").failed)
  end)

  it("leaves no process behind", function()
    local path = runs.write(box.home .. "/policy.lua", 'return policy "x" { extends = "base", on = { usage = function() end } }')
    local function workers() return select(2, box.shell("ps -o comm= --ppid $PPID").stdout:gsub("moonbox%-hooks", "")) end
    local opened = box.open(assert(require("moonbox.plan").load(path)))
    assert.equal(1, workers(), "control")
    opened:close()
    assert.equal(0, workers())
  end)

  it("shows warnings of moonbox exec, and its events as JSON", function()
    local path = runs.write(box.home .. "/exec.lua", 'return policy "x" { extends = "base", ' .. MEMORY
      .. 'on = { usage = function() return warn "look" end } }\n')
    local result = box.exec({ "--policy", path }, { "sleep", "1.2" })
    assert.equal(("moonbox: warning: look (%s:2)\n"):format(path), result.stderr)
    result = box.exec({ "--policy", path, "--json", "--time", "1" }, { "sleep", "9" })
    local names = {}
    for line in result.stderr:gmatch("{[^\n]+") do names[#names + 1] = json.decode(line).event end
    assert.same({ "warning", "violation", "result" }, names)
  end)
end)
