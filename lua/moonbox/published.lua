--- Where on the host the ports of a sandbox are that its plan publishes.
local M = {}

--- Of a plan with a network, in the order of its rows: { { port = inside, at = "ADDRESS:PORT" of the host,
-- rule = "FILE:LINE" }, … }. `running` is the sandbox's handle (core.launch).
function M.of(plan, running)
  local out, found = {}, nil
  for _, rule in ipairs(plan.network.rules) do
    for _ in ipairs(rule.word == "publish" and rule.ports or {}) do
      found = found or running:published()
      local one = found[#out + 1]
      local host = one.address:find(":", 1, true) and "[" .. one.address .. "]" or one.address
      out[#out + 1] = { port = one.port, at = ("%s:%d"):format(host, one.host_port), rule = rule.from }
    end
  end
  return out
end

--- Tells a box's listener, once the box is its program's own.
function M.tell(box)
  for _, one in ipairs(box.published) do
    box.on_event { event = "published", port = one.port, at = one.at, rule = one.rule }
  end
end

return M
