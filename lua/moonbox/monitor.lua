--- The monitor of a sandbox: samples what it uses, writes that down at a bounded rate, tells of broken limits, asks the
-- policy's hooks `usage` and `violation`, and does what they answer.
--
-- Limits hold without it. A hook can only add: say something, tell somebody, slow the sandbox down, stop or end it.
-- Every answer becomes an event with the line that it came from. A hook that fails (moonbox.hooks), and an answer that
-- this host can't carry out, end the sandbox: the policy's author counts on what he wrote.
local core = require "moonbox.core"
local json = require "moonbox.json"

-- Loaded when a policy has hooks: most have none, and every start would pay for it.
local function hooks() return require "moonbox.hooks" end

local sys = core.sys

local M = {}
M.__index = M

--- Seconds: between samples; between usage events at most (they begin at one and become rarer); before an answer that
-- was carried out is heard again; between violations of one limit that the kernel holds; between notices to one
-- receiver.
M.PERIOD, M.RAREST, M.REPEAT, M.VIOLATION, M.NOTICE = 1, 60, 60, 10, 10

local FULL = 0.99 -- share of a disk limit that counts as reached: a filesystem keeps some blocks for itself

local SIZES = { memory = true, disk = true, scratch = true }

--- A monitor for `box` (moonbox.sandbox), which begins to sample only where somebody wants to know: a listener, or a
-- hook. Returns it, or nil and a sentence.
function M.new(box, listened)
  local self = setmetatable({ box = box, began = sys.monotonic(), next = math.huge, told = {}, noticed = {},
    violated = {}, refused = 0, record_at = 0, record_period = M.PERIOD, thaw_at = math.huge }, M)
  for _, hook in ipairs(box.plan.hooks or {}) do
    if not self.hooks and (hook.name == "usage" or hook.name == "violation") then
      local servant, why = hooks().start(box.plan.hooks)
      if not servant then return nil, why end
      self.hooks = servant
    end
  end
  if listened or self.hooks or box.plan.limits.cpu_time then self.next = self.began end
  return self
end

local function tell(self, name, fields)
  fields.event = name
  self.box.on_event(fields)
end

--- What the sandbox uses now: bytes, seconds, numbers; what nobody counts is nil. `seen` is what process 1 and the
-- keeper last said.
function M:sample(seen, now)
  local use = self.box.running:usage()
  use.disk = use.disk or seen.disk
  use.full_path = seen.full
  use.memory = use.memory or seen.memory
  use.processes = use.processes or (seen.processes and seen.processes + 1) -- itself
  use.cpu_seconds = use.cpu_seconds or seen.cpu_seconds
  use.memory_peak = use.memory_peak or seen.memory_peak
  use.seconds = now - self.began
  local last = self.last
  if last and use.cpu_seconds and last.cpu_seconds and use.seconds > last.seconds then
    use.cpus = math.max(0, use.cpu_seconds - last.cpu_seconds) / (use.seconds - last.seconds)
  end
  use.network = self.box.running:network()
  self.last = use
  return use
end

local function rounded(number, digits)
  return number and math.floor(number * digits + 0.5) / digits
end

--- A sample as it is recorded.
local function plain(use)
  return { seconds = rounded(use.seconds, 1000), memory = use.memory, memory_peak = use.memory_peak, disk = use.disk,
    inodes = use.inodes, processes = use.processes, cpu_seconds = rounded(use.cpu_seconds, 1000),
    cpus = rounded(use.cpus, 100), pressure = use.pressure, network = use.network }
end

M.plain = plain

local function typed(limit, value)
  if SIZES[limit] then return hooks().size(value or 0) end
  if limit == "time" or limit == "cpu_time" then return hooks().time(value or 0) end
  return value or 0
end

local function for_hook(use, limits)
  local out = { cpus = use.cpus or 0, processes = use.processes or 0, inodes = use.inodes or 0,
    pressure = use.pressure or { cpu = 0, memory = 0, io = 0 }, limits = {},
    network = use.network or { connections = 0, denied = 0, up = 0, down = 0 },
    memory_peak = hooks().size(use.memory_peak or 0), cpu_time = hooks().time(use.cpu_seconds or 0) }
  for _, name in ipairs { "memory", "disk" } do out[name] = typed(name, use[name]) end
  out.time = typed("time", use.seconds)
  for _, name in ipairs { "cpus", "memory", "disk", "time", "processes" } do
    out.limits[name] = typed(name, limits[name])
  end
  if limits.cpu_time then out.limits.cpu_time = typed("cpu_time", limits.cpu_time) end
  return out
