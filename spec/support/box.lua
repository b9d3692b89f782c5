--- For specs that run sandboxes: a private state folder, `moonbox exec`, plans from the shipped policy, and boxes
-- opened through the Lua API.
--
-- Call M.enter in `setup` and M.leave in `teardown`. M.home is the private folder in between.
local runs = require "support.runs"

local ffi = require "ffi"

ffi.cdef [[ int setenv(const char *name, const char *value, int overwrite); ]]

local M = { program = os.getenv("MOONBOX_PROGRAM") or "build/moonbox", quote = runs.quote, read = runs.read }

--- A private folder, and in it the state folder of every moonbox that this spec starts. Everyone may pass through, so
-- that what a box can't reach is held by the box and not by this folder's mode.
function M.enter()
  M.home = runs.folder()
  M.state = M.home .. "/state"
  runs.shell("chmod 755 " .. runs.quote(M.home))
  M.use_state(M.state)
end

--- The state folder of every box from now on, whether by the program or the API. Its modules are as in a new program.
function M.use_state(path)
  ffi.C.setenv("MOONBOX_STATE", path, 1)
  package.loaded["moonbox.sandbox"] = nil -- it remembers the state folder
end

function M.leave()
  runs.remove(M.home)
  M.home, M.state = nil, nil
end

--- Runs a shell command on the host: { code, stdout, stderr }.
function M.shell(command)
  local code, out, err = runs.shell(command)
  return { code = code, stdout = out, stderr = err }
end

local function words(list)
  local quoted = {}
  for i, word in ipairs(list) do quoted[i] = runs.quote(word) end
  return table.concat(quoted, " ")
end

M.words = words

--- The shell text of `moonbox exec OPTIONS -- COMMAND`.
function M.line(options, command)
  return ("%s exec %s -- %s"):format(M.program, words(options or {}), words(command))
end

--- Runs `moonbox exec OPTIONS -- COMMAND` with stdin at its end: { code, stdout, stderr }.
function M.exec(options, command)
  return M.shell(M.line(options, command) .. " </dev/null")
end

--- Runs a shell script in a fresh sandbox.
function M.sh(script, options)
  return M.exec(options, { "/bin/sh", "-c", script })
end

--- The plan of a shipped policy, as `change(plan)` leaves it.
function M.plan(change, policy)
  local plan, diagnostics = require("moonbox.plan").load(policy or "offline")
  assert(plan, diagnostics and diagnostics[1] and diagnostics[1].message)
  if change then change(plan) end
  return plan
end

--- A row for plan.mounts.
function M.bind(source, target, writable)
  return { kind = "bind", source = source, target = target, read_only = not writable, as_agent = true }
end

--- Opens a box on a plan; raises with the sentence when it can't be.
function M.open(plan, options)
  local box, message = require("moonbox.sandbox").open(plan, options)
  assert(box, message)
  return box
end

--- Runs a shell script in an open box; raises when the box fails. Returns the outcome.
function M.inside(box, script, spec)
  spec = spec or {}
  spec.run = { "/bin/sh", "-c", script }
  local outcome, message = box:exec(spec)
  assert(outcome, message)
  return outcome
end

--- One-shot: opens a box on `plan`, runs `command` (an array) in it, closes it. Returns the outcome.
function M.once(plan, command, options)
  local box = M.open(plan, options)
  local outcome, message = box:exec { run = command }
  local closed, why = box:close()
  assert(outcome, message)
  assert(closed, why)
  return outcome
end

--- "NAME ANSWER" lines of a helper as a table.
function M.answers(text)
  local out = {}
  for line in text:gmatch("[^\n]+") do
    local name, answer = line:match("^(%S+) (.*)$")
    if name then out[name] = answer end
  end
  return out
end

--- Waits until `check()` is true, at most `seconds`; returns what it last returned.
function M.wait_for(check, seconds)
  local sys = require("moonbox.core").sys
  local till = sys.monotonic() + seconds
  repeat
    local result = check()
    if result then return result end
    os.execute("sleep 0.05")
  until sys.monotonic() > till
  return check()
end

return M
