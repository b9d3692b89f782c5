--- What limits add to a cold start: the same plan with and without control groups, and with its writable files on a
-- disk image or in memory, opened in turn. Run by bench.lua.
local core = require "moonbox.core"
local sandbox = require "moonbox.sandbox"

local M = {}

local ROUNDS = 60

-- Milliseconds from a plan to the end of its first command; `groups`: with control groups, where there are any. What is
-- removed afterwards nobody waits for, so it does not count.
local function start(plan, groups)
  local began = core.sys.monotonic()
  local launch = core.launch
  core.launch = function(handle, options)
    options.cgroups = groups
    return launch(handle, options)
  end
  local box, message = sandbox.open(plan)
  core.launch = launch
  local outcome = assert(assert(box, message):exec { run = { "/bin/true" } })
  local took = (core.sys.monotonic() - began) * 1e3
  assert(outcome.code == 0, outcome.sentence)
  assert(box:close())
  return took
end

local function median(numbers)
  table.sort(numbers)
  return numbers[math.floor(#numbers / 2) + 1]
end

-- Medians in milliseconds of two ways, one after the other in each round; the first round warms up.
local function both(one, other)
  local ways, times = { one, other }, { {}, {} }
  for round = 0, ROUNDS do
    for i, way in ipairs(ways) do
      local took = way()
      if round > 0 then table.insert(times[i], took) end
    end
  end
  return median(times[1]), median(times[2])
end

local function show(what, with, without, aim)
  print(("  %-44s %9.2f ms   %-30s %9.2f ms   %5.2fx   adds %.2f ms   (aim: at most %.1f ms)"):format(what, with,
    "without", without, with / without, with - without, aim))
end

--- Prints a line for control groups and, where moonbox makes disk images, one for those.
function M.run()
  local load = require("moonbox.plan").load
  local plan, groups = assert(load("offline")), core.cgroups()
  if groups.memory.version == 0 and groups.cpu.version == 0 and groups.pids.version == 0 then
    print("  limits: no control groups here, so nothing that they could add")
  else
    local with, without = both(function() return start(plan, true) end, function() return start(plan, false) end)
    show(("limits by control groups, v%d"):format(math.max(groups.memory.version, groups.cpu.version,
      groups.pids.version)), with, without, 1.0)
  end
  local disk, memory = assert(load("base")), assert(load("base"))
  if require("moonbox.disk").kind(disk) ~= "image" then return end
  memory.storage.kind = "memory"
  local with, without = both(function() return start(disk, true) end, function() return start(memory, true) end)
  show("disk image of its own (without: in memory)", with, without, 3.0)
end

return M
