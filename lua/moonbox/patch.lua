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
--   * It has the object format of the tree's, which a patch of binary files only applies to.
--   * After the step named by `since` the tree is added and written as T0; at the end again as T1. The ids of
--     both stay in this process. The patch is `git diff` between the two.
--   * $GIT_DIR/info/attributes wins over every .gitattributes of the tree (gitattributes(5)), so no filter,
--     line ending, encoding or $Id$ conversion applies: the patch holds the bytes that are in the box. Where
--     the base has files with `ident` or `working-tree-encoding`, give the clone that it is applied to the
--     same line in its .git/info/attributes (ATTRIBUTES of moonbox.patch_git), or git converts what it compares.
--
-- Files that the tree's .gitignore ignores are left out, but for those that the repository tracked at T0.
-- Repositories below the directory are left out with a notice, and so are names that a checkout refuses as an
-- attack on other systems (core.protectNTFS, core.protectHFS: `.GIT`, `git~1`).

local bring = require "moonbox.bring"
local obeyed = require "moonbox.obeyed"
local patch_git = require "moonbox.patch_git"
local patch_nested = require "moonbox.patch_nested"

local PATCH_BYTES = 256 * 2 ^ 20
local LIST_BYTES = patch_git.LIST_BYTES
local NOTICES, SHOWN_NAMES, LINE_BYTES = 20, 10, 300

local M = {}
M.__index = M

M.mount, M.env = patch_git.mount, patch_git.env

--- A patch of `path`. `open(private)` opens a fresh box without network, with M.env and, when `private`,
-- M.mount; it returns the box or nil, message. `time` bounds each command, in seconds.
function M.new(path, open, time)
  return setmetatable({ path = path, open = open, time = time }, M)
end

local function notice(self, sentence)
  self.notices = self.notices or {}
  if #self.notices < NOTICES then self.notices[#self.notices + 1] = sentence end
end

-- What the tree's own repository knows, asked in a box of its own, where its configuration can do nothing to ours.
-- Returns the names that it tracks and its .gitignore ignores, as far as they are there, and its object format; of no
-- repository, or a broken one, nothing and "sha1".
local function of_repository(self)
  local box, message = self.open(false)
  if not box then return nil, message end
  local function ask(...)
    local run = { patch_git.GIT, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c",
      "safe.directory=*", ... }
    local outcome = patch_git.exec(self, box, { run = run, cwd = self.path, keep = LIST_BYTES })
    if not outcome then return "" end
    return (outcome.dropped or 0) == 0 and outcome.stdout or nil
  end
  local format = ask("rev-parse", "--show-object-format")
  local tracked = ask("ls-files", "-z", "--cached", "--ignored", "--exclude-standard")
  local gone = tracked ~= "" and ask("ls-files", "-z", "--deleted") or ""
  box:close()
  if not tracked or not gone then return nil, "more tracked files are ignored, or gone, than can be listed" end
  return patch_git.without(tracked, gone), format == "sha256\n" and "sha256" or "sha1"
end

-- What the agent locked away from itself is opened again: the files are its own.
local function make_readable(self, box)
  return patch_git.exec(self, box, {
    run = { "/usr/bin/find", self.path, "-type", "d", "!", "-perm", "-500", "-exec", "/usr/bin/chmod", "u+rx",
      "{}", ";", "-o", "-type", "f", "!", "-perm", "-400", "-exec", "/usr/bin/chmod", "u+r", "{}", "+" },
    lenient = true,
  })
end

local function add_all(self, box)
  local nested, message = patch_nested.list(self, box, function(sentence) notice(self, sentence) end)
  if not nested then return nil, message end
  local specs = { "." }
  for _, name in ipairs(nested) do specs[#specs + 1] = ":(top,exclude,literal)" .. name end
  local outcome
  outcome, message = patch_git.git(self, box, { "add", "--all", "--ignore-errors", "--pathspec-from-file=-",
    "--pathspec-file-nul" }, { stdin = table.concat(specs, "\0") .. "\0", lenient = true })
  if not outcome then return nil, message end
  for kind, line in outcome.stderr:gmatch("(%a+): ([^\n]+)") do
    local left_out = kind == "error" and not line:find("^unable to add")
      or kind == "warning" and line:find("^could not open directory")
    if left_out then notice(self, "left out of the patch: " .. line:sub(1, LINE_BYTES)) end
  end
  return true
end

local function write_tree(self, box)
  local outcome, message = patch_git.git(self, box, { "write-tree" })
  if not outcome then return nil, message end
  local id = outcome.stdout:match("^(%x+)\n$")
  if not id or #id ~= 40 and #id ~= 64 then return nil, "git write-tree gave no tree" end
  return id
end

local function baseline(self, box, tracked, format)
  local done, message = patch_git.start(self, box, format)
  if not done then return nil, message end
  if tracked ~= "" then
    done, message = patch_git.git(self, box, { "add", "--force", "--ignore-errors", "--pathspec-from-file=-",
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
  local tracked, format = of_repository(self)
  if not tracked then return nil, format end
  local message
  self.base, message = within(self, baseline, tracked, format)
  -- What the base left out is told again at the end if it is still there.
  self.notices = nil
  if not self.base then return nil, message end
  return true
end

local function statistics(self, box, tree)
  local outcome, message = patch_git.git(self, box, { "diff", "--shortstat", "--no-ext-diff", "--no-textconv",
    self.base, tree })
  if not outcome then return nil, message end
  local function number(pattern) return tonumber(outcome.stdout:match(pattern)) or 0 end
  return { files = number("(%d+) file"), added = number("(%d+) insertion"),
    removed = number("(%d+) deletion") }
end

-- Names in the patch that act on whoever applies it are told, the first few by name.
local function tell_obeyed(self, box, tree)
  local outcome, message = patch_git.git(self, box, { "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff",
    self.base, tree }, { keep = LIST_BYTES })
  if not outcome then return nil, message end
  local found = obeyed.among(patch_git.split(outcome.stdout))
  if #found == 0 then return true end
  local shown = table.concat(found, ", ", 1, math.min(#found, SHOWN_NAMES))
  local more = #found > SHOWN_NAMES and string.format(" and %d more", #found - SHOWN_NAMES) or ""
  notice(self, "the patch changes what other programs obey by themselves: " .. shown .. more)
  return true
end

local function copy_out(self, box, file)
  return bring.output(function(spec) return patch_git.exec(self, box, spec) end, {
    run = { "/usr/bin/head", "-c", string.format("%d", PATCH_BYTES + 1), "--", patch_git.OUTPUT },
  }, file, PATCH_BYTES)
end

local function difference(self, box, file)
  local done, message = make_readable(self, box)
  if not done then return nil, message end
  -- A fresh index: nothing is taken as unchanged for its time and size.
  done, message = patch_git.git(self, box, { "read-tree", self.base })
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
  done, message = patch_git.git(self, box, { "diff", "--binary", "--full-index", "--no-ext-diff", "--no-textconv",
    "--no-color", "--find-renames=100%", "--src-prefix=a/", "--dst-prefix=b/", "--output=" .. patch_git.OUTPUT,
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
