--- `moonbox resume ID`.
local M = {
  about = "lets a paused sandbox go on",
  usage = "moonbox resume ID",
  options = {},
}

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id = by_id.parse(M, args, {})
  if not options then return id end
  return by_id.call(id, "resume")
end

return M
