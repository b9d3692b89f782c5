--- The option `--bind` of commands that make sandboxes.
local sys = require("moonbox.core").sys

local M = {}

--- HOST[:INSIDE][:rw|:ro] -> a mount row of a plan, or nil and a sentence.
function M.row(text)
  local paths = require "moonbox.paths"
  local parts = {}
  for part in (text .. ":"):gmatch("([^:]*):") do parts[#parts + 1] = part end
  local mode = (parts[#parts] == "rw" or parts[#parts] == "ro") and #parts > 1 and table.remove(parts) or "ro"
  if #parts > 2 or parts[1] == "" then return nil, "--bind takes HOST[:INSIDE][:rw], not " .. text end
  local source, why = sys.realpath(parts[1])
  if not source then return nil, "--bind: " .. why end
  local target = parts[2] or source
  local wrong = paths.wrong(target) or paths.target("bind", target)
  if wrong then return nil, ('--bind: "%s" inside %s'):format(target, wrong) end
  wrong = paths.source(source)
  if wrong then return nil, ('--bind: "%s" %s'):format(source, wrong) end
  return { kind = "bind", source = source, target = target, read_only = mode == "ro", as_agent = true }
end

return M
