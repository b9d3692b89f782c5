--- The patch of a task: what changed below a directory of the box since a step.
--
-- Theory of operation.  A hostile tree may hold hooks, filters, configuration and a `.git` that was swapped,
-- so no git ever runs on the host, and the git in the box never reads the tree's own repository while it can
-- write ours:
--
--   * The engine keeps a bare repository of its own at /run/moonbox/patch, on the task's filesystem but
--     mounted only in boxes that the engine opens. Steps can't reach it; nothing of a step is alive while it
--     is used.
--   * That repository has no configuration, hooks, drivers or attributes but ours, and `GIT_DIR` points at it
--     with the directory as its work tree. A `.git` in the tree is then a name that git skips (git(1),
--     GIT_WORK_TREE).
--   * After the step named by `since` the tree is added and written as T0; at the end again as T1. The ids of
--     both stay in this process. The patch is `git diff` between the two.
--   * $GIT_DIR/info/attributes wins over every .gitattributes of the tree (gitattributes(5)), so no filter,
--     line ending, encoding or $Id$ conversion applies: the patch holds the bytes that are in the box. Where
--     the base has files with `ident` or `working-tree-encoding`, give the clone that it is applied to the
--     same line in its .git/info/attributes (ATTRIBUTES below), or git converts what it compares.
--
-- Files that the tree's .gitignore ignores are left out, but for those that the repository tracked at T0.
-- Repositories below the directory are left out with a notice, and so are names that a checkout refuses as an
-- attack on other systems (core.protectNTFS, core.protectHFS: `.GIT`, `git~1`).

local core = require "moonbox.core"
local obeyed = require "moonbox.obeyed"

local sys = core.sys
local MOUNT = "/run/moonbox/patch"
local REPOSITORY = MOUNT .. "/repo.git"
local OUTPUT = MOUNT .. "/out.patch"
local PATCH_BYTES = 256 * 2 ^ 20
local LIST_BYTES = 8 * 2 ^ 20
local NOTICES, SHOWN_NAMES = 20, 10
local GIT = "/usr/bin/git"

local ATTRIBUTES = "* -text !eol -filter -ident -working-tree-encoding !diff !whitespace\n"

local CONFIG = {
  "core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.excludesFile=/dev/null",
  "core.autocrlf=false", "core.eol=lf", "core.safecrlf=false", "core.fsmonitor=false",
  "core.untrackedCache=false",
  "core.fileMode=true", "core.symlinks=true", "core.ignoreCase=false", "core.precomposeUnicode=false",
  "core.protectNTFS=true", "core.protectHFS=true", "core.quotePath=true", "core.compression=1", "gc.auto=0",
  "advice.addEmbeddedRepo=false", "submodule.recurse=false",
}

local M = {}
M.__index = M

--- The mount row that boxes of the engine have beside the plan's own.
M.mount = { kind = "writable", target = MOUNT, mode = 448 }

--- The whole environment of those boxes: the policy's may hold anything.
M.env = {
  "GIT_ATTR_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
  "HOME=/nonexistent", "LC_ALL=C", "PATH=/usr/bin:/bin",
}

--- A patch of `path`. `open(private)` opens a fresh box without network, with M.env and, when `private`,
-- M.mount; it returns the box or nil, message. `time` bounds each command, in seconds.
function M.new(path, open, time)
  return setmetatable({ path = path, open = open, time = time }, M)
end

-- Runs in the box; returns the outcome, or nil and a sentence when it failed and `lenient` isn't set.
local function exec(self, box, spec)
  spec.time = self.time
  spec.cwd = spec.cwd or "/"
  local lenient = spec.lenient
  spec.lenient = nil
  local outcome, message = box:exec(spec)
  if not outcome then return nil, message end
  if outcome.ended_by then return nil, outcome.sentence or ("ended by " .. outcome.ended_by) end
  if outcome.code ~= 0 and not (lenient and outcome.code == 1) then
    local said = (outcome.stderr or ""):match("([^\n]+)\n*$")
    return nil, said or outcome.sentence or (spec.run[1] .. " failed with exit code " .. outcome.code)
  end
  return outcome
end

