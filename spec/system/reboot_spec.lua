-- What a machine that lost its power leaves in the state folder: records of processes that are not there, whose pids are
-- others' now, locks and sockets of nobody, files that are half written. Nobody is signalled for it, and what can't be
-- understood is set aside (probe 116).
local box = require "support.box"
local canaries = require "support.canary"
local json = require "moonbox.json"

local core = require "moonbox.core"

local sys = core.sys

describe("after a restart of the machine", function()
  local moonbox, sandboxes, process = require "moonbox", require "moonbox.sandboxes", require "moonbox.process"
  local canary, pid

  -- What its processes would remove by themselves nobody removes here: that is not waited for long.
  local settle = sandboxes.SETTLE

  setup(function()
    box.enter()
    sandboxes.SETTLE = 0.3
  end)
  teardown(function()
    sandboxes.SETTLE = settle
    box.leave()
  end)
  before_each(function()
    canary = canaries.plant()
    pid = canary:process()
  end)
  after_each(function()
    local wrong = canary:check()
    canary:remove()
    for _, data in ipairs(moonbox.list()) do moonbox.open(data.id):destroy() end
    box.shell("rm -rf " .. box.state .. "/sandboxes/.corrupt-*")
    assert.same({}, wrong)
  end)

  local function path_of(id, name) return ("%s/sandboxes/%s/%s"):format(box.state, id, name) end

  local function run(...) return box.shell(box.words { box.program, ... } .. " </dev/null") end

  -- All processes of a sandbox end at once, and so do its control groups; its files stay as they are.
  local function lose_power(id)
    local data = sandboxes.read(path_of(id, ""):sub(1, -2))
    local list, tree = { ("%d"):format(data.pid) }, process.children()
    for _, child in ipairs(tree[list[1]] or {}) do list[#list + 1] = child end
    box.shell("kill -9 " .. table.concat(list, " "))
    assert.is_true(box.wait_for(function()
      for _, one in ipairs(list) do
        if not (process.read(one, "status") or "State:\tZ"):find("State:\t[ZX]") then return false end
      end
      return true
    end, 20))
    box.shell("find /sys/fs/cgroup -depth -type d -name " .. data.box .. " -exec rmdir {} + 2>/dev/null")
    return data
  end

  local function create(policy)
    local made = assert(moonbox.create { policy = policy or "base" })
    assert(made:write("/workspace/x", "kept"))
    return made
  end

  local function write(id, name, text) assert(sys.write_file(path_of(id, name), text, 384)) end

  local function started(of)
    local n = 2
    for field in process.read(of, "stat"):match("^.*%)%s(.*)$"):gmatch("%S+") do
      n = n + 1
      if n == 22 then return field end
    end
  end

  -- Every command about a sandbox, to the end of it.
  local function use(id)
    run("list")
    run("inspect", id)
    run("exec", id, "--", "true")
    run("stats", id)
    run("posture", id)
    run("pause", id)
    run("resume", id)
    run("events", id)
    run("stop", id)
  end

  -- Somebody else holds its lock, so that it seems to live; whoever ends it then would kill its supervisor.
  local function be_held(made)
    local holder = assert(sys.lock(path_of(made.id, "lock")))
    local destroyed = made:destroy()
    holder:close()
    assert.is_nil(destroyed)
  end

  it("116: a sandbox is found ended, and the process that has its supervisor's pid now is let alone", function()
    for _, way in ipairs { "another's", "one that began at the same tick", "one of the same tick, while the lock is held" } do
      local made = create()
      local data = lose_power(made.id)
      data.pid, data.boot = pid, "00000000-0000-0000-0000-000000000000"
      if way ~= "another's" then data.pid_started = started(pid) end
      write(made.id, "sandbox.json", json.encode(data))
      if way:find("held") then be_held(made) end
      local found, alive = sandboxes.look(made.id)
      assert.same({ "ended", "lost", false }, { found.state, found.ended_by, alive }, way)
      if way == "another's" then use(made.id) end
      assert.same({}, canary:check(), way)
      assert.equal(0, run("destroy", made.id).code, way)
    end
  end)

  it("116: control: a supervisor of this start that does nothing is killed by its pid, the same way", function()
    local made = create()
    local data = sandboxes.read(path_of(made.id, ""):sub(1, -2))
    box.shell(("kill -STOP %d"):format(data.pid))
    local destroyed = box.wait_for(function() return (made:destroy()) end, 20)
    assert.is_true(destroyed)
    assert.is_nil((process.read(data.pid, "cmdline") or ""):match("supervise"))
  end)

  it("116: stale sockets, locks and half a creation are no obstacle", function()
    local made = create()
    lose_power(made.id) -- its socket and its lock file are there still
    assert.equal("socket", sys.lstat(path_of(made.id, "control")).kind)
    local half = box.state .. "/sandboxes/.new-0011223344556677"
    sys.mkdir(half, 448)
    sys.write_file(half .. "/plan.json", "{", 384)
    sys.mkdir(box.state .. "/sandboxes/.gone-0011223344556677", 448)
    assert.equal("ended", sandboxes.look(made.id).state)
    assert.equal(125, run("exec", made.id, "--", "true").code)
    assert.equal(0, run("gc").code)
    assert.is_nil((sys.lstat(half)))
    assert.is_nil((sys.lstat(path_of(made.id, "control"))))
    assert.same({ made.id }, sys.list(box.state .. "/sandboxes"))
    assert.equal(0, run("destroy", made.id).code)
    local again = assert(moonbox.create { policy = "base", id = made.id })
    assert.equal(0, again:exec({ run = { "true" } }).code)
    assert(again:destroy())
  end)

  it("116: a folder that was copied, or restored beside the original, takes nothing from it", function()
    local made = create()
    local name = sandboxes.read(path_of(made.id, ""):sub(1, -2)).box
    local copy, other = "copy", box.home .. "/other"
    box.shell(("cp -a %s %s"):format(path_of(made.id, ""), path_of(copy, "")))
    local data = json.decode(box.read(path_of(copy, "sandbox.json")))
    data.id = copy
    write(copy, "sandbox.json", json.encode(data))
    box.shell(("mkdir -m 700 -p %s/sandboxes && cp -a %s %s/sandboxes/"):format(other, path_of(made.id, ""), other))
    assert.equal("ended", sandboxes.look(copy).state)
    assert.equal(0, run("gc").code)
    assert.equal(0, box.shell("MOONBOX_STATE=" .. other .. " " .. box.program .. " gc --ended").code)
    assert.equal(0, run("destroy", copy).code)
    assert.equal("kept", made:read "/workspace/x")
    assert.equal("running", made:stats().state)
    local groups = box.shell("find /sys/fs/cgroup -type d -name " .. name .. " 2>/dev/null").stdout
    assert.equal(core.cgroups().pids.version > 0, groups ~= "")
    assert(made:destroy())
  end)

  -- What may stand in place of a record, by what it is.
  local function damaged(text)
    local out = { empty = "", zeros = ("\0"):rep(#text), ["a number"] = "7", ["a list"] = "[]", ["no JSON"] = "}{",
      deep = ("["):rep(100000), ["another's"] = text:gsub('"id": "[^"]*"', '"id": "another"') }
    for i = 1, 8 do out["cut at " .. i] = text:sub(1, math.floor(#text * i / 9)) end
    local fields = { pid = { -1, 0, 1, 1.5, 2 ^ 31, 1e300, "7", {}, true }, pid_started = { 7, {} }, state = { "alive", 7 },
      box = { "../../../etc", "", 7, ("x"):rep(16), ("a"):rep(17) }, id = { "../x", 7 } }
    for field, values in pairs(fields) do
      for i, value in ipairs(values) do
        local data = json.decode(text)
        data[field] = value
        out[("%s %d"):format(field, i)] = json.encode(data)
      end
    end
    return out
  end

  it("116: a record that is half written, or says what no moonbox writes, is set aside, and nobody is signalled", function()
    local made = create()
    local text = box.read(path_of(made.id, "sandbox.json"))
    lose_power(made.id)
    text = json.encode((function(data) data.pid, data.pid_started = pid, started(pid) return data end)(json.decode(text)))
    assert(made:destroy())
    local tried = 0
    for what, broken in pairs(damaged(text)) do
      tried = tried + 1
      sys.mkdir(path_of("damaged", ""), 448)
      write("damaged", "sandbox.json", broken)
      write("damaged", "plan.json", broken)
      local found, sentence = moonbox.open "damaged"
      assert.is_nil(found, what)
      assert.matches("set aside", sentence, 1, true)
      assert.is_nil((sys.lstat(path_of("damaged", ""))), what)
    end
    assert.is_true(tried > 30)
    sys.mkdir(path_of("damaged", ""), 448)
    write("damaged", "sandbox.json", text:sub(1, 50))
    local listed = run("list")
    assert.same({ 0, "" }, { listed.code, listed.stdout })
    assert.equal(0, run("gc").code)
  end)

  it("116: a plan that is half written is told of, and its sandbox can be ended", function()
    local made = create()
    local whole = box.read(path_of(made.id, "plan.json"))
    for _, text in ipairs { "", "{", "[]", "{}", '{"limits":{}}', whole:sub(1, #whole / 2) } do
      write(made.id, "plan.json", text)
      assert.is_true(run("posture", made.id).code > 0)
      assert.equal("kept", made:read "/workspace/x")
      assert.equal(0, run("inspect", made.id).code)
    end
    assert.equal(0, run("destroy", made.id).code)
  end)
end)
