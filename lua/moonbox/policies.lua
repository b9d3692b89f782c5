--- Where policies and groups are: a path is taken as it is, a bare name is looked up among the shipped ones.
local suggest = require "moonbox.suggest"

local M = {}

local ENOENT = 2

-- Or false, and a sentence where that is not because there is none.
local function exists(path)
  local handle, why, errno = io.open(path, "rb")
  if handle then handle:close() end
  return handle ~= nil, errno ~= ENOENT and why or nil
end

-- Never the current directory: that may be what an agent wrote.
local function places()
  local executable, why = require("moonbox.core").sys.executable()
  if not executable then return {}, why end
  local bin, program = executable:match("^(.*)/([^/]+)$")
  if program == "moonbox" then
    local prefix = bin:match("^(.*)/[^/]*$") or ""
    return { prefix .. "/share/moonbox/policies", prefix .. "/policies" }
  end
  -- A Lua program that uses the modules: the policies lie beside the modules it was given.
  local modules = debug.getinfo(1, "S").source:match("^@(.*)/moonbox/[^/]*$")
  return modules and { modules .. "/../policies", modules .. "/../../../share/moonbox/policies" } or {}
end

local found

--- The directory of the shipped policies: MOONBOX_POLICIES, or beside the executable when installed
-- (PREFIX/share/moonbox/policies) or run in a checkout (build/moonbox). nil and a sentence when there is
-- none.
function M.directory()
  local given = os.getenv("MOONBOX_POLICIES")
  if given and given ~= "" then return (given:gsub("(.)/+$", "%1")) end
  if found then return found end
  local tries, trouble = places()
  for _, directory in ipairs(tries) do
    local there, why = exists(directory .. "/base.lua")
    if there then
      found = directory
      return directory
    end
    trouble = trouble or why
  end
  return nil, ("the shipped policies are not where moonbox looks for them%s; set MOONBOX_POLICIES to their directory")
    :format(trouble and (" (%s)"):format(trouble) or "")
end

--- The files that would make the shipped policies be another directory's, if they were there.
function M.passed_over()
  local out = {}
  for _, directory in ipairs(found and places() or {}) do
    if directory == found then break end
    out[#out + 1] = directory .. "/base.lua"
  end
  return out
end

--- Whether a policy argument is a path: it has a slash or ends in .lua, .yaml or .yml.
function M.is_path(argument)
  return argument:find("/", 1, true) ~= nil or argument:match("%.lua$") ~= nil
    or argument:match("%.ya?ml$") ~= nil
end

--- The names of the shipped policies, or of the groups of one kind ("ecosystem"), sorted.
function M.names(kind)
  local directory = M.directory()
  local out = {}
  if not directory then return out end
  local entries = require("moonbox.core").sys.list(directory .. (kind and "/" .. kind or "")) or {}
  for _, entry in ipairs(entries) do
    local name = entry:match("^([%w_-]+)%.lua$")
    if name then out[#out + 1] = name end
  end
  table.sort(out)
  return out
end

--- The path and the label (for messages) of a policy argument, or nil and a sentence. `beside` is the
-- directory of a file that names it, for relative paths.
function M.find(argument, beside)
  if type(argument) ~= "string" or argument == "" or argument:find("%z") then
    return nil, "names no policy"
  end
  if M.is_path(argument) then
    if argument:sub(1, 1) ~= "/" and beside and beside ~= "" then
      return beside .. "/" .. argument, beside .. "/" .. argument
    end
    return argument, argument
  end
  local directory, why = M.directory()
  if not directory then return nil, why end
  if not argument:match("^[%w_-]+$") or not exists(directory .. "/" .. argument .. ".lua") then
    local tail = suggest.tail(argument, M.names())
    if tail == "" then
      tail = "; shipped are " .. table.concat(M.names(), ", ") .. ", and a file's name has a slash or ends in .lua"
    end
    return nil, ("there is no policy `%s`%s"):format(argument:gsub("[%c\127]", "?"), tail)
  end
  return directory .. "/" .. argument .. ".lua", "policies/" .. argument .. ".lua"
end

--- The path and label of a group such as ecosystem.npm, or nil and a sentence.
function M.find_group(kind, name)
  local directory, why = M.directory()
  if not directory then return nil, why end
  local path = directory .. "/" .. kind .. "/" .. name .. ".lua"
  if not name:match("^[%w_-]+$") or not exists(path) then
    return nil, ("there is no group `%s.%s`%s"):format(kind, name:gsub("[%c\127]", "?"),
      suggest.tail(name, M.names(kind)))
  end
  return path, "policies/" .. kind .. "/" .. name .. ".lua"
end

return M
