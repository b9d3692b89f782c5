--- `moonbox exec ID … -- COMMAND`: a command in a sandbox that is there. Without options core/quick.c does it.
local M = {}

local USAGE = 64

--- Runs it. `environment` turns the list of --env into variables. Returns the exit code.
function M.run(id, options, command, environment)
  local by_id, stdio = require "moonbox.by_id", require "moonbox.stdio"
  local sys = require("moonbox.core").sys
  local env, why = environment(options.env)
  if not env then return by_id.fail(USAGE, why) end
  local asked = options.timeout or options.time
  local time = asked and by_id.seconds(asked)
  if asked and not (time and time > 0) then
    return by_id.fail(USAGE, "--timeout takes a time such as 300s or 5m, not " .. asked)
  end
  if options.user and options.user ~= "agent" and options.user ~= "1000" then
    return by_id.fail(USAGE, "--user: a sandbox has one user, agent; there is no " .. options.user .. " in it")
  end
  local terminal = sys.isatty(0) and sys.isatty(1)
  if options.tty and not terminal then return by_id.fail(USAGE, "--tty needs a terminal on stdin and stdout") end
  if not require("moonbox.sandboxes").valid(id) then
    return by_id.fail(USAGE, id .. " is no sandbox's id; a command in a fresh sandbox comes behind `exec --`")
  end
  local box, refused = by_id.open(id)
  if not box then return refused end
  local tty = terminal and not options["no-tty"]
  if tty then sys.raw(0) end
  local outcome, message, code = box:exec { run = command, env = env, cwd = options.cwd, time = time, tty = tty,
    stdin = stdio.INHERIT, stdout = stdio.INHERIT, stderr = stdio.INHERIT, signals = true,
    log = not options["no-log"] }
  if tty then sys.cooked() end
  if not stdio.delivered(outcome) then return by_id.fail(code, message) end
  if outcome.unlogged then by_id.fail(0, outcome.unlogged) end
  if outcome.sentence then by_id.fail(0, outcome.sentence) end
  return outcome.code
end

return M
