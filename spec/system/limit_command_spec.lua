-- Memory that one command of a sandbox by id takes. Where each command has a control group of its own (version 2), it is
-- killed with all that it has started, and nobody else is. Elsewhere the whole sandbox ends, as the README says: the
-- positive control, for the same attempts then cost the neighbours.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local compile = require "support.compile"
local json = require "moonbox.json"
local limited = require "support.limited"

local sys = require("moonbox.core").sys

local LIMIT, MORE = 96, 200
local LEAVES = limited.version "memory" == 2
local WHOLE = "where commands have no control group of their own the whole sandbox ends (README)"
local SENTENCE = "^memory limit of 96 MB reached: %d+ process[es]* killed"

local function run(...) return box.shell(box.program .. " " .. box.words { ... } .. " </dev/null") end

local function inside(id, script, ...)
  local words = { "exec", id, ... }
  for _, word in ipairs { "--", "sh", "-c", script } do words[#words + 1] = word end
  return run(unpack(words))
end

local function record(id) return json.decode(run("inspect", id).stdout) end

local function events(id)
  local out = {}
  for line in run("events", id).stdout:gmatch("[^\n]+") do out[#out + 1] = json.decode(line) end
  return out
end

local function groups_of(name)
  return box.shell("find /sys/fs/cgroup -path '*/" .. name .. "*' -type d 2>/dev/null").stdout
end

describe("the memory of a command (probe 86)", function()
  local helpers

  setup(function()
    box.enter()
    helpers = compile.helpers("hog", "trysyscall")
  end)
  teardown(function()
    for line in run("list", "--json").stdout:gmatch("[^\n]+") do run("destroy", json.decode(line).id) end
    box.leave()
  end)

  local function create(id, storage, memory)
    local policy = limited.policy(([[files = { storage = "%s", scratch { "/dev/shm", size = 256 * MB } },
      limits = { memory = %d * MB, disk = 300 * MB, time = 10 * minutes },]]):format(storage or "memory", memory or LIMIT))
    local made = run("create", "--id", id, "--policy", policy, compile.option(helpers))
    assert.same({ code = 0, stdout = id .. "\n", stderr = "" }, made)
  end

  -- Begins a command that waits for `let_go(id, name)` and then says fine; `name` is of the file with its code.
  local function neighbour(id, name)
    local out = ("%s/%s"):format(box.home, name)
    box.shell(("(%s; echo $? >> %s) > %s 2>&1 &"):format(box.program .. " exec " .. id .. " -- sh -c "
      .. box.quote(("echo here > /tmp/%s; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo fine"):format(name)), out, out))
    assert.is_true(box.wait_for(function() return inside(id, "cat /tmp/" .. name).code == 0 end, 30))
    return function() return box.wait_for(function() return (box.read(out) or ""):match("^(.*%d)\n$") end, 30) end
  end

  local function assert_killed(result)
    assert.equal(137, result.code, result.stderr)
    assert.matches("^moonbox: memory limit of 96 MB reached: %d+ process[es]* killed[^\n]*\n$", result.stderr)
  end

  -- The last violation of the memory limit that the sandbox's record tells of.
  local function told(id)
    local found
    for _, event in ipairs(events(id)) do
      if event.event == "violation" and event.limit == "memory" then found = event end
    end
    return found
  end

  for _, kind in ipairs { "map", "shm" } do
    it(("86: taken by %s ends the command's tree, and neither init nor the others"):format(kind), function()
      if not LEAVES then pending(WHOLE) end
      create("one")
      local mark, over = "oom" .. sys.random_hex(6), neighbour("one", "n1")
      local pid, init = record("one").pid, box.shell("pgrep -P " .. record("one").pid .. " -x moonbox-init").stdout
      local result = inside("one", ("for i in 1 2 3; do setsid sh -c 'sleep 300; :' & done; sleep 0.5; "
        .. "(/opt/spec/hog memory %s %d 60; echo survived); sleep 60"):format(kind, MORE),
        "--env", "MOONBOX_SPEC_MARK=" .. mark)
      assert_killed(result)
      assert.equal("", result.stdout)
      assert.is_true(box.wait_for(function() return limited.alive(mark) == 0 end, 10))
      assert.equal(0, inside("one", "rm -f /dev/shm/hog && touch /tmp/go").code)
      assert.equal("fine\n0", over())
      assert.same({ "running", pid }, { record("one").state, record("one").pid })
      assert.equal(init, box.shell("pgrep -P " .. pid .. " -x moonbox-init").stdout)
      local event = told("one")
      assert.matches(SENTENCE, event.sentence)
      assert.equal("moonbox: " .. event.sentence .. "\n", result.stderr)
      assert.same({ LIMIT * 2 ^ 20 }, { event.threshold, event.ends })
      run("destroy", "one")
    end)
  end

  it("control: without groups of their own, all commands end with the one, and the sandbox says so", function()
    if LEAVES then pending("each command has a control group of its own here") end
    create("whole")
    local over = neighbour("whole", "n1")
    local result = inside("whole", ("/opt/spec/hog memory map %d 60; sleep 60"):format(MORE))
    assert.equal(137, result.code, result.stderr)
    assert.matches("moonbox: memory limit of 96 MB reached: ", result.stderr)
    assert.matches("moonbox: memory limit of 96 MB reached: [^\n]+\n137$", over())
    assert.is_true(box.wait_for(function() return record("whole").state == "ended" end, 20))
    assert.same({ "memory", true }, { record("whole").ended_by, told("whole").ends })
    run("destroy", "whole")
  end)

  it("86: taken again and again leaves a sandbox that works, and no more groups than before", function()
    if not LEAVES then pending(WHOLE) end
    create("again")
    local name = record("again").box
    for _ = 1, 2 do
      assert_killed(inside("again", ("/opt/spec/hog memory map %d 60; sleep 60"):format(MORE)))
      assert.same({ code = 0, stdout = "fine\n", stderr = "" }, inside("again", "echo fine"))
    end
    local _, count = groups_of(name):gsub("/c%d+\n", "")
    assert.is_true(count <= 2, groups_of(name))
    run("destroy", "again")
  end)

  it("86: taken by what an ended command has left behind ends that, and is told", function()
    if not LEAVES then pending(WHOLE) end
    create("left")
    local result = inside("left", ("setsid sh -c 'sleep 1; /opt/spec/hog memory map %d 60; sleep 60' >/dev/null 2>&1 & exit 3")
      :format(MORE))
    assert.equal(3, result.code)
    local event = box.wait_for(function() return told("left") end, 30)
    assert.matches(SENTENCE, event.sentence)
    assert.same({ code = 0, stdout = "fine\n", stderr = "" }, inside("left", "echo fine"))
    run("destroy", "left")
  end)

  it("86: taken by two together ends one of them, and the limit holds for both", function()
    if not LEAVES then pending(WHOLE) end
    create("both")
    local over = neighbour("both", "n1")
    assert.equal(0, inside("both", "setsid /opt/spec/hog memory map 25 600 >/tmp/small 2>&1 & "
      .. "while [ ! -s /tmp/small ]; do sleep 0.1; done").code)
    assert_killed(inside("both", ("/opt/spec/hog memory map %d 60"):format(MORE)))
    assert.equal(0, inside("both", "touch /tmp/go").code)
    assert.equal("fine\n0", over())
    assert.equal(0, inside("both", "pgrep -x hog").code)
    run("destroy", "both")
  end)

  it("86: a command with a time of its own, and one on a file, are told the same", function()
    if not LEAVES then pending(WHOLE) end
    create("timed")
    assert_killed(inside("timed", ("setsid /opt/spec/hog memory map %d 60; sleep 60"):format(MORE), "--timeout", "100s"))
    local slow = inside("timed", "setsid sleep 100 & sleep 100", "--timeout", "1s")
    assert.same({ code = 124, stdout = "", stderr = "moonbox: time limit of 1 s reached\n" }, slow)
    local file = box.home .. "/large"
    box.shell(("yes | head -c 100000000 > %s"):format(file))
    local copied = run("cp", file, "timed:/dev/shm/large")
    assert.are_not.equal(0, copied.code)
    assert.equal(0, inside("timed", "rm -f /dev/shm/large /dev/shm/.large*; echo fine").code)
    os.remove(file)
    run("destroy", "timed")
  end)

  it("86: is not what the page cache counts against", function()
    create("cache", "disk", 48)
    local result = inside("cache",
      "dd if=/dev/zero of=/workspace/f bs=1M count=60 2>/dev/null && wc -c < /workspace/f && cat /workspace/f | wc -c")
    assert.same({ code = 0, stdout = "62914560\n62914560\n", stderr = "" }, result)
    run("destroy", "cache")
  end)

  it("no command can make a process in another group, or reach one", function()
    create("still")
    local seen = inside("still", "/opt/spec/trysyscall 435; ls /proc/self/fd; ls -A /sys 2>/dev/null; cat /proc/self/cgroup")
    assert.matches("^ENOSYS\n0\n1\n2\n3\n", seen.stdout)
    assert.is_nil(seen.stdout:find(record("still").box, 1, true))
    if LEAVES then assert.matches("\n0::/c%d+\n$", seen.stdout) end
    assert.are_not.equal(0, inside("still", "mount -t cgroup2 none /tmp || cat /sys/fs/cgroup/cgroup.procs").code)
    -- What init holds of its score is out of reach.
    assert.are_not.equal(0, inside("still", "ls /proc/1/fd/ || echo 0 > /proc/1/oom_score_adj").code)
    run("destroy", "still")
  end)

  it("is watched over by the posture, with commands alive", function()
    create("seen")
    for _, options in ipairs { "", "--timeout 100s" } do
      box.shell(("%s exec seen %s -- sleep 100 </dev/null >/dev/null 2>&1 &"):format(box.program, options))
    end
    assert.is_true(box.wait_for(function() return inside("seen", "pgrep -cx sleep").stdout == "2\n" end, 30))
    local shown = run("posture", "seen")
    assert.equal(0, shown.code, shown.stdout .. shown.stderr)
    assert.matches("reaper +moonbox%-reaper", shown.stdout)
    if LEAVES then
      -- Control: one that is where init is, and with a filter less, is seen.
      local posture, process = require "moonbox.posture", require "moonbox.process"
      local data, fields = record("seen"), {}
      local list = assert(require("moonbox").open("seen")):posture()
      local look, init
      for _, one in ipairs(list) do
        if one.kind == "command" and one.name == "sleep" then look = process.look(one.pid) end
        if one.kind == "init" then init = process.look(one.pid) end
      end
      local plan = assert(require("moonbox.sandboxes").plan(box.state .. "/sandboxes/seen"))
      look.groups = init.groups
      look.threads[1].Seccomp_filters = init.threads[1].Seccomp_filters
      for _, d in ipairs(posture.check_inside(look, { plan = plan, box = data.box, outside = process.look(data.pid),
        init = init, grouped = true }).differences) do fields[d.field] = true end
      assert.same({ leaf = true, Seccomp_filters = true }, fields)
    end
    run("destroy", "seen")
  end)

  it("stops and goes on with the sandbox, and leaves no group whoever is killed", function()
    create("gone")
    local name, over = record("gone").box, neighbour("gone", "n1")
    if run("pause", "gone").code == 0 then
      assert.equal(0, run("resume", "gone").code)
    end
    assert.equal(0, inside("gone", "touch /tmp/go; setsid sleep 300 >/dev/null 2>&1 & exit 0").code)
    assert.equal("fine\n0", over())
    for _, whom in ipairs { "moonbox$", "moonbox" } do
      local pid = record("gone").pid
      -- The supervisor alone, whose keeper then removes what is left; and both.
      box.shell(whom == "moonbox$" and ("kill -9 %d"):format(pid)
        or ("kill -9 %d $(pgrep -P %d -x moonbox-keeper)"):format(pid, pid))
      assert.is_true(box.wait_for(function() return record("gone").state == "ended" end, 20))
      run("gc")
      assert.equal("", box.wait_for(function() return groups_of(name) == "" and "" end, 20) or groups_of(name))
      run("destroy", "gone")
      if whom == "moonbox$" then
        create("gone")
        name = record("gone").box
        assert.equal(0, inside("gone", "setsid sleep 300 >/dev/null 2>&1 & exit 0").code)
      end
    end
  end)
end)
