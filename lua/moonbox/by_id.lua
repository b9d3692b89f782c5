--- What the commands about sandboxes by id share: their arguments, their sentences.
local M = {}

M.USAGE, M.CANNOT, M.NOT_THERE = 64, 69, 125

local function sys() return require("moonbox.core").sys end

--- Writes a sentence to stderr and returns the exit code.
function M.fail(code, text) return require("moonbox.tell").fail(code, text) end

function M.print(text) return require("moonbox.output").print(text) end

--- Whether it can be known which sandboxes there are: true; or nil and an exit code when no state directory is known
-- or its folder can't be read, which has been said. A folder that is not there has none.
function M.can_look()
  local root, message = require("moonbox.task").root()
  if not root then return nil, M.fail(M.USAGE, message) end
  local names, why, code = sys().list(root .. "/sandboxes")
  if not names and code ~= "ENOENT" then return nil, M.fail(M.CANNOT, why) end
  return true
end

--- Prints a table as one line of JSON.
function M.json(value) return M.print(require("moonbox.json").encode(value) .. "\n") end

--- Parses the arguments of a command about one sandbox: options, its id, the arguments behind it. Returns nil and
-- an exit code when they are wrong, which has been said. `extra` arguments come behind the id, or { from, to }.
-- `settings` as of moonbox.cli.options.
function M.parse(command, args, kinds, extra, settings)
  local given = {}
  for i, argument in ipairs(args) do given[i] = argument == "-f" and kinds.follow and "--follow" or argument end
  local options, rest = require("moonbox.cli.options").parse(given, kinds, settings)
  if not options then return nil, M.fail(M.USAGE, rest) end
  local least, most = extra or 0, extra or 0
  if type(extra) == "table" then least, most = extra[1], extra[2] end
  if #rest < 1 + least or #rest > 1 + most then
    return nil, M.fail(M.USAGE, ("usage: %s"):format(command.usage))
  end
  if not require("moonbox.sandboxes").valid(rest[1]) then
    return nil, M.fail(M.USAGE, rest[1] .. " is no sandbox's id; `moonbox list` shows them")
  end
  return options, rest[1], rest
end

--- The box of an id, or nil and an exit code.
function M.open(id)
  local box, message, code = require("moonbox").open(id)
  if not box then return nil, M.fail(code, message) end
  return box
end

--- Seconds of "10", "10s", "5m" or "1h"; nil for anything else.
function M.seconds(text)
  local number, unit = text:match("^(%d+%.?%d*)([smh]?)$")
  local seconds = number and tonumber(number) * ({ [""] = 1, s = 1, m = 60, h = 3600 })[unit]
  return seconds and seconds < 2 ^ 31 and seconds or nil
end

--- Calls box:method(...) of an id and returns the exit code.
function M.call(id, method, ...)
  local box, refused = M.open(id)
  if not box then return refused end
  local done, message, code = box[method](box, ...)
  if not done then return M.fail(code or 70, message) end
  return 0
end

--- Whether nobody supervises the sandbox of a folder any more.
function M.ended(path)
  local data = require("moonbox.sandboxes").read(path)
  if not data or data.state == "ended" then return true end
  local lock = sys().lock(path .. "/lock")
  if lock then lock:close() end
  return lock ~= nil
end

--- Prints a file of a sandbox's folder, and with `follow` what is added until the sandbox ends. Whole lines pass
-- `form`. Returns false when there is no such file.
function M.show(id, name, follow, form)
  local path = require("moonbox.sandboxes").dir(id)
  local handle = io.open(path .. "/" .. name, "rb")
  if not handle then return false end
  local pending = ""
  while true do
    local over = not follow or M.ended(path)
    handle:seek("cur", 0)
    for chunk in function() return handle:read(65536) end do
      pending = pending .. chunk
      local whole, rest = pending:match("^(.*\n)(.*)$")
      for line in (whole or ""):gmatch("([^\n]*)\n") do
        if not M.print(form(line) .. "\n") then return true end
      end
      pending = rest or pending
    end
    if over then break end
    sys().sleep(0.2)
  end
  handle:close()
  return true
end

return M
