--- The command line: finds the command's own module and runs it. Returns the exit code.
--
-- Modules are loaded when they are needed and not before: a cold start is part of every sandbox's price.
local COMMANDS = { "check", "cp", "create", "destroy", "doctor", "events", "exec", "explain", "flows", "gc", "help",
  "inspect", "list", "logs", "network", "pause", "plan", "posture", "resume", "run", "stats", "stop", "version", "why" }
local USAGE, CANNOT, INTERNAL = 64, 69, 70

local aliases = { ["--version"] = "version", ["-V"] = "version", ["--help"] = "help", ["-h"] = "help" }

local function is_command(name)
  for _, known in ipairs(COMMANDS) do
    if known == name then return true end
  end
  return false
end

local function unknown(name)
  local tail = require("moonbox.suggest").tail(name, COMMANDS)
  local sentence = "there is no command `%s`%s; `moonbox help` lists them"
  return require("moonbox.tell").fail(USAGE, sentence:format(name, tail))
end

local function wants_help(args)
  if args[1] == "-h" then return true end
  for _, argument in ipairs(args) do
    if argument == "--" then return false end
    if argument == "--help" then return true end
  end
  return false
end

-- Why standard output did not take all that was printed, or nil. Who printed nothing has not loaded the module.
local function cut_short()
  local output = package.loaded["moonbox.output"]
  return output and output.trouble
end

return function(argv)
  -- Of moonbox's own making (moonbox.create), not for people.
  if argv[1] == "supervise" and #argv == 3 then return require("moonbox.supervisor").main(argv[2], argv[3]) end
  local name = aliases[argv[1]] or argv[1] or "help"
  if not is_command(name) then return unknown(name) end
  local args = {} -- there may be more than unpack can return
  for i = 2, #argv do args[i - 1] = argv[i] end
  -- The help of `run PIPELINE` tells of the pipeline's own parameters.
  if wants_help(args) and not (name == "run" and #args > 1) then
    name, args = "help", { name }
  end
  local code = require("moonbox.cli." .. name).run(args)
  if type(code) ~= "number" then return INTERNAL end
  local trouble = cut_short()
  if trouble then
    require("moonbox.core").sys.write(2, ("moonbox: what was printed is cut short: %s\n"):format(trouble))
  end
  return trouble and code == 0 and CANNOT or code
end
