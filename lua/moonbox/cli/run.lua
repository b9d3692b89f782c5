--- `moonbox run PIPELINE`: runs a pipeline as a task, shows it, and leaves its record.
local M = {
  about = "runs a pipeline: its steps in order, each in a fresh sandbox over one filesystem",
  usage = "moonbox run [--policy P] [--json] [--keep] PIPELINE [--NAME=VALUE...]",
  options = {
    { "--NAME=VALUE", "gives the pipeline's parameter NAME its value" },
    { "--policy P", "runs under this policy instead of the one that the pipeline names" },
    { "--json", "prints the task's events, one JSON object a line, and nothing else" },
    { "--keep", "keeps the task's files in its record, as files.tar" },
  },
}

local OWN = { policy = "value", json = "flag", keep = "flag" }
local USAGE, BAD_FILE, UNAVAILABLE, INTERNAL = 64, 65, 69, 70

local function sys() return require("moonbox.core").sys end

local function complain(...)
  for _, sentence in ipairs { ... } do require("moonbox.tell").say(sentence) end
end

-- One word of the form --name or --name=value, with the next one as value where none is in it.
local function option(args, at, own, given)
  local name, value = args[at]:match("^%-%-([%w_-]+)=(.*)$")
  if not name then name = args[at]:match("^%-%-([%w_-]+)$") end
  if not name then return nil, "there is no option " .. args[at] .. "; usage: " .. M.usage end
  if OWN[name] == "flag" then
    if value then return nil, "--" .. name .. " takes no value" end
    own[name] = true
    return at + 1
  end
  local last = at
  if not value then
    value, last = args[at + 1], at + 1
    if not value or value:find("^%-%-") then
      return nil, "--" .. name .. " needs a value: --" .. name .. "=…"
    end
  end
  local place = OWN[name] and own or given
  if place[name] ~= nil then return nil, "--" .. name .. " is given twice" end
  place[name] = value
  return last + 1
end

--- Splits the command line. Returns own options, parameters by name and the pipeline's argument, or nil,
-- message.
function M.parse(args)
  local own, given, pipeline, at = {}, {}, nil, 1
  while args[at] do
    if args[at]:sub(1, 1) == "-" then
      local after, message = option(args, at, own, given)
      if not after then return nil, message end
      at = after
    elseif pipeline then
      return nil, "run takes one pipeline, and parameters as --NAME=VALUE; what is " .. args[at] .. "?"
    else
      pipeline, at = args[at], at + 1
    end
  end
  if not pipeline then return nil, "run needs a pipeline; usage: " .. M.usage end
  return own, given, pipeline
end

