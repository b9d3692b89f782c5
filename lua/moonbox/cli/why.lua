--- `moonbox why POLICY HOST[:PORT]`: whether a policy lets a host be reached, and which line says so.
local M = {
  about = "says whether a policy allows a host, and which line of it decides",
  usage = "moonbox why [--json] POLICY [--NAME=VALUE]… HOST[:PORT]",
  options = {
    { "HOST[:PORT]", "a name or an address; without a port, all ports; [2001:db8::1]:443 for IPv6" },
    require("moonbox.cli.options").PARAMETER,
    { "--json", "prints { host, port, allow, answered, decisions } as JSON" },
    { "(ends with)", "0 when it is allowed, on some port if none is given; 1 when it is denied" },
  },
}

local DENIED, USAGE, INTERNAL = 1, 64, 70

local KINDS = { json = "flag" }

local function fail(code, text) return require("moonbox.tell").fail(code, text) end

local function as_json(answer)
  local json = require "moonbox.json"
  answer.decisions = json.array(answer.decisions)
  for _, one in ipairs(answer.decisions) do one.ports = one.ports and json.array(one.ports) end
  return json.encode(answer, { pretty = true }) .. "\n"
end

function M.run(args)
  local parser = require "moonbox.cli.options"
  local o, rest = parser.parse(args, KINDS, { parameters = true })
  if not o or #rest ~= 2 then
    return fail(USAGE, o and "why needs a policy and a host; usage: " .. M.usage or rest)
  end
  local why = require "moonbox.why"
  local host, wrong = why.host(rest[2])
  if not host then return fail(USAGE, ('"%s" %s'):format(require("moonbox.say").plain(rest[2]), wrong)) end
  local plan, diagnostics = require("moonbox.plan").load(rest[1], parser.for_plan(o, KINDS))
  if not plan then return require("moonbox.policy").complain(diagnostics) end
  local answer, message = why.answer(plan, host)
  if not answer then return fail(INTERNAL, message) end
  require("moonbox.output").print(o.json and as_json(answer) or why.text(answer))
  return answer.allow and 0 or DENIED
end

return M
