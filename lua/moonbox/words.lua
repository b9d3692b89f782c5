--- The words that a policy, group or pipeline file sees: what calling them makes.
-- The environment of a file holds exactly the vocabulary's words for its kind and a small part of Lua's library. A
-- word that is unknown or misused is reported to the evaluation, which then goes on with a value that swallows
-- every use.
local safe_library = require "moonbox.safe_library"
local say = require "moonbox.say"
local suggest = require "moonbox.suggest"
local units = require "moonbox.units"
local vocabulary = require "moonbox.vocabulary"

local M = {}

--- The line of `file` that is being evaluated: the innermost frame of that file, because words may be called
-- from helpers of the file itself and a tail call leaves no frame.
function M.here(file)
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

local function row_word(self, file, entry)
  return function(args)
    local line = M.here(file)
    if type(args) == "string" then args = { args } end
    if self:is_unknown(args) then return args end
    if type(args) ~= "table" or self:row(args) or units.parts(args) then
      self:report(file, line, ("`%s` is given a list in braces, not %s"):format(entry.word, say.describe(args)))
      return self.unknown
    end
    return self:make(file, line, entry, nil, args)
  end
end

local function container_word(self, file, entry)
  return function(name)
    local line = M.here(file)
    if type(name) ~= "string" or not name:match("^[%w][%w._-]*$") or #name > 64 then
      self:report(file, line,
        ('`%s` is given a name first, of letters, digits, ".", "_" and "-": %s "name" { … }')
        :format(entry.word, entry.word))
      name = "?"
    end
    if entry.place == "file" then
      if file.container then
        self:report(file, line, ("a file returns one `%s`; there is one on line %d already"):format(entry.word,
          file.container))
      end
      file.container = file.container or line
    end
    return function(args)
      if self:is_unknown(args) then return args end
      if type(args) ~= "table" or self:row(args) or units.parts(args) then
        self:report(file, line, ('`%s "%s"` is followed by its rows in braces, not %s')
          :format(entry.word, name, say.describe(args)))
        return self.unknown
      end
      return self:make(file, line, entry, name, args)
    end
  end
end

local function module_word(self, file, entry)
  return setmetatable({}, {
    __index = function(_, name) return self:group(file, M.here(file), entry.word, name) end,
    __newindex = function() self:report(file, M.here(file), "`" .. entry.word .. "` can't be changed") end,
    __metatable = false,
  })
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

--- The environment of `file`, in the evaluation `self` (moonbox.loader). Words are made when first used: most
-- files use few.
function M.environment(self, file)
  local made = {}
  return setmetatable({}, {
    __index = function(_, name)
      if made[name] ~= nil then return made[name] end
      local entry = type(name) == "string" and vocabulary.callable(name, file.kind)
      if not entry then
        self:report(file, M.here(file), unknown_word(say.plain(name), file.kind))
        return self.unknown
      end
      made[name] = make_word(self, file, entry, name)
      return made[name]
    end,
    __newindex = function(_, name)
      self:report(file, M.here(file), ("`%s = …` would make a global; write `local %s = …`")
        :format(say.plain(name), say.plain(name)))
    end,
    __metatable = false,
  })
end

return M
