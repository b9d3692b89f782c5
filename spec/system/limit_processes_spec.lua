-- Probe 85: who starts processes without end is refused more, and nobody else notices.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local compile = require "support.compile"
local json = require "moonbox.json"
local limited = require "support.limited"

local sys = require("moonbox.core").sys

local LIMIT = 40

-- Everything that the program does is a matter of milliseconds; this is for a busy machine.
local PATIENCE = 10

describe("the process limit (probe 85)", function()
  setup(function()
    box.enter()
    compile.helpers("hog")
  end)
  teardown(box.leave)

  local function rows(processes, more)
    return ('files = { storage = "memory" },\nlimits = { processes = %d, grace = 0 * seconds, %s },'):format(processes, more or "")
  end

  it("85: refuses with EAGAIN, whether fork, vfork or threads; below it there are as many (control)", function()
    for _, kind in ipairs { "fork", "vfork", "thread" } do
      local outcome = limited.run(rows(LIMIT), "/opt/spec/hog processes " .. kind .. " 100")
      local count = tonumber(outcome.stdout:match("^" .. kind .. " (%d+) EAGAIN\n$"))
      assert.is_truthy(count, outcome.stdout .. outcome.stderr)
      assert.is_true(count >= LIMIT / 2 and count <= LIMIT, kind .. " " .. count)
      assert.equal(kind .. " 100 ok\n", limited.run(rows(256), "/opt/spec/hog processes " .. kind .. " 100").stdout)
    end
  end)

  it("85: is told of by the event, and a bomb ends with its time, whole", function()
    local mark = "bomb" .. sys.random_hex(6)
    local outcome, events, path = limited.run(rows(LIMIT, "time = 3 * seconds"), "exec /opt/spec/hog bomb",
      { env = { MOONBOX_SPEC_MARK = mark } })
    assert.same({ 124, "time", "time limit of 3 s reached" }, { outcome.code, outcome.ended_by, outcome.sentence })
    local event = limited.violation(events, "processes")
    assert.same({ LIMIT, path .. ":3", ("process limit of %d reached: no more can be started"):format(LIMIT) },
      { event.threshold, event.rule, event.sentence })
    assert.is_true(event.value > LIMIT / 2 and event.value <= LIMIT + 2, event.value)
    assert.is_nil(event.ends)
    assert.is_true(box.wait_for(function() return limited.alive(mark) == 0 end, PATIENCE))
  end)

  it("85: leaves the supervisor of a sandbox by id and its neighbours able to answer", function()
    local mark = "bomb" .. sys.random_hex(6)
    local function moonbox(line, ...) return box.shell(box.program .. " " .. line:format(...) .. " </dev/null") end
    for _, id in ipairs { "bomb", "calm" } do
      local made = moonbox("create --id %s --policy %s %s", id, limited.policy(rows(LIMIT)), compile.option(compile.helpers("hog")))
      assert.equal(0, made.code, made.stderr)
    end
    finally(function() moonbox("destroy bomb calm") end)
    box.shell(("%s exec bomb --env MOONBOX_SPEC_MARK=%s -- /opt/spec/hog bomb </dev/null >/dev/null 2>&1 &"):format(box.program, mark))
    assert.is_true(box.wait_for(function() return limited.alive(mark) > LIMIT / 2 end, PATIENCE), "control: no bomb")
    for _ = 1, 5 do
      local seconds, list = limited.timed(function() return moonbox "list --json" end)
      assert.is_true(seconds < PATIENCE, seconds)
      assert.matches('"bomb"', list.stdout, 1, true)
      local others, answer = limited.timed(function() return moonbox "exec calm -- echo fine" end)
      assert.same({ 0, "fine\n" }, { answer.code, answer.stdout })
      assert.is_true(others < PATIENCE, others)
    end
    local seconds, refused = limited.timed(function() return moonbox "exec bomb -- true" end)
    assert.is_true(seconds < PATIENCE, seconds)
    assert.is_true(refused.code == 0 or (refused.code == 126 and refused.stderr:match("Resource temporarily unavailable") ~= nil),
      refused.code .. refused.stderr)
    assert.is_true(limited.alive(mark) <= LIMIT + 2)
    local function told()
      for line in moonbox("events bomb").stdout:gmatch("[^\n]+") do
        local event = json.decode(line)
        if event.event == "violation" and event.limit == "processes" then return event end
      end
    end
    local event = box.wait_for(told, PATIENCE)
    assert.equal(LIMIT, event and event.threshold)
    assert.is_true(limited.timed(function() assert.equal(0, moonbox("stop --grace 0 bomb").code) end) < PATIENCE)
    assert.is_true(box.wait_for(function() return limited.alive(mark) == 0 end, PATIENCE))
  end)

  -- Whether a process is held as process 1 of its sandbox is: in its groups, or below one, and with its limit.
  local function held_like(pid, init)
    local theirs = {}
    for line in (box.read("/proc/" .. init .. "/cgroup") or ""):gmatch("[^\n]+") do theirs[line:match("^%d+:[^:]*:")] = line end
    for line in (box.read("/proc/" .. pid .. "/cgroup") or ""):gmatch("[^\n]+") do
      local group = theirs[line:match("^%d+:[^:]*:")]
      if group and group:match("moonbox") then
        local top = group:match("^(.*moonbox/%x+)")
        if line:sub(1, #top) ~= top then return false end
      end
    end
    local limits = box.read("/proc/" .. pid .. "/limits")
    return limits == nil or tonumber(limits:match("Max processes%s+(%d+)")) <= LIMIT + 2
  end

  it("93: is there for every process from its first instruction on, however early it forks", function()
    local opened = limited.open(rows(LIMIT))
    local init, mark = opened.running:pid(), "first" .. sys.random_hex(6)
    local looked = 0
    local outcome = box.inside(opened, "for i in $(seq 15); do (true | true & sh -c 'true & exec true' &) ; done; sleep 1; echo done", {
      env = { MOONBOX_SPEC_MARK = mark },
      on_tick = function()
        for _, name in ipairs(sys.list("/proc")) do
          local environment = name:match("^%d+$") and box.read("/proc/" .. name .. "/environ") or ""
          if environment:find("MOONBOX_SPEC_MARK=" .. mark, 1, true) then
            looked = looked + 1
            assert.is_true(held_like(name, init), box.read("/proc/" .. name .. "/cgroup"))
          end
        end
      end })
    assert.equal(0, outcome.code, outcome.stderr)
    assert.is_true(looked > 0, "control: none was seen")
    -- Control: this process is held by none of it.
    assert.is_false(held_like("self", init))
    assert(opened:close())
  end)
end)
