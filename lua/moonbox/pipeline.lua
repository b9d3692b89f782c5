--- The pipeline engine: steps in order over one filesystem, each in a fresh sandbox.
--
-- Reading order: this file has the order of things, moonbox.step one try of one step, moonbox.gives what is
-- brought back, moonbox.record what is written down. moonbox.sandbox and below do the sandboxing.

local core = require "moonbox.core"
local flows = require "moonbox.flows"
local gives = require "moonbox.gives"
local json = require "moonbox.json"
local steps = require "moonbox.step"
local tasks = require "moonbox.task"

local sys = core.sys
local INTERNAL_ERROR = 70

local M = {}

local Run = {}
Run.__index = Run

--- An event of a sandbox goes into the record, with the step that it happened in.
function Run:sandbox_event(step, event)
  local fields = {}
  for key, value in pairs(event) do
    if key ~= "event" then fields[key] = value end
  end
  fields.step = step and step.name
  self.record:event(event.event or "sandbox", fields)
end

-- Seconds as the record has them: more digits would only be noise.
local function milliseconds(seconds)
  return math.floor(seconds * 1000 + 0.5) / 1000
end

-- One try, its events and its log. The log of a second try goes on in the first one's file.
local function try_step(run, number, step, try)
  local record, report = run.record, run.report
  record:event("step_started", { step = step.name, number = number, of = #run.data.steps, try = try })
  local log, message = record:log(tasks.log_name(number, step.name))
  if not log then return { code = INTERNAL_ERROR, sentence = message, seconds = 0 } end
  local result = steps.run(run, step,
    function(bytes, stream) report:output(log:write(bytes, stream)) end,
    function() report:tick() end)
  report:output(log:close())
  if log.dropped() > 0 then
    record:event("notice", { step = step.name, dropped = log.dropped(), sentence = ("the step wrote more than its log "
      .. "keeps: %d bytes of its output were dropped"):format(log.dropped()) })
  end
  result.seconds = milliseconds(result.seconds)
  result.sentence = result.sentence and record:sentence(result.sentence)
  local last = result.code == 0 or try > (step.retry or 0) or result.interrupted or result.task_over
  if result.code == 0 then result.state = "passed"
  elseif not last then result.state = "retry"
  elseif step.allow_failure and not result.interrupted and not result.task_over then result.state = "allowed"
  else result.state = "failed" end
  record:event("step_ended", { step = step.name, number = number, try = try, state = result.state,
    code = result.code, seconds = result.seconds, sentence = result.sentence, usage = result.usage })
  return result
end

local function run_step(run, number, step)
  local entry = { name = step.name, number = number, state = "running",
    log = tasks.log_name(number, step.name) }
  run.steps[number] = entry
  run.record:save()
  local try = 1
  local result = try_step(run, number, step, try)
  while result.state == "retry" do
    try = try + 1
    result = try_step(run, number, step, try)
  end
  entry.state, entry.code, entry.seconds, entry.tries = result.state, result.code, result.seconds, try
  entry.sentence, entry.usage = result.sentence, result.usage
  run.record:save()
  return result
end

-- The result of the first step that ends the task, or nil when all went through.
local function run_steps(run)
  for number, step in ipairs(run.data.steps) do
    local result = run_step(run, number, step)
    run.interrupted = result.interrupted
    if result.state == "failed" then
      result.step = step.name
      return result
    end
    -- A step whose failure is allowed also leaves a tree that later changes can be told from.
    gives.after_step(run, step.name)
    if run.interrupted then
      return { code = steps.signal_code(run.interrupted), interrupted = run.interrupted }
    end
  end
end

local function sentence_of(result)
  if not result.step or result.interrupted then return result.sentence end
  local text = string.format('step "%s" failed with exit code %d', result.step, result.code)
  return result.sentence and text .. ": " .. result.sentence or text
end

local function keep_files(run)
  local kept, message = gives.keep(run)
  if kept then return run.record:event("kept", { file = run.task:file("files.tar") }) end
  run.record:event("notice", { sentence = "the task's files couldn't be kept: " .. message })
end

local function conclude(run, ended)
  local list, missing = json.array {}, nil
  if not run.interrupted then list, missing = gives.collect(run) end
  if run.keep and not run.interrupted then keep_files(run) end
  run.record.data.gives = json.array(list)
  if run.interrupted then
    return { state = "interrupted", code = steps.signal_code(run.interrupted),
      sentence = ended and ended.sentence or "interrupted by SIG" .. run.interrupted }
  end
  if ended then return { state = "failed", code = ended.code, sentence = sentence_of(ended) } end
  if missing then return { state = "failed", code = 1, sentence = missing } end
  return { state = "passed", code = 0 }
end

local function step_names(data)
  local list = json.array {}
  for i, step in ipairs(data.steps) do list[i] = step.name end
  return list
end

local function shown_values(values)
  local shown = json.object {}
  for name, value in pairs(values) do shown[name] = value.text end
  return shown
end

local function start(run)
  local data = run.data
  local given = shown_values(run.values)
  local saved, message = run.record:save {
    state = "running", started = run.record.time(), pipeline = { name = data.name, file = data.file },
    policy = run.plan.policy, given = given, steps = run.steps,
  }
  if not saved then return nil, message end
  run.record:event("task_started", { pipeline = data.name, policy = run.plan.policy, given = given,
    held = require("moonbox.holding").levels(run.plan),
    steps = step_names(data), record = run.task.path })
  return true
end

-- What a step leaves has to be there for the next one, so a task's files are on disk even where its policy
-- keeps those of a single sandbox in memory. Their size stays limited as the policy says.
local function on_disk(plan)
  local copy = {}
  for key, value in pairs(plan) do copy[key] = value end
  copy.storage = {}
  for key, value in pairs(plan.storage) do copy.storage[key] = value end
  copy.storage.kind = "disk"
  return copy
end

-- What the task's sandboxes reached and were refused; nothing where they asked for nothing.
local function count_flows(run)
  local network = flows.summary(run.task:file("flows.jsonl"))
  if not network then return end
  run.record:event("network", { hosts = network.hosts, denied = network.denied, up = network.up, down = network.down,
    sentence = network.sentence })
  return network
end

local function execute(run)
  local started, message = start(run)
  if not started then return { state = "failed", code = INTERNAL_ERROR, sentence = message } end
  return conclude(run, run_steps(run))
end

--- Runs checked pipeline data (moonbox.pipeline_file) to its end. Options:
--   data, plan      the pipeline and the plan of its policy
--   values          of moonbox.given.collect
--   secrets         table NAME -> value, for every secret that a step names
--   task, record    open ones (moonbox.task, moonbox.record); they are left open
--   report          moonbox.report's, for output and ticks; events reach it through the record
--   keep            true: the task's files are kept in its record
--   sandbox         moonbox.sandbox, by default
-- Returns { state = "passed" | "failed" | "interrupted", code, sentence }. Never raises: an error inside is a
-- result with code 70. The last event is the result.
function M.run(options)
  local run = setmetatable({
    data = options.data, plan = on_disk(options.plan), values = options.values,
    secrets = options.secrets or {},
    task = options.task, record = options.record, report = options.report,
    keep = options.keep, sandbox = options.sandbox or require "moonbox.sandbox",
    steps = json.array {}, flat = {},
  }, Run)
  for name, value in pairs(run.values) do run.flat[name] = value.words or value.text end
  local began = sys.monotonic()
  run.deadline = began + run.plan.limits.time
  local called, result = pcall(execute, run)
  if not called then result = { state = "failed", code = INTERNAL_ERROR, sentence = tostring(result) } end
  result.seconds = milliseconds(sys.monotonic() - began)
  run.record:save { state = result.state, code = result.code, sentence = result.sentence,
    seconds = result.seconds, ended = run.record.time(), network = count_flows(run) }
  -- What a do function raised may hold a secret; the event doesn't.
  result.sentence = run.record:event("result", { state = result.state, code = result.code, sentence = result.sentence,
    seconds = result.seconds, record = run.task.path }).sentence
  return result
end

return M
