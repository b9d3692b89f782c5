--- The network of a policy file: rows and words checked, made plain, and added up with those of `extends`.
local checker = require "moonbox.checker"
local say = require "moonbox.say"
local suggest = require "moonbox.suggest"
local values = require "moonbox.values"
local vocabulary = require "moonbox.vocabulary"
local where = require "moonbox.where"

local M = {}

-- Many policies have no name in them.
local names = setmetatable({}, { __index = function(_, name) return require("moonbox.names")[name] end })

local at, deeper, fail = where.at, where.deeper, where.fail

local function parse_name(session, here, text)
  if type(text) ~= "string" then
    return fail(session, here, ("a list of names holds names in quotes and groups, not %s")
      :format(say.describe(text)))
  end
  local parsed, why = names.parse(text)
  if not parsed then return fail(session, here, ('"%s" %s'):format(say.plain(text), why)) end
  return parsed
end

--- The names of a group file, parsed once.
function M.group_names(session, group)
  if group.checked then return group.checked end
  group.checked = {}
  local bare = checker.fields(session, at(group), "group", group.args, {}).bare
  local function add(parsed)
    parsed.group, parsed.file, parsed.line = group.name, group.file.label, group.line
    group.checked[#group.checked + 1] = parsed
  end
  for _, item in ipairs(values.items(session, at(group), group.args)) do
    local here = deeper(at(group), item.index)
    local parsed = parse_name(session, here, item.value)
    if parsed and (parsed.internal or parsed.form == "group") then
      fail(session, here, ('"%s" is internal; a group holds public names'):format(parsed.name))
    elseif parsed then
      if bare and parsed.form == "wildcard" then
        add { form = "exact", name = parsed.name:sub(3), port = parsed.port }
      end
      add(parsed)
    end
  end
  return group.checked
end

local judge = {}

function judge.allow(parsed)
  if parsed.internal or parsed.form == "group" then
    return "is internal; only allow_internal { …, why = … } opens it"
  end
end

-- An internal address is a step's to name where its policy opens it.
function judge.only(parsed)
  if parsed.form == "group" then return "is internal; name the addresses that allow_internal opens" end
end

function judge.allow_internal(parsed)
  if parsed.form == "cidr" then return "is a block; allow_internal opens single addresses" end
  if parsed.form ~= "address" then
    return "is a name; allow_internal takes addresses, and `hosts` gives a name to one"
  end
  if not parsed.internal then return "is not internal; write it in an allow row" end
end

local function row_names(session, row)
  local out = {}
  for _, item in ipairs(values.items(session, at(row), row.args)) do
    local here, group = deeper(at(row), item.index), session:row(item.value)
    if group and group.word == "group" then
      for _, parsed in ipairs(M.group_names(session, group)) do out[#out + 1] = parsed end
    else
      local parsed = parse_name(session, here, item.value)
      local wrong = parsed and judge[row.word] and judge[row.word](parsed)
      if wrong then
        fail(session, here, ('"%s" %s'):format(parsed.name, wrong))
      elseif parsed and parsed.port and row.args.ports ~= nil then
        fail(session, here, ('"%s" has a port of its own beside `ports`; write one of them')
          :format(item.value))
      elseif parsed then
        out[#out + 1] = parsed
      end
    end
  end
  return out
end

-- Ports that nothing in a sandbox can serve (core/ruleset.c).
local taken = { [1] = "is never reached in a sandbox; choose another",
  [53] = "is where names are asked in a sandbox; choose another" }

local function publish(session, row, out)
  out.ports, out.names = {}, {}
  for _, item in ipairs(values.items(session, at(row), row.args)) do
    local port = type(item.value) == "number" and names.port(item.value)
    if taken[port] then
      fail(session, deeper(at(row), item.index), ("port %d %s"):format(port, taken[port]))
    elseif port then
      out.ports[#out.ports + 1] = port
    else
      fail(session, deeper(at(row), item.index), ("a port is a number from 1 to 65535, not %s")
        :format(say.describe(item.value)))
    end
  end
  out.on = out.on or vocabulary.default("publish", "on")
  local host, port = out.on:match("^%[?(.-)%]?:(%d+)$")
  if host ~= "::1" and not host:match("^127%.") then
    fail(session, deeper(at(row), "on"), ('"%s" is not a loopback address of the host, such as 127.0.0.1')
      :format(host))
  elseif port ~= "0" and #out.ports > 1 then
    fail(session, deeper(at(row), "on"), ("%d ports can't all be on port %s; write one row for each")
      :format(#out.ports, port))
  end
end

--- One network row as plain data: { word, names, ports, why, watch, requests, bandwidth, bytes, on, file, line }.
function M.network_row(session, row)
  local out = checker.fields(session, at(row), row.word, row.args, {})
  if row.word == "publish" then
    publish(session, row, out)
  else
    out.names = row_names(session, row)
  end
  if row.word == "allow_internal" and row.args.why == nil then
    fail(session, at(row), "`allow_internal` opens an internal address, so it needs a reason: why = …")
  end
  out.word, out.file, out.line = row.word, row.file.label, row.line
  return out
end

local function hosts(session, here, value)
  if not values.is_table(session, value) then
    return fail(session, here, '`hosts` takes names and addresses, { ["name"] = "192.0.2.7" }, not '
      .. say.describe(value))
  end
  local out = {}
  for _, item in ipairs(values.items(session, here, value)) do
    fail(session, deeper(here, item.index), ('`hosts` holds addresses by name, ["name"] = "192.0.2.7", not %s')
      :format(say.describe(item.value)))
  end
  for _, name in ipairs(checker.sorted_names(value)) do
    local canonical, why = names.canonical(name)
    local address = value[name]
    if not canonical then
      fail(session, deeper(here, name), ('"%s" %s'):format(say.plain(name), why))
    elseif type(address) ~= "string" or not names.bytes(address) then
      fail(session, deeper(here, name), ('"%s" is given an address in quotes, not %s')
        :format(name, say.describe(address)))
    elseif out[canonical] then
      fail(session, deeper(here, name), ('"%s" is given an address twice'):format(canonical))
    else
      out[canonical] = names.canonical(address)
    end
  end
  return out
end

function M.network(session, here, value)
  if value == "none" or value == "open" then
    return { mode = value, rows = {}, word = true,
      from = here.row.file.label .. ":" .. where.line(session, here) }
  end
  if not values.is_table(session, value) then
    local near = type(value) == "string" and suggest.tail(value, { "none", "open" }) or ""
    return fail(session, here, ('`network` is "none", "open" or rows in braces, not %s%s')
      :format(say.describe(value), near))
  end
  local from = here.row.file.label .. ":" .. where.line(session, deeper(here, "otherwise"))
  local out = checker.fields(session, here, "network", value, {
    hosts = function(there, v) return hosts(session, there, v) end,
  })
  out.rows, out.from = {}, from
  checker.rows(session, here, "network", value, function(row)
    if row.word == "only" then
      session:report(row.file, row.line, "`only` narrows a pipeline's step; in a policy write `allow`")
    else
      out.rows[#out.rows + 1] = M.network_row(session, row)
    end
  end)
  return out
end

-- What two policies come to ----------------------------------------------------------------------------------

local function merge_network(base, child, from)
  if not child then return base or { mode = "none", rows = {}, from = from } end
  if child.word then return child end
  local out = { rows = {} }
  for name, value in pairs(base or {}) do out[name] = value end
  for name, value in pairs(child) do out[name] = value end
  if base and base.mode == "open" and not child.otherwise then out.otherwise = "allow" end
  if base and base.otherwise and not child.otherwise then out.from = base.from end
  out.hosts = nil
  for _, part in ipairs { base or {}, child } do
    for name, address in pairs(part.hosts or {}) do
      out.hosts = out.hosts or {}
      out.hosts[name] = address
    end
  end
  out.rows, out.mode, out.word = {}, nil, nil
  for _, part in ipairs { child, base or {} } do
    for _, row in ipairs(part.rows or {}) do out.rows[#out.rows + 1] = row end
  end
  return out
end

local function settle_network(network)
  network.word = nil
  network.otherwise = network.otherwise or (network.mode == "open" and "allow" or "deny")
  local reaches = network.otherwise == "allow"
  for _, row in ipairs(network.rows) do
    if row.word ~= "deny" and (#(row.names or {}) > 0 or row.word == "publish") then reaches = true end
  end
  network.mode = network.mode or (reaches and "list" or "none")
end

-- A name with an internal address that no row opens could never be reached.
local function check_hosts(session, part, network)
  if not part.network or not part.network.hosts or not network.hosts then return end
  local opened = {}
  for _, row in ipairs(network.rows) do
    for _, name in ipairs(row.word == "allow_internal" and row.names or {}) do opened[name.name] = true end
  end
  for _, name in ipairs(checker.sorted_names(part.network.hosts)) do
    local address = names.canonical(part.network.hosts[name])
    if names.internal(address) and not opened[address] then
      fail(session, at(part.row, "network", "hosts", name),
        ('"%s" is internal; no allow_internal row opens it'):format(address))
    end
  end
end

-- Two rows can't listen on one port of the host. (Port 0 is any free one.)
local function check_published(session, parts)
  local first_at = {}
  for _, part in ipairs(parts) do
    for _, row in ipairs(part.network and part.network.rows or {}) do
      local first = row.word == "publish" and not row.on:match(":0$") and first_at[row.on]
      if first then
        session:report(part.row.file, row.line, ("%s is published on at %s already"):format(row.on, first))
      elseif row.word == "publish" then
        first_at[row.on] = row.file .. ":" .. row.line
      end
    end
  end
end

--- The network of a policy and the one that it extends (parts with `network` and `row`; the base may be nil). The
-- policy's own rows come first, so that they win over the base's: whoever extends a policy says what is different. Its
-- keys and hosts stand in place of the base's, one by one. "none" and "open" replace everything.
function M.sum(session, base, child)
  local network = merge_network(base and base.network, child.network,
    child.row.file.label .. ":" .. child.row.line)
  settle_network(network)
  for _, part in ipairs { base or {}, child } do check_hosts(session, part, network) end
  if not (child.network and child.network.word) then check_published(session, { base or {}, child }) end
  return network
end

return M