-- git on the engine's repository with the task's tree as work tree.
local function git(self, box, arguments, spec)
  spec = spec or {}
  spec.run = { GIT }
  for _, setting in ipairs(CONFIG) do
    spec.run[#spec.run + 1] = "-c"
    spec.run[#spec.run + 1] = setting
  end
  for _, argument in ipairs(arguments) do spec.run[#spec.run + 1] = argument end
  spec.cwd = self.path
  spec.env = spec.env or {}
  spec.env.GIT_DIR, spec.env.GIT_WORK_TREE = REPOSITORY, self.path
  return exec(self, box, spec)
end

local function split(text)
  local list = {}
  for item in text:gmatch("([^%z]+)") do list[#list + 1] = item end
  return list
end

local function notice(self, sentence)
  self.notices = self.notices or {}
  if #self.notices < NOTICES then self.notices[#self.notices + 1] = sentence end
end

-- The tree's repository is asked in a box of its own, where its configuration can do nothing to ours.
local function tracked_but_ignored(self)
  local box, message = self.open(false)
  if not box then return nil, message end
  local outcome = exec(self, box, {
    run = { GIT, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*",
      "ls-files", "-z", "--cached", "--ignored", "--exclude-standard" },
    cwd = self.path, keep = LIST_BYTES,
  })
  box:close()
  -- No repository there, or a broken one: then nothing is tracked.
  return outcome and (outcome.dropped or 0) == 0 and outcome.stdout or ""
end

local function start_repository(self, box)
  local made, message = exec(self, box, { run = { "/usr/bin/mkdir", "-p", REPOSITORY .. "/info" } })
  if not made then return nil, message end
  made, message = exec(self, box, { run = { GIT, "init", "--bare", "--quiet", "--template=", REPOSITORY } })
  if not made then return nil, message end
  return exec(self, box, { run = { "/usr/bin/tee", REPOSITORY .. "/info/attributes" }, stdin = ATTRIBUTES })
end

-- What the agent locked away from itself is opened again: the files are its own.
local function make_readable(self, box)
  return exec(self, box, {
    run = { "/usr/bin/find", self.path, "-type", "d", "!", "-perm", "-500", "-exec", "/usr/bin/chmod", "u+rx",
      "{}", ";", "-o", "-type", "f", "!", "-perm", "-400", "-exec", "/usr/bin/chmod", "u+r", "{}", "+" },
    lenient = true,
  })
end

-- Directories of T0, as a set; empty before there is a T0.
local function old_directories(self, box)
  if not self.base then return {} end
  local outcome, message = git(self, box, { "ls-tree", "-r", "-d", "-z", "--name-only", self.base },
    { keep = LIST_BYTES })
  if not outcome then return nil, message end
  local set = {}
  for _, name in ipairs(split(outcome.stdout)) do set[name] = true end
  return set
end

local function report_nested(self, box, nested)
  if #nested == 0 then return true end
  local outcome, message = git(self, box, { "check-ignore", "-z", "--stdin" },
    { stdin = table.concat(nested, "\0") .. "\0", keep = LIST_BYTES, lenient = true })
  if not outcome then return nil, message end
  local ignored = {}
  for _, name in ipairs(split(outcome.stdout)) do ignored[name] = true end
  for _, name in ipairs(nested) do
    if not ignored[name] then
      notice(self, self.path .. "/" .. name .. " is a repository of its own; the patch leaves it out")
    end
  end
  return true
end

-- Repositories below the directory, relative to it. One that lies over a directory of T0 isn't listed: git
-- goes on into what it tracks, so `git init` hides no change.
local function nested_repositories(self, box)
  local outcome, message = exec(self, box, {
    run = { "/usr/bin/find", self.path, "-mindepth", "2", "-name", ".git", "-print0" },
    keep = LIST_BYTES, lenient = true,
  })
  if not outcome then return nil, message end
  if (outcome.dropped or 0) > 0 then return nil, "more nested repositories than can be listed" end
  local found = split(outcome.stdout)
  if #found == 0 then return found end
  local old
  old, message = old_directories(self, box)
  if not old then return nil, message end
  local nested = {}
  for _, path in ipairs(found) do
    local name = path:sub(#self.path + 2, -#"/.git" - 1)
    if not old[name] then nested[#nested + 1] = name end
  end
  local reported
  reported, message = report_nested(self, box, nested)
  if not reported then return nil, message end
  return nested
end

local function add_all(self, box)
  local nested, message = nested_repositories(self, box)
  if not nested then return nil, message end
  local specs = { "." }
  for _, name in ipairs(nested) do specs[#specs + 1] = ":(top,exclude,literal)" .. name end
  local outcome
  outcome, message = git(self, box, { "add", "--all", "--ignore-errors", "--pathspec-from-file=-",
    "--pathspec-file-nul" }, { stdin = table.concat(specs, "\0") .. "\0", lenient = true })
  if not outcome then return nil, message end
  for line in outcome.stderr:gmatch("error: ([^\n]+)") do
    if not line:find("^unable to add") then notice(self, "left out of the patch: " .. line) end
  end
  return true
end

local function write_tree(self, box)
  local outcome, message = git(self, box, { "write-tree" })
  if not outcome then return nil, message end
  local id = outcome.stdout:match("^(%x+)\n$")
  if not id or #id ~= 40 then return nil, "git write-tree gave no tree" end
  return id
end

local function baseline(self, box, tracked)
  local done, message = start_repository(self, box)
  if not done then return nil, message end
  if tracked ~= "" then
    done, message = git(self, box, { "add", "--force", "--ignore-errors", "--pathspec-from-file=-",
      "--pathspec-file-nul" }, { stdin = tracked, env = { GIT_LITERAL_PATHSPECS = "1" }, lenient = true })
    if not done then return nil, message end
  end
  done, message = add_all(self, box)
  if not done then return nil, message end
  return write_tree(self, box)
end

-- Opens the engine's box for fn(self, box, ...), which returns a value, or nil and a sentence.
local function within(self, fn, ...)
  local box, message = self.open(true)
  if not box then return nil, message end
  local called, value, why = pcall(fn, self, box, ...)
  box:close()
  if not called then error(value, 0) end
  return value, why
end

--- Notes the tree as it is now as the state that the patch starts from. Returns true, or nil, message.
function M:baseline()
  local tracked, message = tracked_but_ignored(self)
  if not tracked then return nil, message end
  self.base, message = within(self, baseline, tracked)
  -- What the base left out is told again at the end if it is still there.
  self.notices = nil
  if not self.base then return nil, message end
  return true
end

local function statistics(self, box, tree)
  local outcome, message = git(self, box, { "diff", "--shortstat", "--no-ext-diff", "--no-textconv",
    self.base, tree })
  if not outcome then return nil, message end
  local function number(pattern) return tonumber(outcome.stdout:match(pattern)) or 0 end
  return { files = number("(%d+) file"), added = number("(%d+) insertion"),
    removed = number("(%d+) deletion") }
end

-- Names in the patch that act on whoever applies it are told, the first few by name.
local function tell_obeyed(self, box, tree)
  local outcome, message = git(self, box, { "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff",
    self.base, tree }, { keep = LIST_BYTES })
  if not outcome then return nil, message end
  local found = obeyed.among(split(outcome.stdout))
  if #found == 0 then return true end
  local shown = table.concat(found, ", ", 1, math.min(#found, SHOWN_NAMES))
  local more = #found > SHOWN_NAMES and string.format(" and %d more", #found - SHOWN_NAMES) or ""
  notice(self, "the patch changes what other programs obey by themselves: " .. shown .. more)
  return true
end

-- The bytes pass through this process, counted: a file that grows is never trusted to end.
local function copy_out(self, box, file)
  local out, message = sys.append_open(file)
  if not out then return nil, message end
  local bytes = 0
  local outcome
  outcome, message = exec(self, box, {
    run = { "/usr/bin/head", "-c", string.format("%d", PATCH_BYTES + 1), "--", OUTPUT }, keep = 0,
    on_output = function(stream, part)
      if stream == "stderr" then return end
      bytes = bytes + #part
      if bytes <= PATCH_BYTES then out:write(part) end
    end,
  })
  out:close()
  if outcome and bytes > PATCH_BYTES then outcome, message = nil, "it is larger than 256 MB" end
  if not outcome then
    sys.unlink(file)
    return nil, message
  end
  return bytes
end

local function difference(self, box, file)
  local done, message = make_readable(self, box)
  if not done then return nil, message end
  -- A fresh index: nothing is taken as unchanged for its time and size.
  done, message = git(self, box, { "read-tree", self.base })
  if not done then return nil, message end
  done, message = add_all(self, box)
  if not done then return nil, message end
  local tree
  tree, message = write_tree(self, box)
  if not tree then return nil, message end
  local result
  result, message = statistics(self, box, tree)
  if not result then return nil, message end
  done, message = tell_obeyed(self, box, tree)
  if not done then return nil, message end
  done, message = git(self, box, { "diff", "--binary", "--full-index", "--no-ext-diff", "--no-textconv",
    "--no-color", "--find-renames=100%", "--src-prefix=a/", "--dst-prefix=b/", "--output=" .. OUTPUT,
    self.base, tree })
  if not done then return nil, message end
  result.bytes, message = copy_out(self, box, file)
  if not result.bytes then return nil, message end
  return result
end

--- Writes the patch to `file` (on the host, not yet existing). Returns { bytes, files, added, removed,
-- notices = array of sentences }, or nil, message.
function M:write(file)
  if not self.base then return nil, "the step that it starts from didn't pass" end
  local result, message = within(self, difference, file)
  if not result then return nil, message end
  result.notices = self.notices or {}
  return result
end

return M
