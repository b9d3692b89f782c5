--- What a supervisor looks at now and then while a sandbox runs: kills for want of memory, the host's free space, and
-- process 1's own count where no control group has one.
--
-- A sandbox by id mostly waits for its next command. While nothing but process 1 is in it nothing there can change, so
-- nobody looks, and the supervisor sleeps until a client comes; while what is in it takes and gives back nothing, looks
-- are rarer.
local disk = require "moonbox.disk"
local holding = require "moonbox.holding"
local memory = require "moonbox.memory"

local M = {}

--- Seconds between looks at what can't wait; the same, at most, at a sandbox by id that is quiet.
M.LOOK, M.QUIET_LOOK = 0.25, 1

--- Seconds that init may take to answer. A tenant can hold it up, by stopping a process that init has just made for a
-- command; unanswered questions would pile up until asking blocks, and nothing would watch the memory.
M.ANSWER = 20

local SLOW_PERIOD = 5
local UNITS = { { "GB", 2 ^ 30 }, { "MB", 2 ^ 20 }, { "kB", 2 ^ 10 } }

--- Bytes as sentences say them.
function M.size(bytes)
  for _, unit in ipairs(UNITS) do
    if bytes >= unit[2] then return ("%.4g %s"):format(bytes / unit[2], unit[1]) end
  end
  return bytes .. " bytes"
end

--- "1 process", "2 processes"
function M.plural(n, one, many)
  return ("%d %s"):format(n, n == 1 and one or many)
end

-- The host's disk is everybody's: an image grows as it is written to, and must not take the last of it.
local function look_at_disk(run, counted)
  local box = run.box
  local limit = box.plan.limits.disk
  local shortage = disk.shortage(box.plan, box.root, box.disk, M.size)
  if shortage then
    run.stop(run, "disk", ("the host's disk is down to the %s that must stay free (limits.disk_floor)")
      :format(shortage), 0)
  end
  local used = box.disk == "image" and counted.disk or 0
  if used > limit and limit < (box.plan.storage.total or 0) then
    run.stop(run, "disk", ("disk limit of %s reached: %s in use"):format(M.size(limit), M.size(used)), 0, used, limit)
  end
end

-- Nobody but process 1 is there. Without a count of the kernel's: its own, if no command began since it was asked.
local function is_empty(run, counted)
  local commands, started = run.box.running:commands()
  if commands > 0 then return false end
  if counted.processes then return counted.processes <= 1 end
  return run.seen.processes == 0 and run.seen_started == started
end

-- Sleeps until a client starts something, where that is all that can happen.
local function rest_if_empty(run, counted)
  if not run.on_request or run.ended_by or not is_empty(run, counted) then return end
  run.look_at, run.sample_at = math.huge, math.huge
  run.box.monitor:rest()
  run.box.running:rest()
end

-- Memory and disk are what looks are for.
local function is_quiet(run, counted)
  local last = run.looked
  return run.on_request and last and counted.memory and counted.memory == last.memory and counted.disk == last.disk
    and counted.processes == last.processes
end

local function next_look(run, now, counted)
  run.look_period = is_quiet(run, counted) and math.min(run.look_period * 2, M.QUIET_LOOK) or M.LOOK
  run.look_at, run.looked = now + run.look_period, counted
end

local function look(run, now)
  if now < run.look_at then return end
  local counted = run.box.running:usage()
  next_look(run, now, counted)
  if run.box.disk ~= "memory" then look_at_disk(run, counted) end
  if not run.watch_memory then memory.look(run, counted) end
  rest_if_empty(run, counted)
end

-- Asks process 1, which is slow where there are many processes: often when nobody else sees the memory, else now and
-- then for the processor time and for what is full. A frozen one can't answer.
local function sample(run, now)
  if now < run.sample_at then return end
  run.sample_at = now + (run.watch_memory and holding.MEMORY_PERIOD or SLOW_PERIOD)
  if run.box.monitor.frozen then run.asked_at = nil return end
  if not run.asked_at then
    run.asked_at, run.asked_started = now, select(2, run.box.running:commands())
    run.box.running:ask_usage()
  elseif run.watch_memory and now - run.asked_at > M.ANSWER then
    run.stop(run, "killed", ("process 1 of the sandbox has not answered for %g s"):format(M.ANSWER), 0)
  end
end

--- Looks at what is due.
function M.take(run, now)
  sample(run, now)
  look(run, now)
end

--- Process 1 has answered; run.seen has what it said.
function M.answered(run)
  run.asked_at, run.seen_started = nil, run.asked_started
  if run.watch_memory then rest_if_empty(run, {}) end
end

--- Begins to look, or begins again after a rest.
function M.begin(run, now)
  local box = run.box
  run.look_period, run.look_at = M.LOOK, now + M.LOOK
  box.monitor:wake(now)
  local asks = run.watch_memory or box.monitor:due() < math.huge
  run.sample_at = asks and now or math.huge
  if box.disk == "memory" and run.watch_memory then run.look_at = math.huge end
end

return M
