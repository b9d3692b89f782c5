--- What a pipeline gives: patches and files, brought from the task's filesystem to its record.
--
-- Both are made in fresh sandboxes that the engine opens after the steps: without network, with the task's
-- own plan, so a symlink in the task's files leads at most to somewhere else in the box.

local bring = require "moonbox.bring"
local core = require "moonbox.core"
local patches = require "moonbox.patch"
local plans = require "moonbox.plan"

local sys = core.sys
local FILE_BYTES = 64 * 2 ^ 20
local SECONDS = 600
-- Bytes of an archive for a file's name and the like, with much to spare; of holes it has none.
local TAR_ENTRY = 4096

local M = {}

-- Opens a box for the engine; an interruption is noted in `run`.
local function open(run, private)
  local plan = plans.narrow(run.plan, { network = "none", file = run.data.file, line = run.data.line })
  plan.env = patches.env
  plan.limits.time = SECONDS
  if private then plan.mounts[#plan.mounts + 1] = patches.mount end
  local box, message = run.sandbox.open(plan, {
    storage = run.task:file("fs"), signals = true,
    on_event = function(event) run:sandbox_event(nil, event) end,
  })
  if not box then return nil, message end
  return {
    exec = function(_, spec)
      local outcome, why = box:exec(spec)
      if outcome and outcome.ended_by == "interrupted" then run.interrupted = outcome.signal or "INT" end
      return outcome, why
    end,
    close = function() box:close() end,
  }
end

-- A name below the record for a path of the box; "-2" and so on where two are called the same.
local function free_name(run, path)
  local base = path:match("([^/]+)/*$"):gsub("[^%w._-]", "_"):gsub("^%.", "_"):sub(1, 100)
  local name, number = base, 1
  while run.names[name] do
    number = number + 1
    name = base .. "-" .. number
  end
  run.names[name] = true
  return name
end

local function copy_file(box, path, target)
  local kind = box:exec { run = { "/usr/bin/test", "-f", path }, cwd = "/", time = SECONDS }
  if not kind or kind.code ~= 0 then return nil, "there is no such file in the sandbox" end
  local bytes, outcome = bring.output(function(spec) return box:exec(spec) end, {
    run = { "/usr/bin/head", "-c", string.format("%d", FILE_BYTES + 1), "--", path }, cwd = "/", time = SECONDS,
  }, target, FILE_BYTES)
  if not bytes then return nil, outcome end
  if outcome.code ~= 0 then
    sys.unlink(target)
    return nil, outcome.sentence or "it can't be read"
  end
  return { bytes = bytes }
end

local function give_file(run, gift)
  local box, message = open(run, false)
  if not box then return nil, message end
  sys.mkdir(run.task:file("gives"), 448)
  local name = "gives/" .. free_name(run, gift.path)
  local result
  result, message = copy_file(box, gift.path, run.task:file(name))
  box:close()
  if not result then return nil, message end
  return result, name
end

local function patch_name(run, path)
  local base = path:match("([^/]+)/*$") or "root"
  return free_name(run, base .. ".patch")
end

local function give_patch(run, gift)
  local name = patch_name(run, gift.path)
  if gift.base_failed then return nil, gift.base_failed end
  if not gift.patch then return nil, "the step that it starts from didn't pass" end
  local result, message = gift.patch:write(run.task:file(name))
  if not result then return nil, message end
  for _, sentence in ipairs(result.notices) do
    run.record:event("notice", { path = gift.path, sentence = sentence })
  end
  result.notices = nil
  return result, name
end

--- To be called after step `name` passed: notes the tree for the patches that start there.
function M.after_step(run, name)
  for _, gift in ipairs(run.data.gives) do
    local since = gift.since or run.data.steps[1].name
    if gift.kind == "patch" and since == name then
      gift.patch = patches.new(gift.path, function(private) return open(run, private) end, SECONDS)
      local done, message = gift.patch:baseline()
      if done then
        run.record:event("patch_base", { path = gift.path, step = name, tree = gift.patch.base })
      else
        gift.base_failed = "its base couldn't be noted: " .. message
        local sentence = "no patch of " .. gift.path .. ": " .. message
        run.record:event("notice", { path = gift.path, sentence = sentence })
      end
    end
  end
end

-- The directories of the plan that steps can write and that last as long as the task, relative to `/`.
local function writable(run)
  local list = {}
  for _, row in ipairs(run.plan.mounts) do
    if row.kind == "writable" then list[#list + 1] = row.target:sub(2) end
  end
  return list
end

--- Keeps the task's files: files.tar in the record. As an archive they are data: no foreign owners, no
-- devices and no programs that change their user lie about on the host. Returns true, or nil, message.
function M.keep(run)
  local box, message = open(run, false)
  if not box then return nil, message end
  local command = { "/usr/bin/tar", "--create", "--sparse", "--directory=/", "--ignore-failed-read", "--warning=none",
    "--" }
  for _, path in ipairs(writable(run)) do command[#command + 1] = path end
  local most = run.plan.storage.size + TAR_ENTRY * run.plan.storage.inodes
  local bytes, outcome = bring.output(function(spec) return box:exec(spec) end,
    { run = command, cwd = "/", time = SECONDS }, run.task:file("files.tar"), most)
  box:close()
  if not bytes then return nil, outcome end
  if outcome.code > 1 then return nil, outcome.sentence or "tar failed with exit code " .. outcome.code end
  return true
end

--- Brings everything back. Returns the array for task.json and the first thing that failed, as a sentence.
function M.collect(run)
  local list, failed = {}, nil
  run.names = { ["files.tar"] = true }
  for _, gift in ipairs(run.data.gives) do
    if run.interrupted then break end
    local result, name = (gift.kind == "patch" and give_patch or give_file)(run, gift)
    if result then
      result.kind, result.path, result.file = gift.kind, gift.path, run.task:file(name)
      run.record:event("gave", result)
      list[#list + 1] = { kind = gift.kind, path = gift.path, file = name, bytes = result.bytes }
    else
      local sentence = string.format("%s of %s: %s", gift.kind, gift.path, name)
      run.record:event("give_failed", { kind = gift.kind, path = gift.path, sentence = sentence })
      failed = failed or ("couldn't bring back the " .. sentence)
    end
  end
  return list, failed
end

return M
