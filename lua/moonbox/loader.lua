--- Evaluates policy, group and pipeline files strictly.
-- A file is text (bytecode is refused), sees exactly the vocabulary's words for its kind and a small part of
-- Lua's library, and makes rows: opaque tokens whose content is kept here, out of the file's reach. Mistakes
-- do not stop the evaluation where they can be stepped over: an unknown word yields a value that swallows
-- every use of it, so that all mistakes of a file are told at once.
-- This module sets no budget: callers evaluate inside moonbox.core's sacrifice first.
local safe_library = require "moonbox.safe_library"
local say = require "moonbox.say"
local units = require "moonbox.units"
local words = require "moonbox.words"

local M = {}

local Session = {}
Session.__index = Session

--- The longest file that is read, in bytes.
M.LARGEST = 1024 * 1024

-- More than this and the rest is one mistake repeated.
local MOST_DIAGNOSTICS = 100

--- A new evaluation. `options.group(session, kind, name)` is asked for `ecosystem.npm` and returns the path
-- and the label of its file, or nil and a sentence.
function M.session(options)
  safe_library.confine_methods()
  return setmetatable({ options = options or {}, diagnostics = {}, files = {}, groups = {}, sequence = 0,
    rows = setmetatable({}, { __mode = "k" }), bare = {} }, Session)
end

--- What a function of a file raised, "f1:12: text" as Lua says it, with the file's own name.
-- As it is: a secret that was cut, or lost its line breaks, would not be found in it.
function Session:named(message)
  if type(message) ~= "string" then return "raised " .. say.describe(message) .. "; error is given a sentence" end
  local index, line, text = message:match("^f(%d+):(%d+): (.*)$")
  local file = self.files[tonumber(index)]
  return file and ("%s:%s: %s"):format(file.label, line, say.lua_sentence(text)) or message
end

--- From now on a mistake stops the function that makes it: nobody looks at the diagnostics any more.
function Session:stop_at_mistakes() self.stops = true end

