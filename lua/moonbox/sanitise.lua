--- Makes bytes that a task chose harmless to show: nothing that a terminal obeys is left.
--
-- Removed: escape sequences (ECMA-48 CSI, OSC, DCS, single shifts), C0 and C1 controls, DEL, and the Unicode
-- controls that reorder or hide text (U+200B-200F, U+202A-202E, U+2066-2069, U+FEFF). Bytes that aren't UTF-8
-- (RFC 3629) become U+FFFD.

local M = {}

local REPLACEMENT = "\239\191\189"

-- Length of the valid UTF-8 sequence at `at`, or nil. Overlong forms and surrogates aren't valid.
local function sequence(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  local function tail(x) return x and x >= 0x80 and x < 0xC0 end
  if a < 0x80 then return 1 end
  if a >= 0xC2 and a < 0xE0 then return tail(b) and 2 end
  if a >= 0xE0 and a < 0xF0 then
    local fits = tail(b) and tail(c) and not (a == 0xE0 and b < 0xA0) and not (a == 0xED and b >= 0xA0)
    return fits and 3 or nil
  end
  if a >= 0xF0 and a < 0xF5 then
    local fits = tail(b) and tail(c) and tail(d) and not (a == 0xF0 and b < 0x90)
      and not (a == 0xF4 and b >= 0x90)
    return fits and 4 or nil
  end
end

--- `text` with every byte that isn't part of valid UTF-8 replaced by U+FFFD.
function M.utf8(text)
  if not text:find("[\128-\255]") then return text end
  local out, at, from = {}, 1, 1
  while at <= #text do
    local length = sequence(text, at)
    if length then
      at = at + length
    else
      out[#out + 1] = text:sub(from, at - 1) .. REPLACEMENT
      at = at + 1
      from = at
    end
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

local function strip_sequences(text)
  text = text:gsub("\27%[[0-?]*[ -/]*[@-~]", "")
  text = text:gsub("\27[%]PX^_][^\7\27]*\27?[\7\\]?", "")
  text = text:gsub("\27[ -/]*[0-~]?", "")
  return text
end

-- Lead bytes first, so that text without any such character costs one search each.
local function strip_unicode(text)
  text = text:gsub("\194[\128-\159]", "")
  text = text:gsub("\226\128[\139-\143\170-\174]", "")
  text = text:gsub("\226\129[\166-\169]", "")
  text = text:gsub("\239\187\191", "")
  return text
end

--- One line of `text` for a person: a tab or newline becomes a blank.
function M.line(text)
  text = strip_sequences(text):gsub("[\t\n\r]", " ")
  text = M.utf8(text:gsub("[%z\1-\31\127]", ""))
  return strip_unicode(text)
end

--- The last line of `bytes` with something on it, as `line` shows it, or nil. A carriage return starts a line
-- anew, as progress bars do.
function M.last_line(bytes)
  for part in bytes:reverse():gmatch("[^\n\r]+") do
    local line = M.line(part:reverse())
    if line:find("%S") then return line end
  end
end

local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0x303E }, { 0x3041, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
  { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD },
}

local function width(char)
  local a, b, c, d = char:byte(1, 4)
  local code = a
  if d then code = (a % 8) * 262144 + (b % 64) * 4096 + (c % 64) * 64 + d % 64
  elseif c then code = (a % 16) * 4096 + (b % 64) * 64 + c % 64
  elseif b then code = (a % 32) * 64 + b % 64 end
  for _, range in ipairs(WIDE) do
    if code >= range[1] and code <= range[2] then return 2 end
  end
  return 1
end

--- The beginning of `line` that takes at most `columns` cells of a terminal. `line` is valid UTF-8.
function M.fit(line, columns)
  local used, at = 0, 1
  for char, stop in line:gmatch("([%z\1-\127\194-\244][\128-\191]*)()") do
    used = used + width(char)
    if used > columns then break end
    at = stop
  end
  return line:sub(1, at - 1)
end

return M
