--- What sandboxes reached and what they were refused: the lines of flows.jsonl, which their gateways wrote.
--
-- A gateway reads what a tenant and the whole internet send, so its lines are judged like theirs: fields of another
-- kind than they should be are left out, lines that are no JSON are counted and stepped over.
local json = require "moonbox.json"

local M = {}

-- Bytes of the longest line that is read; a gateway's are below 4096.
local LONGEST = 65536
local CHUNK = 65536

-- Hosts that a summary tells apart, and those that it lists.
local MOST_HOSTS, MOST_LISTED, MOST_NAMED = 10000, 500, 3
-- Flows that a summary looks into: some seconds' worth. A tenant who makes millions is not to be waited for.
local MOST_FLOWS = 100000

local FIELDS = { event = "string", direction = "string", id = "number", time = "number", step = "string",
  name = "string", address = "string", port = "number",
  protocol = "string", type = "string", sni = "string", verdict = "string", rule = "string",
  reason = "string", outcome = "string", watch = "boolean", open = "boolean", up = "number", down = "number",
  seconds = "number", count = "number" }

-- The known fields of a line, or nil when it says nothing about a flow.
local function flow_of(line)
  local value = #line <= LONGEST and json.decode(line)
  if type(value) ~= "table" then return nil end
  local out = {}
  for name, kind in pairs(FIELDS) do
    if type(value[name]) == kind then out[name] = value[name] end
  end
  return out.event and out.verdict and out or nil
end

local Reader = {}
Reader.__index = Reader

--- Opens a file of flows. Returns a reader, or nil and a sentence.
function M.open(path)
  local handle, message = io.open(path, "rb")
  if not handle then return nil, message end
  return setmetatable({ handle = handle, pending = "", at = 1, unread = 0 }, Reader)
end

-- The next whole line, or nil while there is none.
local function next_line(self)
  while true do
    local stop = self.pending:find("\n", self.at, true)
    if stop then
      local line = self.pending:sub(self.at, stop - 1)
      self.at = stop + 1
      return line
    end
    -- Seeking to where one is makes what was appended readable.
    self.handle:seek("cur", 0)
    local more = self.handle:read(CHUNK)
    if not more then return nil end
    self.pending, self.at = self.pending:sub(self.at) .. more, 1
    if #self.pending > 2 * LONGEST and not self.pending:find("\n", 1, true) then self.pending = "!" end
  end
end

--- The next flow and its line, or nil when no whole line is left; what is appended later is found by asking again.
-- `reader.unread` counts the lines that were no flows.
function Reader:next()
  while true do
    local line = next_line(self)
    if not line then return nil end
    local flow = flow_of(line)
    if flow then return flow, line end
    self.unread = self.unread + 1
  end
end

--- Passes over all that is left. Returns how many lines that was.
function Reader:skip()
  local lines, pending = 0, self.pending:sub(self.at)
  while pending do
    lines = lines + select(2, pending:gsub("\n", ""))
    pending = self.handle:read(CHUNK)
  end
  self.pending, self.at = "", 1
  return lines
end

function Reader:close()
  self.handle:close()
end

--- Who a flow was with: its name, else its address; the published port of one that came in from the host.
function M.host(flow)
  if flow.direction == "in" then return ("published port %d"):format(flow.port or 0) end
  return flow.name or flow.address or "?"
end

