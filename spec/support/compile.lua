--- Compiles spec/helpers/NAME.c (or NAME.S) into one folder that boxes get to see at M.INSIDE.
local box = require "support.box"

local M = { INSIDE = "/opt/spec" }

local SHARED = "build/spec"
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

--- Builds the named helpers where they are older than their source. Returns the folder's absolute path.
function M.helpers(...)
  local directory = folder()
  for _, name in ipairs { ... } do
    local is_assembler = io.open("spec/helpers/" .. name .. ".S")
    if is_assembler then is_assembler:close() end
    local source = "spec/helpers/" .. name .. (is_assembler and ".S" or ".c")
    local out = directory .. "/" .. name
    local flags = is_assembler and "-m32 -nostdlib -static" or "-std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread"
    local result = box.shell(("[ %s -nt %s ] && [ %s -nt spec/helpers/answer.h ] || { cc %s -o %s.$$ %s && mv %s.$$ %s; }")
      :format(out, source, out, flags, out, source, out, out))
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
