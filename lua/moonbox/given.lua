--- The values of a pipeline's parameters: from the words of the command line to what steps see.
--
-- A value is { kind, text } and for some kinds more:
--   command      words = array of arguments; text is the line itself
--   repository   mount = row of the plan that shows the local repository read-only; text is then a file://
--   address folder       mount; text is the path inside
--   size, time   amount in bytes or seconds
--
-- Only what git needs of a repository is shown: of a work tree its `.git`, never the files beside it, so that
-- uncommitted files such as .env stay outside.

local core = require "moonbox.core"
local substitute = require "moonbox.substitute"
local suggest = require "moonbox.suggest"
local units = require "moonbox.units"

local sys = core.sys
local M = {}

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return sys.getcwd() .. "/" .. path
end

-- Options begin with `-`; `ext::sh -c …` and its like make git start a program (gitremote-helpers(7)).
local function is_address(value)
  return value:find("^%a[%w+.-]*://") ~= nil and not value:find("^file://")
    or value:find("^[%w._@][%w._@-]*:[^:]") ~= nil and not value:find("^[^:]*/")
end

local function borrows(git_dir)
  local info = sys.stat(git_dir .. "/objects/info/alternates")
  return info ~= nil and info.size > 0
end

-- The directory that is git's own, or nil and a sentence: `path` is a real path.
local function git_directory(path)
  local inner = sys.stat(path .. "/.git")
  if inner and inner.kind == "file" then
    return nil, path .. " is a linked work tree or a submodule; name the repository that it belongs to"
  end
  if inner then return path .. "/.git", "/.git" end
  if sys.stat(path .. "/HEAD") and sys.stat(path .. "/objects") then return path, "" end
  return nil, path .. " is no git repository"
end

local kinds = {}

function kinds.text(_, text)
  return { kind = "text", text = text }
end

function kinds.number(need, text)
  local number = text:find("^%-?%d+%.?%d*$") and tonumber(text)
  if not number then return nil, "takes a number, not " .. text end
  if need.min and number < need.min then return nil, ("is at least %g, not %s"):format(need.min, text) end
  if need.max and number > need.max then return nil, ("is at most %g, not %s"):format(need.max, text) end
  return { kind = "number", text = text }
end

function kinds.choice(need, text)
  for _, word in ipairs(need.choices) do
    if word == text then return { kind = "choice", text = text } end
  end
  return nil, "is one of " .. table.concat(need.choices, ", ") .. ", not " .. text
    .. suggest.tail(text, need.choices)
end

local SHORT = { s = "second", m = "minute", h = "hour", d = "day" }

-- A number and a unit, as one word or two.
local function measure(dimension, example)
  return function(_, text)
    local number, name = text:match("^(%d+%.?%d*) ?(%a+)$")
    local unit = units.table[dimension == "time" and SHORT[name] or name or ""]
    if not number or not unit or unit[1] ~= dimension then return nil, "takes " .. example .. ", not " .. text end
    return { kind = dimension, text = text, amount = tonumber(number) * unit[2] }
  end
end
kinds.size, kinds.time = measure("size", "a size such as 4GB"), measure("time", "a time such as 5m")

function kinds.command(_, text)
  local words = substitute.split(text)
  if not words then return nil, "takes a command; it is empty" end
  return { kind = "command", text = text, words = words }
end

function kinds.repository(need, text)
  if text:sub(1, 1) == "-" then return nil, "takes a path or an address, not " .. text end
  if is_address(text) then return { kind = "repository", text = text } end
  local path, message = sys.realpath(absolute((text:gsub("^file://", ""))))
  if not path then return nil, message end
  local at = need.at or "/source/" .. need.name
  local function mount(source, target)
    return { kind = "bind", source = source, target = target, read_only = true, as_agent = true }
  end
  if sys.stat(path).kind == "file" then
    -- git takes a bundle by its path only; a file:// address would be looked at as a directory.
    return { kind = "repository", text = at, mount = mount(path, at) }
  end
  local git_dir, below = git_directory(path)
  if not git_dir then return nil, below end
  if borrows(git_dir) then
    return nil, path .. " borrows objects of another repository, which isn't shown in the sandbox; "
      .. "run `git repack -a -d` there and remove objects/info/alternates"
  end
  return { kind = "repository", text = "file://" .. at, mount = mount(git_dir, at .. below),
    git = at .. below }
end

function kinds.folder(need, text)
  local path, message = sys.realpath(absolute(text))
  if not path then return nil, message end
  if sys.stat(path).kind ~= "directory" then return nil, path .. " is no directory" end
  if path == "/" then return nil, "can't be the root directory of the host" end
  local at = need.at or "/source/" .. need.name
  return { kind = "folder", text = at,
    mount = { kind = "bind", source = path, target = at, read_only = true, as_agent = true } }
end

local function names(needs)
  local list = {}
  for _, need in ipairs(needs) do list[#list + 1] = need.name end
  return list
end

local function unknown(needs, options, sentences)
  local known, listed = names(needs), {}
  for _, name in ipairs(known) do listed[name] = true end
  local wrong = {}
  for name in pairs(options) do
    if not listed[name] then wrong[#wrong + 1] = name end
  end
  table.sort(wrong)
  for _, name in ipairs(wrong) do
    local near = suggest.nearest(name, known)
    sentences[#sentences + 1] = "the pipeline has no parameter --" .. name
      .. (near and "; did you mean --" .. near .. "?" or "")
  end
end

--- The value of one parameter from its text, or nil and what is wrong with it.
function M.value(need, text) return kinds[need.kind](need, text) end

--- The values for `needs` (moonbox.pipeline_file's array) from `options`, a table name -> text of the command
-- line. Returns a table name -> value, or nil and an array of sentences: all that is missing, unknown or
-- wrong.
function M.collect(needs, options)
  local values, sentences = {}, {}
  unknown(needs, options, sentences)
  for _, need in ipairs(needs) do
    local text = options[need.name]
    if text == nil and need.default ~= nil then text = tostring(need.default) end
    if text == nil then
      local about = need.about and ": " .. need.about or ""
      sentences[#sentences + 1] = "--" .. need.name .. "=… is missing" .. about
    else
      local value, message = M.value(need, text)
      values[need.name] = value
      if not value then sentences[#sentences + 1] = "--" .. need.name .. " " .. message end
    end
  end
  if #sentences > 0 then return nil, sentences end
  return values
end

return M
