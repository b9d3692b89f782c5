--- Units as values: `16 * GB` is a size, `4 * hours` a time, `50 * Mbit` a bandwidth, `100 / minute` a rate,
-- `100 * MB / second` a throughput.
-- A value carries its dimension, so a size where a time belongs is told apart before anything runs.
-- Sizes are powers of 1024 (GB and GiB are both 2^30 bytes: memory and disks of machines are sold and
-- measured so); bandwidths are decimal bits per second (1 Mbit = 10^6, as in networking); times are seconds.
local M = {}

--- unit -> { dimension, amount }
M.table = {
  KB = { "size", 2 ^ 10 }, MB = { "size", 2 ^ 20 }, GB = { "size", 2 ^ 30 }, TB = { "size", 2 ^ 40 },
  KiB = { "size", 2 ^ 10 }, MiB = { "size", 2 ^ 20 }, GiB = { "size", 2 ^ 30 }, TiB = { "size", 2 ^ 40 },
  Kbit = { "bandwidth", 1e3 }, Mbit = { "bandwidth", 1e6 }, Gbit = { "bandwidth", 1e9 },
  second = { "time", 1 }, minute = { "time", 60 }, hour = { "time", 3600 }, day = { "time", 86400 },
  seconds = { "time", 1 }, minutes = { "time", 60 }, hours = { "time", 3600 }, days = { "time", 86400 },
}

--- Each dimension in words, for messages.
M.example = {
  size = "a size such as 4 * GB", time = "a time such as 5 * minutes",
  bandwidth = "a bandwidth such as 50 * Mbit", rate = "a rate such as 100 / minute",
  throughput = "a throughput such as 100 * MB / second", ops = "a number of operations such as 1000 / second",
}

local values = setmetatable({}, { __mode = "k" })

--- { dimension, amount [, seconds] } of a unit value, or nil for anything else.
function M.parts(value) return type(value) == "table" and values[value] or nil end

local function kind(v)
  local p = values[v]
  return p and p[1] or type(v)
end

-- Beyond what a double counts exactly, digits would only be noise.
local function trim(n)
  if math.abs(n) >= 2 ^ 53 then return ("%g"):format(n) end
  return (("%.2f"):format(n):gsub("%.?0+$", ""))
end

--- A size, time, bandwidth, throughput (bytes a second), ops (operations a second) or rate ({count, seconds}) as an
-- operator would write it.
function M.show(dimension, amount)
  local steps = { size = { { 2 ^ 40, "TB" }, { 2 ^ 30, "GB" }, { 2 ^ 20, "MB" }, { 2 ^ 10, "KB" },
    { 1, "bytes" } },
    bandwidth = { { 1e9, "Gbit" }, { 1e6, "Mbit" }, { 1e3, "Kbit" }, { 1, "bit" } },
    time = { { 86400, "days" }, { 3600, "hours" }, { 60, "minutes" }, { 1, "seconds" } } }
  if dimension == "rate" then
    local names = { [1] = "second", [60] = "minute", [3600] = "hour", [86400] = "day" }
    return trim(amount.count) .. " / " .. (names[amount.seconds] or (trim(amount.seconds) .. " seconds"))
  end
  if dimension == "throughput" then return M.show("size", amount) .. " / second" end
  if dimension == "ops" then return M.show("rate", { count = amount, seconds = 1 }) end
  for _, step in ipairs(steps[dimension] or {}) do
    local n = amount / step[1]
    if math.abs(n) >= 1 and (n * 100) % 1 == 0 then
      local name = n == 1 and step[2]:gsub("s$", "") or step[2]
      return trim(n) .. " " .. name
    end
  end
  local last = steps[dimension] and steps[dimension][#steps[dimension]][2]
  return trim(amount) .. (last and " " .. last or "")
end

--- Unit words for one load: returns a function name -> value or nil.
-- `report(sentence)` is told of arithmetic that makes no sense and returns what the operation yields.
function M.words(report)
  local meta = {}

  local function make(dimension, amount, seconds)
    local v = setmetatable({}, meta)
    values[v] = { dimension, amount, seconds }
    return v
  end

  local function nonsense(a, b, sign)
    return report(("%s %s %s makes no sense; write a number times a unit"):format(kind(a), sign, kind(b)))
  end

  function meta.__mul(a, b)
    local pa, pb = values[a], values[b]
    if pa and type(b) == "number" and pa[1] ~= "rate" then return make(pa[1], pa[2] * b) end
    if pb and type(a) == "number" and pb[1] ~= "rate" then return make(pb[1], pb[2] * a) end
    return nonsense(a, b, "*")
  end

  function meta.__div(a, b)
    local pa, pb = values[a], values[b]
    if pa and type(b) == "number" and pa[1] ~= "rate" then return make(pa[1], pa[2] / b) end
    if pa and pb and pa[1] == "size" and pb[1] == "time" then return make("throughput", pa[2] / pb[2]) end
    if pb and pb[1] == "time" and type(a) == "number" then return make("rate", a, pb[2]) end
    if pa and pb and pa[1] == pb[1] and pa[1] ~= "rate" then return pa[2] / pb[2] end
    return nonsense(a, b, "/")
  end

  local function sum(sign)
    return function(a, b)
      local pa, pb = values[a], values[b]
      if pa and pb and pa[1] == pb[1] and pa[1] ~= "rate" then return make(pa[1], pa[2] + sign * pb[2]) end
      return nonsense(a, b, sign == 1 and "+" or "-")
    end
  end
  meta.__add, meta.__sub = sum(1), sum(-1)

  function meta.__lt(a, b)
    local pa, pb = values[a], values[b]
    if pa and pb and pa[1] == pb[1] then return pa[2] < pb[2] end
    return nonsense(a, b, "<") and false
  end
  function meta.__le(a, b) return not meta.__lt(b, a) end
  function meta.__eq(a, b)
    local pa, pb = values[a], values[b]
    return pa[1] == pb[1] and pa[2] == pb[2] and pa[3] == pb[3]
  end
  function meta.__concat(a, b) return nonsense(a, b, "..") end
  function meta.__unm(a) return nonsense(a, a, "-") end
  meta.__mod = function(a, b) return nonsense(a, b, "%") end
  meta.__pow = function(a, b) return nonsense(a, b, "^") end
  meta.__newindex = function(a) return report("a " .. kind(a) .. " can't be changed") end
  meta.__metatable = false

  return function(name)
    local unit = M.table[name]
    return unit and make(unit[1], unit[2])
  end
end

return M
