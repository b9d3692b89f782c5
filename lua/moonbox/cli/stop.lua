--- `moonbox stop ID`.
local M = {
  about = "ends a sandbox: SIGTERM, then SIGKILL; its record stays",
  usage = "moonbox stop [--grace 10s] ID",
  options = { { "--grace TIME", "seconds, or 10s, 5m, 1h, between the two; the policy's when left out" } },
}

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id = by_id.parse(M, args, { grace = "value" })
  if not options then return id end
  local grace = options.grace and by_id.seconds(options.grace)
  if options.grace and not grace then
    return by_id.fail(by_id.USAGE, "--grace takes a time such as 10s, not " .. options.grace)
  end
  return by_id.call(id, "stop", grace)
end

return M
