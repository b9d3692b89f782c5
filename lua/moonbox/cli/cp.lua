--- `moonbox cp`.
local M = {
  about = "copies files and folders between the host and a sandbox",
  usage = "moonbox cp PATH ID:PATH\n     or moonbox cp ID:PATH PATH",
  options = {},
}

local USAGE = 64

-- "ID:PATH" as both, or nil for a path of the host's; one with a colon is written ./a:b.
local function inside(text)
  local id, path = text:match("^([^/:]+):(.*)$")
  if id and require("moonbox.sandboxes").valid(id) then return id, path end
end

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, rest = require("moonbox.cli.options").parse(args, {})
  if not options then return by_id.fail(USAGE, rest) end
  if #rest ~= 2 then return by_id.fail(USAGE, "usage: " .. M.usage) end
  local from_id, from = inside(rest[1])
  local to_id, to = inside(rest[2])
  if (from_id == nil) == (to_id == nil) then
    return by_id.fail(USAGE, "cp copies between the host and one sandbox: one of the two is ID:PATH")
  end
  local box, refused = by_id.open(from_id or to_id)
  if not box then return refused end
  local files = require "moonbox.files"
  local left_out, message, code
  if to_id then
    left_out, message, code = files.copy_in(box, rest[1], to)
  else
    left_out, message, code = files.copy_out(box, from, rest[2])
  end
  if not left_out then return by_id.fail(code, message) end
  for _, sentence in ipairs(left_out) do by_id.fail(0, sentence) end
  return 0
end

return M
