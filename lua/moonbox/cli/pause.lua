--- `moonbox pause ID`.
local M = {
  about = "stops every process of a sandbox; its time goes on",
  usage = "moonbox pause ID",
  options = {},
}

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id = by_id.parse(M, args, {})
  if not options then return id end
  return by_id.call(id, "pause")
end

return M