local function host_of(sum, flow)
  local key = M.host(flow)
  local host = sum.by_key[key]
  if host then return host end
  sum.hosts = sum.hosts + 1
  -- One counter for all that come later, so that a tenant's names don't fill the memory.
  if sum.hosts > MOST_HOSTS then key = "" end
  host = sum.by_key[key] or { host = key, connections = 0, denied = 0, failed = 0, up = 0, down = 0 }
  if not sum.by_key[key] then sum.list[#sum.list + 1] = host end
  sum.by_key[key] = host
  return host
end

local FAILED = { refused = true, unreachable = true, timeout = true }

local function add(sum, flow)
  -- A watched connection has a line when it opens beside the one when it ends.
  if flow.open then return end
  if flow.event == "warning" then
    sum.warnings = sum.warnings + 1
    return
  end
  local host, count = host_of(sum, flow), flow.count or 1
  if flow.verdict == "deny" then
    if host.denied == 0 then
      sum.denied = sum.denied + 1
      host.rule, host.reason = flow.rule, flow.reason
      if flow.direction ~= "in" then host.port, host.protocol = flow.port, flow.protocol end
    end
    host.denied = host.denied + count
  else
    host.connections = host.connections + count
    if FAILED[flow.outcome] then host.failed = host.failed + count end
  end
  for _, way in ipairs { "up", "down" } do
    host[way] = host[way] + (flow[way] or 0)
    sum[way] = sum[way] + (flow[way] or 0)
  end
end

--- A host and what of it was asked for: "a.example:443", "[2001:db8::1]:443/udp"; the host alone without a port.
function M.at(host, port, protocol)
  if not port then return host end
  local name = host:find(":", 1, true) and "[" .. host .. "]" or host
  return ("%s:%d%s"):format(name, port, protocol and protocol ~= "tcp" and "/" .. protocol or "")
end

-- A refusal for people: `evil.example:22 (no row allows it, policies/codex.lua:23)`.
local function refusal(host)
  local rule = host.rule == "built in" and "built-in rule" or host.rule
  local parts = { host.reason, rule }
  if not host.reason then parts = { rule } end
  local at = M.at(host.host, host.port, host.protocol)
  return at .. (#parts > 0 and " (" .. table.concat(parts, ", ") .. ")" or "")
end

local STEPS = { { "GB", 2 ^ 30 }, { "MB", 2 ^ 20 }, { "KB", 2 ^ 10 } }

--- A number of bytes for people: "512 B", "1.5 MB".
function M.size(bytes)
  for _, step in ipairs(STEPS) do
    if bytes >= step[2] then return ("%.1f %s"):format(bytes / step[2], step[1]) end
  end
  return ("%d B"):format(bytes)
end

local function plural(n, one) return ("%d %s%s"):format(n, one, n == 1 and "" or "s") end

local function sentence_of(sum)
  local named = {}
  for _, host in ipairs(sum.list) do
    if host.denied > 0 and host.host ~= "" and #named < MOST_NAMED then named[#named + 1] = refusal(host) end
  end
  local more = sum.denied - #named
  local text = ("%s, %s up, %s down"):format(plural(sum.hosts, "host"), M.size(sum.up), M.size(sum.down))
  if sum.uncounted > 0 then
    text = text .. (", and %d flows more that are not in these numbers"):format(sum.uncounted)
  end
  if sum.warnings > 0 then text = text .. ", " .. plural(sum.warnings, "warning") end
  if sum.denied == 0 then return text end
  return text .. ", " .. sum.denied .. " denied: " .. table.concat(named, "; ")
    .. (more > 0 and ("; and %d more"):format(more) or "")
end

-- Refused hosts first, then those that moved most, then by name.
local function before(a, b)
  if (a.denied > 0) ~= (b.denied > 0) then return a.denied > 0 end
  if a.up + a.down ~= b.up + b.down then return a.up + a.down > b.up + b.down end
  return a.host < b.host
end

--- What the flows of a file come to: { hosts, denied = hosts that were refused something, warnings, up, down = bytes,
-- uncounted = how many flows, behind the first 100,000, are in none of these numbers,
-- by_host = { { host, connections, failed, denied, up, down, and of its first refusal rule, reason, port and
-- protocol }, … at most 500 }, sentence }, or nil
-- where nothing was asked for or nothing was kept.
function M.summary(path)
  local reader = M.open(path)
  if not reader then return nil end
  local sum = { hosts = 0, denied = 0, warnings = 0, up = 0, down = 0, uncounted = 0, by_key = {}, list = {} }
  local left = MOST_FLOWS
  for flow in function() return left > 0 and reader:next() or nil end do
    add(sum, flow)
    left = left - 1
  end
  if left == 0 then sum.uncounted = reader:skip() end
  reader:close()
  if sum.hosts == 0 then return nil end
  local sentence = sentence_of(sum)
  table.sort(sum.list, before)
  local listed = json.array {}
  for i = 1, math.min(#sum.list, MOST_LISTED) do listed[i] = sum.list[i] end
  return { hosts = sum.hosts, denied = sum.denied, warnings = sum.warnings, up = sum.up, down = sum.down,
    uncounted = sum.uncounted, by_host = listed, sentence = sentence }
end

return M
