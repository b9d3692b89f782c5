--- What a policy says about one host: a gateway's answer, from a gateway's code, without running anything.
local names = require "moonbox.names"

local M = {}

local function decision(rules, network, host, port)
  local out = rules:decide(host.name, port)
  local row = network.rules[out.row or 0]
  for _, name in ipairs(row and row.names or {}) do
    if not out.matched and names.covers(name, host) and (not name.port or name.port == port) then
      out.matched, out.group = name.name, name.group
    end
  end
  out.port = port
  return out
end

-- Every port that some row is about, and one that none is about, which stands for all others.
local function ports_of(network)
  local seen, out = {}, {}
  for _, rule in ipairs(network.rules) do
    local list = { unpack(rule.word ~= "publish" and rule.ports or {}) }
    for _, name in ipairs(rule.names or {}) do list[#list + 1] = name.port end
    for _, port in ipairs(list) do
      if not seen[port] then out[#out + 1] = port end
      seen[port] = true
    end
  end
  table.sort(out)
  local other = 1
  while seen[other] do other = other + 1 end
  return out, other <= 65535 and other or nil
end

-- Ports with the same decision together; others, without `ports`, last.
local function by_ports(rules, network, host)
  local ports, other = ports_of(network)
  local last = other and decision(rules, network, host, other)
  local out = {}
  local function same(a, b) return a.allow == b.allow and a.rule == b.rule and a.reason == b.reason end
  for _, port in ipairs(ports) do
    local one, joined = decision(rules, network, host, port), false
    for _, earlier in ipairs(out) do
      if not joined and same(earlier, one) then
        joined = true
        earlier.ports[#earlier.ports + 1] = port
      end
    end
    if not joined and not (last and same(last, one)) then
      one.ports, one.port = { port }, nil
      out[#out + 1] = one
    end
  end
  if last then last.port = nil end
  out[#out + 1] = last
  return out
end

local function listed(ports)
  local out = {}
  for i, port in ipairs(ports) do out[i] = ("%d"):format(port) end
  local last = table.remove(out)
  return (#out > 0 and "ports " .. table.concat(out, ", ") .. " and " or "port ") .. last
end

-- The ports of which a host is allowed some, and the lines that say so; nil when all others are.
local function elsewhere(rules, network, host)
  local ports, lines = {}, {}
  for _, one in ipairs(by_ports(rules, network, host)) do
    if one.allow and not one.ports then return nil end
    for _, port in ipairs(one.allow and one.ports or {}) do ports[#ports + 1] = port end
    if one.allow then lines[#lines + 1] = one.rule end
  end
  table.sort(ports)
  return #ports > 0 and ("It is allowed on %s, at %s."):format(listed(ports), table.concat(lines, " and ")) or nil
end

-- What the policy's author can do about a refusal, as a sentence; nil when nothing.
local function advice(rules, network, host, one)
  local row = network.rules[one.row or 0]
  local port = one.port and ("%d"):format(one.port)
  local name = host.name:find(":", 1, true) and "[" .. host.name .. "]" or host.name
  local text = port and name .. ":" .. port or host.name
  if network.mode == "none" then return ('network = { allow { "%s" } } would give it one.'):format(text) end
  if host.form == "address" and names.internal(host.name) then
    return ('Only a row allow_internal { "%s:%s", why = "…" } opens an internal address.')
      :format(name, port or "PORT")
  end
  if row and row.word == "deny" then return "An allow row above that line would come first." end
  if one.reason ~= "no row allows it" then return elsewhere(rules, network, host) end
  return host.name ~= "internal" and ('A row allow { "%s" } in `network` would let it through.'):format(text) or nil
end

local function hook_of(plan)
  for _, hook in ipairs(plan.hooks or {}) do
    if hook.name == "connect" then return hook.file .. ":" .. hook.line end
  end
end

--- The host that a text names, as names.parse gives it, or nil and what is wrong with the text.
function M.host(text)
  -- The policy language's group, here a name like others.
  if text:lower():match("^internal%.?$") then return { form = "exact", name = "internal" } end
  local host, wrong = names.parse(text)
  if host and host.form ~= "exact" and host.form ~= "address" then
    return nil, "is many hosts; ask about one"
  end
  return host, wrong
end

--- The answer about a host, or nil, message, CODE:
-- { host =, port = or nil, allow = whether anything is allowed,
--   decisions = { { allow =, rule = "FILE:LINE" or "built in", reason =, matched = the name of its row,
--     group = its group,
--     port = the one asked for; ports = a list; neither: all other ports,
--     advice = what the policy's author can do about a refusal }, … },
--   answered = whether DNS answers the name, address = its static one, judged_again = whether the address that it
--   leads to is judged too (these three nil for an address), hook = where on.connect is, which may still deny }
function M.answer(plan, host)
  local network = plan.network
  local rules, message, code = require("moonbox.core").rules(network)
  if not rules then return nil, message, code end
  local named = host.form == "exact"
  local out = { host = host.name, port = host.port, allow = false }
  out.hook = network.mode ~= "none" and hook_of(plan) or nil
  if host.port then
    out.decisions = { decision(rules, network, host, host.port) }
  else
    out.decisions = by_ports(rules, network, host)
  end
  for _, one in ipairs(out.decisions) do
    out.allow = out.allow or one.allow
    if network.mode == "none" then one.reason = "the policy gives no network" end
    one.advice = not one.allow and (host.port or not out.allow) and advice(rules, network, host, one) or nil
  end
  if named then
    out.address = (network.hosts or {})[host.name]
    out.answered = rules:answers(host.name)
    out.judged_again = out.allow and not out.address
  end
  return out
end

local function where(answer, one)
  if answer.port then return ("port %d"):format(answer.port) end
  if one.ports then return listed(one.ports) end
  return #answer.decisions > 1 and "other ports" or "all ports"
end

--- The answer as text for people, each line closed.
function M.text(answer)
  local out = {}
  for _, one in ipairs(answer.decisions) do
    local by = one.matched and (" (%s%s)"):format(one.matched, one.group and " of " .. one.group or "") or ""
    out[#out + 1] = ("%s, %s: %s %s%s: %s"):format(answer.host, where(answer, one), one.allow and "allowed" or "denied",
      one.rule == "built in" and "by a built-in rule" or "at " .. one.rule, by, one.reason)
    out[#out + 1] = one.advice
  end
  if answer.address then out[#out + 1] = "The policy itself gives its address, " .. answer.address .. "." end
  if answer.judged_again then
    out[#out + 1] = "The address that it leads to is judged again at each connection; internal ones are refused."
  end
  if answer.answered == false then out[#out + 1] = "DNS does not answer the name." end
  if answer.allow and answer.hook then out[#out + 1] = "on.connect at " .. answer.hook .. " may still deny it." end
  return table.concat(out, "\n") .. "\n"
end

return M
