-- Sandboxes by id: created, used from other processes, listed, stopped, destroyed.
local box = require "support.box"
local json = require "moonbox.json"

local function run(...)
  local words = { ... }
  return box.shell(box.program .. " " .. box.words(words) .. " </dev/null")
end

local function create(id, ...)
  local made = run("create", "--id", id, ...)
  assert.same({ code = 0, stdout = id .. "\n", stderr = "" }, made)
end

-- The path of a policy whose commands have a second between SIGTERM and SIGKILL.
local function impatient()
  local path = box.home .. "/impatient.lua"
  assert(require("moonbox.core").sys.write_file(path,
    'return policy "impatient" { extends = "base", files = { storage = "memory" }, limits = { grace = 1 * second } }', 384))
  return path
end

local function record(id)
  return json.decode(run("inspect", id).stdout)
end

local function listed(id)
  for line in run("list", "--json").stdout:gmatch("[^\n]+") do
    local data = json.decode(line)
    if data.id == id then return data end
  end
end

local function events(id)
  local out = {}
  for line in run("events", id).stdout:gmatch("[^\n]+") do out[#out + 1] = json.decode(line) end
  return out
end

describe("sandboxes by id", function()
  setup(box.enter)
  teardown(function()
    run("gc", "--ended")
    for line in run("list", "--json").stdout:gmatch("[^\n]+") do run("destroy", json.decode(line).id) end
    box.leave()
  end)

  it("are created, keep their files and processes between commands, and are gone when destroyed", function()
    create("keep")
    assert.equal(0, run("exec", "keep", "--", "sh", "-c", "echo one > /workspace/x; sleep 1000 & echo $! > pid").code)
    assert.same({ code = 0, stdout = "one\n", stderr = "" },
      run("exec", "keep", "--", "sh", "-c", "kill -0 $(cat pid) && cat x"))
    local data = record("keep")
    assert.equal("running", data.state)
    assert.is_true(data.alive)
    assert.same({ code = 0, stdout = "", stderr = "" }, run("destroy", "keep"))
    assert.equal("", run("list").stdout)
    assert.is_true(box.wait_for(function()
      return not (box.read(("/proc/%d/cmdline"):format(data.pid)) or ""):find("supervise", 1, true)
    end, 10))
    local gone = run("exec", "keep", "--", "true")
    assert.equal(125, gone.code)
    assert.matches("there is no sandbox keep", gone.stderr, 1, true)
  end)

  it("get a random id when none is given, and no id twice", function()
    local one, two = run("create"), run("create")
    assert.matches("^%x+\n$", one.stdout)
    assert.are_not.equal(one.stdout, two.stdout)
    local again = run("create", "--id", (one.stdout:gsub("\n", "")))
    assert.equal(64, again.code)
    assert.matches("already", again.stderr, 1, true)
    assert.equal(0, run("destroy", (one.stdout:gsub("\n", "")), (two.stdout:gsub("\n", ""))).code)
  end)

  it("have no id that is a path, an option or nothing", function()
    for _, id in ipairs { "..", "a/b", "-x", "A", "", "a.b", ("a"):rep(41) } do
      assert.equal(64, run("create", "--id=" .. id).code)
      assert.are_not.equal(0, run("inspect", id).code)
    end
  end)

  it("take the parameters of their policy", function()
    local policy = box.home .. "/given.lua"
    assert(require("moonbox.core").sys.write_file(policy, 'return policy "given" { extends = "base", limits = { grace = 1 * second },\n'
      .. 'needs = { word = text { about = "a word" }, memory = size { default = 64 * MB } },\n'
      .. 'env = { WORD = "$word" }, network = "none" }', 384))
    create("given", "--policy", policy, "--word=two words; $(id)")
    assert.equal("two words; $(id)\n", run("exec", "given", "--", "sh", "-c", 'echo "$WORD"').stdout)
    assert.same({ word = "two words; $(id)", memory = "64 MB" }, record("given").plan.parameters)
    run("destroy", "given")
    local refused = run("create", "--policy", policy)
    assert.same({ 64, "" }, { refused.code, refused.stdout })
    assert.matches("given.lua:2: --word=… is missing: a word", refused.stderr, 1, true)
    local made = assert(require("moonbox").create { policy = policy, parameters = { word = 5 } })
    assert.equal("5\n", made:exec({ run = { "sh", "-c", 'echo "$WORD"' } }).stdout)
    assert.is_true(made:destroy())
    local _, sentence, code = require("moonbox").create { policy = policy, parameters = { wrod = "x", word = "y" } }
    assert.matches("did you mean --word?", sentence, 1, true)
    assert.equal(64, code)
  end)

  it("pass on exit codes, signals, streams, directory and variables of each command", function()
    create("codes")
    for _, want in ipairs { 0, 1, 64, 125, 255 } do
      assert.equal(want, run("exec", "codes", "--", "sh", "-c", "exit " .. want).code)
    end
    assert.equal(143, run("exec", "codes", "--", "sh", "-c", "kill -TERM $$").code)
    assert.equal(127, run("exec", "codes", "--", "no-such-program").code)
    assert.equal(126, run("exec", "codes", "--", "/usr/bin").code)
    assert.equal(5, run("exec", "codes", "--env", "X=y", "--cwd", "/tmp", "--", "sh", "-c",
      "[ $X = y ] && [ $PWD = /tmp ] && exit 5").code)
    assert.same({ code = 0, stdout = "out", stderr = "err" },
      run("exec", "codes", "--", "sh", "-c", "printf out; printf err >&2"))
    assert.equal("3\n", box.shell("printf abc | " .. box.program .. " exec codes -- wc -c").stdout)
    run("destroy", "codes")
  end)

  it("run twenty commands at once without confusing them", function()
    create("many")
    local script = {}
    for i = 1, 20 do
      script[i] = ("(%s exec many -- sh -c 'sleep 0.%d; head -c %d /dev/zero | tr \"\\0\" %d; exit %d' > %s/%d; "
        .. "echo $? >> %s/%d) &"):format(box.program, i % 7, i * 10000, i % 10, i, box.home, i, box.home, i)
    end
    box.shell(table.concat(script, "\n") .. "\nwait")
    for i = 1, 20 do
      local text = box.read(box.home .. "/" .. i)
      assert.equal(tostring(i % 10):rep(i * 10000) .. i .. "\n", text)
    end
    run("destroy", "many")
  end)

  it("end a command at its time, and not the others", function()
    create("times")
    local began = os.time()
    local slow = run("exec", "times", "--timeout", "1s", "--", "sleep", "100")
    assert.same({ code = 124, stdout = "", stderr = "moonbox: time limit of 1 s reached\n" }, slow)
    assert.is_true(os.time() - began < 30)
    assert.equal(0, run("exec", "times", "--", "true").code)
    run("destroy", "times")
  end)

  -- How many processes of a sandbox have these arguments.
  local function count(id, arguments)
    return tonumber((run("exec", id, "--", "pgrep", "-c", "-x", "-f", arguments).stdout:match("%d+")))
  end

  -- What was killed on a busy machine may take a moment to die.
  local function is_gone(name, text)
    return box.wait_for(function() return count(name, text) == 0 end, 5)
  end

  it("31: end with a command at its time all that it has started, whatever session that is in", function()
    create("trees", "--policy", impatient())
    assert.equal(0, run("exec", "trees", "--", "setsid", "-f", "sleep", "4331").code)
    local slow = run("exec", "trees", "--timeout", "1s", "--", "sh", "-c", "for i in $(seq 200); do setsid -f sleep 4332; done; "
      .. "setsid sh -c 'trap \"\" TERM; (setsid -f sh -c \"while :; do sleep 1; done\"); sleep 4332' & sleep 4333")
    assert.equal(124, slow.code)
    assert.is_true(is_gone("trees", "sleep 4332"))
    assert.is_true(is_gone("trees", "sleep 4333"))
    assert.equal(1, count("trees", "sleep 4331"), "another command's daemon goes on")
    -- Control: one that ends before its time leaves what it has started.
    assert.equal(3, run("exec", "trees", "--timeout", "60s", "--", "sh", "-c", "setsid -f sleep 4334; exit 3").code)
    assert.is_true(box.wait_for(function() return count("trees", "sleep 4334") == 1 end, 5)) -- its exec may come late
    run("destroy", "trees")
  end)

  it("31: are no way round a command's time for who kills the process that holds it", function()
    create("reaper", "--policy", impatient())
    assert.equal(0, run("exec", "reaper", "--", "setsid", "-f", "sleep", "4335").code)
    require("moonbox.core").sys.sleep(0.05)
    local done = run("exec", "reaper", "--timeout", "60s", "--", "sh", "-c",
      "setsid -f sleep 4336; kill -9 $PPID; sleep 4337")
    assert.equal(137, done.code)
    assert.is_true(is_gone("reaper", "sleep 4336"))
    assert.is_true(is_gone("reaper", "sleep 4337"))
    assert.equal(1, count("reaper", "sleep 4335"), "what was there before goes on")
    -- Control: without a time there is no such process, and its parent can't be killed.
    assert.equal(0, run("exec", "reaper", "--", "sh", "-c", "kill -9 $PPID; exit 0").code)
    run("destroy", "reaper")
  end)

  it("31: are no way round a command's time for who stops that process, once or for ever", function()
    create("held", "--policy", impatient())
    local once = run("exec", "held", "--timeout", "1s", "--", "sh", "-c", "setsid -f sleep 4341; kill -STOP $PPID; sleep 4342")
    assert.equal(124, once.code)
    assert.is_true(is_gone("held", "sleep 4341"))
    -- Somebody else of the sandbox stops it whenever it goes on.
    assert.equal(0, run("exec", "held", "--", "sh", "-c", "setsid -f sh -c 'sleep 0.5; while :; do "
      .. "for p in $(grep -lx moonbox-reaper /proc/[1-9]*/comm); do p=${p%/comm}; kill -STOP ${p#/proc/}; done; done' "
      .. "</dev/null >/dev/null 2>&1").code)
    assert.equal(124, run("exec", "held", "--timeout", "1s", "--", "sleep", "4343").code)
    assert.is_true(is_gone("held", "sleep 4343"))
    run("destroy", "held")
  end)

  -- Signals each process that holds a command's tree once, as soon as it has its name, mostly before its command begins.
  local HUNTER = [[
import os
hit = set()
while True:
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and pid not in hit and open("/proc/%%s/comm" %% pid).read() == "moonbox-reaper\n":
                os.kill(int(pid), %d)
                hit.add(pid)
        except OSError:
            pass
]]

  it("31: tell how a command ended whose holder is killed or stopped while it starts", function()
    for _, case in ipairs { { 19, 0, "stopped", "sleep 0.2; exit 0" }, { 9, 137, "killed", "sleep 9" } } do
      local id = "hunted-" .. case[3]
      create(id, "--policy", impatient())
      assert.equal(0, run("exec", id, "--", "sh", "-c", "setsid -f python3 -c '" .. HUNTER:format(case[1])
        .. "' </dev/null >/dev/null 2>&1").code)
      -- What began in the same tick as a holder that was killed ends with it.
      require("moonbox.core").sys.sleep(0.05)
      for i = 1, 8 do
        local done = run("exec", id, "--timeout", case[1] == 19 and "2s" or "60s", "--", "sh", "-c", case[4])
        -- A command that was hit itself, a moment after it began, stands still until its time.
        local hit = case[1] == 19 and done.code == 124
        assert.same({ hit and 124 or case[2], hit and "moonbox: time limit of 2 s reached\n" or "" },
          { done.code, done.stderr }, case[3] .. " " .. i)
      end
      assert.is_true(is_gone(id, "sleep 0.2") and is_gone(id, "sleep 9"))
      run("destroy", id)
    end
  end)

  it("31: end with a command that stops its holder and then ends", function()
    create("stopper")
    local began = os.time()
    assert.equal(3, run("exec", "stopper", "--timeout", "100s", "--", "sh", "-c", "kill -STOP $PPID; exit 3").code)
    assert.is_true(os.time() - began < 60)
    run("destroy", "stopper")
  end)

  it("31: leave none of 200 daemons when they are stopped", function()
    create("daemons", "--policy", impatient())
    assert.equal(0, run("exec", "daemons", "--", "sh", "-c", "for i in $(seq 200); do setsid -f sleep 4338; done").code)
    local function outside() return tonumber((box.shell("pgrep -c -x -f 'sleep 4338'").stdout:match("%d+"))) end
    assert.is_true(box.wait_for(function() return outside() == 200 end, 20)) -- a daemon may not have executed yet
    assert.equal(0, run("stop", "--grace", "1s", "daemons").code)
    assert.equal(0, outside())
    run("destroy", "daemons")
  end)

  it("end the commands of a client that is killed, and go on", function()
    create("client")
    box.shell(("%s exec client -- sleep 4321 & pid=$!; sleep 0.5; kill -9 $pid"):format(box.program))
    local gone = box.wait_for(function()
      return run("exec", "client", "--", "sh", "-c", "! grep -qs '[4]321' /proc/[1-9]*/cmdline").code == 0
    end, 30)
    assert.is_true(gone)
    run("destroy", "client")
  end)

  it("stand still while they are paused, and say so", function()
    create("still")
    local paused = run("pause", "still")
    if paused.code == 69 then
      assert.matches("can't be paused here", paused.stderr, 1, true)
      return run("destroy", "still")
    end
    assert.equal("paused", listed("still").state)
    local refused = run("exec", "still", "--", "true")
    assert.equal(125, refused.code)
    assert.matches("paused", refused.stderr, 1, true)
    assert.equal(0, run("resume", "still").code)
    assert.equal(0, run("exec", "still", "--", "true").code)
    run("pause", "still")
    assert.equal(0, run("destroy", "still").code)
  end)

  it("are stopped with SIGTERM first, and keep their record", function()
    create("stop")
    box.shell(("%s exec stop -- sh -c 'trap \"echo bye; exit 9\" TERM; echo ready; while :; do sleep 0.1; done' > %s/said & "
      .. "while [ ! -s %s/said ]; do sleep 0.05; done"):format(box.program, box.home, box.home))
    assert.equal(0, run("stop", "--grace", "20s", "stop").code)
    assert.is_true(box.wait_for(function() return box.read(box.home .. "/said") == "ready\nbye\n" end, 10))
    local data = record("stop")
    assert.same({ "ended", "stopped", false }, { data.state, data.ended_by, data.alive })
    assert.equal("ended", events("stop")[#events("stop")].event)
    assert.equal(125, run("exec", "stop", "--", "true").code)
    assert.equal(0, run("destroy", "stop").code)
  end)

  it("are ended after the grace when they don't listen", function()
    create("deaf")
    box.shell(("%s exec deaf -- sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.1; done' > %s/deaf & "
      .. "while [ ! -s %s/deaf ]; do sleep 0.05; done"):format(box.program, box.home, box.home))
    assert.equal(0, run("stop", "--grace", "1s", "deaf").code)
    assert.equal("ended", record("deaf").state)
    run("destroy", "deaf")
  end)

  it("end at the policy's time, with everything in them", function()
    local policy = box.home .. "/short.lua"
    local file = assert(io.open(policy, "w"))
    file:write('return policy "short" { about = "x", extends = "base", limits = { time = 2 * seconds } }\n')
    file:close()
    create("short", "--policy", policy)
    local result = run("exec", "short", "--", "sh", "-c", "trap '' TERM; sleep 100")
    assert.is_true(result.code == 124 or result.code == 137 or result.code == 143)
    assert.is_true(box.wait_for(function() return record("short").state == "ended" end, 30))
    assert.equal("time", record("short").ended_by)
    run("destroy", "short")
  end)

  it("are found ended, with nothing left, when their supervisor was killed", function()
    create("lost")
    assert.equal(0, run("exec", "lost", "--", "sh", "-c", "sleep 4322 >/dev/null 2>&1 &").code)
    local pid = ("%d"):format(record("lost").pid)
    assert.are_not.equal("", box.shell("pgrep -f 'sleep 4322'").stdout)
    box.shell("kill -9 " .. pid)
    local data = listed("lost")
    assert.same({ "ended", "lost", false }, { data.state, data.ended_by, data.alive })
    assert.equal("", box.shell("pgrep -x -f 'sleep 4322'").stdout)
    assert.same({}, require("moonbox.core").sys.list(box.state .. "/boxes"))
    assert.equal(0, run("destroy", "lost").code)
  end)

  it("set a folder aside whose record makes no sense", function()
    create("odd")
    box.shell("kill -9 " .. ("%d"):format(record("odd").pid))
    local file = assert(io.open(box.state .. "/sandboxes/odd/sandbox.json", "w"))
    file:write("{")
    file:close()
    local looked = run("inspect", "odd")
    assert.equal(125, looked.code)
    assert.matches("set aside", looked.stderr, 1, true)
    assert.is_nil(listed("odd"))
    create("odd")
    run("destroy", "odd")
  end)

  it("do not see each other", function()
    create("one")
    create("two")
    run("exec", "one", "--", "sh", "-c", "echo secret > /workspace/s; sleep 4323 >/dev/null 2>&1 &")
    assert.matches("4323", run("exec", "one", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline").stdout)
    assert.equal("s\n", run("exec", "one", "--", "ls", "-A", "/workspace").stdout)
    assert.is_nil(run("exec", "two", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline").stdout:find("4323", 1, true))
    assert.equal("", run("exec", "two", "--", "ls", "-A", "/workspace").stdout)
    run("exec", "two", "--", "kill", "-9", "-1")
    assert.matches("4323", run("exec", "one", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline").stdout)
    assert.equal(0, run("destroy", "one", "two").code)
  end)

  -- How often a process has gone to sleep or was made to wait.
  local function switches(pid)
    local sum = 0
    for n in box.read(("/proc/%d/status"):format(pid)):gmatch("ctxt_switches:%s*(%d+)") do sum = sum + tonumber(n) end
    return sum
  end

  it("have a supervisor that sleeps while nothing is in them, and looks again when something is", function()
    local sleep = require("moonbox.core").sys.sleep
    local policy = box.home .. "/tight.lua"
    assert(require("moonbox.core").sys.write_file(policy, 'return policy "tight" { extends = "base",\n'
      .. 'files = { storage = "memory" }, limits = { memory = 64 * MB, grace = 1 * second } }', 384))
    create("tight", "--policy", policy)
    assert.equal(0, run("exec", "tight", "--", "true").code)
    local pid = record("tight").pid
    sleep(4)
    local before = switches(pid)
    sleep(5)
    assert.is_true(switches(pid) - before <= 5, "woke " .. switches(pid) - before .. " times in 5 s")
    -- Control: with a process that changes what it takes, it does not sleep.
    local grow = "x = []\nimport time\nwhile True: x.append(bytearray(b\"x\" * 500000)); time.sleep(0.05)"
    assert.equal(0, run("exec", "tight", "--", "sh", "-c", "setsid -f python3 -c '" .. grow .. "' </dev/null >/dev/null 2>&1").code)
    before = switches(pid)
    sleep(3)
    assert.is_true(switches(pid) - before >= 5)
    assert.is_true(box.wait_for(function() return record("tight").state == "ended" end, 60))
    assert.equal("memory", record("tight").ended_by)
    run("destroy", "tight")
  end)

  it("take other network rows while they run, but for what their gateway can't take on", function()
    local function policy(name, rows)
      local path = box.home .. "/" .. name .. ".lua"
      assert(require("moonbox.core").sys.write_file(path, ('return policy "%s" { extends = "base",\nnetwork = { %s } %s }')
        :format(name, rows[1], rows[2] or ""), 384))
      return path
    end
    local hook = 'on = { connect = function() return deny "no" end }'
    local first = policy("first", { 'allow { "a.org" }' })
    create("net", "--policy", first)
    assert.equal(0, run("network", "net", "set", policy("second", { 'allow { "b.org" }' })).code)
    assert.matches("b.org", run("inspect", "net").stdout, 1, true)
    assert.is_nil(run("inspect", "net").stdout:find("a.org", 1, true))
    for name, rows in pairs { hooked = { 'allow { "c.org" }', ", " .. hook },
      resolved = { 'allow { "c.org" }, resolver = "192.0.2.53"' } } do
      local done = run("network", "net", "set", policy(name, rows))
      assert.equal(69, done.code)
      assert.matches("the old rules stay: .*the sandbox was created with; create another sandbox", done.stderr)
    end
    assert.matches("b.org", run("inspect", "net").stdout, 1, true)
    assert.is_nil(run("inspect", "net").stdout:find("c.org", 1, true))
    assert.equal(0, run("network", "net", "set", "offline").code)
    run("destroy", "net")
    create("none", "--policy", "offline")
    assert.equal(69, run("network", "none", "set", first).code)
    run("destroy", "none")
  end)

  it("do not end a Lua program when a command leaves its input unread", function()
    local done = box.shell("LD_PRELOAD=$MOONBOX_SANITIZER luajit -e " .. box.quote([[local made = assert(require("moonbox").create())
      print(made:exec { run = { "true" }, stdin = ("x"):rep(1000000) }.code, made:write("/nowhere/x", ("x"):rep(1000000)))
      assert(made:destroy())]]))
    assert.same({ 0, "" }, { done.code, done.stderr })
    assert.matches("^0\tnil\t/nowhere/x in the sandbox: ", done.stdout)
  end)

  it("are there for Lua programs, too", function()
    local moonbox = require "moonbox"
    local made = assert(moonbox.create { policy = "offline" })
    local seen = {}
    local outcome = made:exec { run = { "cat" }, stdin = "hello", on_output = function(_, bytes)
      seen[#seen + 1] = bytes
    end }
    assert.same({ "hello", "hello", 0 }, { outcome.stdout, table.concat(seen), outcome.code })
    assert.equal(124, made:exec({ run = { "sleep", "100" }, time = 0.2 }).code)
    local again = assert(moonbox.open(made.id))
    assert.equal("x", again:exec({ run = { "printf", "x" } }).stdout)
    assert.equal("running", again:stats().state)
    assert.equal(made.id, moonbox.list()[1].id)
    assert.is_true(again:destroy())
    local none, why, code = made:exec { run = { "true" } }
    assert.same({ nil, 125 }, { none, code })
    assert.is_string(why)
  end)
end)