--- Notes a mistake in `file` (as returned in rows) at `line`; `usage`: of whoever gives a policy its parameters.
-- Control characters never get further than here.
function Session:report(file, line, text, usage)
  if self.stops then error(("%s:%d: %s"):format(file.label, line, text), 0) end
  text = text:gsub("[%c\127]", "?")
  local seen = self.seen or {}
  self.seen = seen
  local id = file.index .. ":" .. line .. ":" .. text
  if seen[id] or #self.diagnostics >= MOST_DIAGNOSTICS then return end
  seen[id] = true
  self.diagnostics[#self.diagnostics + 1] =
    { file = file.label, line = line, text = text, usage = usage, order = file.index, position = #self.diagnostics }
end

--- The diagnostics in order: by file as first read, then by line.
function Session:sorted()
  table.sort(self.diagnostics, function(a, b)
    if a.order ~= b.order then return a.order < b.order end
    if a.line ~= b.line then return a.line < b.line end
    return a.position < b.position
  end)
  local out = {}
  for i, d in ipairs(self.diagnostics) do out[i] = { file = d.file, line = d.line, text = d.text, usage = d.usage } end
  return out
end

-- A value that swallows every use, standing for what an unknown word would have been.
local function swallower()
  local meta, value = {}, {}
  local function same() return value end
  for _, event in ipairs { "__index", "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm",
    "__concat" } do
    meta[event] = same
  end
  -- `for x in unknown` asks with nothing and its last value; without an end it would go on forever.
  meta.__call = function(_, ...)
    if select("#", ...) == 2 and (...) == nil then return nil end
    return value
  end
  meta.__newindex = function() end
  meta.__lt = function() return false end
  meta.__le = meta.__lt
  meta.__metatable = false
  return setmetatable(value, meta)
end

--- Whether `value` stands for something that has already been reported.
function Session:is_unknown(value) return value ~= nil and value == self.unknown end

--- The content of a token: { word, kind, name, args, line, file, sequence }, or nil.
function Session:row(value) return type(value) == "table" and self.rows[value] or nil end

--- The word that a value is, given without its arguments (`return kill`), or nil.
function Session:bare_word(value) return self.bare[value] end

--- A new token for a row, as if the file had called its word at `line`.
function Session:make(file, line, entry, name, args)
  self.sequence = self.sequence + 1
  local token = {}
  self.rows[token] = { word = entry.word, kind = entry.kind, name = name, args = args, line = line,
    file = file,
    sequence = self.sequence }
  return token
end

--- The group token of `ecosystem.npm`, read once; an unknown one is reported at `line` of `file`.
function Session:group(file, line, kind, name)
  local full = kind .. "." .. say.plain(name)
  if self.groups[full] ~= nil then return self.groups[full] end
  local path, label = nil, ("there is no group `%s`"):format(full)
  if self.options.group and type(name) == "string" then path, label = self.options.group(self, kind, name) end
  if not path then
    self:report(file, line, label)
    return self.unknown
  end
  self.groups[full] = self.unknown
  local row, token = self:load(path, label, "group")
  if row and row.name ~= full then
    self:report(row.file, row.line, ('this file is %s, so it returns group "%s" and not group "%s"')
      :format(label, full, row.name))
  end
  self.groups[full] = row and token or self.unknown
  return self.groups[full]
end

--- The text of a file, or nil and a sentence.
function M.read(path)
  local handle, message = io.open(path, "rb")
  if not handle then return nil, "can't be read: " .. (message:match(": ([^:]+)$") or message) end
  local parts, length = {}, 0
  while length <= M.LARGEST do
    local part, why = handle:read(65536)
    if why then
      handle:close()
      return nil, "can't be read: " .. (why:match(": ([^:]+)$") or why)
    end
    if not part then break end
    parts[#parts + 1], length = part, length + #part
  end
  handle:close()
  local text = table.concat(parts)
  if text == "" then return nil, "is empty" end
  if #text > M.LARGEST then return nil, "is longer than 1 MB" end
  return text
end

--- A file of this evaluation, before anything of it is read.
function Session:new_file(path, label, kind)
  local file = { index = #self.files + 1, path = path, label = label, kind = kind, last = 1 }
  self.files[file.index] = file
  file.chunk = "=f" .. file.index
  self.unknown = self.unknown or swallower()
  file.units = units.words(function(sentence)
    self:report(file, words.here(file), sentence)
    return self.unknown
  end)
  return file
end

-- A raised error as a diagnostic. Errors that follow from an unknown word have been told already.
local function raised(self, file, message)
  if type(message) ~= "string" then
    return self:report(file, file.last, "raised " .. say.describe(message) .. "; error is given a sentence")
  end
  local index, line, text = message:match("^f(%d+):(%d+): (.*)$")
  local where = self.files[tonumber(index)] or file
  if message:find("not enough memory", 1, true) then error("not enough memory", 0) end
  self:report(where, tonumber(line) or file.last, say.plain_sentence(text or message))
end

local function evaluate(self, file, text)
  -- Only a pipeline's steps have a field called `do`.
  if file.kind == "pipeline" then text = require("moonbox.lines").respell(text) end
  local chunk, message = load(text, file.chunk, "t", words.environment(self, file))
  if not chunk then
    raised(self, file, message)
    return nil
  end
  jit.off(chunk, true)
  local finished, value = xpcall(chunk, function(raising)
    words.here(file)
    return raising
  end)
  if not finished then
    raised(self, file, value)
    return nil
  end
  return value, true
end

local example = { policy = 'return policy "name" { … }', group = 'return group "kind.name" { … }',
  pipeline = 'return pipeline "name" { … }' }

--- Evaluates the file at `path` (or `text`, if given) as a `kind` of file: policy, group or pipeline.
-- Returns the row of the container that it returned and its token, or nil after having reported why.
function Session:load(path, label, kind, text)
  local file = self:new_file(path, label, kind)
  local message
  if not text then text, message = M.read(path) end
  if not text then return self:report(file, 1, message) end
  if text:sub(1, 1) == "\27" then
    return self:report(file, 1, "is compiled Lua (bytecode); moonbox reads Lua text only")
  end
  file.text = text
  local value, finished = evaluate(self, file, text)
  if not finished or self:is_unknown(value) then return nil end
  local row = self:row(value)
  if not row or row.word ~= kind then
    return self:report(file, file.last, ("returns %s; it must end with %s")
      :format(row and "a " .. row.word or say.describe(value), example[kind]))
  end
  self:told_twice(file)
  return row, value
end

-- Lua keeps the last of two keys of one name and says nothing; whoever wrote the first one would believe in it.
function Session:told_twice(file)
  file.find, file.twice = require("moonbox.lines").read(file.text)
  for _, key in ipairs(file.twice) do
    self:report(file, key.line, ("`%s` stands here twice, first on line %d"):format(say.plain(key.name), key.first))
  end
end

--- The line of a key or item inside the braces of `row`; `...` is the way in: "limits", "cpus" or an item's
-- number.
function Session.line(_, row, ...)
  local file = row.file
  if not file.text and not file.find then return row.line end
  if not file.find then file.find = require("moonbox.lines").read(file.text) end
  local node, line = file.find(row.word, row.line), row.line
  for i = 1, select("#", ...) do
    local step = select(i, ...)
    if not node then return line end
    if type(step) == "number" then return node.items[step] or line end
    local found = node.keys[step]
    if not found then return line end
    line, node = found.line, found.node
  end
  return line
end

return M
