--- The parameters of a policy: their values, and `$name` in the texts of its file.
--
-- A file that declares `needs` has its texts filled after it was evaluated and before anything of it is checked, so a
-- value is judged as if the policy's author had written it, at the line where it stands. It stays inside its one text:
-- never evaluated, never looked at again for further names. Functions, `extends` and `about` are not filled.
local given = require "moonbox.given"
local needs_of = require "moonbox.needs"
local substitute = require "moonbox.substitute"
local suggest = require "moonbox.suggest"
local units = require "moonbox.units"
local vocabulary = require "moonbox.vocabulary"
local where = require "moonbox.where"

local M = {}

local at, deeper, fail = where.at, where.deeper, where.fail

local UNFILLED = { needs = true, extends = true, about = true, on = true }
-- Types whose values are no texts: a `$name` that stands alone there is the value itself.
local TYPED = { number = true, count = true, size = true, time = true }

local function declared(session, row)
  if not row or row.args.needs == nil or session:is_unknown(row.args.needs) then return {} end
  return needs_of.declared(session, at(row, "needs"), row.args.needs, "policy") or {}
end

local function wrong_usage(session, row, line, text) session:report(row.file, line, text, true) end

local function tell_unknown(session, row, by_name)
  local names, known = {}, {}
  for name in pairs(session.options.parameters or {}) do
    if not by_name[name] then names[#names + 1] = name end
  end
  for name in pairs(by_name) do known[#known + 1] = name end
  for _, name in ipairs(session.options.own or {}) do known[#known + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local near = suggest.nearest(name, known)
    wrong_usage(session, row, session:line(row, "needs"), ('the policy "%s" has no parameter --%s%s'):format(row.name,
      require("moonbox.say").plain(name), near and "; did you mean --" .. near .. "?" or ""))
  end
end

-- Sets need.value; without a value it stays unset, which is told unless the session is for a check without values.
local function take(session, row, need)
  local text = (session.options.parameters or {})[need.name]
  if text == nil and need.default ~= nil then
    text = TYPED[need.kind] and need.kind ~= "number" and units.show(need.kind, need.default)
      or type(need.default) == "number" and ("%.14g"):format(need.default) or need.default
    need.value = { kind = need.kind, text = text, amount = tonumber(need.default) }
  elseif text == nil then
    if session.options.partial then return end
    local about = need.about and ": " .. need.about or ""
    if session.options.pipeline then
      local sentence = "`%s` needs a default under a pipeline, whose policy gets no values%s"
      return session:report(row.file, need.line, sentence:format(need.name, about))
    end
    wrong_usage(session, row, need.line, ("--%s=… is missing%s"):format(need.name, about))
  elseif text:find("%z") then
    wrong_usage(session, row, need.line, ("--%s has a NUL byte in it"):format(need.name))
  else
    local message
    need.value, message = given.value(need, text)
    if message then wrong_usage(session, row, need.line, ("--%s %s"):format(need.name, message)) end
  end
end

local function typed(ctx, need)
  local value = need.value
  if need.kind == "number" then return tonumber(value.text) end
  if need.kind == "size" then return ctx.file.units("KB") * (value.amount / 1024) end
  return ctx.file.units("second") * value.amount
end

local function fill_text(ctx, here, text, as)
  if not text:find("$", 1, true) then return text end
  local session = ctx.session
  if not needs_of.check_names(session, here, text, ctx.needs) then return session.unknown end
  local values = {}
  for _, name in ipairs(substitute.names(text)) do
    -- Its lack has been told, or does not matter.
    if not ctx.needs[name].value then return session.unknown end
    values[name] = ctx.needs[name].value.text
  end
  local alone = substitute.alone(text)
  if as and alone and TYPED[ctx.needs[alone].kind] then return typed(ctx, ctx.needs[alone]) end
  return (substitute.expand(text, values))
end

local fill

-- `place` is where its keys are looked up in the vocabulary, if they are known there; `as`: its items are typed.
local function fill_table(ctx, here, value, place, as)
  if ctx.seen[value] then return end
  ctx.seen[value] = true
  for key, inner in pairs(value) do
    local entry = type(key) == "string" and place and vocabulary.keys(place)[key]
    if not (place == "policy" and UNFILLED[key]) then
      value[key] = fill(ctx, deeper(here, key), inner, place == "policy" and key, entry and TYPED[entry.type] or as
        or (entry and entry.type == "ports"))
    end
  end
end

function fill(ctx, here, value, place, as)
  if type(value) == "string" then return fill_text(ctx, here, value, as) end
  local row = ctx.session:row(value)
  if row then
    if row.file == ctx.file then fill_table(ctx, at(row), row.args, row.word, row.word == "publish") end
  elseif type(value) == "table" and not units.parts(value) and not ctx.session:is_unknown(value) then
    fill_table(ctx, here, value, place, as)
  end
  return value
end

-- Fills the texts of a file that declares parameters.
local function fill_file(session, row, needs)
  if not row or row.args.needs == nil then return end
  fill_table({ session = session, file = row.file, needs = needs, seen = {} }, at(row), row.args, "policy")
end

--- Reads the values that the session was given and fills the files of a policy and of the one that it extends (`base`,
-- or nil), which may each name the parameters that it declares, and the policy those of its base, too. Mistakes are
-- reported to the session. Returns { { name, value = its text, from = "FILE:LINE" }, … }, or nil when there are none.
function M.fill(session, row, base)
  local ours, theirs = declared(session, row), declared(session, base)
  local all, of_base, out = {}, {}, {}
  for _, need in ipairs(theirs) do
    need.row, all[need.name], of_base[need.name] = base, need, need
  end
  for _, need in ipairs(ours) do
    if all[need.name] then
      fail(session, at(row, "needs", need.name), ("`%s` is a parameter of the policy that this one extends already")
        :format(need.name))
    end
    need.row, all[need.name] = row, need
  end
  tell_unknown(session, row, all)
  for _, list in ipairs { theirs, ours } do
    for _, need in ipairs(list) do take(session, need.row, need) end
  end
  fill_file(session, base, of_base)
  fill_file(session, row, all)
  for name, need in pairs(all) do
    out[#out + 1] = { name = name, value = need.value and need.value.text,
      from = need.row.file.label .. ":" .. need.line }
  end
  table.sort(out, function(a, b) return a.name < b.name end)
  return out[1] and out
end

return M
