--- The record of a sandbox by id: what its folder's sandbox.json and plan.json say, read with suspicion, for it may
-- come from a disk that was full or lost its power, or from another start of the machine.
local json = require "moonbox.json"

local sys = require("moonbox.core").sys

local M = {}

local PRIVATE = 384 -- 0600
local JSON_BYTES = 16 * 2 ^ 20

--- Writes a sandbox.json, whole or not at all. Returns true, or nil, sentence, CODE.
function M.write(path, value)
  return sys.write_file(path, json.encode(value, { pretty = true }) .. "\n", PRIVATE)
end

--- Which folder this is, whatever its name: a copy of it is another.
function M.place(path) return (sys.identity(path) or ""):match("^%x+:%x+") end

--- Which start of this machine this is (random(4)): pids and their times are from one only.
function M.boot() return (sys.read_file("/proc/sys/kernel/random/boot_id", 100) or ""):match("%S+") end

local STATES = { creating = true, running = true, paused = true, stopping = true, ended = true }

local function is_pid(value)
  return type(value) == "number" and value > 1 and value < 2 ^ 31 and value == math.floor(value)
end

-- Whether all that is used of a record is as moonbox writes it.
local function is_record(data, path)
  return type(data) == "table" and data.id == path:match("[^/]+$") and STATES[data.state] ~= nil
    and type(data.box) == "string" and data.box:find("^%x+$") ~= nil and #data.box == 16
    and (data.pid == nil or is_pid(data.pid) and type(data.pid_started) == "string")
end

--- What sandbox.json of a folder says, or nil and a sentence.
function M.read(path)
  local text, message = sys.read_file(path .. "/sandbox.json", JSON_BYTES)
  local data = text and json.decode(text)
  if is_record(data, path) then return data end
  return nil, text and path .. "/sandbox.json is no record of a sandbox" or message
end

local PARTS = { "user", "mounts", "network", "process", "rlimits", "limits", "env", "hooks" }

local function is_plan(plan)
  if type(plan) ~= "table" or type(plan.cwd) ~= "string" then return false end
  for _, name in ipairs(PARTS) do
    if type(plan[name]) ~= "table" then return false end
  end
  return type(plan.limits.grace) == "number" and type(plan.limits.disk) == "number"
end

--- The plan of a folder, or nil and a sentence.
function M.plan(path)
  local text, message = sys.read_file(path .. "/plan.json", JSON_BYTES)
  local plan = text and json.decode(text)
  if is_plan(plan) then return plan end
  return nil, message or path .. "/plan.json is no plan"
end

return M
