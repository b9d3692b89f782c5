--- What limits add to a cold start: the same plan with and without control groups, and with its writable files on a
-- disk image or in memory, opened in turn. And what is left of a sandbox's speed beside another that is at its limits.
-- Run by bench.lua.
local core = require "moonbox.core"
local sandbox = require "moonbox.sandbox"
local cold = dofile "spec/bench/cold.lua"

local M = {}

-- Medians in milliseconds of two plans' starts, with or without control groups.
local function both(one, groups, other, other_groups)
  return unpack(cold.medians { function() return cold.start(one, groups) end,
    function() return cold.start(other, other_groups) end })
end

local function show(what, with, without, aim)
  print(("  %-44s %9.2f ms   %-30s %9.2f ms   %5.2fx   adds %.2f ms   (aim: at most %.1f ms)"):format(what, with,
    "without", without, with / without, with - without, aim))
end

-- Every sandbox here has half a processor, as a host has that is not sold twice.
local SECONDS, TURNS = 2, 3
local ATTACKS = {
  { "a fork bomb", "/opt/spec/hog bomb" },
  { "one that fills its memory over and over", "while :; do /opt/spec/hog memory map 100 0; done" },
  { "64 threads that compute", "/opt/spec/hog spin 64 600" },
}

local function small_box()
  local plan = assert(require("moonbox.plan").load("offline"))
  local limits = plan.limits
  limits.cpus, limits.memory, limits.processes, limits.grace = 0.5, 128 * 2 ^ 20, 100, 0
  plan.mounts[#plan.mounts + 1] = { kind = "bind", source = core.sys.realpath("build/spec"), target = "/opt/spec",
    read_only = true, as_agent = true }
  return assert(sandbox.open(plan))
end

local function work(box)
  local outcome = assert(box:exec { run = { "/opt/spec/hog", "work", tostring(SECONDS) } })
  return tonumber(outcome.stdout:match("rounds (%d+)"))
end

-- Runs `during` beside a sandbox that runs `script`.
local function beside(script, during)
  local noisy = small_box()
  assert(noisy:exec { run = { "/bin/sh", "-c", "(" .. script .. ") >/dev/null 2>&1 </dev/null &" } })
  core.sys.sleep(0.5)
  local result = during()
  assert(noisy:close())
  return result
end

--- Prints a line for each kind of neighbour: how much a sandbox gets done beside it, and alone. Needs cpu groups.
function M.neighbours()
  local box = small_box()
  work(box)
  for _, attack in ipairs(ATTACKS) do
    local quiet, noisy = {}, {}
    for turn = 1, TURNS do
      quiet[turn] = work(box)
      noisy[turn] = beside(attack[2], function() return work(box) end)
    end
    local alone, with = cold.median(quiet), cold.median(noisy)
    print(("  %-44s %9d      %-30s %9d      %5.2fx   (aim: at least 0.90)"):format("rounds beside " .. attack[1], with,
      "alone", alone, with / alone))
  end
  assert(box:close())
end

--- Prints a line for control groups and, where moonbox makes disk images, one for those; and the neighbours, where groups
-- divide the processors.
function M.run()
  local load = require("moonbox.plan").load
  local plan, groups = assert(load("offline")), core.cgroups()
  if groups.memory.version == 0 and groups.cpu.version == 0 and groups.pids.version == 0 then
    print("  limits: no control groups here, so nothing that they could add")
  else
    local with, without = both(plan, true, plan, false)
    show(("limits by control groups, v%d"):format(math.max(groups.memory.version, groups.cpu.version,
      groups.pids.version)), with, without, 1.0)
  end
  if groups.cpu.version > 0 then M.neighbours() end
  local disk, memory = assert(load("base")), assert(load("base"))
  if require("moonbox.disk").kind(disk) ~= "image" then return end
  memory.storage.kind = "memory"
  local with, without = both(disk, true, memory, true)
  show("disk image of its own (without: in memory)", with, without, 3.0)
end

return M
