--- The parts of a pipeline file, checked and made plain: steps and what is brought back. Parameters are in
-- moonbox.needs.
local checker = require "moonbox.checker"
local needs_of = require "moonbox.needs"
local paths = require "moonbox.paths"
local policy_rows = require "moonbox.policy_rows"
local say = require "moonbox.say"
local suggest = require "moonbox.suggest"
local values = require "moonbox.values"
local where = require "moonbox.where"

local M = {}

local at, deeper, fail = where.at, where.deeper, where.fail

-- Steps -----------------------------------------------------------------------------------------------------

local function run_of(session, here, value, needs)
  if type(value) == "string" then
    return fail(session, here,
      "`run` is a list of arguments, never a shell line: run = { \"git\", \"status\" }")
  end
  local out = values.texts(session, here, "run", value, "arguments", function(text)
    if text:find("%z") then return "has a NUL byte in it" end
  end)
  if not out then return nil end
  if next(value) == nil then return fail(session, here, "`run` is empty; its first item is the program") end
  if out[1] == "" then fail(session, deeper(here, 1), "`run` names no program; its first item is empty") end
  for i, text in ipairs(out) do needs_of.check_names(session, deeper(here, i), text, needs, true) end
  return out
end

local function step_network(session, here, value)
  if value == "none" then return value end
  if not values.is_table(session, value) then
    return fail(session, here, '`network` of a step is "none" or { only { … } }, not '
      .. say.describe(value))
  end
  local out = {}
  for _, name in ipairs(checker.sorted_names(value)) do
    fail(session, deeper(here, name), ("`%s` is the policy's; a step only narrows, with only { … }")
      :format(say.plain(name)))
  end
  for _, item in ipairs(values.items(session, here, value)) do
    local row = session:row(item.value)
    if row and row.word == "only" then
      out[#out + 1] = require("moonbox.network_rows").network_row(session, row)
    else
      fail(session, row and at(row) or deeper(here, item.index),
        "a step only narrows its network, with only { … }, not " .. (row and "`" .. row.word .. "`"
          or say.describe(item.value)))
    end
  end
  return out
end

local function step_limits(session, here, value)
  if type(value) == "table" and value.hold ~= nil then
    fail(session, deeper(here, "hold"), "`hold` is the policy's; a step's limits are held as the policy says")
  end
  return policy_rows.limits(session, here, value)
end

local function step_of(session, row, needs)
  local out = checker.fields(session, at(row), "step", row.args, {
    run = function(here, value) return run_of(session, here, value, needs) end,
    ["step network"] = function(here, value) return step_network(session, here, value) end,
    ["step limits"] = function(here, value) return step_limits(session, here, value) end,
  }, true)
  for name, text in pairs(out.env or {}) do
    needs_of.check_names(session, deeper(at(row, "env"), name), text, needs)
  end
  local run, body = row.args.run, row.args["do"]
  if run == nil and body == nil then
    fail(session, at(row), ('step "%s" does nothing; give it `run` or `do`'):format(row.name))
  elseif run ~= nil and body ~= nil then
    fail(session, at(row), ('step "%s" has both `run` and `do`; it takes one of them'):format(row.name))
  end
  out.body, out["do"] = out["do"], nil
  out.name, out.line, out.file = row.name, row.line, row.file.label
  return out
end

--- The steps in order; names are told apart.
function M.steps(session, row, needs)
  local out, lines, by_name = {}, {}, {}
  for _, need in ipairs(needs) do by_name[need.name] = need end
  checker.rows(session, at(row), "pipeline", row.args, function(step)
    if lines[step.name] and step.name ~= "?" then
      session:report(step.file, step.line, ('there is a step "%s" already, on line %d'):format(step.name,
        lines[step.name]))
    end
    lines[step.name] = lines[step.name] or step.line
    out[#out + 1] = step_of(session, step, by_name)
  end)
  if #out == 0 and #session.diagnostics == 0 then fail(session, at(row), "the pipeline has no steps") end
  return out
end

-- What is brought back --------------------------------------------------------------------------------------

local function patch_of(session, row, steps)
  local given = values.items(session, at(row), row.args)
  local out = checker.fields(session, at(row), "patch", row.args, {})
  local path = given[1] and given[1].value
  local wrong = #given ~= 1 and "takes one path" or paths.wrong(path)
  if wrong then
    fail(session, at(row), #given ~= 1 and "`patch` takes one path"
      or ('"%s" %s'):format(say.plain(path), wrong))
    return nil
  end
  local known = {}
  for i, step in ipairs(steps) do known[i] = step.name end
  if out.since and not needs_of.in_choices(known, out.since) then
    fail(session, deeper(at(row), "since"), ('there is no step "%s"%s'):format(say.plain(out.since),
      suggest.tail(out.since, known)))
  end
  return { kind = "patch", path = path, since = out.since, line = row.line }
end

function M.gives(session, here, value, steps)
  if type(value) == "string" or session:row(value) then value = { value } end
  if not values.is_table(session, value) then
    return fail(session, here, '`gives` takes patches and paths in braces, { patch "/workspace" }, not '
      .. say.describe(value))
  end
  local out = {}
  for _, name in ipairs(checker.sorted_names(value)) do
    fail(session, deeper(here, name), ("`gives` is a list; `%s = …` has no meaning in it")
      :format(say.plain(name)))
  end
  for _, item in ipairs(values.items(session, here, value)) do
    local row, there = session:row(item.value), deeper(here, item.index)
    local wrong = type(item.value) == "string" and (paths.wrong(item.value) or item.value == "/"
      and "is no file")
    if row and row.word == "patch" then
      out[#out + 1] = patch_of(session, row, steps)
    elseif type(item.value) ~= "string" then
      fail(session, there, "`gives` holds patches and paths, not " .. (row and "`" .. row.word .. "`"
        or say.describe(item.value)))
    elseif wrong then
      fail(session, there, ('"%s" %s'):format(say.plain(item.value), wrong))
    else
      out[#out + 1] = { kind = "file", path = item.value, line = session:line(there.row, unpack(there.path)) }
    end
  end
  return out
end

return M
