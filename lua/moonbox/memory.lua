--- Memory that has run out where the kernel holds the limit: who was killed, what is said, and what ends.
--
-- Where each command has a control group of its own (core/leaves), the kernel has killed a command with all that it has
-- started, and the sandbox goes on. Elsewhere, and where init was killed, the sandbox ends: what is left of a tree of
-- processes is no use to anybody.
local sanitise = require "moonbox.sanitise"

local M = {}

-- "memory limit of 512 MB reached: 3 processes killed, largest node 488 MB". `leaf`: the group that they were in.
local function sentence_of(run, kills, leaf)
  local exit = run.exit or {}
  local found = run.box.running and run.box.running:killed(leaf)
  local text = ("memory limit of %s reached: %s killed"):format(run.size(run.box.plan.limits.memory),
    run.plural(found and math.max(found.killed, kills) or kills, "process", "processes"))
  if found then return ("%s, largest %s %s"):format(text, sanitise.line(found.name), run.size(found.bytes)) end
  if (exit.peak_rss or 0) > 0 then return ("%s, largest %s"):format(text, run.size(exit.peak_rss)) end
  return text
end

local function tell(run, sentence)
  local limit = run.box.plan.limits.memory
  run.box.monitor:violation(run, { limit = "memory", sentence = sentence, threshold = limit,
    value = run.box.running:usage().memory_peak or limit })
end

--- A client's command was killed with all that it had started: an event `starved`. The client is told in any case,
-- and the policy's hook may answer.
function M.starved(run, event)
  local sentence = sentence_of(run, event.kills, event.leaf)
  run.box.running:blame(event.id, sentence)
  tell(run, sentence)
end

--- Ends the sandbox when memory has run out for the whole of it, by what the kernel has counted; tells of processes
-- that ended commands had left and that were killed.
function M.look(run, counted)
  local kills = (counted.oom_kills or 0) - run.oom_kills
  if kills > 0 and not run.ended_by then
    local limit = run.box.plan.limits.memory
    local sentence = sentence_of(run, kills, run.leaves and "init" or nil)
    run.stop(run, "memory", sentence, 0, counted.memory_peak or limit, limit)
  elseif run.leaves and run.box.running and not run.ended_by then
    local orphans, leaf = run.box.running:orphan_killed()
    if orphans then tell(run, sentence_of(run, orphans, leaf)) end
  end
end

return M
