--- Checks what rows hold against the vocabulary, and turns it into plain data.
-- Every function reports mistakes to the session (all of them, each with its line) and returns what could be
-- used, so that one mistake does not hide the next. Values that stand for something already reported are
-- stepped over.
local loader = require "moonbox.loader"
local paths = require "moonbox.paths"
local suggest = require "moonbox.suggest"
local units = require "moonbox.units"
local vocabulary = require "moonbox.vocabulary"

local M = {}

local MOST_ITEMS = 4096

--- A place in a file for messages: the row and the way into its braces. `M.deeper(at, key)` goes one step on.
function M.at(row, ...) return { row = row, path = { ... } } end

function M.deeper(at, step)
  local path = {}
  for i, s in ipairs(at.path) do path[i] = s end
  path[#path + 1] = step
  return { row = at.row, path = path }
end

function M.line(session, at) return session:line(at.row, unpack(at.path)) end

function M.fail(session, at, text)
  session:report(at.row.file, M.line(session, at), text)
end

local describe = loader.describe

-- What a value of each type is called in messages.
local wanted = { text = "text in quotes", path = "a path in quotes", flag = "true or false",
  count = "a whole number", number = "a number", choice = "a word in quotes", ["function"] = "a function",
  ports = "a list of ports in braces",
  names = "a list of names in braces",
  address = "an address in quotes", section = "rows in braces", env = "names and values in braces" }

function M.wrong_type(session, at, name, type_name, value)
  local want = wanted[type_name] or units.example[type_name] or type_name
  M.fail(session, at, ("`%s` takes %s, not %s"):format(name, want, describe(value)))
end

local function show(entry, n)
  if units.example[entry.type] then return units.show(entry.type, n) end
  return units.show("", n)
end

local function in_range(session, at, entry, n, shown)
  if n ~= n or n == math.huge or n == -math.huge then
    M.fail(session, at, ("`%s` takes a finite number"):format(entry.word))
    return nil
  end
  if entry.min and n < entry.min then
    M.fail(session, at, ("`%s` is at least %s, not %s"):format(entry.word, show(entry, entry.min), shown))
    return nil
  end
  if entry.max and n > entry.max then
    M.fail(session, at, ("`%s` is at most %s, not %s"):format(entry.word, show(entry, entry.max), shown))
    return nil
  end
  return n
end

local function measure(session, at, entry, value)
  local parts = units.parts(value)
  if not parts or parts[1] ~= entry.type then
    return M.wrong_type(session, at, entry.word, entry.type, value)
  end
  if parts[1] == "rate" then
    local count = in_range(session, at, entry, parts[2], loader.plain(parts[2]))
    if count and not (parts[3] > 0 and parts[3] <= 366 * 86400) then
      return M.fail(session, at, ("`%s` takes a rate over at most 366 days"):format(entry.word))
    end
    return count and { count = count, seconds = parts[3] }
  end
  local amount = in_range(session, at, entry, parts[2], units.show(parts[1], parts[2]))
  if amount and entry.type ~= "time" then amount = math.floor(amount) end
  return amount
end

local check = { size = measure, time = measure, bandwidth = measure, rate = measure }

function check.number(session, at, entry, value)
  if type(value) ~= "number" then return M.wrong_type(session, at, entry.word, entry.type, value) end
  if entry.type == "count" and value % 1 ~= 0 and value == value and math.abs(value) ~= math.huge then
    return M.wrong_type(session, at, entry.word, "count", value)
  end
  return in_range(session, at, entry, value, loader.plain(value))
end
check.count = check.number

function check.flag(session, at, entry, value)
  if type(value) ~= "boolean" then return M.wrong_type(session, at, entry.word, "flag", value) end
  return value
end

function check.text(session, at, entry, value)
  if type(value) ~= "string" then return M.wrong_type(session, at, entry.word, "text", value) end
  local most = entry.max or 4096
  if #value > most then
    return M.fail(session, at, ("`%s` is at most %d bytes of text, not %d"):format(entry.word, most, #value))
  end
  if value:find("%z") then return M.fail(session, at, ("`%s` has a NUL byte in it"):format(entry.word)) end
  return value
end

function check.path(session, at, entry, value)
  if type(value) ~= "string" then return M.wrong_type(session, at, entry.word, "path", value) end
  local wrong = paths.wrong(value)
  if wrong then return M.fail(session, at, ('"%s" %s'):format(loader.plain(value), wrong)) end
  return value
end

function check.choice(session, at, entry, value)
  for _, choice in ipairs(entry.choices) do
    if value == choice then return value end
  end
  local near = type(value) == "string" and suggest.tail(value, entry.choices) or ""
  M.fail(session, at, ('`%s` is "%s", not %s%s'):format(entry.word, table.concat(entry.choices, '" or "'),
    describe(value), near))
end

check["function"] = function(session, at, entry, value)
  if type(value) ~= "function" then return M.wrong_type(session, at, entry.word, "function", value) end
  return value
end

function check.later(session, at, entry)
  M.fail(session, at, ("`%s` is kept for a later version of moonbox; leave it out"):format(entry.word))
end

--- The positional items of a table in order: { index, value }, at most MOST_ITEMS.
function M.items(session, at, args)
  local out = {}
  for k, v in pairs(args) do
    if type(k) == "number" and not session:is_unknown(v) then out[#out + 1] = { index = k, value = v } end
  end
  table.sort(out, function(a, b) return a.index < b.index end)
  if #out > MOST_ITEMS then
    M.fail(session, at, ("has %d items; at most %d make sense in one list"):format(#out, MOST_ITEMS))
    return {}
  end
  return out
end

--- Whether `value` is a plain table of the file, not a row, a unit or something already reported.
function M.is_table(session, value)
  return type(value) == "table" and not session:is_unknown(value) and not session:row(value)
    and not units.parts(value)
end

--- A list of texts, each accepted by `valid(text)` (which returns nil or what is wrong). nil if it is no
-- list.
function M.texts(session, at, name, value, what, valid)
  if type(value) == "string" then value = { value } end
  if not M.is_table(session, value) then
    return M.fail(session, at, ("`%s` takes a list of %s in braces, not %s")
      :format(name, what, describe(value)))
  end
  local out = {}
  for k in pairs(value) do
    if type(k) ~= "number" then
      M.fail(session, M.deeper(at, k), ("`%s` is a list of %s; `%s = …` has no meaning in it")
        :format(name, what, loader.plain(k)))
    end
  end
  for _, item in ipairs(M.items(session, at, value)) do
    local here = M.deeper(at, item.index)
    local wrong
    if type(item.value) ~= "string" then
      M.fail(session, here, ("`%s` is a list of %s, not %s"):format(name, what, describe(item.value)))
    else
      wrong = valid and valid(item.value)
      if wrong then M.fail(session, here, ('"%s" %s'):format(loader.plain(item.value), wrong)) end
    end
    if type(item.value) == "string" and not wrong then out[#out + 1] = item.value end
  end
  return out
end

function check.names(session, at, entry, value)
  return M.texts(session, at, entry.word, value, "names", M.env_name_wrong)
end

function check.ports(session, at, entry, value)
  local names = require "moonbox.names"
  if type(value) == "number" then value = { value } end
  if not M.is_table(session, value) then return M.wrong_type(session, at, entry.word, "ports", value) end
  local out = {}
  for _, item in ipairs(M.items(session, at, value)) do
    local port = type(item.value) == "number" and names.port(item.value)
    if port then
      out[#out + 1] = port
    else
      M.fail(session, M.deeper(at, item.index), ("a port is a number from 1 to 65535, not %s")
        :format(describe(item.value)))
    end
  end
  return out
end

-- `address:port` in one form. Names' own grammar has no port 0.
function check.address(session, at, entry, value)
  local names = require "moonbox.names"
  if type(value) ~= "string" then return M.wrong_type(session, at, entry.word, "address", value) end
  local rest = entry.port == 0 and value:match("^(.+):0$")
  -- The end of a bare IPv6 address is no port.
  if rest and rest:find(":", 1, true) and not rest:match("^%[.*%]$") then rest = nil end
  local parsed, why = names.parse(rest or value)
  if not parsed then return M.fail(session, at, ('"%s" %s'):format(loader.plain(value), why)) end
  if parsed.form ~= "address" then
    return M.fail(session, at, ('`%s` takes an address such as "192.0.2.53", not "%s"')
      :format(entry.word, loader.plain(value)))
  end
  local host = parsed.name:find(":", 1, true) and "[" .. parsed.name .. "]" or parsed.name
  return ("%s:%d"):format(host, parsed.port or entry.port)
end

--- What is wrong with the name of an environment variable; nil when it is one.
function M.env_name_wrong(name)
  if type(name) ~= "string" or not name:match("^[%a_][%w_]*$") or #name > 256 then
    return "is no name of an environment variable; letters, digits and _, not starting with a digit"
  end
end

--- Environment variables: name -> text.
function M.env(session, at, value)
  if not M.is_table(session, value) then return M.wrong_type(session, at, "env", "env", value) end
  local out = {}
  for name, text in pairs(value) do
    local here, wrong = M.deeper(at, name), M.env_name_wrong(name)
    if wrong then
      M.fail(session, here, ('"%s" %s'):format(loader.plain(name), wrong))
    elseif session:is_unknown(text) then
      out[name] = nil
    elseif type(text) ~= "string" then
      M.fail(session, here, ("`%s` takes text in quotes, not %s"):format(name, describe(text)))
    elseif text:find("%z") then
      M.fail(session, here, ("`%s` has a NUL byte in it"):format(name))
    elseif #text > 65536 then
      M.fail(session, here, ("`%s` is longer than 64 KB"):format(name))
    else
      out[name] = text
    end
  end
  return out
end
function check.env(session, at, _, value) return M.env(session, at, value) end

local function sorted_names(t)
  local out = {}
  for k in pairs(t) do
    if type(k) == "string" then out[#out + 1] = k end
  end
  table.sort(out)
  return out
end
M.sorted_names = sorted_names

--- The named fields of a table in `place` of the vocabulary: name -> checked value. Types that this module
-- does not know are taken from `special[type](at, value)`. Positional items are the caller's unless
-- `no_items` is given.
function M.fields(session, at, place, args, special, no_items)
  local known, out = vocabulary.keys(place), {}
  local names
  for _, name in ipairs(sorted_names(args)) do
    local entry, value, here = known[name], args[name], M.deeper(at, name)
    if not entry then
      names = names or sorted_names(known)
      M.fail(session, here, ("unknown key `%s` in `%s`%s")
        :format(loader.plain(name), place, suggest.tail(name, names)))
    elseif not session:is_unknown(value) then
      local run = check[entry.type] or special[entry.type]
      if check[entry.type] then
        out[name] = run(session, here, entry, value)
      else
        out[name] = run(here, value)
      end
    end
  end
  for key in pairs(args) do
    if type(key) ~= "string" and type(key) ~= "number" then
      M.fail(session, at, ("`%s` has a key that is %s; keys are words"):format(place, describe(key)))
    end
  end
  if no_items then
    for _, item in ipairs(M.items(session, at, args)) do
      local row = session:row(item.value)
      M.fail(session, row and M.at(row) or M.deeper(at, item.index), row and M.misplaced(row, place)
        or ("`%s` holds `name = value`, not %s"):format(place, describe(item.value)))
    end
  end
  return out
end

--- The sentence for a row in a place where it has no meaning.
function M.misplaced(row, place)
  for _, entry in ipairs(vocabulary.find(row.word) or {}) do
    if entry.kind == row.kind and entry.place ~= place then
      return ("`%s` belongs in `%s`, not in `%s`"):format(row.word, entry.place, place)
    end
  end
  return ("`%s` has no meaning in `%s`"):format(row.word, place)
end

--- Calls `each(row, item_at)` for the rows of `place` among the items of `args`; reports what is no such row.
function M.rows(session, at, place, args, each)
  for _, item in ipairs(M.items(session, at, args)) do
    local row = session:row(item.value)
    if not row then
      M.fail(session, M.deeper(at, item.index), ("`%s` is made of rows such as `%s`, not %s")
        :format(place, M.example[place], describe(item.value)))
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
