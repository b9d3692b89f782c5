--- Keeps the values of secrets out of everything that is written down or shown.
--
-- A value is replaced byte for byte by "***".  Encoded forms (base64, split by a terminal's line breaks) are
-- not found, so a record isn't a place to look for carelessness of the commands that run.

local MASK = "***"

local M = {}
M.__index = M

--- A redactor for `values` (array of strings; empty ones are ignored).
function M.new(values)
  local list = {}
  for _, value in ipairs(values or {}) do
    if value ~= "" then list[#list + 1] = value end
  end
  -- The longest first: a secret that begins with another one must go as a whole.
  table.sort(list, function(a, b)
    if #a ~= #b then return #a > #b end
    return a < b
  end)
  return setmetatable({ values = list, longest = list[1] and #list[1] or 0 }, M)
end

-- The first whole secret at or after `from`: its position and length.
local function first_match(self, text, from)
  local at, length
  for _, value in ipairs(self.values) do
    local found = text:find(value, from, true)
    if found and (not at or found < at) then at, length = found, #value end
  end
  return at, length
end

-- The first position at or after `from` where the rest of `text` is the beginning of a secret.
local function first_beginning(self, text, from)
  for at = math.max(from, #text - self.longest + 2), #text do
    local rest = #text - at + 1
    for _, value in ipairs(self.values) do
      if #value > rest and value:sub(1, rest) == text:sub(at) then return at end
    end
  end
end

-- Replaces in `text`; with `more` to come, what may be the beginning of a secret is returned as second value.
local function replace(self, text, more)
  local out, from = {}, 1
  while true do
    local at, length = first_match(self, text, from)
    local held = more and first_beginning(self, text, from)
    if held and (not at or held <= at) then
      out[#out + 1] = text:sub(from, held - 1)
      return table.concat(out), text:sub(held)
    end
    if not at then break end
    out[#out + 1] = text:sub(from, at - 1)
    out[#out + 1] = MASK
    from = at + length
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out), ""
end

--- `text` with every secret replaced.
function M:text(text)
  if self.longest == 0 then return text end
  return (replace(self, text, false))
end

--- A copy of `value` in which every string, at any depth, went through `text`. Keys are left alone.
function M:deep(value)
  if type(value) == "string" then return self:text(value) end
  if type(value) ~= "table" or self.longest == 0 then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do copy[key] = self:deep(inner) end
  return copy
end

--- A function for bytes that come in pieces: feed(bytes) returns what is safe to pass on now, feed() the
-- rest. A secret that is cut in two by a piece's end is found.
function M:stream()
  if self.longest == 0 then return function(bytes) return bytes or "" end end
  local pending = ""
  return function(bytes)
    local out
    out, pending = replace(self, pending .. (bytes or ""), bytes ~= nil)
    return out
  end
end

return M
