--- Files of a tree that programs outside of a sandbox run or obey without being asked: editors, package
-- managers, shells' directory hooks, git itself, continuous integration, coding agents. A patch may well
-- change them, but who applies it should have been told (the "configuration escape": what was written inside
-- acts outside later).

local M = {}

-- Names of files or directories anywhere in the tree.
local NAMES = {}
for _, name in ipairs {
  ".gitattributes", ".gitmodules", ".gitconfig", ".husky", ".githooks", ".pre-commit-config.yaml",
  ".lefthook.yml",
  ".vscode", ".idea", ".devcontainer", ".vim", ".exrc", ".nvimrc", ".dir-locals.el", ".editorconfig",
  ".envrc", ".direnv", ".mise.toml", ".tool-versions", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs",
  ".bundle", ".gemrc", ".cargo", ".mvn", "pip.conf", ".gdbinit", ".lldbinit", "sitecustomize.py",
  "conftest.py",
  ".github", ".gitlab-ci.yml", ".circleci", ".claude", ".cursor", ".codex", ".mcp.json", "AGENTS.md",
  "CLAUDE.md",
} do
  NAMES[name] = true
end

--- Whether `path` (relative, with slashes) is such a file or lies in such a directory.
function M.is(path)
  for part in path:gmatch("[^/]+") do
    if NAMES[part] then return true end
  end
  return false
end

--- Those of `paths`, in order.
function M.among(paths)
  local list = {}
  for _, path in ipairs(paths) do
    if M.is(path) then list[#list + 1] = path end
  end
  return list
end

return M
