--- How long sandboxes of a plan take to start, for bench.lua's parts.
local core = require "moonbox.core"
local sandbox = require "moonbox.sandbox"

local M = {}

local ROUNDS = 60

--- Milliseconds from a plan to the end of its first command; `groups`: with control groups, where there are any. What is
-- removed afterwards nobody waits for, so it does not count. `options` are of moonbox.sandbox.open.
function M.start(plan, groups, options)
  local began = core.sys.monotonic()
  local launch = core.launch
  core.launch = function(handle, launch_options)
    launch_options.cgroups = groups
    return launch(handle, launch_options)
  end
  local box, message = sandbox.open(plan, options)
  core.launch = launch
  local outcome = assert(assert(box, message):exec { run = { "/bin/true" } })
  local took = (core.sys.monotonic() - began) * 1e3
  assert(outcome.code == 0, outcome.sentence)
  assert(box:close())
  return took
end

--- The middle of a list of numbers, which it sorts.
function M.median(numbers)
  table.sort(numbers)
  return numbers[math.floor(#numbers / 2) + 1]
end

--- Medians of what each of several functions returns, called one after the other in each round; the first warms up.
function M.medians(ways, rounds)
  local times, out = {}, {}
  for i in ipairs(ways) do times[i] = {} end
  for round = 0, rounds or ROUNDS do
    for i, way in ipairs(ways) do
      local took = way()
      if round > 0 then table.insert(times[i], took) end
    end
  end
  for i in ipairs(ways) do out[i] = M.median(times[i]) end
  return out
end

return M
