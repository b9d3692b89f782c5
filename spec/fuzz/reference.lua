--- What C is compared with, for spec/fuzz/reference.c: the names of the policy language, and the rules said once more.
local names = require "moonbox.names"
local rules = require "support.rules_reference"

local M = {}

--- The canonical form of a name as DNS, SNI or Host give it, or nil.
function M.name(text)
  -- As a target of a row this one word is a group; elsewhere it is a name.
  if text == "internal" then return text end
  local parsed = names.parse(text)
  return parsed and parsed.form == "exact" and not parsed.port and parsed.name or nil
end

--- Whether a canonical name is matched by another, or by `*.` and that one.
function M.matches(name, pattern, below)
  local wide = below and { form = "wildcard", name = "*." .. pattern } or { form = "exact", name = pattern }
  return names.covers(wide, { form = "exact", name = name })
end

--- An address in its RFC 5952 form, and whether it is internal; or nil.
function M.address(text)
  if not names.bytes(text) then return nil end
  return names.parse(text).name, names.internal(text)
end

M.decide = rules.decide

--- Whether the name is allowed on one of some ports.
function M.answers(network, name, ports)
  for _, port in ipairs(ports) do
    if rules.decide(network, name, port) then return true end
  end
  return false
end

return M
