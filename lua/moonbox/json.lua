--- JSON (RFC 8259), strict in both directions.
-- Encoding sorts keys, so the same data is always the same bytes. Empty tables are objects unless marked with
-- `json.array {}`; a table that mixes positions and names, has holes, is cyclic or holds a function is
-- refused. Decoding refuses anything the grammar does not know: trailing text, duplicate names, lone
-- surrogates, control characters in strings, numbers outside of a double.
local M = {}

local DEPTH = 64

M.null = setmetatable({}, { __tostring = function() return "null" end })

local array_mark, object_mark = { json = "array" }, { json = "object" }

--- Marks a table as an array, which matters when it is empty. Returns the table.
function M.array(t) return setmetatable(t or {}, array_mark) end

--- Marks a table as an object. Returns the table.
function M.object(t) return setmetatable(t or {}, object_mark) end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\b"] = "\\b", ["\f"] = "\\f" }

local function escape(c) return escapes[c] or string.format("\\u%04x", c:byte()) end

local function escape_second(c) return string.format("\\u%04x", c:byte()) end

-- C1 controls as well, which RFC 8259 would let stand: a line may be shown on a terminal.
local function quote(s)
  s = s:gsub('[%z\1-\31"\\\127]', escape)
  if s:find("\194", 1, true) then s = s:gsub("\194([\128-\159])", escape_second) end
  return '"' .. s .. '"'
end

local function number(n)
  if n ~= n or n == math.huge or n == -math.huge then error("a number that is not finite has no JSON", 0) end
  if n == math.floor(n) and math.abs(n) < 2 ^ 53 then return string.format("%d", n) end
  return string.format("%.17g", n)
end

local function is_array(t)
  local mark = getmetatable(t)
  local count = 0
  for k in pairs(t) do
    count = count + 1
    if type(k) ~= "number" then
      if mark == array_mark or t[1] ~= nil then
        error("a table with both positions and names has no JSON", 0)
      end
      return false
    end
  end
  if count ~= #t then error("an array with holes has no JSON", 0) end
  return mark == array_mark or (count > 0 and mark ~= object_mark)
end

local encode

