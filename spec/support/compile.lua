--- Compiles spec/helpers/NAME.c (or NAME.S) into one folder that boxes get to see at M.INSIDE.
local box = require "support.box"

local M = { INSIDE = "/opt/spec" }

local SHARED = "build/spec"

-- What helpers are made of beside their own file. Those that call the core get it compiled in.
local WITH = {
  capture = { "spec/helpers/capture_client.c", "core/capture.c", "core/netns.c", "core/netlink.c", "core/nft.c",
    "core/ruleset.c", "core/err.c", "core/util.c" },
}
local private

local function writable(directory)
  local probe = directory .. "/.writable"
  local handle = io.open(probe, "w")
  if handle then
    handle:close()
    os.remove(probe)
  end
  return handle ~= nil
end

local function is_assembler(name)
  local handle = io.open("spec/helpers/" .. name .. ".S")
  if handle then handle:close() end
  return handle ~= nil
end

local function sources(name)
  return ("spec/helpers/%s%s %s"):format(name, is_assembler(name) and ".S" or ".c", table.concat(WITH[name] or {}, " "))
end

local function fresh(directory, name)
  local out = directory .. "/" .. name
  return box.shell(('[ -e %s ] && [ -z "$(find %s spec/helpers/*.h %s -newer %s)" ]'):format(out, sources(name),
    WITH[name] and "core/*.h" or "", out)).code == 0
end

local function build(directory, name)
  local out = directory .. "/" .. name
  local flags = is_assembler(name) and "-m32 -nostdlib -static"
    or "-std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread"
  local result = box.shell(("cc %s -o %s.$$ %s && mv %s.$$ %s"):format(flags, out, sources(name), out, out))
  assert(result.code == 0, result.stderr)
end

local function stale(directory, names)
  local out = {}
  for _, name in ipairs(names) do
    if not fresh(directory, name) then out[#out + 1] = name end
  end
  return out
end

--- Builds the named helpers where they are older than their source. Returns the folder's absolute path.
function M.helpers(...)
  local directory, names = SHARED, { ... }
  os.execute("mkdir -p " .. SHARED .. " 2>/dev/null")
  -- A checkout may be somebody else's: what he has not built is then built in the spec's own folder.
  if #stale(SHARED, names) > 0 and not writable(SHARED) then
    directory = private or box.home .. "/helpers"
    private = directory
    os.execute("mkdir -p " .. directory)
  end
  for _, name in ipairs(stale(directory, names)) do build(directory, name) end
  return require("moonbox.core").sys.realpath(directory)
end

--- Builds every helper that specs ask for by name, for those who run them where a compiler is slow.
function M.all()
  local names = {}
  for list in box.shell("grep -ho 'compile\\.helpers([^)]*)' -r spec --include='*_spec.lua'").stdout:gmatch("[^\n]+") do
    for name in list:gmatch('"([%w_]+)"') do names[#names + 1] = name end
  end
  M.helpers(unpack(names))
end

--- The mount row and the option of `moonbox exec` that show the helpers inside.
function M.row(directory)
  return box.bind(directory, M.INSIDE, false)
end

function M.option(directory)
  return "--bind=" .. directory .. ":" .. M.INSIDE
end

return M
