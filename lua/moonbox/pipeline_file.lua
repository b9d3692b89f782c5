--- Pipeline files: from Lua to checked data. (The engine that runs the data is moonbox.pipeline.)
-- The file is evaluated twice: first in a sacrificed process, with its policy, for the budget and every
-- check; then here, for the functions of `do` steps, which can't cross between processes. Files have no
-- clock, no randomness and no input, so both evaluations are the same, and the second costs no more than the
-- first was allowed to.
--
-- The data: { name, about, file, line, policy = argument for plan.load,
--   needs = { { name, kind, default, about, line, at, choices, min, max } },
--   steps = { { name, line, file, run = {…} or body = function, with named = function(what it raised) -> sentence,
--     env, cwd, network = nil | "none" | rows, time, retry, secrets, allow_failure, limits } },
--   gives = { { kind = "patch", path, since, line } | { kind = "file", path, line } } }
local M = {}

-- A step's limits against the policy's.
local function check_limits(session, row, step, policy)
  local checker = require "moonbox.checker"
  local where = require "moonbox.where"
  local vocabulary = require "moonbox.vocabulary"
  local show = require("moonbox.holding").show
  local function compare(name, value, here)
    local most = policy.limits[name] or vocabulary.default("limits", name)
    if not most or value <= most then return end
    local from = policy.from["limits." .. name]
    where.fail(session, here, ('step "%s" asks for %s = %s, more than the %s %s; a step only tightens')
      :format(step.name, name, show(name, value), show(name, most),
        from and "of " .. from or "that hold when a policy says nothing"))
  end
  if step.time then compare("time", step.time, where.at(row, "time")) end
  for _, name in ipairs(checker.sorted_names(step.limits or {})) do
    if type(step.limits[name]) == "number" then
      compare(name, step.limits[name], where.at(row, "limits", name))
    end
  end
end

local function check_network(session, row, step, policy)
  if type(step.network) ~= "table" then return end
  local narrow = require "moonbox.narrow"
  for _, only in ipairs(step.network) do
    for _, name in ipairs(only.names) do
      local ok, why = narrow.reachable(policy.network, name, only)
      if not ok then
        local from = policy.from.network
        session:report(row.file, only.line, ('step "%s" wants to reach "%s", but %s%s; a step only narrows')
          :format(step.name, name.name, why, from and not why:find(":%d") and " (" .. from .. ")" or ""))
      end
    end
  end
end

local function step_tokens(session, row)
  local out = {}
  for _, item in ipairs(require("moonbox.values").items(session, { row = row, path = {} }, row.args)) do
    local step = session:row(item.value)
    if step and step.word == "step" then out[#out + 1] = step end
  end
  return out
end

-- The policy's data, loaded in the same session so that its mistakes are told beside the pipeline's.
local function policy_of(session, row, argument)
  local where = require "moonbox.where"
  local policies = require "moonbox.policies"
  local beside = row.file.path:match("^(.*)/[^/]*$")
  local path, label = policies.find(argument, beside)
  if not path then return where.fail(session, where.at(row, "policy"), "`policy`: " .. label) end
  local text, why = require("moonbox.loader").read(path)
  if not text then return where.fail(session, where.at(row, "policy"), ("`policy`: %s %s"):format(label, why)) end
  local data = require("moonbox.policy").evaluate(session, path, label, text)
  return data, policies.is_path(argument) and path or argument
end

local function check_file(session, row, override)
  local checker = require "moonbox.checker"
  local where = require "moonbox.where"
  local rows = require "moonbox.pipeline_rows"
  local here = where.at(row)
  local needs, gives = {}, nil
  local data = checker.fields(session, here, "pipeline", row.args, {
    needs = function(there, value)
      needs = require("moonbox.needs").declared(session, there, value, "pipeline") or {}
      return needs
    end,
    gives = function(_, value) gives = value return nil end,
  })
  data.needs = needs
  data.steps = rows.steps(session, row, needs)
  data.gives = gives and rows.gives(session, where.deeper(here, "gives"), gives, data.steps) or {}
  data.name, data.file, data.line = row.name, row.file.label, row.line
  local wanted = override or data.policy or "base"
  session.options.lines, session.options.pipeline = true, true
  local policy, argument = policy_of(session, row, wanted)
  data.policy = override or argument
  local tokens = step_tokens(session, row)
  for i, step in ipairs(policy and data.steps or {}) do
    check_limits(session, tokens[i], step, policy)
    check_network(session, tokens[i], step, policy)
  end
  return data
end

-- What of the data can cross between processes.
local function without_functions(data)
  local json = require "moonbox.json"
  data.needs, data.gives = json.array(data.needs), json.array(data.gives)
  for _, step in ipairs(data.steps) do
    step.has_body, step.body = step.body ~= nil, nil
    if type(step.network) == "table" then step.network = json.array(step.network) end
    if step.secrets then step.secrets = json.array(step.secrets) end
  end
  return data
end

-- The functions of the `do` steps, from an evaluation in this process.
local function attach_functions(data, path, text)
  local session = require("moonbox.policy").session()
  local row = session:load(path, data.file, "pipeline", text)
  if not row then return nil, session:sorted() end
  local tokens = step_tokens(session, row)
  session:stop_at_mistakes()
  for i, step in ipairs(data.steps) do
    if step.has_body then step.body = tokens[i] and tokens[i].args["do"] end
    if step.has_body then step.named = function(message) return session:named(message) end end
    step.has_body = nil
  end
  return data
end

local function read(path)
  local stat, message = require("moonbox.core").sys.stat(path)
  if not stat then return nil, "can't be read: " .. (message:match(": ([^:]+)$") or message) end
  if stat.kind ~= "file" then return nil, "can't be read: it is a " .. stat.kind end
  return require("moonbox.loader").read(path)
end

--- Loads and checks the pipeline at `path`. `options.policy` stands for the policy that the file names.
-- Returns its data, or nil and diagnostics ({ file, line, text }, …) in file order.
function M.load(path, options)
  local override = options and options.policy
  local text, message = read(path)
  if path:match("%.ya?ml$") then text, message = nil, "is YAML; a pipeline is written in Lua" end
  if not text then return nil, { { file = path, line = 1, text = message } } end
  local policy = require "moonbox.policy"
  local data, diagnostics = policy.sacrificed(path, nil, function(session)
    local row = session:load(path, path, "pipeline", text)
    return row and without_functions(check_file(session, row, override))
  end)
  if not data then return nil, diagnostics end
  for _, step in ipairs(data.steps) do
    if step.has_body then return attach_functions(data, path, text) end
  end
  for _, step in ipairs(data.steps) do step.has_body = nil end
  return data
end

return M
