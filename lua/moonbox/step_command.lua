--- What a `do` function passes to box:exec: the arguments themselves, or run = {…}, with env, cwd, stdin and time.
local say = require "moonbox.say"
local units = require "moonbox.units"
local values = require "moonbox.values"

local M = {}

-- Bytes of each output that are kept for the function.
local KEEP_BYTES = 2 ^ 20

local FIELDS = { run = "table", env = "table", cwd = "string", stdin = "string", time = "number" }

-- A copy of a list of arguments, numbers as text.
local function arguments(list)
  local out = {}
  for i, argument in ipairs(list) do
    if type(argument) == "number" then argument = tostring(argument) end
    if type(argument) ~= "string" then
      return nil, ("box:exec takes arguments that are text; argument %d is a %s"):format(i, type(argument))
    end
    if argument:find("%z") then return nil, ("box:exec: argument %d has a NUL byte in it"):format(i) end
    out[i] = argument
  end
  for key in pairs(list) do
    if type(key) == "number" and not out[key] then
      return nil, ("box:exec: argument %g has no argument %d before it"):format(key, #out + 1)
    end
  end
  if #out == 0 then return nil, "box:exec needs a command: a list of at least one argument" end
  return out
end

local check = {}

function check.env(env)
  for name, value in pairs(env) do
    local wrong = values.env_name_wrong(name)
    if wrong then return ('box:exec: env: "%s" %s'):format(say.plain(name), wrong) end
    if type(value) ~= "string" and type(value) ~= "number" then
      return ("box:exec: env: %s takes text, not a %s"):format(name, type(value))
    end
    if tostring(value):find("%z") then return ("box:exec: env: %s has a NUL byte in it"):format(name) end
  end
end

function check.cwd(cwd)
  if cwd:sub(1, 1) ~= "/" or cwd:find("%z") then return "box:exec: cwd is an absolute path" end
end

-- What is no number at all isn't above 0 either.
function check.time(time)
  if time <= 0 or time ~= time then return "box:exec: time is above 0: seconds, or a time such as 5 * minutes" end
end

local function wrong_field(key, value)
  if not FIELDS[key] then
    return "box:exec knows run, env, cwd, stdin and time; not " .. tostring(key)
  end
  if type(value) ~= FIELDS[key] then return "box:exec takes a " .. FIELDS[key] .. " for " .. key end
  return check[key] and check[key](value)
end

--- The spec of moonbox.sandbox's Box:exec for what was given, or nil and a sentence.
function M.read(given)
  if type(given) ~= "table" then return nil, "box:exec takes a table" end
  local spec = { keep = KEEP_BYTES }
  for key, value in pairs(given) do
    if type(key) ~= "number" then
      local parts = key == "time" and units.parts(value)
      if parts and parts[1] == "time" then value = parts[2] end
      local wrong = wrong_field(key, value)
      if wrong then return nil, wrong end
      spec[key] = value
    end
  end
  if spec.run and given[1] ~= nil then return nil, "box:exec takes the command once: as a list or as run" end
  local message
  spec.run, message = arguments(spec.run or given)
  return spec.run and spec, message
end

return M
