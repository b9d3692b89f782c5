--- The engine's own repository in a box, in which the states of a hostile tree are compared (moonbox.patch says why).
-- It has no configuration, hooks, drivers or attributes but ours.
local M = {}

local MOUNT = "/run/moonbox/patch"
--- The program that runs in the box.
M.GIT = "/usr/bin/git"

--- Where a difference is written in the box.
M.OUTPUT = MOUNT .. "/out.patch"

--- Bytes of a list of names that git may print.
M.LIST_BYTES = 8 * 2 ^ 20

local ATTRIBUTES = "* -text !eol -filter -ident -working-tree-encoding !diff !whitespace\n"

local CONFIG = {
  "core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.excludesFile=/dev/null",
  "core.autocrlf=false", "core.eol=lf", "core.safecrlf=false", "core.fsmonitor=false",
  "core.untrackedCache=false",
  "core.fileMode=true", "core.symlinks=true", "core.ignoreCase=false", "core.precomposeUnicode=false",
  "core.protectNTFS=true", "core.protectHFS=true", "core.quotePath=true", "core.compression=1", "gc.auto=0",
  "advice.addEmbeddedRepo=false", "submodule.recurse=false",
}

--- The mount row that boxes of the engine have beside the plan's own.
M.mount = { kind = "writable", target = MOUNT, mode = 448 }

--- The whole environment of those boxes: the policy's may hold anything.
M.env = {
  "GIT_ATTR_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
  "HOME=/nonexistent", "LC_ALL=C", "PATH=/usr/bin:/bin",
}

--- Runs in the box, within `self.time` seconds. Returns the outcome, or nil and a sentence when it failed; exit code 1
-- is no failure when `spec.lenient` is set.
function M.exec(self, box, spec)
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

--- git on the engine's repository with the task's tree as work tree.
function M.git(self, box, arguments, spec)
  spec = spec or {}
  spec.run = { M.GIT }
  for _, setting in ipairs(CONFIG) do
    spec.run[#spec.run + 1] = "-c"
    spec.run[#spec.run + 1] = setting
  end
  for _, argument in ipairs(arguments) do spec.run[#spec.run + 1] = argument end
  spec.cwd = self.path
  spec.env = spec.env or {}
  spec.env.GIT_DIR, spec.env.GIT_WORK_TREE = self.repository, self.path
  return M.exec(self, box, spec)
end

--- NUL-separated names as an array.
function M.split(text)
  local list = {}
  for item in text:gmatch("([^%z]+)") do list[#list + 1] = item end
  return list
end

--- Those of the NUL-separated names `text` that aren't among `others`, NUL-separated too.
function M.without(text, others)
  local out, set = {}, {}
  for _, name in ipairs(M.split(others)) do set[name] = true end
  for _, name in ipairs(M.split(text)) do
    if not set[name] then out[#out + 1] = name .. "\0" end
  end
  return table.concat(out)
end

--- Makes the repository in a fresh box; `format` is that of its objects, "sha1" or "sha256". Patches of one format
-- share it.
function M.start(self, box, format)
  self.repository = MOUNT .. "/" .. format .. ".git"
  local made, message = M.exec(self, box, { run = { "/usr/bin/mkdir", "-p", self.repository .. "/info" } })
  if not made then return nil, message end
  made, message = M.exec(self, box, { run = { M.GIT, "init", "--bare", "--quiet", "--template=",
    "--object-format=" .. format, self.repository } })
  if not made then return nil, message end
  return M.exec(self, box, { run = { "/usr/bin/tee", self.repository .. "/info/attributes" }, stdin = ATTRIBUTES })
end

return M
