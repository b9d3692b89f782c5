--- Parameters as a file declares them: `needs = { repo = text { about = "…" }, tries = number { default = 1 } }`, and
-- the texts that name them. Pipelines and policies share this; moonbox.given reads the values.
local checker = require "moonbox.checker"
local paths = require "moonbox.paths"
local say = require "moonbox.say"
local substitute = require "moonbox.substitute"
local suggest = require "moonbox.suggest"
local values = require "moonbox.values"
local where = require "moonbox.where"

local M = {}

local at, deeper, fail = where.at, where.deeper, where.fail

local function set(names)
  local out = {}
  for name in names:gmatch("%S+") do out[name] = true end
  return out
end

-- Options of the commands that take parameters: one of the same name could not be given.
local taken = {
  pipeline = { of = "moonbox run", names = set "policy json keep help" },
  policy = { of = "the commands that take a policy", names = set [[policy json keep help id bind env cwd time timeout
    tty user stdin log]] },
}

--- Whether `value` is one of a list.
function M.in_choices(choices, value)
  for _, choice in ipairs(choices) do
    if choice == value then return true end
  end
  return false
end

local judge = {}

function judge.choice(session, row, need)
  local items = {}
  for k, v in pairs(row.args) do
    if type(k) == "number" then items[k] = v end
  end
  need.choices = values.texts(session, at(row), "choice", items, "words") or {}
  if #need.choices == 0 then
    fail(session, at(row), '`choice` lists no words; write choice { "one", "two" }')
  end
  if need.default and not M.in_choices(need.choices, need.default) then
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

local function need_of(session, here, name, value, kind)
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
  if taken[kind].names[name] then
    return fail(session, here, ("`%s` is an option of %s itself; name the parameter otherwise")
      :format(name, taken[kind].of))
  end
  local need = checker.fields(session, at(row), row.word, row.args, {}, row.word ~= "choice")
  need.name, need.kind, need.line, need.sequence = name, row.word, row.line, row.sequence
  if judge[row.word] then judge[row.word](session, row, need) end
  return need
end

--- The parameters of a file of `kind`, pipeline or policy, in the order of the text:
-- { { name, kind, default, about, line, … }, … }.
function M.declared(session, here, value, kind)
  if not values.is_table(session, value) then
    return fail(session, here, "`needs` takes names and types, { repo = text {} }, not "
      .. say.describe(value))
  end
  local out, places = {}, {}
  for _, name in ipairs(checker.sorted_names(value)) do
    if not session:is_unknown(value[name]) then
      local need = need_of(session, deeper(here, name), name, value[name], kind)
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

--- Reports names in `text` that are none of `needs` (name -> parameter), and returns whether all are. `list` allows a
-- command's several arguments.
function M.check_names(session, here, text, needs, list)
  local used, why = substitute.names(text)
  if not used then
    fail(session, here, say.plain_sentence(why))
    return false
  end
  local known, fine = checker.sorted_names(needs), true
  local function wrong(sentence)
    fine = false
    fail(session, here, sentence)
  end
  for _, name in ipairs(used) do
    local need = needs[name]
    if not need then
      local near = suggest.nearest(name, known)
      wrong(("there is no parameter `$%s`%s"):format(name, near and "; did you mean `$" .. near .. "`?"
        or #known == 0 and "; the pipeline has no `needs`" or ""))
    elseif need.kind == "command" and not (list and substitute.alone(text)) then
      wrong(("`$%s` is a command of several arguments, so it stands alone as one argument of `run`"):format(name))
    end
  end
  return fine
end

return M