end

local function end_for(run, answer, sentence)
  run.stop(run, "killed", ("%s (%s:%d)"):format(sentence, answer.file, answer.line), 0)
end

local function cannot(run, answer, why)
  end_for(run, answer, ("the policy's `%s` can't be done here, so the sandbox was ended: %s"):format(answer.word, why))
end

local react = {}

function react.log(self, _, _, event) tell(self, "log", event) end

function react.warn(self, _, _, event) tell(self, "warning", event) end

function react.kill(_, run, answer)
  end_for(run, answer, "ended by the policy" .. (answer.text and ": " .. answer.text or ""))
end

function react.throttle(self, run, answer, event)
  local cpus = math.min(answer.cpus, self.box.plan.limits.cpus)
  if run.ended_by or (self.throttled and self.throttled <= cpus) then return end
  local done, why = self.box.running:throttle(cpus)
  if not done then return cannot(run, answer, why) end
  self.throttled, event.cpus = cpus, cpus
  tell(self, "throttled", event)
end

function react.freeze(self, run, answer, event)
  if run.ended_by or self.frozen then return end
  local done, why = self.box.running:freeze(true)
  if not done then return cannot(run, answer, why) end
  self.frozen, event.seconds = true, answer.time
  self.thaw_at = answer.time and sys.monotonic() + answer.time or math.huge
  tell(self, "frozen", event)
end

function react.notify(self, run, answer, event)
  local command = (self.box.plan.receivers or {})[answer.text]
  if not command then
    return cannot(run, answer, ("the policy has no receiver called `%s`"):format(answer.text))
  end
  local noticed = self.noticed[answer.text] or { at = -math.huge, held = 0 }
  self.noticed[answer.text] = noticed
  local now = sys.monotonic()
  if now - noticed.at < M.NOTICE then
    noticed.held = noticed.held + 1
    return
  end
  event.receiver, event.text, event.held_back = answer.text, nil, noticed.held
  noticed.at, noticed.held = now, 0
  local message = { event = "notice", sandbox = self.box.id, policy = self.box.plan.policy }
  for key, value in pairs(event) do message[key] = value end
  local started, why = core.notify(command, json.encode(message) .. "\n")
  -- Somebody who can't be told is no reason to end what runs; the record says so.
  event.failed = not started and why or nil
  tell(self, "notified", event)
end

-- The same answer from the same line, every second, is one event and then a number. What changes nothing when it is
-- done twice, and notify with its own rate, need no such patience.
local function heard_lately(self, answer, now)
  if answer.word ~= "log" and answer.word ~= "warn" then return false end
  local id = ("%s %s %d %s"):format(answer.word, answer.file, answer.line, answer.text or "")
  local told = self.told[id]
  if told and now - told.at < M.REPEAT then
    told.again = told.again + 1
    return true
  end
  self.told[id] = { at = now, again = 0 }
  return false, told and told.again > 0 and told.again or nil
end

local function ask(self, run, name, arg, about)
  if not self.hooks or not self.hooks:has(name) then return end
  local answers, why = self.hooks:call(name, arg)
  if not answers then
    self.hooks:close()
    self.hooks = nil
    tell(self, "hook_failed", { hook = name, sentence = why })
    return run.stop(run, "killed", "the policy's hook failed, so the sandbox was ended: " .. why, 0)
  end
  local now = sys.monotonic()
  for _, answer in ipairs(answers) do
    local skip, again = heard_lately(self, answer, now)
    if not skip then
      local event = { hook = name, text = answer.text, rule = answer.file .. ":" .. answer.line, again = again }
      for key, value in pairs(about) do event[key] = value end
      react[answer.word](self, run, answer, event)
    end
  end
end

