--- Where a command's streams go: the words of box:exec as core.launch's handles know them.
local M = {}

--- Values for `stdin`, `stdout`, `stderr` of box:exec: the caller's own; kept and returned; the same as stdout.
M.INHERIT, M.CAPTURE, M.STDOUT = "pass", "capture", "merge"

local KEPT, UNDELIVERED = 2 ^ 20, 69

--- An output: `value` is nil or M.CAPTURE, M.INHERIT, M.STDOUT, { log = path, keep = bytes }, or
-- { pass = descriptor }, the caller's. `spec.keep` bytes are
-- captured (1 MiB by default), and `spec.on_output` sees all of them.
function M.output(value, spec)
  if value == nil or value == M.CAPTURE then
    return { capture = spec.keep or KEPT, observe = spec.on_output ~= nil }
  end
  if type(value) == "table" then
    if value.pass then return value end
    return { log = value.log, keep = value.keep, observe = spec.on_output ~= nil }
  end
  return value
end

--- Rows and columns of a command's terminal, if it is to have one: the caller's, or what terminals always had.
function M.size(tty)
  local rows, cols
  if tty then rows, cols = require("moonbox.core").sys.winsize(1) end
  if rows then return rows, cols end
  return 24, 80
end

--- For who runs a command on its own descriptors: one whose output they did not take in full has not succeeded.
-- Returns the outcome, with a sentence and an exit code that say so; `undelivered` comes from core/sandbox.h.
function M.delivered(outcome)
  if outcome and outcome.undelivered then
    outcome.sentence = outcome.sentence or outcome.undelivered
    if outcome.code == 0 then outcome.code = UNDELIVERED end
  end
  return outcome
end

--- The input: nothing, M.INHERIT, a text, or { pass = descriptor }, the caller's.
function M.input(value)
  if value == nil then return "null" end
  if value == M.INHERIT then return "pass" end
  return type(value) == "table" and value or { feed = value }
end

return M
