-- Many sandboxes by id, one after the other and at once: none leaves anything (probe 114). MOONBOX_LONG=1: 10,000 and 200.
local box = require "support.box"
local drift = require "support.drift"

local core = require "moonbox.core"

local LONG = os.getenv("MOONBOX_LONG") == "1"

-- Of twenty cycles, how many are under which policy: in memory, on disk, and with a gateway.
local SHARES = { { "offline", 16 }, { "base", 3 }, { "codex", 1 } }

-- kB that this process may have grown meanwhile, of which a spec that remembers 10,000 names takes half.
local GROWTH = 6144

describe("many sandboxes", function()
  local moonbox, sandboxes = require "moonbox", require "moonbox.sandboxes"
  local plans, turns, boxes = {}, {}, {}

  setup(function()
    box.enter()
    drift.adopt(true)
    for _, share in ipairs(SHARES) do
      plans[share[1]] = box.plan(nil, share[1])
      for _ = 1, share[2] do turns[#turns + 1] = share[1] end
    end
  end)
  teardown(function()
    drift.adopt(false)
    box.leave()
  end)

  local function create(policy)
    local made = assert(moonbox.create { plan = plans[policy] })
    boxes[sandboxes.read(made.path).box] = true
    return made
  end

  local function says(made, text)
    local outcome = assert(made:exec { run = { "/bin/sh", "-c", "echo $0 > /workspace/x; cat /workspace/x", text } })
    assert.equal(text .. "\n", outcome.stdout, outcome.sentence)
  end

  local function cycle(i)
    local made = create(turns[i % #turns + 1])
    says(made, "cycle " .. i)
    assert(made:destroy())
    drift.reap()
  end

  -- What is there to stay: the state folder, an image of a disk to copy.
  local function warm_up() for i = 1, #turns do cycle(i) end end

  it("114: created and destroyed again and again leave nothing and take no more memory", function()
    warm_up()
    local before, memory = drift.snapshot(boxes), drift.memory()
    for i = 1, LONG and 10000 or 200 do cycle(i) end
    assert.same(before, drift.settle(before, boxes, 10))
    local grown = drift.memory() - memory
    assert.is_true(grown < GROWTH, grown .. " kB more")
  end)

  it("114: control: one that is there shows in what is compared", function()
    local before = drift.snapshot(boxes)
    local made = create "base"
    local now = drift.snapshot(boxes)
    assert.is_true(#now.processes >= #before.processes + 2)
    assert.is_true(#now.state > #before.state)
    local on_host = core.cgroups().memory.version > 0 or core.cgroups().pids.version > 0
    assert.equal(on_host, #now.groups > #before.groups)
    assert(made:destroy())
    assert.same(before, drift.settle(before, boxes, 10))
  end)

  it("114: at once, each with its own answers, leave nothing when all are destroyed", function()
    local before, live = drift.snapshot(boxes), {}
    for i = 1, LONG and 200 or 24 do live[i] = create(turns[i % #turns + 1]) end
    for i, made in ipairs(live) do says(made, "box " .. i) end
    for i, made in ipairs(live) do assert.equal("box " .. i .. "\n", made:read "/workspace/x") end
    local running = 0
    for _, data in ipairs(moonbox.list()) do running = running + (data.state == "running" and data.alive and 1 or 0) end
    assert.equal(#live, running)
    for _, made in ipairs(live) do assert(made:destroy()) end
    assert.same(before, drift.settle(before, boxes, 10))
  end)
end)