--- Tells of a broken limit or rule, and asks the policy what follows. `v`: limit, sentence, value, threshold, and
-- `ends` when the sandbox is ended for it anyway.
function M:violation(run, v)
  v.rule = v.rule or (self.box.plan.limits.from or {})[v.limit] or "default"
  local event, arg, about = {}, {}, { limit = v.limit, value = v.value, threshold = v.threshold, broken = v.rule }
  for key, value in pairs(v) do event[key], arg[key] = value, value end
  tell(self, "violation", event)
  arg.value, arg.threshold, arg.ends = typed(v.limit, v.value), typed(v.limit, v.threshold), v.ends or false
  ask(self, run, "violation", arg, about)
end

-- The violation of a filesystem that is full, in bytes or in files: "" is the disk of all writable files, else where a
-- filesystem in memory is mounted.
local function full_disk(self, run, path, use)
  local row
  for _, mount in ipairs(self.box.plan.mounts) do -- a later one lies over an earlier one
    if mount.target == path then row = mount end
  end
  if row and row.kind == "tmpfs" then
    return "scratch", ("%s is full (%s or %d files): writes fail"):format(path, run.size(row.size), row.inodes), nil,
      row.size, row.from
  end
  local limit = self.box.plan.limits.disk
  return "disk", ("disk limit of %s reached%s: writes fail"):format(run.size(limit),
    (use.disk or limit) < limit * FULL and " in files" or ""), use.disk, limit
end

-- What the kernel holds by refusing: the sandbox goes on, and hears of it itself.
local function held_by_kernel(self, run, use, now)
  local function once_in_a_while(limit, sentence, value, threshold, rule)
    if now - (self.violated[limit] or -math.huge) < M.VIOLATION then return end
    self.violated[limit] = now
    self:violation(run, { limit = limit, sentence = sentence, value = value, threshold = threshold, rule = rule })
  end
  local limits, refused = self.box.plan.limits, use.refused or 0
  -- RLIMIT_NPROC refuses as well, and counts nothing.
  if (use.processes or 0) >= limits.processes or refused > self.refused then
    once_in_a_while("processes", ("process limit of %d reached: no more can be started"):format(limits.processes),
      use.processes, limits.processes)
    self.refused = refused
  end
  local full = self.box.disk == "image" and (use.full or (use.disk or 0) >= limits.disk * FULL) and "" or use.full_path
  if full and full ~= self.full then once_in_a_while(full_disk(self, run, full, use)) end
  self.full = full
end

-- Nothing in the kernel holds a sum of many processes' time.
local function hold_cpu_time(self, run, use)
  local limits = self.box.plan.limits
  if not limits.cpu_time or (use.cpu_seconds or 0) < limits.cpu_time then return end
  run.stop(run, "cpu_time", ("processor time limit of %g s reached"):format(limits.cpu_time), limits.grace,
    use.cpu_seconds, limits.cpu_time)
end

--- While nothing but process 1 is in the sandbox, samples come only as often as they are recorded; hooks that ask for
-- them each second get them each second.
function M:rest()
  self.resting = not self.hooks
  if self.resting and self.next < math.huge then self.next = math.max(self.record_at, self.next) end
end

function M:wake(now)
  if self.resting then self.next = math.min(self.next, now + M.PERIOD) end
  self.resting = nil
end

--- When to call tick next, in seconds of the monotonic clock.
function M:due() return math.min(self.next, self.thaw_at) end

--- Does what is due.
function M:tick(run, now)
  if now >= self.thaw_at then
    self.thaw_at, self.frozen = math.huge, nil
    local done, why = self.box.running:freeze(false)
    if not done then return run.stop(run, "killed", "the sandbox can't be let go on: " .. why, 0) end
    tell(self, "thawed", {})
  end
  if now < self.next then return end
  self.next = now + M.PERIOD
  local use = self:sample(run.seen, now)
  if now >= self.record_at then
    tell(self, "usage", plain(use))
    self.record_at = now + self.record_period
    self.record_period = math.min(self.record_period * 2, M.RAREST)
  end
  if self.resting then self.next = math.max(self.record_at, self.next) end
  held_by_kernel(self, run, use, now)
  hold_cpu_time(self, run, use)
  ask(self, run, "usage", for_hook(use, self.box.plan.limits), { usage = plain(use) })
end

function M:close()
  if self.hooks then self.hooks:close() end
  self.hooks = nil
end

return M
