--- Evaluates policy, group and pipeline files strictly.
-- A file is text (bytecode is refused), sees exactly the vocabulary's words for its kind and a small part of
-- Lua's library, and makes rows: opaque tokens whose content is kept here, out of the file's reach. Mistakes
-- do not stop the evaluation where they can be stepped over: an unknown word yields a value that swallows
-- every use of it, so that all mistakes of a file are told at once.
-- This module sets no budget: callers evaluate inside moonbox.core's sacrifice first.
local safe_library = require "moonbox.safe_library"
local suggest = require "moonbox.suggest"
local units = require "moonbox.units"
local vocabulary = require "moonbox.vocabulary"

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

--- Notes a mistake in `file` (as returned in rows) at `line`. Control characters never get further than here.
function Session:report(file, line, text)
  text = text:gsub("[%c\127]", "?")
  local seen = self.seen or {}
  self.seen = seen
  local id = file.index .. ":" .. line .. ":" .. text
  if seen[id] or #self.diagnostics >= MOST_DIAGNOSTICS then return end
  seen[id] = true
  self.diagnostics[#self.diagnostics + 1] =
    { file = file.label, line = line, text = text, order = file.index, position = #self.diagnostics }
end

--- The diagnostics in order: by file as first read, then by line.
function Session:sorted()
  table.sort(self.diagnostics, function(a, b)
    if a.order ~= b.order then return a.order < b.order end
    if a.line ~= b.line then return a.line < b.line end
    return a.position < b.position
  end)
  local out = {}
  for i, d in ipairs(self.diagnostics) do out[i] = { file = d.file, line = d.line, text = d.text } end
  return out
end

-- The line of `file` that is being evaluated: the innermost frame of that file, because words may be called
-- from helpers of the file itself and a tail call leaves no frame.
local function here(file)
  for level = 3, 40 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.source == file.chunk and info.currentline > 0 then
      file.last = info.currentline
      return info.currentline
    end
  end
  return file.last
end

-- A value that swallows every use, standing for what an unknown word would have been.
local function swallower()
  local meta, value = {}, {}
  local function same() return value end
  for _, event in ipairs { "__index", "__call", "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm",
    "__concat" } do
    meta[event] = same
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

local function row_word(self, file, entry)
  return function(args)
    local line = here(file)
    if type(args) == "string" then args = { args } end
    if self:is_unknown(args) then return args end
    if type(args) ~= "table" or self:row(args) or units.parts(args) then
      self:report(file, line, ("`%s` is given a list in braces, not %s"):format(entry.word, M.describe(args)))
      return self.unknown
    end
    return self:make(file, line, entry, nil, args)
  end
end

local function container_word(self, file, entry)
  return function(name)
    local line = here(file)
    if type(name) ~= "string" or not name:match("^[%w][%w._-]*$") or #name > 64 then
      self:report(file, line,
        ('`%s` is given a name first, of letters, digits, ".", "_" and "-": %s "name" { … }')
        :format(entry.word, entry.word))
      name = "?"
    end
    return function(args)
      if self:is_unknown(args) then return args end
      if type(args) ~= "table" or self:row(args) or units.parts(args) then
        self:report(file, line, ('`%s "%s"` is followed by its rows in braces, not %s')
          :format(entry.word, name, M.describe(args)))
        return self.unknown
      end
      return self:make(file, line, entry, name, args)
    end
  end
end

local function module_word(self, file, entry)
  return setmetatable({}, {
    __index = function(_, name) return self:group(file, here(file), entry.word, name) end,
    __newindex = function() self:report(file, here(file), "`" .. entry.word .. "` can't be changed") end,
    __metatable = false,
  })
end

--- The group token of `ecosystem.npm`, read once; an unknown one is reported at `line` of `file`.
function Session:group(file, line, kind, name)
  local full = kind .. "." .. M.plain(name)
  if self.groups[full] ~= nil then return self.groups[full] end
  local path, label = nil, "no groups can be used here"
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

local function make_word(self, file, entry, name)
  if entry.kind == "row" or entry.kind == "reaction" or entry.kind == "type" then
    local made = row_word(self, file, entry)
    self.bare[made] = entry.word
    return made
  end
  if entry.kind == "container" then return container_word(self, file, entry) end
  if entry.kind == "module" then return module_word(self, file, entry) end
  if entry.kind == "value" then return file.units(name) end
  return safe_library.get(name)
end

-- What Lua programmers look for first, told apart from slips.
local outside = {}
for name in ([[_G collectgarbage coroutine debug dofile ffi getfenv getmetatable io jit load loadfile
  loadstring module newproxy os package pcall print rawequal rawget rawset require setfenv setmetatable
  xpcall]]):gmatch("%S+") do
  outside[name] = true
end

local function unknown_word(name, kind)
  for _, entry in ipairs(vocabulary.find(name) or {}) do
    if entry.files then
      return ("`%s` is a word of %s files, not of %s files"):format(name, entry.files[1], kind)
    end
  end
  if outside[name] then
    return ("`%s` is not there in %s files: they describe, and reach nothing outside"):format(name, kind)
  end
  return ("unknown word `%s`%s"):format(name, suggest.tail(name, vocabulary.luacheck_globals(kind)))
end

-- The environment of one file. Words are made when first used: most files use few.
local function environment(self, file)
  local made = {}
  return setmetatable({}, {
    __index = function(_, name)
      if made[name] ~= nil then return made[name] end
      local entry = type(name) == "string" and vocabulary.callable(name, file.kind)
      if not entry then
        self:report(file, here(file), unknown_word(M.plain(name), file.kind))
        return self.unknown
      end
      made[name] = make_word(self, file, entry, name)
      return made[name]
    end,
    __newindex = function(_, name)
      self:report(file, here(file), ("`%s = …` would make a global; write `local %s = …`")
        :format(M.plain(name), M.plain(name)))
    end,
    __metatable = false,
  })
end

--- A value in a message: short, on one line, without control characters.
function M.plain(value)
  local text = safe_library.tostring(value):gsub("[%c\127]", "?")
  if #text > 60 then text = text:sub(1, 57) .. "..." end
  return text
end

--- What a value is, for messages: `the number 4`, `a size`, `nothing`.
function M.describe(value)
  local parts = units.parts(value)
  if parts then return "a " .. parts[1] end
  local kind = type(value)
  if kind == "nil" then return "nothing" end
  if kind == "number" then return "the number " .. M.plain(value) end
  if kind == "string" then return 'the text "' .. M.plain(value) .. '"' end
  if kind == "boolean" then return tostring(value) end
  return "a " .. kind
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
    self:report(file, here(file), sentence)
    return self.unknown
  end)
  return file
end

-- A raised error as a diagnostic. Errors that follow from an unknown word have been told already.
local function raised(self, file, message)
  if type(message) ~= "string" then
    return self:report(file, file.last, "raised " .. M.describe(message) .. "; error is given a sentence")
  end
  local index, line, text = message:match("^f(%d+):(%d+): (.*)$")
  local where = self.files[tonumber(index)] or file
  if message:find("not enough memory", 1, true) then error("not enough memory", 0) end
  self:report(where, tonumber(line) or file.last, M.plain_sentence(text or message))
end

--- A message of Lua's on one line of at most 300 bytes.
function M.plain_sentence(text)
  local name = text:match("^attempt to call %a+ '([%w_]+)' %(a nil value%)$")
  if name then text = ("`%s` is nothing that can be called here"):format(name) end
  return (text:gsub("[%c\127]", " "):sub(1, 300))
end

local function evaluate(self, file, text)
  -- Only a pipeline's steps have a field called `do`.
  if file.kind == "pipeline" then text = require("moonbox.lines").respell(text) end
  local chunk, message = load(text, file.chunk, "t", environment(self, file))
  if not chunk then
    raised(self, file, message)
    return nil
  end
  jit.off(chunk, true)
  local finished, value = xpcall(chunk, function(raising)
    here(file)
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
      :format(row and "a " .. row.word or M.describe(value), example[kind]))
  end
  return row, value
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
