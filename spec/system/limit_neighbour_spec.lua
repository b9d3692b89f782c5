-- Probes 85 to 88, for those beside it: a sandbox at its limits hurts itself, and another's work goes on as before.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local compile = require "support.compile"
local limited = require "support.limited"

local SECONDS, TRIES = 2, 3

-- Of a neighbour's quiet speed. Near 1 on an idle machine with processors to spare; with other work on it, groups share
-- what is left, and caches and memory are everybody's.
local SHARE = 0.3

local ROWS = 'files = { storage = "memory" },\nlimits = { cpus = 0.5, memory = 128 * MB, processes = 100, grace = 0 * seconds },'

local ATTACKS = {
  ["a fork bomb"] = "/opt/spec/hog bomb",
  ["64 threads that compute"] = "/opt/spec/hog spin 64 60",
  ["one that fills and empties its memory"] = "while :; do /opt/spec/hog memory map 100 0 >&2; done",
  ["a flood of output"] = "yes & yes >&2 & yes",
  ["one that fills its disk"] = "while :; do dd if=/dev/zero of=/dev/shm/f bs=1M; rm /dev/shm/f; done",
}

describe("a neighbour's work (probes 85 to 88)", function()
  local neighbour

  setup(function()
    box.enter()
    compile.helpers("hog")
    if limited.version "cpu" > 0 then neighbour = limited.open(ROWS) end
  end)
  teardown(function()
    if neighbour then neighbour:close() end
    box.leave()
  end)

  local function rounds(opened, before)
    local outcome = box.inside(opened, ("%s/opt/spec/hog work %d"):format(before or "", SECONDS))
    return tonumber(outcome.stdout:match("rounds (%d+)")) or 0
  end

  local function need_groups()
    if limited.version "cpu" == 0 then return pending "only groups divide the processors of a host" end
  end

  -- Runs `during` beside an attack; returns what it returned.
  local function beside(script, during)
    local line = box.line({ "--policy", limited.policy(ROWS), compile.option(compile.helpers("hog")) }, { "/bin/sh", "-c", script })
    local pid = tonumber(box.shell(("%s >/dev/null 2>&1 </dev/null & echo $!"):format(line)).stdout)
    os.execute("sleep 1")
    local result = during()
    local alive = box.shell(("kill -0 %d"):format(pid)).code
    box.shell(("kill -TERM %d; kill -TERM %d; i=0; while kill -0 %d && [ $i -lt 200 ]; do sleep 0.1; i=$((i+1)); done"):format(pid,
      pid, pid))
    assert.equal(0, alive, "control: the attack was over before")
    return result
  end

  for name, script in pairs(ATTACKS) do
    it("goes on beside " .. name, function()
      need_groups()
      local told = {}
      for _ = 1, TRIES do
        local noisy = beside(script, function() return rounds(neighbour) end)
        local quiet = rounds(neighbour)
        if noisy >= SHARE * quiet then return end
        told[#told + 1] = ("%d rounds, %d when it is quiet"):format(noisy, quiet)
      end
      error(table.concat(told, "; "))
    end)
  end

  it("would not, in one sandbox with it (control)", function()
    need_groups()
    local opened = limited.open(ROWS)
    local together = rounds(opened, "/opt/spec/hog spin 64 60 & ")
    assert(opened:close())
    assert.is_true(together < SHARE * rounds(neighbour), together)
  end)
end)
