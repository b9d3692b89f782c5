--- What core/gateway/decide.c decides, said once more as plainly as possible, on the plan's own table: specs compare the two.
local names = require "moonbox.names"

local M = {}

local function has(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

local function port_fits(rule, target, port)
  if target.port then return target.port == port end
  return not rule.ports or #rule.ports == 0 or has(rule.ports, port)
end

-- The IPv4 address inside of an IPv6 one, as text, by its spelling in groups.
local function inner(text)
  local b = names.bytes(text)
  if not b or #b == 4 then return nil end
  local words = {}
  for i = 1, 8 do words[i] = ("%x"):format(b[2 * i - 1] * 256 + b[2 * i]) end
  local head = table.concat(words, ":", 1, 6)
  local at = words[1] == "2002" and 3 or has({ "0:0:0:0:0:0", "0:0:0:0:0:ffff", "0:0:0:0:ffff:0", "64:ff9b:0:0:0:0" }, head) and 13
  return at and table.concat(b, ".", at, at + 3), head == "0:0:0:0:0:ffff"
end

local function in_block(text, target)
  local parsed = names.parse(text)
  return names.covers(target, { form = parsed.form, name = parsed.name })
end

local function target_fits(rule, target, question)
  if target.form == "exact" then return question.name == target.name end
  if target.form == "wildcard" then
    return question.name ~= nil and #question.name > #target.name - 1 and question.name:sub(-(#target.name - 1)) == target.name:sub(2)
  end
  if target.form == "group" or not question.address then return false end
  if rule.word == "allow" and question.name then return false end
  return in_block(question.address, target)
    or rule.word == "deny" and question.inner ~= nil and in_block(question.inner, target)
end

local function first(network, question, words)
  for i, rule in ipairs(network.rules) do
    for _, target in ipairs(has(words, rule.word) and rule.names or {}) do
      if target_fits(rule, target, question) and port_fits(rule, target, question.port) then return i, rule end
    end
  end
end

local LOCAL = { "localhost", "local", "internal", "onion", "alt", "invalid", "home.arpa" }

local function is_local(name)
  if not name:find(".", 1, true) then return true end
  for _, top in ipairs(LOCAL) do
    if name == top or name:sub(-#top - 1) == "." .. top then return true end
  end
  return false
end

local function rest(network, question)
  if network.otherwise ~= "allow" and network.mode ~= "open" then return false end
  return question.literal or question.stated or not is_local(question.name)
end

--- Whether a connection is allowed, and the number of the rule that says so: to a canonical name (with the address that
-- it resolves to, or nil) or to a literal address.
function M.decide(network, host, port, address)
  local question = { port = port }
  if names.bytes(host) and not address then
    question.literal, address = true, host
  else
    question.name = host
    address = address or (network.hosts or {})[host]
  end
  if address then
    local carried, mapped = inner(address)
    question.address, question.inner = mapped and carried or address, not mapped and carried or nil
    local stated = question.name and (network.hosts or {})[question.name]
    question.stated = stated ~= nil and names.parse(stated).name == names.parse(question.address).name
  end
  local at, rule = first(network, question, { "allow", "deny" })
  if not (question.address and names.internal(question.address)) then
    if rule then return rule.word == "allow", at end
    return rest(network, question), nil
  end
  local opened = first(network, question, { "allow_internal" })
  local by_itself = question.literal or question.stated
  if not opened then return false end
  if rule and rule.word == "deny" and (at < opened or not by_itself) then return false, at end
  if by_itself or rule or rest(network, question) then return true, opened end
  return false
end

--- Whether some port of the name is allowed.
function M.answers(network, name)
  for port = 1, 65535 do
    if M.decide(network, name, port) then return true end
  end
  return false
end

--- Parsed names.
function M.targets(list)
  local out = {}
  for i, text in ipairs(list) do out[i] = assert(names.parse(text)) end
  return out
end

--- A plan's network of rows such as { "allow", { "a.example" }, ports = { 443 } }.
function M.network(rows, more)
  local out = { mode = "list", otherwise = "deny", from = "policy:1", rules = {} }
  for name, value in pairs(more or {}) do out[name] = value end
  for i, row in ipairs(rows) do
    out.rules[i] = { word = row[1], names = M.targets(row[2]), ports = row.ports, why = row.why, from = "policy:" .. i + 1 }
  end
  return out
end

--- A function of n that gives 1 to n, numbers that are the same in every run.
function M.generator(seed)
  return function(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
end

return M
