--- One try of one step: a fresh sandbox over the task's filesystem, its command or its Lua function in it.
--
-- The sandbox is opened when the first command starts, because only then is it known which parameters the
-- step mentions: a local repository or a folder is mounted in the steps that mention it and in no others. A
-- `do` function mentions a parameter by reading it from `given`; when it first reads one after commands have
-- run, the next command gets a new sandbox, which also has that mount.

local core = require "moonbox.core"
local plans = require "moonbox.plan"
local say = require "moonbox.say"
local step_command = require "moonbox.step_command"
local substitute = require "moonbox.substitute"
local suggest = require "moonbox.suggest"

local sys = core.sys
local HOOK_COUNT = 100000
local COULD_NOT_START = 125
local TIME_OVER = 124
local SIGNALS = { HUP = 129, INT = 130, QUIT = 131, TERM = 143 }

local M = {}

--- The exit code of a task that the signal `name` interrupted.
function M.signal_code(name)
  return SIGNALS[name] or 130
end

-- What a step ends with when it can't go on; raised through the `do` function, which has no pcall to stop it.
local function stop(result)
  error({ step_ended = result }, 0)
end

local function interrupted(signal)
  return { code = M.signal_code(signal), sentence = "interrupted by SIG" .. signal, interrupted = signal }
end

local function mention(try, text)
  for _, name in ipairs(substitute.names(text) or {}) do try.mentioned[name] = true end
end

