--- What the commands of a sandbox by id wrote, read back from the files of core/command_log.
--
-- A reader gives events, in the order of the commands' numbers and, of one command, of time:
--   { command = number, time, event = "started", argv = { … } }
--   { …, event = "output", stream = "stdout" or "stderr", bytes }
--   { …, event = "left_out", count = bytes that are not kept }
--   { …, event = "ended", code, signal, overran, sentence, seconds }, or { …, event = "lost" }: nobody saw its end
local core = require "moonbox.core"

local sys = core.sys

local M = {}

local SLOTS = 256 -- COMMAND_LOG_SLOTS
local HEADER = 8192 -- bytes; a first record has less
local ENDINGS = { "", ".a", ".b" }
-- Polls after which a number that no file has belongs to nobody: a place that was passed over.
local PATIENCE = 25

local function slot_of(folder, number) return ("%s/%03d"):format(folder, number % SLOTS) end

local function read_from(path, at)
  local file = io.open(path, "rb")
  if not file then return "" end
  file:seek("set", at)
  local text = file:read("*a")
  file:close()
  return text or ""
end

-- The records of a command in a text: an array of { kind, mark, number, time, bytes }, and the bytes that they take.
-- What follows them, if anything, is older and of others.
local function records(text, mark)
  local out, at = {}, 1
  while true do
    local kind, found, number, time, length, from = text:match("^([C12E]) (%x+) (%d+) (%d+%.%d+) (%d+)\n()",
      at)
    local after = from and from + length + 1
    if not after or #text < after - 1 or found ~= (mark or found) then return out, at - 1 end
    mark = found
    out[#out + 1] = { kind = kind, mark = found, number = tonumber(number), time = tonumber(time),
      bytes = text:sub(from, after - 2) }
    at = after
  end
end

-- The number of the latest command that began.
local function latest(folder)
  local number = 0
  for i, byte in ipairs { read_from(folder .. "/count", 0):byte(1, 8) } do number = number + byte * 256 ^ (i - 1) end
  return number
end

local function first_of(folder, number)
  local first = records(read_from(slot_of(folder, number), 0):sub(1, HEADER))[1]
  return first and first.kind == "C" and first.number == number and first or nil
end

local function is_held(path)
  local lock = sys.lock(path)
  if lock then lock:close() end
  return lock == nil
end

local function arguments(bytes)
  local out = {}
  for one in bytes:gmatch("([^%z]*)%z?") do out[#out + 1] = one end
  if out[#out] == "" then out[#out] = nil end
  return out
end

local Command = {}
Command.__index = Command

local function new_command(folder, number, first)
  return setmetatable({ number = number, path = slot_of(folder, number), began = first.time,
    mark = first.mark, at = 0, output = 0 }, Command)
end

function Command:event(record, name, fields)
  fields.command, fields.time, fields.event = self.number, require("moonbox.record").time(record.time), name
  return fields
end

local taken = {}

function taken.C(self, record, out)
  out[#out + 1] = self:event(record, "started", { argv = require("moonbox.json").array(arguments(record.bytes)) })
end

local function output(self, record, out)
  local skip = self.output - record.number
  if skip >= #record.bytes then return end -- seen before
  if skip < 0 then
    out[#out + 1] = self:event(record, "left_out", { count = -skip })
    skip = 0
  end
  self.output = record.number + #record.bytes
  out[#out + 1] = self:event(record, "output", { stream = record.kind == "1" and "stdout" or "stderr",
    bytes = record.bytes:sub(skip + 1) })
end
taken["1"], taken["2"] = output, output

function taken.E(self, record, out)
  if record.number > self.output then
    out[#out + 1] = self:event(record, "left_out", { count = record.number - self.output })
  end
  local code, signal, overran, sentence = record.bytes:match("^(%d+) (%d+) (%d) (.*)$")
  self.over = true
  out[#out + 1] = self:event(record, "ended", { code = tonumber(code),
    signal = signal ~= "0" and tonumber(signal) or nil, overran = overran == "1" or nil,
    sentence = sentence ~= "" and sentence or nil,
    seconds = math.floor((record.time - self.began) * 1000 + 0.5) / 1000 })
end

-- The further files, the one that was begun first before the other.
local function tails(self)
  local parts = {}
  for _, ending in ipairs { ENDINGS[2], ENDINGS[3] } do
    local list = records(read_from(self.path .. ending, 0), self.mark)
    if list[1] then parts[#parts + 1] = list end
  end
  table.sort(parts, function(a, b) return a[1].number < b[1].number end)
  return parts
end

-- Appends what is new. Asked first whether it is held, so that nothing is missed when it ends meanwhile.
function Command:read(out)
  local held = is_held(self.path)
  local text = read_from(self.path, 0)
  local first = records(text:sub(1, HEADER))[1]
  if not first or first.mark ~= self.mark then
    self.over = true -- its place is another's by now
    return
  end
  local list, used = records(text:sub(self.at + 1), self.mark)
  self.at = self.at + used
  for _, record in ipairs(list) do
    taken[record.kind](self, record, out)
  end
  for _, part in ipairs(self.over and {} or tails(self)) do
    for _, record in ipairs(part) do
      if not self.over then taken[record.kind](self, record, out) end
    end
  end
  if not held and not self.over then
    self.over = true
    out[#out + 1] = self:event({ time = sys.realtime() }, "lost", {})
  end
end

local Reader = {}
Reader.__index = Reader

--- A reader of the logs in `folder`, a path; of the command `only`, if that is a number.
function M.reader(folder, only)
  local last = latest(folder)
  return setmetatable({ folder = folder, only = only, seen = math.max(0, last - SLOTS), running = {},
    waiting = {} }, Reader)
end

local function find_new(self)
  local last = latest(self.folder)
  for number = self.seen + 1, last do
    if not self.only or number == self.only then self.waiting[#self.waiting + 1] = { number = number, tries = 0 } end
  end
  self.seen = last
  local still = {}
  for _, one in ipairs(self.waiting) do
    local first = first_of(self.folder, one.number)
    one.tries = one.tries + 1
    if first then
      self.running[#self.running + 1] = new_command(self.folder, one.number, first)
    elseif one.tries < PATIENCE then
      still[#still + 1] = one
    end
  end
  self.waiting = still
end

--- The events since the last call: an array.
function Reader:events()
  local out, going = {}, {}
  find_new(self)
  for _, command in ipairs(self.running) do
    command:read(out)
    if not command.over then going[#going + 1] = command end
  end
  self.running = going
  return out
end

return M
