--- Command line options: `--name value`, `--name=value`, flags, lists of repeated ones, and a policy's parameters.
local M = {}

local function names_of(kinds)
  local out = {}
  for name in pairs(kinds) do out[#out + 1] = "--" .. name end
  table.sort(out)
  return out
end

local function store(options, kind, name, value)
  if kind == "list" then
    options[name] = options[name] or {}
    table.insert(options[name], value)
  else
    options[name] = value
  end
end

-- `--name=value` of no option: what a policy's parameter is given.
local function parameter(options, name, value)
  options.parameters = options.parameters or {}
  if options.parameters[name] then return nil, "--" .. name .. " is given twice" end
  options.parameters[name] = value
  return 1
end

-- Takes one option at `at`; returns how many arguments it used, or nil and a sentence.
local function take(options, kinds, args, at, parameters)
  local name, value = args[at]:match("^%-%-([%w_-]+)=(.*)$")
  local bare = args[at]:match("^%-%-([%w_-]+)$")
  local kind = kinds[name or bare]
  if not kind and name and parameters then return parameter(options, name, value) end
  name = name or bare
  if not kind then
    local word = args[at]:match("^[^=]*"):gsub("%c", "?")
    local tail = require("moonbox.suggest").tail(word, names_of(kinds))
    if tail == "" and bare and parameters then tail = ("; a policy's parameter is given as %s=VALUE"):format(word) end
    return nil, ("unknown option %s%s"):format(word, tail)
  end
  if kind == "flag" then
    if value then return nil, "--" .. name .. " takes no value" end
    options[name] = true
    return 1
  end
  if not value and args[at + 1] == nil then return nil, "--" .. name .. " needs a value" end
  store(options, kind, name, value or args[at + 1])
  return value and 1 or 2
end

--- Parses `args`. `kinds` maps option names to "flag", "value" or "list".
-- Returns the options and the remaining arguments, or nil and a sentence. With `stop_at_command` everything from `--`
-- on, or from the first argument that is no option, is a command and left alone. With `parameters` every other
-- `--name=value` is a parameter's value and comes in options.parameters, name -> text.
function M.parse(args, kinds, settings)
  local options, rest, at = {}, {}, 1
  local stops = settings and settings.stop_at_command
  while at <= #args do
    local argument = args[at]
    if argument == "--" or (stops and argument:sub(1, 1) ~= "-") then
      for i = at + (argument == "--" and 1 or 0), #args do rest[#rest + 1] = args[i] end
      break
    elseif argument:sub(1, 1) == "-" and #argument > 1 then
      local used, message = take(options, kinds, args, at, settings and settings.parameters)
      if not used then return nil, message end
      at = at + used
    else
      rest[#rest + 1] = argument
      at = at + 1
    end
  end
  return options, rest
end

--- What moonbox.plan.load is to know of options that were parsed with `parameters`.
function M.for_plan(options, kinds)
  local own = {}
  for name in pairs(kinds) do own[#own + 1] = name end
  return { parameters = options.parameters, own = own }
end

--- The line of help about parameters.
M.PARAMETER = { "--NAME=VALUE", "gives the policy's parameter NAME its value" }

return M
