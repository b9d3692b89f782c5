--- What the supervisor does while a command runs: keeps time, watches what is only watched, passes signals on, and
-- says in the end how it went.
--
-- An outcome: { code = 0..255, signal = "KILL" or nil, ended_by = nil, "time", "cpu_time", "memory", "disk",
-- "interrupted" or "killed", sentence, stdout, stderr, dropped = bytes that were not kept, seconds,
-- usage = { cpu_seconds, memory_peak, processes, disk, network = { connections, denied, up, down, cpu_seconds, mode }
-- of the gateway so far, whose processor time is not in the first cpu_seconds } }.
local core = require "moonbox.core"
local holding = require "moonbox.holding"
local looks = require "moonbox.looks"
local memory = require "moonbox.memory"

local sys = core.sys
local size, plural = looks.size, looks.plural

local M = {}

local TICK = 0.1
local LAST_MEASUREMENT = 300
local CODES = { time = 124, cpu_time = 124, memory = 137, disk = 137, killed = 137, stopped = 137 }
local PLAIN = { interrupted = true, killed = true, stopped = true } -- no limit was broken
--- The exit code that goes with what ended a sandbox.
function M.code(ended_by) return CODES[ended_by] or 137 end

-- Ends the command: SIGTERM now, everything in the sandbox after the grace, which nobody has who can't move. The
-- first reason is the one that counts. `value` and `threshold` are what was measured and what the limit is.
local function stop(run, ended_by, sentence, grace, value, threshold)
  if run.ended_by then return end
  local box = run.box
  if box.monitor.frozen then grace = 0 end
  run.ended_by, run.sentence = ended_by, sentence
  run.kill_at = sys.monotonic() + grace
  if run.on_stop then run.on_stop(run) end
  if grace > 0 and box.running then box.running:signal(run.id, "TERM") end
  if PLAIN[ended_by] then
    return box.on_event { event = ended_by, sentence = sentence }
  end
  box.monitor:violation(run, { limit = ended_by, sentence = sentence, value = value, threshold = threshold,
    ends = true })
end

local on = {}

function on.output(run, event)
  if run.spec.on_output then run.spec.on_output(event.stream, event.bytes) end
end

function on.usage(run, event)
  local limit = run.box.plan.limits.memory
  run.usage.memory_peak = math.max(run.usage.memory_peak or 0, event.memory)
  run.usage.processes = event.processes
  run.seen.memory, run.seen.processes, run.seen.cpu_seconds = event.memory, event.processes, event.cpu_seconds
  run.seen.full = event.full ~= "" and event.full or nil
  looks.answered(run)
  if run.watch_memory and event.memory > limit then
    stop(run, "memory", ("memory limit of %s reached: %s in %s and in memory filesystems"):format(size(limit),
      size(event.memory), plural(event.processes, "process", "processes")), 0, event.memory, limit)
  end
end

-- What was deleted and is held open is looked for at each measurement, a tenth of the time at most.
function on.storage(run, event)
  local limit = run.box.plan.limits.disk
  local held, files = run.box.running:unlinked(holding.DISK_PERIOD / 10)
  local bytes = event.bytes + held
  run.usage.disk, run.seen.disk = bytes, bytes
  if bytes > limit then
    stop(run, "disk", ("disk limit of %s reached: %s in %d files and directories"):format(size(limit),
      size(bytes), event.inodes) .. (files > 0 and (" and %d deleted ones that are open"):format(files) or ""), 0,
      bytes, limit)
  elseif event.inodes > run.box.plan.storage.inodes then
    stop(run, "disk", ("disk limit of %s reached: %d files and directories, at most %d"):format(size(limit),
      event.inodes, run.box.plan.storage.inodes), 0, bytes, limit)
  elseif event.partial then
    stop(run, "disk", "the writable files can't be measured: directories are nested too deeply", 0)
  end
end

-- SIGINT may be meant for the program (a shell, a debugger), so it takes three of them to insist.
local function forward(run, signal)
  run.box.running:signal(run.id, signal)
  run.interrupts = (run.interrupts or 0) + (signal == "INT" and 1 or 0)
  if signal == "TERM" or signal == "HUP" then
    run.kill_at = run.kill_at or sys.monotonic() + run.box.plan.limits.grace
  end
  if run.interrupts >= 3 then run.kill_at = sys.monotonic() end
end

function on.signal(run, event)
  if event.signal == "WINCH" then
    local rows, cols = sys.winsize(1)
    if rows then run.box.running:resize(run.id, rows, cols) end
  elseif run.spec.forward then
    forward(run, event.signal)
  elseif run.ended_by then
    run.kill_at = sys.monotonic()
  else
    run.signal = event.signal
    stop(run, "interrupted", "interrupted by SIG" .. event.signal, run.box.plan.limits.grace)
  end
end

function on.not_started(run, event)
  run.over = true
  run.not_started, run.not_started_code = event.why, event.code
end

-- What runs goes on: programs see that nothing can be reached.
function on.no_gateway(run, event)
  run.box.on_event { event = "violation", limit = "network", sentence = event.why }
end

function on.gone(run, event)
  run.over = true
  run.gone = event.why
end

function on.exit(run, event)
  if event.id == run.id then
    run.over, run.exit = true, event
  end
end

