--- When a box may be the sandbox that `moonbox exec` began before Lua was there (core/head_start).
local core = require "moonbox.core"

local M = {}

--- What must be the same beside the plan, for core.head_start. Nil where `box` can't be such a sandbox: it has no
-- network, no hooks, and nothing on the host but processes and control groups. `options` as of moonbox.sandbox.open.
function M.terms(box, options)
  local plan, groups = box.plan, box.groups
  if not (options.early and options.signals) or options.storage or options.id or box.disk ~= "memory"
    or plan.network.mode ~= "none" or #(plan.hooks or {}) > 0 then
    return nil
  end
  return { pin = require("moonbox.holding").pin(plan, groups),
    keeper = groups.unified ~= "" or groups.memory.version > 0, groups_late = groups.unified == "" }
end

--- Makes it the box's: `running`, `id` and its keeper; and `started` where a command runs in it already. One that does
-- not fit ends here, before anything else of this box is made. Nil and a sentence when a command ran in that.
function M.take(box, terms)
  if not terms then
    core.head_start.drop()
    return true
  end
  local running, name, keeper, command, began = core.head_start.take(box.handle, terms)
  if running == false then
    return nil, "the command ran in a sandbox that is not the policy's, and was ended (a kept plan was spoilt, and is "
      .. "removed); run it again"
  end
  if running then box.running, box.id, box.keeper, box.own_keeper = running, name, keeper, keeper end
  box.started = command and { id = command, began = began }
  return true
end

return M
