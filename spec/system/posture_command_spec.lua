-- `moonbox posture`: the golden posture (posture_spec.lua), asked by the product of any sandbox that runs, process by
-- process, and by the supervisor before anything runs (probes 27 and 28).
local box = require "support.box"
local json = require "moonbox.json"
local mode = require "support.mode"

local core = require "moonbox.core"

local sys = core.sys

describe("moonbox posture", function()
  local moonbox, posture, process = require "moonbox", require "moonbox.posture", require "moonbox.process"

  setup(box.enter)
  teardown(box.leave)

  -- kind -> the reports of a list.
  local function by_kind(list)
    local out = {}
    for _, one in ipairs(list) do
      out[one.kind] = out[one.kind] or {}
      table.insert(out[one.kind], one)
    end
    return out
  end

  for _, policy in ipairs { "offline", "codex" } do
    it("28: finds every process of a sandbox of " .. policy .. " as planned, late commands included", function()
      local made = assert(moonbox.create { policy = policy })
      assert(made:exec { run = { "sh", "-c", "sleep 60 & sleep 60 & (sleep 60 & sleep 60) & exit 0" } })
      local late = made:exec { run = { "sh", "-c", "sleep 60 >/dev/null 2>&1 & exit 0" } }
      assert.equal(0, late.code)
      local list = assert(made:posture())
      for _, one in ipairs(list) do assert.same({}, one.differences, one.kind .. " " .. one.name) end
      local kinds = by_kind(list)
      assert.equal(1, #kinds.init)
      assert.equal(1, #kinds.supervisor)
      assert.equal(policy == "codex" and 1 or nil, kinds.gateway and #kinds.gateway)
      assert.is_true(#kinds.command >= 4)
      assert.equal(1, #kinds.fresh)
      assert.equal(policy == "codex" and 1 or kinds.keeper and 1, kinds.keeper and #kinds.keeper)
      assert.is_nil(kinds.other)
      if mode.name() == "root" then
        for _, one in ipairs(list) do assert.same({}, one.unread, one.kind) end
      else
        assert.is_true(#kinds.init[1].unread > 0, "init hides from its own user")
      end
      local shown = box.shell(box.words { box.program, "posture", made.id })
      assert.equal(0, shown.code, shown.stdout)
      assert.matches("init +moonbox%-init %(%d+%): as planned\n", shown.stdout)
      assert(made:destroy())
      assert.equal(125, box.shell(box.words { box.program, "posture", made.id }).code)
    end)
  end

  -- Names of the fields that differ.
  local function differing(report)
    local out = {}
    for _, difference in ipairs(report.differences) do out[difference.field] = true end
    return out
  end

  it("28: control: tells what is weaker than planned, field by field", function()
    local made = assert(moonbox.create { policy = "codex" })
    assert(made:exec { run = { "sh", "-c", "sleep 60 >/dev/null 2>&1 & exit 0" } })
    local list = assert(made:posture())
    local plan = assert(require("moonbox.sandboxes").plan(made.path))
    local pid = by_kind(list).command[1].pid
    local outside, look = process.look(sys.pid()), process.look(pid)
    local context = { plan = plan, outside = outside, init = look, box = "no-such-box", grouped = true }
    assert.same({ ["control groups"] = true }, differing(posture.check_inside(look, context)))

    -- As if it were init, whose settings no tenant can change.
    local own = { plan = plan, outside = outside, box = "", grouped = false }
    look.threads[1].Umask, look.threads[1].SigIgn = "0000", "0000000000000001"
    local settings = differing(posture.check_inside(look, own))
    for _, name in ipairs { "Umask", "SigBlk", "SigIgn" } do assert.is_true(settings[name], name) end
    assert.is_nil(settings.SigCgt)

    context.grouped, plan.process.capabilities = false, {}
    local found = differing(posture.check_inside(look, context))
    for _, name in ipairs { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" } do assert.is_true(found[name], name) end

    plan.process.capabilities = { "net_bind_service" }
    plan.rlimits[1].hard = -1
    for _, row in ipairs(plan.mounts) do if row.target == "/tmp" then row.kind, row.read_only = "bind", true end end
    found = differing(posture.check_inside(look, context))
    assert.is_true(found["limit " .. plan.rlimits[1].name])
    assert.is_true(found["mount /tmp"])

    -- A process of the host's, as if it were a command.
    found = differing(posture.check_inside(outside, context))
    for _, name in ipairs { "NoNewPrivs", "Seccomp", "CapBnd", "NSpid", "namespace user", "namespace net", "mount /",
      "setgroups" } do
      assert.is_true(found[name], name)
    end

    local supervisor = process.look(by_kind(list).supervisor[1].pid)
    supervisor.descriptors["99"] = "/etc/shadow"
    supervisor.directory, supervisor.threads[1].TracerPid = "/root", "77"
    found = differing(posture.check_supervisor(supervisor, { folder = made.path, state = box.state,
      owner = sys.euid() }))
    assert.same({ ["descriptor 99"] = true, directory = true, TracerPid = true }, found)
    assert(made:destroy())
  end)

  -- What a context of one sandbox is, without its supervisor; the reports by kind; and that on its command of this name,
  -- which may only have been forked yet.
  local function inside_of(made, name)
    local kinds, command
    assert.is_true(box.wait_for(function()
      kinds = by_kind(assert(made:posture()))
      for _, one in ipairs(kinds.command or {}) do
        if one.name == name then command = one end
      end
      return command ~= nil
    end, 20), "no command " .. name)
    local data = require("moonbox.sandboxes").read(made.path)
    return { plan = assert(require("moonbox.sandboxes").plan(made.path)), outside = process.look(data.pid), box = "",
      init = process.look(kinds.init[1].pid), sockets = process.sockets(data.pid) }, kinds, command
  end

  it("27: 28: lets a command change its own settings, which one that starts must not have changed", function()
    local made = assert(moonbox.create { policy = "offline" })
    assert(made:exec { run = { "sh", "-c", "umask 0; trap '' USR1; exec 7</usr/bin/env 8>/workspace/f; cd /tmp; sleep 60 "
      .. ">/dev/null 2>&1 & exit 0" } })
    local context, kinds, sleep = inside_of(made, "sleep")
    assert.same({}, sleep.differences)
    assert.same({}, kinds.fresh[1].differences)
    context.fresh = sleep.pid
    local found = differing(posture.check_inside(process.look(sleep.pid), context))
    for _, field in ipairs { "Umask", "SigIgn", "descriptor 7", "descriptor 8", "directory", "environment", "session" } do
      assert.is_true(found[field], field)
    end
    assert.is_nil(found.SigBlk)
    assert(made:destroy())
  end)

  it("28: control: finds what only one thread of a command has", function()
    mode.need("python3", "it starts threads")
    local made = assert(moonbox.create { policy = "offline" })
    assert(made:exec { run = { "sh", "-c", "python3 -c 'import threading, time; "
      .. "[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(3)]' >/dev/null 2>&1 & exit 0" } })
    local context, one, _
    assert.is_true(box.wait_for(function()
      local command
      context, _, command = inside_of(made, "python3")
      one = process.look(command.pid)
      return one and #one.threads == 4
    end, 20))
    assert.same({}, differing(posture.check_inside(one, context)))
    one.threads[3].Seccomp, one.threads[4].CapEff = "0", "0000000000200000"
    assert.same({ Seccomp = true, CapEff = true }, differing(posture.check_inside(one, context)))
    assert(made:destroy())
  end)

  it("25: control: finds a file and a socket of the host's among a command's descriptors", function()
    local made = assert(moonbox.create { policy = "offline" })
    assert(made:exec { run = { "sh", "-c", "sleep 60 >/dev/null 2>&1 & exit 0" } })
    local context, kinds, sleep = inside_of(made, "sleep")
    local look, supervisor = process.look(sleep.pid), process.look(kinds.supervisor[1].pid)
    local socket
    for _, target in pairs(supervisor.descriptors) do
      if context.sockets[target:match("^socket:%[(%d+)%]$") or ""] then socket = target end
    end
    assert.is_string(socket)
    look.descriptors["1"], look.descriptors["9"] = "socket:[0]", socket
    look.mount_ids = {} -- as if 0 and 2 were of mounts that are not the sandbox's
    context.init = look
    assert.same({ ["descriptor 0"] = true, ["descriptor 2"] = true, ["descriptor 9"] = true },
      differing(posture.check_inside(look, context)))
    assert(made:destroy())
  end)

  it("28: knows the process of a policy's functions, and tells of any that it does not know", function()
    local policy = require("support.runs").write(box.home .. "/hooks.lua", [[return policy "hooks" { extends = "base",
      on = { usage = function() return nil end } }]])
    local made = assert(moonbox.create { policy = policy })
    local kinds = by_kind(assert(made:posture()))
    assert.same({}, kinds.hooks[1].differences)
    assert(made:destroy())
    -- This process as the supervisor of a box, with a child that is no part of it.
    local opened, child = box.open(box.plan()), io.popen("exec sleep 60 </dev/null 2>/dev/null", "r")
    local list = assert(posture.sandbox { pid = sys.pid(), plan = box.plan(), box = opened.id, folder = box.home,
      state = box.state, owner = sys.euid() })
    local other = by_kind(list).other
    assert.same({ "sleep", { process = true } }, { other[1].name, differing(other[1]) })
    box.shell("kill " .. other[1].pid)
    child:close()
    assert.is_true(opened:close())
  end)

  it("27: says that it can't tell how commands start in one that is paused", function()
    local made = assert(moonbox.create { policy = "offline" })
    if not made:pause() then return assert(made:destroy()) end
    local kinds = by_kind(assert(made:posture()))
    assert.is_nil(kinds.fresh)
    assert.equal("a command when it starts", kinds.init[1].unread[#kinds.init[1].unread])
    assert.same({}, kinds.init[1].differences)
    assert(made:destroy())
  end)

  it("28: finds what holds a command to its time as planned", function()
    local made = assert(moonbox.create { policy = "offline" })
    box.shell(box.words { box.program, "exec", made.id, "--timeout", "60s", "--", "sleep", "60" } .. " </dev/null >/dev/null 2>&1 &")
    local kinds
    assert.is_true(box.wait_for(function()
      kinds = by_kind(assert(made:posture()))
      return kinds.reaper ~= nil and kinds.command ~= nil and kinds.command[1].name == "sleep"
    end, 10))
    assert.same({}, kinds.reaper[1].differences)
    assert(made:destroy())
  end)

  it("28: control: finds a process that was put into a sandbox from outside", function()
    mode.need("root", "only root may enter a sandbox's namespaces")
    local made = assert(moonbox.create { policy = "offline" })
    local init = by_kind(made:posture()).init[1].pid
    local pid = box.shell(("nsenter -t %d -m -p -n -i -u sleep 61 >/dev/null 2>&1 3</etc/passwd 4</ & sleep 0.2; "
      .. "pgrep -x -f 'sleep 61'"):format(init)).stdout:match("%d+")
    local found
    for _, one in ipairs(made:posture()) do
      if one.pid == tonumber(pid) then found = differing(one) end
    end
    box.shell("kill -9 " .. pid)
    assert.is_true(found.Uid)
    assert.is_true(found.Seccomp)
    assert.is_true(found["namespace user"])
    assert.is_true(found["descriptor 3"])
    assert.is_true(found["descriptor 4"])
    assert(made:destroy())
  end)

  it("28: control: takes nothing that it can't read for fine, and sees a descriptor that init should not have", function()
    local opened = box.open(box.plan())
    local plan, look, outside = box.plan(), process.look(opened.running:pid()), process.look(sys.pid())
    local context = { plan = plan, outside = outside, pin = require("moonbox.holding").pin(plan, core.cgroups()) }
    look.groups, look.score, look.setgroups = nil, nil, nil
    look.descriptors = { ["0"] = "/dev/null", ["99"] = "/etc/shadow" }
    local found = differing(posture.check_inside(look, context))
    assert.same({ oom_score_adj = true, setgroups = true, ["descriptor 99"] = true }, found)
    assert.is_true(opened:close())
  end)

  -- A supervisor of a new folder, which expects of its sandbox what a line of Lua makes of the plan. Returns what it said to
  -- whoever started it, and the folder.
  local function supervise(line)
    local sandboxes = require "moonbox.sandboxes"
    local script = require("support.runs").write(box.home .. "/supervise.lua", [[
      local posture = require "moonbox.posture"
      local init = posture.init
      posture.init = function(pid, plan, name) ]] .. line .. [[ return init(pid, plan, name) end
      os.exit(require("moonbox.supervisor").main(arg[1], arg[2]))]])
    local folder = assert(sandboxes.create(nil, { version = 1, state = "creating", policy = "offline",
      box = sys.random_hex(8), created_seconds = sys.realtime() }, box.plan()))
    local said = box.home .. "/said"
    box.shell(("LD_PRELOAD=$MOONBOX_SANITIZER luajit %s %s %s 3</dev/null 4>%s </dev/null >/dev/null 2>&1 &")
      :format(script, folder.id, folder.path, said))
    assert.is_true(box.wait_for(function() return (box.read(said) or "") ~= "" end, 20))
    local answer = json.decode(box.read(said))
    os.remove(said)
    return answer, folder
  end

  it("28: is asked by the supervisor before anything runs: what is not as planned is not used", function()
    for field, line in pairs { Umask = "plan.process.umask = 63", CapInh = "plan.process.capabilities = { 'net_bind_service' }",
      ["limit core"] = "plan.rlimits[1].hard = -1", ["mount /tmp"] =
      "for _, row in ipairs(plan.mounts) do if row.target == '/tmp' then row.kind, row.read_only = 'bind', true end end",
      Seccomp_filters = "table.insert(plan.mounts, { kind = 'bind', target = '/proc', optional = true })" } do
      local answer, folder = supervise(line)
      assert.equal(125, answer.code)
      assert.is_truthy(answer.error:find("the sandbox is not what its plan asks for: " .. field .. " of init is ", 1, true),
        answer.error)
      assert.equal("creating", require("moonbox.sandboxes").read(folder.path).state)
      folder.lock:close()
      assert.same({ "ended", "lost" }, (function(data) return { data.state, data.ended_by } end)(
        require("moonbox.sandboxes").look(folder.id)))
    end
  end)

  it("28: control: a supervisor that expects what the plan says uses the sandbox", function()
    local answer, folder = supervise("")
    assert.is_true(answer.ready)
    local made = require("moonbox.remote").new(folder.id, folder.path)
    assert.equal("ran\n", made:exec({ run = { "echo", "ran" } }).stdout)
    box.shell("kill -9 " .. ("%d"):format(require("moonbox.sandboxes").read(folder.path).pid))
    folder.lock:close()
    assert.is_true(made:destroy())
  end)
end)
