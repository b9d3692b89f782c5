--- `moonbox version`, also `moonbox --version`.
local M = { about = "prints the version", usage = "moonbox version", options = {} }

function M.run()
  local core = require "moonbox.core"
  core.sys.write(1, "moonbox " .. core.version .. "\n")
  return 0
end

return M
