--- Repositories inside a tree, which its patch leaves out.
local patch_git = require "moonbox.patch_git"

local M = {}

local LIST_BYTES = patch_git.LIST_BYTES

-- Directories of the base, as a set; empty before there is one.
local function old_directories(self, box)
  if not self.base then return {} end
  local outcome, message = patch_git.git(self, box, { "ls-tree", "-r", "-d", "-z", "--name-only", self.base },
    { keep = LIST_BYTES })
  if not outcome then return nil, message end
  local set = {}
  for _, name in ipairs(patch_git.split(outcome.stdout)) do set[name] = true end
  return set
end

-- Those that the tree ignores are left out in silence, as all that it ignores.
local function report(self, box, nested, notice)
  if #nested == 0 then return true end
  local outcome, message = patch_git.git(self, box, { "check-ignore", "-z", "--stdin" },
    { stdin = table.concat(nested, "\0") .. "\0", keep = LIST_BYTES, lenient = true })
  if not outcome then return nil, message end
  local ignored = {}
  for _, name in ipairs(patch_git.split(outcome.stdout)) do ignored[name] = true end
  for _, name in ipairs(nested) do
    if not ignored[name] then
      notice(self.path .. "/" .. name .. " is a repository of its own; the patch leaves it out")
    end
  end
  return true
end

--- Repositories below the directory `self.path`, relative to it; `notice(sentence)` hears of each. One that lies over a
-- directory of the base `self.base` isn't listed: git goes on into what it tracks, so `git init` hides no change.
-- Returns an array, or nil and a sentence.
function M.list(self, box, notice)
  local outcome, message = patch_git.exec(self, box, {
    run = { "/usr/bin/find", self.path, "-mindepth", "2", "-name", ".git", "-print0" },
    keep = LIST_BYTES, lenient = true,
  })
  if not outcome then return nil, message end
  if (outcome.dropped or 0) > 0 then return nil, "more nested repositories than can be listed" end
  local found = patch_git.split(outcome.stdout)
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
  reported, message = report(self, box, nested, notice)
  if not reported then return nil, message end
  return nested
end

return M
