--- opens.lua ROUNDS POLICY...: opens and closes a sandbox of each policy in turn, a tenth of a second apart so that nothing is
-- warm, and prints the medians of opening and of closing in microseconds, a policy a line.
local sys = require("moonbox.core").sys
local sandbox, load = require "moonbox.sandbox", require("moonbox.plan").load

local rounds, plans, times = tonumber(arg[1]), {}, {}
for i = 2, #arg do
  plans[i - 1], times[i - 1] = assert(load(arg[i])), { {}, {} }
end

local function timed(work)
  local began = sys.monotonic()
  local result = assert(work())
  return (sys.monotonic() - began) * 1e6, result
end

for round = 0, rounds do
  for i, plan in ipairs(plans) do
    os.execute("sleep 0.1")
    local opened, box = timed(function() return sandbox.open(plan) end)
    local closed = timed(function() return box:close() end)
    if round > 0 then
      table.insert(times[i][1], opened)
      table.insert(times[i][2], closed)
    end
  end
end

for _, each in ipairs(times) do
  table.sort(each[1])
  table.sort(each[2])
  local middle = math.floor(rounds / 2) + 1
  print(("%.0f %.0f"):format(each[1][middle], each[2][middle]))
end
