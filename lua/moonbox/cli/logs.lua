--- `moonbox logs ID`.
local M = {
  about = "prints what a sandbox's supervisor had to say; output of commands goes to whoever started them",
  usage = "moonbox logs [-f] ID",
  options = { { "-f, --follow", "goes on until the sandbox has ended" } },
}

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id = by_id.parse(M, args, { follow = "flag" })
  if not options then return id end
  local box, refused = by_id.open(id)
  if not box then return refused end
  by_id.show(id, "supervisor.log", options.follow, require("moonbox.sanitise").line)
  return 0
end

return M
