--- `moonbox events ID`.
local M = {
  about = "prints what happened to a sandbox, one JSON object a line",
  usage = "moonbox events [-f] ID",
  options = { { "-f, --follow", "goes on until the sandbox has ended" } },
}

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id = by_id.parse(M, args, { follow = "flag" })
  if not options then return id end
  local box, refused = by_id.open(id)
  if not box then return refused end
  by_id.show(id, "events.jsonl", options.follow, function(line) return line end)
  return 0
end

return M
