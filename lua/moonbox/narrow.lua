--- Narrowing: what a step may ask for under a policy. A step can only ever get less than its policy gives.
local names = require "moonbox.names"

local M = {}

local function has(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

-- The ports that a name of a row is about: its own, the row's, or nil for all.
local function ports_of(name, row)
  if name.port then return { name.port } end
  return row.ports
end

local function ports_cover(wide, narrow)
  if not wide then return true end
  if not narrow then return false end
  for _, port in ipairs(narrow) do
    if not has(wide, port) then return false end
  end
  return true
end

--- How the policy's network (data.network or plan.network: `rows` or `rules`) stands to one name of an `only`
-- row. Returns true and the allow row that covers the name (nil when only `otherwise` does), or false and
-- what is missing. A name without ports of its own takes those of the row that covers it.
function M.reachable(network, name, only)
  if network.mode == "none" then return false, "the policy's network is \"none\"" end
  local narrow = ports_of(name, only)
  local near
  for _, row in ipairs(network.rows or network.rules) do
    for _, wide in ipairs(row.names or {}) do
      if names.covers(wide, name) and (row.word == "deny" or row.word == "allow") then
        if row.word == "deny" then
          local at = row.from or (row.file .. ":" .. row.line)
          return false, "the policy denies it at " .. at
        end
        if not narrow or ports_cover(ports_of(wide, row), narrow) then
          return true, row, ports_of(wide, row)
        end
        near = true
      end
    end
  end
  if network.otherwise == "allow" then return true end
  return false, near and "the policy allows it on other ports only" or "the policy does not allow it"
end

--- The rules of a step's network: the policy's denials first, then each name of the `only` rows with the
-- ports, methods and watching of the policy's row that allows it. Names that the policy does not allow are
-- left out.
function M.rules(network, only_rows)
  local out = {}
  for _, rule in ipairs(network.rules) do
    if rule.word == "deny" then out[#out + 1] = rule end
  end
  for _, only in ipairs(only_rows) do
    for _, name in ipairs(only.names) do
      local ok, rule, ports = M.reachable(network, name, only)
      if ok then
        rule = rule or {}
        out[#out + 1] = { word = "allow", names = { name }, ports = ports_of(name, only) or ports,
          methods = rule.methods, watch = rule.watch, from = only.file .. ":" .. only.line }
      end
    end
  end
  return out
end

return M
