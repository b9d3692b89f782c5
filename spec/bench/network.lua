--- Measures ways into a network against each other: network.lua root|user FOLDER, run by spec/bench/network.sh inside its
-- namespaces. FOLDER/ways has a line "NAME::PREFIX" for each way, PREFIX being what a client's command is put behind.
--
-- Rounds are interleaved, so that what else the machine does falls on all ways alike; figures are medians.
local mode, folder = arg[1], arg[2]
local ROUNDS = tonumber(os.getenv("MOONBOX_BENCH_ROUNDS") or 3)
local SERVER, PORTS = "203.0.113.10 8000", 64

local function write(name, text)
  local handle = assert(io.open(folder .. "/" .. name, "w"))
  handle:write(text)
  handle:close()
  return folder .. "/" .. name
end

local function read(path)
  local handle = io.open(path)
  local text = handle and handle:read("*a")
  if handle then handle:close() end
  return text
end

local function policy(name, network)
  return write(name .. ".lua", ([[return policy "%s" { extends = "base", network = { %s, otherwise = "deny" } }]])
    :format(name, network))
end

-- moonbox as the caller: root, or an ordinary user without a capability over these namespaces.
local AS = mode == "root" and "" or "unshare --user --map-user=1000 --map-group=1000 "
local HELPERS = io.popen("pwd"):read("*l") .. "/build/spec"

local function moonbox(path)
  return ("%sbuild/moonbox exec --policy %s --bind=%s:/opt/spec -- "):format(AS, path, HELPERS)
end

local function client(way, arguments)
  return way.prefix .. (way.inside and "/opt/spec/load " or " build/spec/load ") .. arguments
end

