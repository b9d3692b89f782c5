--- What a plan asks for and this version does not have. A sandbox whose plan asks for any of it is refused
-- (exit code 69) and not run without it: a weaker box than the policy's is not what was asked for.
local M = {}

--- An array of { text, from = "FILE:LINE" } in the plan's order; empty when the plan can be run in full.
function M.list(plan)
  local out = {}
  for _, rule in ipairs(plan.network.rules) do
    if rule.word == "publish" then
      out[#out + 1] = { from = rule.from,
        text = "publishing a port is not built yet; nothing reaches a sandbox from outside" }
    end
  end
  return out
end

--- The whole list as one sentence, or nil when it is empty.
function M.sentence(plan)
  local parts = {}
  for i, item in ipairs(M.list(plan)) do parts[i] = item.from .. ": " .. item.text end
  return #parts > 0 and table.concat(parts, "; ") or nil
end

return M
