-- What stays behind when a box ends, however it ends: nothing (promise 5 of the threat model; DESIGN section 2).
local box = require "support.box"

local core = require "moonbox.core"

local sys = core.sys

local LONG = os.getenv("MOONBOX_LONG") == "1"

-- A shell's background job ignores SIGINT until moonbox takes it (signal 2 is the second bit of SigBlk, proc(5)); a moment
-- later, so that it comes in the middle.
local LISTENS = "for _ in $(seq 500); do grep -q '^SigBlk:.*[2367abef]$' /proc/$p/status 2>/dev/null && break; "
  .. "sleep 0.02; done; sleep 0.05"

describe("after a box", function()
  local base, abandoned_at

  setup(function()
    box.enter()
    -- The first box makes what is there to stay: the state folder, the locks of id ranges.
    sys.mkdir(box.home .. "/tmp", 448)
    base = box.home .. "/base.lua"
    require("support.runs").write(base, [[return policy "spec" { about = "base on disk", extends = "base" }]])
    for _, policy in ipairs { "offline", base } do
      assert.equal(0, box.exec({ "--policy", policy }, { "true" }).code)
    end
    sys.mkdirs(box.home .. "/other/boxes/abandoned/data", 448)
    abandoned_at = sys.monotonic()
  end)
  teardown(box.leave)

  local function sorted(text)
    local lines = {}
    for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    return lines
  end

  -- A mark that every process of a box of this spec carries in its environment.
  local mark = "mark" .. sys.random_hex(6)

  -- The processes that carry `text` in their environment: { "PID NAME", ... }.
  local function carrying(text)
    local found = {}
    for _, pid in ipairs(sys.list("/proc")) do
      local environment = pid:match("^%d+$") and box.read("/proc/" .. pid .. "/environ")
      if environment and environment:find(text, 1, true) then
        found[#found + 1] = pid .. " " .. (box.read("/proc/" .. pid .. "/comm") or ""):gsub("\n", "")
      end
    end
    return found
  end

  local function marked() return carrying("MOONBOX_SPEC_MARK=" .. mark) end

  local function names(path)
    local list = sys.list(path) or {}
    table.sort(list)
    return list
  end

  -- Loop devices on images of this spec's state: a box's disk, where moonbox is root.
  local function disks()
    local out = {}
    for _, name in ipairs(sys.list("/sys/block") or {}) do
      local backing = name:match("^loop%d+$") and box.read("/sys/block/" .. name .. "/loop/backing_file")
      if backing and backing:find(box.state, 1, true) then out[#out + 1] = name end
    end
    return out
  end

  -- Everything of ours on the host: processes that run with this spec's state or in a box of it, mounts, folders,
  -- temporary files. Other boxes of this machine have other state folders, and are not counted.
  local function snapshot()
    local out = { mounts = sorted(box.read("/proc/self/mountinfo"):gsub("(%d+ %d+ %S+ %S+ %S+)[^\n]*", "%1")),
      boxes = names(box.state .. "/boxes"), disks = disks(), images = names(box.state .. "/images"), processes = {},
      state = {},
      temporary = names(box.home .. "/tmp") }
    for _, process in ipairs(carrying("MOONBOX_STATE=" .. box.state)) do
      if process:match(" moonbox") then out.processes[#out.processes + 1] = process end
    end
    for _, name in ipairs(names(box.state)) do
      if name ~= "cache" then out.state[#out.state + 1] = name end -- compiled policies, kept on purpose
    end
    return out
  end

  local function groups()
    return sorted(box.shell("find /sys/fs/cgroup -path '*moonbox/*' -type d 2>/dev/null; true").stdout)
  end

  -- Waits until all is as before, at most some seconds beyond the promised one: the machine may be busy.
  local function assert_clean(before, context)
    box.wait_for(function()
      local now = snapshot()
      return #marked() == 0 and #now.boxes == #before.boxes and #now.processes == #before.processes
        and #now.disks == #before.disks
    end, 10)
    assert.same({}, marked(), context)
    local now = snapshot()
    for kind, value in pairs(before) do assert.same(value, now[kind], context .. ": " .. kind) end
  end

  local POLICIES = { "offline", "base" }

  local function line(policy, script, options)
    return ("MOONBOX_SPEC_MARK=%s TMPDIR=%s/tmp %s exec --policy %s --env MOONBOX_SPEC_MARK %s -- /bin/sh -c %s"):format(mark, box.home,
      box.program,
      policy == "base" and base or policy, options or "", box.quote(script))
  end

  it("control: while it runs, this spec sees its processes and its folder or disk", function()
    local before = snapshot()
    local pid = box.shell(line("base", "sleep 300") .. " </dev/null >/dev/null 2>&1 & echo $!").stdout
    assert.is_true(box.wait_for(function() return #marked() >= 2 and #snapshot().boxes + #disks() == 1 end, 10))
    box.shell("kill -9 " .. pid)
    assert_clean(before, "control")
  end)

  it("that ended well or badly nothing is left", function()
    local before = snapshot()
    for _, policy in ipairs(POLICIES) do
      for _, script in ipairs { "true", "exit 3", "kill -9 $$", "sleep 300 & setsid sleep 300 & exit 0", "echo x > /workspace/f; "
        .. "mkdir -p /workspace/a/b/c; chmod 000 /workspace/a", "kill -9 -1" } do
        box.shell(line(policy, script) .. " </dev/null >/dev/null 2>&1")
        assert_clean(before, policy .. " " .. script)
      end
    end
  end)

  it("that could not start nothing is left", function()
    local before = snapshot()
    for _, policy in ipairs(POLICIES) do
      box.shell(line(policy, "true", "--bind /etc/passwd:/workspace") .. " >/dev/null 2>&1")
      box.shell(line(policy, "true", "--cwd /nowhere") .. " >/dev/null 2>&1")
      box.shell("ulimit -n 12; " .. line(policy, "true") .. " >/dev/null 2>&1")
      assert_clean(before, policy)
    end
  end)

  it("that was interrupted or timed out nothing is left", function()
    local before = snapshot()
    for _, policy in ipairs(POLICIES) do
      for _, signal in ipairs { "INT", "TERM", "HUP", "QUIT" } do
        box.shell(("%s </dev/null >/dev/null 2>&1 & p=$!; %s; kill -%s $p; wait $p"):format(
          line(policy, "sleep 300"), LISTENS, signal))
        assert_clean(before, policy .. " " .. signal)
      end
      assert.equal(124, box.shell(line(policy, "sleep 300 & sleep 300", "--time 0.2") .. " </dev/null 2>/dev/null").code)
      assert_clean(before, policy .. " time")
    end
  end)

  -- As a terminal's Ctrl-C or its end does, and before moonbox watches for it: every process of the group gets it.
  it("whose whole process group had a signal at any moment of the start, the signal is the exit code", function()
    local before = snapshot()
    for i = 1, LONG and 500 or 60 do
      -- 0 to 14.5 ms: from before the program to after the clone. A group is there once setsid has made it.
      local done = box.shell(("setsid env %s </dev/null 2>&1 & p=$!; sleep %.4f; for _ in $(seq 500); do "
        .. "kill -HUP -$p 2>/dev/null && break; sleep 0.01; done; wait $p"):format(line("base", "sleep 300"), (i * 7 % 30) / 2000))
      assert.equal(129, done.code, done.stdout .. done.stderr)
      if i % 20 == 0 then assert_clean(before, "round " .. i) end
    end
  end)

  it("whose moonbox was killed at any moment nothing is left within seconds", function()
    local before = snapshot()
    local script = "echo x > /workspace/f; sleep 300 & setsid sleep 300 & sleep 300"
    for i = 1, LONG and 1000 or 60 do
      local policy = POLICIES[i % 2 + 1]
      -- 0 to 58 ms: from before the clone to long after the first command
      box.shell(("%s </dev/null >/dev/null 2>&1 & p=$!; sleep %.4f; kill -9 $p; wait $p 2>/dev/null; true"):format(
        line(policy, script), (i * 7 % 60) / 1000))
      if i % 10 == 0 then assert_clean(before, policy .. " round " .. i) end
    end
    assert_clean(before, "the end")
  end)

  it("whose keeper and init were killed by their own user nothing is left after the next one", function()
    local before = snapshot()
    local opened = box.open(box.plan(nil, "base"))
    box.inside(opened, "echo x > /workspace/f")
    os.execute("kill -9 " .. opened.running:pid())
    local outcome = opened:exec { run = { "true" } }
    assert.is_true(outcome == nil or outcome.code ~= 0)
    opened:close()
    assert.equal(0, box.exec({ "--policy", base }, { "true" }).code)
    assert_clean(before, "init")
  end)

  it("of many at once nothing is left, and none disturbs another", function()
    local before = snapshot()
    local result = box.shell(("for i in $(seq 20); do %s >%s/out$i 2>&1 </dev/null & done; wait; cat %s/out* | sort -u"):format(
      line("offline", "echo mine > /workspace/f; sleep 0.3; cat /workspace/f"), box.home, box.home))
    assert.equal("mine\n", result.stdout)
    box.shell(("rm -f %s/out*"):format(box.home))
    assert_clean(before, "20 at once")
  end)

  it("that nobody holds any more the next program's first box leaves nothing, through the Lua API too", function()
    -- The young are left alone, since a folder is made before it is locked.
    sys.sleep(math.max(0, abandoned_at + 12 - sys.monotonic()))
    box.use_state(box.home .. "/other")
    local ran, outcome = pcall(box.once, box.plan(), { "echo", "ran" })
    box.use_state(box.state)
    assert.is_true(ran, outcome)
    assert.equal("ran\n", outcome.stdout)
    assert.same({}, names(box.home .. "/other/boxes"))
  end)

  it("no control group of it is left", function()
    local before = groups()
    for _ = 1, 10 do assert.equal(0, box.exec({}, { "true" }).code) end
    box.shell(line("offline", "sleep 300") .. " </dev/null >/dev/null 2>&1 & p=$!; sleep 0.1; kill -9 $p; wait $p 2>/dev/null; true")
    local known = {}
    for _, path in ipairs(before) do known[path] = true end
    local function new()
      local list = {}
      for _, path in ipairs(groups()) do
        -- A group of another moonbox that runs at this moment holds its processes; ours would be empty by now.
        if not known[path] and box.read(path .. "/cgroup.procs") == "" then list[#list + 1] = path end
      end
      return list
    end
    box.wait_for(function() return #new() == 0 end, 10)
    assert.same({}, new())
  end)

  it("no descriptor of the supervisor is left, over many boxes of one process", function()
    local function count() return #sys.list("/proc/self/fd") end
    box.once(box.plan(), { "true" })
    box.once(box.plan(nil, "base"), { "true" })
    collectgarbage()
    local before = count()
    for i = 1, LONG and 1000 or 30 do
      box.once(box.plan(nil, POLICIES[i % 2 + 1]), { "true" })
    end
    collectgarbage()
    assert.is_true(count() <= before, count() .. " descriptors, " .. before .. " before")
  end)

  if LONG then
    it("1,000 runs leave nothing", function()
      local before = snapshot()
      for i = 1, 1000 do
        assert.equal(i % 256, box.shell(line(POLICIES[i % 2 + 1], "exit " .. i % 256) .. " </dev/null").code)
      end
      assert_clean(before, "1,000 runs")
    end)
  end
end)
