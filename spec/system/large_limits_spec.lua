-- A limit above what the host has is a limit all the same: the policy `codex` (4 processors, 16 GB, 50 GB of disk, 4 hours)
-- runs on a small machine, and is held there as on a large one.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"

describe("limits beyond what the host has", function()
  setup(box.enter)
  teardown(box.leave)

  local MORE = { cpus = 4096, memory = 2 ^ 50, disk = 2 ^ 50, time = 10 * 365 * 86400, processes = 4000000 }

  local function run(policy, change)
    local opened = box.open(box.plan(change, policy))
    local outcome = box.inside(opened, "nproc; dd if=/dev/zero of=/workspace/f bs=1M count=8 2>&1 | tail -1")
    assert(opened:close())
    return outcome
  end

  local function without_network(plan) plan.network = box.plan().network end

  it("of codex apply", function()
    local outcome = run("codex", without_network)
    assert.equal(0, outcome.code, outcome.stderr)
    assert.matches("^%d+\n8388608 bytes", outcome.stdout)
  end)

  for name, value in pairs(MORE) do
    it(("apply for %s, far beyond any host"):format(name), function()
      local outcome = run("codex", function(plan)
        without_network(plan)
        plan.limits[name] = value
        if name == "disk" then plan.storage.size = value end
      end)
      assert.equal(0, outcome.code, outcome.stderr)
      assert.matches("^%d+\n8388608 bytes", outcome.stdout)
    end)
  end

  it("is no weaker than a small one: a small one still ends the sandbox", function()
    local opened = box.open(box.plan(function(plan)
      without_network(plan)
      plan.limits.memory = 48 * 2 ^ 20
    end, "codex"))
    -- dd holds its buffer while nobody reads: where memory is only watched, a short peak is not seen.
    local outcome = box.inside(opened, "dd if=/dev/zero bs=200M count=1 2>/dev/null | sleep 5")
    assert.equal(137, outcome.code)
    assert.equal("memory", outcome.ended_by)
    opened:close()
  end)
end)