-- The numbers that a client prints, or nil when it fails.
local function run(way, arguments)
  local pipe = io.popen(client(way, arguments) .. " 2>>" .. folder .. "/errors </dev/null; echo code $?")
  local text = pipe:read("*a")
  pipe:close()
  local numbers = {}
  for word in text:gmatch("[%d.]+") do numbers[#numbers + 1] = tonumber(word) end
  if table.remove(numbers) == 0 then return numbers end
end

local function ways()
  local out = {}
  for line in io.lines(folder .. "/ways") do
    local name, prefix = line:match("^(.-)::(.*)$")
    out[#out + 1] = { name = name, prefix = prefix }
  end
  local path = policy("bench", 'allow { "203.0.113.10" }')
  local ours = { name = "moonbox", prefix = moonbox(path), inside = true }
  if run(ours, "latency " .. SERVER .. " 1 0.01") then
    out[#out + 1] = ours
  else
    print("  moonbox is left out: " .. ((read(folder .. "/errors") or ""):match("([^\n]*)\n?$")))
  end
  return out
end

local function median(numbers)
  table.sort(numbers)
  return numbers[math.floor(#numbers / 2) + 1] or 0 / 0
end

-- { title, arguments, { name of each number printed } }
local TESTS = {
  { "up %s 1 1", { { "up, 1 stream, Gbit/s", 1e-3, "%.1f" } } },
  { "down %s 1 1", { { "down, 1 stream, Gbit/s", 1e-3, "%.1f" } } },
  { "gets %s 64 1 64", { { "connections + GET a second, 64 at once", 1, "%.0f" }, { "  failed", 1, "%.0f" } } },
  { "latency %s 64 1", { { "connect, us", 1, "%.0f" }, { "  99 of 100", 1, "%.0f" }, { "connect + GET, us", 1, "%.0f" },
    { "  99 of 100", 1, "%.0f" }, { "GET on a live connection, us", 1, "%.0f" }, { "  99 of 100", 1, "%.0f" } } },
}

local function measure(list)
  local results = {}
  for _ = 1, ROUNDS do
    for t, test in ipairs(TESTS) do
      for w, way in ipairs(list) do
        local numbers = run(way, test[1]:format(SERVER)) or {}
        for i, number in ipairs(numbers) do
          local key = t .. ":" .. i .. ":" .. w
          results[key] = results[key] or {}
          table.insert(results[key], number)
        end
      end
    end
  end
  return results
end

local function row(title, cells)
  print(("  %-40s%s"):format(title, table.concat(cells)))
end

local function compare(list)
  local results, head = measure(list), {}
  for w, way in ipairs(list) do head[w] = ("%20s"):format(way.name) end
  row("medians of " .. ROUNDS .. ", (of direct)", head)
  for t, test in ipairs(TESTS) do
    for i, what in ipairs(test[2]) do
      local cells, first = {}, nil
      for w in ipairs(list) do
        local value = median(results[t .. ":" .. i .. ":" .. w] or {}) * what[2]
        first = first or value
        local of = first > 0 and (" (%.2fx)"):format(value / first) or ""
        cells[w] = ("%20s"):format((what[3] .. "%s"):format(value, of))
      end
      row(what[1], cells)
    end
  end
end

-- Resident memory of the one gateway that there is, in KiB.
local function gateway_memory()
  for pid in io.popen("ls /proc"):lines() do
    if pid:match("^%d+$") and read("/proc/" .. pid .. "/comm") == "moonbox-gateway\n" then
      return tonumber((read("/proc/" .. pid .. "/status") or ""):match("VmRSS:%s*(%d+)"))
    end
  end
end

-- Opens `number` connections through moonbox and keeps them: { open, failed, seconds }, KiB.
local function held(way, number)
  local out = folder .. "/held"
  os.remove(out)
  local pipe = io.popen(client(way, ("hold %s %d %d >%s"):format(SERVER, PORTS, number, out)), "w")
  local open, failed, seconds
  for _ = 1, 400 do
    open, failed, seconds = (read(out) or ""):match("^(%d+) (%d+) ([%d.]+)\n")
    if open then break end
    os.execute("sleep 0.1")
  end
  local memory = gateway_memory()
  pipe:close()
  assert(open, "nothing was held")
  return tonumber(open), tonumber(failed), tonumber(seconds), memory
end

local function memory(way)
  local _, _, _, few = held(way, 1000)
  local open, failed, seconds, many = held(way, 4000)
  print(("  %d connections at once, each with a GET: %d failed, %.2f s; gateway %.2f KiB for each above 1,000")
    :format(open, failed, seconds, (many - few) / (open - 1000)))
end

local function rates()
  for _, rate in ipairs { 10, 100, 1000 } do
    local path = policy("rate" .. rate, ('allow { "203.0.113.10" }, bandwidth = %d * Mbit'):format(rate))
    local way, cells = { prefix = moonbox(path), inside = true }, {}
    for _, streams in ipairs { 1, 4 } do
      for _, direction in ipairs { "up", "down" } do
        local numbers = run(way, ("%s %s 3 %d"):format(direction, SERVER, streams)) or { 0 / 0 }
        cells[#cells + 1] = ("%s x%d %.1f"):format(direction, streams, numbers[1])
      end
    end
    print(("  a limit of %4d Mbit/s gives %s"):format(rate, table.concat(cells, ", ")))
  end
end

local function setup()
  local none = write("none.lua", [[return policy "none" { extends = "base", network = "none" }]])
  local pipe = io.popen(("%sluajit spec/bench/opens.lua 25 %s %s/bench.lua"):format(AS, none, folder))
  local open, close, ahead, open_net, close_net, ahead_net = pipe:read("*n", "*n", "*n", "*n", "*n", "*n")
  pipe:close()
  if ahead_net then
    print(("  set-up: a sandbox takes %.0f us to open and %.0f us to close without a network; with one %+.0f and %+.0f us")
      :format(open, close, open_net - open, close_net - close))
    print(("  made ahead: %.0f us to open without a network, %.0f us with one (aim: at most 100 us)"):format(ahead, ahead_net))
  end
end

local list = ways()
compare(list)
local ours = list[#list]
if ours.inside then
  memory(ours)
  rates()
  setup()
end
