--- What a spec needs of the machine or of who runs it: M.need makes it pending with the reason where that is missing.
-- With MOONBOX_MUST_RUN=1, as in the project's own checks, a missing tool fails the spec instead; only a spec for the
-- other mode stays pending.
local M = {}

local function euid()
  return require("moonbox.core").sys.euid()
end

local function tool(name)
  local handle = io.popen((name:find("/", 1, true) and "ls -d " or "command -v ") .. name .. " 2>/dev/null")
  local found = handle:read("*a") ~= ""
  handle:close()
  return found
end

--- "root" or "user".
function M.name()
  return euid() == 0 and "root" or "user"
end

local modes = { root = true, user = true }

--- `what`: "root", "user", a program's name, or a path, in which the shell's `*` may stand. Call it from the body of an `it`.
function M.need(what, reason)
  if modes[what] then
    if M.name() ~= what then getfenv(2).pending(reason) end
  elseif not tool(what) then
    if os.getenv("MOONBOX_MUST_RUN") == "1" then error("missing: " .. what .. " (" .. reason .. ")", 2) end
    getfenv(2).pending(reason)
  end
end

return M
