-- Whatever of a sandbox by id is killed, at any moment and under load: what is reported of it is true, the others go on,
-- and one `moonbox gc` leaves nothing (probe 115). MOONBOX_LONG=1: 500 times.
local box = require "support.box"
local drift = require "support.drift"

local core = require "moonbox.core"

local sys = core.sys

local KILLS = os.getenv("MOONBOX_LONG") == "1" and 500 or 40

local POLICIES = { "offline", "base", "codex", "base" }

-- Who ends with its sandbox when it is killed; the others leave the sandbox as it was.
local FATAL = { supervisor = true, init = true, keeper = true }

describe("a part of a sandbox that is killed under load", function()
  local moonbox, sandboxes, process = require "moonbox", require "moonbox.sandboxes", require "moonbox.process"
  local plans, boxes, live, next_id = {}, {}, {}, 0

  -- The same choices in each run.
  local seed = 11
  local function random(n)
    seed = seed * 16807 % 2147483647
    return seed % n + 1
  end

  setup(function()
    box.enter()
    drift.adopt(true)
    for _, policy in ipairs(POLICIES) do plans[policy] = plans[policy] or box.plan(nil, policy) end
  end)
  teardown(function()
    for _, data in ipairs(moonbox.list()) do moonbox.open(data.id):destroy() end
    drift.adopt(false)
    box.leave()
  end)

  local function note(path)
    local data = sandboxes.read(path)
    if data then boxes[data.box] = true end
    return data
  end

  local function new_id()
    next_id = next_id + 1
    return "k" .. next_id
  end

  local function background(...)
    local line = box.words { box.program, ... } .. " </dev/null >/dev/null 2>&1 & echo $!"
    return box.shell(line).stdout:match("%d+")
  end

  -- A sandbox that writes all the time, for a client.
  local function create(policy)
    local made = assert(moonbox.create { plan = plans[policy], id = new_id() })
    note(made.path)
    made.policy = policy
    made.client = background("exec", made.id, "--", "/bin/sh", "-c",
      "while :; do seq 100 > /workspace/f; sleep 0.02; done")
    return made
  end

  local function told(id)
    local data, alive = sandboxes.look(id)
    return data and data.state, alive
  end

  local function has_ended(pid) return (process.read(pid, "status") or "State: Z"):find("State:%s*[ZX]") ~= nil end

  -- kind -> pid of what can be killed of a sandbox.
  local function victims(made)
    local supervisor = ("%d"):format(sandboxes.read(made.path).pid)
    local out, tree = { supervisor = supervisor, client = made.client }, process.children()
    for _, pid in ipairs(tree[supervisor] or {}) do
      local kind = (box.read("/proc/" .. pid .. "/comm") or ""):match("^moonbox%-(%a+)")
      if kind then out[kind] = pid end
    end
    out.command = tree[out.init] and tree[out.init][1]
    return out
  end

  local function choose(list)
    local kinds = {}
    for kind in pairs(list) do kinds[#kinds + 1] = kind end
    table.sort(kinds)
    local kind = kinds[random(#kinds)]
    return kind, list[kind]
  end

  local function kill(pid)
    box.shell("kill -9 " .. pid)
    assert.is_true(box.wait_for(function()
      drift.reap()
      return has_ended(pid)
    end, 20), "pid " .. pid .. " does not end")
  end

  -- What is reported of one that runs must be true: a command runs in it, unless it has ended by then.
  local function is_true(id, context)
    local state, alive = told(id)
    if not alive then
      assert.is_true(state == "ended", context .. ": " .. tostring(state))
      return false
    end
    local outcome = moonbox.open(id):exec { run = { "/bin/true" } }
    if outcome and outcome.code == 0 then return true end
    assert.is_true(box.wait_for(function() return told(id) == "ended" end, 20), context .. " is said to run and does not")
    return false
  end

  local function a_part(i)
    local which = random(#live)
    local made = live[which]
    local kind, pid = choose(victims(made))
    local context = ("%d: %s of %s, %s"):format(i, kind, made.id, made.policy)
    kill(pid)
    if kind == "supervisor" then
      local state, alive = told(made.id)
      assert.same({ "ended", false }, { state, alive }, context)
    end
    if FATAL[kind] then
      assert.is_true(box.wait_for(function() return not is_true(made.id, context) end, 20), context)
      assert.equal("ended", told(made.id), context)
      live[which] = create(made.policy)
    else
      assert.is_true(is_true(made.id, context), context)
      if kind ~= "gateway" then
        drift.reap()
        box.shell("kill -9 " .. made.client .. " 2>/dev/null")
        made.client = background("exec", made.id, "--", "/bin/sleep", "1000")
      end
    end
    local other = live[which % #live + 1]
    assert.is_true(is_true(other.id, context .. ", beside"), context)
  end

  local function settled(id)
    assert.is_true(box.wait_for(function()
      local state = told(id)
      return state ~= "creating" and state ~= "stopping"
    end, 20), id .. " stays as it is")
    return told(id)
  end

  local function a_creator(i)
    local id = new_id()
    local pid = background("create", "--id", id, "--policy", POLICIES[random(#POLICIES)])
    sys.sleep(random(60) / 1000)
    kill(pid)
    if not settled(id) then return end
    note(sandboxes.dir(id))
    if is_true(id, i .. ": create of " .. id) then assert(moonbox.open(id):destroy()) end
  end

  local function a_destroyer(i)
    local which = random(#live)
    local made = live[which]
    local pid = background("destroy", made.id)
    sys.sleep(random(40) / 1000)
    kill(pid)
    if settled(made.id) and is_true(made.id, i .. ": destroy of " .. made.id) then return end
    live[which] = create(made.policy)
  end

  it("115: is never reported wrongly, ends alone, and leaves nothing after one `moonbox gc`", function()
    for _, policy in ipairs(POLICIES) do assert(create(policy):destroy()) end -- makes what is there to stay
    local before = drift.snapshot(boxes)
    for i, policy in ipairs(POLICIES) do live[i] = create(policy) end
    for i = 1, KILLS do
      local kind = random(10)
      if kind == 1 then a_creator(i) elseif kind == 2 then a_destroyer(i) else a_part(i) end
    end
    for _, made in ipairs(live) do assert.is_true(made:destroy()) end
    assert.equal(0, box.shell(box.program .. " gc").code)
    for _, data in ipairs(moonbox.list()) do
      assert.equal("ended", data.state)
      sandboxes.remove(data.id)
    end
    assert.same(before, drift.settle(before, boxes, 5))
  end)
end)
