--- For specs that push against limits: sandboxes under a policy of some rows, what was told of them, and how this mode
-- holds a limit. Four modes are meant: root with control groups of version 1 and of version 2 (spec/vm), an ordinary user
-- with a delegated version 2 subtree (spec/vm), and one without any group.
local box = require "support.box"
local compile = require "support.compile"
local json = require "moonbox.json"
local runs = require "support.runs"

local sys = require("moonbox.core").sys

local M = {}

--- Whether a limit ("memory", "cpus", "processes", "disk") is held hard here, under the policy `offline` or `policy`.
function M.hard(limit, policy)
  return require("moonbox.holding").levels(box.plan(nil, policy))[limit]:match("^hard") ~= nil
end

--- The version of the control groups that hold a limit's controller ("memory", "cpu", "pids"); 0 none.
function M.version(controller)
  return require("moonbox.core").cgroups()[controller].version
end

--- Writes a policy of these rows, of which the first is on line 2, and returns its path.
function M.policy(rows)
  return runs.write(("%s/%s.lua"):format(box.home, sys.random_hex(4)), 'return policy "limited" { extends = "base",\n' .. rows .. "\n}\n")
end

--- Opens a sandbox under a policy of these rows that shows spec/helpers/hog.c as /opt/spec/hog. Returns it, the list in
-- which its events will be, and the policy's path.
function M.open(rows)
  local path, events = M.policy(rows), {}
  local plan = assert(require("moonbox.plan").load(path))
  table.insert(plan.mounts, compile.row(compile.helpers("hog")))
  return box.open(plan, { on_event = function(event) events[#events + 1] = event end }), events, path
end

--- Runs a shell script in such a sandbox, to the end of both: the outcome, the events, the policy's path.
function M.run(rows, script, spec)
  local opened, events, path = M.open(rows)
  local outcome = box.inside(opened, script, spec)
  assert(opened:close())
  return outcome, events, path
end

--- Runs it by the program instead, with the word that `moonbox exec` would be given: { code, stdout, stderr }.
function M.exec(rows, command)
  return box.exec({ "--policy", M.policy(rows), compile.option(compile.helpers("hog")) }, command)
end

--- The first violation of a limit; raises with all events when there is none.
function M.violation(events, limit)
  for _, event in ipairs(events) do
    if event.event == "violation" and event.limit == limit then return event end
  end
  error("no violation of " .. limit .. " in " .. json.encode(json.array(events)), 2)
end

--- How many processes of this machine have MOONBOX_SPEC_MARK=`mark` in their environment.
function M.alive(mark)
  local count = 0
  for _, name in ipairs(sys.list("/proc")) do
    local environment = name:match("^%d+$") and box.read("/proc/" .. name .. "/environ") or ""
    if environment:find("MOONBOX_SPEC_MARK=" .. mark, 1, true) then count = count + 1 end
  end
  return count
end

--- Runs `work` and returns how many seconds it took, and what it returned.
function M.timed(work)
  local began = sys.monotonic()
  local result = work()
  return sys.monotonic() - began, result
end

return M
