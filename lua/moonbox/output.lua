--- What a command of the command line prints on standard output; moonbox.main asks whether it came through.
local sys = require("moonbox.core").sys

local M = {}

--- Writes a text to standard output. Returns true, or nil and a message. The first failure is kept as `M.trouble`,
-- unless it is that nobody reads any more (EPIPE, as of `| head`).
function M.print(text)
  local written, message, code = sys.write(1, text)
  if not written and code ~= "EPIPE" then
    M.trouble = M.trouble or (message:gsub("^write: ", "standard output: "))
  end
  return written, message
end

return M
