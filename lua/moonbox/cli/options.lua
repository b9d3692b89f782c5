--- Command line options: `--name value`, `--name=value`, flags, and lists of repeated ones.
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

-- Takes one option at `at`; returns how many arguments it used, or nil and a sentence.
local function take(options, kinds, args, at)
  local name, value = args[at]:match("^%-%-([%w_-]+)=(.*)$")
  name = name or args[at]:match("^%-%-([%w_-]+)$")
  local kind = name and kinds[name]
  if not kind then
    local word = args[at]:match("^[^=]*"):gsub("%c", "?")
    return nil, ("unknown option %s%s"):format(word, require("moonbox.suggest").tail(word, names_of(kinds)))
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
-- on, or from the first argument that is no option, is a command and left alone.
function M.parse(args, kinds, settings)
  local options, rest, at = {}, {}, 1
  local stops = settings and settings.stop_at_command
  while at <= #args do
    local argument = args[at]
    if argument == "--" or (stops and argument:sub(1, 1) ~= "-") then
      for i = at + (argument == "--" and 1 or 0), #args do rest[#rest + 1] = args[i] end
      break
    elseif argument:sub(1, 1) == "-" and #argument > 1 then
      local used, message = take(options, kinds, args, at)
      if not used then return nil, message end
      at = at + used
    else
      rest[#rest + 1] = argument
      at = at + 1
    end
  end
  return options, rest
end

return M
