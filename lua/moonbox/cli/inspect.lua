--- `moonbox inspect ID`.
local M = {
  about = "prints the record of a sandbox and its plan, as JSON",
  usage = "moonbox inspect ID",
  options = {},
}

function M.run(args)
  local by_id, sandboxes = require "moonbox.by_id", require "moonbox.sandboxes"
  local options, id = by_id.parse(M, args, {})
  if not options then return id end
  local data, alive = sandboxes.look(id)
  if not data then return by_id.fail(by_id.NOT_THERE, alive) end
  data.alive, data.plan = alive, sandboxes.plan((sandboxes.dir(id)))
  by_id.print(require("moonbox.json").encode(data, { pretty = true }) .. "\n")
  return 0
end

return M