local function encode_items(t, out, state, depth)
  local inner = state.pretty and "\n" .. ("  "):rep(depth) or ""
  out[#out + 1] = "["
  for i, item in ipairs(t) do
    out[#out + 1] = (i > 1 and "," or "") .. inner
    encode(item, out, state, depth + 1)
  end
  out[#out + 1] = #t > 0 and state.pretty and "\n" .. ("  "):rep(depth - 1) .. "]" or "]"
end

local function encode_fields(t, out, state, depth)
  local inner = state.pretty and "\n" .. ("  "):rep(depth) or ""
  local names = {}
  for k in pairs(t) do
    if type(k) ~= "string" then error("a name in JSON is text, not a " .. type(k), 0) end
    names[#names + 1] = k
  end
  table.sort(names)
  out[#out + 1] = "{"
  for i, name in ipairs(names) do
    out[#out + 1] = (i > 1 and "," or "") .. inner .. quote(name) .. (state.pretty and ": " or ":")
    encode(t[name], out, state, depth + 1)
  end
  out[#out + 1] = #names > 0 and state.pretty and "\n" .. ("  "):rep(depth - 1) .. "}" or "}"
end

function encode(value, out, state, depth)
  local kind = type(value)
  if value == M.null then out[#out + 1] = "null"
  elseif kind == "string" then out[#out + 1] = quote(value)
  elseif kind == "number" then out[#out + 1] = number(value)
  elseif kind == "boolean" then out[#out + 1] = tostring(value)
  elseif kind == "table" then
    if state.open[value] then error("a table that holds itself has no JSON", 0) end
    if depth > DEPTH then error("JSON deeper than " .. DEPTH .. " levels", 0) end
    state.open[value] = true
    if is_array(value) then
      encode_items(value, out, state, depth)
    else
      encode_fields(value, out, state, depth)
    end
    state.open[value] = nil
  else
    error("a " .. kind .. " has no JSON", 0)
  end
end

--- The JSON text of `value`; `options.pretty` breaks lines and indents by two spaces.
-- Raises a sentence for what has no JSON: it is the caller's mistake.
function M.encode(value, options)
  local out = {}
  encode(value, out, { open = {}, pretty = options and options.pretty }, 1)
  return table.concat(out)
end

local function fail(s, at, what)
  local _, lines = s:sub(1, at - 1):gsub("\n", "")
  error({ json = "line " .. lines + 1 .. ": " .. what }, 0)
end

local function utf8(code)
  local floor, char = math.floor, string.char
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64,
    0x80 + code % 64)
end

local plain = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function decode_escape(s, at)
  local c = s:sub(at + 1, at + 1)
  if plain[c] then return plain[c], at + 2 end
  local hex = s:match("^u(%x%x%x%x)", at + 1)
  if not hex then fail(s, at, "an unknown escape in a string") end
  local code = tonumber(hex, 16)
  if code >= 0xDC00 and code <= 0xDFFF then fail(s, at, "half of a surrogate pair") end
  if code < 0xD800 or code > 0xDBFF then return utf8(code), at + 6 end
  local low = tonumber(s:match("^\\u([dD][c-fC-F]%x%x)", at + 6) or "", 16)
  if not low then fail(s, at, "half of a surrogate pair") end
  return utf8(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), at + 12
end

local function decode_string(s, at)
  local close = s:match('^"[^"\\%z\1-\31]*()"', at)
  if close then return s:sub(at + 1, close - 1), close + 1 end
  local parts = {}
  at = at + 1
  while true do
    local stop = s:match('^[^"\\%z\1-\31]*()', at)
    parts[#parts + 1] = s:sub(at, stop - 1)
    local c = s:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then
      fail(s, stop, c == "" and "a string without an end" or "a control character in a string")
    end
    parts[#parts + 1], at = decode_escape(s, stop)
  end
end

local function decode_number(s, at)
  local text = s:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local whole = text and text:match("^-?(%d+)")
  local valid = whole and (whole == "0" or whole:sub(1, 1) ~= "0")
    and (text:match("^-?%d+$") or text:match("^-?%d+%.%d+$") or text:match("^-?%d+[eE][+-]?%d+$")
      or text:match("^-?%d+%.%d+[eE][+-]?%d+$"))
  if not valid then fail(s, at, "something that is no JSON value") end
  local n = tonumber(text)
  if n == math.huge or n == -math.huge then fail(s, at, "a number too large") end
  return n, at + #text
end

local decode

local function space(s, at) return s:match("^[ \t\r\n]*()", at) end

local function decode_array(s, at, depth)
  local out, n = M.array(), 0
  at = space(s, at + 1)
  if s:sub(at, at) == "]" then return out, at + 1 end
  while true do
    n = n + 1
    out[n], at = decode(s, at, depth + 1)
    at = space(s, at)
    local c = s:sub(at, at)
    if c == "]" then return out, at + 1 end
    if c ~= "," then fail(s, at, "expected , or ] in an array") end
    at = space(s, at + 1)
  end
end

local function decode_object(s, at, depth)
  local out = M.object()
  at = space(s, at + 1)
  if s:sub(at, at) == "}" then return out, at + 1 end
  while true do
    if s:sub(at, at) ~= '"' then fail(s, at, "expected a name in an object") end
    local name
    name, at = decode_string(s, at)
    if rawget(out, name) ~= nil then fail(s, at, "the name " .. quote(name) .. " twice in an object") end
    at = space(s, at)
    if s:sub(at, at) ~= ":" then fail(s, at, "expected : after a name") end
    out[name], at = decode(s, space(s, at + 1), depth + 1)
    at = space(s, at)
    local c = s:sub(at, at)
    if c == "}" then return out, at + 1 end
    if c ~= "," then fail(s, at, "expected , or } in an object") end
    at = space(s, at + 1)
  end
end

local words = { t = { "true", true }, f = { "false", false }, n = { "null", M.null } }

function decode(s, at, depth)
  if depth > DEPTH then fail(s, at, "deeper than " .. DEPTH .. " levels") end
  local c = s:sub(at, at)
  if c == '"' then return decode_string(s, at) end
  if c == "{" then return decode_object(s, at, depth) end
  if c == "[" then return decode_array(s, at, depth) end
  local word = words[c]
  if word and s:sub(at, at + #word[1] - 1) == word[1] then return word[2], at + #word[1] end
  return decode_number(s, at)
end

--- The value of a JSON text, or nil and a sentence. `null` becomes `json.null`.
function M.decode(s)
  local ok, value, at = pcall(decode, s, space(s, 1), 1)
  if not ok then
    if type(value) == "table" and value.json then return nil, value.json end
    error(value, 0)
  end
  at = space(s, at)
  if at <= #s then return nil, "text after the end of the JSON value" end
  return value
end

return M
