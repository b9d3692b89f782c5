--- How values of a file and messages of Lua are said: short, on one line, without control characters.
local safe_library = require "moonbox.safe_library"
local units = require "moonbox.units"

local M = {}

local redact

--- While a function of a file runs that may hold secrets: `hide(text)` replaces them in each value that is said, before
-- the value is cut and its line breaks go, after which they would not be found. Nil: no more.
function M.hide(hide) redact = hide end

--- A value in a message: short, on one line, without control characters.
function M.plain(value)
  local text = safe_library.tostring(value)
  text = (redact and redact(text) or text):gsub("[%c\127]", "?")
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

--- A message of Lua's, whole.
function M.lua_sentence(text)
  local name, kind = text:match("^attempt to call %a+ '([%w_]+)' %(an? (%a+) value%)$")
  if name then
    text = ("`%s` is %s that can be called here"):format(name, kind == "nil" and "nothing" or "a " .. kind
      .. " and nothing")
  end
  return text
end

--- The same on one line of at most 300 bytes.
function M.plain_sentence(text) return (M.lua_sentence(text):gsub("[%c\127]", " "):sub(1, 300)) end

return M
