--- `moonbox check FILE…`: reads policies and pipelines and says what is wrong with them, all at once.
local M = {
  about = "reads policies and pipelines and says everything that is wrong with them",
  usage = "moonbox check [--json] FILE... [--NAME=VALUE]…",
  options = { { "--json", "prints one JSON array of { file, line, text }" },
    { "--NAME=VALUE", "a value of a policy's parameter; what needs one that is not given is not checked" } },
}

local KINDS_OF_FILE = { policy = true, pipeline = true, group = true }

--- The container word that a file calls first, by its text: pipelines and policies are both Lua. Comments and
-- strings do not count. A file that calls neither is judged as a policy. So is what is no regular file,
-- which could keep us waiting: a policy's evaluation has a budget.
function M.kind(path)
  local stat = path:match("%.lua$") and require("moonbox.core").sys.stat(path)
  if not stat or stat.kind ~= "file" then return "policy" end
  local text = require("moonbox.loader").read(path)
  return text and require("moonbox.lines").first_call(text, KINDS_OF_FILE) or "policy"
end

--- The diagnostics of one file or shipped name: an array, empty when nothing is wrong. `options` as of
-- moonbox.policy.begin.
function M.diagnostics(argument, options)
  local data, diagnostics
  local kind = M.kind(argument)
  if kind == "pipeline" then
    data, diagnostics = require("moonbox.pipeline_file").load(argument)
  elseif kind == "group" then
    data, diagnostics = require("moonbox.policy").load_group(argument)
  else
    options = options or {}
    options.partial = true
    data, diagnostics = require("moonbox.policy").load(argument, options)
  end
  return data and {} or diagnostics
end

local KINDS = { json = "flag" }

function M.run(args)
  local parser = require "moonbox.cli.options"
  local o, rest = parser.parse(args, KINDS, { parameters = true })
  if not o or #rest == 0 then
    return require("moonbox.tell").fail(64, o and "check needs a file; usage: " .. M.usage or rest)
  end
  local json = require "moonbox.json"
  local all = json.array {}
  for _, argument in ipairs(rest) do
    for _, d in ipairs(M.diagnostics(argument, parser.for_plan(o, KINDS))) do all[#all + 1] = d end
  end
  local sanitise = require "moonbox.sanitise"
  for _, d in ipairs(o.json and all or {}) do
    d.file, d.text = sanitise.line(d.file), sanitise.line(d.text)
  end
  if o.json then require("moonbox.output").print(json.encode(all, { pretty = true }) .. "\n") end
  if not o.json then require("moonbox.policy").complain(all) end
  return #all > 0 and require("moonbox.policy").code(all) or 0
end

return M
