--- Things outside a box that must be as they were after a probe: files, a process, listening sockets.
--
-- local canary = M.plant{ folder = }; canary:check() returns an array of sentences, empty when all is well.
local box = require "support.box"
local core = require "moonbox.core"

local sys = core.sys

local M = {}
M.__index = M

--- Adds a file with a random secret. `path` must not exist yet.
function M:file(path, mode)
  assert(not sys.lstat(path), path .. " exists already")
  local secret = "canary-" .. sys.random_hex(16)
  assert(sys.write_file(path, secret, mode or 384))
  local stat = sys.stat(path)
  self.files[#self.files + 1] = { path = path, secret = secret, mtime = stat.mtime, mode = stat.mode, uid = stat.uid }
  return secret
end

--- Starts a process that must stay alive, unstopped and untraced. Returns its pid.
function M:process()
  local result = box.shell("sleep 600 </dev/null >/dev/null 2>&1 & echo $!")
  local pid = assert(tonumber(result.stdout))
  self.processes[#self.processes + 1] = pid
  return pid
end

--- The directory must hold the same names afterwards.
function M:directory(path)
  local names = sys.list(path)
  table.sort(names)
  self.directories[path] = table.concat(names, "\n")
end

local function check_file(file, wrong)
  local stat = sys.lstat(file.path)
  if not stat or box.read(file.path) ~= file.secret then
    wrong[#wrong + 1] = file.path .. " was changed or removed"
  elseif stat.mtime ~= file.mtime or stat.mode ~= file.mode or stat.uid ~= file.uid then
    wrong[#wrong + 1] = file.path .. " was touched"
  end
end

local function check_process(pid, wrong)
  local status = box.read(("/proc/%d/status"):format(pid)) or ""
  local state, tracer = status:match("State:\t(%a)"), status:match("TracerPid:\t(%d+)")
  if not state or state == "Z" then
    wrong[#wrong + 1] = "the canary process was killed"
  elseif state == "T" or state == "t" or tracer ~= "0" then
    wrong[#wrong + 1] = "the canary process was stopped or traced"
  end
end

--- What changed, as an array of sentences.
function M:check()
  local wrong = {}
  for _, file in ipairs(self.files) do check_file(file, wrong) end
  for _, pid in ipairs(self.processes) do check_process(pid, wrong) end
  for path, before in pairs(self.directories) do
    local names = sys.list(path) or {}
    table.sort(names)
    if table.concat(names, "\n") ~= before then wrong[#wrong + 1] = path .. " holds other names than before" end
  end
  return wrong
end

--- Ends and removes what was planted.
function M:remove()
  for _, pid in ipairs(self.processes) do os.execute(("kill -9 %d 2>/dev/null"):format(pid)) end
  for _, file in ipairs(self.files) do os.remove(file.path) end
  self.files, self.processes, self.directories = {}, {}, {}
end

function M.plant()
  return setmetatable({ files = {}, processes = {}, directories = {} }, M)
end

return M