--- The path of a pipeline argument: a path (it has a slash or ends in .lua), or a name among the shipped
-- examples.
function M.find(argument)
  if argument:find("/", 1, true) or argument:find("%.lua$") then return argument end
  local directory = require("moonbox.policies").directory()
  local examples = directory and directory:match("^(.*)/[^/]+$") .. "/examples"
  if examples and argument:find("^[%w_-]+$") and sys().stat(examples .. "/" .. argument .. ".lua") then
    return examples .. "/" .. argument .. ".lua"
  end
  local names = {}
  for _, entry in ipairs(examples and sys().list(examples) or {}) do
    names[#names + 1] = entry:match("^(.+)%.lua$")
  end
  return nil, "there is no example " .. argument .. require("moonbox.suggest").tail(argument, names)
    .. " (a path has a slash or ends in .lua)"
end

-- Each failing function below writes its sentences to stderr and returns nil, exit code, last sentence.
local function fail(code, ...)
  complain(...)
  return nil, code, (select(select("#", ...), ...))
end

local function load_files(own, argument)
  local path, message = M.find(argument)
  if not path then return fail(USAGE, message) end
  local policy = own.policy
  if policy and require("moonbox.policies").is_path(policy) then
    policy, message = sys().realpath(policy)
    if not policy then return fail(BAD_FILE, message) end
  end
  local data, diagnostics = require("moonbox.pipeline_file").load(path, { policy = policy })
  local plan
  if data then plan, diagnostics = require("moonbox.plan").load(data.policy) end
  if plan then return data, plan end
  require("moonbox.policy").complain(diagnostics)
  return nil, BAD_FILE, diagnostics[1] and require("moonbox.policy").format(diagnostics[1])
end

local function reserved(data)
  for _, need in ipairs(data.needs) do
    if OWN[need.name] then
      local sentence = "%s:%d: `%s` is an option of `moonbox run`; give the parameter another name"
      return fail(BAD_FILE, sentence:format(data.file, need.line or data.line, need.name))
    end
  end
  return true
end

-- The values of all secrets that the steps name, from the caller's environment.
local function secrets_of(data)
  local values, missing, seen = {}, {}, {}
  for _, step in ipairs(data.steps) do
    for _, name in ipairs(step.secrets or {}) do
      local value = os.getenv(name)
      if value and value ~= "" then
        values[name] = value
      elseif not seen[name] then
        local sentence = 'step "%s" needs the secret %s; set it in the environment of moonbox'
        missing[#missing + 1] = sentence:format(step.name, name)
        seen[name] = true
      end
    end
  end
  if #missing > 0 then return fail(USAGE, unpack(missing)) end
  return values
end

local function show_usage(data)
  local lines = { M.about, "", "usage: " .. M.usage, "" }
  for _, row in ipairs(M.options) do lines[#lines + 1] = string.format("  %-16s %s", row[1], row[2]) end
  if data then
    lines[#lines + 1] = "\nparameters of " .. data.name .. ":"
    for _, need in ipairs(data.needs) do
      local default = need.default ~= nil and " (default: " .. tostring(need.default) .. ")" or ""
      lines[#lines + 1] = string.format("  --%-14s %s: %s%s", need.name, need.kind, need.about or "", default)
    end
  end
  require("moonbox.output").print(table.concat(lines, "\n") .. "\n")
  return 0
end

local function help(args)
  for _, word in ipairs(args) do
    if word:sub(1, 1) ~= "-" then
      local path = M.find(word)
      return show_usage(path and require("moonbox.pipeline_file").load(path))
    end
  end
  return show_usage()
end

local function new_report(own)
  local terminal = sys().isatty(1) and os.getenv("TERM") ~= "dumb"
  local form = own.json and "json" or terminal and "terminal" or "plain"
  return require("moonbox.report").new(form, function(text) require("moonbox.output").print(text) end, {
    color = terminal and not os.getenv("NO_COLOR"),
    columns = function()
      local _, columns = sys().winsize(1)
      return columns and columns > 0 and columns or 80
    end,
  })
end

-- The task, its record and the report, or nil, exit code, sentence.
local function open_task(own, secrets)
  local tasks, records = require "moonbox.task", require "moonbox.record"
  local root, message = tasks.root()
  if not root then return fail(USAGE, message) end
  tasks.reconcile(root, records.mark_lost)
  require("moonbox.sandbox").prepare()
  -- From here on there is something to put away: what ends the run ends it between two of its steps at the earliest.
  sys().hold_signals()
  local task
  task, message = tasks.create(root)
  if not task then return fail(UNAVAILABLE, "can't make the task's record: " .. message) end
  local report = new_report(own)
  local values = {}
  for _, value in pairs(secrets) do values[#values + 1] = value end
  local record
  record, message = records.open(task, { secrets = values, sink = function(event) report:event(event) end })
  if not record then
    task:finish()
    return fail(UNAVAILABLE, "can't make the task's record: " .. message)
  end
  return { task = task, record = record, report = report }
end

-- Returns the exit code, and the sentence where the task didn't start (it is then on stderr already).
local function run(args)
  local own, given, argument = M.parse(args)
  if not own then
    complain(given)
    return USAGE, given
  end
  local data, plan, why = load_files(own, argument)
  if not data then return plan, why end
  local fine, code, sentence = reserved(data)
  if not fine then return code, sentence end
  local values, sentences = require("moonbox.given").collect(data.needs, given)
  if not values then
    complain(unpack(sentences))
    return USAGE, sentences[1]
  end
  local secrets
  secrets, code, sentence = secrets_of(data)
  if not secrets then return code, sentence end
  local opened
  opened, code, sentence = open_task(own, secrets)
  if not opened then return code, sentence end
  local result = require("moonbox.pipeline").run {
    data = data, plan = plan, values = values, secrets = secrets, task = opened.task, record = opened.record,
    report = opened.report, keep = own.keep,
  }
  opened.record:close()
  local trouble = opened.record:trouble()
  if trouble then complain("the record of the task is not whole: " .. trouble) end
  local released, message = require("moonbox.sandbox").release(opened.task:file("fs"))
  local gone, unmade = opened.task:finish()
  gone, message = released and gone, message or unmade
  if not gone then complain("the task's filesystem couldn't be removed: " .. message) end
  if result.sentence then complain(result.sentence) end
  return result.code == nil and INTERNAL or result.code
end

function M.run(args)
  for _, word in ipairs(args) do
    if word == "--help" or word == "-h" then return help(args) end
  end
  local code, sentence = run(args)
  if sentence then
    for _, word in ipairs(args) do
      if word == "--json" then
        local event = { event = "result", time = require("moonbox.record").time(), state = "failed",
          code = code, sentence = sentence }
        require("moonbox.output").print(require("moonbox.json").encode(event) .. "\n")
      end
    end
  end
  return code
end

return M
