--- The record of a task: task.json (its state), events.jsonl (what happened), a log per step.
--
-- task.json is replaced as a whole (temporary file, fsync, rename) at each change of state, so a reader never
-- sees half of one. Everything passes the redactor before it is written or shown.

local core = require "moonbox.core"
local json = require "moonbox.json"
local redact = require "moonbox.redact"
local sanitise = require "moonbox.sanitise"

local sys = core.sys
local LOG_BYTES = 64 * 2 ^ 20
-- Of these the end of an output, which is held in memory until the log is closed.
local TAIL_BYTES = 4 * 2 ^ 20
local TASK_JSON_BYTES = 16 * 2 ^ 20
local PRIVATE = 384 -- 0600
local SENTENCE_BYTES = 1000

local M = {}
M.__index = M

--- RFC 3339 in UTC with milliseconds; `seconds` since the epoch, now by default.
function M.time(seconds)
  seconds = seconds or sys.realtime()
  local whole = math.floor(seconds)
  -- Floored: rounding up 0.9996 would print .1000.
  return os.date("!%Y-%m-%dT%H:%M:%S", whole) .. string.format(".%03dZ", math.floor((seconds - whole) * 1000))
end

--- Opens the record of `task` (moonbox.task, or a sandbox of moonbox.sandboxes, whose `kind` is "sandbox").
-- options: secrets = array of values never to be written, sink = function(event) that is shown each event as it was
-- written, data = what its JSON file holds already. Returns the record, or nil, message.
function M.open(task, options)
  options = options or {}
  local events, message = sys.append_open(task:file("events.jsonl"))
  if not events then return nil, message end
  return setmetatable({
    task = task, events = events, redactor = redact.new(options.secrets), sink = options.sink,
    data = options.data or { version = 1, id = task.id },
  }, M)
end

-- Names of files in a task may be any bytes; JSON text is UTF-8 (RFC 8259, section 8.1).
local function as_utf8(value)
  if type(value) == "string" then return sanitise.utf8(value) end
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do copy[key] = as_utf8(inner) end
  return copy
end

-- `data` as it may be written. States are the engine's own words, and what to do with a record is read from them: a
-- secret that is part of one ("run") doesn't change them.
local function fit(self, data)
  local out = as_utf8(self.redactor:deep(data))
  out.state = data.state
  for i, step in ipairs(data.steps or {}) do
    if type(step) == "table" then out.steps[i].state = step.state end
  end
  return out
end

-- The first of what could not be written; whether the caller looks at each or not, it can be told in the end.
local function note(self, written, message)
  self.unwritten = self.unwritten or not written and message or nil
  return written, message
end

--- Why the record is not whole: what first could not be written, a sentence; nil when it is.
function M:trouble() return self.unwritten end

--- A sentence that a step chose, which may be a whole output, as it may be shown: at most SENTENCE_BYTES, no secrets.
function M:sentence(text)
  -- In this order: half a secret would not be found.
  text = self.redactor:text(text)
  if #text <= SENTENCE_BYTES then return text end
  return sanitise.utf8(text:sub(1, SENTENCE_BYTES)) .. " […]"
end

--- Writes one event. `fields` is plain data; time, event and task are added. Returns the event.
function M:event(name, fields)
  local event = fit(self, fields or {})
  event.time, event.event, event[self.task.kind or "task"] = M.time(), name, self.task.id
  note(self, self.events:write(json.encode(event) .. "\n"))
  if self.sink then self.sink(event) end
  return event
end

--- Sets `fields` of task.json and writes it. Returns true, or nil, message.
function M:save(fields)
  for key, value in pairs(fields or {}) do self.data[key] = value end
  local text = json.encode(fit(self, self.data), { pretty = true })
  return note(self, sys.write_file(self.task:file((self.task.kind or "task") .. ".json"), text .. "\n", PRIVATE))
end

-- The last TAIL_BYTES of what is added.
local function new_tail()
  local parts, first, last, length, dropped, tail = {}, 1, 0, 0, 0, {}
  function tail.add(part)
    last = last + 1
    parts[last], length = part, length + #part
    while length - #parts[first] >= TAIL_BYTES do
      length, dropped = length - #parts[first], dropped + #parts[first]
      parts[first], first = nil, first + 1
    end
  end
  local function over() return math.max(0, length - TAIL_BYTES) end
  function tail.dropped() return dropped + over() end
  function tail.each(write)
    if first <= last then write(parts[first]:sub(over() + 1)) end
    for i = first + 1, last do write(parts[i]) end
  end
  return tail
end

--- A log: log:write(bytes, stream) returns the bytes that are safe to show, log:close() ends it and returns
-- the rest. A secret is looked for within each stream, so that two of them mixed don't hide one. At most 64
-- MiB are kept, the first 60 and the last 4; a line between them says how much is missing. log.dropped() is the
-- number of bytes that are. `name` is relative to the task.
function M:log(name)
  local file, message = sys.append_open(self.task:file(name))
  if not file then return nil, message end
  local feeds, tail = {}, new_tail()
  -- What earlier tries of the step left in the same file counts.
  self.kept = self.kept or {}
  local kept = self.kept[name] or 0
  local function put(safe)
    local room = LOG_BYTES - TAIL_BYTES - kept
    local part = safe:sub(1, room)
    if part ~= "" then note(self, file:write(part)) end
    kept = kept + #part
    self.kept[name] = kept
    if #part < #safe then tail.add(safe:sub(#part + 1)) end
    return safe
  end
  local log = {}
  function log.dropped() return tail.dropped() end
  function log.write(_, bytes, stream)
    stream = stream or "stdout"
    feeds[stream] = feeds[stream] or self.redactor:stream()
    return put(feeds[stream](bytes))
  end
  function log.close()
    local rest = ""
    for _, feed in pairs(feeds) do rest = rest .. put(feed()) end
    if tail.dropped() > 0 then
      note(self, file:write(string.format("\nmoonbox: %d bytes were left out here\n", tail.dropped())))
    end
    tail.each(function(part) note(self, file:write(part)) end)
    file:close()
    return rest
  end
  return log
end

function M:close()
  self.events:close()
end

--- For moonbox.task.reconcile: a record that says running although nobody holds its lock is marked lost.
-- Returns true when it was, false when it had ended already, nil when there is no record.
function M.mark_lost(dir)
  local text = sys.read_file(dir .. "/task.json", TASK_JSON_BYTES)
  local data = text and json.decode(text)
  if type(data) ~= "table" then return nil end
  if data.state ~= "running" then return false end
  data.state = "lost"
  data.sentence = "moonbox ended before the task did"
  sys.write_file(dir .. "/task.json", json.encode(data, { pretty = true }) .. "\n", PRIVATE)
  local events = sys.append_open(dir .. "/events.jsonl")
  if events then
    local event = { time = M.time(), event = "lost", task = data.id, sentence = data.sentence }
    events:write(json.encode(event) .. "\n")
    events:close()
  end
  return true
end

return M
