--- What the command line says on stderr: a line each, and nothing in it that a terminal obeys.
local M = {}

--- Writes a line.
function M.line(text)
  text = require("moonbox.sanitise").line((text:gsub("\n%s*", " ")))
  require("moonbox.core").sys.write(2, text .. "\n")
end

--- Writes "moonbox: SENTENCE".
function M.say(sentence) M.line("moonbox: " .. sentence) end

--- The same, and returns the exit code that goes with it.
function M.fail(code, sentence)
  M.say(sentence)
  return code
end

return M
