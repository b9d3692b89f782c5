--- A sandbox by id, seen from another process: commands in it and requests to its supervisor.
local core = require "moonbox.core"
local sandboxes = require "moonbox.sandboxes"
local stdio = require "moonbox.stdio"

local sys = core.sys

local M = {}

local Box = {}
Box.__index = Box

--- Exit codes: usage, a host that can't, a sandbox that is not there.
M.USAGE, M.CANNOT, M.NOT_THERE = 64, 69, 125

-- Seconds that a supervisor has to answer, to end a sandbox after its grace, and to end one that is to be destroyed,
-- where nothing is lost when it is killed.
local ANSWER, ENDING, DESTROYING = 10, 10, 3

--- The box of an id whose folder exists. It is not looked at: exec finds out whether it runs.
function M.new(id, path)
  return setmetatable({ id = id, path = path, idle = {} }, Box)
end

local function variables(env)
  local out = {}
  for name, value in pairs(env or {}) do out[#out + 1] = name .. "=" .. value end
  table.sort(out)
  return out
end

-- Why there is nobody to talk to: a sentence and an exit code.
local function absent(self, message)
  local data, alive = sandboxes.look(self.id)
  if not data then return alive, M.NOT_THERE end
  if alive then return message, M.NOT_THERE end
  return ("the sandbox %s has ended: %s"):format(self.id, data.sentence or data.ended_by or "it is over"), M.NOT_THERE
end

local on = {}

function on.output(call, event)
  if call.spec.on_output then call.spec.on_output(event.stream, event.bytes) end
end

function on.exit(call, event) call.exit = event end

function on.gone(call, event) call.gone = event.why end

-- Signals of the caller's are the command's; a third SIGINT insists.
function on.signal(call, event)
  if event.signal == "WINCH" then
    local rows, cols = sys.winsize(1)
    if rows then call.running:resize(call.id, rows, cols) end
    return
  end
  call.interrupts = (call.interrupts or 0) + (event.signal == "INT" and 1 or 0)
  call.running:signal(call.id, call.interrupts >= 3 and "KILL" or event.signal)
end

local function outcome(self, call)
  local exit = call.exit
  if not exit then
    local sentence = absent(self, call.gone)
    return { code = 137, ended_by = "killed", sentence = sentence, dropped = 0, usage = {},
      seconds = sys.monotonic() - call.began }
  end
  local overran = exit.ended_by == "time"
  return { code = overran and 124 or exit.code, signal = exit.signal and ("%d"):format(exit.signal) or nil,
    ended_by = exit.ended_by,
    sentence = overran and ("time limit of %g s reached"):format(call.spec.time or 0) or exit.failed,
    stdout = exit.stdout, stderr = exit.stderr, dropped = exit.dropped or 0, unlogged = exit.unlogged,
    undelivered = exit.undelivered,
    seconds = sys.monotonic() - call.began, usage = { cpu_seconds = exit.cpu_seconds, memory_peak = exit.peak_rss } }
end

--- Runs a command to its end, beside whatever else runs in the sandbox. `spec`: run (array), env, cwd, stdin,
-- stdout, stderr, keep, time (seconds; then SIGTERM, and SIGKILL after the policy's grace), tty, on_output(stream,
-- bytes), as for moonbox.sandbox; `signals`, to pass the caller's on; `log = false`, to keep no log of it
-- (moonbox.command_logs; where that can't be written, the outcome's `unlogged` says why). A caller that ends takes the
-- command with it.
-- Returns an outcome as moonbox.supervise does, or nil, sentence, exit code when there is no such sandbox.
function Box:exec(spec)
  local call, message = { spec = spec, began = sys.monotonic() }, nil
  call.running = table.remove(self.idle)
  if not call.running then call.running, message = core.control.connect(self.path) end
  if not call.running then return nil, absent(self, message) end
  if spec.signals then call.running:watch_signals() end
  local rows, cols = stdio.size(spec.tty)
  call.id, message = call.running:start { argv = spec.run, env = variables(spec.env), cwd = spec.cwd or "",
    stdin = stdio.input(spec.stdin), stdout = stdio.output(spec.stdout, spec), stderr = stdio.output(spec.stderr, spec),
    pty = spec.tty, rows = rows, cols = cols, time = spec.time, files = spec.files,
    log = spec.log ~= false and not spec.files and self.path .. "/logs" or nil }
  if not call.id then return nil, absent(self, message) end
  while not call.exit and not call.gone do
    local event, why = call.running:next()
    if not event then return nil, why, 70 end
    if on[event.kind] then on[event.kind](call, event) end
  end
  if call.exit and not spec.signals then table.insert(self.idle, call.running) else call.running:close() end
  return outcome(self, call)
end

local function ask(self, request, seconds)
  local answer, message, code = sandboxes.ask(self.path, request, seconds or ANSWER)
  if answer then return answer end
  if type(code) == "number" then return nil, message, code end
  return nil, absent(self, message)
end

--- What it uses now: { state, usage, limits, commands }, or nil, sentence, exit code.
function Box:stats() return ask(self, { ask = "stats" }) end

--- Stops every process of it, and lets them go on. Its time goes on meanwhile. Return true, or nil, sentence, exit
-- code.
function Box:pause()
  local answer, message, code = ask(self, { ask = "pause" })
  return answer and true, message, code
end

function Box:resume()
  local answer, message, code = ask(self, { ask = "resume" })
  return answer and true, message, code
end

--- Replaces its network rows by those of a plan (moonbox.plan). Returns true; or nil, sentence, exit code, and the
-- old ones stay.
function Box:set_network(plan)
  local answer, message, code = ask(self, { ask = "network", network = plan.network, policy = plan.policy,
    hooks = plan.hooks })
  return answer and true, message, code
end

-- A supervisor that does not do what it is told to is killed; the rest dies with it.
local function force(self, data)
  sandboxes.kill(data.pid and data or require("moonbox.holder").read(self.path))
  local till = sys.monotonic() + sandboxes.SETTLE
  repeat
    local found, alive = sandboxes.look(self.id)
    if not found or not alive then return true end
    sys.sleep(0.01)
  until sys.monotonic() > till
  return nil, "the sandbox's supervisor can't be killed"
end

--- Ends everything in it: SIGTERM to each process, SIGKILL after `grace` seconds (the policy's by default). The
-- record stays. Returns true, or nil, sentence, exit code.
function Box:stop(grace, destroy)
  local data, alive = sandboxes.look(self.id)
  if not data then return nil, alive, M.NOT_THERE end
  if not alive then return true end
  local wait = (grace or (sandboxes.plan(self.path) or { limits = { grace = 10 } }).limits.grace)
  wait = wait + (destroy and DESTROYING or ENDING)
  local answer, message, code = sandboxes.ask(self.path, { ask = "stop", grace = grace, destroy = destroy }, wait)
  if not answer and type(code) == "number" then return nil, message, code end
  -- Its lock is let go when its process has gone, a moment after the answer.
  local till = sys.monotonic() + sandboxes.SETTLE
  repeat
    data, alive = sandboxes.look(self.id)
    if not data or not alive then return true end
    sys.sleep(0.002)
  until not answer or sys.monotonic() > till
  return force(self, data)
end

--- Ends it at once and removes its record. Returns true, or nil, sentence, exit code.
function Box:destroy()
  local stopped, message, code = self:stop(0, true)
  if not stopped then return nil, message, code end
  for _, running in ipairs(self.idle) do running:close() end
  self.idle = {}
  return sandboxes.remove(self.id)
end

-- Starts a command without waiting for it; a function that ends it, or nil when none can be started.
local function begin(self, argv)
  local running = core.control.connect(self.path)
  local id = running and running:start { argv = argv, env = {}, cwd = "", stdin = "null", stdout = { capture = 0 },
    stderr = { capture = 0 } }
  if not id then return nil end
  return function()
    running:signal(id, "KILL")
    running:close()
  end
end

--- What its processes are, against its plan (moonbox.posture), and how a command starts in it now, which a paused one
-- can't tell. Returns the array of reports, or nil, sentence.
function Box:posture()
  local data, alive = sandboxes.look(self.id)
  if not data then return nil, alive end
  if not alive then return nil, "the sandbox " .. self.id .. " does not run" end
  local plan, message = sandboxes.plan(self.path)
  if not plan then return nil, message end
  return require("moonbox.posture").sandbox { pid = data.pid, plan = plan, box = data.box, folder = self.path,
    state = self.path:match("^(.*)/sandboxes/"), owner = sys.stat(self.path).uid,
    start = data.state == "running" and function(argv) return begin(self, argv) end or nil }
end

--- Files of the box: read, write, list, copy_in and copy_out, as in moonbox.files.
for _, name in ipairs { "read", "write", "list", "copy_in", "copy_out" } do
  Box[name] = function(self, ...) return require("moonbox.files")[name](self, ...) end
end

return M
