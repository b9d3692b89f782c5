--- `moonbox stats ID`.
local M = {
  about = "prints what a sandbox uses now",
  usage = "moonbox stats [--watch] [--json] ID",
  options = { { "--watch", "every second until the sandbox has ended" }, { "--json", "as JSON, one object a line" } },
}

local PERIOD = 1

local function text(stats)
  local size = require("moonbox.flows").size
  local use, limits = stats.usage, stats.limits
  local out = { stats.state, ("%d commands"):format(stats.commands) }
  if use.cpu_seconds then out[#out + 1] = ("cpu %.2f s"):format(use.cpu_seconds) end
  for _, name in ipairs { "memory", "disk" } do
    if use[name] then out[#out + 1] = ("%s %s of %s"):format(name, size(use[name]), size(limits[name])) end
  end
  if use.processes then out[#out + 1] = ("%d of %d processes"):format(use.processes, limits.processes) end
  if use.network then
    out[#out + 1] = ("network %s up, %s down, %d denied"):format(size(use.network.up), size(use.network.down),
      use.network.denied)
  end
  return table.concat(out, ", ") .. "\n"
end

function M.run(args)
  local by_id, sys = require "moonbox.by_id", require("moonbox.core").sys
  local options, id = by_id.parse(M, args, { watch = "flag", json = "flag" })
  if not options then return id end
  local box, refused = by_id.open(id)
  if not box then return refused end
  local shown = false
  repeat
    local stats, message, code = box:stats()
    if not stats then return shown and 0 or by_id.fail(code, message) end
    if options.json then by_id.json(stats) else by_id.print(text(stats)) end
    shown = true
    if options.watch then sys.sleep(PERIOD) end
  until not options.watch
  return 0
end

return M
