--- What a policy came to when it was last read, so that the same files need not be evaluated again.
--
-- The entry of a policy names every file that was read for it with its identity: device, inode, size, and the times of
-- its last change of content and of state, in nanoseconds. The second of those times can't be set by hand, so a file
-- whose identity is the same has the same bytes. Entries lie in the state directory, which only its user may write,
-- and a file that changed within the last seconds is not noted: the clock that stamps files is a coarse one.
-- Only what was found right is kept; a policy with mistakes is read anew.
local core = require "moonbox.core"

local sys = core.sys

local M = {}

local FORMAT = "moonbox policy cache 1"
local RACY_SECONDS = 3
local MOST_ENTRIES = 200
local LARGEST = 4 * 2 ^ 20

-- FNV-1a, twice with different beginnings: names an entry; what it holds is checked in full.
local function name_of(text)
  local a, b = 0x811c9dc5, 0x01000193
  for i = 1, #text do
    local byte = text:byte(i)
    a = bit.tobit(bit.bxor(a, byte) * 403 + bit.lshift(bit.bxor(a, byte), 24))
    b = bit.tobit(bit.bxor(b, byte) * 403 + bit.lshift(bit.bxor(b, byte), 23))
  end
  return bit.tohex(a) .. bit.tohex(b)
end

local function program()
  local path = sys.executable() or ""
  return path:match("/moonbox$") and sys.identity(path)
end

--- The place of a policy's entry, or nil where nothing is kept: under another program than moonbox, whose modules may
-- change beneath it, or without a state directory. `path` and `label` as policies.find returns them;
-- `parameters` are the values that the policy is given.
function M.place(path, label, parameters)
  local identity = program()
  local root = identity and require("moonbox.task").root()
  local stat = root and sys.lstat(root)
  -- Another's directory, or one that others may write, would let them decide.
  if not stat or stat.kind ~= "directory" or stat.uid ~= sys.euid() or bit.band(stat.mode, 18) ~= 0 then return nil end
  local head = { FORMAT, core.version, identity, path, label }
  -- What a policy may show of the host depends on where moonbox keeps its state.
  for _, name in ipairs { "HOME", "XDG_STATE_HOME", "MOONBOX_STATE" } do
    head[#head + 1] = name .. "=" .. (os.getenv(name) or "")
  end
  local given = {}
  for name, value in pairs(parameters or {}) do given[#given + 1] = { name, value } end
  table.sort(given, function(a, b) return a[1] < b[1] end)
  -- As JSON, no value can be taken for the end of another.
  if #given > 0 then head[#head + 1] = require("moonbox.json").encode(given) end
  local text = table.concat(head, "\t")
  if text:find("\n", 1, true) then return nil end
  local name = name_of(table.concat({ path, label, given[1] and head[#head] }, "\t"))
  return { directory = root .. "/cache", file = root .. "/cache/" .. name, head = text }
end

--- The text that was kept and the lines "IDENTITY PATH\n" of the files that it came of, or nil.
function M.find(place)
  local text = sys.read_file(place.file, LARGEST)
  if not text or text:sub(1, #place.head + 1) ~= place.head .. "\n" then return nil end
  local first = #place.head + 2
  local at = first
  while true do
    local line_end = text:find("\n", at, true)
    if not line_end then return nil end
    if line_end == at then return text:sub(at + 1), text:sub(first, at - 1) end
    local identity, path = text:sub(at, line_end - 1):match("^(%S+) (.+)$")
    if not identity or sys.identity(path) ~= identity then return nil end
    at = line_end + 1
  end
end

local function make_room(directory)
  local names = sys.list(directory) or {}
  for _, name in ipairs(#names >= MOST_ENTRIES and names or {}) do sys.unlink(directory .. "/" .. name) end
end

--- Keeps `text`, which came of reading `files` (paths). Trouble is no error: the policy is then read again next time.
function M.keep(place, files, text)
  local lines = { place.head }
  for _, path in ipairs(files) do
    local identity, changed = sys.identity(path)
    if not identity or path:find("\n", 1, true) or sys.realtime() - changed < RACY_SECONDS then return end
    lines[#lines + 1] = identity .. " " .. path
  end
  if not sys.mkdirs(place.directory, 448) then return end
  make_room(place.directory)
  sys.write_file(place.file, table.concat(lines, "\n") .. "\n\n" .. text)
end

return M
