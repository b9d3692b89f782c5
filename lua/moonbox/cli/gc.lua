--- `moonbox gc`: what dead supervisors left goes.
local M = {
  about = "removes what killed supervisors left, and with --ended the records of sandboxes that have ended",
  usage = "moonbox gc [--ended]",
  options = { { "--ended", "removes the records of sandboxes that have ended, too" } },
}

local LEFT = 1

function M.run(args)
  local by_id, sandboxes = require "moonbox.by_id", require "moonbox.sandboxes"
  local options, rest = require("moonbox.cli.options").parse(args, { ended = "flag" })
  if not options or #rest > 0 then return by_id.fail(by_id.USAGE, options and "usage: " .. M.usage or rest) end
  local can, cannot = by_id.can_look()
  if not can then return cannot end
  local found = sandboxes.reconcile()
  for _, id in ipairs(found.lost) do by_id.print(id .. ": its supervisor was dead; what it left is gone\n") end
  for _, sentence in ipairs(found.set_aside) do by_id.fail(0, sentence) end
  for _, id in ipairs(found.kept) do by_id.fail(0, id .. ": not all that it left can be removed; try again") end
  require("moonbox.sandbox").prepare()
  for _, data in ipairs(options.ended and require("moonbox").list() or {}) do
    if not data.alive then
      local removed, message = sandboxes.remove(data.id)
      if removed then by_id.print(data.id .. ": removed\n") else by_id.fail(0, message) end
    end
  end
  return #found.kept > 0 and LEFT or 0
end

return M
