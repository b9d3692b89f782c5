--- For specs that run the built moonbox: a private folder per spec, pipelines written into it, records read
-- back.
local M = {}

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

M.quote = quote

--- Whether there is a binary to run at all.
function M.built()
  local handle = io.open("build/moonbox", "rb")
  if handle then handle:close() end
  return handle ~= nil
end

--- Runs a shell command of the spec's own; returns its exit code, stdout and stderr.
function M.shell(command)
  local errors = os.tmpname()
  local pipe = io.popen("( " .. command .. "\n) 2>" .. errors .. '; printf "code %d\\n" $?')
  local out = pipe:read("*a")
  pipe:close()
  local handle = io.open(errors)
  local err = handle:read("*a")
  handle:close()
  os.remove(errors)
  local text, code = out:match("^(.*)code (%d+)\n$")
  return tonumber(code), text, err
end

--- A new private folder; remove it with M.remove.
function M.folder()
  local _, out = M.shell("mktemp -d")
  return (out:gsub("\n$", ""))
end

function M.remove(path)
  M.shell("chmod -R u+rwX " .. quote(path) .. " 2>/dev/null; rm -rf " .. quote(path))
end

function M.write(path, text)
  local handle = assert(io.open(path, "wb"))
  handle:write(text)
  handle:close()
  return path
end

function M.read(path)
  local handle = io.open(path, "rb")
  if not handle then return nil end
  local text = handle:read("*a")
  handle:close()
  return text
end

--- The resident memory of a process, in bytes; of this one without a pid. 0 when it has ended.
function M.resident(pid)
  local status = M.read(("/proc/%s/status"):format(pid or "self")) or ""
  return (tonumber(status:match("VmRSS:%s+(%d+)")) or 0) * 1024
end

--- Runs `moonbox run`. `state` is the state folder, `arguments` an array, `env` a string such as "KEY=x".
-- Returns exit code, stdout, stderr and the path of the newest task's record.
function M.run(state, arguments, env)
  local words = {}
  for i, argument in ipairs(arguments) do words[i] = quote(argument) end
  local code, out, err = M.shell("MOONBOX_STATE=" .. quote(state) .. " " .. (env or "") .. " build/moonbox run "
    .. table.concat(words, " "))
  local _, newest = M.shell("ls -1t " .. quote(state) .. "/tasks 2>/dev/null | head -1")
  newest = newest:gsub("\n$", "")
  return code, out, err, newest ~= "" and state .. "/tasks/" .. newest or nil
end

--- Writes a pipeline into `folder` and runs it; the rest is as with M.run.
function M.pipeline(folder, text, arguments, env)
  local path = M.write(folder .. "/pipeline.lua", text)
  return M.run(folder .. "/state", { path, unpack(arguments or {}) }, env)
end

--- The events of a record, as tables, and those named `name` only.
function M.events(record, name)
  local json = require "moonbox.json"
  local list = {}
  for line in M.read(record .. "/events.jsonl"):gmatch("[^\n]+") do
    local event = assert(json.decode(line))
    if not name or event.event == name then list[#list + 1] = event end
  end
  return list
end

return M
