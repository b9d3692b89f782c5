--- Brings what a command in a box writes into a new file of the record.
local sys = require("moonbox.core").sys

local M = {}

--- Runs `spec` (as of box:exec, its output is not kept besides) by exec(spec) -> outcome or nil, message. All of its
-- stdout is in the file `target` then, whose place must be free: the number of its bytes, and the outcome. Nil and a
-- message when exec failed, when there were more than `most` bytes (a file that grows is never trusted to end), or when
-- they could not be written; there is no file then.
function M.output(exec, spec, target, most)
  local out, message = sys.append_open(target)
  if not out then return nil, message end
  local bytes, trouble = 0, nil
  spec.keep = 0
  function spec.on_output(stream, part)
    if stream == "stderr" or trouble then return end
    bytes = bytes + #part
    local written, why = nil, "it is larger than " .. require("moonbox.units").show("size", most)
    if bytes <= most then written, why = out:write(part) end
    trouble = not written and why or nil
  end
  local outcome, why = exec(spec)
  out:close()
  if outcome and not trouble then return bytes, outcome end
  sys.unlink(target)
  return nil, trouble or why
end

return M
