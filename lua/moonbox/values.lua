--- Checks one value of a file against its entry in the vocabulary, and turns it into plain data.
-- Every function reports mistakes to the session (all of them, each with its line) and returns what could be used,
-- so that one mistake does not hide the next. Values that stand for something already reported are stepped over.
local paths = require "moonbox.paths"
local say = require "moonbox.say"
local suggest = require "moonbox.suggest"
local units = require "moonbox.units"
local where = require "moonbox.where"

local M = {}

local MOST_ITEMS = 4096

local describe = say.describe

-- What a value of each type is called in messages.
local wanted = { text = "text in quotes", path = "a path in quotes", flag = "true or false",
  count = "a whole number", number = "a number", choice = "a word in quotes", ["function"] = "a function",
  ports = "a list of ports in braces",
  names = "a list of names in braces",
  address = "an address in quotes", section = "rows in braces", env = "names and values in braces" }

function M.wrong_type(session, at, name, type_name, value)
  local want = wanted[type_name] or units.example[type_name] or type_name
  where.fail(session, at, ("`%s` takes %s, not %s"):format(name, want, describe(value)))
end

local function show(entry, n)
  if entry.type == "rate" then return units.show("", n) .. " in a time" end
  if units.example[entry.type] then return units.show(entry.type, n) end
  return units.show("", n)
end

local function in_range(session, at, entry, n, shown)
  if n ~= n or n == math.huge or n == -math.huge then
    where.fail(session, at, ("`%s` takes a finite number"):format(entry.word))
    return nil
  end
  if entry.min and n < entry.min then
    where.fail(session, at, ("`%s` is at least %s, not %s"):format(entry.word, show(entry, entry.min), shown))
    return nil
  end
  if entry.max and n > entry.max then
    where.fail(session, at, ("`%s` is at most %s, not %s"):format(entry.word, show(entry, entry.max), shown))
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
    local shown = units.show("rate", { count = parts[2], seconds = parts[3] })
    local count = in_range(session, at, entry, parts[2], shown)
    if count and not (parts[3] > 0 and parts[3] <= 366 * 86400) then
      return where.fail(session, at, ("`%s` takes a rate over at most 366 days"):format(entry.word))
    end
    return count and { count = count, seconds = parts[3] }
  end
  local amount = in_range(session, at, entry, parts[2], units.show(parts[1], parts[2]))
  if amount and entry.type ~= "time" then amount = math.floor(amount) end
  return amount
end

--- What is wrong with the bytes of a text, which goes to programs as it is and into records and plans as JSON; nil when
-- nothing is.
function M.bytes_wrong(text)
  if text:find("%z") then return "has a NUL byte in it" end
  if require("moonbox.sanitise").utf8(text) ~= text then return "is not UTF-8" end
end

--- By type of the vocabulary: (session, at, entry, value) -> the checked value, or nil.
local check = { size = measure, time = measure, bandwidth = measure, rate = measure, throughput = measure }

-- The kernel counts operations by the second, whole ones; what is less than asked for is still a limit.
function check.ops(session, at, entry, value)
  local parts = units.parts(value)
  if not parts or parts[1] ~= "rate" then return M.wrong_type(session, at, entry.word, entry.type, value) end
  local count = math.floor(parts[2] / parts[3])
  return in_range(session, at, entry, count, units.show("rate", { count = parts[2], seconds = parts[3] }))
end

