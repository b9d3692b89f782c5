--- opens.lua ROUNDS POLICY...: opens and closes a sandbox of each policy in turn, a tenth of a second apart so that nothing is
-- warm, and prints the medians of opening, of closing, and of opening one that was made ahead in microseconds, a policy a line.
local sys = require("moonbox.core").sys
local sandbox, load = require "moonbox.sandbox", require("moonbox.plan").load

local rounds, plans, times = tonumber(arg[1]), {}, {}
for i = 2, #arg do
  plans[i - 1], times[i - 1] = assert(load(arg[i])), { {}, {}, {} }
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
    assert(sandbox.ready(plan, 1))
    os.execute("sleep 0.1")
    local taken
    taken, box = timed(function() return sandbox.open(plan) end)
    assert(sandbox.ready(plan, 0))
    assert(box:close())
    for way, time in ipairs(round > 0 and { opened, closed, taken } or {}) do table.insert(times[i][way], time) end
  end
end

for _, each in ipairs(times) do
  local middle = math.floor(rounds / 2) + 1
  for way = 1, 3 do table.sort(each[way]) end
  print(("%.0f %.0f %.0f"):format(each[1][middle], each[2][middle], each[3][middle]))
end
