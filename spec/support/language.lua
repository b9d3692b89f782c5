--- What specs of the policy language need: the real core where it is built, and without it a core that
-- evaluates in this process (no budget, no YAML), so that the language can be worked on before anything is
-- compiled.
local M = {}

local function lines_of(command)
  local pipe = io.popen(command)
  local out = {}
  for line in pipe:lines() do out[#out + 1] = line end
  pipe:close()
  return out
end

local function in_process()
  return { sys = {
    executable = function() return nil end,
    euid = function() return 1000 end,
    list = function(path) return lines_of("ls -1 '" .. path .. "' 2>/dev/null") end,
    stat = function(path)
      local handle = io.open(path)
      if not handle then return nil, "No such file or directory", "ENOENT" end
      handle:close()
      return { kind = "file" }
    end,
  }, sacrifice = function(work)
    return { finish = function()
      local ok, text = pcall(work)
      if ok then return text end
      return nil, tostring(text), "ELUA"
    end }
  end }
end

local ok, core = pcall(require, "moonbox.core")
if not ok then
  core = in_process()
  package.loaded["moonbox.core"] = core
end

--- Whether moonbox.core is the compiled one.
M.real = ok

--- moonbox.core, real or not.
M.core = core

--- Facts of a host with merged directories, the same on every machine.
M.host = { root = false, links = { bin = "usr/bin", sbin = "usr/sbin", lib = "usr/lib",
  lib64 = "usr/lib64" } }

local made = {}

--- The path of a new file with this text and ending. Removed by M.clean.
function M.file(text, ending)
  local path = os.tmpname()
  os.remove(path)
  path = path .. (ending or ".lua")
  local handle = assert(io.open(path, "wb"))
  handle:write(text)
  handle:close()
  made[#made + 1] = path
  return path
end

function M.clean()
  for _, path in ipairs(made) do os.remove(path) end
  made = {}
end

--- Loads policy text: data, or nil and the diagnostics as one text of `LINE: sentence` lines.
function M.policy(text, ending, options)
  return M.told(require("moonbox.policy").load(M.file(text, ending), options))
end

function M.pipeline(text, options)
  return M.told(require("moonbox.pipeline_file").load(M.file(text), options))
end

function M.told(data, diagnostics)
  if data then return data end
  local out = {}
  for i, d in ipairs(diagnostics) do out[i] = ("%s: %s"):format(d.line or "-", d.text) end
  return nil, table.concat(out, "\n")
end

return M
