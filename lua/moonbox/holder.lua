--- Who holds the lock of a sandbox's folder: written into the lock itself.
local records = require "moonbox.sandbox_record"

local sys = require("moonbox.core").sys

local M = {}

--- Writes who holds the lock of a folder from now on, behind those before: should it stand still, it must be known who
-- is to be killed. Field 22 of proc(5)'s stat is when a process began; a pid alone may be another's later.
-- Returns true, or nil, sentence, CODE.
function M.write(path)
  local stat = (sys.read_file("/proc/self/stat", 4096) or ""):match("^.*%)%s(.*)$") or ""
  local n, started = 2, ""
  for field in stat:gmatch("%S+") do
    n = n + 1
    if n == 22 then started = field end
  end
  local file, message, code = sys.append_open(path .. "/lock")
  if not file then return nil, message, code end
  local written
  written, message, code = file:write(("%d %s %s\n"):format(sys.pid(), started, records.boot() or ""))
  file:close()
  return written, message, code
end

--- Who holds the lock of a folder, as a record tells it: { pid, pid_started, boot }, empty when that is not known.
function M.read(path)
  local pid, started, boot = (sys.read_file(path .. "/lock", 4096) or ""):match("(%d+) (%d+) (%S+)\n$")
  return { pid = tonumber(pid), pid_started = started, boot = boot }
end

return M
