--- The parts of a pipeline file, checked and made plain: parameters, steps and what is brought back.
local checker = require "moonbox.checker"
local paths = require "moonbox.paths"
local policy_rows = require "moonbox.policy_rows"
local say = require "moonbox.say"
local substitute = require "moonbox.substitute"
local suggest = require "moonbox.suggest"
local values = require "moonbox.values"
local where = require "moonbox.where"

local M = {}

local at, deeper, fail = where.at, where.deeper, where.fail

-- Options of `moonbox run` itself: a parameter of the same name could not be given.
local taken = { policy = true, json = true, keep = true, help = true }

-- Parameters ------------------------------------------------------------------------------------------------

local function in_choices(choices, value)
  for _, choice in ipairs(choices) do
    if choice == value then return true end
  end
  return false
end

local judge = {}

function judge.choice(session, row, need)
  need.choices = values.texts(session, at(row), "choice", (function()
    local items = {}
    for k, v in pairs(row.args) do
      if type(k) == "number" then items[k] = v end
    end
    return items
  end)(), "words") or {}
  if #need.choices == 0 then
    fail(session, at(row), '`choice` lists no words; write choice { "one", "two" }')
  end
  if need.default and not in_choices(need.choices, need.default) then
    fail(session, deeper(at(row), "default"), ('the default "%s" is none of the words to choose from%s')
      :format(say.plain(need.default), suggest.tail(need.default, need.choices)))
  end
end

function judge.number(session, row, need)
  if need.min and need.max and need.min > need.max then fail(session, at(row), "`min` is above `max`") end
  local d = need.default
  if d and ((need.min and d < need.min) or (need.max and d > need.max)) then
    fail(session, deeper(at(row), "default"), "the default is outside of `min` and `max`")
  end
end

function judge.repository(session, row, need)
  need.at = need.at or "/source/" .. need.name
  local wrong = paths.target("bind", need.at)
  if wrong then fail(session, deeper(at(row), "at"), ('"%s" %s'):format(need.at, wrong)) end
end
judge.folder = judge.repository

function judge.command(session, row, need)
  if need.default and not substitute.split(need.default) then
    fail(session, deeper(at(row), "default"), "the default is an empty command")
  end
end

local function need_of(session, here, name, value)
  local row = session:row(value)
  if not row or row.kind ~= "type" then
    return fail(session, here, ("the parameter `%s` takes a type such as text {}, not %s")
      :format(say.plain(name), row and "`" .. row.word .. "`" or say.describe(value)))
  end
  if not name:match("^%a[%w_]*$") or #name > 40 then
    return fail(session, here,
      ('"%s" is no name of a parameter; letters, digits and _, starting with a letter')
      :format(say.plain(name)))
  end
  if taken[name] then
    return fail(session, here, ("`%s` is an option of moonbox run itself; name the parameter otherwise")
      :format(name))
  end
  local need = checker.fields(session, at(row), row.word, row.args, {}, row.word ~= "choice")
  need.name, need.kind, need.line, need.sequence = name, row.word, row.line, row.sequence
  if judge[row.word] then judge[row.word](session, row, need) end
  return need
end

function M.needs(session, here, value)
  if not values.is_table(session, value) then
    return fail(session, here, "`needs` takes names and types, { repo = text {} }, not "
      .. say.describe(value))
  end
  local out, places = {}, {}
  for _, name in ipairs(checker.sorted_names(value)) do
    if not session:is_unknown(value[name]) then
      local need = need_of(session, deeper(here, name), name, value[name])
      if need then out[#out + 1] = need end
    end
  end
  for _, item in ipairs(values.items(session, here, value)) do
    fail(session, deeper(here, item.index), "a parameter needs a name: name = text {}")
  end
  table.sort(out, function(a, b) return a.sequence < b.sequence end)
  for _, need in ipairs(out) do
    need.sequence = nil
    if need.at and places[need.at] then
      fail(session, deeper(here, need.name), ('"%s" is where `%s` is shown already')
        :format(need.at, places[need.at]))
    end
    if need.at then places[need.at] = need.name end
  end
  return out
end

-- Steps -----------------------------------------------------------------------------------------------------

-- Reports names in `text` that are no parameters. `list` allows a command's several arguments.
local function check_names(session, here, text, needs, list)
  local used, why = substitute.names(text)
  if not used then return fail(session, here, say.plain_sentence(why)) end
  local known = checker.sorted_names(needs)
  for _, name in ipairs(used) do
    local need = needs[name]
    if not need then
      local near = suggest.nearest(name, known)
      fail(session, here, ("there is no parameter `$%s`%s"):format(name,
        near and "; did you mean `$" .. near .. "`?" or #known == 0 and "; the pipeline has no `needs`"
        or ""))
    elseif need.kind == "command" and not (list and substitute.alone(text)) then
      fail(session, here,
        ("`$%s` is a command of several arguments, so it stands alone as one argument of `run`")
        :format(name))
    end
  end
end

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
  for i, text in ipairs(out) do check_names(session, deeper(here, i), text, needs, true) end
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
    check_names(session, deeper(at(row, "env"), name), text, needs)
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
  if out.since and not in_choices(known, out.since) then
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