function check.number(session, at, entry, value)
  if type(value) ~= "number" then return M.wrong_type(session, at, entry.word, entry.type, value) end
  if entry.type == "count" and value % 1 ~= 0 and value == value and math.abs(value) ~= math.huge then
    return M.wrong_type(session, at, entry.word, "count", value)
  end
  return in_range(session, at, entry, value, say.plain(value))
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
    return where.fail(session, at, ("`%s` is at most %d bytes of text, not %d"):format(entry.word, most, #value))
  end
  local wrong = M.bytes_wrong(value)
  if wrong then return where.fail(session, at, ("`%s` %s"):format(entry.word, wrong)) end
  return value
end

function check.path(session, at, entry, value)
  if type(value) ~= "string" then return M.wrong_type(session, at, entry.word, "path", value) end
  local wrong = paths.wrong(value) or M.bytes_wrong(value)
  if wrong then return where.fail(session, at, ('"%s" %s'):format(say.plain(value), wrong)) end
  return value
end

function check.choice(session, at, entry, value)
  for _, choice in ipairs(entry.choices) do
    if value == choice then return value end
  end
  local near = type(value) == "string" and suggest.tail(value, entry.choices) or ""
  where.fail(session, at, ('`%s` is "%s", not %s%s'):format(entry.word, table.concat(entry.choices, '" or "'),
    describe(value), near))
end

-- A word or a function of Lua's library is one too, but none that could be found again by its line.
check["function"] = function(session, at, entry, value)
  if type(value) ~= "function" then return M.wrong_type(session, at, entry.word, "function", value) end
  if debug.getinfo(value, "S").source ~= at.row.file.chunk then
    local word = session:bare_word(value)
    return where.fail(session, at, ("`%s` takes a function that is written in this file, not %s"):format(entry.word,
      word and ("the word `%s`: function(…) return %s end"):format(word, word) or "one of the library"))
  end
  return value
end

function check.later(session, at, entry)
  where.fail(session, at, ("`%s` is kept for a later version of moonbox; leave it out"):format(entry.word))
end

--- The positional items of a table in order: { index, value }, at most MOST_ITEMS.
function M.items(session, at, args)
  local out = {}
  for k, v in pairs(args) do
    if type(k) == "number" and not session:is_unknown(v) then out[#out + 1] = { index = k, value = v } end
  end
  table.sort(out, function(a, b) return a.index < b.index end)
  if #out > MOST_ITEMS then
    where.fail(session, at, ("has %d items; at most %d make sense in one list"):format(#out, MOST_ITEMS))
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
    return where.fail(session, at, ("`%s` takes a list of %s in braces, not %s")
      :format(name, what, describe(value)))
  end
  local out = {}
  for k in pairs(value) do
    if type(k) ~= "number" then
      where.fail(session, where.deeper(at, k), ("`%s` is a list of %s; `%s = …` has no meaning in it")
        :format(name, what, say.plain(k)))
    end
  end
  for _, item in ipairs(M.items(session, at, value)) do
    local here = where.deeper(at, item.index)
    local wrong
    if type(item.value) ~= "string" then
      where.fail(session, here, ("`%s` is a list of %s, not %s"):format(name, what, describe(item.value)))
    else
      wrong = valid and valid(item.value)
      if wrong then where.fail(session, here, ('"%s" %s'):format(say.plain(item.value), wrong)) end
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
  for k in pairs(value) do
    if type(k) ~= "number" then
      where.fail(session, where.deeper(at, k), ("`%s` is a list of ports; `%s = …` has no meaning in it")
        :format(entry.word, say.plain(k)))
    end
  end
  if next(value) == nil then
    where.fail(session, at, ("`%s` is empty, which would mean no port; leave it out for all ports"):format(entry.word))
  end
  for _, item in ipairs(M.items(session, at, value)) do
    local port = type(item.value) == "number" and names.port(item.value)
    if port then
      out[#out + 1] = port
    else
      where.fail(session, where.deeper(at, item.index), ("a port is a number from 1 to 65535, not %s")
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
  if not parsed then return where.fail(session, at, ('"%s" %s'):format(say.plain(value), why)) end
  if parsed.form ~= "address" then
    return where.fail(session, at, ('`%s` takes an address such as "192.0.2.53", not "%s"')
      :format(entry.word, say.plain(value)))
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
  local out, names = {}, {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, function(a, b) return say.plain(a) < say.plain(b) end)
  for _, name in ipairs(names) do
    local text, here, wrong = value[name], where.deeper(at, name), M.env_name_wrong(name)
    if wrong then
      where.fail(session, here, ('"%s" %s'):format(say.plain(name), wrong))
    elseif session:is_unknown(text) then
      out[name] = nil
    elseif type(text) ~= "string" then
      where.fail(session, here, ("`%s` takes text in quotes, not %s"):format(name, describe(text)))
    elseif M.bytes_wrong(text) then
      where.fail(session, here, ("`%s` %s"):format(name, M.bytes_wrong(text)))
    elseif #text > 65536 then
      where.fail(session, here, ("`%s` is longer than 64 KB"):format(name))
    else
      out[name] = text
    end
  end
  return out
end
function check.env(session, at, _, value) return M.env(session, at, value) end

M.check = check

return M
