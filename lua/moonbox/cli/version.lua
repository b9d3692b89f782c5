--- `moonbox version`, also `moonbox --version`.
local M = { about = "prints the version", usage = "moonbox version", options = {} }

function M.run()
  local core = require "moonbox.core"
  require("moonbox.output").print("moonbox " .. core.version .. "\n")
  return 0
end

return M
