--- Narrowing: what a step may ask for under a policy. A step can only ever get less than its policy gives.
-- A step's rules are the policy's own, in their order, each cut down to the names and ports of the step's `only` rows.
-- So the first match still wins, a denial still denies, and names that shared one row's rate or byte budget still do.
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

-- The ports of both lists; nil stands for all of them.
local function common(a, b)
  if not a or not b then return a or b end
  local out = {}
  for _, port in ipairs(a) do
    if has(b, port) then out[#out + 1] = port end
  end
  return out
end

-- Those of `ports` that are not in `taken`; nil stands for all of them.
local function without(ports, taken)
  local out = {}
  for _, port in ipairs(taken and ports or {}) do
    if not has(taken, port) then out[#out + 1] = port end
  end
  return out
end

-- What a step's name is to the policy: internal addresses, and names that `hosts` gives one, are opened by
-- allow_internal rows alone.
local function target(network, name)
  local address = name.form == "exact" and network.hosts and network.hosts[name.name]
  if address and names.internal(address) then return names.parse(address), "allow_internal" end
  return name, name.internal and "allow_internal" or "allow"
end

-- Whether a denial on some ports (nil: all) takes one of those that are still asked for.
local function denies(ports, missing)
  return not ports or missing and #common(missing, ports) > 0
end

--- How the policy's network (data.network or plan.network: `rows` or `rules`) stands to one name of an `only` row:
-- true, or false and what is missing. A name without ports of its own takes those of the rows that cover it.
function M.reachable(network, name, only)
  if network.mode == "none" then return false, "the policy's network is \"none\"" end
  local wanted, near = ports_of(name, only), nil
  local asked, opens = target(network, name)
  local missing = wanted
  for _, row in ipairs(network.rows or network.rules) do
    for _, wide in ipairs((row.word == opens or row.word == "deny") and row.names or {}) do
      local ports, covers = ports_of(wide, row), names.covers(wide, asked)
      if row.word ~= "deny" and covers then
        if not missing then return true end
        near, missing = true, without(missing, ports)
        if #missing == 0 then return true end
      elseif row.word == "deny" and (covers or names.covers(wide, name)) and denies(ports, missing) then
        return false, "the policy denies it at " .. (row.from or (row.file .. ":" .. row.line))
      end
    end
  end
  if network.otherwise == "allow" and opens == "allow" then return true end
  return false, near and "the policy allows it on other ports only" or "the policy does not allow it"
end

-- Adds to `out` what a name of a rule and a name of an `only` row have in common, a name for each port.
local function meet(out, rule, wide, only, asked)
  local found = names.covers(wide, asked) and asked or names.covers(asked, wide) and wide
  local ports = common(ports_of(wide, rule), ports_of(asked, only))
  if not found then return end
  for _, port in ipairs(ports or { false }) do
    out[#out + 1] = { form = found.form, name = found.name, group = wide.group, internal = found.internal,
      port = port or nil }
  end
end

-- A rule of the policy, cut down; nil when nothing of it is left.
local function cut(network, rule, only_rows)
  if rule.word == "deny" then return rule end
  local found = {}
  for _, only in ipairs(only_rows) do
    for _, name in ipairs(only.names) do
      local asked, opens = target(network, name)
      -- Rows about a name with a fixed internal address keep their place among the others.
      if rule.word == "allow" and not name.internal then asked, opens = name, "allow" end
      if opens == rule.word then
        asked = { form = asked.form, name = asked.name, port = name.port, internal = asked.internal }
        for _, wide in ipairs(rule.names) do meet(found, rule, wide, only, asked) end
      end
    end
  end
  if #found == 0 then return nil end
  local out = {}
  for key, value in pairs(rule) do out[key] = value end
  out.names, out.ports = found, nil
  return out
end

--- The rules of a step's network: see above. What the policy allows without naming it comes last.
function M.rules(network, only_rows)
  local out = {}
  for _, rule in ipairs(network.rules) do
    out[#out + 1] = rule.word ~= "publish" and cut(network, rule, only_rows) or nil
  end
  for _, only in ipairs(network.otherwise == "allow" and only_rows or {}) do
    local public = {}
    for _, name in ipairs(only.names) do
      if select(2, target(network, name)) == "allow" then public[#public + 1] = name end
    end
    if #public > 0 then
      out[#out + 1] = { word = "allow", names = public, ports = only.ports, from = only.file .. ":" .. only.line }
    end
  end
  return out
end

return M
