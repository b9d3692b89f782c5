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

-- A checkout may be somebody else's: then the helpers are built in the spec's own folder.
local function folder()
  os.execute("mkdir -p " .. SHARED .. " 2>/dev/null")
  if writable(SHARED) then return SHARED end
  private = box.home .. "/helpers"
  os.execute("mkdir -p " .. private)
  return private
end

local function build(directory, name)
  local is_assembler = io.open("spec/helpers/" .. name .. ".S")
  if is_assembler then is_assembler:close() end
  local sources = ("spec/helpers/%s%s %s"):format(name, is_assembler and ".S" or ".c",
    table.concat(WITH[name] or {}, " "))
  local headers = "spec/helpers/*.h" .. (WITH[name] and " core/*.h" or "")
  local out = directory .. "/" .. name
  local flags = is_assembler and "-m32 -nostdlib -static" or "-std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread"
  return box.shell(('[ -e %s ] && [ -z "$(find %s %s -newer %s)" ] || { cc %s -o %s.$$ %s && mv %s.$$ %s; }')
    :format(out, sources, headers, out, flags, out, sources, out, out))
end

--- Builds the named helpers where they are older than their source. Returns the folder's absolute path.
function M.helpers(...)
  local directory = folder()
  for _, name in ipairs { ... } do
    local result = build(directory, name)
    assert(result.code == 0, result.stderr)
  end
  return require("moonbox.core").sys.realpath(directory)
end

--- The mount row and the option of `moonbox exec` that show the helpers inside.
function M.row(directory)
  return box.bind(directory, M.INSIDE, false)
end

function M.option(directory)
  return "--bind=" .. directory .. ":" .. M.INSIDE
end

return M