-- Root maps a bind's owner to the agent; for an ordinary user with subordinate ids the files stay somebody
-- else's, which git refuses (git-config(1), safe.directory) unless a system file says otherwise.
local function trust_repositories(plan, directories)
  local text = "[safe]\n"
  for _, directory in ipairs(directories) do text = text .. "\tdirectory = " .. directory .. "\n" end
  for _, row in ipairs(plan.mounts) do
    if row.kind == "file" and row.target == "/etc/gitconfig" then
      row.text = row.text .. text
      return
    end
  end
  plan.mounts[#plan.mounts + 1] = { kind = "file", target = "/etc/gitconfig", text = text, mode = 420 }
end

local function add_mounts(try, plan)
  local names, trusted = {}, {}
  for name in pairs(try.mentioned) do
    if try.run.values[name] and try.run.values[name].mount then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = try.run.values[name]
    plan.mounts[#plan.mounts + 1] = value.mount
    try.mounted[name] = true
    if value.git then
      trusted[#trusted + 1] = value.git
      trusted[#trusted + 1] = (value.git:gsub("/%.git$", ""))
    end
  end
  if #trusted > 0 then trust_repositories(plan, trusted) end
end

local function lacks_mount(try)
  for name in pairs(try.mentioned) do
    local value = try.run.values[name]
    if value and value.mount and not try.mounted[name] then return true end
  end
  return false
end

local function time_over(try)
  if try.deadline >= try.run.deadline then
    return { code = TIME_OVER, sentence = "the task's time is over", task_over = true }
  end
  return { code = TIME_OVER, sentence = string.format('step "%s" ran longer than its %g s', try.step.name,
    try.step.time or 0) }
end

local function remaining(try)
  local left = try.deadline - sys.monotonic()
  if left <= 0 then stop(time_over(try)) end
  return left
end

local function box_for(try)
  if try.box and (try.box.ended or lacks_mount(try)) then
    try.box:close()
    try.box = nil
  end
  if try.box then return try.box end
  local run = try.run
  local plan = plans.narrow(run.plan, try.step)
  add_mounts(try, plan)
  plan.limits.time = math.min(plan.limits.time, math.ceil(remaining(try)))
  local box, message, code = run.sandbox.open(plan, {
    storage = run.task:file("fs"), signals = true, flows = run.task:file("flows.jsonl"), step = try.step.name,
    on_event = function(event) run:sandbox_event(try.step, event) end,
  })
  if not box then stop { code = type(code) == "number" and code or COULD_NOT_START, sentence = message } end
  try.box = box
  return box
end

local function environment(try, extra)
  local env = {}
  for name, value in pairs(try.env) do env[name] = value end
  for name, value in pairs(extra or {}) do env[name] = value end
  return env
end

-- Runs a command; returns its outcome. Ends the step on an interruption, the end of its time or a broken
-- sandbox.
local function exec(try, spec)
  local box = box_for(try)
  local own = spec.time
  local left = remaining(try)
  spec.time = own and math.min(own, left) or left
  spec.cwd = spec.cwd or try.step.cwd
  spec.env = environment(try, spec.env)
  spec.on_output = function(stream, bytes) try.output(bytes, stream) end
  spec.on_tick = try.tick
  try.run.record:event("command", { step = try.step.name, argv = spec.run })
  local outcome, message, code = box:exec(spec)
  if not outcome then
    stop { code = type(code) == "number" and code or COULD_NOT_START, sentence = message }
  end
  try.usage = outcome.usage or try.usage
  if outcome.ended_by == "interrupted" then
    stop(interrupted(outcome.signal or "INT"))
  end
  if outcome.ended_by == "time" and not (own and own < left) then stop(time_over(try)) end
  return outcome
end

local function run_command(try)
  local step = try.step
  for _, argument in ipairs(step.run) do mention(try, argument) end
  local argv, message = substitute.run(step.run, try.run.flat)
  if not argv then stop { code = 65, sentence = message } end
  local sandbox = try.run.sandbox
  local outcome = exec(try, { run = argv, stderr = sandbox.STDOUT, keep = 0 })
  return { code = outcome.code, sentence = outcome.sentence }
end

local function box_api(try)
  local api = {}
  --- Returns code, stdout, stderr.
  function api.exec(self, given)
    if self ~= api then error("write box:exec { … }, with a colon", 2) end
    local spec, message = step_command.read(given)
    if not spec then error(message, 2) end
    local outcome = exec(try, spec)
    return outcome.code, outcome.stdout or "", outcome.stderr or ""
  end
  return setmetatable(api, { __metatable = false, __index = function(_, name)
    error(("box has no `%s`; write box:exec { … }"):format(say.plain(name)), 2)
  end })
end

local function given_api(try)
  return setmetatable({}, {
    __index = function(_, name)
      local value = try.run.values[name]
      if not value then
        local known = {}
        for other in pairs(try.run.values) do known[#known + 1] = other end
        error(("there is no parameter `%s`%s"):format(say.plain(name), suggest.tail(say.plain(name), known)), 2)
      end
      try.mentioned[name] = true
      if value.kind == "number" then return tonumber(value.text) end
      return value.words and { unpack(value.words) } or value.text
    end,
    __newindex = function() error("given can't be changed", 2) end,
    __metatable = false,
  })
end

-- Nothing, true or 0 means passed; a number is the exit code; false means failed. A second value is then the
-- sentence, such as the output of a command that is returned whole: `return box:exec { … }`.
local function body_result(value, sentence)
  sentence = type(sentence) == "string" and sentence:find("%S") and sentence or nil
  if value == nil or value == true or value == 0 then return { code = 0 } end
  if value == false then return { code = 1, sentence = sentence } end
  if type(value) == "number" and value >= 0 and value <= 255 and value == math.floor(value) then
    return { code = value, sentence = sentence }
  end
  return { code = 65, sentence = "a do function returns nothing, true, false or an exit code from 0 to 255" }
end

-- The function is the operator's; the hook is for a loop that was meant to end. JIT-compiled code runs no
-- hooks.
local function run_body(try)
  jit.off(try.step.body, true)
  debug.sethook(function()
    local signal = sys.held_signal()
    if signal then stop(interrupted(signal)) end
    if sys.monotonic() > try.deadline then stop(time_over(try)) end
  end, "", HOOK_COUNT)
  say.hide(function(text) return try.run.record.redactor:text(text) end)
  local called, value, sentence = pcall(try.step.body, box_api(try), given_api(try))
  say.hide(nil)
  debug.sethook()
  if called then return body_result(value, sentence) end
  if type(value) == "table" and value.step_ended then error(value, 0) end
  return { code = 1, sentence = try.step.named and try.step.named(value) or tostring(value) }
end

local function step_environment(try)
  local env = {}
  for name, value in pairs(try.step.env or {}) do
    mention(try, value)
    local text, message = substitute.expand(value, try.run.flat)
    if not text then stop { code = 65, sentence = message } end
    env[name] = text
  end
  for _, name in ipairs(try.step.secrets or {}) do env[name] = try.run.secrets[name] end
  return env
end

local function attempt(try)
  try.env = step_environment(try)
  remaining(try)
  if try.step.body then return run_body(try) end
  return run_command(try)
end

--- Runs `step` once. `run` is the engine's state (moonbox.pipeline), output(bytes, stream) gets what commands
-- write, tick() is called now and then. Returns { code, sentence, seconds, usage, interrupted = signal name
-- or nil, task_over = true when the task's whole time is used up }.
function M.run(run, step, output, tick)
  local started = sys.monotonic()
  local try = { run = run, step = step, output = output, tick = tick, mentioned = {}, mounted = {} }
  try.deadline = math.min(run.deadline, step.time and started + step.time or math.huge)
  local called, result = pcall(attempt, try)
  if try.box then try.box:close() end
  if not called then
    if type(result) ~= "table" or not result.step_ended then error(result, 0) end
    result = result.step_ended
  end
  result.seconds, result.usage = sys.monotonic() - started, try.usage
  return result
end

return M