function on.starved(run, event) memory.starved(run, event) end

function on.timeout() end

-- Of a sandbox by id whose supervisor is at rest: a client has started a command.
function on.begun(run) looks.begin(run, sys.monotonic()) end

-- A client of a sandbox by id (moonbox.supervisor).
function on.request(run, event) run.on_request(run, event) end

-- Killing everything is also what makes a command end that has stopped itself or ignores SIGTERM.
local function kill_everything(run)
  run.counted = run.box.running:usage()
  run.counted.network = run.box.running:network()
  run.box:close()
  run.over = true
end

local function wait_time(run, now)
  local till = math.min(run.kill_at or run.deadline, run.look_at, run.sample_at, run.box.monitor:due())
  if run.spec.on_tick then till = math.min(till, now + TICK) end
  return till < math.huge and math.max(0, till - now) or nil
end

--- One step of a watch: does what is due, then waits for one thing and deals with it. Returns true, or nil and a
-- sentence; `run.over` is set at the end.
function M.turn(run)
  local now = sys.monotonic()
  if not run.ended_by and now >= run.deadline then
    stop(run, "time", ("time limit of %g s reached"):format(run.limit), run.box.plan.limits.grace, now - run.began,
      run.limit)
  end
  if run.kill_at and now >= run.kill_at then return kill_everything(run) end
  looks.take(run, now)
  run.box.monitor:tick(run, now)
  local event, message = run.box.running:next(wait_time(run, now))
  if not event then return nil, message end
  on[event.kind](run, event)
  if run.spec.on_tick then run.spec.on_tick() end
  return true
end

--- What was used: { cpu_seconds, memory_peak, processes, disk }; finds out, too, whether memory ran out.
function M.count(run)
  local counted = run.counted or (run.box.running and run.box.running:usage()) or {}
  local exit = run.exit or {}
  if exit.code ~= 0 then memory.look(run, counted) end
  run.box.oom_kills = counted.oom_kills or 0
  local usage = run.usage
  usage.cpu_seconds = counted.cpu_seconds or exit.cpu_seconds
  usage.disk = counted.disk or usage.disk
  usage.network = counted.network or (run.box.running and run.box.running:network()) or nil
  usage.memory_peak = counted.memory_peak or math.max(usage.memory_peak or 0, exit.peak_rss or 0)
  return usage
end

-- What is left for the next box is measured once more: a command can write much between two measurements.
local function last_measurement(run)
  local running = run.box.running
  if not run.exit or run.ended_by or not run.box.shares_storage or not running or not running:measure() then return end
  local event
  repeat
    event = running:next(LAST_MEASUREMENT)
    if event and event.kind == "storage" then on.storage(run, event) end
  until not event or event.kind == "storage" or event.kind == "timeout" or event.kind == "gone"
  if event and event.kind == "timeout" then
    stop(run, "disk", "the writable files can't be measured in time", 0)
  end
end

-- What the caller wants to keep nothing of, it has seen (`on_output`) or passed on.
local function tell_dropped(run, dropped)
  if dropped == 0 or run.spec.keep == 0 then return end
  run.box.on_event { event = "notice", dropped = dropped,
    sentence = ("the command wrote more than is kept: %.0f bytes of its output were dropped"):format(dropped) }
end

local function outcome(run)
  local exit, usage = run.exit or {}, M.count(run)
  tell_dropped(run, exit.dropped or 0)
  run.box.ended = run.box.running == nil or run.gone ~= nil
  if run.gone and not run.ended_by then run.ended_by, run.sentence = "killed", run.gone end
  local code = CODES[run.ended_by] or exit.code or 137
  return {
    code = code, signal = run.signal or (exit.signal and ("%d"):format(exit.signal)) or nil, ended_by = run.ended_by,
    sentence = run.sentence or exit.failed, stdout = exit.stdout, stderr = exit.stderr, dropped = exit.dropped or 0,
    undelivered = exit.undelivered,
    seconds = sys.monotonic() - run.began, usage = usage,
  }
end

--- Begins to watch `box` for command `id`; 0: for all that run in it. `spec` as of box:exec, of which `time`,
-- `forward`, `on_output` and `on_tick` matter here. For a box by id `run.on_request(run, event)` answers clients
-- and `run.on_stop(run)` hears that the end has begun.
function M.watch(box, id, spec, began)
  core.collect()
  local limit = math.min(spec.time or math.huge, box.plan.limits.time)
  local levels = holding.levels(box.plan, box.groups)
  local run = { box = box, id = id, spec = spec, began = began, limit = limit, deadline = began + limit, usage = {},
    seen = {}, stop = stop, size = size, plural = plural, watch_memory = levels.memory:match("^watched") ~= nil,
    oom_kills = box.oom_kills, leaves = box.running:leaves() }
  looks.begin(run, began)
  return run
end

--- Supervises command `id` of `box` to its end. Returns an outcome, or nil, sentence, code.
function M.run(box, id, spec, began)
  local run = M.watch(box, id, spec, began)
  while not run.over do
    local going, message = M.turn(run)
    if not going and not run.over then return nil, message, 70 end
  end
  last_measurement(run)
  if run.not_started then
    return nil, run.not_started, require("moonbox.sandbox").failure(run.not_started_code)
  end
  return outcome(run)
end

return M
