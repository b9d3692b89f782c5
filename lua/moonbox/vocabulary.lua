--- Every word of policy, group and pipeline files, as data.
-- One table feeds the loader (which names exist), the checker (what a key may hold), `moonbox help WORD` and
-- the globals that luacheck accepts. Fields of an entry:
--   word, kind, place, says      kind: container row value type module reaction function key
--   files                        kinds of file where the word may be called: policy, group, pipeline
--   type, min, max, choices      for keys: what may stand there; sizes in bytes, times in seconds, bandwidths
-- in bits/s, throughputs in bytes/s, ops in operations/s
--   default                      what holds when the key is left out
--   port                         for addresses: the port when none is written; 0 lets the system choose, and then
--   may be written too
--   later = true                 reserved: known, refused with its own sentence until it is built
local M = {}

local all, both = { "policy", "group", "pipeline" }, { "policy", "pipeline" }

local entries = {}

local function word(kind, files, place, name, says, more)
  local entry = { kind = kind, files = files, place = place, word = name, says = says }
  for k, v in pairs(more or {}) do entry[k] = v end
  entries[#entries + 1] = entry
end

local function key(place, name, type, says, more)
  word("key", nil, place, name, says, more)
  entries[#entries].type = type
end

-- In the order of the language's parts. luacheck reads this module under another name.
local own_name = ... or "moonbox.vocabulary"
require(own_name .. "_policy")(word, key)
require(own_name .. "_pipeline")(word, key)

-- Units
for _, unit in ipairs {
  { "KB", "1024 bytes" }, { "MB", "1024 KB" }, { "GB", "1024 MB" }, { "TB", "1024 GB" },
  { "KiB", "1024 bytes" }, { "MiB", "1024 KiB" }, { "GiB", "1024 MiB" }, { "TiB", "1024 GiB" },
  { "Kbit", "a thousand bits per second" }, { "Mbit", "a million bits per second" },
  { "Gbit", "a thousand million bits per second" },
  { "second", "one second" }, { "minute", "60 seconds" }, { "hour", "60 minutes" }, { "day", "24 hours" },
} do
  word("value", both, "unit", unit[1], "The unit " .. unit[1] .. ": " .. unit[2] .. ".")
  if unit[1]:match("^%l") then
    word("value", both, "unit", unit[1] .. "s", "The unit " .. unit[1] .. "s: " .. unit[2] .. " each.")
  end
end

-- What remains of Lua's own library
for name, says in pairs {
  pairs = "Goes through a table.", ipairs = "Goes through a list.",
  next = "The entry after a given one of a table.",
  type = "The type of a value.", tonumber = "The number that a text spells.",
  tostring = "The text of a value; tables and functions are only named.", select = "Picks from arguments.",
  unpack = "The items of a list.", error = "Ends the evaluation with a sentence.",
  assert = "Ends the evaluation unless its first argument holds.",
  math = "Arithmetic, without random numbers: the same file always means the same.",
  string = "Text functions, without dump.", table = "List functions: concat, insert, remove, sort, maxn.",
} do
  word("function", all, "Lua", name, "Lua's own: " .. says)
end

local by_word, by_place

local function index()
  by_word, by_place = {}, {}
  for _, entry in ipairs(entries) do
    by_word[entry.word] = by_word[entry.word] or {}
    table.insert(by_word[entry.word], entry)
    if entry.kind == "key" then
      by_place[entry.place] = by_place[entry.place] or {}
      by_place[entry.place][entry.word] = entry
    end
  end
end
index()

--- All entries, in the order of the language's parts.
function M.entries() return entries end

--- The entries of one word (an array), or nil.
function M.find(name) return by_word[name] end

--- The keys allowed in a place (`policy`, `limits`, `allow` …): name -> entry. Empty for an unknown place.
function M.keys(place) return by_place[place] or {} end

--- The entry of a word that files of `kind` may call or name, or nil.
function M.callable(name, kind)
  for _, entry in ipairs(by_word[name] or {}) do
    for _, file in ipairs(entry.files or {}) do
      if file == kind then return entry end
    end
  end
end

--- The sorted words that files of `kind` (policy, group or pipeline; nil: any) may call or name: what
-- luacheck is given as globals, and what did-you-mean chooses from.
function M.luacheck_globals(kind)
  local seen, out = {}, {}
  for _, entry in ipairs(entries) do
    for _, file in ipairs(entry.files or {}) do
      if (not kind or file == kind) and not seen[entry.word] then
        seen[entry.word] = true
        out[#out + 1] = entry.word
      end
    end
  end
  table.sort(out)
  return out
end

--- A default from the table: `default("limits", "memory")`.
function M.default(place, name)
  return by_place[place] and by_place[place][name] and by_place[place][name].default
end

return M
