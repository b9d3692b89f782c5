--- What a person or a program sees of a running task.
--
-- Three forms of one thing: "terminal" redraws the running step's line in place, "plain" writes a line per
-- change, "json" writes the record's event lines and nothing else. All are fed by the record's events and by
-- the output of the running step; whatever a task chose is sanitised first.

local core = require "moonbox.core"
local json = require "moonbox.json"
local sanitise = require "moonbox.sanitise"

local sys = core.sys
local TAIL_BYTES = 8192
local TAIL_LINES = 20
local REDRAW_SECONDS = 0.1

local M = {}
M.__index = M

--- A duration for a person: "0.42 s", "12.3 s", "4 min 05 s", "1 h 02 min".
function M.duration(seconds)
  if seconds < 1 then return string.format("%.2f s", seconds) end
  if seconds < 59.95 then return string.format("%.1f s", seconds) end
  local whole = math.floor(seconds + 0.5)
  if whole < 3600 then return string.format("%d min %02d s", math.floor(whole / 60), whole % 60) end
  return string.format("%d h %02d min", math.floor(whole / 3600), math.floor(whole % 3600 / 60))
end

--- A report of `form` ("terminal", "plain" or "json") that calls `write(text)`.
-- options: color = boolean, columns = function() that returns the terminal's width, clock = function.
function M.new(form, write, options)
  options = options or {}
  return setmetatable({
    form = form, write = write, color = options.color,
    columns = options.columns or function() return 80 end,
    clock = options.clock or sys.monotonic,
    width = 0, times = {}, gives = {}, left_out = {}, tail = "", drawn = -math.huge,
  }, M)
end

local COLORS = { good = "\27[32m", bad = "\27[31m", dim = "\27[2m" }

local function paint(self, color, text)
  if not self.color then return text end
  return COLORS[color] .. text .. "\27[0m"
end

-- A line that stays. On a terminal it takes the place of the live line.
local function say(self, text)
  local clear = self.live and "\r\27[K" or ""
  self.live = nil
  self.write(clear .. text .. "\n")
end

local function draw(self)
  local now = self.clock()
  if self.form ~= "terminal" or not self.step or now - self.drawn < REDRAW_SECONDS then return end
  self.drawn = now
  local text = string.format("  ...     %s  %s", self.padded, M.duration(now - self.since))
  local last = sanitise.last_line(self.tail)
  if last then text = text .. "  | " .. last end
  self.live = true
  -- One column stays free: a full last column makes some terminals wrap, and the line couldn't be redrawn.
  self.write("\r\27[K" .. sanitise.fit(text, math.max(1, self.columns() - 1)))
end

--- Bytes that the running step wrote (already without secrets).
function M:output(bytes)
  self.tail = (self.tail .. bytes):sub(-TAIL_BYTES)
  draw(self)
end

--- To be called now and then while a step is silent, so that its elapsed time goes on.
function M:tick()
  draw(self)
end

local function show_tail(self)
  local lines = {}
  for line in (self.tail .. "\n"):gmatch("([^\n]*)\n") do
    local clean = sanitise.line(line:match("([^\r]*)\r*$"))
    if clean:find("%S") then lines[#lines + 1] = clean end
  end
  for i = math.max(1, #lines - TAIL_LINES + 1), #lines do say(self, "          | " .. lines[i]) end
end

local WORDS = { passed = "passed", failed = "failed", allowed = "failed", retry = "failed" }

local on = {}

function on.task_started(self, event)
  for _, name in ipairs(event.steps or {}) do self.width = math.max(self.width, #name) end
  say(self, string.format("task %s: %s under policy %s", event.task, event.pipeline, event.policy))
end

function on.step_started(self, event)
  self.step, self.since, self.tail, self.drawn = event.step, self.clock(), "", -math.huge
  self.padded = string.format("%-" .. self.width .. "s", event.step)
  if self.form == "terminal" then return draw(self) end
  local again = event.try > 1 and string.format(", try %d", event.try) or ""
  say(self, string.format("  started %s%s", event.step, again))
end

function on.step_ended(self, event)
  local good = event.state == "passed"
  local text = string.format("%s  %s", self.padded or event.step, M.duration(event.seconds))
  if not good then text = text .. string.format("  (exit code %d)", event.code) end
  if event.state == "allowed" then text = text .. ", which the pipeline allows" end
  if event.state == "retry" then text = text .. ", tried again" end
  self.step = nil
  say(self, "  " .. paint(self, good and "good" or "bad", WORDS[event.state] or event.state) .. "  "
    .. sanitise.line(text))
  if not good then
    show_tail(self)
    if event.sentence then say(self, "          " .. sanitise.line(event.sentence)) end
  end
  self.tail = ""
  self.times[#self.times + 1] = event.step .. " " .. M.duration(event.seconds)
end

function on.network(self, event)
  self.network = event.sentence
end

function on.published(self, event)
  say(self, ("  port    %d of the sandbox is %s here (%s)"):format(event.port, event.at, event.rule))
end

function on.gave(self, event)
  self.gives[#self.gives + 1] = event
end

function on.kept(self, event)
  self.kept = event.file
end

function on.give_failed(self, event)
  say(self, "  " .. paint(self, "bad", "missing") .. " " .. sanitise.line(event.sentence))
end

function on.warning(self, event)
  say(self, ("  warning %s (%s)"):format(sanitise.line(event.text or "of the policy"), event.rule))
end

function on.violation(self, event)
  if not event.ends then say(self, "  warning " .. sanitise.line(event.sentence)) end
end

function on.notice(self, event)
  say(self, "  notice  " .. sanitise.line(event.sentence))
end

local function count(number, one)
  return string.format("%d %s%s", number, one, number == 1 and "" or "s")
end

local function show_gift(self, gift)
  if gift.kind ~= "patch" then
    return say(self, string.format("file    %s  (%s)", gift.file, count(gift.bytes, "byte")))
  end
  if gift.bytes == 0 then return say(self, "patch   none: " .. gift.path .. " is as it was") end
  say(self, string.format("patch   %s  (%s, +%d -%d)", gift.file, count(gift.files, "file"), gift.added,
    gift.removed))
end

function on.result(self, event)
  local good = event.code == 0
  say(self, string.format("task %s %s in %s", event.task, paint(self, good and "good" or "bad", event.state),
    M.duration(event.seconds)))
  if event.sentence then say(self, "        " .. sanitise.line(event.sentence)) end
  if #self.times > 0 then say(self, "steps   " .. table.concat(self.times, ", ")) end
  if self.network then say(self, "network " .. sanitise.line(self.network)) end
  say(self, "record  " .. event.record)
  for _, gift in ipairs(self.gives) do show_gift(self, gift) end
  if self.kept then say(self, "files   " .. self.kept) end
end

--- One event of the record.
function M:event(event)
  if self.form == "json" then return self.write(json.encode(event) .. "\n") end
  if on[event.event] then on[event.event](self, event) end
end

return M
