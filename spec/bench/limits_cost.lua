--- What limits by control groups add to a cold start, beside starts of other kinds on the same machine, so that an emulated
-- machine's numbers say something about a real one: `luajit limits_cost.lua [COLD BARE FORK]`, the last three being the last
-- line that it printed there. Run by spec/bench/limits_cost.sh.
local cold = dofile "spec/bench/cold.lua"
local core = require "moonbox.core"

local ROUNDS, BATCH, LOOKS = 40, 5, 9

local function lines(command)
  local pipe, numbers = assert(io.popen(command)), {}
  for line in pipe:lines() do numbers[#numbers + 1] = assert(tonumber(line), line) end
  pipe:close()
  return numbers
end

local function bare(kind)
  return function() return cold.median(lines(("build/spec/bare_clone %s %d /bin/true"):format(kind, BATCH))) / 1e3 end
end

-- Milliseconds of looking for control groups, which a program does once.
local function look()
  local numbers = {}
  for i = 1, LOOKS do
    numbers[i] = lines([[luajit -e 'local core = require "moonbox.core"
      local began = core.sys.monotonic() core.cgroups() print((core.sys.monotonic() - began) * 1e3)']])[1]
  end
  return cold.median(numbers)
end

-- `units`: { fork =, bare =, cold = } in milliseconds; `real`: the same of the other machine.
local function show(what, ms, units, real)
  local line = ("  %-36s %8.2f ms"):format(what, ms)
  for _, name in ipairs { "cold", "bare", "fork" } do
    line = line .. ("  %6.2f x %s"):format(ms / units[name], name)
    if real then line = line .. (" = %5.2f ms"):format(ms / units[name] * real[name]) end
  end
  print(line)
end

local plan = assert(require("moonbox.plan").load("offline"))
local version = core.cgroups().memory.version
local real = arg[3] and { cold = tonumber(arg[1]), bare = tonumber(arg[2]), fork = tonumber(arg[3]) }
local fork, namespaces, without, with, leaves = unpack(cold.medians({ bare "plain", bare "namespaces",
  function() return cold.start(plan, false) end, function() return cold.start(plan, true) end,
  function() return cold.start(plan, true, { leaves = true }) end }, ROUNDS))
local units = { fork = fork, bare = namespaces, cold = without }
show("fork + exec + wait (fork)", fork, units)
show("clone3, all namespaces (bare)", namespaces, units)
show("cold start without groups (cold)", without, units)
if version == 0 then
  print("  no control groups for this user here")
else
  show(("limits by groups of version %d add"):format(version), with - without, units, real)
  show("looking for them, once a program", look(), units, real)
  -- With version 2 nearly all of it is an RCU grace period, as init moves (core/leaves.h), which lasts as long anywhere.
  show("by id: a group for each command adds", leaves - with, units)
end
if core.cgroups().cpu.version > 0 then dofile("spec/bench/limits.lua").neighbours() end
print(("  cold, bare, fork: %.3f %.3f %.3f"):format(without, namespaces, fork))
