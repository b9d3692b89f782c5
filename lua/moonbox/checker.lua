--- Checks the named fields and the rows of a table in a file against the vocabulary.
-- As in moonbox.values, every mistake is reported with its line and does not hide the next.
local say = require "moonbox.say"
local suggest = require "moonbox.suggest"
local values = require "moonbox.values"
local vocabulary = require "moonbox.vocabulary"
local where = require "moonbox.where"

local M = {}

local function sorted_names(t)
  local out = {}
  for k in pairs(t) do
    if type(k) == "string" then out[#out + 1] = k end
  end
  table.sort(out)
  return out
end
M.sorted_names = sorted_names

-- What a key that is none of `place` may have been meant for: a row of it, a key of another name, one of another place.
local function hint(name, place, names)
  local homes = {}
  for _, entry in ipairs(vocabulary.find(name) or {}) do
    if entry.kind == "row" and entry.place == place then
      return ("; it is a row, which has no `=`: %s { … }"):format(name)
    elseif entry.kind == "key" then
      homes[#homes + 1] = entry.place
    end
  end
  local near = suggest.tail(name, names)
  return near == "" and #homes == 1 and ("; it is a key of `%s`"):format(homes[1]) or near
end

--- The named fields of a table in `place` of the vocabulary: name -> checked value. Types that this module
-- does not know are taken from `special[type](at, value)`. Positional items are the caller's unless
-- `no_items` is given.
function M.fields(session, at, place, args, special, no_items)
  local known, out = vocabulary.keys(place), {}
  local names
  for _, name in ipairs(sorted_names(args)) do
    local entry, value, here = known[name], args[name], where.deeper(at, name)
    if not entry then
      names = names or sorted_names(known)
      where.fail(session, here, ("unknown key `%s` in `%s`%s")
        :format(say.plain(name), place, hint(name, place, names)))
    elseif not session:is_unknown(value) then
      local run = values.check[entry.type] or special[entry.type]
      if values.check[entry.type] then
        out[name] = run(session, here, entry, value)
      else
        out[name] = run(here, value)
      end
    end
  end
  for key in pairs(args) do
    if type(key) ~= "string" and type(key) ~= "number" then
      where.fail(session, at, ("`%s` has a key that is %s; keys are words"):format(place, say.describe(key)))
    end
  end
  if no_items then
    for _, item in ipairs(values.items(session, at, args)) do
      local row = session:row(item.value)
      where.fail(session, row and where.at(row) or where.deeper(at, item.index), row and M.misplaced(row, place)
        or ("`%s` holds `name = value`, not %s"):format(place, say.describe(item.value)))
    end
  end
  return out
end

--- The sentence for a row in a place where it has no meaning.
function M.misplaced(row, place)
  for _, entry in ipairs(vocabulary.find(row.word) or {}) do
    if entry.kind == row.kind and entry.place == "file" then
      return ("`%s` is what a file returns; it can't stand in `%s`"):format(row.word, place)
    elseif entry.kind == row.kind and entry.place ~= place then
      return ("`%s` belongs in `%s`, not in `%s`"):format(row.word, entry.place, place)
    end
  end
  if row.kind == "reaction" then return ("`%s` is what a hook returns: function(…) return %s … end"):format(row.word,
    row.word) end
  return ("`%s` has no meaning in `%s`"):format(row.word, place)
end

--- Calls `each(row, item_at)` for the rows of `place` among the items of `args`; reports what is no such row.
function M.rows(session, at, place, args, each)
  for _, item in ipairs(values.items(session, at, args)) do
    local row = session:row(item.value)
    if not row then
      where.fail(session, where.deeper(at, item.index), ("`%s` is made of rows such as `%s`, not %s")
        :format(place, M.example[place], say.describe(item.value)))
    elseif not M.belongs(row, place) then
      session:report(row.file, row.line, M.misplaced(row, place))
    else
      each(row)
    end
  end
end

M.example = { files = 'read_only { "/usr" }', network = 'allow { "github.com" }',
  pipeline = 'step "name" { … }',
  gives = 'patch "/workspace"' }

function M.belongs(row, place)
  for _, entry in ipairs(vocabulary.find(row.word) or {}) do
    if entry.kind == row.kind and entry.place == place then return true end
  end
  return false
end

return M
