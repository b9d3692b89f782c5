--- The part of Lua's library that policy and pipeline files get.
-- Left out on purpose: whatever reads, loads, waits, catches errors, reaches metatables or environments,
-- prints addresses or is random. Each load gets its own copies of the tables, so nothing that a file changes
-- outlives it.
local units = require "moonbox.units"

local M = {}

local string_format, string_gsub, string_find = string.format, string.gsub, string.find

--- Lua's tostring without addresses: tables and functions are only named.
function M.tostring(value)
  local kind = type(value)
  if kind == "number" or kind == "string" or kind == "boolean" or kind == "nil" then
    return tostring(value)
  end
  local parts = units.parts(value)
  if parts then
    return units.show(parts[1], parts[3] and { count = parts[2], seconds = parts[3] } or parts[2])
  end
  return kind
end

--- Lua's string.format without %p and with this module's tostring for %s.
function M.format(format, ...)
  if type(format) == "string" and string_find(string_gsub(format, "%%%%", ""), "%%[-+ #0-9.]*p") then
    error("format: %p would print an address", 2)
  end
  local args = { ... }
  for i = 1, select("#", ...) do
    local kind = type(args[i])
    if kind ~= "number" and kind ~= "string" and kind ~= "nil" then args[i] = M.tostring(args[i]) end
  end
  return string_format(format, unpack(args, 1, select("#", ...)))
end

local function copy(from, names)
  local out = {}
  for name in names:gmatch("%S+") do out[name] = from[name] end
  return out
end

local strings = "byte char find gmatch gsub len lower match rep reverse sub upper"

-- Methods of text values, ("x"):rep(3), come from the one metatable that all strings of the process share.
local methods

--- Takes string.dump away from the methods of text values, for the whole process and for good: functions of a
-- pipeline file run long after it was loaded.
function M.confine_methods()
  if methods then return end
  methods = copy(string, strings)
  methods.format = M.format
  getmetatable("").__index = methods
end

local whole = { pairs = pairs, ipairs = ipairs, next = next, type = type, tonumber = tonumber,
  tostring = M.tostring, select = select, unpack = unpack, error = error, assert = assert }

--- The value of one of the library's names, with tables copied; nil for any other name.
function M.get(name)
  if whole[name] then return whole[name] end
  if name == "string" then
    local out = copy(string, strings)
    out.format = M.format
    return out
  end
  if name == "table" then return copy(table, "concat insert maxn remove sort") end
  if name == "math" then
    return copy(math,
      "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min"
      .. " modf pi pow rad sin sinh sqrt tan tanh")
  end
end

return M
