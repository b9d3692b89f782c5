--- Measures starts: medians of interleaved runs, and their ratio. Run by spec/bench/run.sh at the top of a checkout.
local core = require "moonbox.core"
local sandbox = require "moonbox.sandbox"

local ROUNDS, BATCHES, BATCH, DECISIONS = 60, 12, 10, 20000

-- Boxes that wait while one is used.
local AHEAD = 2

local function lines(command)
  local pipe = assert(io.popen(command))
  local numbers = {}
  for line in pipe:lines() do numbers[#numbers + 1] = assert(tonumber(line), line) end
  pipe:close()
  return numbers
end

local function median(numbers)
  table.sort(numbers)
  return assert(numbers[math.floor(#numbers / 2) + 1], "nothing was measured")
end

local function show(what, ours, against, theirs, goal)
  print(("  %-44s %9.0f us   %-30s %9.0f us   %5.2fx%s"):format(what, ours, against, theirs, ours / theirs,
    goal and ("   (aim: at most %.1fx)"):format(goal) or ""))
end

local function found(program)
  return os.execute("command -v " .. program .. " >/dev/null") == 0
end

-- Two commands against each other.
local function programs(what, ours, against, theirs, goal)
  local times = lines(("build/spec/stopwatch %d %s :: %s"):format(ROUNDS, ours, theirs))
  show(what, times[1], against, assert(times[2], what .. " failed"), goal)
end

local function timed(work)
  local began = core.sys.monotonic()
  work()
  return (core.sys.monotonic() - began) * 1e6
end

-- Work in this process against bare_clone, batch by batch.
local function loop(what, work, against, kind, goal)
  local ours, theirs = {}, {}
  work()
  for _ = 1, BATCHES do
    for _ = 1, BATCH do ours[#ours + 1] = timed(work) end
    for _, time in ipairs(lines(("build/spec/bare_clone %s %d /bin/true"):format(kind, BATCH))) do
      theirs[#theirs + 1] = time
    end
  end
  show(what, median(ours), against, median(theirs), goal)
end

local function run_true(box, last)
  local outcome = assert(box:exec { run = { "/bin/true" }, last = last })
  assert(outcome.code == 0, outcome.sentence)
end

local function whole_programs()
  local exec = "build/moonbox exec --policy offline -- /bin/true"
  if found "bwrap" then
    programs("moonbox exec -- /bin/true", exec, "bwrap --unshare-all",
      "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp /bin/true", 1.0)
  end
  programs("moonbox exec -- /bin/true", exec, "luajit -e ''", "luajit -e ''")
end

local function through_lua()
  local plan = assert(require("moonbox.plan").load("offline"))
  local function one()
    local box = assert(sandbox.open(plan, { early = true }))
    run_true(box, true)
    assert(box:close())
  end
  loop("Lua: open a box, /bin/true, close", one, "bare clone3 + exec", "namespaces", 2.5)
  assert(sandbox.ready(plan, AHEAD))
  loop(("Lua: the same, %d boxes made ahead"):format(AHEAD), one, "bare clone3 + exec", "namespaces", 2.5)
  assert(sandbox.ready(plan, 0))
  local live = assert(sandbox.open(plan))
  loop("Lua: /bin/true in a live box", function() run_true(live) end, "fork + exec + wait", "plain")
  assert(live:close())
end

-- What a policy's on.connect costs each connection, the worst of a hundred of them. In a gateway nothing is compiled.
local function decisions()
  jit.off()
  jit.flush()
  local path = os.tmpname()
  local file = assert(io.open(path .. ".lua", "w"))
  file:write [[return policy "bench" { on = { connect = function (flow)
    if flow.name:match("paste") then return deny "no paste sites" end
    if flow.counters.up > 1 * GB then return warn "much is going out" end
  end } }]]
  file:close()
  local decide = assert(require("moonbox.hooks").connect(path .. ".lua"))
  os.remove(path)
  os.remove(path .. ".lua")
  local flow = { name = "a.example.org", address = "192.0.2.7", port = 443, rule = "policies/codex.lua:18",
    connections = 1, denied = 0, up = 0, down = 0 }
  local times = {}
  for i = 1, DECISIONS do times[i] = timed(function() decide(flow) end) end
  local middle = median(times)
  print(("  %-44s %9.1f us   %-30s %9.1f us            (aim: at most 100 us)"):format(
    "on.connect, one decision (median)", middle, "99 of 100 within", times[math.floor(DECISIONS * 0.99)]))
end

whole_programs()
through_lua()
dofile("spec/bench/by_id.lua").run(programs, loop)
dofile("spec/bench/many.lua").run()
dofile("spec/bench/limits.lua").run()
decisions()
